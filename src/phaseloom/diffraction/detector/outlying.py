"""Dead and hot pixels, and the shadow of a beam stop, found in a sample of patterns."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Image = NDArray[np.float64]
Images = NDArray[np.number[Any]]

# false alarms per pixel; detectors have up to 10^7
_FALSE_ALARM = 1e-9
# chance that one group of patterns shows by accident what all together show
_GROUP_ALARM = 1e-2
# A spot of sigma 0.6 px stands 4 times over its next neighbours, a hot pixel without limit.
_CLIFF = 5.0
_DEAD_SHARE = 0.3
# counts that a pixel may have without being looked at: nothing hangs on them
_FEW_COUNTS = 3.0
_NEXT = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], dtype=bool)
_FAR = np.pad(np.zeros((3, 3), dtype=bool), 1, constant_values=True)


def outlying_pixels(patterns: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Dead and hot pixels, from patterns spread over the scan.

    A hot pixel is above its neighbours in all parts of the sample, and so steeply that no spot
    could be it; a dead pixel stays far under neighbours that have counts. Both have to be beyond
    what counting statistics does once in 10⁹ pixels. Larger blank areas (gaps between modules)
    are dead if their rim is a cliff.

    Parameters
    ----------
    patterns
        (n, ky, kx), NaN where already known to be unusable.

    Returns
    -------
    dead, hot : ndarray
        (ky, kx) bool. A pixel that is never finite is dead.

    Notes
    -----
    Counts per electron (gain g) are taken from the data, as variance over mean across the
    patterns and between neighbouring pixels, whichever is larger; sums are compared as Poisson
    numbers in units of g. Reflections that come and go raise g, which errs on the side of
    keeping pixels.
    """
    from scipy.stats import poisson

    values = np.asarray(patterns)
    seen = np.isfinite(values)
    n = len(values)
    total = _sum(values, seen)
    groups = min(4, n)
    gain = counts_per_electron(values, seen, total)

    highest, lowest, around = _surroundings(total)
    excess = total - around
    hot = excess > _CLIFF * np.maximum(highest - around, 0)
    level = np.maximum(np.maximum(highest, around), 0) / gain + _FEW_COUNTS
    hot &= poisson.sf(np.ceil(total / gain) - 1, level) < _FALSE_ALARM
    for part in range(groups if hot.any() else 0):
        some = slice(part, None, groups)
        share = _sum(values[some], seen[some])
        rows, columns = np.nonzero(hot)
        expected = level[rows, columns] / groups
        persistent = poisson.sf(np.ceil(share[rows, columns] / gain) - 1, expected) < _GROUP_ALARM
        hot[rows[~persistent], columns[~persistent]] = False

    dead = (total < _DEAD_SHARE * lowest) & (lowest > 0.6 * around)
    expected = np.maximum(lowest, 0) / gain
    dead &= poisson.cdf(np.floor(np.maximum(total, 0) / gain), expected) < _FALSE_ALARM
    dead |= _blank_areas(total, gain) | ~np.any(seen, axis=0)
    return dead, hot & ~dead


def find_beam_stop(
    patterns: ArrayLike, *, centre: tuple[float, float] | None = None, margin: int = 3
) -> NDArray[np.bool_]:
    """The shadow of a beam stop: a large dark area that reaches the centre or the rim.

    Parameters
    ----------
    patterns
        (n, ky, kx), NaN where unusable.
    centre
        Where the direct beam is thought to be, (row, column); the middle of the detector by
        default. An error of a tenth of the detector does no harm.
    margin
        Pixels by which the shadow is made larger: its edge is blurred.

    Returns
    -------
    ndarray
        (ky, kx) bool, True in the shadow; all False where there is none.

    Notes
    -----
    The background falls with the distance r from the beam. Expected at r is the largest of the
    upper quartiles over circles of radius ≥ r; in the shadow are pixels under a third of that in
    the smoothed mean.
    """
    from scipy import ndimage

    values = np.asarray(patterns)
    seen = np.isfinite(values)
    mean = _sum(values, seen) / len(values)
    shape = mean.shape
    middle = ((shape[0] - 1) / 2, (shape[1] - 1) / 2) if centre is None else centre
    row, column = np.indices(shape)
    radius = np.hypot(row - middle[0], column - middle[1])
    smooth = ndimage.gaussian_filter(np.maximum(mean, 0), 1.5)
    step = max(2.0, max(shape) / 64)
    ring = (radius / step).astype(np.intp)
    upper = np.asarray(
        ndimage.labeled_comprehension(
            smooth, ring, np.arange(ring.max() + 1), lambda v: np.quantile(v, 0.75), float, 0.0
        )
    )
    expected = np.maximum.accumulate(upper[::-1])[::-1][ring]
    dark = (smooth < expected / 3) & (expected > 0)
    dark = ndimage.binary_opening(dark, iterations=2)
    areas, number = ndimage.label(dark)
    if number == 0:
        return np.zeros(shape, dtype=bool)
    size = np.bincount(areas.ravel(), minlength=number + 1)
    rim = np.concatenate([areas[0], areas[-1], areas[:, 0], areas[:, -1]])
    reaching = np.union1d(rim, areas[radius < 0.08 * max(shape)])
    # a shadow is dark against its own surroundings; corners beyond the signal are not that large
    chosen = reaching[(reaching > 0) & (size[reaching] >= max(30, 0.002 * mean.size))]
    return np.asarray(
        ndimage.binary_dilation(np.isin(areas, chosen), _disc(margin)) if chosen.size else dark & 0,
        dtype=bool,
    )


