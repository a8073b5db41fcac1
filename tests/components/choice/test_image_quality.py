"""PSNR, SSIM, GMSD and MDSI against their definitions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from phaseloom.components.choice.image_quality import (
    METRICS,
    agreement,
    gmsd,
    mdsi,
    psnr,
    similarity_matrices,
    ssim,
)
from phaseloom.errors import InputError

Image = NDArray[np.float64]
FUNCTIONS: dict[str, Callable[[Image, Image], float]] = dict(
    zip(METRICS, (psnr, ssim, gmsd, mdsi), strict=True)
)


def spots(seed: int, shape: tuple[int, int] = (32, 32)) -> Image:
    """A pattern of a dozen spots, 1 at the brightest pixel."""
    rng = np.random.default_rng(seed)
    image = np.zeros(shape)
    image[rng.integers(2, shape[0] - 2, 12), rng.integers(2, shape[1] - 2, 12)] = 1.0
    image = gaussian_filter(image, 1.0)
    return image / image.max()


# The definitions once more, pixel by pixel.


def at(image: Image, row: int, column: int) -> float:
    inside = 0 <= row < image.shape[0] and 0 <= column < image.shape[1]
    return float(image[row, column]) if inside else 0.0


def averaged(image: Image, side: int) -> Image:
    """Mean about every side-th pixel; one pixel more after than before where side is even."""
    before = (side - 1) // 2
    return np.array(
        [
            [
                sum(
                    at(image, row - before + i, column - before + j)
                    for i in range(side)
                    for j in range(side)
                )
                / side**2
                for column in range(0, image.shape[1], side)
            ]
            for row in range(0, image.shape[0], side)
        ]
    )


def gradient_at(image: Image, row: int, column: int) -> float:
    down = sum(at(image, row + 1, column + i) - at(image, row - 1, column + i) for i in (-1, 0, 1))
    right = sum(at(image, row + i, column + 1) - at(image, row + i, column - 1) for i in (-1, 0, 1))
    return float(np.sqrt((down / 3) ** 2 + (right / 3) ** 2))


def slow_gmsd(a: Image, b: Image) -> float:
    first, second = averaged(255 * a, 2), averaged(255 * b, 2)
    values = []
    for row, column in np.ndindex(first.shape):
        g, h = gradient_at(first, row, column), gradient_at(second, row, column)
        values.append((2 * g * h + 170) / (g * g + h * h + 170))
    mean = sum(values) / len(values)
    return float((sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5)


def slow_mdsi(a: Image, b: Image, side: int = 1) -> float:
    def alike(x: float, y: float, c: float) -> float:
        return (2 * x * y + c) / (x * x + y * y + c)

    def channels(image: Image) -> list[Image]:
        red = green = blue = averaged(255 * image, side)
        return [
            0.2989 * red + 0.5870 * green + 0.1140 * blue,
            0.30 * red + 0.04 * green - 0.35 * blue,
            0.34 * red - 0.60 * green + 0.17 * blue,
        ]

    (l1, h1, m1), (l2, h2, m2) = channels(a), channels(b)
    fused = 0.5 * (l1 + l2)
    values = []
    for p in np.ndindex(l1.shape):
        r, d, f = (gradient_at(image, *p) for image in (l1, l2, fused))
        gs = alike(r, d, 140) + alike(d, f, 55) - alike(r, f, 55)
        cs = (2 * (h1[p] * h2[p] + m1[p] * m2[p]) + 550) / (
            h1[p] ** 2 + h2[p] ** 2 + m1[p] ** 2 + m2[p] ** 2 + 550
        )
        values.append(complex(0.6 * gs + 0.4 * cs) ** 0.25)
    mean = sum(values) / len(values)
    return float((sum(abs(value - mean) for value in values) / len(values)) ** 0.25)


def test_equal_images() -> None:
    image = spots(0)
    assert psnr(image, image) == np.inf
    assert ssim(image, image) == pytest.approx(1.0, abs=1e-12)
    assert gmsd(image, image) == pytest.approx(0.0, abs=1e-12)
    # The power 1/4 makes 1e-4 of the rounding error of 1e-16.
    assert mdsi(image, image) == pytest.approx(0.0, abs=1e-3)


def test_values_known_by_hand() -> None:
    zero = np.zeros((16, 16))
    assert psnr(zero, zero + 0.1) == pytest.approx(20.0)
    # Two constants: only the means are left of SSIM, C1 / (1 + C1).
    assert ssim(zero, zero + 1.0) == pytest.approx(1e-4 / (1 + 1e-4))
    # One bright pixel of the halved image: Prewitt gives 255 / 3 beside it, √2 of that at its
    # corners and 0 on it.
    spot = zero.copy()
    spot[6:8, 8:10] = 1.0
    alike = np.ones(64)
    alike[:4] = 170 / (85.0**2 + 170)
    alike[4:8] = 170 / (2 * 85.0**2 + 170)
    assert gmsd(zero, spot) == pytest.approx(alike.std())


@pytest.mark.parametrize("shape", [(16, 16), (17, 14)])
def test_gmsd_and_mdsi_are_as_defined(shape: tuple[int, int]) -> None:
    a, b = spots(1, shape), spots(2, shape)
    assert gmsd(a, b) == pytest.approx(slow_gmsd(a, b), rel=1e-10)
    assert mdsi(a, b) == pytest.approx(slow_mdsi(a, b), rel=1e-10)


@pytest.mark.parametrize(("shape", "side"), [((513, 516), 2), ((641, 650), 3)])
def test_mdsi_averages_large_images_first(shape: tuple[int, int], side: int) -> None:
    a, b = np.zeros(shape), np.zeros(shape)
    a[4:40, 7:50] = a[-1] = 0.8
    b[10:30, 7:60] = b[:, -1] = 0.6
    small = [averaged(image, side) for image in (a, b)]
    assert mdsi(a, b) == pytest.approx(mdsi(*small), rel=1e-10)


def test_a_sum_below_zero_is_raised_to_a_complex_power() -> None:
    # Spots in the reference alone make the gradient term about −0.8.
    reference, empty = np.zeros((16, 16)), np.zeros((16, 16))
    reference[5:9, 5:9] = 1.0
    assert mdsi(reference, empty) == pytest.approx(slow_mdsi(reference, empty), rel=1e-10)
    assert mdsi(reference, empty) != pytest.approx(mdsi(empty, reference), rel=1e-3)


@pytest.mark.parametrize("name", ["psnr", "ssim", "gmsd"])
def test_three_metrics_do_not_tell_first_from_second(name: str) -> None:
    a, b = spots(3), spots(4)
    assert FUNCTIONS[name](a, b) == pytest.approx(FUNCTIONS[name](b, a))


@pytest.mark.parametrize("name", METRICS)
def test_less_alike_with_blur_and_with_noise(name: str) -> None:
    image, noise = spots(5), np.random.default_rng(0).normal(size=(32, 32))
    direction = 1 if name in ("psnr", "ssim") else -1
    for worse in (
        [gaussian_filter(image, sigma) for sigma in (0.5, 1.0, 2.0)],
        [np.clip(image + amount * noise, 0, 1) for amount in (0.02, 0.05, 0.1)],
    ):
        values = [direction * FUNCTIONS[name](image, other) for other in worse]
        assert values == sorted(values, reverse=True)


def test_matrices_compare_shapes_not_brightness() -> None:
    patterns = np.stack([spots(6), 40 * spots(7), 3 + 5 * spots(6)])
    matrices = similarity_matrices(patterns)
    assert matrices.shape == (4, 3, 3)
    assert np.isnan(np.diagonal(matrices, axis1=1, axis2=2)).all()
    by_name = dict(zip(METRICS, matrices, strict=True))
    assert by_name["psnr"][0, 2] > 200
    assert by_name["ssim"][0, 2] == pytest.approx(1.0)
    assert by_name["gmsd"][0, 1] == pytest.approx(gmsd(spots(6), spots(7)), rel=1e-6)
    assert by_name["mdsi"][0, 1] == pytest.approx(mdsi(spots(6), spots(7)), rel=1e-6)
    assert by_name["mdsi"][1, 0] == pytest.approx(mdsi(spots(7), spots(6)), rel=1e-6)


def test_pixels_not_used_do_not_count() -> None:
    patterns = np.stack([1 + spots(8), 1 + spots(9)])
    patterns[:, 14:18, 14:18] = np.nan
    other = patterns.copy()
    other[:, 14:18, 14:18] = 1.0
    np.testing.assert_allclose(similarity_matrices(patterns), similarity_matrices(other), rtol=1e-5)


def test_agreement_is_with_the_mean_pattern_as_reference() -> None:
    patterns, means = np.stack([spots(10), spots(11)]), np.stack([spots(12), spots(11)])
    means[1] = np.nan  # a label of no position
    found = agreement(patterns, 7 * means)
    assert found.shape == (4, 2)
    assert found[:, 0] == pytest.approx([f(spots(12), spots(10)) for f in FUNCTIONS.values()])
    assert np.isnan(found[:, 1]).all()


def test_what_cannot_be_compared_is_told() -> None:
    with pytest.raises(InputError, match="at least 11 pixels"):
        mdsi(np.zeros((16, 16)), np.zeros((16, 17)))
    with pytest.raises(InputError, match="at least 11 pixels"):
        ssim(np.zeros((8, 8)), np.zeros((8, 8)))
    with pytest.raises(InputError, match="no stack of patterns"):
        similarity_matrices(np.zeros((16, 16)))
    with pytest.raises(InputError, match="cannot be compared"):
        agreement(np.zeros((2, 16, 16)), np.zeros((3, 16, 16)))
