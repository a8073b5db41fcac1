"""Point-spread function: its shape, and its measurement from edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from phaseloom.stxm.boundaries.point_spread import PointSpread, measure_point_spread


def disc(blur: float, *, fine: int = 4, size: int = 80, noise: float = 0.0):
    """Transmission of a disc blurred on a finer grid, sampled at the pixels; its mask."""
    n = size * fine
    y, x = np.mgrid[:n, :n]
    inside = np.hypot(y - n / 2 + 1, x - n / 2 - 2) < 0.35 * n
    image = ndimage.gaussian_filter(np.where(inside, 0.5, 1.0), blur * fine)
    seen = image.reshape(size, fine, size, fine)[:, 1:3, :, 1:3].mean(axis=(1, 3))
    seen += noise * np.random.default_rng(0).standard_normal(seen.shape)
    return seen, seen < 0.75


@pytest.mark.parametrize("blur", [0.6, 0.9, 1.4])
def test_the_width_of_a_gaussian_is_found(blur: float) -> None:
    found = measure_point_spread(*disc(blur, noise=0.003))
    assert found is not None
    # A sampled edge lacks the box of a pixel, which is taken off all the same.
    assert found.width == pytest.approx(np.sqrt(blur**2 - 1 / 12), rel=0.12)
    assert found.tails <= 0.2


def test_nothing_is_measured_without_edges() -> None:
    assert measure_point_spread(np.ones((40, 40)), np.zeros((40, 40), dtype=bool)) is None
    noise = np.random.default_rng(0).standard_normal((60, 60))
    assert measure_point_spread(noise, ndimage.gaussian_filter(noise, 6) > 0) is None


@settings(max_examples=20, deadline=None)
@given(width=st.floats(0.3, 3.0), tails=st.floats(0.0, 0.9))
def test_blurring_keeps_a_constant_and_the_range(width: float, tails: float) -> None:
    optics = PointSpread(width, 0.0, tails, 0.0, 0)
    np.testing.assert_allclose(optics.blurred(np.full((2, 20, 30), 0.7)), 0.7, rtol=1e-9)


@pytest.mark.parametrize("tails", [0.0, 0.5])
def test_a_straight_edge_has_the_spread_function_in_closed_form(tails: float) -> None:
    from scipy.special import ndtr

    width, n = 1.5, 400
    image = np.zeros((8, n))
    image[:, n // 2 :] = 1.0
    seen = PointSpread(width, 0.0, tails, 0.0, 0).blurred(image)[4]
    s = np.arange(n) - n // 2 + 0.5
    expected = (1 - tails) * ndtr(s / width) + tails * (0.5 + np.arctan(s / width) / np.pi)
    middle = slice(n // 2 - 10, n // 2 + 10)
    # The field ends: what the tails bring from far beyond it is missing.
    np.testing.assert_allclose(seen[middle], expected[middle], atol=0.01)
