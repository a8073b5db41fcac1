"""Expected counts of a pattern without noise: spots and rotationally symmetric background."""

from __future__ import annotations

from math import ceil, erfc, exp, hypot, pi, sqrt
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

_REACH = 5.0
"""Standard deviations to which a spot is drawn: what is beyond has 4·10⁻⁶ of its counts."""

RADIAL_STEP = 0.25
"""Step in px of a radial profile's samples."""


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def spot_share(distance: float, sigma: float, radius: float) -> float:
    """Part of a spot's counts per pixel at a distance from its middle.

    A Gaussian, or a disk ½ erfc((ρ − r) / √2 σ) whose area is π (r² + σ²) for r ≫ σ.

    Parameters
    ----------
    distance
        From the middle, in px.
    sigma
        Standard deviation of the Gaussian, or of the disk's soft edge, in px.
    radius
        Of the disk in px; 0 means a Gaussian.
    """
    if radius > 0.0:
        edge = 0.5 * erfc((distance - radius) / (sqrt(2.0) * sigma))
        return edge / (pi * (radius * radius + sigma * sigma))
    return exp(-0.5 * (distance / sigma) ** 2) / (2.0 * pi * sigma * sigma)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def add_spots(
    patterns: Any,
    offset: Any,
    row: Any,
    column: Any,
    counts: Any,
    sigma: float,
    radius: float,
) -> None:
    """Add spots to patterns, in place.

    Parameters
    ----------
    patterns
        (n, ky, kx) float32, counts per pixel.
    offset
        (n + 1,): the spots of pattern ``i`` are ``offset[i]:offset[i + 1]``.
    row, column
        Where the spots are, in px; pixel centres have integer coordinates.
    counts
        Integrated counts of every spot.
    sigma, radius
        As in :func:`spot_share`.
    """
    rows, columns = patterns.shape[1], patterns.shape[2]
    reach = ceil(radius + _REACH * sigma)
    for n in range(patterns.shape[0]):
        for i in range(offset[n], offset[n + 1]):
            y, x = int(np.rint(row[i])), int(np.rint(column[i]))
            for r in range(max(0, y - reach), min(rows, y + reach + 1)):
                for c in range(max(0, x - reach), min(columns, x + reach + 1)):
                    distance = hypot(r - row[i], c - column[i])
                    patterns[n, r, c] += counts[i] * spot_share(distance, sigma, radius)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def add_radial(patterns: Any, centre: Any, profile: Any) -> None:
    """Add a rotationally symmetric background to patterns, in place.

    Parameters
    ----------
    patterns
        (n, ky, kx) float32, counts per pixel.
    centre
        (n, 2): row and column of the middle, in px.
    profile
        (n, samples): counts per pixel at 0, 0.25, 0.5 … px; constant beyond its end.
    """
    last = profile.shape[1] - 1
    for n in range(patterns.shape[0]):
        for r in range(patterns.shape[1]):
            for c in range(patterns.shape[2]):
                at = hypot(r - centre[n, 0], c - centre[n, 1]) / RADIAL_STEP
                i = min(int(at), last - 1)
                part = min(at - i, 1.0)
                patterns[n, r, c] += profile[n, i] * (1.0 - part) + profile[n, i + 1] * part


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def counting_errors(
    patterns: Any,
    usable: Any,
    offset: Any,
    row: Any,
    column: Any,
    sigma: float,
    radius: float,
) -> NDArray[np.float64]:
    """Least standard error of every spot's integrated counts (Cramér–Rao).

    With the position, the shape and all that lies beneath known, counting electrons leaves
    1 / √(Σ t² / λ), t the spot's share and λ the expected counts of each usable pixel.

    Parameters
    ----------
    patterns
        (n, ky, kx) float32, expected counts per pixel, the spot's own among them.
    usable
        (ky, kx) bool.
    offset, row, column, sigma, radius
        As in :func:`add_spots`.

    Returns
    -------
    NDArray
        In counts; infinite where no usable pixel sees the spot.
    """
    rows, columns = patterns.shape[1], patterns.shape[2]
    reach = ceil(radius + _REACH * sigma)
    errors = np.empty(row.size)
    for n in range(patterns.shape[0]):
        for i in range(offset[n], offset[n + 1]):
            y, x = int(np.rint(row[i])), int(np.rint(column[i]))
            information = 0.0
            for r in range(max(0, y - reach), min(rows, y + reach + 1)):
                for c in range(max(0, x - reach), min(columns, x + reach + 1)):
                    if usable[r, c] and patterns[n, r, c] > 0.0:
                        distance = hypot(r - row[i], c - column[i])
                        share = spot_share(distance, sigma, radius)
                        information += share * share / patterns[n, r, c]
            errors[i] = 1.0 / sqrt(information) if information > 0.0 else np.inf
    return errors
