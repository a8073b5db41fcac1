"""Panels of the figures of components: label maps, patterns, matrices, legends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.view.components.data import COLOURS, Components, component_colours
from phaseloom.view.pages import EDGE
from phaseloom.view.panels import colour_bar, draw_map, frame_image, map_aspect
from phaseloom.view.parts import percent
from phaseloom.view.style import (
    DENSITY_MAP,
    PAGE_WIDTH,
    draw_bar,
    field_of_view,
    luminance,
    map_extent,
)

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

UNUSED_COLOUR = "#8F8F8F"
"""Of masked pixels of a pattern; this grey is not a colour of counts."""

STRETCHED = 5.0
"""Maps with a larger aspect ratio (or the inverse) are stretched to fill their panel."""

FINEST = 3
"""Least number of subpixels per side of a position, so that overlaps show two colours."""

INSIDE = PAGE_WIDTH - 2 * EDGE


def paint(
    label: NDArray[np.int64],
    colours: Sequence[str],
    *,
    partner: NDArray[np.int64] | None = None,
    faint: float = 0.0,
) -> NDArray[np.uint8]:
    """Colours of labels; an overlap shows its partner's colour below the diagonal.

    Parameters
    ----------
    label
        (y, x) component, −1 where there is nothing.
    colours
        Of the components.
    partner
        (y, x) second component, −1 where there is none.
    faint
        How far towards white, from 0 to 1.

    Returns
    -------
    numpy.ndarray
        (y, x, 4) uint8 RGBA, transparent where there is nothing; with ``partner`` a whole number
        of rows and columns for each of the map's.
    """
    from matplotlib.colors import to_rgba

    table = np.array([*(to_rgba(colour) for colour in colours), (1.0, 1.0, 1.0, 0.0)])
    table[:-1, :3] += faint * (1.0 - table[:-1, :3])
    codes = np.where(label < len(colours), label, -1)
    if partner is not None:
        fine = max(FINEST, min(9, 1200 // max(label.shape)))
        whole = np.ones((fine, fine), dtype=np.int64)
        below = np.kron(np.ones(label.shape, dtype=np.int64), np.tri(fine, dtype=np.int64)) > 0
        codes, second = np.kron(codes, whole), np.kron(partner, whole)
        codes = np.where(below & (second >= 0), second, codes)
    painted: NDArray[np.uint8] = np.rint(255 * table).astype(np.uint8)[codes]
    return painted


def draw_labels(
    axes: Axes,
    result: Components,
    *,
    title: str,
    label: NDArray[np.int64] | None = None,
    colours: Sequence[str] | None = None,
    overlaps: bool = False,
    faint: float = 0.0,
    lines: bool = True,
    numbers: bool = False,
    bar_colour: str | None = "black",
) -> None:
    """Draw a label map: positions without signal are hatched, boundaries of labels are lines.

    Parameters
    ----------
    label
        (y, x); None: of the components.
    colours
        Of the labels; None: of the components.
    overlaps
        Show the partner's colour where two components overlap.
    faint
        As for :func:`paint`.
    numbers
        Write the component into its largest region, where it has room.
    """
    shown = result.label if label is None else label
    names = result.colours if colours is None else colours
    partner = result.partner if overlaps and bool((result.partner >= 0).any()) else None
    _hatch(axes, result)
    image = paint(shown, names, partner=partner, faint=faint)
    draw_map(axes, image, result.data, title=title, bar_colour=bar_colour)
    stretch(axes, result.data)
    if lines:
        draw_edges(axes, result, shown)
    if numbers:
        for component, (x, y, room) in places(result, shown).items():
            if room * _points(axes, result) >= 4.5:
                dark = luminance(names[component]) > 0.3
                axes.text(
                    x, y, str(component), ha="center", va="center", fontsize=6,
                    color="black" if dark else "white", gid="component-number",
                )  # fmt: skip


def places(result: Components, label: NDArray[np.int64]) -> dict[int, tuple[float, float, float]]:
    """Innermost point of the largest region of every label: x, y, distance to its edge (positions).

    Parameters
    ----------
    label
        (y, x), −1 where there is nothing.
    """
    from scipy import ndimage

    left, right, bottom, top = map_extent(result.data)["extent"]
    rows, columns = label.shape
    innermost = {}
    for component in np.unique(label[label >= 0]).tolist():
        regions, _ = ndimage.label(label == component)
        largest = 1 + int(np.bincount(regions.ravel())[1:].argmax())
        depth = ndimage.distance_transform_edt(np.pad(regions == largest, 1))[1:-1, 1:-1]
        row, column = np.unravel_index(int(depth.argmax()), label.shape)
        x = left + (float(column) + 0.5) * (right - left) / columns
        y = top + (float(row) + 0.5) * (bottom - top) / rows
        innermost[int(component)] = (x, y, float(depth.max()) - 0.5)
    return innermost


def edges(label: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Pairs of neighbouring positions with different labels.

    Returns
    -------
    pairs : numpy.ndarray
        (n, 2, 2) row and column of the first, and of the second right of it or below it.
    beside : numpy.ndarray
        (n,) whether the second is right of the first.
    """
    place = np.moveaxis(np.indices(label.shape), 0, -1)
    across = np.stack([place[:, :-1], place[:, 1:]], axis=2).reshape(-1, 2, 2)
    down = np.stack([place[:-1], place[1:]], axis=2).reshape(-1, 2, 2)
    pairs = np.concatenate([across, down])
    beside = np.arange(len(pairs)) < len(across)
    one, other = label[pairs[:, 0, 0], pairs[:, 0, 1]], label[pairs[:, 1, 0], pairs[:, 1, 1]]
    parted = (one != other) & (one >= 0) & (other >= 0)
    return pairs[parted].astype(np.intp), beside[parted]