def _disc(radius: int) -> NDArray[np.bool_]:
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(y**2 + x**2 <= radius**2 + 0.5)


def _sum(values: Images, seen: NDArray[np.bool_]) -> Image:
    """Sum over the patterns as if every pixel had been usable in all; else what is next to it."""
    from scipy import ndimage

    number = np.sum(seen, axis=0, dtype=np.intp)
    # no copy of the sample: it may be large
    total = np.sum(values, axis=0, dtype=np.float64, where=seen)
    total *= len(values) / np.maximum(number, 1)
    missing = number == 0
    if missing.any() and not missing.all():
        near = ndimage.distance_transform_edt(missing, return_distances=False, return_indices=True)
        total = total[tuple(near)]
    return np.asarray(total)


def _surroundings(image: Image) -> tuple[Image, Image, Image]:
    """Third highest and third lowest of the eight neighbours; median of the sixteen beyond.

    Third, so that a pair or a line of bad pixels does not hide itself.
    """
    from scipy import ndimage

    # at the rim a mirror would double the flank of a spot, and so make its top look steeper
    highest = ndimage.rank_filter(image, -3, footprint=_NEXT, mode="nearest")
    lowest = ndimage.rank_filter(image, 2, footprint=_NEXT, mode="nearest")
    around = ndimage.median_filter(image, footprint=_FAR, mode="mirror")
    return highest, lowest, around


def counts_per_electron(values: Images, seen: NDArray[np.bool_], total: Image) -> float:
    """Variance over mean: between neighbouring pixels of the sum and across the patterns.

    Low quantiles, because spots and what changes from pattern to pattern only ever add.
    """
    # alternating signs over 2 × 2 pixels: slopes cancel
    block = (total[1:, 1:], total[:-1, :-1], total[1:, :-1], total[:-1, 1:])
    level = block[0] + block[1] + block[2] + block[3]
    lit = level > 0
    if not lit.any():
        return 1.0
    ratio = (block[0] + block[1] - block[2] - block[3])[lit] ** 2 / level[lit]
    # quartile and median of chi² with one degree of freedom
    spatial = min(np.quantile(ratio, 0.25) / 0.1015, np.median(ratio) / 0.455)
    temporal = 0.0
    if len(values) >= 8:
        some = slice(None, None, max(1, total.size // 60_000))
        series = values.reshape(len(values), -1)[:, some].astype(np.float64)
        series = series[:, seen.reshape(len(values), -1)[:, some].all(axis=0)]
        mean, variance = series.mean(axis=0), series.var(axis=0, ddof=1)
        lit = mean > 0
        temporal = np.quantile(variance[lit] / mean[lit], 0.1) if lit.any() else 0.0
    return float(max(spatial, temporal)) or 1.0


def _blank_areas(total: Image, gain: float) -> NDArray[np.bool_]:
    """Areas of nothing whose rim has counts: between modules, outside a shifted image."""
    from scipy import ndimage

    areas, number = ndimage.label(total == 0, np.ones((3, 3)))
    if number == 0:
        return np.zeros(total.shape, dtype=bool)
    rims = ndimage.grey_dilation(areas, size=3) * (areas == 0)
    beyond = ndimage.grey_dilation(areas, size=7) * (areas == 0) * (rims == 0)
    index = np.flatnonzero(np.bincount(areas.ravel(), minlength=number + 1)[1:] > 1) + 1
    if index.size == 0:
        return np.zeros(total.shape, dtype=bool)

    def low(part: NDArray[Any]) -> float:
        return float(np.quantile(part, 0.25))

    rim = ndimage.labeled_comprehension(total, rims, index, low, float, 0.0)
    far = ndimage.labeled_comprehension(total, beyond, index, low, float, 0.0)
    cliff = (rim > 20 * gain) & (rim > 0.5 * far)
    return np.asarray(np.isin(areas, index[cliff]))
