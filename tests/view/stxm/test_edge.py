"""The figure of the edge's quantities."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from reading import titles

from phaseloom import InputError
from phaseloom.view.results import numbers
from phaseloom.view.stxm.edge import PANELS, edge_figure

Make = Callable[..., xr.Dataset]


def with_edge(dataset: xr.Dataset) -> xr.Dataset:
    mask = dataset["mask"].to_numpy()
    ramp = np.where(mask, np.linspace(0, 1, mask.shape[1]), np.nan)
    return dataset.assign(
        {name: (("y", "x"), 500 + ramp) for name, *_ in PANELS}
        | {f"{name}_error": (("y", "x"), 0.06 + 0 * ramp) for name, *_ in PANELS}
    )


def test_every_quantity_is_drawn_with_its_error(
    make_result: Make, legible: Callable[[object], None]
) -> None:
    figure = edge_figure(with_edge(make_result()))
    legible(figure)
    assert "Edge position, ±0.06 eV" in titles(figure)
    assert len([axes for axes in figure.axes if axes.images]) == 5
    units = {axes.get_xlabel() for axes in figure.axes}
    assert {"Energy (eV)", "Optical density"} <= units


def test_what_is_nowhere_determined_is_left_out(make_result: Make) -> None:
    dataset = with_edge(make_result())
    dataset["white_line"] = dataset["white_line"] * np.nan
    shown = titles(edge_figure(dataset))
    assert not any(title.startswith("White line,") for title in shown)
    with pytest.raises(InputError, match="no quantities"):
        edge_figure(make_result())


def test_the_numbers_say_the_edge_position_or_why_there_is_none(make_result: Make) -> None:
    shown = numbers(with_edge(make_result()))
    assert shown["Edge position, median pixel"] == "500.49 ± 0.06 eV in 100 % of the pixels"
    nowhere = with_edge(make_result())
    nowhere["edge_position"] = nowhere["edge_position"] * np.nan
    assert numbers(nowhere)["Edge position, median pixel"] == "determined in no pixel"
    none = make_result().assign_attrs(edge_undetermined="no energy lies before the edge")
    assert numbers(none)["Edge position, white line"] == "none: no energy lies before the edge"
