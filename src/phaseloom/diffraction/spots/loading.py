"""Compiled loading of one pattern: corrected counts, saturated pixels, bins; sums over its pixels.

What of the search (:mod:`phaseloom.diffraction.spots.kernel`) works on pixels and not on bins.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from phaseloom.diffraction.spots.fitting import BEYOND
from phaseloom.diffraction.spots.image_filters import COMPILED, bin_sums

_BRIGHT = np.float32(0.25)
"""Least part of a saturated pixel that is beside it when it belongs to a spot."""

_LOADING = {**COMPILED, "fastmath": {"reassoc", "nsz", "contract"}}


@njit(**_LOADING)
def load(source, dark, gain, saturation, check, masked, image, base, stride, bad):
    """Corrected counts of one pattern into the padded image; unusable pixels become 0.

    Parameters
    ----------
    source
        (rows, columns) as recorded, of any type.
    dark, gain
        (rows, columns) float32, or empty.
    saturation
        Recorded value from which a pixel is unusable.
    check
        Whether there may be saturated or missing pixels at all.
    masked
        Places in the image of the pixels that are never usable, in order.
    bad
        Filled with the places of all unusable pixels, the masked ones first.

    Returns
    -------
    int
        Number of unusable pixels.
    """
    height, width = source.shape
    n = masked.size
    for i in range(n):
        bad[i] = masked[i]
    next_masked = 0
    for y in range(height):
        at = base + y * stride
        row = image[at:]
        line = source[y]
        for x in range(width):
            row[x] = np.float32(line[x])
        if check:
            # A masked pixel that is also full counts once.
            while next_masked < masked.size and masked[next_masked] < at + width:
                image[masked[next_masked]] = 0.0
                next_masked += 1
            for x in range(width):
                if not (row[x] < saturation and row[x] > -np.inf):
                    bad[n] = at + x
                    n += 1
                    row[x] = 0.0
        if dark.size > 0:
            for x in range(width):
                row[x] -= dark[y, x]
        if gain.size > 0:
            for x in range(width):
                row[x] *= gain[y, x]
    for i in range(n):
        image[bad[i]] = 0.0
    return n


@njit(**_LOADING)
def fill(source, dark, gain, saturation, image, frame, bad, first, n):
    """Saturated pixels become what a full one counts, where what is beside them is bright too.

    Makers mark pixels that do not count with the largest value as well: nothing is known of a
    full one among faint ones.

    Parameters
    ----------
    source, dark, gain, saturation
        As for :func:`load`.
    image, frame
        The corrected pattern, unusable pixels 0, and (rows, columns, stride, base) of it.
    bad
        Places of the unusable pixels, of which those from ``first`` to ``n`` are not masked.
    """
    height, width, stride, base = frame
    grown = True
    while grown:
        grown = False
        for i in range(first, n):
            y, x = divmod(bad[i] - base, stride)
            if image[bad[i]] != 0 or not saturation <= source[y, x] < np.inf:
                continue
            much = saturation
            if dark.size > 0:
                much -= dark[y, x]
            if gain.size > 0:
                much *= gain[y, x]
            beside = np.float32(0.0)
            for v in range(max(y - 1, 0), min(y + 2, height)):
                for u in range(max(x - 1, 0), min(x + 2, width)):
                    beside = max(beside, image[base + v * stride + u])
            if beside > _BRIGHT * much > 0:
                image[bad[i]] = much
                grown = True


@njit(**COMPILED)
def into_bins(full, frame, bad, n_bad, side, row, image, bins, bad_bins, at_least):
    """The counts of the bins; how many unusable ones there are, and which.

    A bin with an unusable pixel is unusable. What is known of it, if one is saturated, goes into
    ``at_least``.
    """
    _, _, stride, base = frame
    rows, columns, wide, start = bins
    bin_sums(full, base, stride, side, row, image, start, wide, rows, columns)
    n = 0
    for i in range(n_bad):
        y, x = divmod(bad[i] - base, stride)
        y //= side
        x //= side
        at = start + y * wide + x
        if y < rows and x < columns and image[at] > BEYOND:
            at_least[n] = image[at] if full[bad[i]] > 0 else np.float32(0.0)
            image[at] = BEYOND
            bad_bins[n] = at
            n += 1
    for i in range(n):
        image[bad_bins[i]] = 0.0
    return n


@njit(**COMPILED)
def sum_within(image, frame, y, x, radius):
    """Sum of the pixels whose middle is within a circle."""
    height, width, stride, base = frame
    total = 0.0
    for j in range(max(0, math.ceil(y - radius)), min(height, int(y + radius) + 1)):
        reach = math.sqrt(max(radius * radius - (j - y) ** 2, 0.0))
        for i in range(max(0, math.ceil(x - reach)), min(width, int(x + reach) + 1)):
            total += image[base + j * stride + i]
    return total


@njit(**COMPILED)
def spread_outside(image, frame, ends, bad, n_bad):
    """Standard deviation of the usable pixels outside the inscribed circle."""
    height, width, stride, base = frame
    n = 0
    total = 0.0
    squares = 0.0
    for y in range(height):
        n += width - (ends[y, 1] - ends[y, 0])
        first = image[base + y * stride :]
        last = image[base + y * stride + ends[y, 1] :]
        a = np.float32(0.0)
        b = np.float32(0.0)
        for x in range(ends[y, 0]):
            a += first[x]
            b += first[x] * first[x]
        for x in range(width - ends[y, 1]):
            a += last[x]
            b += last[x] * last[x]
        total += float(a)
        squares += float(b)
    for i in range(n_bad):
        y, x = divmod(bad[i] - base, stride)
        outside = x < ends[y, 0] or x >= ends[y, 1]
        n -= 1 if outside and image[bad[i]] == 0 else 0
    if n < 16:
        return np.nan
    return math.sqrt(max(squares / n - (total / n) ** 2, 0.0))
