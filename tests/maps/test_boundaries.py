"""Boundaries: their pixels, their lengths, the distance to them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from phaseloom.errors import InputError
from phaseloom.maps.boundaries import boundary_pixels, distance_to_boundary, interface_lengths

MAPS = hnp.arrays(
    np.int8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(-2, 2)
)


@given(MAPS)
@settings(max_examples=50, deadline=None)
def test_boundary_pixels_have_a_neighbour_of_another_phase(phase):
    found = boundary_pixels(phase)
    for y, x in np.ndindex(phase.shape):
        near = [
            phase[v, u]
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
            if 0 <= v < phase.shape[0] and 0 <= u < phase.shape[1]
        ]
        expected = phase[y, x] >= 0 and any(p >= 0 and p != phase[y, x] for p in near)
        assert found[y, x] == expected


def test_the_length_of_a_circle_is_found():
    y, x = np.mgrid[:200, :200] - 99.5
    phase = (np.hypot(y, x) < 80).astype(int)
    lengths = interface_lengths(phase, names=["out", "in"], pixel_size=0.05)
    assert lengths.loc["out", "in"] == pytest.approx(2 * np.pi * 80 * 0.05, rel=0.01)
    assert lengths.loc["in", "in"] == 0


def test_pixels_need_not_be_square():
    y, x = np.mgrid[:400, :200]
    phase = (np.hypot((y - 199.5) * 0.5, x - 99.5) < 80).astype(int)
    lengths = interface_lengths(phase, names=["out", "in"], pixel_size=(0.5, 1.0))
    assert lengths.loc["in", "out"] == pytest.approx(2 * np.pi * 80, rel=0.02)


@pytest.mark.parametrize("angle", np.deg2rad([0, 15, 22.5, 30, 45, 60, 90, 130]))
def test_straight_lines_are_within_a_few_percent(angle):
    y, x = np.mgrid[:301, :301] - 150.0
    phase = (x * np.sin(angle) - y * np.cos(angle) > 0.3).astype(int)
    phase[np.hypot(y, x) > 120] = -1  # the same length at every angle
    length = interface_lengths(phase, names=["a", "b"], pixel_size=1.0).loc["a", "b"]
    assert length == pytest.approx(240, rel=0.065)


@given(MAPS)
@settings(max_examples=50, deadline=None)
def test_lengths_are_symmetric_and_turn_with_the_map(phase):
    names = ["a", "b", "c"]
    lengths = interface_lengths(phase, names=names, pixel_size=2.0).to_numpy()
    np.testing.assert_allclose(lengths, lengths.T)
    assert (np.diag(lengths) == 0).all()
    turned = interface_lengths(np.rot90(phase), names=names, pixel_size=2.0).to_numpy()
    np.testing.assert_allclose(turned, lengths, atol=1e-12)


def test_distance_grows_away_from_the_boundary():
    phase = np.zeros((3, 9), dtype=int)
    phase[:, 4:] = 1
    phase[0] = -1
    distance = distance_to_boundary(phase, pixel_size=(1.0, 0.5))
    np.testing.assert_allclose(distance[2], [1.5, 1.0, 0.5, 0, 0, 0.5, 1.0, 1.5, 2.0])
    assert np.isnan(distance[0]).all()
    assert np.isnan(distance_to_boundary(np.zeros((3, 3), dtype=int), pixel_size=1.0)).all()


def test_bad_maps_get_one_clear_sentence():
    with pytest.raises(InputError, match="whole numbers"):
        boundary_pixels(np.zeros((2, 2)))
    with pytest.raises(InputError, match="has no name"):
        interface_lengths(np.ones((2, 2), dtype=int), names=["a"], pixel_size=1.0)
    with pytest.raises(InputError, match="pixel size"):
        interface_lengths(np.zeros((2, 2), dtype=int), names=["a"], pixel_size=0.0)
