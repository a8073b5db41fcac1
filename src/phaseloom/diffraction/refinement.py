"""Compiled: all spots of a pattern fitted together, each in turn on what the others leave."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from phaseloom.diffraction.background import background_at
from phaseloom.diffraction.filters import COMPILED
from phaseloom.diffraction.fitting import (
    LANES,
    add_tail,
    add_window,
    corner,
    information,
    score,
    solve,
    weigh,
    window,
)

(
    Y, X, AMPLITUDE, Y_ERROR, X_ERROR, AMPLITUDE_ERROR, SCORE, BACKGROUND, PROMINENCE, SETTLED, FAR,
) = range(11)  # fmt: skip
"""Columns of the spots of one pattern while they are fitted."""

COLUMNS = 11


@njit(**COMPILED)
def tail_reach(amplitude, sigma, noise, half, table):
    """How far from its middle a spot still shows above the noise, in px; 0: within its window."""
    if table.size > 0 or amplitude <= noise:
        return 0
    far = math.ceil(sigma * math.sqrt(2 * math.log(amplitude / noise)))
    return far if far > half else 0


@njit(**COMPILED)
def add_spot(image, frame, shape, work, spot, amplitude):
    """Add a spot of this amplitude to the image; leaves its window in ``work``."""
    height, width, stride, base = frame
    half, blocks, sigma, table, per_square = shape
    p, py, px, _, _, across, down, _, _ = work
    rows = 2 * half + 1
    y0, x0 = corner(spot[Y], spot[X], half, blocks)
    window(
        spot[Y], spot[X], y0, x0, rows, blocks, sigma, table, per_square, p, py, px, across, down
    )
    add_window(image, base, stride, y0, x0, rows, blocks, p, np.float32(amplitude))
    if spot[FAR] > 0:
        add_tail(
            image, base, stride, height, width, spot[Y], spot[X], amplitude, sigma, rows, blocks,
            int(spot[FAR]), across,
        )  # fmt: skip


@njit(**COMPILED)
def equations(image, rest, frame, shape, noise, work, spot):
    """Normal equations of one spot with the rest of the model held; False when singular."""
    _, _, stride, base = frame
    half, blocks, sigma, table, per_square = shape
    gain, floor = noise
    p, py, px, difference, weight, across, down, sums, step = work
    rows = 2 * half + 1
    y0, x0 = corner(spot[Y], spot[X], half, blocks)
    window(
        spot[Y], spot[X], y0, x0, rows, blocks, sigma, table, per_square, p, py, px, across, down
    )
    weigh(image, rest, base, stride, y0, x0, rows, blocks, gain, floor, difference, weight)
    information(p, py, px, difference, weight, rows * blocks * LANES, sums)
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
        Scratch: p, py, px, difference, weight, across, down, sums, step.
    rounds
        At most so many.
    tall
        Counts per px below which a spot's tail does not matter.
    """
    height, width, stride, base = frame
    half, blocks, sigma, table, _ = shape
    p, step = work[0], work[8]
    rows = 2 * half + 1
    for _ in range(rounds):
        busy = False
        for k in range(count):
            spot = spots[k]
            if spot[SETTLED] > 0:
                continue
            if not equations(image, rest, frame, shape, noise, work, spot):
                spot[SETTLED] = 1
                continue
            a = spot[AMPLITUDE]
            dy = max(-0.3 * sigma, min(0.3 * sigma, step[1]))
            dx = max(-0.3 * sigma, min(0.3 * sigma, step[2]))
            change, spread = step[0], step[3]
            small = 0.01 * max(step[4], step[5])
            y0, x0 = corner(spot[Y], spot[X], half, blocks)
            add_window(rest, base, stride, y0, x0, rows, blocks, p, np.float32(a))
            if spot[FAR] > 0:
                add_tail(
                    rest, base, stride, height, width, spot[Y], spot[X], a, sigma, rows, blocks,
                    int(spot[FAR]), work[5],
                )  # fmt: skip
            # A spot does not leave the detector.
            spot[Y] = max(0.0, min(height - 1.0, spot[Y] + dy))
            spot[X] = max(0.0, min(width - 1.0, spot[X] + dx))
            spot[AMPLITUDE] = max(0.3 * a, a + change)
            spot[FAR] = tail_reach(spot[AMPLITUDE], sigma, tall, half, table)
            add_spot(rest, frame, shape, work, spot, -spot[AMPLITUDE])
            if dy * dy + dx * dx < small and change * change < 0.01 * spread:
                spot[SETTLED] = 1
            else:
                busy = True
        if not busy:
            return


@njit(**COMPILED)
def close(image, rest, frame, shape, noise, work, spots, count, cells):
    """Errors, score and background of all spots, as the last fit left them.

    Where the model misfits by more than chance (a blend taken for one spot, a shape that is not
    the template's) the errors are those of the Cramér–Rao bound times the root of the misfit.
    """
    p, difference, weight, step = work[0], work[3], work[4], work[8]
    n = (2 * shape[0] + 1) * shape[1] * LANES
    for k in range(count):
        spot = spots[k]
        spot[BACKGROUND] = background_at(cells, spot[Y], spot[X])
        if not equations(image, rest, frame, shape, noise, work, spot):
            spot[SCORE] = 0.0
            continue
        spot[SCORE], misfit, spread = score(p, difference, weight, spot[AMPLITUDE], noise[0], n)
        inflation = max(1.0, misfit - 2.0 * spread)
        spot[AMPLITUDE_ERROR] = math.sqrt(step[3] * inflation)
        spot[Y_ERROR] = math.sqrt(step[4] * inflation)
        spot[X_ERROR] = math.sqrt(step[5] * inflation)
