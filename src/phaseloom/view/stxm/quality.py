"""Quality figure of one phase map: residual, confidence, flags, mask."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.view.pages import Row, equal_boxes, letter, page
from phaseloom.view.panels import (
    colour_bar,
    draw_classes,
    draw_confidence,
    draw_map,
    map_aspect,
    map_columns,
    map_height,
)
from phaseloom.view.style import OUTSIDE_COLOUR, RESIDUAL_MAP, publication, spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REASONS = (
    (0, "particle", "#56B4E9"),
    (1, "empty or too thin", OUTSIDE_COLOUR),
    (2, "too thick, saturated", "#D55E00"),
    (3, "no common field", "#555555"),
    (4, "left out", "#BBBBBB"),
)
FLAGS = (
    (0, "as correlated", "#D9D9D9"),
    (1, "false assignment", "#D55E00"),
    (2, "transition", "#0072B2"),
    (3, "both", "#882255"),
)


def quality_figure(dataset: xr.Dataset) -> Figure:
    """Fit residual, confidence, flagged pixels, and why pixels were left out; what there is.

    Parameters
    ----------
    dataset
        Any of ``chi2``, ``posterior``, ``false_assignment`` and ``transition``, ``mask_reason``.

    Raises
    ------
    InputError
        When it has none of them.
    """
    mask = dataset["mask"].to_numpy()
    steps: list[Callable[[Axes], None]] = []
    if "chi2" in dataset:
        steps.append(lambda axes: _draw_chi2(axes, dataset, mask))
    if "posterior" in dataset:
        steps.append(lambda axes: draw_confidence(axes, dataset))
    if "false_assignment" in dataset or "transition" in dataset:
        flags = np.zeros(mask.shape, dtype=np.int64)
        for bit, name in ((1, "false_assignment"), (2, "transition")):
            if name in dataset:
                flags += bit * dataset[name].to_numpy().astype(np.int64)
        flags[~mask] = -1
        steps.append(lambda axes: draw_classes(axes, flags, dataset, FLAGS, title="Flags"))
    if "mask_reason" in dataset:
        reason = dataset["mask_reason"].to_numpy().astype(np.int64)
        steps.append(lambda axes: draw_classes(axes, reason, dataset, REASONS, title="Mask"))
    if not steps:
        raise InputError("the result has no quality maps", "map the stack again")
    with publication():
        aspect = map_aspect(dataset)
        columns = map_columns(aspect)
        boxes = equal_boxes(columns, columns=columns)
        height = map_height(boxes[0][1], aspect)
        figure, axes = page(
            [
                Row(boxes=boxes[: len(steps) - first][:columns], height=height, below=0.52)
                for first in range(0, len(steps), columns)
            ]
        )
        panels = [panel for row in axes for panel in row]
        for panel, draw in zip(panels, steps, strict=True):
            draw(panel)
        letter(panels)
        return figure


def _draw_chi2(axes: Axes, dataset: xr.Dataset, mask: NDArray[np.bool_]) -> None:
    chi2 = np.where(mask, dataset["chi2"].to_numpy(), np.nan)
    finite = chi2[np.isfinite(chi2)]
    median = f", median {np.median(finite):.2f}" if finite.size else ""
    limits = (0.0, spread(chi2, high=99.0)[1])
    drawn = draw_map(
        axes, chi2, dataset, title=f"Residual{median}", cmap=RESIDUAL_MAP, limits=limits, mask=mask
    )
    colour_bar(axes, drawn, "Reduced χ²")
