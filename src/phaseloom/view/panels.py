"""The parts figures are made of: pages of panels, maps, colour bars, legends, result access."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from phaseloom.view.results import value_label, value_limits, value_map
from phaseloom.view.style import (
    CONFIDENCE_MAP,
    OUTSIDE_COLOUR,
    PAGE_WIDTH,
    VALUE_MAP,
    draw_scale_bar,
    field_of_view,
    map_extent,
    paint_labels,
    phase_handles,
    spread,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EDGE = 0.17
GAP = 0.16


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
    """``count`` boxes of the width that ``columns`` of them have on the page."""
    width = (PAGE_WIDTH - left - right - gap * (columns - 1)) / columns
    return tuple((left + i * (width + gap), width) for i in range(count))


def page(
    rows: Sequence[Row], *, below: float = 0.0, width: float = PAGE_WIDTH
) -> tuple[Figure, list[list[Axes]]]:
    """A figure with panels where the rows say.

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
    """Name panels a, b, c … in bold before their titles."""
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
    """A … z, then aa, ab …"""
    turn, place = divmod(index, len(ascii_lowercase))
    return (ascii_lowercase[turn - 1] if turn else "") + ascii_lowercase[place]


def map_aspect(dataset: xr.Dataset) -> float:
    """Width of the field over its height."""
    left, right, bottom, top = field_of_view(dataset)
    return (right - left) / (top - bottom)


def map_columns(aspect: float) -> int:
    """How many maps of this aspect make a readable row."""
    return 4 if aspect <= 1.6 else 3 if aspect <= 3.2 else 2


def map_height(width: float, aspect: float) -> float:
    """Height of a panel for a map, kept between a third and 1.6 of its width."""
    return float(width * np.clip(1.0 / aspect, 1 / 3, 1.6))


def draw_map(
    axes: Axes,
    values: ArrayLike,
    dataset: xr.Dataset,
    *,
    title: str,
    cmap: str | None = None,
    limits: tuple[float, float] | None = None,
    mask: ArrayLike | None = None,
    bar_colour: str | None = "black",
) -> Any:
    """Draw a map, y as the dataset says, with a scale bar; outside ``mask`` it is left light.

    Parameters
    ----------
    values
        (y, x), or (y, x, 3) RGB.
    limits
        Lower and upper end of the colours; None: of the finite values.
    bar_colour
        None draws no scale bar.

    Returns
    -------
    matplotlib.image.AxesImage
    """
    import matplotlib as mpl

    image = np.asarray(values)
    colours = None
    if image.ndim == 2:
        image = np.where(True if mask is None else np.asarray(mask), image, np.nan)
        colours = mpl.colormaps[cmap or "viridis"].with_extremes(bad=OUTSIDE_COLOUR)
        if limits is None:
            limits = spread(image)
    drawn = axes.imshow(
        image,
        cmap=colours,
        vmin=None if limits is None else limits[0],
        vmax=None if limits is None else limits[1],
        interpolation="nearest",
        aspect="equal",
        **map_extent(dataset),
    )
    frame_image(axes, title=title)
    if bar_colour is not None:
        draw_scale_bar(axes, dataset, colour=bar_colour)
    return drawn


def add_panel(figure: Figure, *, left: float, top: float, width: float, height: float) -> Axes:
    """A panel beside the rows of a page; lengths in inches from the page's upper left corner."""
    across, down = figure.get_size_inches()
    return figure.add_axes(
        (left / across, 1 - (top + height) / down, width / across, height / down)
    )


def frame_image(axes: Axes, *, title: str) -> None:
    """Give an image a thin frame and a title, without ticks."""
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(True)
        side.set_linewidth(0.4)
        side.set_color("#666666")
    axes.set_title(title, loc="left")
    axes.set_anchor("NW")


def draw_phases(
    axes: Axes,
    labels: ArrayLike,
    dataset: xr.Dataset,
    *,
    title: str,
    ambiguous: ArrayLike | None = None,
) -> Any:
    """Draw a phase map in the phases' colours; ambiguous pixels, when given, in grey."""
    image = paint_labels(labels, dataset.sizes["reference"], ambiguous=ambiguous)
    return draw_map(axes, image, dataset, title=title)


