"""Search for overlaps (compiled): two crystals in one pattern, refined in turn.

Where both have a reflection, intensities add and the peak lies at their centre of mass. They are
refined in turn: each on what the other leaves of the peaks. What is left of a peak of intensity I
is I − A, if the other crystal is predicted to give A; A being known to a factor, the ln of the
rest is the less sure the smaller it is.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from phaseloom.orientation.quaternions import COMPILED, nearest_copy
from phaseloom.orientation.refinement.fitting import refine
from phaseloom.orientation.refinement.likelihood import (
    Pattern,
    Room,
    log_likelihood,
    make_room,
    most_peaks,
    pattern_at,
    shortlist,
    stamp,
    wipe,
)
from phaseloom.orientation.refinement.search import SAME, symmetry_of

_LEAST_LEFT = 0.3
"""Of a peak at least so many standard deviations of the other crystal's part are left."""

_ROUNDS = 4
"""Times that both crystals are refined in turn, at most."""

_STEPS = 3
"""Of every refinement."""

_ENOUGH = 0.1
"""A round that gains less ln likelihood is the last."""

_HOPELESS = 20.0
"""A pair so much less likely (in ln) than the best after a round is left."""

_NEAR = math.cos(math.radians(2.5))
"""Cosine of half of 5°: so far the other crystal may have pulled a first solution away."""


@njit(**COMPILED)
def _second_room(room):
    """A room for another crystal; the map of the peaks is shared."""
    return Room(
        room.where, np.empty_like(room.listed), room.reach, room.near,
        np.empty_like(room.spots), np.empty_like(room.source), np.empty_like(room.sums),
        np.empty_like(room.best), room.normal,
    )  # fmt: skip


@njit(**COMPILED)
def _leave(pattern, other, physics, rest):
    """Fill ``rest`` with what the crystal whose spots are in ``other`` leaves of the peaks."""
    for p in range(pattern.ky.size):
        whole = pattern.intensity[p]
        rest.intensity[p], rest.place[p] = whole, pattern.place[p]
        rest.loose[p], rest.log_intensity[p] = pattern.loose[p], pattern.log_intensity[p]
        if other.best[p] < 0:
            continue
        part = other.sums[0, p]
        error = math.sqrt(physics.spread**2 + pattern.loose[p]) * min(part, whole)
        left = min(max(whole - part, _LEAST_LEFT * error), whole)
        rest.intensity[p] = left
        rest.log_intensity[p] = math.log(left)
        rest.loose[p] += (error / left) ** 2
        # The peak lies between both, up to as far as the other's spot was allowed to be.
        rest.place[p] += (0.5 * physics.reach * min(part / whole, 1.0)) ** 2


@njit(**COMPILED)
def _fit(q, state, steps, c, pattern, lattices, physics, room):
    """Refine one crystal on a pattern; its spots are in the room after. How many, −1 if none."""
    listed = shortlist(q, c, lattices, physics, room)
    value, n = refine(q, state, steps, 0, listed, pattern, physics, room)
    return n if value > -np.inf else -1


