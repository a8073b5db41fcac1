"""Places of the reflections on the peaks of solved patterns (compiled)."""

from __future__ import annotations

import math

from numba import njit

from phaseloom.orientation.quaternions import COMPILED
from phaseloom.orientation.refinement.fitting import refine
from phaseloom.orientation.refinement.likelihood import (
    make_room,
    most_peaks,
    pattern_at,
    shortlist,
    stamp,
    wipe,
)

_STEPS = 3


@njit(**COMPILED)
def paired_places(
    offset, ky, kx, intensity, place, loose, limit, rotation, crystal, log_intensity, lattices,
    physics, reflection,
):  # fmt: skip
    """Where the strongest reflection on every peak is predicted.

    Parameters
    ----------
    offset, ky, kx, intensity, place, loose, limit
        :class:`phaseloom.orientation.matching.patterns.Patterns`.
    rotation, crystal
        (patterns, 4), (patterns,): a solution of every pattern, −1 where there is none.
    log_intensity
        Of the peaks.
    lattices, physics
        What it was found with.
    reflection
        Output (2, peaks): ky and kx in Å⁻¹ from the direct beam, NaN at the start and where no
        reflection pairs.
    """
    room = make_room(lattices, physics, most_peaks(offset))
    for p in range(offset.size - 1):
        c = crystal[p]
        if c < 0:
            continue
        pattern = pattern_at(p, offset, ky, kx, intensity, log_intensity, place, loose, limit)
        stamp(pattern, physics.reach, room.where)
        q = rotation[p].copy()
        state = room.normal[:3].copy()
        state[0] = state[1] = 0.0
        state[2] = math.nan
        listed = shortlist(q, c, lattices, physics, room)
        value, _ = refine(q, state, _STEPS, 0, listed, pattern, physics, room)
        if value > -math.inf:
            for i in range(pattern.ky.size):
                best = room.best[i]
                if best >= 0:
                    reflection[0, offset[p] + i] = room.spots[0, best] - state[0]
                    reflection[1, offset[p] + i] = room.spots[1, best] - state[1]
        wipe(pattern, physics.reach, room.where)
