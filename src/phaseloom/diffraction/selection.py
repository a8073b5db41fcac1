"""Compiled: which of the fitted spots count, in which order, and how they stand out."""

from __future__ import annotations

import math

from numba import njit

from phaseloom.diffraction.filters import COMPILED
from phaseloom.diffraction.refinement import (
    AMPLITUDE,
    BACKGROUND,
    COLUMNS,
    PROMINENCE,
    SCORE,
    X,
    Y,
)


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
def keep(spots, count, noise, thresholds, beam, apart):
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
        weak = spots[k, SCORE] < least_score(spots[k, BACKGROUND], noise, thresholds)
        if weak or (near and k != brightest):
            spots[k, AMPLITUDE] = 0.0
    for k in range(count):
        for m in range(count):
            if (
                spots[m, AMPLITUDE] > spots[k, AMPLITUDE] > 0
                and (spots[k, Y] - spots[m, Y]) ** 2 + (spots[k, X] - spots[m, X]) ** 2
                < apart * apart
            ):
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
