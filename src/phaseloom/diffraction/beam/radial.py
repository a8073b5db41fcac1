"""Centre of the diffuse background: where the direct beam is that a beam stop hides.

Few orientations have reflections on one side, in all patterns alike: Friedel's law then tells no
centre. What is diffuse between them falls off from the direct beam all the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phaseloom.diffraction.beam.blobs import binned

Array = NDArray[np.float64]
Images = NDArray[np.float32]

_SIZE = 128
_RING = 1.5
_STEP = 4.0
# deviations from the ring's median, in medians of all, that count as no more: reflections
_CLIP = 3.0
# part of the misfit of some place, at most, that a centre has
_CLEAR = 0.9
# part of the detector's longer side that the radius of a beam stop is more than
_WIDE = 1 / 32


def has_stop(usable: NDArray[np.bool_]) -> bool:
    """Whether unusable pixels, but for gaps between modules, are as wide as a beam stop.

    Parameters
    ----------
    usable
        (ky, kx).
    """
    from scipy import ndimage

    gaps = ~np.logical_and.outer(np.any(usable, axis=1), np.any(usable, axis=0))
    clear = np.pad(usable | gaps, 1, constant_values=True)
    widest = float(ndimage.distance_transform_edt(~clear).max())
    return bool(widest > max(3.0, _WIDE * max(usable.shape)))


def radial_centre(patterns: Images) -> Array | None:
    """Centre about which the mean of patterns, but for reflections, is round.

    Parameters
    ----------
    patterns
        (n, ky, kx), corrected, NaN where unusable.

    Returns
    -------
    ndarray
        (row, column), px; None where no place stands out, or the best is at the rim.

    Notes
    -----
    The sum over pixels of the clipped deviations of the root of the counts from the median of their
    circle is made least, on a grid, then on finer ones.
    """
    small, factor = binned(patterns, _SIZE)
    seen = np.isfinite(small)
    number = seen.sum(axis=0)
    use = number > 0.5 * len(small)
    mean = np.where(seen, small, 0).sum(axis=0) / np.maximum(number, 1)
    places = np.argwhere(use).astype(np.float64)
    values = np.sqrt(np.maximum(mean[use], 0))
    if values.size < 100 or not np.ptp(values) > 0:
        return None
    shape = np.array(small.shape[1:], dtype=np.float64)
    centre = (shape - 1) / 2
    scale = max(float(np.median(_deviations(values, places, centre))), 1e-12)
    some = np.random.default_rng(0).permutation(values.size)[: max(2000, values.size // 6)]
    reach = int(0.35 * min(shape) / _STEP)
    for half, step in [(reach, _STEP), (2, 2.0), (2, 1.0), (2, 0.5), (2, 0.25)]:
        used = some if step == _STEP else np.arange(values.size)
        trials = centre + step * (np.indices((2 * half + 1, 2 * half + 1)).reshape(2, -1).T - half)
        misfit = np.array(
            [
                np.minimum(_deviations(values[used], places[used], trial), _CLIP * scale).mean()
                for trial in trials
            ]
        )
        best = int(misfit.argmin())
        rim = np.abs(trials[best] - centre).max() >= half * step
        if step == _STEP and (rim or misfit[best] > _CLEAR * np.median(misfit)):
            return None
        centre = trials[best]
    return np.asarray((centre + 0.5) * factor - 0.5)


def _deviations(values: Array, places: Array, centre: Array) -> Array:
    """Deviations from the median of the circle about a centre."""
    ring = (np.hypot(*(places - centre).T) / _RING).astype(np.intp)
    order = np.lexsort((values, ring))
    number = np.bincount(ring)
    first = np.concatenate([[0], np.cumsum(number)[:-1]])
    middle = values[order][np.minimum(first + number // 2, values.size - 1)]
    return np.asarray(np.abs(values - middle[ring]))