def draw_edges(axes: Axes, result: Components, label: NDArray[np.int64]) -> None:
    """Draw thin lines between positions of different labels."""
    from matplotlib.collections import LineCollection

    pairs, beside = edges(label)
    if not len(pairs):
        return
    left, right, bottom, top = map_extent(result.data)["extent"]
    rows, columns = label.shape
    high, wide = (bottom - top) / rows, (right - left) / columns
    row, column = pairs[:, 1].T
    start = np.stack([left + column * wide, top + row * high], axis=-1)
    along = np.where(beside[:, None], [0.0, high], [wide, 0.0])
    width = float(np.clip(_points(axes, result) / 6, 0.1, 0.5))
    lines = list(np.stack([start, start + along], axis=1))
    axes.add_collection(
        LineCollection(
            lines, colors="black", linewidths=width, capstyle="projecting", gid="label-boundary"
        ),
        autolim=False,
    )


def draw_pattern(axes: Axes, image: NDArray[np.float64], *, title: str, top: float) -> Any:
    """Draw a pattern on a square-root scale of its counts; masked pixels are grey.

    Parameters
    ----------
    image
        (ky, kx) counts.
    top
        Counts at the upper end of the colours.

    Returns
    -------
    matplotlib.image.AxesImage
        Of counts over ``top``.
    """
    import matplotlib as mpl
    from matplotlib.colors import PowerNorm

    drawn = axes.imshow(
        np.clip(image / top, 0.0, 1.0),
        cmap=mpl.colormaps[DENSITY_MAP].with_extremes(bad=UNUSED_COLOUR),
        norm=PowerNorm(0.5, 0.0, 1.0),
        origin="upper",
        interpolation="nearest",
        interpolation_stage="data",
    )
    frame_image(axes, title=title)
    return drawn


def draw_matrix(
    axes: Axes,
    values: NDArray[np.float64],
    *,
    cmap: str,
    limits: tuple[float, float],
    size: float | None = None,
    form: str = ".2f",
) -> Any:
    """Draw a square matrix with its numbers in the cells; cells that are NaN stay white.

    Parameters
    ----------
    limits
        Values at the ends of the colours.
    size
        Of the numbers, in points; None draws none.
    form
        Format of the numbers.

    Returns
    -------
    matplotlib.image.AxesImage
    """
    import matplotlib as mpl
    from matplotlib.colors import to_hex

    colours = mpl.colormaps[cmap]
    drawn = axes.imshow(
        values, cmap=colours.with_extremes(bad="white"), vmin=limits[0], vmax=limits[1],
        origin="upper", interpolation="nearest", aspect="equal",
    )  # fmt: skip
    for edge in axes.spines.values():
        edge.set_visible(True)
    for row, column in np.argwhere(np.isfinite(values)).tolist() if size else ():
        value = values[row, column]
        dark = luminance(to_hex(colours(drawn.norm(value)))) <= 0.3
        axes.text(
            column, row, f"{value:{form}}", ha="center", va="center", fontsize=size,
            color="white" if dark else "black",
        )  # fmt: skip
    return drawn


