"""Bright blobs of any width in each pattern: candidates for the direct beam."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Images = NDArray[np.float32]

# larger detectors are binned to about this
_SEARCH_SIZE = 256
# widths (px, binned) at which blobs are looked for, from sharp spots to discs
_WIDTHS = (1.2, 2.5, 6.0)
_PER_WIDTH = 8


def binned(patterns: Images, size: int) -> tuple[Images, int]:
    """Mean of usable pixels over blocks, so that the longer side is about ``size``; the factor."""
    factor = max(1, -(-max(patterns.shape[1:]) // size))
    if factor == 1:
        return patterns, 1
    n, rows, columns = patterns.shape[0], *(s // factor for s in patterns.shape[1:])
    blocks = patterns[:, : rows * factor, : columns * factor]
    blocks = blocks.reshape(n, rows, factor, columns, factor)
    seen = np.isfinite(blocks)
    number = seen.sum(axis=(2, 4))
    total = np.where(seen, blocks, 0).sum(axis=(2, 4))
    mean = np.where(number * 2 > factor**2, total / np.maximum(number, 1), np.nan)
    return mean.astype(np.float32), factor


def smooth(values: Images, seen: NDArray[np.bool_], width: float) -> Images:
    """Gaussian mean of the usable pixels, per pattern."""
    from scipy import ndimage

    sigma = (0, width, width)
    weight = ndimage.gaussian_filter(seen.astype(np.float32), sigma, mode="constant")
    total = ndimage.gaussian_filter(values, sigma, mode="constant")
    return np.asarray(np.where(weight > 0.05, total / np.maximum(weight, 0.05), 0))


def maxima(images: Images, number: int, radius: int) -> tuple[Array, Array]:
    """Places (n, number, 2) and heights of the highest local maxima, NaN and 0 where fewer."""
    from scipy import ndimage

    size = 2 * radius + 1
    top = (images == ndimage.maximum_filter(images, (1, size, size))) & (images > 0)
    flat = np.where(top, images, 0).reshape(len(images), -1)
    number = min(number, flat.shape[1])
    best = np.argpartition(-flat, number - 1, axis=1)[:, :number]
    best = np.take_along_axis(
        best, np.argsort(-np.take_along_axis(flat, best, axis=1), axis=1), axis=1
    )
    height = np.take_along_axis(flat, best, axis=1).astype(np.float64)
    place = np.stack(np.divmod(best, images.shape[2]), axis=-1).astype(np.float64)
    place[height <= 0] = np.nan
    return place, height


def blobs(patterns: Images) -> tuple[Array, Array]:
    """Blobs of each pattern at several widths: places (n, k, 2) in px and heights.

    Heights are differences of square roots, in units of the pattern's highest at that width.
    """
    small, factor = binned(patterns, _SEARCH_SIZE)
    seen = np.isfinite(small)
    values = np.where(seen, np.maximum(small, 0), 0)
    places, heights = [], []
    for width in _WIDTHS:
        near, far = (smooth(values, seen, w) for w in (width, 2.5 * width))
        contrast = np.where(seen, np.sqrt(near) - np.sqrt(far), 0)
        place, height = maxima(contrast, _PER_WIDTH, int(np.ceil(1.5 * width)))
        places.append(place)
        heights.append(height / np.maximum(height.max(axis=1, keepdims=True), 1e-12))
    place, height = np.concatenate(places, axis=1), np.concatenate(heights, axis=1)
    order = np.argsort(-height, axis=1, kind="stable")
    place = np.take_along_axis(place, order[..., None], axis=1)
    return (place + 0.5) * factor - 0.5, np.take_along_axis(height, order, axis=1)
