"""Residual of the fit, and comparison with the labels of other clustering methods."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.view.components.data import METHOD_NAMES, Components
from phaseloom.view.components.panels import (
    bounded_aspect,
    draw_labels,
    draw_matrix,
    extra_colours,
    stretch,
)
from phaseloom.view.pages import Row, equal_boxes, filled_page, flat, grid, letter, page
from phaseloom.view.panels import colour_bar, draw_map
from phaseloom.view.style import (
    CONFIDENCE_MAP,
    CORRELATION_MAP,
    RESIDUAL_MAP,
    publication,
    spread,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MATRIX = 2.6
"""Side of the agreement matrix, in inches."""


def residual_figure(result: Components) -> Figure:
    """Relative residual of the fit at every position, and sum of the weights.

    Parameters
    ----------
    result
        ``residual`` (y, x) is drawn where there is one.
    """
    weight = result.data["weight"].sum("component").to_numpy()
    total = np.where(result.label < 0, np.nan, weight)
    draws: list[Callable[[Axes], None]] = []
    if "residual" in result.data:
        values = result.data["residual"].to_numpy().astype(float)
        draws.append(
            partial(
                _draw_scalar, result=result, values=values,
                title=_with_median("Relative residual", values), label="‖v − wH‖ / ‖v‖",
                cmap=RESIDUAL_MAP, least=0.01,
            )
        )  # fmt: skip
    draws.append(
        partial(
            _draw_scalar, result=result, values=total, title=_with_median("Sum of weights", total),
            label="Sum of all weights", cmap=CONFIDENCE_MAP, least=0.1,
        )
    )  # fmt: skip
    aspect = bounded_aspect(result.data)
    columns = 2 if aspect <= 2.5 else 1
    boxes = equal_boxes(columns, columns=columns, gap=0.3)
    height = min(boxes[0][1] / aspect, 4.0)
    return filled_page(grid(len(draws), boxes, height=height, below=0.46), draws)


def methods_figure(result: Components) -> Figure:
    """Label maps of other methods beside that of the components, and their agreement.

    Parameters
    ----------
    result
        With the label maps of other methods, and ``agreement_of_methods`` (method, method_2), the
        adjusted Rand index. A label has the colour of the component with which it shares most
        positions; every component gives its colour to one label.

    Raises
    ------
    InputError
        When no other method was used.
    """
    if not result.others:
        raise InputError(
            "the result has no labels of other methods", "cluster with the comparison of methods"
        )
    maps = {"nmf": result.label, **result.others}
    with_matrix = "agreement_of_methods" in result.data
    aspect = bounded_aspect(result.data)
    columns = 3 if aspect <= 1.8 else 2
    boxes = equal_boxes(columns, columns=columns)
    height = min(boxes[0][1] / aspect, 3.0)
    rows = grid(len(maps), boxes, height=height)
    if with_matrix:
        rows.append(Row(boxes=((1.1, MATRIX),), height=MATRIX, above=0.34, below=0.34))
    with publication():
        figure, axes = page(rows)
        panels = flat(axes)
        for panel, (name, label) in zip(panels, maps.items(), strict=False):
            shown = label if name == "nmf" else matched(label, result.label, result.k)
            more = max(0, int(shown.max(initial=-1)) + 1 - result.k)
            count = np.unique(label[label >= 0]).size
            draw_labels(
                panel, result, label=shown, title=f"{METHOD_NAMES.get(name, name)}, {count} labels",
                colours=extra_colours(result.k, more, result.background),
                bar_colour="black" if name == "nmf" else None,
            )  # fmt: skip
        if with_matrix:
            _draw_agreement(panels[-1], result)
        letter(panels)
        return figure


def matched(label: NDArray[np.int64], reference: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Labels renumbered as the components with which they share most positions, one to one.

    Parameters
    ----------
    label, reference
        (y, x), −1 where there is nothing.
    k
        Number of components in ``reference``.

    Returns
    -------
    numpy.ndarray
        (y, x): the component, or k and more where no component is left for a label.
    """
    from scipy.optimize import linear_sum_assignment

    size = int(label.max(initial=-1)) + 1
    if size == 0:
        return label
    both = (label >= 0) & (reference >= 0)
    shared = np.bincount(label[both] * k + reference[both], minlength=size * k).reshape(size, k)
    row, column = linear_sum_assignment(-shared)
    number = np.full(size + 1, -1, dtype=np.int64)
    number[row] = column
    left = np.setdiff1d(np.unique(label[label >= 0]), row)
    number[left] = k + np.arange(left.size)
    return np.asarray(number[label])


def _with_median(title: str, values: NDArray[np.float64]) -> str:
    finite = values[np.isfinite(values)]
    return f"{title}, median {np.median(finite):.3g}" if finite.size else title


def _draw_scalar(
    axes: Axes,
    *,
    result: Components,
    values: NDArray[np.float64],
    title: str,
    label: str,
    cmap: str,
    least: float,
) -> None:
    """A map with its colour bar; the colour scale spans at least ``least``."""
    low, high = spread(values)
    margin = max(0.0, least - (high - low)) / 2
    limits = (max(0.0, low - margin), high + margin)
    drawn = draw_map(axes, values, result.data, title=title, cmap=cmap, limits=limits)
    stretch(axes, result.data)
    colour_bar(axes, drawn, label, width=2.2)


def _draw_agreement(axes: Axes, result: Components) -> None:
    """Matrix of the adjusted Rand index of every two methods."""
    values = result.data["agreement_of_methods"].to_numpy().astype(float)
    names = [METHOD_NAMES.get(str(n), str(n)) for n in result.data["method"].to_numpy()]
    draw_matrix(axes, values, cmap=CORRELATION_MAP, limits=(0.0, 1.0), size=6.5)
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks(range(len(names)), [name.replace("Gaussian ", "") for name in names])
    axes.tick_params(length=0)
    axes.set_title("Agreement of methods (adjusted Rand index)", loc="left")
