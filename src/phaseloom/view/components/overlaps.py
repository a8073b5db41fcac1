"""Overlaps of components: maps by threshold, example patterns, network of adjacent components."""

from __future__ import annotations

from functools import partial
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.view.components.data import Components
from phaseloom.view.components.panels import (
    INSIDE,
    bounded_aspect,
    colour_frame,
    counts_bar,
    draw_labels,
    paint,
    pattern_bar,
    places,
    stretch,
)
from phaseloom.view.components.patterns import draw_triple, triple_panels, triple_rows
from phaseloom.view.pages import EDGE, Row, add_panel, equal_boxes, flat, grid, page
from phaseloom.view.panels import draw_map
from phaseloom.view.parts import percent
from phaseloom.view.style import luminance, map_extent, publication

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OVERLAP_COLOUR = (0, 0, 0, 255)
UNKNOWN_COLOUR = (150, 150, 150, 255)
BARE_COLOUR = "#9A9A9A"
FAINT = 0.72
LISTED = 14
"""Largest number of pairs of components listed beside the network."""
THICKEST = 6.0
"""Line width of the pair with the most overlaps, in points."""


def overlap_figure(result: Components) -> Figure:
    """Overlap maps for rising thresholds, and example patterns beside their two components.

    Parameters
    ----------
    result
        With ``overlap`` (threshold, y, x), and ``overlap_example`` (example, ky, kx) where there
        are examples: ``example_y`` and ``example_x`` are indices
        of their position, ``example_component`` and ``example_partner`` its two components.

    Raises
    ------
    InputError
        When components overlap at no position.
    """
    if not has_overlaps(result):
        raise InputError("no position holds overlapping components")
    examples = result.data.sizes.get("example", 0) if "overlap_example" in result.data else 0
    thresholds = result.data["threshold"].to_numpy()
    aspect = bounded_aspect(result.data)
    columns = 5 if aspect <= 1.6 else 3 if aspect <= 3.2 else 2
    boxes = equal_boxes(columns, columns=columns, gap=0.1)
    height = min(boxes[0][1] / aspect, 2.6)
    rows = grid(len(thresholds), boxes, height=height)
    triples = triple_rows(result, examples, above=0.4)
    with publication():
        figure, axes = page([*rows, *triples], below=0.36 if examples else 0.02)
        panels = flat(axes[: len(rows)])
        for index, (panel, threshold) in enumerate(zip(panels, thresholds, strict=True)):
            _draw_threshold(panel, result, index, float(threshold))
        drawn: Any = None
        for index, three in enumerate(triple_panels(axes[len(rows) :])):
            drawn = _draw_example(three, result, index)
            _mark(panels[0], result, index)
        if examples:
            pattern_bar(axes[len(rows)][0], result)
            counts_bar(axes[-1][0], drawn)
        return figure


def network_figure(result: Components, network: pd.DataFrame) -> Figure:
    """Network of adjacent components; lines are thicker where more positions hold both.

    Parameters
    ----------
    network
        A row per pair that is adjacent or overlaps: ``first``, ``second`` component, ``overlap``
        (positions that hold both), ``length`` of the boundary in px.

    Raises
    ------
    InputError
        When no two components are adjacent.
    """
    if network.empty:
        raise InputError("no two components are adjacent")
    pairs = network.sort_values(["overlap", "length"], ascending=False, ignore_index=True)
    aspect = bounded_aspect(result.data)
    shown = pairs.head(LISTED)
    beside = aspect <= 2.5
    wide = min(4.4, 4.2 * aspect) if beside else INSIDE
    listed = 0.2 + 0.17 * len(shown)
    high = max(wide / aspect, listed) if beside else wide / aspect
    with publication():
        row = Row(boxes=((EDGE, wide),), height=high, below=0.52 if beside else 0.1)
        figure, axes = page([row], below=0.0 if beside else listed + 0.82)
        _draw_network(axes[0][0], result, pairs)
        left = EDGE + wide + 0.62 if beside else EDGE + 0.45
        place = add_panel(
            figure,
            left=left,
            top=row.above + (0.0 if beside else high + 0.4),
            width=min(2.6, INSIDE + EDGE - left - 0.3),
            height=listed,
        )
        _draw_pairs(place, result, shown, total=len(pairs))
        return figure


def has_overlaps(result: Components) -> bool:
    """Whether components overlap at any position, or that is not known."""
    return "overlap" in result.data and bool((result.data["overlap"] != 0).any())


def _steps(result: Components) -> tuple[float, float]:
    """Step of the scan along y and x."""
    left, right, bottom, top = map_extent(result.data)["extent"]
    rows, columns = result.shape
    return abs(bottom - top) / rows, abs(right - left) / columns


def _draw_threshold(axes: Axes, result: Components, index: int, threshold: float) -> None:
    """Overlaps at one threshold, black on the pale label map; grey where that is not known."""
    overlap = result.data["overlap"][index].to_numpy()
    image = paint(result.label, result.colours, faint=FAINT)
    image[overlap > 0] = OVERLAP_COLOUR
    image[overlap < 0] = UNKNOWN_COLOUR
    title = f"≥ {100 * threshold:.0f} %: {percent(float((overlap > 0).mean()))}"
    draw_map(axes, image, result.data, title=title, bar_colour="black" if index == 0 else None)
    stretch(axes, result.data)


