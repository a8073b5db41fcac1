"""Label map of the components, with the weight map and the pattern of each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from phaseloom.view.components.data import Components
from phaseloom.view.components.panels import (
    INSIDE,
    bounded_aspect,
    colour_frame,
    component_handles,
    counts_bar,
    draw_labels,
    draw_pattern,
    pattern_aspect,
    pattern_bar,
    short,
    stretch,
    top_of,
)
from phaseloom.view.pages import EDGE, Row, flat, grid, page
from phaseloom.view.panels import colour_bar, draw_map
from phaseloom.view.parts import percent
from phaseloom.view.style import CONFIDENCE_MAP, PAGE_WIDTH, publication

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BESIDE = 1.8
"""Maps up to this aspect have their legend beside them, wider ones below."""

LABELS = 3.3
"""Largest side of the label map, in inches."""

NARROW = 0.72
"""Panels up to this width (inches) show no percentage beside their number."""

_BETWEEN, _WITHIN = 0.2, 0.05
_LEGEND_ROW = 0.15


def maps_figure(result: Components) -> Figure:
    """The label map with its legend, and weight map and pattern of every component.

    Weights share one colour scale; patterns are drawn on a square-root scale, each up to the counts
    above it.

    Returns
    -------
    matplotlib.figure.Figure
        y and ky grow downwards.
    """
    aspect = bounded_aspect(result.data)
    handles = component_handles(result)
    beside = aspect <= BESIDE
    wide = min(LABELS, LABELS * aspect) if beside else min(INSIDE, 2.6 * aspect)
    room = 0.08 if beside else 0.18 + _LEGEND_ROW * -(-len(handles) // 4)
    tall = max(wide / aspect, _LEGEND_ROW * -(-len(handles) // 2)) if beside else wide / aspect
    with publication():
        boxes, height = _cells(result, aspect)
        rows = grid(2 * result.k, boxes, height=height)
        rows[-1] = replace(rows[-1], below=0.46)
        figure, axes = page([Row(boxes=((EDGE, wide),), height=tall, below=room), *rows])
        draw_labels(
            axes[0][0], result, title="Component with the largest weight", overlaps=True,
            numbers=True,
        )  # fmt: skip
        _legend(figure, handles, beside=beside, wide=wide, tall=tall)
        panels = flat(axes[1:])
        drawn: Any = None
        for component in range(result.k):
            weight, pattern = panels[2 * component : 2 * component + 2]
            drawn = _draw_pair(weight, pattern, result, component)
        pattern_bar(panels[1], result)
        first = axes[-1][0]
        colour_bar(first, drawn[0], "Weight", width=1.7, extend="max", ticks=[0, 0.5, 1])
        counts_bar(first, drawn[1], start=2.1)
        return figure


def _cells(result: Components, aspect: float) -> tuple[tuple[tuple[float, float], ...], float]:
    """Boxes of a row of components, two panels each, and the height of the panels."""
    columns = min(2 if aspect > 2.5 else 4, 2 if result.k <= 4 else 3 if result.k <= 9 else 4)
    cell = (INSIDE - _BETWEEN * (columns - 1)) / columns
    other = pattern_aspect(result)
    height = min(1.6, (cell - _WITHIN) / (aspect + other))
    boxes = []
    for column in range(columns):
        left = EDGE + column * (cell + _BETWEEN)
        boxes += [(left, height * aspect), (left + height * aspect + _WITHIN, height * other)]
    return tuple(boxes), height


def _draw_pair(weight: Axes, pattern: Axes, result: Components, component: int) -> tuple[Any, Any]:
    """Weight map and pattern of a component, framed in its colour."""
    share = result.counts()[component] / max(1, result.label.size)
    heading = "background" if component == result.background else percent(share)
    values = result.data["weight"][component].to_numpy()
    mapped = draw_map(
        weight, values, result.data, title="", cmap=CONFIDENCE_MAP, limits=(0.0, 1.0),
        bar_colour=None,
    )  # fmt: skip
    stretch(weight, result.data)
    image = result.pattern("pattern", component)
    top = top_of(image)
    drawn = draw_pattern(pattern, image, title=f"≤ {short(top)}", top=top)
    weight.set_title(f"{component}", loc="left", fontweight="bold")
    if weight.get_position().width * PAGE_WIDTH > NARROW:
        weight.set_title(heading, loc="right", fontsize=6)
    for axes in (weight, pattern):
        colour_frame(axes, result.colours[component])
    return mapped, drawn


def _legend(figure: Figure, handles: list[Any], *, beside: bool, wide: float, tall: float) -> None:
    """The legend of the label map, beside it or below; overlaps have a swatch of two colours."""
    from matplotlib.legend_handler import HandlerPatch
    from matplotlib.patches import Patch, Polygon

    class Split(HandlerPatch):
        """A swatch of two colours, parted by its diagonal."""

        def create_artists(
            self, legend: Any, handle: Any, x: float, y: float, w: float, h: float,
            fontsize: float, trans: Any,
        ) -> list[Any]:  # fmt: skip
            if handle.get_gid() != "overlap":
                whole = super().create_artists(legend, handle, x, y, w, h, fontsize, trans)
                return list(whole)
            left, right, low, high = -x, w - x, -y, h - y
            above = [(left, high), (right, high), (right, low)]
            below = [(left, high), (left, low), (right, low)]
            return [
                Polygon(c, facecolor=colour, edgecolor="none", transform=trans)
                for c, colour in zip((above, below), ("#0072B2", "#E69F00"), strict=True)
            ]

    left = (EDGE + wide + 0.2) if beside else EDGE
    height = figure.get_figheight()
    # Beside the map the legend starts at its upper edge; 0.24 inch is the room for its title.
    top = height - 0.24 - (0.04 if beside else tall + 0.08)
    columns = (1 if len(handles) <= 12 else 2) if beside else 4
    figure.legend(
        handles=handles,
        handler_map={Patch: Split()},
        loc="upper left",
        bbox_to_anchor=(left / PAGE_WIDTH, top / height),
        ncols=columns,
        handlelength=1.1,
        handleheight=1.0,
        labelspacing=0.35,
        columnspacing=1.4,
        borderaxespad=0.0,
        borderpad=0.0,
    )
