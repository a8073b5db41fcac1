"""Comparison of the labels and overlaps with the simulated ground truth."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.view.components.checks import matched
from phaseloom.view.components.data import Components
from phaseloom.view.components.panels import bounded_aspect, draw_labels, extra_colours, stretch
from phaseloom.view.pages import equal_boxes, filled_page, grid
from phaseloom.view.panels import draw_classes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VERDICTS = ((0, "same", "#D9D9D9"), (1, "different", "#D55E00"))
OVERLAPS = (
    (0, "none, none detected", "#E9E9E9"),
    (1, "detected", "#0072B2"),
    (2, "missed", "#E69F00"),
    (3, "falsely detected", "#D55E00"),
    (4, "not known", "#969696"),
)


def truth_figure(result: Components) -> Figure:
    """True grains beside the labels, right and wrong labels, detected and missed overlaps.

    Parameters
    ----------
    result
        With ``true_grain`` (y, x; −1 none), and ``true_overlap`` (y, x; the fraction of the second
        grain) where overlaps are known: there is one where it is at least the attribute
        ``overlap_ratio`` of the first grain's. A grain has the colour of the component with which
        it shares most positions; every component gives its colour to one grain.

    Raises
    ------
    InputError
        When the truth is not known.
    """
    if not has_truth(result):
        raise InputError("the true grains of the scan are not known")
    grain = true_components(result)
    more = max(0, int(grain.max(initial=-1)) + 1 - result.k)
    colours = extra_colours(result.k, more, result.background)
    label = np.where(result.label == result.background, -1, result.label)
    draws = [
        partial(draw_labels, result=result, label=grain, colours=colours, title="True grains"),
        partial(draw_labels, result=result, label=label, title="Labels", bar_colour=None),
        partial(
            draw_classes, classes=(grain != label).astype(np.int64), dataset=result.data,
            entries=VERDICTS, title="Labels and true grains",
        ),
    ]  # fmt: skip
    if "true_overlap" in result.data:
        second = result.data["true_overlap"].to_numpy()
        overlapping = (second > 0) & (second >= result.number("overlap_ratio") * (1.0 - second))
        detected = result.partner >= 0
        classes = np.where(overlapping, np.where(detected, 1, 2), np.where(detected, 3, 0))
        unknown = result.unknown_overlap
        classes = np.where(unknown, 4, classes).astype(np.int64)
        entries = OVERLAPS if unknown.any() else OVERLAPS[:4]
        draws.append(
            partial(
                draw_classes, classes=classes, dataset=result.data, entries=entries,
                title="Overlaps",
            )
        )  # fmt: skip
    aspect = bounded_aspect(result.data)
    columns = 4 if aspect <= 1.3 else 2
    boxes = equal_boxes(columns, columns=columns)
    height = min(boxes[0][1] / aspect, 3.0)
    figure = filled_page(grid(len(draws), boxes, height=height, below=0.66), draws)
    for panel in figure.axes[: len(draws)]:
        stretch(panel, result.data)
    return figure


def has_truth(result: Components) -> bool:
    """Whether the true grains of the scan are known."""
    return "true_grain" in result.data


def true_components(result: Components) -> NDArray[np.int64]:
    """True grains (y, x), numbered as the components with most shared positions; −1 none."""
    label = np.where(result.label == result.background, -1, result.label)
    return matched(result.data["true_grain"].to_numpy().astype(np.int64), label, result.k)
