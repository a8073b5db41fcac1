"""Similarity of the components to each other, and to the mean pattern of their label."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.view.components.data import METRICS, Components
from phaseloom.view.components.panels import draw_matrix
from phaseloom.view.pages import equal_boxes, filled_page, grid
from phaseloom.view.panels import colour_bar
from phaseloom.view.style import CORRELATION_MAP, spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEW = 6
"""Up to this number of components the four matrices share one row."""

LARGE = ((0.58, 2.5), (0.58 + 3.49, 2.5))
"""Left edge and width of the matrices of more components, in inches."""

CELL = 0.2
"""Smallest width of a cell that shows its number, in inches."""

WORST_COLOUR = "#D55E00"


def quality_figure(result: Components) -> Figure:
    """Similarity matrices of the components, and their similarity to the mean patterns.

    Parameters
    ----------
    result
        With ``similarity`` (metric, component, component_2) or ``agreement`` (metric, component).
        Bright is similar, whether the measure is high or low for similar patterns.

    Raises
    ------
    InputError
        When it has neither.
    """
    pairs, agreed = has_similarity(result), has_agreement(result)
    if not pairs and not agreed:
        raise InputError("the result has no similarities of its components", "cluster again")
    names = _measures(result)
    columns = 4 if result.k <= FEW else 2
    boxes = equal_boxes(4, columns=4, left=0.34, gap=0.34) if columns == 4 else LARGE
    side = boxes[0][1]
    rows = grid(len(names), boxes, height=side, above=0.3, below=0.52) * pairs
    draws = [partial(_draw_matrix, result=result, name=name, side=side) for name in names] * pairs
    wide = equal_boxes(2, columns=2, left=0.58, gap=0.64)
    rows += grid(len(names), wide, height=0.85, above=0.28, below=0.36) * agreed
    draws += [partial(_draw_agreement, result=result, name=name) for name in names] * agreed
    return filled_page(rows, draws)


def has_similarity(result: Components) -> bool:
    """Whether the components were compared with each other."""
    return result.k > 1 and result.has("similarity")


def has_agreement(result: Components) -> bool:
    """Whether the components were compared with measured mean patterns.

    A single component is fitted to be the mean of all: there is nothing to compare.
    """
    return result.k > 1 and result.has("agreement")


def worst_pair(result: Components, name: str) -> tuple[int, int, float] | None:
    """The most similar pair of components by a measure, and its value; None without any."""
    values = similarity(result, name)
    if not np.isfinite(values).any():
        return None
    sign = 1.0 if METRICS[name][2] else -1.0
    ranked = np.where(np.isfinite(values), sign * values, -np.inf)
    one, other = np.unravel_index(int(ranked.argmax()), ranked.shape)
    return min(int(one), int(other)), max(int(one), int(other)), float(values[one, other])


def similarity(result: Components, name: str) -> NDArray[np.float64]:
    """One measure between all components (component, component_2), NaN on the diagonal."""
    values = result.data["similarity"].sel(metric=name).to_numpy().astype(float).copy()
    np.fill_diagonal(values, np.nan)
    return values


def _measures(result: Components) -> list[str]:
    return [name for name in METRICS if name in result.metrics]


def _ends(values: NDArray[np.float64]) -> tuple[float, float]:
    """Smallest and largest value, widened by 5 % either way where all values are equal."""
    low, high = spread(values, low=0.0, high=100.0)
    finite = values[np.isfinite(values)]
    if finite.size and np.ptp(finite) == 0:
        reach = 0.05 * abs(float(finite[0])) or 0.05
        return float(finite[0]) - reach, float(finite[0]) + reach
    return low, high


def _draw_matrix(axes: Axes, *, result: Components, name: str, side: float) -> None:
    """Matrix of one measure between all components; the most similar pair is framed."""
    from matplotlib.patches import Rectangle

    values = similarity(result, name)
    short, unit, larger = METRICS[name]
    cell = side / result.k
    drawn = draw_matrix(
        axes,
        values,
        cmap=CORRELATION_MAP if larger else f"{CORRELATION_MAP}_r",
        limits=_ends(values),
        size=float(np.clip(cell * 72 / 3.4, 4.0, 6.5)) if cell >= CELL else None,
        form=".0f" if name == "psnr" and result.k > FEW else ".1f" if name == "psnr" else ".2f",
    )
    step = 1 if result.k <= 12 else 2
    ticks = np.arange(0, result.k, step)
    axes.set_xticks(ticks)
    axes.set_yticks(ticks)
    axes.tick_params(length=0, pad=2)
    worst = worst_pair(result, name)
    title = short
    if worst is not None:
        one, other, value = worst
        for x, y in ((one, other), (other, one)):
            axes.add_patch(
                Rectangle(
                    (x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor=WORST_COLOUR, linewidth=1.2,
                    gid="worst-pair",
                )
            )  # fmt: skip
        title += f": {one} and {other} most similar" if result.k > FEW else f": {one} and {other}"
        title += f" ({value:.3g}{f' {unit}' if unit else ''})"
    axes.set_title(title, loc="left")
    direction = "high: similar" if larger else "low: similar"
    colour_bar_below(axes, drawn, f"{short}{f' ({unit})' if unit else ''}, {direction}")


def colour_bar_below(axes: Axes, drawn: object, label: str) -> None:
    """A colour bar under the tick labels of a matrix."""
    from matplotlib.transforms import Bbox

    figure = axes.get_figure(root=True)
    assert figure is not None
    box = axes.get_position(original=True)
    down = 0.11 / figure.get_figheight()
    axes.set_position(Bbox.from_extents(box.x0, box.y0 - down, box.x1, box.y1 - down))
    colour_bar(axes, drawn, label)
    axes.set_position(box)


def _draw_agreement(axes: Axes, *, result: Components, name: str) -> None:
    """One measure between every component and the mean pattern of its label."""
    from matplotlib.ticker import MaxNLocator

    values = result.data["agreement"].sel(metric=name).to_numpy().astype(float)
    short, unit, larger = METRICS[name]
    number = np.arange(result.k)
    finite = np.isfinite(values)
    low, high = _ends(values)
    room = 0.2 * (high - low)
    foot = low - room if larger else high + room
    axes.vlines(number[finite], foot, values[finite], colors="#BBBBBB", linewidth=0.7, zorder=1)
    colours = [colour for colour, shown in zip(result.colours, finite, strict=True) if shown]
    axes.scatter(
        number[finite], values[finite], s=18, c=colours, edgecolors="#333333", linewidths=0.4,
        zorder=3,
    )  # fmt: skip
    title = f"{short} with the mean pattern"
    if finite.any():
        worst = int(np.nanargmin(values) if larger else np.nanargmax(values))
        title += f", least similar: {worst}"
        axes.scatter(
            worst, values[worst], s=52, facecolors="none", edgecolors=WORST_COLOUR,
            linewidths=1.0, zorder=4,
        )  # fmt: skip
    # Similar is up for every measure.
    axes.set_ylim(foot, high + room if larger else low - room)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.set_xlim(-0.7, result.k - 0.3)
    axes.set_xticks(number[:: 1 if result.k <= 12 else 2])
    axes.set_xlabel("Component")
    axes.set_ylabel(short + (f" ({unit})" if unit else ""))
    axes.set_title(title, loc="left")
