"""Compiled joint fit of all spots of a pattern: each in turn on what the others leave.

The steps of one spot are those of :mod:`phaseloom.diffraction.spots.fitting`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from phaseloom.diffraction.spots.background import cells_at
from phaseloom.diffraction.spots.fitting import (
    add_tail,
    add_window,
    corner,
    information,
    score,
    solve,
    window,
)
from phaseloom.diffraction.spots.image_filters import COMPILED

(
    Y, X, AMPLITUDE, Y_ERROR, X_ERROR, AMPLITUDE_ERROR, SCORE, BACKGROUND, PROMINENCE, SETTLED, FAR,
    WRONG,
) = range(12)  # fmt: skip
"""Columns of the spots of one pattern while they are fitted."""

COLUMNS = 12

_LAST, _NONE = 0.05, 0.0025
"""A step whose square is a smaller part of the variance is the last; is not worth taking."""


@njit(**COMPILED)
def tail_reach(amplitude, sigma, noise, half, table):
    """How far from its middle a spot still shows above the noise, in px; 0: within its window."""
    if table.size > 0 or amplitude <= noise:
        return 0
    far = math.ceil(sigma * math.sqrt(2 * math.log(amplitude / noise)))
    return far if far > half else 0


@njit(inline="always", **COMPILED)
def add_spot(image, frame, shape, work, k, spot, amplitude):
    """Add spot number k to the image with this amplitude, its window taken as it is in ``work``."""
    height, width, stride, base = frame
    half, blocks, sigma, _, _ = shape
    y0, x0 = corner(spot[Y], spot[X], half, blocks)
    add_window(image, base, stride, y0, x0, blocks, work[0][k], np.float32(amplitude))
    if spot[FAR] > 0:
        add_tail(
            image, base, stride, height, width, spot[Y], spot[X], amplitude, sigma, 2 * half + 1,
            blocks, int(spot[FAR]), work[2],
        )  # fmt: skip


@njit(inline="always", **COMPILED)
def place(image, frame, shape, work, k, spot):
    """Draw the window of a spot where the spot is now, and take the spot off the image."""
    half, blocks, sigma, table, per_square = shape
    p, q, across, down, _, _ = work
    y0, x0 = corner(spot[Y], spot[X], half, blocks)
    window(spot[Y], spot[X], y0, x0, blocks, sigma, table, per_square, p[k], q[k], across, down)
    add_spot(image, frame, shape, work, k, spot, -spot[AMPLITUDE])


@njit(inline="always", **COMPILED)
def equations(image, rest, frame, shape, noise, work, k, spot):
    """Normal equations of one spot with the rest of the model held; False when singular."""
    _, _, stride, base = frame
    half, blocks, _, _, _ = shape
    p, q, _, _, sums, step = work
    y0, x0 = corner(spot[Y], spot[X], half, blocks)
    information(
        image, rest, base, stride, spot[Y], spot[X], y0, x0, blocks, noise[0], noise[1], p[k],
        q[k], sums,
    )  # fmt: skip
    return solve(sums, spot[AMPLITUDE], step)


@njit(**COMPILED)
def fit(image, rest, frame, shape, noise, work, spots, count, rounds, tall):
    """Fit all spots that have not settled, in rounds; ``rest`` follows.

    Parameters
    ----------
    frame
        (height, width, stride, base) of the padded images.
    shape
        (half, blocks, sigma, table, per_square): window and template.
    noise
        (gain, floor): variance = gain · counts + floor.
    work
        Templates p and slopes q of the spots' windows (spot, rows, columns), which
        :func:`place` has drawn; a line across and one down, sums, step.
    rounds
        At most so many.
    tall
        Counts per px below which a spot's tail does not matter.
    """
    height, width, _, _ = frame
    half, _, sigma, table, _ = shape
    step = work[5]
    for _ in range(rounds):
        busy = False
        for k in range(count):
            spot = spots[k]
            if spot[SETTLED] > 0:
                continue
            if not equations(image, rest, frame, shape, noise, work, k, spot):
                # Nothing of it can be seen.
                spot[SETTLED] = 1
                spot[AMPLITUDE] = 0.0
                continue
            a = spot[AMPLITUDE]
            dy = max(-0.3 * sigma, min(0.3 * sigma, step[1]))
            dx = max(-0.3 * sigma, min(0.3 * sigma, step[2]))
            spot[AMPLITUDE_ERROR] = math.sqrt(step[3])
            spot[Y_ERROR] = math.sqrt(step[4])
            spot[X_ERROR] = math.sqrt(step[5])
            moved = max((dy * dy + dx * dx) / max(step[4], step[5]), step[0] * step[0] / step[3])
            if moved < _LAST:
                spot[SETTLED] = 1
            else:
                busy = True
            if moved < _NONE:
                continue
            add_spot(rest, frame, shape, work, k, spot, a)
            # A spot does not leave the detector.
            spot[Y] = max(0.0, min(height - 1.0, spot[Y] + dy))
            spot[X] = max(0.0, min(width - 1.0, spot[X] + dx))
            spot[AMPLITUDE] = max(0.3 * a, a + step[0])
            spot[FAR] = tail_reach(spot[AMPLITUDE], sigma, tall, half, table)
            place(rest, frame, shape, work, k, spot)
        if not busy:
            return


@njit(**COMPILED)
def score_spots(image, rest, frame, shape, noise, work, spots, count, cells, misfits, side):
    """Score and background of all spots, as the last fit left them.

    Between the spots the variance may be more than that of counting (``misfits``, on cells of
    ``side``² px as ``cells``): scores are in units of the root of that.

    Where the model misfits by more than chance (a blend taken for one spot, a shape that is not
    the template's) the errors become those of the Cramér–Rao bound times the root of the misfit.
    """
    _, _, stride, base = frame
    half, blocks, _, _, _ = shape
    gain, floor = noise
    for k in range(count):
        spot = spots[k]
        spot[BACKGROUND] = cells_at(cells, side, spot[Y], spot[X])
        y0, x0 = corner(spot[Y], spot[X], half, blocks)
        spot[SCORE], misfit, spread, spot[WRONG] = score(
            image, rest, base, stride, y0, x0, blocks, gain, floor, work[0][k], spot[AMPLITUDE]
        )
        spot[SCORE] /= math.sqrt(cells_at(misfits, side, spot[Y], spot[X]))
        inflation = math.sqrt(max(1.0, misfit - 2.0 * spread))
        spot[AMPLITUDE_ERROR] *= inflation
        spot[Y_ERROR] *= inflation
        spot[X_ERROR] *= inflation
