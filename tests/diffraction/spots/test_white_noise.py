"""Gain and floor where spots crowd, where counts are few, and where pixels share noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from phaseloom.diffraction.spots.noise_level import estimate_noise
from phaseloom.diffraction.spots.shape import SpotShape
from phaseloom.diffraction.spots.white_noise import leak, white_noise

SIZE = 192
MIDDLE = SIZE / 2 - 0.5
Y, X = np.indices((SIZE, SIZE)) - MIDDLE


def patterns(dose: float, spots: int, *, sigma: float = 2.0, n: int = 8, seed: int = 0):
    """Electrons: 30 % in the beam, 30 % in a background, 40 % in spots of very unequal strength."""
    rng = np.random.default_rng(seed)
    ground = np.exp(-np.hypot(Y, X) / 40) + 0.05
    beam = np.exp(-(Y**2 + X**2) / 2 / sigma**2)
    every = []
    for _ in range(n):
        mean = 0.3 * ground / ground.sum() + 0.3 * beam / beam.sum()
        part = rng.lognormal(0, 1, spots)
        for share, (row, column) in zip(part, rng.uniform(-90, 90, (spots, 2)), strict=True):
            spot = np.exp(-((Y - row) ** 2 + (X - column) ** 2) / 2 / sigma**2)
            mean = mean + 0.4 * share / part.sum() * spot / (2 * np.pi * sigma**2)
        every.append(rng.poisson(dose * mean))
    return np.array(every, np.float32), np.full((n, 2), MIDDLE)


@pytest.mark.parametrize("gain", [0.5, 1.0, 20.0])
@pytest.mark.parametrize("spots", [0, 200])
@pytest.mark.parametrize("dose", [500, 5e4, 5e6])
def test_gain_of_sparse_and_of_crowded_patterns(dose, spots, gain):
    counts, beam = patterns(dose, spots, n=12)
    found, floor = estimate_noise(gain * counts, beam, SpotShape(sigma=2.0), guard=8)
    assert found == pytest.approx(gain, rel=0.03)
    assert floor < 0.03 * gain**2 * counts.mean()


@pytest.mark.parametrize("shape", [SpotShape(sigma=1.0), SpotShape("disk", radius=6, edge=0.7)])
def test_spots_that_reach_high_frequencies(shape):
    rng = np.random.default_rng(3)
    mean = 0.5 + 300 * shape.profile(np.hypot(Y, X))
    for row, column in rng.uniform(-90, 90, (40, 2)):
        mean = mean + 100 * rng.lognormal() * shape.profile(np.hypot(Y - row, X - column))
    counts = rng.poisson(mean, (8, SIZE, SIZE)).astype(np.float32)
    gain, _ = estimate_noise(counts, np.full((8, 2), MIDDLE), shape, guard=10)
    assert gain == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize("blur", [0.4, 0.6, 1.0])
def test_noise_that_pixels_share_is_told(blur):
    counts, _ = patterns(3e5, 0)
    nothing = np.zeros(counts.shape, bool)
    assert white_noise(counts, nothing, nothing, 1.0, 0.0) is not None
    blurred = ndimage.gaussian_filter(counts, (0, blur, blur))
    assert white_noise(blurred, nothing, nothing, 1.0, 0.0) is None


def test_wide_spots_leave_nothing():
    wide, narrow = (leak(SpotShape(sigma=sigma)) for sigma in (2.0, 1.0))
    # fourth derivatives along both axes, in the middle (3 / sigma⁴)², of noise 70
    assert wide == pytest.approx((3 / 16) ** 2 / 70, rel=0.6)
    assert narrow > 20 * wide
    assert leak(SpotShape(sigma=2.0), lines=True) > 10 * wide
