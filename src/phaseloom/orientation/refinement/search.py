"""Search (compiled): refinement of all starts, half turns about zone axes, the likeliest ones.

Every start is refined a few steps; the likeliest go on to the end. Of the best, half turns are
tried: a crystal turned half round a zone axis [uvw] shows the same reflections of that zone, at the
same places and with the same excitation errors, so where they are (nearly) all that is seen, that
orientation is as likely and has to be among the solutions.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from phaseloom.orientation.quaternions import COMPILED, nearest_copy, product, to_matrix
from phaseloom.orientation.refinement.fitting import refine
from phaseloom.orientation.refinement.likelihood import (
    make_room,
    most_peaks,
    pattern_at,
    shortlist,
    stamp,
    wipe,
)
from phaseloom.orientation.refinement.solutions import FACTS

_LEAST_STARTS = 6
_PEAKS_TIMES_STARTS = 500
"""Rich patterns are told apart by their templates already: they need fewer starts."""

FINALISTS = 10
"""Starts that are refined to the end, at most."""

_HOPELESS = 25.0
"""Those that are so much less likely than the best with broad excitation are not."""

_EARLY = 4
"""Steps of every start."""

_LATE = 8
"""Further steps of the finalists."""

_TURNED = 5
"""Solutions of which half turns are tried, at most: the two likeliest and their rivals."""

_RIVALS = 3.0
"""Further ones whose half turns are tried are so near to the likeliest, in ln."""

_RIVAL = 20.0
"""Half turns that lose more ln likelihood are not refined."""

_AXES = 3
"""Zone axes of a solution round which they are tried, those whose zones hold most peaks."""

_NEAR_BEAM = math.cos(math.radians(25.0))
"""Zone axes further from the beam show no zone."""

_IN_ZONE = 0.6
"""Least part of the paired peaks (by the root of their intensity) that a zone must hold."""

SAME = math.cos(math.radians(1.0))
"""Cosine of half the angle: solutions of one crystal closer than 2° are one."""

_LOG_COUNTS, _ZONE_SHARE = len(FACTS) - 2, len(FACTS) - 1

_EASY = 5.0
"""Reflections so many times above the limit of detection should be found."""


@njit(**COMPILED)
def _zones_in_view(q, pattern, axis, room, chosen, share):
    """Zone axes round which half a turn could not be told; how many.

    ``chosen`` receives their numbers and ``share`` the part of the peaks' weight in each zone.
    """
    m = np.empty((3, 3))
    to_matrix(q, m)
    total = 0.0
    for p in range(pattern.ky.size):
        if room.best[p] >= 0:
            total += math.sqrt(pattern.intensity[p])
    if total == 0.0:
        # No peak is explained, and none lies in a zone.
        return 0
    n = 0
    g = room.listed
    for a in range(axis.shape[0]):
        x, y, z = axis[a, 0], axis[a, 1], axis[a, 2]
        if abs(x * m[0, 2] + y * m[1, 2] + z * m[2, 2]) < _NEAR_BEAM:
            continue
        held = 0.0
        for p in range(pattern.ky.size):
            if room.best[p] >= 0:
                j = room.source[room.best[p], 0]
                if abs(x * g[0, j] + y * g[1, j] + z * g[2, j]) < 1e-3:
                    held += math.sqrt(pattern.intensity[p])
        if held < _IN_ZONE * total:
            continue
        if n < chosen.size:
            at = n
            n += 1
        else:
            at = int(np.argmin(share))
            if share[at] >= held / total:
                continue
        chosen[at], share[at] = a, held / total
    return n


@njit(**COMPILED)
def _describe(n, pattern, physics, room, fact):
    """Facts of a solution whose spots are in the room.

    The correlation index Q = Σ P T / √(ΣP² ΣT²) takes fourth roots of intensities as P and T
    (Rauch & Véron); reflections above the limit of detection without a peak are in ΣT².
    """
    product_ = squares = template = explained = total = distance = deviation = 0.0
    paired = expected = missed = 0
    for p in range(pattern.ky.size):
        root = math.sqrt(pattern.intensity[p])
        squares += root
        total += pattern.intensity[p]
        i = room.best[p]
        if i >= 0:
            other = math.sqrt(room.sums[0, p])
            template += other
            product_ += math.sqrt(root * other)
            deviation += abs(pattern.log_intensity[p] - math.log(room.sums[0, p]))
            paired += 1
            if room.sums[0, p] > _EASY * pattern.limit:
                expected += 1
            explained += pattern.intensity[p]
            dy, dx = pattern.ky[p] - room.spots[0, i], pattern.kx[p] - room.spots[1, i]
            distance += dy * dy + dx * dx
    for i in range(n):
        if room.source[i, 1] < 0 and room.spots[3, i] > pattern.limit:
            y, x = room.spots[0, i], room.spots[1, i]
            if physics.bottom < y < physics.top and physics.left < x < physics.right:
                template += math.sqrt(room.spots[3, i])
                if room.spots[3, i] > _EASY * pattern.limit:
                    expected += 1
                    missed += 1
    fact[1] = product_ / math.sqrt(squares * template) if paired else 0.0
    fact[2] = paired
    fact[3] = explained / total
    fact[4] = math.sqrt(distance / paired) if paired else np.nan
    fact[5] = deviation / paired if paired else np.nan
    fact[6] = expected
    fact[7] = missed
    _dilation(pattern, physics, room, fact)


@njit(**COMPILED)
def _dilation(pattern, physics, room, fact):
    """How the peaks would be magnified about their middle to fit best: ln factor, information."""
    weight = ky = kx = 0.0
    for p in range(pattern.ky.size):
        i = room.best[p]
        if i >= 0:
            w = _place_weight(p, i, pattern, physics, room)
            weight += w
            ky += w * room.spots[0, i]
            kx += w * room.spots[1, i]
    fact[8] = fact[9] = 0.0
    if weight == 0.0:
        return
    ky /= weight
    kx /= weight
    along = information = 0.0
    for p in range(pattern.ky.size):
        i = room.best[p]
        if i >= 0:
            w = _place_weight(p, i, pattern, physics, room)
            y, x = room.spots[0, i] - ky, room.spots[1, i] - kx
            along += w * (y * (room.spots[0, i] - pattern.ky[p]))
            along += w * (x * (room.spots[1, i] - pattern.kx[p]))
            information += w * (y * y + x * x)
    if information > 0.0:
        fact[8], fact[9] = along / information, information


@njit(**COMPILED)
def _place_weight(p, i, pattern, physics, room):
    """Weight of the distance of peak ``p`` from spot ``i``: Student's t, as in the likelihood."""
    place = 1.0 / (physics.position**2 + pattern.place[p])
    dy, dx = pattern.ky[p] - room.spots[0, i], pattern.kx[p] - room.spots[1, i]
    return 1.5 * place / (1.0 + 0.25 * (dy * dy + dx * dx) * place)


