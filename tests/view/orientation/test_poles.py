from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from orix.quaternion import Rotation

from phaseloom import InputError
from phaseloom.crystals import gold, lithium_iron_phosphate
from phaseloom.simulate import random_orientations
from phaseloom.view.orientation.data import oriented
from phaseloom.view.orientation.poles import (
    CELLS,
    density,
    equal_area,
    families,
    from_equal_area,
    poles,
    poles_figure,
    sector_density,
)
from phaseloom.view.orientation.sectors import rotated, sector_of

IDENTITY = np.array([[1.0, 0.0, 0.0, 0.0]])


def peak(values: np.ndarray) -> tuple[float, float]:
    """x and y of the highest density."""
    row, column = np.unravel_index(np.nanargmax(values), values.shape)
    return (column + 0.5) * 2 / CELLS - 1, (row + 0.5) * 2 / CELLS - 1


def test_poles_of_a_known_orientation_land_where_they_should() -> None:
    crystal = lithium_iron_phosphate()
    # With R = 1: a to the right, b down, c along the beam.
    np.testing.assert_allclose(np.abs(poles(crystal, (1, 0, 0), IDENTITY)), [[1, 0, 0]], atol=1e-9)
    np.testing.assert_allclose(poles(crystal, (0, 0, 1), IDENTITY), [[0, 0, 1]], atol=1e-9)
    # c tilted towards the lower right, twice as far down as right.
    tilted = np.array([1.0, 2.0, 2.0]) / 3.0
    axis = np.cross([0, 0, 1], tilted)
    turn = Rotation.from_axes_angles(axis, np.arccos(tilted[2]))
    c = poles(crystal, (0, 0, 1), (~turn).data)
    np.testing.assert_allclose(c, tilted[None], atol=1e-9)
    x, y = peak(density(c))
    assert x == pytest.approx(equal_area(tilted[None])[0, 0], abs=0.02)
    assert y == pytest.approx(2 * x, abs=0.03)  # rows of the picture grow downwards, as y does


def test_a_family_has_every_plane_once() -> None:
    assert len(poles(gold(), (0, 0, 1), IDENTITY)) == 3
    assert len(poles(gold(), (0, 1, 1), IDENTITY)) == 6
    assert len(poles(gold(), (1, 1, 1), IDENTITY)) == 4
    assert len(poles(lithium_iron_phosphate(), (1, 1, 1), IDENTITY)) == 4
    assert families("m-3m")[2] == (1, 1, 1)
    assert families("6/mmm")[0] == (0, 0, 1)


def test_the_projection_keeps_areas_and_goes_back() -> None:
    v = np.random.default_rng(0).standard_normal((4000, 3))
    v[:, 2] = np.abs(v[:, 2])
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    at = equal_area(v)
    np.testing.assert_allclose(from_equal_area(at), v, atol=1e-9)
    # Half of the directions lie inside half of the circle's area.
    assert np.mean((at**2).sum(axis=1) < 0.5) == pytest.approx(0.5, abs=0.03)


def test_random_directions_have_density_one_everywhere() -> None:
    turns = random_orientations((200, 200))["rotation"].to_numpy().reshape(-1, 4)
    for values in (
        density(poles(gold(), (1, 1, 1), turns)),
        sector_density(sector_of(gold()), rotated(turns, 2)),
    ):
        inside = values[np.isfinite(values)]
        assert inside.mean() == pytest.approx(1.0, abs=0.02)
        assert inside.std() < 0.15
        rim = values[CELLS // 2, [1, -2]]
        np.testing.assert_allclose(rim, 1.0, atol=0.4)  # the rim is no edge


def test_inverse_poles_lie_at_the_direction_along_the_axis() -> None:
    crystal = lithium_iron_phosphate()
    values = sector_density(sector_of(crystal), rotated(IDENTITY, 0))
    for x, y in ((1.0, 0.0), (-1.0, 0.0)):  # the a axis, and its opposite
        column = round((x + 1) / 2 * (CELLS - 1))
        row = round((y + 1) / 2 * (CELLS - 1))
        near = values[max(0, row - 3) : row + 4, max(0, column - 4) : column + 5]
        assert np.nanmax(near) > 50
    assert values[CELLS // 2, CELLS // 2] < 0.01


def test_a_map_without_solutions_has_no_poles(make_orientation: Callable[..., xr.DataTree]) -> None:
    with pytest.raises(InputError, match="no pixel is indexed"):
        poles_figure(oriented(make_orientation((18, 24), empty=0.99)))
