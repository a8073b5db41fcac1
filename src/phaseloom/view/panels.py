"""Contents of panels: maps, maps of classes, colour bars, legends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

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


def map_aspect(dataset: xr.Dataset) -> float:
    """Width of the field over its height."""
    left, right, bottom, top = field_of_view(dataset)
    return (right - left) / (top - bottom)


def map_columns(aspect: float) -> int:
    """Number of maps of this aspect ratio in a row."""
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
    """Draw a map with a scale bar; pixels outside ``mask`` are left light.

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


def draw_classes(
    axes: Axes,
    classes: NDArray[np.int64],
    dataset: xr.Dataset,
    entries: tuple[tuple[int, str, str], ...],
    *,
    title: str,
) -> None:
    """Draw a map of named classes with its legend below; negative classes stay light.

    Parameters
    ----------
    axes
        Panel with room below.
    classes
        (y, x).
    dataset
        With the coordinates of the map.
    entries
        Number, name and colour of every class.
    title
        Of the panel.
    """
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Patch

    table = np.array([*(to_rgb(colour) for _, _, colour in entries), to_rgb(OUTSIDE_COLOUR)])
    image = np.rint(table[np.clip(classes, -1, len(entries) - 1)] * 255).astype(np.uint8)
    draw_map(axes, image, dataset, title=title)
    total = int((classes >= 0).sum())
    present = [entry for entry in entries if (classes == entry[0]).any()]
    axes.legend(
        handles=[
            Patch(
                facecolor=colour,
                edgecolor="#999999",
                linewidth=0.4,
                label=f"{name}, {100 * (classes == code).sum() / total:.1f} %",
            )
            for code, name, colour in present
        ],
        loc="upper left",
        bbox_to_anchor=(0.0, -0.01),
        borderaxespad=0.1,
        handlelength=0.9,
        handleheight=0.9,
        labelspacing=0.25,
        fontsize=6,
    )


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


def side_bar(
    axes: Axes,
    drawn: Any,
    *,
    label: str = "",
    gap: float,
    width: float,
    extend: str = "neither",
) -> Axes:
    """A thin vertical colour bar at the right of a panel.

    Parameters
    ----------
    drawn
        What the colours are of.
    gap, width
        Between panel and bar, of the bar: in parts of the page's width.
    extend
        As for :func:`colour_bar`.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    axes.apply_aspect()
    box = axes.get_position()
    bar = figure.add_axes((box.x1 + gap, box.y0, width, box.height))
    figure.colorbar(drawn, cax=bar, label=label, extend=extend)
    bar.tick_params(length=1.5, pad=1)
    bar.tick_params(which="minor", length=1)
    return bar


def phase_legend(
    figure: Figure,
    names: Sequence[str],
    *,
    ambiguous: bool = False,
    unknown: bool = False,
    columns: int | None = None,
) -> None:
    """Legend of the phases along the lower edge, in the room :func:`legend_room` reserves."""
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
