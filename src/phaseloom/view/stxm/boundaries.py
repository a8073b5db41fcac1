"""Figure of the boundary test: transition pixels against distance, data and optics alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phaseloom.errors import InputError
from phaseloom.view.pages import Row, equal_boxes, letter, page
from phaseloom.view.panels import draw_classes, map_aspect, map_height
from phaseloom.view.style import publication

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DATA, _OPTICS, _BEYOND = "#0072B2", "#999999", "#D55E00"
_AXIS = 0.42
"""Room for the labels of the vertical axis, in inches."""
PIXELS = ((0, "no transition", "#D9D9D9"), (1, "as the optics", _DATA), (2, "beyond", _BEYOND))


def has_boundary_test(dataset: xr.Dataset) -> bool:
    """Whether the result holds a boundary test with an answer."""
    return "boundary_share" in dataset and bool(np.isfinite(dataset["boundary_share"]).any())


def boundary_figure(dataset: xr.Dataset) -> Figure:
    """Share of transition pixels by distance from the phase boundary, and where they are.

    Parameters
    ----------
    dataset
        With the variables of :func:`phaseloom.stxm.boundaries.boundary_test.boundary_test`.

    Raises
    ------
    InputError
        When the test has no answer.
    """
    if not has_boundary_test(dataset):
        raise InputError("the result has no boundary test", "map the stack again")
    tested = np.isfinite(dataset["boundary_distance"].to_numpy())
    pixels = dataset["boundary_transition"].to_numpy().astype(np.int64)
    pixels += dataset["beyond_optics"].to_numpy()
    pixels[~tested] = -1
    with publication():
        boxes = equal_boxes(2, columns=2)
        height = map_height(boxes[1][1], map_aspect(dataset))
        left, width = boxes[0]
        boxes = ((left + _AXIS, width - _AXIS), boxes[1])
        figure, rows = page([Row(boxes=boxes, height=height, below=0.52)])
        panels = [panel for row in rows for panel in row]
        _draw_shares(panels[0], dataset)
        draw_classes(panels[1], pixels, dataset, PIXELS, title="Transition pixels")
        letter(panels)
        return figure


def _draw_shares(axes: Axes, dataset: xr.Dataset) -> None:
    distance = dataset["boundary_class"].to_numpy()
    data, low, high = (
        100 * dataset[f"boundary_share{end}"].to_numpy() for end in ("", "_low", "_high")
    )
    optics = [100 * dataset[f"optics_share{end}"].to_numpy() for end in ("", "_low", "_high")]
    axes.fill_between(distance, optics[1], optics[2], color=_OPTICS, alpha=0.4, linewidth=0)
    axes.plot(distance, optics[0], color=_OPTICS, label="optics alone")
    # A bootstrapped interval may miss its own mean by rounding.
    bars = np.maximum([data - low, high - data], 0.0)
    axes.errorbar(distance, data, yerr=bars, fmt="o", color=_DATA, markersize=3, label="data")
    labels = [str(d) for d in distance]
    labels[-1] = f"≥ {labels[-1]}"
    axes.set_xticks(distance, labels)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("Distance from the phase boundary (px)")
    axes.set_ylabel("Transition pixels (%)")
    axes.legend(frameon=False)