def _draw_example(panels: Any, result: Components, index: int) -> Any:
    """Measured pattern of an overlap beside the patterns of its two components."""
    example = result.data.isel(example=index)
    one, other = int(example["example_component"]), int(example["example_partner"])
    images = [
        example["overlap_example"].to_numpy().astype(float),
        result.pattern("pattern", one),
        result.pattern("pattern", other),
    ]
    drawn = draw_triple(panels, images, names=("", f"component {one}", f"component {other}"))
    where = f"row {int(example['example_y'])}, column {int(example['example_x'])}"
    write = partial(
        panels[0].annotate, xy=(0.0, 1.0), xycoords="axes fraction", textcoords="offset points",
        annotation_clip=False,
    )  # fmt: skip
    write(ascii_uppercase[index], xytext=(0, 13), fontweight="bold")
    write(where, xytext=(11, 13))
    for axes, component in zip(panels[1:], (one, other), strict=True):
        colour_frame(axes, result.colours[component])
    return drawn


def _mark(axes: Axes, result: Components, index: int) -> None:
    """Mark the position of an example on the map by its letter."""
    from matplotlib.patheffects import withStroke

    x, y = _centre(result, index)
    axes.plot(
        x, y, "o", markersize=6, markerfacecolor="none", markeredgecolor="#D55E00",
        markeredgewidth=0.9, scalex=False, scaley=False,
    )  # fmt: skip
    left, right, bottom, top = map_extent(result.data)["extent"]
    aside = (-1.0 if x > (left + right) / 2 else 1.0, -1.0 if y < (top + bottom) / 2 else 1.0)
    axes.annotate(
        ascii_uppercase[index], (x, y), xytext=(6 * aside[0], 6 * aside[1]),
        textcoords="offset points", ha="center", va="center", fontsize=6, fontweight="bold",
        color="#D55E00", path_effects=[withStroke(linewidth=1.6, foreground="white")],
    )  # fmt: skip


def _centre(result: Components, index: int) -> tuple[float, float]:
    left, right, bottom, top = map_extent(result.data)["extent"]
    step_y, step_x = _steps(result)
    row, column = int(result.data["example_y"][index]), int(result.data["example_x"][index])
    return min(left, right) + (column + 0.5) * step_x, min(bottom, top) + (row + 0.5) * step_y


def _draw_network(axes: Axes, result: Components, pairs: pd.DataFrame) -> None:
    """Components at their largest regions, lines between adjacent ones."""
    from matplotlib.lines import Line2D

    draw_labels(axes, result, title="Adjacent components", faint=FAINT, lines=False)
    where = places(result, result.label)
    most = max(1, int(pairs["overlap"].max()))
    for pair in pairs.itertuples(index=False):
        (x, y, _), (u, v, _) = where[pair.first], where[pair.second]
        bare = pair.overlap == 0
        axes.plot(
            [x, u], [y, v], color=BARE_COLOUR if bare else _shade(pair.overlap, most),
            linestyle="--" if bare else "-", solid_capstyle="round",
            linewidth=0.6 if bare else _thickness(pair.overlap, most),
            zorder=2 + pair.overlap / (2 * most), scalex=False, scaley=False,
        )  # fmt: skip
    for component, (x, y, _) in where.items():
        if component == result.background:
            continue
        colour = result.colours[component]
        axes.plot(
            x, y, "o", markersize=10, color=colour, markeredgecolor="black", markeredgewidth=0.6,
            zorder=3, scalex=False, scaley=False, gid="node",
        )  # fmt: skip
        axes.text(
            x, y, str(component), ha="center", va="center_baseline", fontsize=6, zorder=4,
            color="black" if luminance(colour) > 0.3 else "white",
        )  # fmt: skip
    some = sorted({most, max(1, round(most / 4))}) if pairs["overlap"].any() else []
    handles = [
        Line2D(
            [], [], color=_shade(count, most), linewidth=_thickness(count, most),
            label=f"{count} overlap{'s' * (count != 1)}",
        )
        for count in some
    ]  # fmt: skip
    if (pairs["overlap"] == 0).any():
        handles.append(
            Line2D([], [], color=BARE_COLOUR, linestyle="--", linewidth=0.6, label="boundary only")
        )
    axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0.0, -0.01), ncols=3, fontsize=6,
        borderaxespad=0.1, handlelength=2.2,
    )  # fmt: skip


def _thickness(count: int, most: int) -> float:
    return max(0.5, THICKEST * count / most)


def _shade(count: int, most: int) -> str:
    """Grey level of a line: the fewer overlaps, the lighter."""
    return str(0.62 - 0.52 * min(1.0, 2 * count / most))


def _draw_pairs(axes: Axes, result: Components, shown: pd.DataFrame, *, total: int) -> None:
    """Bar chart of the overlaps of every pair, with the length of its boundary."""
    from matplotlib.ticker import MaxNLocator

    step_y, step_x = _steps(result)
    units = str(result.data["x"].attrs.get("units", "px"))
    if not np.isclose(step_y, step_x):
        step_x, units = 1.0, "px"
    place = np.arange(len(shown))
    counts: NDArray[np.int64] = shown["overlap"].to_numpy()
    axes.barh(place, counts, color="#555555", height=0.62)
    largest = max(1, int(counts.max()))
    for row, length in zip(place, step_x * shown["length"], strict=True):
        axes.annotate(
            f"{length:.3g} {units}", (counts[row], row), xytext=(3, 0),
            textcoords="offset points", va="center", fontsize=6, color="#444444",
        )  # fmt: skip
    axes.set_yticks(
        place, [f"{a} and {b}" for a, b in zip(shown["first"], shown["second"], strict=True)]
    )
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(0, 1.35 * largest)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_xlabel("Positions with overlap;\nnumbers: boundary length")
    part = f", {len(shown)} of {total}" if total > len(shown) else ""
    axes.set_title(f"Overlaps of pairs{part}", loc="left")