def colour_bar(
    axes: Axes,
    drawn: Any,
    label: str,
    *,
    width: float | None = None,
    start: float = 0.0,
    extend: str = "neither",
    ticks: Sequence[float] | None = None,
    unit: float = 1.0,
) -> None:
    """A thin horizontal colour bar under a panel.

    Parameters
    ----------
    drawn
        What the colours are of.
    width
        In inches; None: of the panel.
    start
        Distance from the left edge of the panel, in inches.
    extend
        "min" or "max" where values beyond that end are drawn in its colour.
    ticks
        Where numbers stand; None: about four round ones (a logarithmic scale has its own).
    unit
        What the numbers at the ticks are given in.
    """
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import MaxNLocator

    figure = axes.get_figure(root=True)
    assert figure is not None
    inch_x, inch_y = 1 / figure.get_figwidth(), 1 / figure.get_figheight()
    axes.apply_aspect()
    box = axes.get_position()
    plain = ticks is None and not isinstance(drawn.norm, LogNorm)
    thousands = plain and max(abs(drawn.norm.vmin), abs(drawn.norm.vmax)) >= 1e4
    if thousands:
        label = f"{label} (thousands)"
    # Inset a little, so that the end labels of neighbouring bars keep apart.
    left = box.x0 + (start + 0.06) * inch_x
    span = (box.width if width is None else width * inch_x) - 0.12 * inch_x
    bar = figure.add_axes((left, box.y0 - 0.12 * inch_y, span, 0.06 * inch_y))
    figure.colorbar(drawn, cax=bar, orientation="horizontal", label=label, extend=extend)
    if ticks is not None:
        bar.set_xticks(ticks, [f"{tick / unit:g}" for tick in ticks])
        bar.minorticks_off()
    elif plain:
        bar.xaxis.set_major_locator(MaxNLocator(4))
    if thousands:
        bar.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}")
    bar.tick_params(length=1.5, pad=1)
    bar.tick_params(which="minor", length=1)
    bar.xaxis.labelpad = 1
    for side in bar.spines.values():
        side.set_linewidth(0.4)


def phase_legend(
    figure: Figure,
    names: Sequence[str],
    *,
    ambiguous: bool = False,
    unknown: bool = False,
    columns: int | None = None,
) -> None:
    """The phases' legend along the lower edge, in the room :func:`legend_room` reserves."""
    handles = phase_handles(names, ambiguous=ambiguous, unknown=unknown)
    figure.legend(
        handles=handles,
        loc="lower center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=columns or _legend_columns([*names, *_extra(ambiguous, unknown)]),
        handlelength=1.0,
        handleheight=1.0,
        columnspacing=1.4,
        borderaxespad=0.2,
    )


def legend_room(names: Sequence[str], *, ambiguous: bool = False, unknown: bool = False) -> float:
    """Height in inches that the legend takes."""
    entries = [*names, *_extra(ambiguous, unknown)]
    return 0.14 + 0.155 * -(-len(entries) // _legend_columns(entries))


def _extra(ambiguous: bool, unknown: bool) -> list[str]:
    return ["ambiguous"] * ambiguous + ["unknown"] * unknown


def _legend_columns(entries: Sequence[str]) -> int:
    # 7 pt type is about 0.06 inch a letter; the swatch and the spaces take 0.35 inch.
    widest = max((len(name) for name in entries), default=1)
    return int(np.clip((PAGE_WIDTH - 0.2) // (0.06 * widest + 0.35), 1, len(entries)))


def draw_value(axes: Axes, dataset: xr.Dataset, limits: tuple[float, float] | None = None) -> Any:
    """Draw the value map with its colour bar; limits are those of the references' values."""
    values = value_map(dataset)
    drawn = draw_map(
        axes,
        np.full(dataset["mask"].shape, np.nan) if values is None else values.to_numpy(),
        dataset,
        title="Value" if values is None else _capitalised(values.attrs.get("long_name", "value")),
        cmap=VALUE_MAP,
        limits=value_limits([dataset]) if limits is None else limits,
        mask=dataset["mask"].to_numpy(),
    )
    colour_bar(axes, drawn, value_label(dataset))
    return drawn


def draw_confidence(axes: Axes, dataset: xr.Dataset) -> Any:
    """Draw the posterior probability of the likeliest phase, with its colour bar."""
    posterior = dataset["posterior"].to_numpy()
    drawn = draw_map(
        axes,
        posterior.max(axis=0),
        dataset,
        title="Confidence",
        cmap=CONFIDENCE_MAP,
        limits=(1.0 / posterior.shape[0], 1.0),
        mask=dataset["mask"].to_numpy(),
    )
    colour_bar(axes, drawn, "Posterior of the likeliest phase")
    return drawn


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]
