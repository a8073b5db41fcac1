"""Colour scales of diffraction patterns: counts, and signal-to-noise ratio of the peaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from phaseloom.view.style import SIGNIFICANCE_MAP

if TYPE_CHECKING:
    from matplotlib.colors import Colormap, Normalize

FEWEST_COUNTS = 10.0
"""Least upper end of the scale of counts, so that single counts do not look strong."""


def counts_norm(patterns: NDArray[np.float64]) -> Normalize:
    """Colour scale of counts: linear within the noise of the background, logarithmic above it.

    Parameters
    ----------
    patterns
        (n, ky, kx) counts; NaN where unusable.

    Returns
    -------
    matplotlib.colors.Normalize
        From the 1st percentile (white, never below zero counts) to the 99.9th, and at least
        ``FEWEST_COUNTS`` above; asinh of the counts over the scatter of the background, which is
        never less than one count.
    """
    from matplotlib.colors import FuncNorm

    finite = patterns[np.isfinite(patterns)]
    if finite.size == 0:
        finite = np.zeros(1)
    low, quarter, median, high = np.percentile(finite, [1.0, 25.0, 50.0, 99.9])
    floor = max(0.0, float(low))
    width = max(1.0, 1.5 * float(median - quarter))
    top = max(floor + FEWEST_COUNTS, float(high))
    return FuncNorm(
        (
            lambda counts: np.arcsinh((np.asarray(counts) - floor) / width),
            lambda colour: np.sinh(np.asarray(colour)) * width + floor,
        ),
        vmin=floor,
        vmax=top,
        clip=True,
    )


def significance_norm(significance: NDArray[np.float64]) -> Normalize:
    """Logarithmic colour scale of the significance (signal-to-noise ratio) of peaks."""
    from matplotlib.colors import LogNorm

    usable = significance[np.isfinite(significance) & (significance > 0)]
    if usable.size == 0:
        return LogNorm(1.0, 10.0)
    low, high = np.percentile(usable, [2.0, 98.0])
    return LogNorm(float(low), float(max(high, 2.0 * low)), clip=True)


def significance_colours() -> Colormap:
    """Colour map of the significance: perceptually uniform, without its lightest part."""
    import matplotlib as mpl
    from matplotlib.colors import ListedColormap

    return ListedColormap(mpl.colormaps[SIGNIFICANCE_MAP](np.linspace(0.0, 0.8, 256)))


def count_ticks(norm: Normalize) -> list[float]:
    """Round counts for the ticks of a colour bar, about evenly spaced on its scale."""
    low, high = float(norm.vmin or 0.0), float(norm.vmax or FEWEST_COUNTS)
    ticks: list[float] = []
    for place in np.linspace(0.0, 1.0, 6):
        target = float(norm.inverse(place))
        # The roundest number that is near enough on the scale.
        for step in (10.0**power * m for power in range(9, -1, -1) for m in (5.0, 2.0, 1.0)):
            near = step * round(target / step)
            if low <= near <= high and abs(float(norm(near)) - place) < 0.07:
                if not ticks or float(norm(near) - norm(ticks[-1])) > 0.13:
                    ticks.append(near)
                break
    return ticks


def round_between(low: float, high: float) -> list[float]:
    """Numbers 1, 2, 5 times a power of ten for a logarithmic colour bar."""
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    candidates = np.outer(powers, [1.0, 2.0, 5.0]).ravel()
    candidates = candidates[(candidates >= low) & (candidates <= high)]
    return _apart(candidates, np.log(candidates / low) / np.log(high / low))


def _apart(values: NDArray[np.float64], where: NDArray[np.float64]) -> list[float]:
    """Those of the ascending values that are at least a fifth of the scale apart."""
    kept: list[float] = []
    last = -np.inf
    for value, place in zip(values.tolist(), where.tolist(), strict=True):
        if place - last >= 0.2:
            kept.append(value)
            last = place
    return kept