def colour_frame(axes: Axes, colour: str) -> None:
    """Frame a panel in the colour of its component."""
    for side in axes.spines.values():
        side.set_color(colour)
        side.set_linewidth(1.6)


def pattern_bar(axes: Axes, result: Components) -> None:
    """The scale bar of a pattern."""
    kx = result.data["kx"]
    step = abs(float(kx[-1] - kx[0])) / max(1, kx.size - 1)
    units = str(kx.attrs.get("units", "px"))
    draw_bar(axes, (-0.5, kx.size - 0.5), units=units, step=step or 1.0, colour="white")


def top_of(image: NDArray[np.float64]) -> float:
    """Counts at the upper end of the colour scale: the 99.9th percentile; never zero."""
    finite = image[np.isfinite(image)]
    top = float(np.percentile(finite, 99.9)) if finite.size else 1.0
    return top if top > 0 else 1.0


def short(counts: float) -> str:
    """Counts to three digits, without an exponent up to a million."""
    return f"{float(f'{counts:.3g}'):,.0f}" if 1000 <= counts < 1e6 else f"{counts:.3g}"


def counts_bar(axes: Axes, drawn: Any, *, start: float = 0.0, width: float = 1.7) -> None:
    """The colour bar of patterns, each scaled to the counts in its title."""
    ticks = [0.0, 0.1, 0.25, 0.5, 1.0]
    label = "Counts / upper limit (≤)"
    colour_bar(axes, drawn, label, width=width, start=start, ticks=ticks)


def stretch(axes: Axes, dataset: xr.Dataset) -> None:
    """Let a map of very large aspect ratio fill its panel."""
    if not 1 / STRETCHED <= map_aspect(dataset) <= STRETCHED:
        axes.set_aspect("auto")


def bounded_aspect(dataset: xr.Dataset) -> float:
    """Width over height of the panel for a map."""
    return float(np.clip(map_aspect(dataset), 1 / STRETCHED, STRETCHED))


def pattern_aspect(result: Components) -> float:
    """Width over height of a pattern."""
    return float(result.data.sizes["kx"] / result.data.sizes["ky"])


def component_handles(result: Components, *, overlaps: bool = True) -> list[Any]:
    """Legend entries: components with their percentages, overlaps, positions without signal."""
    from matplotlib.patches import Patch

    total = max(1, int(result.label.size))
    handles = []
    for number, (colour, positions) in enumerate(zip(result.colours, result.counts(), strict=True)):
        named = " (background)" * (number == result.background)
        text = f"{number}{named}, {percent(positions / total)}"
        handles.append(Patch(facecolor=colour, edgecolor="#666666", linewidth=0.4, label=text))
    overlap = float((result.partner >= 0).mean())
    if overlaps and overlap > 0:
        handles.append(
            Patch(
                facecolor="white", edgecolor="black", linewidth=0.4, gid="overlap",
                label=f"overlap (both colours), {percent(overlap)}",
            )
        )  # fmt: skip
    nothing = float((result.label < 0).mean())
    if nothing > 0:
        handles.append(nothing_handle(f"no signal, {percent(nothing)}"))
    return handles


def nothing_handle(text: str) -> Any:
    """Legend entry of positions without signal."""
    from matplotlib.patches import Patch

    return Patch(facecolor="white", edgecolor="#AAAAAA", hatch="//////", linewidth=0.4, label=text)


def extra_colours(k: int, more: int, background: int) -> list[str]:
    """Colours of the components, and of ``more`` labels that match none of them."""
    used = component_colours(k, background=background)
    start = k - (background >= 0)
    return used + [COLOURS[(start + index) % len(COLOURS)] for index in range(more)]


def _hatch(axes: Axes, result: Components) -> None:
    """Hatch the field, visible where the map is transparent."""
    from matplotlib.patches import Rectangle

    left, right, low, high = field_of_view(result.data)
    axes.add_patch(
        Rectangle(
            (left, low), right - left, high - low, facecolor="white", edgecolor="#BBBBBB",
            hatch="//////", linewidth=0.0, zorder=0,
        )
    )  # fmt: skip


def _points(axes: Axes, result: Components) -> float:
    """Side of a scan position on the page, in points."""
    figure: Any = axes.get_figure(root=True)
    axes.apply_aspect()
    box = axes.get_position()
    rows, columns = result.shape
    wide, high = box.width * figure.get_figwidth(), box.height * figure.get_figheight()
    return float(72 * min(wide / columns, high / rows))