@njit(**COMPILED)
def _run(q, state, fact, steps, early, c, pattern, lattices, physics, room):
    """Refine one solution and describe it."""
    listed = shortlist(q, c, lattices, physics, room)
    fact[0], n = refine(q, state, steps, early, listed, pattern, physics, room)
    if fact[0] > -np.inf:
        _describe(n, pattern, physics, room, fact)
        fact[_LOG_COUNTS] = math.log(state[2])


@njit(**COMPILED)
def _is_among(q, c, fact, least, rotation, of, n, symmetry):
    """Is a solution at least so likely among the first ``n``?"""
    for i in range(n):
        likely = of[i] == c and fact[i, 0] > least
        if likely and nearest_copy(q, rotation[i], symmetry)[1] > SAME:
            return True
    return False


@njit(**COMPILED)
def symmetry_of(lattices, c):
    """Proper rotations of the Laue class of crystal ``c``, (n, 4)."""
    return lattices.symmetry[lattices.symmetry_offset[c] : lattices.symmetry_offset[c + 1]]


@njit(**COMPILED)
def solve_patterns(
    offset, ky, kx, intensity, place, loose, limit, start, correlation, part, lattices, physics,
    broad, rotation, crystal, facts,
):  # fmt: skip
    """The likeliest distinct orientations of every pattern.

    Parameters
    ----------
    offset, ky, kx, intensity, place, loose, limit
        Peaks of the patterns and limits of detection, see
        :class:`phaseloom.orientation.refinement.likelihood.Pattern`.
    start, correlation
        (patterns, crystals, n, 4) and (patterns, crystals, n), NaN where there are fewer: from
        :func:`phaseloom.orientation.matching.voting.match_patterns`.
    part
        Starts with less than this part of their crystal's best correlation are left out.
    lattices
        :class:`phaseloom.orientation.matching.library.Lattices`.
    physics, broad
        :class:`phaseloom.orientation.refinement.likelihood.Physics`; the latter has wings by which
        starts find their way.
    rotation, crystal, facts
        Outputs (patterns, solutions, 4), (patterns, solutions), (patterns, solutions, FACTS),
        by falling likelihood; NaN, −1, NaN at the start.
    """
    crystals, starts = start.shape[1], start.shape[2]
    most = crystals * starts + _TURNED * _AXES
    room = make_room(lattices, broad, most_peaks(offset))
    q = np.empty((most, 4))
    state = np.empty((most, 3))
    fact = np.empty((most, facts.shape[2]))
    of = np.empty(most, dtype=np.int64)
    axes = np.empty(_AXES, dtype=np.int64)
    share = np.empty(_AXES)
    log_intensity = np.log(intensity)
    for p in range(offset.size - 1):
        a, b = offset[p], offset[p + 1]
        if b - a < 3:
            continue
        pattern = pattern_at(p, offset, ky, kx, intensity, log_intensity, place, loose, limit)
        stamp(pattern, physics.reach, room.where)
        n = 0
        fact[:] = np.nan
        for c in range(crystals):
            for i in range(min(starts, max(_LEAST_STARTS, _PEAKS_TIMES_STARTS // (b - a)))):
                if not correlation[p, c, i] >= part * correlation[p, c, 0]:
                    break
                q[n], of[n] = start[p, c, i], c
                state[n, 0] = state[n, 1] = 0.0
                state[n, 2] = np.nan
                fact[n, _ZONE_SHARE] = 0.0
                _run(q[n], state[n], fact[n], 1, _EARLY, c, pattern, lattices, broad, room)
                n += 1
        order = np.argsort(-fact[:n, 0])
        least = fact[order[0], 0] - _HOPELESS if n > 0 else 0.0
        for rank, i in enumerate(order):
            hopeful = rank < FINALISTS and fact[i, 0] > least
            if hopeful:
                state[i, 2] = np.nan
                _run(q[i], state[i], fact[i], _LATE, 0, of[i], pattern, lattices, physics, room)
            else:
                fact[i, 0] = -np.inf
        order = np.argsort(-fact[:n, 0])
        for rank, i in enumerate(order[:_TURNED]):
            if not fact[i, 0] > fact[order[0], 0] - (10.0 if rank < 2 else _RIVALS):
                continue
            c = of[i]
            zones = lattices.axis[lattices.axis_offset[c] : lattices.axis_offset[c + 1]]
            # The room holds the spots of another solution: once more those of this one.
            _run(q[i], state[i], fact[i], 0, 0, c, pattern, lattices, physics, room)
            n_zones = _zones_in_view(q[i], pattern, zones, room, axes, share)
            for k in range(n_zones):
                u = zones[axes[k]]
                product(np.array([0.0, u[0], u[1], u[2]]), q[i], q[n])
                if _is_among(q[n], c, fact, fact[i, 0] - 1.0, q, of, n, symmetry_of(lattices, c)):
                    continue
                of[n] = c
                state[n] = state[i]
                fact[n, _ZONE_SHARE] = share[k]
                # What is not about as likely at once will not become so.
                _run(q[n], state[n], fact[n], 0, 0, c, pattern, lattices, physics, room)
                if fact[n, 0] > fact[i, 0] - _RIVAL:
                    _run(q[n], state[n], fact[n], 4, 0, c, pattern, lattices, physics, room)
                n += 1
        wipe(pattern, physics.reach, room.where)
        kept = 0
        for i in np.argsort(-fact[:n, 0]):
            if kept == crystal.shape[1] or not fact[i, 0] > -np.inf:
                break
            c = of[i]
            if _is_among(q[i], c, facts[p], -np.inf, rotation[p], crystal[p], kept,
                      symmetry_of(lattices, c)):  # fmt: skip
                continue
            rotation[p, kept], crystal[p, kept], facts[p, kept] = q[i], c, fact[i]
            kept += 1


@njit(**COMPILED)
def describe_solutions(
    offset, ky, kx, intensity, place, loose, limit, rotation, crystal, lattices, physics, facts
):
    """Facts of given orientations as they are, one of every pattern.

    Parameters
    ----------
    offset, ky, kx, intensity, place, loose, limit, lattices, physics
        As for :func:`solve_patterns`.
    rotation, crystal
        (patterns, 4) and (patterns,), −1 where there is none.
    facts
        Output (patterns, FACTS), NaN at the start.
    """
    room = make_room(lattices, physics, most_peaks(offset))
    log_intensity = np.log(intensity)
    for p in range(offset.size - 1):
        if crystal[p] < 0:
            continue
        pattern = pattern_at(p, offset, ky, kx, intensity, log_intensity, place, loose, limit)
        stamp(pattern, physics.reach, room.where)
        q, state = rotation[p].copy(), np.zeros(3)
        state[2] = np.nan
        facts[p, _ZONE_SHARE] = 0.0
        _run(q, state, facts[p], 0, 0, crystal[p], pattern, lattices, physics, room)
        wipe(pattern, physics.reach, room.where)


@njit(**COMPILED)
def refine_orientations(
    offset, ky, kx, intensity, place, loose, limit, rotation, crystal, lattices, physics, broad,
    facts,
):  # fmt: skip
    """Refine given orientations, several of every pattern, however unlikely they are.

    Parameters
    ----------
    offset, ky, kx, intensity, place, loose, limit, lattices, physics, broad
        As for :func:`solve_patterns`.
    rotation, crystal
        (patterns, n, 4), refined in place, and (patterns, n), −1 where there are fewer.
    facts
        Output (patterns, n, FACTS), NaN at the start.
    """
    room = make_room(lattices, broad, most_peaks(offset))
    log_intensity = np.log(intensity)
    state = np.empty(3)
    for p in range(offset.size - 1):
        pattern = pattern_at(p, offset, ky, kx, intensity, log_intensity, place, loose, limit)
        stamp(pattern, physics.reach, room.where)
        for i in range(crystal.shape[1]):
            c = crystal[p, i]
            if c < 0:
                continue
            q, fact = rotation[p, i], facts[p, i]
            fact[_ZONE_SHARE] = state[0] = state[1] = 0.0
            state[2] = np.nan
            _run(q, state, fact, 1, _EARLY, c, pattern, lattices, broad, room)
            state[2] = np.nan
            _run(q, state, fact, _LATE, 0, c, pattern, lattices, physics, room)
        wipe(pattern, physics.reach, room.where)
