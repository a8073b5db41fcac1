"""Sampled diffraction patterns with their peaks, and close-ups with position errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.view.pages import EDGE, Row, add_panel, equal_boxes, flat, letter, page, panel_letter
from phaseloom.view.panels import colour_bar, frame_image, map_height
from phaseloom.view.peaks.data import Columns, Registered
from phaseloom.view.scales import (
    FEWEST_COUNTS,
    count_ticks,
    counts_norm,
    round_between,
    significance_colours,
    significance_norm,
)
from phaseloom.view.style import (
    COUNTS_MAP,
    OUTSIDE_COLOUR,
    draw_bar,
    publication,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

WIDE = 3.3
ZOOM = 1.45
BEAM_COLOUR = "#D55E00"
POSITION_COLOUR = "#D55E00"


def pattern_figure(scan: Registered) -> Figure:
    """Patterns with the detected spots, and close-ups of spots by falling signal-to-noise ratio.

    The large pattern has the median number of spots (of the sampled ones with any); below are
    the one with the fewest, one between, and the one with the most. All share one scale of
    counts, white at the background's lower end and rising as asinh of counts per noise.

    Raises
    ------
    InputError
        When there are no sampled patterns.
    """
    if scan.sample is None or scan.sample["pattern"].size == 0:
        raise InputError("the result has no sampled patterns", "register the scan again")
    chosen = _choose(scan)
    patterns = [scan.sample["pattern"][i].to_numpy().astype(float) for i in chosen]
    places = [(int(scan.sample["y"][i]), int(scan.sample["x"][i])) for i in chosen]
    spots = [scan.spots(y, x) for y, x in places]
    with publication():
        rows, columns = patterns[0].shape
        aspect = columns / rows
        height = map_height(WIDE, aspect)
        zooms = _to_zoom(scan, places[0], spots[0])
        tall = max(height, 2 * ZOOM + 0.36) if zooms.size > 2 else height
        boxes = equal_boxes(3, columns=3)
        small = Row(
            boxes=boxes[: len(chosen) - 1], height=map_height(boxes[0][1], aspect), below=0.06
        )
        page_rows = [Row(boxes=((EDGE, WIDE),), height=tall, below=0.44)]
        figure, axes = page(page_rows + [small] * (len(chosen) > 1))
        norm = counts_norm(np.stack(patterns))
        found = np.concatenate([s["significance"] for s in spots])
        colours = significance_norm(found)
        panels = flat(axes)
        for panel, pattern, place, of in zip(panels, patterns, places, spots, strict=True):
            _draw_pattern(panel, pattern, place, scan=scan, spots=of, norm=norm, colours=colours)
        _bars(panels[0], norm, colours, with_spots=bool(np.isfinite(found).any()))
        close = []
        for index, spot in enumerate(zooms):
            place = divmod(index, 2)
            panel = add_panel(
                figure,
                left=EDGE + WIDE + 0.3 + place[1] * (ZOOM + 0.17),
                top=page_rows[0].above + place[0] * (ZOOM + 0.54),
                width=ZOOM,
                height=ZOOM,
            )
            _draw_zoom(panel, patterns[0], spots[0], int(spot), scan)
            close.append(panel)
        radius = _circle_radius(scan, patterns[0].shape)
        _number(panels[0], spots[0], zooms, radius=radius, columns=columns)
        letter([panels[0], *close, *panels[1:]])
        return figure


def _choose(scan: Registered) -> list[int]:
    """Samples to draw: median number of spots, then fewest, upper quartile, most."""
    assert scan.sample is not None
    y, x = (scan.sample[axis].to_numpy() for axis in ("y", "x"))
    counts = scan.count[y, x]
    order = np.argsort(counts, kind="stable")
    with_spots = order[counts[order] > 0]
    first = int(with_spots[with_spots.size // 2] if with_spots.size else order[0])
    others = [int(order[round(q * (order.size - 1))]) for q in (0.0, 0.75, 1.0)]
    return list(dict.fromkeys([first, *others]))


def _circle_radius(scan: Registered, shape: tuple[int, ...]) -> float:
    """Radius of the circles in px: beyond the spot, and wide enough to be seen on paper."""
    reach = 1.0 if scan.data.attrs.get("spot_shape") == "disk" else 2.5
    radius = reach * scan.spot_size + 1.0
    least = 0.018 * max(shape)
    return float(max(radius, least)) if np.isfinite(radius) else least


def _draw_pattern(
    axes: Axes,
    pattern: NDArray[np.float64],
    place: tuple[int, int],
    *,
    scan: Registered,
    spots: Columns,
    norm: Normalize,
    colours: Normalize,
) -> None:
    """A pattern with row 0 on top, a circle around every spot, a cross on the direct beam."""
    import matplotlib as mpl
    from matplotlib.collections import EllipseCollection
    from matplotlib.patheffects import withStroke

    rows, columns = pattern.shape
    axes.imshow(
        pattern,
        cmap=mpl.colormaps[COUNTS_MAP].with_extremes(bad=OUTSIDE_COLOUR),
        norm=norm,
        origin="upper",
        extent=(-0.5, columns - 0.5, rows - 0.5, -0.5),
        interpolation="auto",
        aspect="equal",
    )
    number = spots["row"].size
    frame_image(axes, title=f"y {place[0]}, x {place[1]}: {number} peak{'s' * (number != 1)}")
    size = np.full(number, 2 * _circle_radius(scan, pattern.shape))
    if number:
        circles = EllipseCollection(
            size,
            size,
            np.zeros(number),
            units="xy",
            offsets=np.column_stack([spots["column"], spots["row"]]),
            offset_transform=axes.transData,
            facecolors="none",
            edgecolors=significance_colours()(colours(np.nan_to_num(spots["significance"]))),
            linewidths=0.7,
        )
        circles.set_gid("peaks")
        axes.add_collection(circles, autolim=False)
    row, column = scan.centre(*place)
    if np.isfinite(row) and np.isfinite(column):
        axes.plot(
            [column],
            [row],
            marker="+",
            markersize=7,
            markeredgewidth=0.8,
            color=BEAM_COLOUR,
            path_effects=[withStroke(linewidth=1.8, foreground="white")],
            gid="direct-beam",
            scalex=False,
            scaley=False,
        )
    draw_bar(axes, (-0.5, columns - 0.5), units=scan.units, step=scan.pixel_size)


def _bars(axes: Axes, norm: Normalize, colours: Normalize, *, with_spots: bool) -> None:
    """Colour bars of counts and of the circles under the large pattern."""
    from matplotlib.cm import ScalarMappable

    half = WIDE / 2
    counts = ScalarMappable(norm=norm, cmap=COUNTS_MAP)
    unit, name = _unit_of_counts(float(norm.vmax or FEWEST_COUNTS))
    label = f"Counts ({name.strip()})" if name else "Counts"
    colour_bar(
        axes, counts, label, width=half - 0.1, ticks=count_ticks(norm), unit=unit, extend="max"
    )
    if with_spots:
        found = ScalarMappable(norm=colours, cmap=significance_colours())
        colour_bar(
            axes,
            found,
            "Intensity / standard error",
            width=half - 0.1,
            start=half + 0.1,
            ticks=round_between(float(colours.vmin or 1.0), float(colours.vmax or 10.0)),
        )


def _to_zoom(scan: Registered, place: tuple[int, int], spots: Columns) -> NDArray[np.intp]:
    """Up to four spots by falling signal-to-noise ratio, without the direct beam."""
    row, column = scan.centre(*place)
    away = np.hypot(spots["row"] - row, spots["column"] - column)
    usable = np.flatnonzero(
        np.isfinite(spots["significance"]) & ~(away < 3 * np.nan_to_num(scan.spot_size, nan=2.0))
    )
    order = usable[np.argsort(-spots["significance"][usable], kind="stable")]
    if order.size <= 4:
        return order
    return order[np.rint(np.linspace(0, order.size - 1, 4)).astype(np.intp)]


def _draw_zoom(
    axes: Axes, pattern: NDArray[np.float64], spots: Columns, spot: int, scan: Registered
) -> None:
    """Close-up of a spot on its own linear scale, with position and standard errors."""
    import matplotlib as mpl

    reach = 2.5 if scan.data.attrs.get("spot_shape") != "disk" else 1.6
    half = int(np.clip(np.ceil(reach * np.nan_to_num(scan.spot_size, nan=2.0)), 4, 20))
    row, column = spots["row"][spot], spots["column"][spot]
    top, left = round(row) - half, round(column) - half
    rows = slice(max(0, top), top + 2 * half + 1)
    columns = slice(max(0, left), left + 2 * half + 1)
    part = pattern[rows, columns]
    high, wide = part.shape
    usable = part[np.isfinite(part)]
    low = float(np.floor(np.percentile(usable, 1.0))) if usable.size else 0.0
    top_count = max(low + FEWEST_COUNTS / 2, float(usable.max(initial=0.0)))
    axes.imshow(
        part,
        cmap=mpl.colormaps[COUNTS_MAP].with_extremes(bad=OUTSIDE_COLOUR),
        vmin=low,
        vmax=top_count,
        origin="upper",
        extent=(
            columns.start - 0.5,
            columns.start + wide - 0.5,
            rows.start + high - 0.5,
            rows.start - 0.5,
        ),
        interpolation="nearest",
        aspect="equal",
    )
    counts, error = spots["intensity"][spot], spots["intensity_error"][spot]
    unit, name = _unit_of_counts(max(counts, top_count))
    digits = 0 if unit == 1 else 2
    frame_image(
        axes, title=f"{counts / unit:,.{digits}f} ± {error / unit:,.{digits}f} {name}counts"
    )
    inside = (np.abs(spots["row"] - row) < half + 0.5) & (
        np.abs(spots["column"] - column) < half + 0.5
    )
    bars = axes.errorbar(
        spots["column"][inside],
        spots["row"][inside],
        xerr=spots["column_error"][inside],
        yerr=spots["row_error"][inside],
        fmt=".",
        markersize=1.6,
        color=POSITION_COLOUR,
        elinewidth=0.9,
    )
    bars.set_label("position")
    axes.set_xlim(left - 0.5, left + 2 * half + 0.5)
    axes.set_ylim(top + 2 * half + 0.5, top - 0.5)
    axes.set_facecolor(OUTSIDE_COLOUR)
    axes.set_xlabel(
        f"y ± {spots['row_error'][spot]:#.2g}, x ± {spots['column_error'][spot]:#.2g} px\n"
        f"white {low / unit:.3g}, black {top_count / unit:.3g} {name}counts",
        fontsize=6,
    )


def _unit_of_counts(most: float) -> tuple[float, str]:
    """Unit of counts: one, or a power of ten from a million on."""
    if most < 1e6:
        return 1.0, ""
    power = 3 * int(np.log10(most) // 3)
    return 10.0**power, f"10$^{{{power}}}$ "


def _number(
    axes: Axes,
    spots: Columns,
    zooms: NDArray[np.intp],
    *,
    radius: float,
    columns: int,
) -> None:
    """Letters of the close-ups beside their circles."""
    from matplotlib.patheffects import withStroke

    # A letter is 6 points high: inside the panel also beside a spot on its upper or right edge.
    letters = columns * 7 / (72 * WIDE)
    for index, spot in enumerate(zooms):
        row, column = spots["row"][spot], spots["column"][spot]
        up = row > 0.75 * radius + letters
        right = column + 0.75 * radius + letters < columns
        axes.annotate(
            panel_letter(index + 1),
            (column + (0.75 if right else -0.75) * radius, row - (0.75 if up else -0.75) * radius),
            fontsize=6,
            fontweight="bold",
            va="bottom" if up else "top",
            ha="left" if right else "right",
            path_effects=[withStroke(linewidth=1.4, foreground="white")],
            gid="close-up",
        )
