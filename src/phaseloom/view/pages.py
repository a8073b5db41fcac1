"""Layout of figures: pages of panels in rows, and panel letters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

from phaseloom.view.style import PAGE_WIDTH, publication

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EDGE = 0.17
"""Inches between the edge of the page and its panels."""

GAP = 0.16
"""Inches between panels."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of panels on a page; lengths in inches.

    Parameters
    ----------
    boxes
        Left edge and width of every panel.
    height
        Of the panels.
    above, below
        Room for titles; for tick labels, axis labels and colour bars.
    """

    boxes: tuple[tuple[float, float], ...]
    height: float
    above: float = 0.24
    below: float = 0.08


def equal_boxes(
    count: int, *, columns: int, left: float = EDGE, right: float = EDGE, gap: float = GAP
) -> tuple[tuple[float, float], ...]:
    """``count`` boxes, as wide as ``columns`` of them side by side on the page."""
    width = (PAGE_WIDTH - left - right - gap * (columns - 1)) / columns
    return tuple((left + i * (width + gap), width) for i in range(count))


def page(
    rows: Sequence[Row], *, below: float = 0.0, width: float = PAGE_WIDTH
) -> tuple[Figure, list[list[Axes]]]:
    """An empty figure with panels in rows.

    Parameters
    ----------
    rows
        From top to bottom.
    below
        Room under the last row, for a legend; inches.
    width
        Of the figure, in inches.

    Returns
    -------
    figure : matplotlib.figure.Figure
    axes : list of list of matplotlib.axes.Axes
        Per row, per box.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height = sum(row.above + row.height + row.below for row in rows) + below
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    axes, top = [], height
    for row in rows:
        top -= row.above + row.height
        axes.append(
            [
                figure.add_axes((left / width, top / height, wide / width, row.height / height))
                for left, wide in row.boxes
            ]
        )
        top -= row.below
    return figure, axes


def letter(axes: Sequence[Axes]) -> None:
    """Label panels a, b, c … in bold before their titles."""
    for index, panel in enumerate(axes):
        title = panel.get_title(loc="left")
        panel.set_title(panel_letter(index), loc="left", fontsize=8, fontweight="bold")
        panel.annotate(
            title,
            (0.0, 1.0),
            xycoords="axes fraction",
            xytext=(9, 3),
            textcoords="offset points",
            annotation_clip=False,
            gid="title",
        )


def panel_letter(index: int) -> str:
    """Letter of a panel: a … z, then aa, ab …"""
    turn, place = divmod(index, len(ascii_lowercase))
    return (ascii_lowercase[turn - 1] if turn else "") + ascii_lowercase[place]


def add_panel(figure: Figure, *, left: float, top: float, width: float, height: float) -> Axes:
    """A panel beside the rows of a page; lengths in inches from the page's upper left corner."""
    across, down = figure.get_size_inches()
    return figure.add_axes(
        (left / across, 1 - (top + height) / down, width / across, height / down)
    )


def grid(
    count: int,
    boxes: tuple[tuple[float, float], ...],
    *,
    height: float,
    above: float = 0.24,
    below: float = 0.08,
) -> list[Row]:
    """Rows for ``count`` panels, as many in a row as there are boxes; the last may have fewer.

    Parameters
    ----------
    boxes
        Left edge and width of the panels of a full row, in inches.
    height, above, below
        Of every row: see :class:`Row`.
    """
    return [
        Row(boxes=boxes[: count - first], height=height, above=above, below=below)
        for first in range(0, count, len(boxes))
    ]


def flat(axes: Sequence[Sequence[Axes]]) -> list[Axes]:
    """All panels of a page, row by row."""
    return [panel for row in axes for panel in row]


def filled_page(
    rows: Sequence[Row], draws: Sequence[Callable[[Axes], Any]], *, below: float = 0.0
) -> Figure:
    """A page of panels, each drawn by its own function, with panel letters.

    Parameters
    ----------
    rows
        From top to bottom, with as many boxes together as there are functions.
    draws
        Functions that draw into the panels, row by row.
    below
        As for :func:`page`.
    """
    with publication():
        figure, axes = page(rows, below=below)
        panels = flat(axes)
        for panel, draw in zip(panels, draws, strict=True):
            draw(panel)
        letter(panels)
        return figure
