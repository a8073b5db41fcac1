"""Lines of an image that were scanned with less, or more, beam than the others.

A beam that dips for some lines of one image dims all their pixels alike, sample or not. No sample
does that: a row differs from the one before only where another part of it begins.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]

_LEAST = 0.08
"""Steps of less than this part of the beam are left in."""
_SIGMAS = 6.0
_ALIKE = 0.8
"""Part of a row's pixels that take part in a step, or it is the sample."""
_OFTEN = 0.2
"""A step at the same row in more than this part of the images is the sample."""
_COLUMNS = 256


def stepped_lines(values: Values, mean: Values) -> NDArray[np.bool_]:
    """Which lines (energy, y) were scanned with another beam than most lines of their image.

    Parameters
    ----------
    values
        Counts (energy, y, x), NaN where there is no reading.
    mean
        Their mean over energies (y, x), NaN where it is too small to tell.
    """
    n, ny, nx = values.shape
    columns = np.arange(0, nx, max(1, nx // _COLUMNS))
    expected = mean[:, columns]
    rough = np.stack([_mean_change(_level(frame[:, columns], expected)) for frame in values])
    # lines that are dim in one image lower the mean that all are compared with
    usual = np.nanmedian(np.where(np.isfinite(rough).any(axis=0), rough, 0.0), axis=0)
    steps = np.zeros((n, ny - 1))
    for e, frame in enumerate(values):
        looks = np.abs(rough[e] - usual) > 0.5 * _LEAST
        if looks.any():
            change = np.diff(_level(frame[:, columns], expected), axis=0) - usual[:, None]
            steps[e] = _steps(change, looks)
    often = np.count_nonzero(steps, axis=0) > max(1.0, _OFTEN * n)
    steps[:, often] = 0.0
    level = np.concatenate([np.zeros((n, 1)), np.cumsum(steps, axis=1)], axis=1)
    stepped = np.zeros((n, ny), dtype=bool)
    for of_image, found in zip(level, stepped, strict=True):
        if of_image.any():
            found[:] = np.abs(of_image - _commonest(of_image)) > _LEAST
    return stepped


def _level(frame: Values, expected: Values) -> Values:
    """Logarithm (y, x) of counts over what is expected; NaN where there is none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        level: Values = np.log(frame / expected)
    level[~np.isfinite(level)] = np.nan
    return level


def _mean_change(level: Values) -> NDArray[np.float64]:
    """Mean change (y − 1,) from each row to the next; NaN where no pixels can be compared."""
    change = np.diff(level, axis=0)
    there = np.isfinite(change)
    number = there.sum(axis=1)
    total = np.where(there, change, 0.0).sum(axis=1)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def _steps(change: Values, looks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Step (y − 1,) of the logarithm from each row to the next; 0 where there is none.

    Only of rows that look like one: medians of all would take long.
    """
    there = np.isfinite(change)
    steps = np.zeros(len(change))
    for y in np.flatnonzero(looks & (there.sum(axis=1) >= 8)):
        row = change[y][there[y]]
        middle = float(np.median(row))
        spread = 1.4826 * float(np.median(np.abs(row - middle)))
        sure = abs(middle) > max(_LEAST, _SIGMAS * 1.2533 * spread / np.sqrt(row.size))
        part = np.mean(np.abs(row - middle) < 0.3 * abs(middle) + 3.0 * spread)
        # with noise as large as the step every sample would take part in it
        if sure and part >= _ALIKE and spread < abs(middle):
            steps[y] = middle
    return steps


def _commonest(level: NDArray[np.float64]) -> float:
    """The level that most rows are at."""
    near = np.abs(level[:, None] - level[None, :]) <= _LEAST
    return float(level[int(np.argmax(near.sum(axis=1)))])
