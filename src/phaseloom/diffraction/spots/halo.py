"""Compiled rings of one pattern that are finer than the cells of its background.

The halo of an amorphous film may be as narrow as a few spots, which cells of some bins do not
follow. Where a pattern has such rings, its profile about the direct beam is taken off bin by bin:
medians over sectors, so that spots make no ring, smoothed as far as noise explains what is finer
(positive-part shrinkage: C. Stein, Ann. Stat. 9, 1135 (1981)). The cells have the rest.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from phaseloom.diffraction.spots.image_filters import COMPILED

SECTORS = 16
"""Parts of a ring, about 22.5° each."""

_ABSENT = np.float32(-1e29)
_LEAST = np.float32(1e-3)
_CLIP = np.float32(2.5)
_ROUNDS = 3
_WINDOW = 2
"""Rings on either side that tell with a ring whether there is anything."""
_DOUBT = 4.0
_DOUBT_LATER = 1.2
"""Mean square of rings, in units of the noise, that is taken for nothing: with all spots in the
pattern, and with those that were found taken off."""
_SURE = 16.0
"""Mean square from which a pattern has rings that its cells do not follow."""
_COARSE = 4
"""Cells on either side over which the profile is no fine part of itself."""
_EVEN = 2.0
"""Lower and upper third of the sectors of a halo are no further apart, in standard deviations."""
_MEDIAN = 1.57
"""Variance of a median over that of a mean."""
_BLUR = np.float32(0.125)
"""Of a second difference: 1/24 for the mean over a ring, 1/12 for straight lines between them."""
_FEWEST = 12.0
_MANY = np.float32(200.0)
"""Counts of a ring that may show structure, and of one whose sectors have a median worth the name.
"""


@njit(**COMPILED)
def places(frame, beam_y, beam_x, at):
    """Ring and sector of every bin: ``SECTORS`` · (distance from the beam, rounded) + sector."""
    height, width = frame[0], frame[1]
    for y in range(height):
        down = np.float32(y - beam_y)
        line = at[y]
        for x in range(width):
            across = np.float32(x - beam_x)
            ring = np.int32(math.sqrt(down * down + across * across) + np.float32(0.5))
            less, more = min(abs(down), abs(across)), max(abs(down), abs(across))
            sector = (down > 0) + 2 * (across > 0) + 4 * (abs(down) > abs(across))
            sector += 8 * (less > np.float32(0.41) * more)
            line[x] = SECTORS * ring + np.int32(sector)


@njit(**COMPILED)
def sector_sums(image, frame, at, most, total, number):
    """Sums over the sectors of the rings, of bins that hold no more than ``most`` of the ring.

    Parameters
    ----------
    image, frame
        Padded pattern, unusable bins far below zero.
    at
        From :func:`places`.
    total, number
        Filled: sums and numbers of bins, ``SECTORS`` of every ring.
    """
    height, width, stride, base = frame
    total[:] = 0.0
    number[:] = 0.0
    for y in range(height):
        seen = image[base + y * stride :]
        line = at[y]
        for x in range(width):
            k = line[x]
            if _ABSENT < seen[x] <= most[k // SECTORS]:
                total[k] += seen[x]
                number[k] += np.float32(1.0)


@njit(**COMPILED)
def quantiles_of_sectors(total, number, ring, few, means):
    """Median, lower and upper third of the sectors' means of a ring, and of how many bins.

    In place of the median the mean where the whole ring holds no more than ``few`` counts: then
    the median, being skewed, is less.
    """
    n = 0
    bins = np.float32(0.0)
    counts = np.float32(0.0)
    for s in range(SECTORS):
        k = SECTORS * ring + s
        if number[k] > 0.0:
            value = total[k] / number[k]
            m = n
            while m > 0 and means[m - 1] > value:
                means[m] = means[m - 1]
                m -= 1
            means[m] = value
            bins += number[k]
            counts += total[k]
            n += 1
    if n == 0:
        return np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
    middle = np.float32(0.5) * (means[(n - 1) // 2] + means[n // 2])
    if counts <= few:
        middle = counts / bins
    return middle, means[n // 3], means[(2 * n) // 3], bins


@njit(**COMPILED)
def shrunk(deviation, weight, inner, doubt, profile):
    """Deviations of the rings as far as they stand out of the noise.

    Parameters
    ----------
    deviation, weight
        Of every ring, and one over the square of its standard error; 0 where there is none.
    inner
        Rings within are the direct beam's.
    doubt
        Mean square of a ring and its neighbours, in units of the noise, that is no ring.
    profile
        Filled.

    Returns
    -------
    float
        The largest mean square of a ring and its neighbours.
    """
    n = profile.size
    most = 0.0
    for k in range(n):
        profile[k] = 0.0
        if k < inner or not weight[k] > 0.0:
            continue
        square = 0.0
        rings = 0.0
        for j in range(max(inner, k - _WINDOW), min(n, k + _WINDOW + 1)):
            if weight[j] > 0.0:
                square += deviation[j] * deviation[j] * weight[j]
                rings += 1.0
        most = max(most, square / rings)
        profile[k] = max(0.0, 1.0 - doubt * rings / max(square, 1e-9)) * deviation[k]
    return most


@njit(**COMPILED)
def smoothed(level, number, inner, reach, curved, out):
    """A profile smoothed with means, or parabolas, over ``reach`` rings on either side."""
    n = level.size
    for k in range(n):
        out[k] = level[k]
        # Next to the beam as many on either side: its flank is no ring.
        far = min(reach, k - inner, n - 1 - k)
        if far < 2:
            continue
        s0 = s2 = s4 = t0 = t2 = 0.0
        for j in range(k - far, k + far + 1):
            if number[j] > 0.0:
                square = ((j - k) / (far + 1.0)) ** 2
                part = 1.0 - square
                s0 += part
                s2 += part * square
                s4 += part * square * square
                t0 += part * level[j]
                t2 += part * square * level[j]
        bottom = s0 * s4 - s2 * s2
        if not curved and s0 > 0.0:
            out[k] = t0 / s0
        if curved and bottom > 1e-9:
            out[k] = max((t0 * s4 - t2 * s2) / bottom, 0.0)


@njit(**COMPILED)
def deviations(level, smooth, number, noise, inner, fewest, deviation, weight):
    """What a profile has besides its smooth part, and one over the square of its error.

    Rings with ``fewest`` counts tell nothing.
    """
    gain, floor = noise
    for k in range(level.size):
        deviation[k] = level[k] - smooth[k]
        weight[k] = 0.0
        if k >= inner and smooth[k] * number[k] > fewest * gain:
            weight[k] = number[k] / (_MEDIAN * (gain * smooth[k] + floor))


@njit(**COMPILED)
def sharpened(profile, inner, scratch):
    """Undo, to second order, that means are over a ring and that it is drawn in straight lines."""
    scratch[:] = profile
    for k in range(inner + 1, profile.size - 1):
        bend = scratch[k - 1] - 2 * scratch[k] + scratch[k + 1]
        profile[k] = max(scratch[k] - _BLUR * bend, np.float32(0.0))


@njit(**COMPILED)
def take_off(rest, frame, beam_y, beam_x, profile, side, crest):
    """Take the profile off, interpolated; its mean over cells of ``side``² bins is added up."""
    height, width, stride, base = frame
    rows, columns = crest.shape
    share = np.float32(1.0) / (side * side)
    for y in range(height):
        square = np.float32((y - beam_y) ** 2)
        left = rest[base + y * stride :]
        cy = y // side
        for x in range(width):
            away = np.float32(x - beam_x)
            r = math.sqrt(square + away * away)
            k = int(r)
            value = profile[k] + (r - k) * (profile[k + 1] - profile[k])
            left[x] -= value
            if cy < rows and x // side < columns:
                crest[cy, x // side] += share * value


@njit(**COMPILED)
def without_rings(image, rest, frame, beam, noise, halo, side, crest):
    """Take the radial profile off a pattern with all its spots, if it has fine rings.

    Parameters
    ----------
    image, rest, frame
        Padded pattern, unusable bins far below zero, and a copy, which follows.
    beam
        (row, column, radius within which there is little but the beam).
    halo
        From :func:`places`, as of this beam; room for sums and numbers of the sectors, and for
        six profiles, of which the first is filled with the means of the rings.
    side, crest
        Bins along a cell, and (rows, columns) to add to what was taken off.

    Returns
    -------
    bool
        Whether there were such rings.
    """
    at, total, count, level, number, low, smooth, deviation, profile = halo
    gain, floor = noise
    inner = int(beam[2]) + 1
    n = level.size
    means = np.empty(SECTORS, np.float32)
    high = profile
    deviation[:] = np.float32(3e38)
    for _ in range(_ROUNDS):
        sector_sums(image, frame, at, deviation, total, count)
        for k in range(n):
            level[k], low[k], high[k], number[k] = quantiles_of_sectors(
                total, count, k, _MANY * gain, means
            )
            spread = math.sqrt(gain * max(level[k], _LEAST) + floor)
            deviation[k] = level[k] + _CLIP * spread + np.float32(0.5) * _CLIP * _CLIP * gain
    # Not the spots of a zone axis: a halo is the same all around, and in the low sectors too. Nor a
    # falling background, which parabolas follow.
    smoothed(low, number, inner, _COARSE * side, True, smooth)
    deviations(low, smooth, number, noise, inner, 2 * _MANY, deviation, count)
    for k in range(n):
        variance = (gain * max(level[k], _LEAST) + floor) * SECTORS / max(number[k], 1.0)
        if high[k] - low[k] > _EVEN * math.sqrt(variance):
            count[k] = 0.0
    if shrunk(deviation, count, inner, _DOUBT, profile) < _SURE:
        return False
    # Parabolas overshoot, and wide means carry counts to where there are few.
    smoothed(level, number, inner, side, False, smooth)
    deviations(level, smooth, number, noise, inner, _FEWEST, deviation, count)
    shrunk(deviation, count, inner, _DOUBT, profile)
    for k in range(n):
        profile[k] += smooth[k]
    sharpened(profile, inner, deviation)
    # Under the beam nothing is known: no step at its rim.
    for k in range(min(inner, n - 1)):
        profile[k] = profile[inner]
    take_off(rest, frame, beam[0], beam[1], profile, side, crest)
    return True


@njit(**COMPILED)
def without_rings_left(image, rest, frame, beam, noise, halo, side, crest):
    """Take what a model with spots leaves in rings off.

    Parameters
    ----------
    image, rest, frame
        Padded: the pattern, unusable bins far below zero, and what the model leaves of it, which
        follows.
    beam, noise, halo, side, crest
        As of :func:`without_rings`, which has filled the means of the rings: no bin has less than
        its share of their noise.
    """
    height, width, stride, base = frame
    at, _, _, level, weight, _, _, deviation, profile = halo
    gain, floor = noise
    deviation[:] = 0.0
    weight[:] = 0.0
    for y in range(height):
        seen = image[base + y * stride :]
        left = rest[base + y * stride :]
        line = at[y]
        for x in range(width):
            if seen[x] > _ABSENT:
                k = line[x] // SECTORS
                most = max(seen[x] - left[x], level[k])
                share = np.float32(1.0) / (gain * max(most, _LEAST) + floor)
                deviation[k] += share * left[x]
                weight[k] += share
    for k in range(deviation.size):
        if weight[k] > 0.0:
            deviation[k] /= weight[k]
    inner = int(beam[2]) + 1
    if shrunk(deviation, weight, inner, _DOUBT_LATER, profile) > _DOUBT_LATER:
        take_off(rest, frame, beam[0], beam[1], profile, side, crest)
