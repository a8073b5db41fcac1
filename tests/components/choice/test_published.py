"""The published choice of the number of components: knee, votes, and both together."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from phaseloom.components import matrix_of
from phaseloom.components.choice import published
from phaseloom.components.choice.image_quality import gmsd, mdsi, psnr, ssim
from phaseloom.components.choice.published import choose_published, knee, mean_quality
from phaseloom.errors import InputError, InputWarning

SIDE = 16
Image = NDArray[np.float64]


def spots(rng: np.random.Generator) -> Image:
    """A pattern of eight spots from 0 to 1."""
    image = np.zeros((SIDE, SIDE))
    image[rng.integers(2, SIDE - 2, 8), rng.integers(2, SIDE - 2, 8)] = 1.0
    image = gaussian_filter(image, 0.8)
    return (image - image.min()) / np.ptp(image)


def grains(n: int, *, side: int = 14, counts: float = 400.0, seed: int = 0) -> Image:
    """A scan (y, x, ky, kx) of n grains of equal size in rows, with counting noise."""
    rng = np.random.default_rng(seed)
    patterns = np.stack([spots(rng) for _ in range(n)])
    patterns /= patterns.sum(axis=(1, 2), keepdims=True)
    label = np.arange(side * side) * n // side**2
    weights = gaussian_filter(np.eye(n)[label].reshape(side, side, n), (0.5, 0.5, 0))
    mean = counts * (np.einsum("yxn,nij->yxij", weights, patterns) + 0.1 / SIDE**2)
    return rng.poisson(mean).astype(np.float64)


# The knee.


def test_the_knee_of_a_hyperbola() -> None:
    # The curve of Satopää et al. (figure 2), here falling: their knee is at x = 2/9 = 0.22.
    x = np.arange(10)
    assert knee(x, 1 / (x / 9 + 0.1)) == 2


@pytest.mark.parametrize("corner", [4, 7, 12, 18])
def test_the_knee_of_two_lines_is_their_corner(corner: int) -> None:
    x = np.arange(3, 21)
    assert knee(x, np.where(x < corner, 10.0 * (corner - x), 0.5 * (corner - x))) == corner


def test_of_two_knees_the_first_deep_enough_counts() -> None:
    x = np.arange(11)
    first_deep = [10, 5, 1, 1, 1, 1, 1, 0.1, 0, 0, 0]
    assert knee(x, first_deep) == 2
    # Below the straight line the first maximum sticks out by less than one step in k.
    first_shallow = [10, 8, 6, 5.5, 4, 2, 0, 0, 0, 0, 0]
    assert knee(x, first_shallow) == 6


@given(st.floats(0.5, 3.0), st.floats(1e-3, 1e3), st.floats(-5.0, 5.0), st.integers(-10, 10))
def test_the_knee_does_not_depend_on_scales(
    power: float, height: float, offset: float, shift: int
) -> None:
    x = np.arange(3, 21)
    y = (x - 2.0) ** -power
    found = knee(x, y)
    assert found is not None
    assert knee(x + shift, height * (y + offset)) == found + shift


def test_lines_have_no_knee() -> None:
    x = np.arange(3, 21)
    assert knee(x, -0.1 * x) is None
    assert knee(x, np.ones(len(x))) is None


# Quality and votes.


def test_the_mean_quality_counts_a_component_with_itself() -> None:
    rng = np.random.default_rng(1)
    a, b = spots(rng), spots(rng)
    quality = mean_quality(np.stack([a, b, a]))
    assert quality.shape == (4, 3)
    with_b = psnr(a, b), ssim(a, b), gmsd(a, b), mdsi(a, b)
    with_itself = 100.0, 1.0, 0.0, 0.0
    expected = [(2 * itself + other) / 3 for itself, other in zip(with_itself, with_b, strict=True)]
    assert quality[:, 0] == pytest.approx(expected, rel=1e-5, abs=1e-3)
    assert quality[:, 2] == pytest.approx(quality[:, 0])


def test_knee_window_and_votes_lead_to_k(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    row = spots(rng).ravel()
    loss = {k: 1.0 if k < 6 else 0.01 for k in range(3, 21)} | {3: 3.0, 4: 2.0}
    # Of ten components number 5 is bright all over, unlike any other; numbers 8 and 9 are equal.
    patterns = np.stack([spots(rng) for _ in range(10)])
    patterns[4] = rng.random((SIDE, SIDE))
    patterns[8] = patterns[7]
    asked = []

    def factors(_prepared: object, k: int, kind: str, **_: object) -> SimpleNamespace:
        asked.append((kind, k))
        if kind == "kl":
            return SimpleNamespace(weight=np.ones((36, 1)), pattern=row[None] - loss[k])
        return SimpleNamespace(weight=rng.random((36, 10)), pattern=patterns.reshape(10, -1))

    monkeypatch.setattr(published, "_factors", factors)
    monkeypatch.setattr(published, "_compressed", lambda *_, **__: None)
    scan = np.broadcast_to(50 * row.reshape(SIDE, SIDE), (6, 6, SIDE, SIDE))
    choice = choose_published(matrix_of(scan))

    assert asked == [("kl", k) for k in range(3, 21)] + [("frobenius", 10)]
    np.testing.assert_allclose(choice.loss, list(loss.values()), rtol=1e-5)
    assert choice.knee == 6
    inside = (choice.ks >= 3) & (choice.ks <= 10)
    np.testing.assert_array_equal(np.isnan(choice.quality), ~np.tile(inside, (4, 1)))
    largest, smallest = (choice.ks[f(choice.quality, axis=1)] for f in (np.nanargmax, np.nanargmin))
    chosen = [choice.ks[votes == 1].item() for votes in choice.votes]
    # Little alike for all but PSNR, which likes the pair that is equal.
    assert chosen == [largest[0], smallest[1], largest[2], largest[3]]
    assert chosen == [8, 7, 6, 5]
    # Of equal votes the smallest.
    assert choice.reason == (
        "k = 5 by the published procedure: the loss has its knee at 6, and of 10 components "
        "number 5 got 1 of 4 votes (MDSI)"
    )
    assert choice.k == 5


# With factorisations.


@pytest.mark.parametrize("n", [4, 6])
def test_the_knee_is_near_the_number_of_grains(n: int) -> None:
    choice = choose_published(matrix_of(grains(n)), components_max=9, device="cpu", workers=1)
    assert abs(choice.knee - n) <= 1
    assert abs(choice.k - choice.knee) <= 4
    assert choice.votes.sum() == 4
    assert choice.votes[:, choice.ks == choice.k].sum() == choice.votes.sum(axis=0).max()
    assert np.all(np.diff(choice.loss[: n - 2]) < 0)


def test_the_unit_of_intensity_does_not_matter() -> None:
    scan = grains(4)
    first, second = (
        choose_published(matrix_of(factor * scan), components_max=6, device="cpu", workers=1)
        for factor in (1.0, 64.0)
    )
    np.testing.assert_allclose(first.loss, second.loss, rtol=1e-5)
    assert first.k == second.k


# Bad input.


def test_a_loss_without_knee_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    scan = grains(4)

    def factors(_prepared: object, k: int, *_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(
            weight=np.zeros((len(scan) ** 2, k)), pattern=np.ones((k, SIDE * SIDE))
        )

    monkeypatch.setattr(published, "_factors", factors)
    with pytest.warns(InputWarning, match="without a knee"):
        choice = choose_published(matrix_of(scan))
    assert choice.knee == 3


def test_scans_that_leave_no_choice_are_told() -> None:
    with pytest.raises(InputError, match="3 positions of 256 pixels and at most 20"):
        choose_published(matrix_of(np.ones((1, 3, SIDE, SIDE))))
    with pytest.raises(InputError, match="all intensities of the scan are the same"):
        choose_published(matrix_of(np.ones((4, 4, SIDE, SIDE))))
    two = np.repeat(np.random.default_rng(0).random((2, 1, SIDE, SIDE)), 6, axis=1)
    with pytest.raises(InputError, match="2 independent components, of which no 12 can be made"):
        choose_published(matrix_of(two))