@njit(**COMPILED)
def _joint(n, m, pattern, state, second_state, physics, room, second, both):
    """Ln likelihood of all peaks under two crystals, and the second's part of their intensity.

    ``n`` spots of the first are in ``room``, ``m`` of the other in ``second``; ``both`` is a
    third room, which receives the sums.
    """
    whole = share = 0.0
    for p in range(pattern.ky.size):
        i, j = room.best[p], second.best[p]
        both.best[p] = -1
        if i < 0 and j < 0:
            continue
        a = room.sums[0, p] if i >= 0 else 0.0
        b = second.sums[0, p] if j >= 0 else 0.0
        part = b / (a + b)
        y = x = 0.0
        if i >= 0:
            y += (1.0 - part) * room.spots[0, i]
            x += (1.0 - part) * room.spots[1, i]
        if j >= 0:
            y += part * second.spots[0, j]
            x += part * second.spots[1, j]
        both.best[p], both.sums[0, p] = p, a + b
        both.spots[0, p], both.spots[1, p] = y, x
        whole += pattern.intensity[p]
        share += part * pattern.intensity[p]
    # Paired peaks are now numbered like the peaks; spots without a peak follow.
    k = pattern.ky.size
    both.source[:k, 1] = 0
    for i in range(n + m):
        of, at = (room, i) if i < n else (second, i - n)
        if of.source[at, 1] < 0 and k < both.source.shape[0]:
            both.spots[:, k] = of.spots[:, at]
            both.source[k, 1] = -1
            k += 1
    # Each crystal was given a shift of its own: the mean is the pattern's.
    shift = 0.5 * (state + second_state)
    # Where no peak is explained, the second has no part in any.
    part = share / whole if whole > 0.0 else 0.0
    return log_likelihood(k, pattern, shift, physics, both), part


@njit(**COMPILED)
def _closeness(q, c, r, d, lattices):
    """Cosine of half the angle between two crystals, −1 between different ones."""
    if c != d:
        return -1.0
    return nearest_copy(q, r, symmetry_of(lattices, c))[1]


@njit(**COMPILED)
def _alike(q, c, r, d, lattices):
    """Are two crystals within 2° of each other?"""
    return _closeness(q, c, r, d, lattices) > SAME


@njit(**COMPILED)
def leftovers(
    offset, ky, kx, intensity, place, loose, limit, rotation, crystal, lattices, physics,
    left_ky, left_kx, left, left_place, left_loose,
):  # fmt: skip
    """What one crystal leaves of every pattern.

    Parameters
    ----------
    offset, ky, kx, intensity, place, loose, limit
        Of the patterns, see :class:`phaseloom.orientation.matching.patterns.Patterns`.
    rotation, crystal
        (patterns, 4) and (patterns,): the crystal.
    lattices, physics
        As for :func:`phaseloom.orientation.refinement.search.solve_patterns`.
    left_ky, left_kx, left, left_place, left_loose
        Outputs: places from the direct beam as the crystal shows it, intensity, variances of
        place and ln intensity.
    """
    room = make_room(lattices, physics, most_peaks(offset))
    log_intensity = np.log(intensity)
    log_left = np.empty_like(log_intensity)
    q, state = np.empty(4), np.zeros(3)
    for p in range(offset.size - 1):
        own = slice(offset[p], offset[p + 1])
        pattern = pattern_at(p, offset, ky, kx, intensity, log_intensity, place, loose, limit)
        rest = pattern_at(p, offset, ky, kx, left, log_left, left_place, left_loose, limit)
        stamp(pattern, physics.reach, room.where)
        q[:] = rotation[p]
        state[:2], state[2] = 0.0, np.nan
        _fit(q, state, _STEPS, crystal[p], pattern, lattices, physics, room)
        _leave(pattern, room, physics, rest)
        left_ky[own] = pattern.ky - state[0]
        left_kx[own] = pattern.kx - state[1]
        wipe(pattern, physics.reach, room.where)


