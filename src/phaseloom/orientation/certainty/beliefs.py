"""Belief propagation (compiled) on a map in which every pixel has its own list of solutions.

Tree-reweighted belief propagation (M. J. Wainwright, T. S. Jaakkola and A. S. Willsky, IEEE
Trans. Inf. Theory 51, 2313 (2005)) with every edge in half of the trees, which is right for a
large square grid. Unlike plain belief propagation it does not count evidence twice that comes
back round a loop, and it has one answer only.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from phaseloom.orientation.quaternions import COMPILED, nearest_copy

LEFT, ABOVE, RIGHT, BELOW = 0, 1, 2, 3
"""Neighbours of a pixel, by their numbers."""

POOR = 0.02
"""A copy of a neighbour's solution that is less likely by this factor may be a poor one."""


@njit(**COMPILED)
def find_partners(rotation, crystal, symmetry_offset, symmetry, cosine, partner):
    """Which solutions of neighbouring pixels are one orientation.

    Parameters
    ----------
    rotation, crystal
        (y, x, n, 4) and (y, x, n), −1 where there is none; n at most 31.
    symmetry_offset, symmetry
        Proper rotations of all crystals, flat.
    cosine
        Of half the largest angle between them.
    partner
        Output (y, x, 4, n) int32, 0 at the start: bit m is set where the neighbour's solution m
        is the orientation of this one.
    """
    rows, columns, n = crystal.shape
    for y in range(rows):
        for x in range(columns):
            for side in (RIGHT, BELOW):
                v, u = (y, x + 1) if side == RIGHT else (y + 1, x)
                if v >= rows or u >= columns:
                    continue
                for k in range(n):
                    c = crystal[y, x, k]
                    if c < 0:
                        continue
                    turns = symmetry[symmetry_offset[c] : symmetry_offset[c + 1]]
                    for m in range(n):
                        if crystal[v, u, m] != c:
                            continue
                        if nearest_copy(rotation[y, x, k], rotation[v, u, m], turns)[1] > cosine:
                            partner[y, x, side, k] |= 1 << m
                            partner[v, u, side - 2, m] |= 1 << k


@njit(**COMPILED)
def find_lacking(
    rotation, crystal, weight, giving, partner, symmetry_offset, symmetry, cosine, least, code
):
    """Solutions of neighbours that a pixel's own list lacks, or has in a far less likely copy.

    Parameters
    ----------
    rotation, crystal, partner, symmetry_offset, symmetry, cosine
        As for :func:`find_partners`.
    weight
        (y, x, n): probabilities of the solutions.
    giving
        (y, x, n): likewise, 0 of those that are not to be passed on.
    least
        Probability from which on one is passed on.
    code
        Output (y, x, most) integers, −1 at the start: n times the neighbour's side, plus the number
        of its solution, distinct ones.
    """
    rows, columns, n = crystal.shape
    for y in range(rows):
        for x in range(columns):
            if crystal[y, x, 0] < 0:
                continue
            found = 0
            for side in range(4):
                v = y + (side == BELOW) - (side == ABOVE)
                u = x + (side == RIGHT) - (side == LEFT)
                if v < 0 or v >= rows or u < 0 or u >= columns:
                    continue
                for m in range(n):
                    if giving[v, u, m] < least or found == code.shape[2]:
                        continue
                    mates = partner[v, u, (side + 2) % 4, m]
                    known = 0.0
                    for k in range(n):
                        if mates >> k & 1:
                            known += weight[y, x, k]
                    if known >= POOR * giving[v, u, m]:
                        continue
                    c = crystal[v, u, m]
                    turns = symmetry[symmetry_offset[c] : symmetry_offset[c + 1]]
                    new = True
                    for other in range(found):
                        b, k = code[y, x, other] // n, code[y, x, other] % n
                        w = y + (b == BELOW) - (b == ABOVE)
                        a = x + (b == RIGHT) - (b == LEFT)
                        if crystal[w, a, k] == c:
                            near = nearest_copy(rotation[w, a, k], rotation[v, u, m], turns)[1]
                            new = new and near <= cosine
                    if new:
                        code[y, x, found] = side * n + m
                        found += 1


