"""Compiled background of one pattern, on square cells of a few px.

First, with all spots in the pattern: a clipped profile about the direct beam plus what remains,
clipped and smoothed. Then, with the spots known: from between them.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from phaseloom.diffraction.spots.image_filters import COMPILED, between, convolve, radial_profile

_CLIP = np.float32(2.5)
_ALIKE = 9.0
"""Square of the difference of a ring from its neighbours, in units of its noise, that is chance."""
_COUNTED = 1e4
"""Electrons from which a ring is known to differ from its neighbours."""

_REMAINS = 0.05
"""Part of a ring that may be what spots left of themselves: no difference from its neighbours."""


@njit(**COMPILED)
def usable_in_cells(static, masked_count, bad, n_bad, base, stride, side, out):
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
        if y // side < rows and x // side < columns:
            out[y // side, x // side] -= np.float32(1.0)


@njit(**COMPILED)
def rings_about(y, x, side, ring, beyond):
    """Distances of all cells from the beam (px), in cells, rounded, and what they are beyond."""
    cy = (y + 0.5) / side - 0.5
    cx = (x + 0.5) / side - 0.5
    for i in range(ring.shape[0]):
        for j in range(ring.shape[1]):
            away = math.sqrt((i - cy) ** 2 + (j - cx) ** 2)
            ring[i, j] = int(away + 0.5)
            beyond[i, j] = away - ring[i, j]


@njit(**COMPILED)
def carried_inwards(profile, weight, least):
    """Within the first ring of more than this weight the profile is what it is there."""
    k = 0
    while k < profile.size and not weight[k] > least:
        k += 1
    if k < profile.size:
        for j in range(k):
            profile[j] = profile[k]


@njit(**COMPILED)
def at_distance(profile, ring, beyond):
    """The profile at a distance from the beam, in straight lines between whole ones."""
    other = min(ring + 1, profile.size - 1) if beyond > 0 else max(ring - 1, 0)
    return profile[ring] + abs(beyond) * (profile[other] - profile[ring])


@njit(**COMPILED)
def smooth(values, weight, taps, middles, scratch, out):
    """Weighted mean of cells over their neighbours: blur(values · weight) / blur(weight).

    At the edges the neighbours lie on one side: there the mean is carried along its slope from
    the neighbours' middle to the cell, so that a background that rises to the edge is followed.

    Parameters
    ----------
    middles
        For rows and for columns, the mean place of the neighbours of each.
    scratch
        Five flat padded images, zero outside, and one of the cells' shape.
    """
    rows, columns = values.shape
    r = taps.size - 1
    stride = columns + r
    n = rows * stride
    weighted, weights, first, second, half_done, mean = scratch
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
            value = a[x] / max(b[x], np.float32(1e-6))
            mean[y, x] = value
            out[y, x] = value
    down, across = middles
    for y in range(rows):
        above, below = max(y - 1, 0), min(y + 1, rows - 1)
        lever = (y - down[y]) / (down[below] - down[above])
        if abs(lever) > np.float32(0.02):
            for x in range(columns):
                out[y, x] += lever * (mean[below, x] - mean[above, x])
    for x in range(columns):
        left, right = max(x - 1, 0), min(x + 1, columns - 1)
        lever = (x - across[x]) / (across[right] - across[left])
        if abs(lever) > np.float32(0.02):
            for y in range(rows):
                out[y, x] += lever * (mean[y, right] - mean[y, left])


@njit(**COMPILED)
def first_background(
    sums, weight, full, ring, beyond, inner, gain, floor, taps, profiles, middles, scratch, radial,
    cells, crest, rings, spare,
):  # fmt: skip
    """Background on the cells of a pattern with all its spots: clipped radial, then local.

    Parameters
    ----------
    sums, weight
        Counts of the cells, and usable px in them.
    full
        Pixels of a whole cell.
    radial, cells
        Filled: the radial part at every cell, and the whole, in counts per px.
    crest, rings
        What was taken off the cells before, in counts per px, and whether that was the radial part.
    """
    rows, columns = sums.shape
    for y in range(rows):
        for x in range(columns):
            cells[y, x] = sums[y, x] / max(weight[y, x], np.float32(1.0))
    profile = profiles[0]
    profile[:] = 0.0
    if not rings:
        radial_profile(
            cells, weight, ring, inner, gain, floor, _CLIP, full, profile, profiles[1], profiles[2]
        )
        for k in range(inner):
            profiles[2, k] = 0.0
        carried_inwards(profile, profiles[2], np.float32(0.0))
    for y in range(rows):
        for x in range(columns):
            expected = at_distance(profile, ring[y, x], beyond[y, x])
            w = max(weight[y, x], np.float32(1.0))
            most = max(expected + crest[y, x], np.float32(0.0))
            noise = math.sqrt((gain * most + floor) / w)
            spare[y, x] = min(cells[y, x] - expected, 2 * noise + 2 * gain / w)
            radial[y, x] = expected
    smooth(spare, weight, taps, middles, scratch, spare)
    for y in range(rows):
        for x in range(columns):
            cells[y, x] = radial[y, x] + spare[y, x]


@njit(**COMPILED)
def profile_between(mean, ground, share, ring, inner, gain, floor, profile, total, weight, level):
    """Mean of cells by their distance from the direct beam, over rings near each other.

    The wider the ring the more of its neighbours count with it: far out there are few counts. But
    only as many as it is alike, for its noise: a steep background is no mean of wide rings.

    Parameters
    ----------
    mean, ground, share
        (rows, columns): counts per px of the cells, as far as they are to have a profile and as
        the noise has them, and what they count for.
    ring, inner, gain, floor, profile, total, weight, level
        As of :func:`phaseloom.diffraction.spots.image_filters.radial_profile`. Where there is
        nothing the profile is carried on.
    """
    n = profile.size
    for k in range(n):
        total[k] = 0.0
        weight[k] = 0.0
        level[k] = 0.0
    for y in range(mean.shape[0]):
        for x in range(mean.shape[1]):
            total[ring[y, x]] += share[y, x] * mean[y, x]
            weight[ring[y, x]] += share[y, x]
            level[ring[y, x]] += share[y, x] * max(ground[y, x], np.float32(0.0))
    for k in range(n):
        for wide in range(k // 6 + 1, -1, -1):
            most = np.float32(0.0)
            there = np.float32(0.0)
            for j in range(max(inner, k - wide), min(n, k + wide + 1)):
                most += total[j]
                there += weight[j]
            profile[k] = most / there if there > 1.0 else profile[max(k - 1, 0)]
            if not (weight[k] > 1.0 and level[k] > _COUNTED * gain):
                break
            noise = (gain * level[k] / weight[k] + floor) / weight[k]
            noise = _ALIKE * noise + (_REMAINS * level[k] / weight[k]) ** 2
            if (total[k] / weight[k] - profile[k]) ** 2 < noise:
                break
    for k in range(inner):
        weight[k] = 0.0
    carried_inwards(profile, weight, np.float32(1.0))


@njit(**COMPILED)
def better_background(
    seen, left, weight, ring, beyond, inner, gain, floor, taps, profiles, middles, scratch, radial,
    cells, crest, share, spare,
):  # fmt: skip
    """Background from between the spots, which are known by now.

    Cells count the less the more of them is spots: what a spot's fit leaves is no background.

    Parameters
    ----------
    seen, left
        Sums over the cells of the pattern and of what the model leaves of it.
    radial, cells, spare
        Background and its radial part, replaced by the better ones, and the change.
    crest
        What rings have in the cells besides, in counts per px.
    share
        Scratch of the cells' shape.
    """
    rows, columns = left.shape
    for y in range(rows):
        for x in range(columns):
            w = max(weight[y, x], np.float32(1.0))
            ground = max(cells[y, x] + crest[y, x], np.float32(1e-6))
            expected = max((seen[y, x] - left[y, x]) / w, ground)
            share[y, x] = weight[y, x] * (ground / expected) ** 2
            radial[y, x] = ground
            limit = 3 * math.sqrt((gain * ground + floor) / w)
            value = max(-limit, min(left[y, x] / w, limit + 4 * gain / w))
            spare[y, x] = value + cells[y, x]
    # Spots that crowd on a ring lifted its first profile, and no smooth change takes that back.
    profile = profiles[0]
    profile_between(
        spare, radial, share, ring, inner, gain, floor, profile, profiles[1], profiles[2],
        profiles[3],
    )  # fmt: skip
    for y in range(rows):
        for x in range(columns):
            radial[y, x] = at_distance(profile, ring[y, x], beyond[y, x])
            spare[y, x] -= radial[y, x]
    smooth(spare, share, taps, middles, scratch, spare)
    for y in range(rows):
        for x in range(columns):
            better = radial[y, x] + spare[y, x]
            spare[y, x] = better - cells[y, x]
            cells[y, x] = better


@njit(**COMPILED)
def misfit_between(
    left, weight, share, change, cells, crest, gain, floor, taps, middles, number, scratch, out
):
    """Variance between the spots, in units of what counting makes; at least 1.

    More than 1 where the background has a structure that is finer than its model, or where the
    noise is more than that of counting: what stands out there must stand out of that too.

    Parameters
    ----------
    left, change
        Sums over the cells of what the model leaves of the pattern, and by how much the
        background (``cells``, counts per px) was changed since.
    crest
        What rings have in the cells besides, in counts per px.
    number
        Cells that the mean over neighbours is over.
    out
        Filled, (rows, columns).
    """
    rows, columns = left.shape
    for y in range(rows):
        for x in range(columns):
            w = max(weight[y, x], np.float32(1.0))
            rest = left[y, x] / w - change[y, x]
            ground = max(cells[y, x] + crest[y, x], np.float32(1e-3) * gain)
            variance = (gain * ground + floor) / w
            out[y, x] = min(rest * rest / variance, np.float32(50.0))
    smooth(out, share, taps, middles, scratch, out)
    for y in range(rows):
        for x in range(columns):
            counts = max(cells[y, x] * weight[y, x] / gain, np.float32(1e-2))
            chance = 2 * math.sqrt((2 + 1 / counts) / number)
            out[y, x] = max(np.float32(1.0), out[y, x] - chance)


@njit(**COMPILED)
def cells_at(cells, side, y, x):
    """Value at a point (px), interpolated between the cells' middles."""
    rows, columns = cells.shape
    a, b, f = between(y, side, rows)
    c, d, g = between(x, side, columns)
    top = cells[a, c] * (1 - g) + cells[a, d] * g
    bottom = cells[b, c] * (1 - g) + cells[b, d] * g
    return top * (1 - f) + bottom * f
