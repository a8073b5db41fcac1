"""Panels of orientation maps (phases, IPF colours, scalars, classes) and their pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.view.orientation.boundaries import draw_boundaries, line_handles
from phaseloom.view.orientation.data import Oriented
from phaseloom.view.orientation.keys import KEY_HEIGHT, distinct_keys, draw_key
from phaseloom.view.pages import EDGE, add_panel, equal_boxes, filled_page, grid
from phaseloom.view.panels import colour_bar, draw_classes, draw_map, map_aspect
from phaseloom.view.style import (
    OUTSIDE_COLOUR,
    PAGE_WIDTH,
    paint_labels,
    phase_handles,
    publication,
    spread,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

THINNEST = 0.25
"""Least height or width of a map in inches; narrower ones are stretched."""

_WIDEST_BAR = 2.2
_KEYS = 4
"""Largest number of colour keys side by side."""
_KEY_WIDTH = 1.2
_PLOTS = equal_boxes(3, columns=3, left=0.5, gap=0.6)


@dataclass(frozen=True)
class Panel:
    """A panel: the function that draws it, and the room it needs below, in inches."""

    draw: Callable[[Axes], None]
    below: float = 0.08


def scalar_panel(
    result: Oriented,
    values: NDArray[np.float64],
    *,
    title: str,
    label: str,
    cmap: str,
    limits: tuple[float, float] | None = None,
    extend: str = "neither",
) -> Panel:
    """One number per pixel with its colour bar; pixels without one stay light.

    Parameters
    ----------
    values
        (y, x), NaN where there is none.
    label
        Of the colour bar.
    limits
        Ends of the colours; None: from 0 to about the largest value.
    extend
        As for :func:`phaseloom.view.panels.colour_bar`.
    """
    ends = (0.0, spread(values)[1]) if limits is None else limits

    def draw(axes: Axes) -> None:
        wide = axes.get_position().width * PAGE_WIDTH
        drawn = draw_map(axes, values, result.data, title=title, cmap=cmap, limits=ends)
        _thicken(axes, result)
        colour_bar(axes, drawn, label, width=min(wide, _WIDEST_BAR), extend=extend)

    return Panel(draw, below=0.44)


def class_panel(
    result: Oriented,
    classes: NDArray[np.int64],
    entries: tuple[tuple[int, str, str], ...],
    *,
    title: str,
) -> Panel:
    """A map of named classes with their percentages; see :func:`draw_classes`."""

    def draw(axes: Axes) -> None:
        draw_classes(axes, classes, result.data, entries, title=title)
        _thicken(axes, result)

    present = sum(bool((classes == code).any()) for code, _, _ in entries)
    return Panel(draw, below=0.1 + 0.11 * present)


def phase_panel(result: Oriented, phase: NDArray[np.int64], *, title: str) -> Panel:
    """Phases (y, x) in their colours; unindexed pixels stay light."""
    return Panel(
        partial(_draw_image, result=result, image=paint_labels(phase, len(result.crystals)),
                title=title)
    )  # fmt: skip


def ipf_panel(
    result: Oriented, image: NDArray[np.uint8], *, title: str, lines: bool = True
) -> Panel:
    """Colours of orientations (y, x, 3), with the boundaries of the grains over them."""

    def draw(axes: Axes) -> None:
        _draw_image(axes, result=result, image=image, title=title)
        if lines:
            draw_boundaries(axes, result)

    return Panel(draw)


def map_page(
    result: Oriented,
    panels: Sequence[Panel],
    *,
    plots: Sequence[Callable[[Axes], None]] = (),
    bottom: float = 0.0,
) -> Figure:
    """A page of maps, in rows of a number that suits their aspect, with plots below.

    Parameters
    ----------
    plots
        What draws them, three in a row under the maps.
    bottom
        Room under the last row; inches.
    """
    boxes, height = _boxes(max(1, len(panels)), map_aspect(result.data))
    maps = grid(len(panels), boxes, height=height)
    for index, row in enumerate(maps):
        filling = panels[index * len(boxes) : (index + 1) * len(boxes)]
        maps[index] = replace(row, below=max(panel.below for panel in filling))
    return filled_page(
        maps + grid(len(plots), _PLOTS, height=1.4, above=0.28, below=0.42),
        [*(panel.draw for panel in panels), *plots],
        below=bottom,
    )


def keyed_page(result: Oriented, panels: Sequence[Panel]) -> Figure:
    """Maps with the phases, the boundaries and the colour keys under them."""
    keys = distinct_keys(result)
    rows = -(-len(keys) // _KEYS)
    columns = min(len(keys), _KEYS)
    shares = result.shares()
    labels = [f"{n}, {100 * s:.1f} %" for n, s in zip(result.names, shares, strict=True)]
    lines = line_handles(result)
    entries = len(labels) + (shares.sum() < 1) + len(lines)
    room = 0.12 + max(rows * KEY_HEIGHT, 0.14 * entries)
    figure = map_page(result, panels, bottom=room)
    with publication():
        height = figure.get_figheight()
        for index, (number, names) in enumerate(keys):
            row, column = divmod(index, columns)
            place = add_panel(
                figure,
                left=PAGE_WIDTH - EDGE - _KEY_WIDTH * (columns - column),
                top=height - room + 0.06 + row * KEY_HEIGHT,
                width=_KEY_WIDTH,
                height=KEY_HEIGHT,
            )
            draw_key(place, result.sectors[number], result.crystals[number], title=", ".join(names))
        handles = phase_handles(labels)
        if shares.sum() < 1:
            handles.append(_unindexed(1.0 - float(shares.sum())))
        figure.legend(
            handles=handles + lines,
            loc="upper left",
            bbox_to_anchor=(EDGE / PAGE_WIDTH, (room - 0.1) / height),
            handlelength=1.0,
            handleheight=1.0,
            labelspacing=0.3,
            borderaxespad=0.0,
            borderpad=0.0,
        )
    return figure


def _unindexed(share: float) -> Any:
    from matplotlib.patches import Patch

    return Patch(
        facecolor=OUTSIDE_COLOUR,
        edgecolor="#999999",
        linewidth=0.4,
        label=f"unindexed, {100 * share:.1f} %",
    )


def _draw_image(axes: Axes, *, result: Oriented, image: NDArray[np.uint8], title: str) -> None:
    draw_map(axes, image, result.data, title=title)
    _thicken(axes, result)


def _boxes(count: int, aspect: float) -> tuple[tuple[tuple[float, float], ...], float]:
    """Boxes of a row of maps, so that rows are evenly filled, and their height."""
    most, least = (4, 3) if aspect <= 1.6 else (2, 2) if aspect <= 8 else (1, 1)
    columns = -(-count // -(-count // most))
    boxes = equal_boxes(columns, columns=max(columns, least))
    return boxes, max(THINNEST, boxes[0][1] * min(1.0 / aspect, 2.2))


def _thicken(axes: Axes, result: Oriented) -> None:
    """Stretch a map of few rows or columns to the least height or width."""
    aspect = map_aspect(result.data)
    figure: Any = axes.get_figure(root=True)
    box = axes.get_position(original=True)
    wide, high = box.width * figure.get_figwidth(), box.height * figure.get_figheight()
    if wide / aspect < THINNEST:
        axes.set_aspect("auto")
    elif high * aspect < THINNEST:
        axes.set_aspect("auto")
        axes.set_box_aspect(high / THINNEST)