@njit(**COMPILED)
def fit_pairs(
    offset, ky, kx, intensity, place, loose, limit, first, first_crystal, second, second_crystal,
    lattices, physics, rotation, value, weight,
):  # fmt: skip
    """Refine pairs of crystals and give their likelihoods.

    Parameters
    ----------
    offset, ky, kx, intensity, place, loose, limit
        Of the patterns, see :class:`phaseloom.orientation.matching.patterns.Patterns`.
    first, first_crystal
        (patterns, 4) and (patterns,).
    second, second_crystal
        (patterns, n, 4) and (patterns, n), −1 where there are fewer: each is tried with the first.
    lattices, physics
        As for :func:`phaseloom.orientation.refinement.search.solve_patterns`.
    rotation, value, weight
        Outputs (patterns, n, 2, 4) and (patterns, n): both rotations, ln likelihood, part of the
        second in the intensity of the paired peaks. Left alone where there is none.
    """
    size = most_peaks(offset)
    room = make_room(lattices, physics, size)
    other, both = _second_room(room), _second_room(room)
    log_intensity = np.log(intensity)
    space = Pattern(
        ky, kx, np.empty(size), np.empty(size), np.empty(size), np.empty(size), 0.0
    )  # fmt: skip
    own_q, q, r = np.empty(4), np.empty(4), np.empty(4)
    own_state, state, its_state = np.empty(3), np.empty(3), np.empty(3)
    for p in range(offset.size - 1):
        own = slice(offset[p], offset[p + 1])
        pattern = pattern_at(p, offset, ky, kx, intensity, log_intensity, place, loose, limit)
        peaks = pattern.ky.size
        left = Pattern(
            ky[own], kx[own], space.intensity[:peaks], space.log_intensity[:peaks],
            space.place[:peaks], space.loose[:peaks], limit[p],
        )  # fmt: skip
        stamp(pattern, physics.reach, room.where)
        own_q[:] = first[p]
        own_state[:2], own_state[2] = 0.0, np.nan
        a, top = first_crystal[p], -np.inf
        start = _fit(own_q, own_state, _STEPS, a, pattern, lattices, physics, room)
        for i in range(second.shape[1]):
            b = second_crystal[p, i]
            if b < 0 or start < 0:
                continue
            repeated = _alike(own_q, a, second[p, i], b, lattices)
            for j in range(i):
                if value[p, j] > -np.inf:
                    repeated |= _alike(
                        second[p, j], second_crystal[p, j], second[p, i], b, lattices
                    )
                    repeated |= _alike(
                        rotation[p, j, 1], second_crystal[p, j], second[p, i], b, lattices
                    )
            if repeated:
                continue
            q[:], state[:] = own_q, own_state
            r[:] = second[p, i]
            its_state[:2], its_state[2] = own_state[:2], np.nan
            n = _fit(q, state, 0, a, pattern, lattices, physics, room)
            best = -np.inf
            for _ in range(_ROUNDS):
                _leave(pattern, room, physics, left)
                m = _fit(r, its_state, _STEPS, b, left, lattices, physics, other)
                if m < 0:
                    break
                _leave(pattern, other, physics, left)
                n = _fit(q, state, _STEPS, a, left, lattices, physics, room)
                if n < 0:
                    break
                now, share = _joint(n, m, pattern, state, its_state, physics, room, other, both)
                gain = now - best
                if gain > 0.0:
                    best = now
                    top = max(top, now)
                    rotation[p, i, 0], rotation[p, i, 1] = q, r
                    value[p, i], weight[p, i] = now, share
                if gain < _ENOUGH or now < top - _HOPELESS:
                    break
        wipe(pattern, physics.reach, room.where)


