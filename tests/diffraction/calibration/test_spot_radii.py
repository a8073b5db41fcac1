from __future__ import annotations

import numpy as np
import pytest

from phaseloom.crystals import gold, powder_rings
from phaseloom.diffraction.calibration.spot_radii import rough_pixel_sizes


@pytest.mark.parametrize("pixel_size", [0.008, 0.02])
def test_the_right_pixel_size_is_among_the_first(pixel_size):
    rng = np.random.default_rng(0)
    rings = powder_rings(gold(), 2.5)
    reach = 120 * pixel_size
    inside = rings.k < reach
    chance = rings.multiplicity[inside] / rings.multiplicity[inside].sum()
    k = rng.choice(rings.k[inside], 300, p=chance)
    radius = np.concatenate([k / pixel_size + rng.normal(0, 0.2, 300), rng.uniform(5, 120, 30)])
    sizes = rough_pixel_sizes(radius, rings.k)
    assert np.abs(np.log(sizes[:2] / pixel_size)).min() < 0.1
    assert 1 <= sizes.size <= 5


def test_without_spots_there_is_none():
    assert rough_pixel_sizes([], [0.4, 0.5]).size == 0
