"""Compiled drawing of Gaussians and discs into patterns, at sub-pixel positions.

Pixel (i, j) covers the square from (i − ½, j − ½) to (i + ½, j + ½). A pixel gets the part of the
spot that falls on its square, worked out exactly, so counts are conserved and the centre of
mass is where the spot was put.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

REACH = 5.0
"""Gaussians are drawn out to so many sigma; 6·10⁻⁷ of the counts lie beyond, per axis."""


@numba.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def draw_gaussians(
    patterns: NDArray[np.float32],
    offset: NDArray[np.int64],
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    counts: NDArray[np.float64],
    sigma: float,
) -> None:
    """Add Gaussian spots to patterns.

    Parameters
    ----------
    patterns
        (n, ky, kx), added to in place.
    offset
        (n + 1,) where the spots of every pattern begin in the flat columns.
    rows, columns
        Positions of the spots in px; spots that are not finite are passed over.
    counts
        Integrated counts of the spots.
    sigma
        Standard deviation of the Gaussian, px.
    """
    height, width = patterns.shape[1], patterns.shape[2]
    reach = math.ceil(REACH * sigma)
    steep = 1 / (math.sqrt(2.0) * sigma)
    across = np.empty(2 * reach + 1)
    for p in range(patterns.shape[0]):
        for s in range(offset[p], offset[p + 1]):
            row, column = rows[s], columns[s]
            if not math.isfinite(row + column + counts[s]) or abs(row) + abs(column) > 1e9:
                continue
            top, left = round(row) - reach, round(column) - reach
            before = math.erf((left - 0.5 - column) * steep)
            for j in range(2 * reach + 1):
                after = math.erf((left + j + 0.5 - column) * steep)
                across[j] = 0.5 * (after - before)
                before = after
            before = math.erf((top - 0.5 - row) * steep)
            for i in range(2 * reach + 1):
                after = math.erf((top + i + 0.5 - row) * steep)
                part = 0.5 * (after - before) * counts[s]
                before = after
                if 0 <= top + i < height:
                    for j in range(max(0, -left), min(2 * reach + 1, width - left)):
                        patterns[p, top + i, left + j] += np.float32(part * across[j])


@numba.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def draw_discs(
    patterns: NDArray[np.float32],
    offset: NDArray[np.int64],
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    counts: NDArray[np.float64],
    radius: float,
) -> None:
    """Add discs of uniform brightness to patterns; parameters as :func:`draw_gaussians`.

    Parameters
    ----------
    patterns, offset, rows, columns, counts
        See :func:`draw_gaussians`.
    radius
        Radius of the disc, px.
    """
    height, width = patterns.shape[1], patterns.shape[2]
    reach = math.ceil(radius + 0.5)
    for p in range(patterns.shape[0]):
        for s in range(offset[p], offset[p + 1]):
            row, column = rows[s], columns[s]
            if not math.isfinite(row + column + counts[s]) or abs(row) + abs(column) > 1e9:
                continue
            middle, centre = round(row), round(column)
            for i in range(max(0, middle - reach), min(height, middle + reach + 1)):
                for j in range(max(0, centre - reach), min(width, centre + reach + 1)):
                    y0, x0 = (i - 0.5 - row) / radius, (j - 0.5 - column) / radius
                    y1, x1 = (i + 0.5 - row) / radius, (j + 0.5 - column) / radius
                    part = _corner(y1, x1) - _corner(y0, x1) - _corner(y1, x0) + _corner(y0, x0)
                    patterns[p, i, j] += np.float32(counts[s] * part / math.pi)


@numba.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _cap(t: float) -> float:
    """Area of the unit disc where one coordinate is below ``t`` (−1 ≤ t ≤ 1)."""
    return t * math.sqrt(1 - t * t) + math.asin(t) + math.pi / 2


@numba.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _corner(y: float, x: float) -> Any:
    """Area of the unit disc above and left of the corner (y, x)."""
    y, x = min(1.0, max(-1.0, y)), min(1.0, max(-1.0, x))
    if y * y + x * x < 1:
        return (_cap(y) + _cap(x)) / 2 + y * x - math.pi / 4
    # The corner lies outside: what it cuts off are caps that do not meet.
    if y < 0 and x < 0:
        return 0.0
    if y < 0:
        return _cap(y)
    if x < 0:
        return _cap(x)
    return _cap(y) + _cap(x) - math.pi
