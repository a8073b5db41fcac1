"""Figure of the quantities that need no references: edge jump, position, white line, centroid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phaseloom.errors import InputError
from phaseloom.view.pages import Row, equal_boxes, letter, page
from phaseloom.view.panels import colour_bar, draw_map, map_aspect, map_columns, map_height
from phaseloom.view.style import VALUE_MAP, publication

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = (
    ("edge_jump", "Edge jump", "Optical density"),
    ("edge_position", "Edge position", "Energy (eV)"),
    ("white_line", "White line", "Energy (eV)"),
    ("white_line_height", "White-line height", "Optical density"),
    ("centroid", "Centroid", "Energy (eV)"),
)


def edge_figure(dataset: xr.Dataset) -> Figure:
    """Maps of the edge's quantities, as far as they are determined, with their median errors.

    Parameters
    ----------
    dataset
        Any of ``edge_jump``, ``edge_position``, ``white_line``, ``white_line_height`` and
        ``centroid``, with ``NAME_error``.

    Raises
    ------
    InputError
        No pixel has any of them.
    """
    shown = [
        panel
        for panel in PANELS
        if panel[0] in dataset and bool(np.isfinite(dataset[panel[0]]).any())
    ]
    if not shown:
        raise InputError("the result has no quantities of an edge", "map the stack again")
    with publication():
        aspect = map_aspect(dataset)
        columns = min(map_columns(aspect), 3)
        boxes = equal_boxes(columns, columns=columns)
        height = map_height(boxes[0][1], aspect)
        figure, axes = page(
            [
                Row(boxes=boxes[: len(shown) - first][:columns], height=height, below=0.52)
                for first in range(0, len(shown), columns)
            ]
        )
        panels = [panel for row in axes for panel in row]
        for panel, (name, title, label) in zip(panels, shown, strict=True):
            _draw(panel, dataset, name, title, label)
        letter(panels)
        return figure


def _draw(axes: Axes, dataset: xr.Dataset, name: str, title: str, label: str) -> None:
    error = float(np.nanmedian(dataset[f"{name}_error"]))
    text = f"{error:.2g}" if error >= 1e-3 else f"{error:.0e}"
    unit = " eV" if "eV" in label else ""
    drawn = draw_map(
        axes,
        dataset[name].to_numpy(),
        dataset,
        title=f"{title}, ±{text}{unit}",
        cmap=VALUE_MAP,
        mask=dataset["mask"].to_numpy(),
    )
    colour_bar(axes, drawn, label)
