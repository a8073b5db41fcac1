"""Figure of a calibration: rings or spots it was measured on, and how far off they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from phaseloom.view.style import publication

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

_SIZE = 7.0, 3.3
_MEASURED, _PREDICTED = "#0072B2", "#D55E00"
_MOST_RINGS = 12
_BINS, _MOST_GROUPS = 12, 30
"""Groups of points by their 1/d: of so many each, but by rings where these are few."""


def rings_figure(
    image: Floats,
    pixel_size: float,
    distortion: tuple[tuple[float, float], tuple[float, float]],
    centre: tuple[float, float],
    rings_k: Floats,
    points: tuple[Floats, Floats],
    *,
    title: str,
) -> Figure:
    """The pattern with the crystal's rings where the calibration puts them, and the residuals.

    Parameters
    ----------
    image
        (ky, kx): counts of the mean pattern, NaN where unusable.
    pixel_size, distortion
        Å⁻¹ per px, and the 2×2 matrix that turns ellipses into circles.
    centre
        (row, column) of the direct beam in the image, px.
    rings_k
        1/d of the rings to draw, Å⁻¹, the strongest first; at most twelve are.
    points
        1/d (n,) and residuals (n,) in px of the measured points.
    title
        Crystal and result.

    Returns
    -------
    matplotlib.figure.Figure
        The right half of the pattern is left free of rings, so that both can be compared.
    """
    from matplotlib.colors import AsinhNorm
    from matplotlib.figure import Figure

    rows, columns = image.shape
    left, right = (pixel_size * (edge - centre[1]) for edge in (-0.5, columns - 0.5))
    top, bottom = (pixel_size * (edge - centre[0]) for edge in (-0.5, rows - 0.5))
    finite = image[np.isfinite(image)]
    high = float(np.quantile(finite, 0.999)) if finite.size else 1.0
    norm = AsinhNorm(max(high / 50, 1e-9), vmin=0.0, vmax=max(high, 1e-6))
    with publication():
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes, beside = figure.subplots(1, 2)
        extent = (left, right, bottom, top)
        drawn = axes.imshow(
            image, extent=extent, origin="upper", cmap="gray_r", norm=norm, interpolation="none"
        )
        turn = np.linspace(0.5 * np.pi, 1.5 * np.pi, 200)
        circle = np.stack([np.sin(turn), np.cos(turn)], axis=1)
        back = np.linalg.inv(np.array(distortion))
        for k in rings_k[:_MOST_RINGS]:
            y, x = (k * circle @ back).T
            axes.plot(x, y, color=_PREDICTED, linewidth=0.7, label="ring of the crystal")
        axes.plot(0, 0, "+", color=_PREDICTED, markersize=5)
        axes.set(xlim=(left, right), ylim=(bottom, top))
        _finish(axes, "measured pattern")
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(handles[:1], labels[:1], loc="lower right")
        figure.colorbar(drawn, ax=axes, label="mean counts per px", shrink=0.8)
        _residuals(beside, *points, what="point of a ring (sector)")
        figure.suptitle(title)
        return figure


def spots_figure(
    peaks: Floats, places: Floats, points: tuple[Floats, Floats], *, title: str
) -> Figure:
    """A pattern's spots where the calibration has them and where they should be; the residuals.

    Parameters
    ----------
    peaks, places
        (n, 2): ky, kx of the spots of one pattern, and of their reflections, Å⁻¹.
    points
        1/d (n,) and radial residuals (n,) in px of the spots of all patterns.
    title
        Crystal and result.
    """
    from matplotlib.figure import Figure

    with publication():
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes, beside = figure.subplots(1, 2)
        axes.plot(
            peaks[:, 1], peaks[:, 0], "o", markerfacecolor="none", markeredgecolor=_MEASURED,
            markeredgewidth=0.8, markersize=7, label="measured spot",
        )  # fmt: skip
        axes.plot(
            places[:, 1], places[:, 0], "x", color=_PREDICTED, markeredgewidth=0.8,
            markersize=4, label="place in the crystal",
        )  # fmt: skip
        axes.plot(0, 0, "+", color="black", markersize=5)
        reach = 1.08 * float(np.abs(np.concatenate([peaks, places])).max(initial=1e-3))
        axes.set(xlim=(-reach, reach), ylim=(reach, -1.25 * reach), aspect="equal")
        _finish(axes, "the pattern with most paired spots")
        axes.legend(loc="upper center", ncols=2)
        _residuals(beside, *points, what="spot")
        figure.suptitle(title)
        return figure


def _finish(axes: Axes, title: str) -> None:
    axes.set(title=title, xlabel="$k_x$ (Å$^{-1}$)", ylabel="$k_y$ (Å$^{-1}$)")


def _residuals(axes: Axes, k: Floats, residual: Floats, *, what: str) -> None:
    """Residuals against 1/d: every point, and means of bins with their standard errors."""
    axes.axhline(0.0, color="0.6", linewidth=0.7)
    axes.plot(k, residual, ".", color="0.7", markersize=2, label=what, rasterized=True)
    order = np.argsort(k)
    rings = np.flatnonzero(np.diff(k[order])) + 1
    bins = np.split(order, rings) if rings.size < _MOST_GROUPS else np.array_split(order, _BINS)
    bins = [part for part in bins if part.size > 2]
    if bins:
        axes.errorbar(
            [float(k[part].mean()) for part in bins],
            [float(residual[part].mean()) for part in bins],
            yerr=[float(residual[part].std() / np.sqrt(part.size)) for part in bins],
            fmt="o", color=_PREDICTED, markersize=3, linewidth=0.9, capsize=2,
            label="mean of like 1/d ± standard error",
        )  # fmt: skip
    most = 3.5 * float(np.sqrt((residual**2).mean())) if residual.size else 1.0
    axes.set(
        ylim=(-most, 1.35 * most), title="residuals",
        xlabel="$1/d$ (Å$^{-1}$)", ylabel="measured − predicted radius (px)",
    )  # fmt: skip
    axes.legend(loc="upper left", frameon=True, framealpha=0.9, edgecolor="none")
