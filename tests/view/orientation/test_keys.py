from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from phaseloom.crystals import gold, lithium_iron_phosphate
from phaseloom.crystals.structure import Site, crystal_from_sites
from phaseloom.view.orientation.data import oriented
from phaseloom.view.orientation.keys import corner_names, distinct_keys, draw_key, sector_outline
from phaseloom.view.orientation.sectors import from_stereographic, sector_of
from phaseloom.view.style import publication


def cell(space_group: int, *numbers: float) -> object:
    return crystal_from_sites("x", numbers, space_group, [Site("Au", (0.1, 0.2, 0.3))])


CRYSTALS = (
    gold(),
    lithium_iron_phosphate(),
    cell(2, 4, 5, 6, 80, 95, 105),
    cell(14, 4, 5, 6, 90, 110, 90),
    cell(147, 4, 4, 6, 90, 90, 120),
    cell(195, 5, 5, 5, 90, 90, 90),
)


@pytest.mark.parametrize("crystal", CRYSTALS)
def test_the_outline_goes_round_the_sector(crystal: object) -> None:
    sector = sector_of(crystal)
    outline = sector_outline(sector)
    np.testing.assert_allclose(outline[0], outline[-1], atol=1e-9)
    edge = from_stereographic(outline)
    assert (np.abs(edge @ sector.normals.T).min(axis=1) < 1e-6).all()
    middle = outline[:-1].mean(axis=0)
    just = 1e-3 * (outline - middle)
    assert sector.holds(from_stereographic(outline - just)).all()
    clear = (outline + just) ** 2
    beyond = from_stereographic((outline + just)[clear.sum(axis=1) < 1])
    assert not sector.holds(beyond).any()


@pytest.mark.parametrize("crystal", CRYSTALS)
def test_keys_are_legible(crystal: object, legible: Callable[[object], None]) -> None:
    with publication():
        figure = Figure(figsize=(1.2, 1.05))
        axes = figure.add_axes((0, 0, 1, 1))
        draw_key(axes, sector_of(crystal), crystal, title="Crystal")
    legible(figure)


def test_corners_are_named_as_everybody_names_them() -> None:
    assert corner_names(sector_of(gold()), gold()) == ["$[001]$", "$[101]$", "$[111]$"]


def test_phases_of_one_symmetry_share_a_key(make_orientation: Callable[..., xr.DataTree]) -> None:
    found = oriented(make_orientation((18, 24), ("Au", "LiFePO4", "FePO4")))
    assert distinct_keys(found) == [(0, ["Au"]), (1, ["LiFePO4", "FePO4"])]
