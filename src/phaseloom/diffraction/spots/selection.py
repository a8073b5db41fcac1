"""Compiled selection among the fitted spots: which count, how they stand out, in which order."""

from __future__ import annotations

import math

from numba import njit

from phaseloom.diffraction.spots.image_filters import COMPILED
from phaseloom.diffraction.spots.joint_fit import (
    AMPLITUDE,
    AMPLITUDE_ERROR,
    BACKGROUND,
    COLUMNS,
    PROMINENCE,
    SCORE,
    WRONG,
    X,
    Y,
)

_OF_WRONG = 3.0
_BESIDE = 5.0


@njit(**COMPILED)
def only_strongest(found, n, spots, count, near):
    """Drop new candidates beside a spot that has a stronger new one beside it.

    A blend taken for one spot leaves something on either side; with one more spot there, the
    first one moves over and what is on its other side goes.

    Parameters
    ----------
    found
        (row, column, value) of the candidates, the first ``n`` of them; kept ones come first.
    spots
        What was found before, ``count`` of them.
    near
        Distance that is beside, in px.

    Returns
    -------
    int
        How many candidates are kept.
    """
    for k in range(count):
        best = -1
        for a in range(n):
            beside = (found[a, 0] - spots[k, Y]) ** 2 + (found[a, 1] - spots[k, X]) ** 2 < near**2
            if beside and (best < 0 or found[a, 2] > found[best, 2]):
                best = a
        for a in range(n):
            beside = (found[a, 0] - spots[k, Y]) ** 2 + (found[a, 1] - spots[k, X]) ** 2 < near**2
            if beside and a != best:
                found[a, 2] = -1.0
    kept = 0
    for a in range(n):
        if found[a, 2] > 0:
            for c in range(3):
                found[kept, c] = found[a, c]
            kept += 1
    return kept


@njit(**COMPILED)
def least_score(background, noise, thresholds):
    """Least score of a spot on this background: table over log10 of counts per px.

    Read-out noise makes the sum less skewed: what counts is the Poisson background b′ of the
    same skewness, b′^(−1/2) = b / (b + floor / gain²)^(3/2).
    """
    gain, floor = noise
    table, lowest, per_decade = thresholds
    b = max(background / gain, 1e-6)
    equivalent = (b + floor / (gain * gain)) ** 3 / (b * b)
    t = (math.log10(equivalent) - lowest) * per_decade
    t = max(0.0, min(table.size - 1.001, t))
    k = int(t)
    return table[k] + (t - k) * (table[k + 1] - table[k])


@njit(**COMPILED)
def select_spots(spots, count, noise, thresholds, beam, apart):
    """Drop what may be noise, what fell on another spot, and what is part of the direct beam.

    Parameters
    ----------
    apart
        Spots closer than this (px) are one.

    Returns
    -------
    kept : int
        How many are left; they come first in ``spots``.
    brightest : int
        Which of them is the direct beam, −1 when none is near where it should be.
    """
    beam_y, beam_x, guard = beam
    brightest = -1
    for k in range(count):
        near = (spots[k, Y] - beam_y) ** 2 + (spots[k, X] - beam_x) ** 2 < guard * guard
        if near and (brightest < 0 or spots[k, AMPLITUDE] > spots[brightest, AMPLITUDE]):
            brightest = k
    for k in range(count):
        near = (spots[k, Y] - beam_y) ** 2 + (spots[k, X] - beam_x) ** 2 < guard * guard
        # What has not the shape of a spot, as a hot pixel, is told by its errors.
        unlike = spots[k, AMPLITUDE] < 2 * spots[k, AMPLITUDE_ERROR]
        weak = unlike or spots[k, SCORE] < least_score(spots[k, BACKGROUND], noise, thresholds)
        if weak or (near and k != brightest):
            spots[k, AMPLITUDE] = 0.0
    for k in range(count):
        for m in range(count):
            if not spots[m, AMPLITUDE] > spots[k, AMPLITUDE] > 0:
                continue
            away = (spots[k, Y] - spots[m, Y]) ** 2 + (spots[k, X] - spots[m, X]) ** 2
            # Beside a spot that the template does not describe lies what it leaves of it.
            left_over = spots[k, AMPLITUDE] < _OF_WRONG * spots[m, WRONG]
            if away < apart**2 or (left_over and away < (_BESIDE * apart) ** 2):
                spots[k, AMPLITUDE] = 0.0
    kept = 0
    beam_row = -1
    for k in range(count):
        if spots[k, AMPLITUDE] > 0:
            if k == brightest:
                beam_row = kept
            for c in range(COLUMNS):
                spots[kept, c] = spots[k, c]
            kept += 1
    return kept, beam_row


@njit(**COMPILED)
def template_at(distance_squared, sigma, table, per_square):
    """Value of the template at a distance."""
    if table.size == 0:
        return math.exp(-0.5 * distance_squared / (sigma * sigma))
    t = distance_squared * per_square
    k = int(t)
    return table[k] + (t - k) * (table[k + 1] - table[k]) if k <= table.size - 2 else 0.0


@njit(**COMPILED)
def prominences(spots, count, shape):
    """Height of every spot over the highest saddle that leads to a brighter one.

    The saddle between two spots is the lowest point of their sum on the line between them; a
    spot with no brighter one in reach stands on the background.
    """
    half, _, sigma, table, per_square = shape
    for k in range(count):
        a = spots[k, AMPLITUDE]
        prominence = a
        for m in range(count):
            b = spots[m, AMPLITUDE]
            dy = spots[m, Y] - spots[k, Y]
            dx = spots[m, X] - spots[k, X]
            if b <= a or dy * dy + dx * dx > 4 * half * half:
                continue
            d = math.sqrt(dy * dy + dx * dx)
            top = a + b * template_at(d * d, sigma, table, per_square)
            lowest = top
            for i in range(1, 16):
                s = d * i / 16
                here = a * template_at(s * s, sigma, table, per_square) + b * template_at(
                    (d - s) ** 2, sigma, table, per_square
                )
                lowest = min(lowest, here)
            prominence = min(prominence, top - lowest)
        spots[k, PROMINENCE] = prominence


@njit(**COMPILED)
def weakest_of(spots, count, wanted):
    """Drop the weakest until so many are left; order stays."""
    while count > wanted:
        least = 0
        for k in range(1, count):
            if spots[k, AMPLITUDE] < spots[least, AMPLITUDE]:
                least = k
        for k in range(least, count - 1):
            for c in range(COLUMNS):
                spots[k, c] = spots[k + 1, c]
        count -= 1
    return count


@njit(**COMPILED)
def sort_by_row(spots, count):
    """Insertion sort: the spots of the two turns come in order of their rows each."""
    for k in range(1, count):
        for m in range(k, 0, -1):
            if spots[m, Y] >= spots[m - 1, Y]:
                break
            for c in range(COLUMNS):
                spots[m, c], spots[m - 1, c] = spots[m - 1, c], spots[m, c]
