"""Compiled steps of the published registration (:mod:`phaseloom.diffraction.spots.published`)."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from phaseloom.diffraction.spots.image_filters import COMPILED, convolve

COLUMNS = 5
"""Of a peak: row, column, intensity, background, prominence."""

_EMPTY = np.float32(3e38)
_LIMIT = np.float32(1e38)
_FAR = 1e300
_WINDOW, _BEAM_WINDOW = 5.0, 10.0
_ROUNDS = 5
_DISC = 3.0


@njit(**COMPILED)
def lower_envelope(line, curvature, place, border, out):
    """Lowest of the parabolas ``line[j] + curvature · (i − j)²`` at every i.

    P. F. Felzenszwalb, D. P. Huttenlocher, Theory Comput. 8, 415 (2012), section 2.1.

    Parameters
    ----------
    line, out
        (n,) float32; values of 1e38 and more are parabolas that are not there.
    place, border
        Scratch, at least n and n + 1 long: whose parabola is lowest, and from where on.
    """
    n = out.size
    last = -1
    for j in range(n):
        value = line[j]
        if value > _LIMIT:
            continue
        start = -_FAR
        while last >= 0:
            k = place[last]
            start = 0.5 * ((value - line[k]) / (curvature * (j - k)) + (j + k))
            if start > border[last]:
                break
            last -= 1
        last += 1
        place[last] = j
        border[last] = start
    if last < 0:
        for i in range(n):
            out[i] = _EMPTY
        return
    border[last + 1] = _FAR
    k = 0
    for i in range(n):
        while border[k + 1] < i:
            k += 1
        d = i - place[k]
        out[i] = np.float32(line[place[k]] + curvature * d * d)


@njit(**COMPILED)
def erode(image, curvature, line, place, border):
    """Erosion with a paraboloid, in place: lower envelopes along the rows, then the columns."""
    height, width = image.shape
    for y in range(height):
        for x in range(width):
            line[x] = image[y, x]
        lower_envelope(line, curvature, place, border, image[y])
    column = line[height:]
    for x in range(width):
        for y in range(height):
            line[y] = image[y, x]
        lower_envelope(line, curvature, place, border, column[:height])
        for y in range(height):
            image[y, x] = column[y]


@njit(**COMPILED)
def paraboloid_background(image, usable, curvature, line, place, border, out):
    """Opening of an image with the paraboloid ``−curvature · r²``.

    S. R. Sternberg, Computer 16, 22 (1983), with a paraboloid in place of the ball.

    Parameters
    ----------
    image
        (rows, columns) counts; pixels that are not ``usable`` do not count.
    curvature
        Counts per px²; 0: the lowest pixel.
    line, place, border
        Scratch, longer than twice the longest side.
    """
    height, width = image.shape
    if curvature <= 0:
        least = _EMPTY
        for y in range(height):
            for x in range(width):
                if usable[y, x]:
                    least = min(least, image[y, x])
        out[:] = least
        return
    for y in range(height):
        for x in range(width):
            out[y, x] = image[y, x] if usable[y, x] else _EMPTY
    erode(out, curvature, line, place, border)
    for y in range(height):
        for x in range(width):
            out[y, x] = -out[y, x]
    erode(out, curvature, line, place, border)
    for y in range(height):
        for x in range(width):
            out[y, x] = -out[y, x]


@njit(**COMPILED)
def blur(image, taps, padded, half_done, done, out):
    """Gaussian blur; what would lie beyond the edges does not count.

    Parameters
    ----------
    image, out
        (rows, columns).
    taps
        Half of the filter, as of :func:`phaseloom.diffraction.spots.image_filters.convolve`.
    padded, half_done, done
        Scratch, zero in the beginning, rows ``columns + r`` apart.
    """
    height, width = image.shape
    r = taps.size - 1
    stride = width + r
    n = height * stride
    for y in range(height):
        row = padded[(y + r) * stride :]
        for x in range(width):
            row[x] = image[y, x]
    convolve(padded, stride, taps, half_done[r:], n)
    convolve(half_done, 1, taps, done, n)
    for y in range(height):
        down = _share(taps, y, height)
        for x in range(width):
            out[y, x] = done[y * stride + x] / down
    for x in range(width):
        across = _share(taps, x, width)
        if across < 1:
            for y in range(height):
                out[y, x] /= across


@njit(**COMPILED)
def _share(taps, i, size):
    """How much of the filter lies within the image at place i of a line; 1 at most."""
    r = taps.size - 1
    if i >= r and i < size - r:
        return np.float32(1.0)
    total = np.float32(0.0)
    for j in range(max(0, i - r), min(size, i + r + 1)):
        total += taps[abs(j - i)]
    return min(total, np.float32(1.0))


@njit(**COMPILED)
def _root(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(**COMPILED)
def prominent_maxima(image, least, rank, parent, stands):
    """Local maxima (8 neighbours) by topographic prominence, in one flood from the top.

    Pixels come out of the water from the highest down (of equal ones the first in reading
    order), and join the islands they touch. Where two islands meet, the lower summit stands
    above the saddle by its prominence. The highest summit of all stands above the lowest pixel.

    Parameters
    ----------
    image
        (rows, columns).
    least
        Maxima must stand out by more than this, which is not negative.
    rank, parent, stands
        Scratch, one value per pixel.

    Returns
    -------
    places, prominences : numpy.ndarray
        row · columns + column of the maxima, none on the image's edge, highest first.
    """
    height, width = image.shape
    flat = image.ravel()
    order = np.argsort(-flat, kind="mergesort")
    for n in range(order.size):
        rank[order[n]] = n
    # Islands are known by the rank of their summit, the lowest in them.
    for n in range(order.size):
        y, x = divmod(order[n], width)
        parent[n] = n
        stands[n] = 0.0
        home = n
        for j in range(max(0, y - 1), min(height, y + 2)):
            for i in range(max(0, x - 1), min(width, x + 2)):
                if rank[j * width + i] >= n:
                    continue
                other = _root(parent, rank[j * width + i])
                if other != home:
                    low = max(home, other)
                    home = min(home, other)
                    parent[low] = home
                    stands[low] = flat[order[low]] - flat[order[n]]
    stands[0] = flat[order[0]] - flat[order[order.size - 1]]
    found = 0
    for n in range(order.size):
        y, x = divmod(order[n], width)
        if stands[n] > least and 0 < y < height - 1 and 0 < x < width - 1:
            order[found] = order[n]
            stands[found] = stands[n]
            found += 1
    return order[:found], stands[:found]


@njit(**COMPILED)
def centre_of_mass(image, y, x, half):
    """Centre of mass within ±``half`` px on both axes, moved along for five rounds."""
    height, width = image.shape
    for _ in range(_ROUNDS):
        total = 0.0
        down = 0.0
        across = 0.0
        for j in range(max(0, math.ceil(y - half)), min(height, math.floor(y + half) + 1)):
            for i in range(max(0, math.ceil(x - half)), min(width, math.floor(x + half) + 1)):
                value = image[j, i]
                total += value
                down += j * value
                across += i * value
        if not total > 0:
            break
        y, x = down / total, across / total
    return y, x


@njit(**COMPILED)
def mean_within(image, usable, y, x, radius):
    """Mean of the usable pixels whose middle is within a circle, and their sum."""
    height, width = image.shape
    total = 0.0
    n = 0
    for j in range(max(0, math.ceil(y - radius)), min(height, math.floor(y + radius) + 1)):
        for i in range(max(0, math.ceil(x - radius)), min(width, math.floor(x + radius) + 1)):
            if usable[j, i] and (j - y) ** 2 + (i - x) ** 2 <= radius * radius:
                total += image[j, i]
                n += 1
    return total / n if n > 0 else np.nan, total


@njit(**COMPILED)
def register_prominent(
    patterns, usable, measured, curvature, least, beams, sigma, out, number, maps
):
    """All steps for a number of patterns.

    Parameters
    ----------
    patterns, usable
        (n, rows, columns) float32 corrected counts, 0 where not usable.
    measured
        (n,) False where there is too little of a pattern.
    curvature, least
        (n,) of the paraboloid, counts per px²; prominence to exceed, counts per px.
    beams
        (n, 2) where the direct beam should be.
    out, number, maps
        Filled: (n, most peaks, ``COLUMNS``), (n,), (beam row, beam column, bright field; n).
    """
    count, height, width = patterns.shape
    most = out.shape[1]
    longest = max(height, width)
    line = np.empty(2 * longest, np.float32)
    place = np.empty(longest, np.int64)
    border = np.empty(longest + 1)
    background = np.empty((height, width), np.float32)
    flat = np.empty((height, width), np.float32)
    smooth = np.empty((height, width), np.float32)
    r = 4 * math.ceil(3 * sigma / 4)
    taps = np.empty(r + 1, np.float32)
    for i in range(r + 1):
        taps[i] = math.exp(-0.5 * (i / sigma) ** 2)
    taps /= taps[0] + 2 * taps[1:].sum()
    stride = width + r
    padded = np.zeros((height + 2 * r) * stride + 2 * r + 64, np.float32)
    half_done = np.zeros(height * stride + 2 * r + 64, np.float32)
    done = np.zeros(height * stride + 64, np.float32)
    rank = np.empty(height * width, np.int64)
    parent = np.empty(height * width, np.int64)
    stands = np.empty(height * width)
    for n in range(count):
        if not measured[n]:
            continue
        image = patterns[n]
        paraboloid_background(image, usable[n], curvature[n], line, place, border, background)
        for y in range(height):
            for x in range(width):
                flat[y, x] = image[y, x] - background[y, x] if usable[n, y, x] else 0.0
        blur(flat, taps, padded, half_done, done, smooth)
        peaks, heights = prominent_maxima(smooth, least[n], rank, parent, stands)
        order = np.argsort(-heights, kind="mergesort")[:most]
        beam_y, beam_x = beams[n, 0], beams[n, 1]
        _, maps[2, n] = mean_within(image, usable[n], beam_y, beam_x, _BEAM_WINDOW)
        beam = -1
        nearest = 1e30
        for k in range(order.size):
            y, x = divmod(peaks[order[k]], width)
            distance = (y - beam_y) ** 2 + (x - beam_x) ** 2
            if distance < nearest:
                beam, nearest = k, distance
        for k in range(order.size):
            at = peaks[order[k]]
            j, i = divmod(at, width)
            half = _BEAM_WINDOW if k == beam else _WINDOW
            y, x = centre_of_mass(smooth, j, i, half)
            out[n, k, 0] = y
            out[n, k, 1] = x
            out[n, k, 2], _ = mean_within(flat, usable[n], y, x, _DISC)
            out[n, k, 3] = background[j, i]
            out[n, k, 4] = heights[order[k]]
            if k == beam:
                maps[0, n] = y
                maps[1, n] = x
        number[n] = order.size
