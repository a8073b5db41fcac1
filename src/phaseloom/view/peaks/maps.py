"""Density of all peaks, maps over the scan, and displacement of the direct beam."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.view.pages import EDGE, GAP, Row, equal_boxes, filled_page, flat, grid, letter, page
from phaseloom.view.panels import (
    colour_bar,
    draw_map,
    map_aspect,
    map_columns,
    map_height,
    side_bar,
)
from phaseloom.view.peaks.data import Registered
from phaseloom.view.peaks.patterns import pattern_figure
from phaseloom.view.peaks.uncertainty import uncertainty_figure
from phaseloom.view.style import (
    DENSITY_MAP,
    DISPLACEMENT_MAP,
    PAGE_WIDTH,
    publication,
    spread,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "beam_figure",
    "density_figure",
    "maps_figure",
    "pattern_figure",
    "uncertainty_figure",
]

MAPS = (
    ("bright_field", "Bright field", "Counts", "gray"),
    ("spot_sum", "Sum of all spots", "Counts", "magma"),
    ("spot_count", "Number of spots", "Spots per pattern", "viridis"),
    ("noise", "Noise", "Counts per pixel", "cividis"),
    ("prominence", "Adaptive prominence", "Counts per pixel", "cividis"),
    ("averaged", "Patterns averaged", "Patterns", "viridis"),
)
"""Variable, title, label of the colour bar, colour map."""

LINE_COLOUR = "#0072B2"
MAP = 2.15
"""Width of the maps beside a scatter plot, in inches."""
LEAST_RESIDUAL = 5e-3
"""Smallest residual that is drawn, in pixels; below it are rounding errors."""


def density_figure(scan: Registered) -> Figure:
    """Histograms of the peaks of all patterns around the direct beam, and by their distance.

    Parameters
    ----------
    scan
        Its ``density`` holds ``density`` (ky, kx), and ``radial`` (k) if it is to be drawn.

    Returns
    -------
    matplotlib.figure.Figure
        ky grows downwards, as in the patterns; one logarithmic scale.

    Raises
    ------
    InputError
        When there is no density, or no peak in it.
    """
    if scan.density is None or not bool((scan.density["density"] > 0).any()):
        raise InputError("the result has no density of peaks", "register the scan again")
    with_radial = "radial" in scan.density
    wide = 3.9
    with publication():
        aspect = scan.density.sizes["kx"] / scan.density.sizes["ky"]
        rows = [Row(boxes=((0.55, wide),), height=map_height(wide, aspect), below=0.42)]
        if with_radial:
            rows.append(Row(boxes=((0.55, wide),), height=1.3, above=0.42, below=0.4))
        figure, axes = page(rows, width=5.35)
        _draw_density(axes[0][0], scan)
        if with_radial:
            _draw_radial(axes[1][0], scan)
        letter(flat(axes))
        return figure


def maps_figure(scan: Registered) -> Figure:
    """Bright field, spots, noise and virtual images over the scan; what there is of them.

    A scan of one row is drawn as curves.

    Raises
    ------
    InputError
        When there is none, or the scan is a single position.
    """
    entries = [
        (np.where(scan.unmeasured, np.nan, scan.data[name]), title, label, colours)
        for name, title, label, colours in MAPS
        if name in scan.data
    ]
    if scan.virtual is not None:
        entries += [
            (image.to_numpy(), str(image.attrs.get("long_name", name)), "Counts", "magma")
            for name, image in scan.virtual.data_vars.items()
            if image.dims == ("y", "x")
        ]
    if not entries or scan.data.sizes["y"] * scan.data.sizes["x"] < 2:
        raise InputError("the result has no maps of the scan")
    steps = [
        partial(_draw_scan, scan=scan, values=values, title=title, label=label, cmap=colours)
        for values, title, label, colours in entries
    ]
    return _map_page(scan, steps)


def beam_figure(scan: Registered) -> Figure:
    """Displacement of the direct beam on the detector over the scan (descan), and its residual.

    Parameters
    ----------
    scan
        With ``centre_y`` and ``centre_x`` (y, x).

    Returns
    -------
    matplotlib.figure.Figure
        Displacement from the median position, in pixels; the scatter of the measured positions
        about those used, or of those used about a plane unless they lie on one.

    Raises
    ------
    InputError
        When the positions are absent, or there are fewer than four.
    """
    if not {"centre_y", "centre_x"} <= set(scan.data.variables):
        raise InputError("the result has no positions of the direct beam", "register it again")
    rows, columns = scan.displacement()
    if np.isfinite(rows + columns).sum() < 4:
        raise InputError("there are too few positions of the direct beam to draw")
    most = float(np.nanmax(np.abs([rows, columns]))) or 1.0
    label = "Displacement (px)"
    limits = (-most, most)
    steps: list[Callable[[Axes], Any]] = [
        partial(
            _draw_scan, scan=scan, values=values, title=title, label=label,
            cmap=DISPLACEMENT_MAP, limits=limits,
        )
        for values, title in (
            (rows, "Direct beam, down (y)"),
            (columns, "Direct beam, right (x)"),
        )
    ]  # fmt: skip
    residual = scan.off_plane()
    if np.nanmax(np.abs(residual)) > LEAST_RESIDUAL:
        steps.append(partial(_draw_residual, residual=residual))
    last = PAGE_WIDTH - 3 * EDGE - 2 * MAP - GAP - 0.45
    boxes = ((EDGE, MAP), (EDGE + MAP + GAP, MAP), (PAGE_WIDTH - EDGE - last, last))
    return _map_page(scan, steps, boxes=boxes, least=1.3)


def _draw_density(axes: Axes, scan: Registered) -> None:
    import matplotlib as mpl
    from matplotlib.colors import LogNorm

    assert scan.density is not None
    density = scan.density["density"].transpose("ky", "kx")
    values = density.to_numpy().astype(float)
    positive = values[values > 0]
    low, high = float(positive.min()), float(np.percentile(positive, 99.95))
    colours = mpl.colormaps[DENSITY_MAP]
    top, bottom = _edges(density["ky"].to_numpy())
    left, right = _edges(density["kx"].to_numpy())
    drawn = axes.imshow(
        np.where(values > 0, values, np.nan),
        cmap=colours.with_extremes(bad=colours(0.0)),
        norm=LogNorm(low, max(high, 2 * low)),
        origin="upper",
        extent=(left, right, bottom, top),
        interpolation="auto",
        aspect="equal",
    )
    units = str(density["kx"].attrs.get("units", scan.units))
    axes.plot([0.0], [0.0], "+", color="white", markersize=6, markeredgewidth=0.7, gid="origin")
    # Only as far as there are peaks.
    rows, columns = (np.abs(density[axis].to_numpy()) for axis in ("ky", "kx"))
    reach = 1.05 * max(
        float(rows[(values > 0).any(axis=1)].max()), float(columns[(values > 0).any(axis=0)].max())
    )
    axes.set_xlim(max(left, -reach), min(right, reach))
    axes.set_ylim(min(bottom, reach), max(top, -reach))
    axes.set_xlabel(f"kx ({units})")
    axes.set_ylabel(f"ky ({units}), downwards")
    axes.set_title(f"Density of {scan.data.sizes['peak']:,} peaks", loc="left")
    axes.set_anchor("NW")
    side_bar(axes, drawn, label=_per_bin(density), gap=0.015, width=0.013, extend="max")


def _draw_radial(axes: Axes, scan: Registered) -> None:
    assert scan.density is not None
    radial = scan.density["radial"]
    k, values = radial["k"].to_numpy().astype(float), radial.to_numpy().astype(float)
    units = str(radial["k"].attrs.get("units", scan.units))
    axes.fill_between(k, values, step="mid", color=LINE_COLOUR, alpha=0.2, linewidth=0)
    axes.plot(k, values, drawstyle="steps-mid", color=LINE_COLOUR, linewidth=0.7)
    axes.set_xlim(0.0, min(float(k.max()), 1.05 * float(k[values > 0].max(initial=k.min()))))
    axes.set_ylim(0.0, None)
    axes.set_xlabel(f"k ({units})")
    axes.set_ylabel(_per_bin(radial))
    if units == "Å⁻¹":
        _spacing_axis(axes)


def _spacing_axis(axes: Axes) -> None:
    """Lattice spacings d = 1/k along the upper edge."""
    high = axes.get_xlim()[1]
    spacings = [
        d for d in (10.0, 5.0, 3.0, 2.0, 1.5, 1.2, 1.0, 0.8, 0.7, 0.6, 0.5, 0.4) if d * high > 1
    ]
    kept: list[float] = []
    for d in spacings:
        if not kept or 1 / d - 1 / kept[-1] > 0.07 * high:
            kept.append(d)
    upper = axes.secondary_xaxis("top")
    upper.set_xticks([1 / d for d in kept], [f"{d:g}" for d in kept])
    upper.tick_params(pad=1)
    upper.set_xlabel("d (Å)", loc="right", labelpad=2)


def _edges(centres: NDArray[np.float64]) -> tuple[float, float]:
    step = (centres[-1] - centres[0]) / (centres.size - 1) if centres.size > 1 else 1.0
    return float(centres[0] - step / 2), float(centres[-1] + step / 2)


def _per_bin(histogram: xr.DataArray) -> str:
    """Label of a histogram: peaks, or with the attribute ``units`` "counts" their intensity."""
    return "Counts per bin" if histogram.attrs.get("units") == "counts" else "Peaks per bin"


def _map_page(
    scan: Registered,
    steps: Sequence[Callable[[Axes], Any]],
    *,
    boxes: tuple[tuple[float, float], ...] | None = None,
    least: float = 0.0,
) -> Figure:
    """Panels of maps over the scan, at least so high, or of curves when it has one row."""
    if min(scan.shape) == 1:
        boxes, height = equal_boxes(2, columns=2, left=0.5, gap=0.6), 1.2
    else:
        aspect = map_aspect(scan.data)
        columns = map_columns(aspect)
        # Rows of about as many.
        columns = -(-len(steps) // -(-len(steps) // columns))
        boxes = boxes or equal_boxes(columns, columns=columns)
        # Every map has its colour bar right below: a flat scan needs no tall panels.
        height = max(least, boxes[0][1] * float(np.clip(1.0 / aspect, 0.08, 1.6)))
    return filled_page(grid(len(steps), boxes, height=height, below=0.44), steps)


def _draw_scan(
    axes: Axes,
    *,
    scan: Registered,
    values: NDArray[Any],
    title: str,
    label: str,
    cmap: str,
    limits: tuple[float, float] | None = None,
) -> None:
    values = values.astype(float)
    if min(scan.shape) == 1:
        axis = "x" if scan.shape[0] == 1 else "y"
        along = scan.data[axis]
        axes.plot(along.to_numpy(), values.ravel(), color=LINE_COLOUR, linewidth=0.8)
        axes.set_xlabel(f"{axis} ({along.attrs.get('units', 'px')})")
        axes.set_ylabel(label)
        axes.set_title(title, loc="left")
        return
    limits = spread(values) if limits is None else limits
    dark = cmap in ("gray", "magma")
    drawn = draw_map(
        axes,
        values,
        scan.data,
        title=title,
        cmap=cmap,
        limits=limits,
        bar_colour="white" if dark else "black",
    )
    colour_bar(axes, drawn, label)


def _draw_residual(axes: Axes, *, residual: NDArray[np.float64]) -> None:
    """Scatter plot of the residual displacement, thinned to five thousand positions."""
    from matplotlib.ticker import MaxNLocator

    points = residual.reshape(2, -1)
    points = points[:, np.isfinite(points).all(axis=0)]
    rms = np.sqrt((points**2).mean(axis=1))
    if points.shape[1] > 5000:
        chosen = np.random.default_rng(0).choice(points.shape[1], 5000, replace=False)
        points = points[:, chosen]
    axes.axhline(0.0, color="#BBBBBB", linewidth=0.6, zorder=0)
    axes.axvline(0.0, color="#BBBBBB", linewidth=0.6, zorder=0)
    axes.scatter(points[1], points[0], s=2, color=LINE_COLOUR, alpha=0.5, linewidths=0)
    reach = max(1.1 * float(np.percentile(np.abs(points), 99.5)), 1e-3)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(reach, -reach)
    axes.set_box_aspect(1)
    axes.set_anchor("NW")
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.set_xlabel("x (px)")
    axes.set_ylabel("y (px), downwards")
    axes.set_title(f"Residual, rms {np.hypot(*rms):.2g} px", loc="left")