@njit(**COMPILED)
def weigh_pairs(
    rotation, crystal, value, weight, first, first_crystal, alone, lattices, chosen, probability
):
    """The likeliest pair of every pattern, and how probable it and its members are.

    Parameters
    ----------
    rotation, crystal, value, weight
        (patterns, n, 2, 4), (patterns, n, 2), (patterns, n) and (patterns, n): pairs, ln of what
        speaks for them, −inf where there is none, and the second's part. The likeliest pair is
        put in order: first the crystal that was known, else the one with the greater part.
    first, first_crystal
        (patterns, 4) and (patterns,): the crystals that were known.
    alone
        (patterns,): ln of what speaks for a single crystal.
    lattices
        :class:`phaseloom.orientation.matching.library.Lattices`.
    chosen
        Output (patterns,): number of the pair, −1 if a single crystal is likelier.
    probability
        Output (patterns, 4): of a single crystal; that the first and that the second of the pair
        is one of two crystals; that both are. Of equal pairs only one counts. 1, 0, 0, 0 where a
        single crystal is likelier.
    """
    for p in range(value.shape[0]):
        best = np.argmax(value[p])
        chosen[p] = -1
        probability[p] = 0.0
        probability[p, 0] = 1.0
        if not value[p, best] > alone[p]:
            continue
        chosen[p] = best
        a, b = crystal[p, best]
        near = _closeness(rotation[p, best, 0], a, first[p], first_crystal[p], lattices)
        other = _closeness(rotation[p, best, 1], b, first[p], first_crystal[p], lattices)
        if other > near if max(near, other) > _NEAR else weight[p, best] > 0.5:
            rotation[p, best] = rotation[p, best, ::-1].copy()
            crystal[p, best, 0], crystal[p, best, 1] = b, a
            weight[p, best] = 1.0 - weight[p, best]
        top = value[p, best]
        single = math.exp(alone[p] - top)
        total, member = single, np.zeros(2)
        order = np.argsort(-value[p])
        for at in range(order.size):
            i = order[at]
            if not value[p, i] > top - 30.0:
                break
            if _is_repeated(rotation[p], crystal[p], order, at, lattices):
                continue
            part = math.exp(value[p, i] - top)
            total += part
            for m in range(2):
                held = i == best
                for s in range(2):
                    held |= _alike(rotation[p, best, m], crystal[p, best, m], rotation[p, i, s],
                                   crystal[p, i, s], lattices)  # fmt: skip
                if held:
                    member[m] += part
        probability[p, 0] = single / total
        probability[p, 1:3] = member / total
        probability[p, 3] = 1.0 / total


@njit(**COMPILED)
def _is_repeated(rotation, crystal, order, at, lattices):
    """Is a pair one of the likelier ones, perhaps the other way round?"""
    i = order[at]
    for before in range(at):
        j = order[before]
        for s in range(2):
            if _alike(rotation[i, 0], crystal[i, 0], rotation[j, s], crystal[j, s], lattices) and (
                _alike(rotation[i, 1], crystal[i, 1], rotation[j, 1 - s], crystal[j, 1 - s],
                       lattices)
            ):  # fmt: skip
                return True
    return False


@njit(**COMPILED)
def not_held(rotation, crystal, value, fixed, fixed_crystal, lattices, following, its_crystal):
    """A crystal of every pattern's pair that was not held fixed yet.

    Parameters
    ----------
    rotation, crystal, value
        (patterns, 2, 4), (patterns, 2), (patterns,): the pairs.
    fixed, fixed_crystal
        (patterns, n, 4) and (patterns, n), −1 where there are fewer.
    lattices
        :class:`phaseloom.orientation.matching.library.Lattices`.
    following, its_crystal
        Outputs (patterns, 4) and (patterns,); left alone where both were.
    """
    for p in range(value.size):
        if not value[p] > -np.inf:
            continue
        for s in range(2):
            was_fixed = False
            for i in range(fixed_crystal.shape[1]):
                was_fixed |= _alike(rotation[p, s], crystal[p, s], fixed[p, i], fixed_crystal[p, i],
                                lattices)  # fmt: skip
            if not was_fixed:
                following[p], its_crystal[p] = rotation[p, s], crystal[p, s]
                break


@njit(**COMPILED)
def among_solutions(rotation, crystal, solutions, its_crystal, lattices, place):
    """Where in the list of its pattern an orientation stands.

    Parameters
    ----------
    rotation, crystal
        (patterns, 4) and (patterns,): the orientations.
    solutions, its_crystal
        (patterns, n, 4) and (patterns, n): the lists.
    lattices
        :class:`phaseloom.orientation.matching.library.Lattices`.
    place
        Output (patterns,): number in the list, that of the last (1 at least) where it is not there.
    """
    for p in range(place.size):
        place[p] = max(its_crystal.shape[1] - 1, 1)
        for i in range(its_crystal.shape[1]):
            if _alike(rotation[p], crystal[p], solutions[p, i], its_crystal[p, i], lattices):
                place[p] = i
                break
