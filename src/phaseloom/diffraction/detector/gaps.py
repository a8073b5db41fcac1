"""Gaps between the modules of a detector: whole rows, columns and modules that never count."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.diffraction.detector.outlying import counts_per_electron

# counts (in electrons) that the rows beside a gap have to have, per row of the gap; the chance
# that a row has none where this many are expected is e^-25
_LEAST_COUNTS = 25.0
# wider dark stripes are no gaps: shadows, images of half a detector
_WIDEST = 1 / 8


def find_gaps(patterns: ArrayLike) -> NDArray[np.bool_]:
    """Rows and columns that are zero in all patterns, between such that count; dead modules.

    Parameters
    ----------
    patterns
        (n, ky, kx), corrected, NaN where already known to be unusable.

    Returns
    -------
    ndarray
        (ky, kx) bool, True in gaps and in modules between them that have no counts.
    """
    values = np.asarray(patterns)
    blank = np.ones(values.shape[1:], dtype=bool)
    for pattern in values:
        blank &= ~(pattern != 0) | np.isnan(pattern)
    gaps = np.zeros(blank.shape, dtype=bool)
    # most detectors have none, and are done here
    if not any(_inner_runs(np.asarray(blank.all(axis=axis))) for axis in (0, 1)):
        return gaps
    seen = np.isfinite(values)
    total = np.asarray(np.sum(values, axis=0, dtype=np.float64, where=seen))
    gain = counts_per_electron(values, seen, total)
    edges = []
    for axis in (0, 1):
        lines = total.sum(axis=1 - axis) / gain
        runs = [
            run
            for run in _inner_runs(np.asarray(blank.all(axis=1 - axis)))
            if run[1] - run[0] <= max(2.0, _WIDEST * len(lines))
            and min(lines[run[0] - 1], lines[run[1]]) > _LEAST_COUNTS
        ]
        for first, last in runs:
            gaps[(slice(None),) * axis + (slice(first, last),)] = True
        edges.append([0, *(edge for run in runs for edge in run), len(lines)])
    modules = [
        (slice(top, bottom), slice(left, right))
        for top, bottom in zip(edges[0][::2], edges[0][1::2], strict=True)
        for left, right in zip(edges[1][::2], edges[1][1::2], strict=True)
    ]
    means = [total[module].mean() / gain for module in modules]
    for module in modules if gaps.any() else ():
        if blank[module].all() and np.median(means) * blank[module].size > _LEAST_COUNTS:
            gaps[module] = True
    return gaps


def gap_half_width(mask: NDArray[np.bool_], place: NDArray[Any], reach: float) -> float:
    """Half the width, in px, of the widest gap that comes within ``reach`` of a place; 0: none.

    Parameters
    ----------
    mask
        (ky, kx), True where usable. Gaps are whole rows or columns without a usable pixel.
    place
        (row, column), px.
    reach
        Px.
    """
    widths = [0.0]
    for axis in (0, 1):
        for first, last in _inner_runs(~np.asarray(mask.any(axis=1 - axis))):
            if first - 0.5 - reach < place[axis] < last - 0.5 + reach:
                widths.append((last - first) / 2)
    return max(widths)


def _inner_runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and one past the last of each run of true flags that reaches neither end."""
    steps = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    runs = steps.reshape(-1, 2).tolist()
    return [(first, last) for first, last in runs if first > 0 and last < len(flags)]
