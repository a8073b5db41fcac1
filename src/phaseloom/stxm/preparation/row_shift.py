"""Rows displaced against each other by a scan that runs to and fro.

A stage that is read while it moves lags behind on the way there and on the way back, so that every
other row is displaced. No sample has such a comb; neighbouring rows look alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from phaseloom.stxm.preparation.alignment import moved

Values = NDArray[np.float32]

_FARTHEST = 12
"""Pixels tried to either side."""
_LEAST = 0.3
"""Displacements below this, in pixels, are left."""
_WHOLE = 0.2
"""Displacements this near to whole pixels are taken as those: rows need no interpolation."""
_CLEARLY = 0.85
"""Neighbouring rows have to differ by less than this part of what they differ as they are."""


def row_displacement(values: Values) -> float:
    """By how many pixels odd rows are displaced to higher x against even ones; 0 where they fit.

    Parameters
    ----------
    values
        (energy, y, x), NaN where there is no reading.

    Notes
    -----
    Odd rows, moved by a trial displacement, are compared with the mean of their two neighbours, on
    the logarithm of counts or what rises and falls like it, smoothed little. The displacement has
    to make them clearly more alike than they are, and the fields of the first and of the second
    half of the energies have to agree on it.
    """
    ny, nx = values.shape[1:]
    if ny < 8 or nx < 4 * 3:
        return 0.0
    farthest = min(_FARTHEST, nx // 4)
    halves = []
    for part in np.array_split(np.arange(len(values)), 2):
        misfit = _misfit(values[part[:: max(1, part.size // 24)]], farthest)
        if misfit is None:
            return 0.0
        halves.append(misfit)
    found = [_lowest(misfit) for misfit in halves]
    total = halves[0] + halves[1]
    displacement = _lowest(total)
    within = 0 < int(np.argmin(total)) < total.size - 1
    if abs(displacement - round(displacement)) < _WHOLE:
        displacement = float(round(displacement))
    improved = float(total.min()) < _CLEARLY * float(total[farthest])
    agreed = abs(found[0] - found[1]) < 0.5
    return displacement if within and improved and agreed and abs(displacement) >= _LEAST else 0.0


def put_rows_back(values: Values, displacement: float) -> None:
    """Move odd rows back by a displacement (px), in place; NaN where they do not reach."""
    for frame in values:
        frame[1::2] = moved(frame[1::2], np.array([0.0, displacement]))


def _misfit(values: Values, farthest: int) -> NDArray[np.float64] | None:
    """Mean squared difference (trial,) of odd rows from their neighbours; None without contrast."""
    trials = np.arange(-farthest, farthest + 1)
    total = np.zeros(trials.size)
    for frame in values:
        scale = np.nanmedian(np.abs(frame))
        if not scale > 0:
            continue
        level = np.where(np.isfinite(frame), frame, scale) / scale
        # little enough that edges stay, and enough that noise does not fill the comparison
        rows = ndimage.gaussian_filter1d(level, 0.7, axis=1)
        inner = rows[1 : len(rows) - 1 : 2]
        around = 0.5 * (rows[0 : len(rows) - 2 : 2] + rows[2 : len(rows) : 2])
        n = min(len(inner), len(around))
        inside = slice(farthest, rows.shape[1] - farthest)
        for k, by in enumerate(trials):
            shifted = inner[:n, inside.start + by : inside.stop + by]
            total[k] += float(np.mean((shifted - around[:n, inside]) ** 2))
    return total if total.max() > 0 else None


def _lowest(misfit: NDArray[np.float64]) -> float:
    """Place of the minimum to a part of a pixel (parabola), 0 in the middle."""
    k = int(np.argmin(misfit))
    middle = misfit.size // 2
    if not 0 < k < misfit.size - 1:
        return float(k - middle)
    before, at, after = misfit[k - 1 : k + 2]
    curvature = before - 2 * at + after
    return float(k - middle + (0.5 * (before - after) / curvature if curvature > 0 else 0.0))
