from __future__ import annotations

import numpy as np
import pytest
from orix.plot import IPFColorKeyTSL
from orix.quaternion import Orientation, symmetry
from orix.vector import Vector3d

from phaseloom.crystals import Crystal, gold, lithium_iron_phosphate
from phaseloom.crystals.structure import Site, crystal_from_sites
from phaseloom.view.orientation.sectors import (
    direction_name,
    from_stereographic,
    indices_text,
    rotated,
    sector_of,
    stereographic,
)

CELLS = {
    2: (4, 5, 6, 80, 95, 105),
    14: (4, 5, 6, 90, 110, 90),
    62: (10.3, 6, 4.7, 90, 90, 90),
    83: (4, 4, 6, 90, 90, 90),
    123: (4, 4, 6, 90, 90, 90),
    147: (4, 4, 6, 90, 90, 120),
    149: (4, 4, 6, 90, 90, 120),
    150: (4, 4, 6, 90, 90, 120),
    175: (4, 4, 6, 90, 90, 120),
    191: (4, 4, 6, 90, 90, 120),
    195: (5, 5, 5, 90, 90, 90),
    225: (5, 5, 5, 90, 90, 90),
}
"""One space group of every Laue class, and both settings of −3m."""


def crystal_of(space_group: int) -> Crystal:
    site = Site("Au", (0.1, 0.2, 0.3))
    return crystal_from_sites(f"sg{space_group}", CELLS[space_group], space_group, [site])


def directions(n: int = 40) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, 3))


@pytest.mark.parametrize("space_group", CELLS)
def test_equivalent_directions_have_one_colour_in_every_setting(space_group: int) -> None:
    crystal = crystal_of(space_group)
    sector = sector_of(crystal)
    v = directions()
    inside, colours = sector.folded(v), sector.colours(v)
    assert sector.holds(inside).all()
    for operation in crystal.laue_rotations:
        for hand in (1.0, -1.0):
            copies = hand * v @ operation.T
            np.testing.assert_allclose(sector.folded(copies), inside, atol=1e-6)
            np.testing.assert_allclose(sector.colours(copies), colours, atol=1e-5)


def test_the_monoclinic_axis_is_b_not_c() -> None:
    crystal = crystal_of(14)
    sector = sector_of(crystal)
    b = crystal.lattice[1] / np.linalg.norm(crystal.lattice[1])
    np.testing.assert_allclose(sector.folded(b[None]), [[0, 0, 1]], atol=1e-9)
    # Turned by 180° about b equal, about c not: orix's own setting has it the other way round.
    v = np.array([[0.3, 0.5, 0.8]])
    np.testing.assert_allclose(sector.colours(v * [-1, 1, -1]), sector.colours(v), atol=1e-9)
    assert np.abs(sector.colours(v * [-1, -1, 1]) - sector.colours(v)).max() > 0.1
    own = IPFColorKeyTSL(symmetry.C2h).direction_color_key
    assert (
        np.abs(
            own.direction2color(Vector3d(v * [-1, 1, -1])) - own.direction2color(Vector3d(v))
        ).max()
        > 0.1
    )


def test_a_cubic_crystal_has_red_green_and_blue_corners() -> None:
    sector = sector_of(gold())
    np.testing.assert_allclose(
        sector.colours([[0, 0, 1], [1, 0, -1], [1, -1, 1], [-2, 0, 0]]),
        [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]],
        atol=0.01,
    )


@pytest.mark.parametrize("make", [gold, lithium_iron_phosphate])
def test_colours_are_those_of_orix(make: object) -> None:
    crystal = make()
    orientation = Orientation.random(30)
    orientation.symmetry = crystal.phase.point_group
    for axis, v in enumerate(np.eye(3)):
        expected = IPFColorKeyTSL(crystal.phase.point_group, Vector3d(v)).orientation2color(
            orientation
        )
        got = sector_of(crystal).colours(rotated(orientation.data, axis))
        np.testing.assert_allclose(got, expected, atol=1e-6)


def test_crystal_directions_along_the_axes_are_the_columns_of_the_rotation() -> None:
    from orix.quaternion import Rotation

    turn = Rotation.random(7)
    for axis, v in enumerate(np.eye(3)):
        np.testing.assert_allclose(rotated(turn.data, axis), (turn * Vector3d(v)).data, atol=1e-12)


def test_directions_are_named_in_the_setting_of_the_cell() -> None:
    crystal = crystal_of(14)
    assert direction_name(crystal, crystal.lattice[1]) == "$[010]$"
    assert direction_name(crystal, crystal.reciprocal[2]) == "$(001)$"
    assert direction_name(crystal, [0.123, 0.456, 0.789]) == ""
    assert direction_name(gold(), [1, -1, 0]) == r"$[1\overline{1}0]$"
    hexagonal = crystal_of(191)
    assert direction_name(hexagonal, hexagonal.lattice[0]) == r"$[2\overline{1}\overline{1}0]$"
    assert indices_text(hexagonal, (1, 0, 0), "{}") == r"$\{10\overline{1}0\}$"
    assert indices_text(gold(), (12, 0, 1), "()") == r"$(12\,0\,1)$"


def test_the_projection_goes_back() -> None:
    v = directions()
    v = np.where(v[:, 2:] < 0, -v, v)
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    np.testing.assert_allclose(from_stereographic(stereographic(v)), v, atol=1e-12)
    np.testing.assert_allclose(stereographic([[0, 1, 0]]), [[0, 1]])
