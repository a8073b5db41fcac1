"""Standard errors, intensities, signal-to-noise ratios and prominences of the peaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.view.pages import Row, flat, letter, page
from phaseloom.view.panels import side_bar
from phaseloom.view.peaks.data import Registered, significance
from phaseloom.view.style import publication

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BAR_COLOUR = "#56B4E9"
LIMIT_COLOUR = "#D55E00"
BINS = 80
LEAST_FOR_MEDIAN = 8
"""Least number of peaks in a bin whose median is drawn."""
MOST_FOR_MEDIAN = 500_000
"""Largest number of peaks for the line of medians; of more, every second, third … is used."""


def uncertainty_figure(scan: Registered) -> Figure:
    """Position error against intensity; histograms of intensity, signal-to-noise and prominence.

    Prominences are drawn over the adaptive prominence of their pattern, with a line at one.

    Returns
    -------
    matplotlib.figure.Figure
        Two-dimensional histogram with the median per intensity; histograms on logarithmic axes.

    Raises
    ------
    InputError
        When no peak has an intensity and errors.
    """
    if not {"intensity", "intensity_error", "ky_error", "kx_error"} <= set(scan.data.variables):
        raise InputError("the result has no errors of its peaks", "register the scan again")
    intensity = scan.data["intensity"].to_numpy().astype(float)
    error = scan.position_error()
    usable = (intensity > 0) & (error > 0) & np.isfinite(intensity) & np.isfinite(error)
    if not usable.any():
        raise InputError("the result has no peak to draw")
    ratio = _over_prominence(scan)
    boxes = ((0.5, 2.85), (4.15, 2.85))
    with publication():
        figure, axes = page(
            [
                Row(boxes=boxes, height=1.9, below=0.44),
                Row(boxes=boxes[: 2 if ratio.size else 1], height=1.4, below=0.4),
            ]
        )
        panels = flat(axes)
        _draw_errors(panels[0], intensity[usable], error[usable])
        _draw_histogram(panels[1], intensity[usable], "Intensity (counts)", title="Intensities")
        sure = significance(scan.data)
        middle = f", median {np.nanmedian(sure):.3g}" if np.isfinite(sure).any() else ""
        _draw_histogram(
            panels[2], sure, "Intensity / standard error", title=f"Signal-to-noise ratio{middle}"
        )
        if ratio.size:
            _draw_histogram(
                panels[3],
                ratio,
                "Prominence / adaptive prominence of the pattern",
                title="Prominence",
            )
            panels[3].axvline(1.0, color=LIMIT_COLOUR, linewidth=0.9, gid="threshold")
        letter(panels)
        return figure


def medians(
    values: NDArray[np.float64], of: NDArray[np.float64], edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Median of ``values`` per bin of ``of``; NaN in a bin of fewer than eight.

    Parameters
    ----------
    values, of
        (n,), finite.
    edges
        (bins + 1,) ascending.
    """
    bins = np.digitize(of, edges)
    order = np.lexsort((values, bins))
    first = np.searchsorted(bins[order], np.arange(1, edges.size + 1))
    count = np.diff(first)
    ordered = values[order]
    middle = np.full(count.size, np.nan)
    enough = count >= LEAST_FOR_MEDIAN
    start, number = first[:-1][enough], count[enough]
    middle[enough] = (ordered[start + (number - 1) // 2] + ordered[start + number // 2]) / 2
    return middle


def _over_prominence(scan: Registered) -> NDArray[np.float64]:
    """Prominence of every peak over the limit of its pattern; empty when one is not known."""
    if "peak_prominence" not in scan.data or "prominence" not in scan.data:
        return np.empty(0)
    limit = np.repeat(scan.data["prominence"].to_numpy().ravel(), scan.count.ravel())
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = scan.data["peak_prominence"].to_numpy().astype(float) / limit
    return np.asarray(ratio[np.isfinite(ratio) & (ratio > 0)])


def _log_edges(values: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    low, high = np.percentile(values, [0.05, 99.95])
    return np.geomspace(low / 1.05, high * 1.05, bins + 1)


def _draw_errors(axes: Axes, intensity: NDArray[np.float64], error: NDArray[np.float64]) -> None:
    import matplotlib as mpl
    from matplotlib.colors import LogNorm

    across, up = _log_edges(intensity, BINS), _log_edges(error, BINS)
    # Logarithms in even bins: tens of millions of peaks are counted in seconds.
    count, _, _ = np.histogram2d(
        np.log(intensity), np.log(error), bins=BINS, range=np.log([across[[0, -1]], up[[0, -1]]])
    )
    thin = slice(None, None, 1 + intensity.size // MOST_FOR_MEDIAN)
    drawn = axes.pcolormesh(
        across,
        up,
        np.where(count > 0, count, np.nan).T,
        norm=LogNorm(1, max(10.0, count.max())),
        cmap=mpl.colormaps["viridis"],
        rasterized=True,
    )
    coarse = across[:: BINS // 20]
    axes.plot(
        np.sqrt(coarse[1:] * coarse[:-1]),
        medians(error[thin], intensity[thin], coarse),
        color=LIMIT_COLOUR,
        linewidth=1.2,
        label="median",
        gid="median",
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("Intensity (counts)")
    axes.set_ylabel("Standard error of position (px)")
    axes.set_title(f"Position error, median {np.median(error):.2g} px", loc="left")
    axes.legend(loc="upper right", borderaxespad=0.2)
    _plain_ticks(axes)
    bar = side_bar(axes, drawn, gap=0.008, width=0.009)
    bar.set_title("Peaks", fontsize=6, loc="left", pad=6)


def _draw_histogram(axes: Axes, values: NDArray[np.float64], label: str, *, title: str) -> None:
    usable = values[np.isfinite(values) & (values > 0)]
    axes.set_title(title, loc="left")
    axes.set_xlabel(label)
    axes.set_ylabel("Peaks")
    if usable.size == 0:
        return
    edges = _log_edges(usable, BINS)
    count, _ = np.histogram(np.log(usable), bins=BINS, range=np.log(edges[[0, -1]]).tolist())
    axes.bar(edges[:-1], count, np.diff(edges), align="edge", color=BAR_COLOUR, linewidth=0)
    axes.set_xscale("log")
    _plain_ticks(axes)


def _short(value: float) -> str:
    if value < 1e5:
        return f"{value:g}"
    power = int(np.floor(np.log10(value) + 1e-9))
    mantissa = f"{value / 10**power:g}"
    return rf"$10^{{{power}}}$" if mantissa == "1" else rf"${mantissa}\,·\,10^{{{power}}}$"


def _plain_ticks(axes: Axes) -> None:
    """Numbers of logarithmic axes without exponents where they are short enough."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for axis, scale in ((axes.xaxis, axes.get_xscale()), (axes.yaxis, axes.get_yscale())):
        if scale != "log":
            continue
        low, high = axis.get_view_interval()
        few = np.log10(high / low) < 2.2
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
        axis.set_major_formatter(FuncFormatter(lambda v, _: _short(v)))
        axis.set_minor_formatter(NullFormatter())
