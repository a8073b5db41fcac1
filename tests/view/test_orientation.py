from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_rgb

from phaseloom import InputError
from phaseloom.view import orientation as draw
from phaseloom.view.indexed_patterns import indexed_patterns_figure
from phaseloom.view.orientation_statistics import statistics_figure
from phaseloom.view.orientation_truth import truth_figure
from phaseloom.view.oriented import DARKEST, oriented
from phaseloom.view.poles import poles_figure
from phaseloom.view.style import OUTSIDE_COLOUR, paint_labels

MakeOrientation = Callable[..., xr.DataTree]
Legible = Callable[[object], None]

FIGURES = (
    draw.ipf_figure,
    draw.quality_figure,
    draw.solutions_figure,
    draw.overlap_figure,
    poles_figure,
    statistics_figure,
    indexed_patterns_figure,
    truth_figure,
)
MAPS = (
    ((18, 24), ("Au", "LiFePO4")),
    ((5, 75), ("Au", "LiFePO4", "FePO4")),
    ((60, 5), ("Au",)),
    ((1, 40), ("LiFePO4",)),
)


@pytest.mark.parametrize(("shape", "names"), MAPS)
@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_is_legible(
    make_orientation: MakeOrientation,
    legible: Legible,
    figure: Callable[[xr.DataTree], object],
    shape: tuple[int, int],
    names: tuple[str, ...],
) -> None:
    legible(figure(make_orientation(shape, names)))
