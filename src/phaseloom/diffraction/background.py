"""Compiled background of one pattern, estimated on cells of 4×4 px.

First, with all spots in the pattern: a clipped profile about the direct beam plus what remains,
clipped and smoothed. Then, with the spots known: from between them.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from phaseloom.diffraction.filters import CELL, COMPILED, between, convolve, radial_profile

_CLIP = np.float32(2.5)


@njit(**COMPILED)
def usable_in_cells(static, masked_count, bad, n_bad, base, stride, out):
    """Usable px of every cell: the static ones less those unusable in this pattern alone.

    Parameters
    ----------
    static
        (rows, columns) usable px of the cells by the detector's mask.
    bad, n_bad, masked_count
        Places of all unusable px, of which the first ``masked_count`` are in the mask.
    """
    rows, columns = static.shape
    for y in range(rows):
        for x in range(columns):
            out[y, x] = static[y, x]
    for i in range(masked_count, n_bad):
        y, x = divmod(bad[i] - base, stride)
        if y // CELL < rows and x // CELL < columns:
            out[y // CELL, x // CELL] -= np.float32(1.0)


@njit(**COMPILED)
def rings_about(y, x, ring):
    """Distances of all cells from the beam (px), in cells, rounded."""
    cy = (y + 0.5) / CELL - 0.5
    cx = (x + 0.5) / CELL - 0.5
    for i in range(ring.shape[0]):
        for j in range(ring.shape[1]):
            ring[i, j] = int(math.sqrt((i - cy) ** 2 + (j - cx) ** 2) + 0.5)


@njit(**COMPILED)
def smooth(values, weight, taps, scratch, out):
    """Weighted mean of cells over their neighbours: blur(values · weight) / blur(weight).

    ``scratch`` are five flat padded images, zero outside.
    """
    rows, columns = values.shape
    r = taps.size - 1
    stride = columns + r
    n = rows * stride
    weighted, weights, first, second, half_done = scratch
    for y in range(rows):
        a = weighted[(y + r) * stride :]
        b = weights[(y + r) * stride :]
        for x in range(columns):
            a[x] = values[y, x] * weight[y, x]
            b[x] = weight[y, x]
    convolve(weighted, stride, taps, half_done[r:], n)
    convolve(half_done, 1, taps, first, n)
    convolve(weights, stride, taps, half_done[r:], n)
    convolve(half_done, 1, taps, second, n)
    for y in range(rows):
        a = first[y * stride :]
        b = second[y * stride :]
        for x in range(columns):
            out[y, x] = a[x] / max(b[x], np.float32(1e-6))


@njit(**COMPILED)
def first_background(
    sums, weight, ring, inner, gain, floor, taps, profiles, scratch, radial, cells, spare
):
    """Background on the cells of a pattern with all its spots: clipped radial, then local.

    Parameters
    ----------
    sums, weight
        Counts of the cells, and usable px in them.
    radial, cells
        Filled: the radial part at every cell, and the whole, in counts per px.
    """
    rows, columns = sums.shape
    for y in range(rows):
        for x in range(columns):
            cells[y, x] = sums[y, x] / max(weight[y, x], np.float32(1.0))
    profile = profiles[0]
    radial_profile(
        cells, weight, ring, inner, gain, floor, _CLIP, profile, profiles[1], profiles[2]
    )
    for y in range(rows):
        for x in range(columns):
            expected = profile[ring[y, x]]
            w = max(weight[y, x], np.float32(1.0))
            noise = math.sqrt((gain * max(expected, np.float32(0.0)) + floor) / w)
            spare[y, x] = min(cells[y, x] - expected, 2 * noise + 2 * gain / w)
            radial[y, x] = expected
    smooth(spare, weight, taps, scratch, spare)
    for y in range(rows):
        for x in range(columns):
            cells[y, x] = radial[y, x] + spare[y, x]


@njit(**COMPILED)
def profile_between(mean, share, ring, inner, profile, total, weight):
    """Mean of cells by their distance from the direct beam, over rings near each other.

    The wider the ring the more of its neighbours count with it: far out there are few counts.

    Parameters
    ----------
    mean, share
        (rows, columns): counts per px of the cells, and what they count for.
    ring, inner, profile, total, weight
        As of :func:`phaseloom.diffraction.filters.radial_profile`. Where there is nothing the
        profile is carried on.
    """
    n = profile.size
    for k in range(n):
        total[k] = 0.0
        weight[k] = 0.0
    for y in range(mean.shape[0]):
        for x in range(mean.shape[1]):
            total[ring[y, x]] += share[y, x] * mean[y, x]
            weight[ring[y, x]] += share[y, x]
    for k in range(n):
        wide = k // 6 + 1
        most = np.float32(0.0)
        there = np.float32(0.0)
        for j in range(max(inner, k - wide), min(n, k + wide + 1)):
            most += total[j]
            there += weight[j]
        profile[k] = most / there if there > 1.0 else profile[max(k - 1, 0)]
    for k in range(inner):
        profile[k] = profile[inner]


@njit(**COMPILED)
def better_background(
    seen, left, weight, ring, inner, gain, floor, taps, profiles, scratch, radial, cells, share,
    spare,
):  # fmt: skip
    """Background from between the spots, which are known by now.

    Cells count the less the more of them is spots: what a spot's fit leaves is no background.

    Parameters
    ----------
    seen, left
        Sums over the cells of the pattern and of what the model leaves of it.
    radial, cells, spare
        Background and its radial part, replaced by the better ones, and the change.
    share
        Scratch of the cells' shape.
    """
    rows, columns = left.shape
    for y in range(rows):
        for x in range(columns):
            w = max(weight[y, x], np.float32(1.0))
            ground = max(cells[y, x], np.float32(1e-6))
            expected = max((seen[y, x] - left[y, x]) / w, ground)
            share[y, x] = weight[y, x] * (ground / expected) ** 2
            limit = 3 * math.sqrt((gain * ground + floor) / w)
            value = max(-limit, min(left[y, x] / w, limit + 4 * gain / w))
            spare[y, x] = value + cells[y, x]
    # Spots that crowd on a ring lifted its first profile, and no smooth change takes that back.
    profile = profiles[0]
    profile_between(spare, share, ring, inner, profile, profiles[1], profiles[2])
    for y in range(rows):
        for x in range(columns):
            radial[y, x] = profile[ring[y, x]]
            spare[y, x] -= radial[y, x]
    smooth(spare, share, taps, scratch, spare)
    for y in range(rows):
        for x in range(columns):
            better = radial[y, x] + spare[y, x]
            spare[y, x] = better - cells[y, x]
            cells[y, x] = better


@njit(**COMPILED)
def background_at(cells, y, x):
    """Background at a point (px), interpolated between the cells."""
    rows, columns = cells.shape
    a, b, f = between(y, rows)
    c, d, g = between(x, columns)
    top = cells[a, c] * (1 - g) + cells[a, d] * g
    bottom = cells[b, c] * (1 - g) + cells[b, d] * g
    return top * (1 - f) + bottom * f