@njit(**COMPILED)
def drop_copies(rotation, crystal, symmetry_offset, symmetry, cosine, kept, given):
    """Of solutions of a pattern that are one keep the first.

    Parameters
    ----------
    rotation, crystal
        (patterns, n, 4) and (patterns, n).
    symmetry_offset, symmetry, cosine
        As for :func:`find_partners`.
    kept
        (patterns, n), in place: False of those that are dropped.
    given
        (patterns, n), in place: a mark that the first one takes over.
    """
    for p in range(crystal.shape[0]):
        for i in range(crystal.shape[1]):
            if not kept[p, i]:
                continue
            c = crystal[p, i]
            turns = symmetry[symmetry_offset[c] : symmetry_offset[c + 1]]
            for j in range(i):
                same = kept[p, j] and crystal[p, j] == c
                if same and nearest_copy(rotation[p, i], rotation[p, j], turns)[1] > cosine:
                    kept[p, i] = False
                    given[p, j] = given[p, j] or given[p, i]
                    break


@njit(**COMPILED)
def _send(belief, message, partner, y, x, side, v, u, gain, cavity, incoming):
    """The message from (y, x) to its neighbour (v, u) on a side, and what that believes then."""
    n = belief.shape[2] - 1
    back = (side + 2) % 4
    total = np.float32(0.0)
    strange = np.float32(0.0)
    for k in range(n + 1):
        cavity[k] = belief[y, x, k] / (message[y, x, side, k] * message[y, x, side, k])
        total += cavity[k]
        if k == n or partner[y, x, side, k] == 0:
            strange += cavity[k]
    # An orientation that is not in the list may be whichever the neighbour has of its own.
    norm = np.float32(0.0)
    largest = np.float32(0.0)
    for m in range(n + 1):
        if belief[v, u, m] == 0.0:
            continue
        with_it = strange
        if m < n:
            mates = partner[v, u, back, m]
            with_it = cavity[n] if mates == 0 else np.float32(0.0)
            for k in range(n):
                if mates >> k & 1:
                    with_it += cavity[k]
        incoming[m] = math.sqrt(total + gain * with_it)
        largest = max(largest, incoming[m])
    for m in range(n + 1):
        if belief[v, u, m] == 0.0:
            continue
        new = incoming[m] / largest
        belief[v, u, m] *= new / message[v, u, back, m]
        message[v, u, back, m] = new
        norm += belief[v, u, m]
    for m in range(n + 1):
        belief[v, u, m] /= norm


@njit(**COMPILED)
def propagate(prior, partner, coupling, sweeps, settled, message):
    """Beliefs of all pixels given the whole map.

    Parameters
    ----------
    prior
        (y, x, n + 1) float32: weights of the solutions (0: none) and, last, of an orientation
        that is not among them; of sum one.
    partner
        From :func:`find_partners`.
    coupling
        ln of what two neighbours of one orientation are worth.
    sweeps, settled
        Most sweeps there and back; enough if no belief moves more than this.
    message
        Output (y, x, 4, n + 1) float32, one at the start: what the neighbours say, each by the
        power of one half with which it counts.

    Returns
    -------
    ndarray
        (y, x, n + 1) float32.
    """
    rows, columns, states = prior.shape
    belief = prior.copy()
    cavity = np.empty(states, dtype=np.float32)
    incoming = np.empty(states, dtype=np.float32)
    gain = np.float32(math.exp(2.0 * coupling) - 1.0)
    for _ in range(sweeps):
        before = belief.copy()
        for y in range(rows):
            for x in range(columns):
                if x + 1 < columns:
                    _send(belief, message, partner, y, x, RIGHT, y, x + 1, gain, cavity, incoming)
                if y + 1 < rows:
                    _send(belief, message, partner, y, x, BELOW, y + 1, x, gain, cavity, incoming)
        for y in range(rows - 1, -1, -1):
            for x in range(columns - 1, -1, -1):
                if x > 0:
                    _send(belief, message, partner, y, x, LEFT, y, x - 1, gain, cavity, incoming)
                if y > 0:
                    _send(belief, message, partner, y, x, ABOVE, y - 1, x, gain, cavity, incoming)
        if np.abs(belief - before).max() < settled:
            break
    return belief
