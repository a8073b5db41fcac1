"""Centre of symmetry of a pattern (Friedel's law), by correlation with its point reflection.

A pattern p and its reflection through c agree: p(x) = p(2c − x). The correlation of a pattern with
its own reflection is its convolution with itself, and peaks at s = 2c whether the direct beam is
seen or not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Images = NDArray[np.float32]


def symmetry(patterns: Images, *, overlap: float = 0.35) -> Images:
    """Correlation coefficient of each pattern with its point reflection through every half pixel.

    Parameters
    ----------
    patterns
        (n, ky, kx), of even variance (square root of counts); NaN where unusable.
    overlap
        Least share of the usable pixels that must meet usable pixels; 0 where fewer do.

    Returns
    -------
    ndarray
        (n, 2·ky − 1, 2·kx − 1): element s belongs to the centre s / 2. Between −1 and 1.

    Notes
    -----
    Masked normalised correlation (Padfield, IEEE Trans. Image Process. 21 (2012) 2706) for the
    case that image and template are the same pattern.
    """
    from scipy import fft

    full = tuple(2 * size - 1 for size in patterns.shape[1:])
    fast = [fft.next_fast_len(size, real=True) for size in full]
    result = np.empty((len(patterns), *full), dtype=np.float32)
    before = np.zeros(0, dtype=bool)
    for i, pattern in enumerate(patterns):
        usable = np.isfinite(pattern)
        if not np.array_equal(usable, before):
            before = usable
            mask = fft.rfft2(usable.astype(np.float32), s=fast)
            number = np.rint(fft.irfft2(mask**2, s=fast)[: full[0], : full[1]])
            total = max(int(usable.sum()), 1)
        values = np.where(usable, pattern, 0)
        values = np.where(usable, values - values.sum() / total, 0)
        spectra = [fft.rfft2(part, s=fast) for part in (values, values**2)]
        cross, first, second = (
            fft.irfft2(product, s=fast)[: full[0], : full[1]]
            for product in (spectra[0] ** 2, spectra[0] * mask, spectra[1] * mask)
        )
        enough = number > overlap * total
        count = np.maximum(number, 1)
        spread = second - first**2 / count
        good = enough & (spread > 1e-6 * max(float(second.max()), 1e-30))
        result[i] = np.where(good, (cross - first**2 / count) / np.where(good, spread, 1), 0)
    return result


def symmetry_at(halves: tuple[Images, int], centres: Array) -> Array:
    """Symmetry of each pattern about its centre (n, 2), to the nearest half (binned) pixel."""
    maps, factor = halves
    place = np.rint(2 * ((centres + 0.5) / factor - 0.5)).astype(np.intp)
    rows, columns = (np.clip(place[:, i], 0, maps.shape[i + 1] - 1) for i in (0, 1))
    return maps[np.arange(len(maps)), rows, columns].astype(np.float64)


def symmetric_centres(halves: tuple[Images, int], predicted: Array) -> Array:
    """Centre of each pattern from the maximum of its symmetry near the predicted place."""
    maps, factor = halves
    place = np.rint(2 * ((predicted + 0.5) / factor - 0.5)).astype(np.intp)
    n, reach = len(maps), 3
    step = np.arange(-reach - 1, reach + 2)
    rows, columns = (place[:, i, None] + step for i in (0, 1))
    inside = [np.clip(axis, 0, maps.shape[i + 1] - 1) for i, axis in enumerate((rows, columns))]
    near = maps[np.arange(n)[:, None, None], inside[0][:, :, None], inside[1][:, None, :]]
    inner = near[:, 1:-1, 1:-1].reshape(n, -1)
    top = np.stack(np.divmod(inner.argmax(axis=1), 2 * reach + 1), axis=1) + 1
    every = np.arange(n)
    centre = np.empty((n, 2))
    for axis, (before, after) in enumerate((((-1, 0), (1, 0)), ((0, -1), (0, 1)))):
        low, middle, high = (
            near[every, top[:, 0] + d[0], top[:, 1] + d[1]].astype(np.float64)
            for d in (before, (0, 0), after)
        )
        curvature = low - 2 * middle + high
        part = np.where(curvature < 0, (low - high) / np.minimum(2 * curvature, -1e-12), 0)
        centre[:, axis] = place[:, axis] + top[:, axis] - reach - 1 + np.clip(part, -1, 1)
    return (centre / 2 + 0.5) * factor - 0.5
