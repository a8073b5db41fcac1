"""Area-weighted binning of counts into larger pixels (compiled)."""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def add_areas(
    patterns: NDArray[np.float32],
    corner: NDArray[np.float64],
    factor: float,
    binned: NDArray[np.float32],
) -> None:
    """Distribute the counts of every pixel among the larger pixels by area.

    A pixel is taken to be evenly bright, so sums are conserved, nothing becomes negative, and a
    shift by a part of a pixel is a linear interpolation.

    Parameters
    ----------
    patterns
        (n, ky, kx).
    corner
        (n, 2) row and column, px of the patterns, of the upper left corner of the first large
        pixel; pixel (0, 0) of a pattern has its corner at (−½, −½).
    factor
        Width of a large pixel in small ones, at least 1.
    binned
        (n, rows, columns), added to in place; counts beyond it are lost.
    """
    height, width = patterns.shape[1:]
    rows, columns = binned.shape[1:]
    left = np.empty(width, np.int64)
    part = np.empty(width)
    for p in range(patterns.shape[0]):
        for j in range(width):
            start = (j - 0.5 - corner[p, 1]) / factor
            left[j] = math.floor(start)
            part[j] = min(1.0, (left[j] + 1 - start) * factor)
        for i in range(height):
            start = (i - 0.5 - corner[p, 0]) / factor
            top = math.floor(start)
            share = min(1.0, (top + 1 - start) * factor)
            for below in range(2):
                row = top + below
                weight = 1 - share if below else share
                if row < 0 or row >= rows or weight <= 0:
                    continue
                for j in range(width):
                    counts = weight * patterns[p, i, j]
                    column = left[j]
                    if 0 <= column < columns:
                        binned[p, row, column] += np.float32(counts * part[j])
                    if part[j] < 1 and 0 <= column + 1 < columns:
                        binned[p, row, column + 1] += np.float32(counts * (1 - part[j]))
