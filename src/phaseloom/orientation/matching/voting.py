"""Template matching of peak lists by sparse voting (compiled), one pattern after the other.

A peak at radius r and angle θ and a template spot at the same radius and angle ϑ agree if the
template is turned by θ − ϑ, or mirrored and turned by θ + ϑ. So every pair of about equal radius
votes for one in-plane angle of each kind; the heights of the histogram of votes are the
correlations of the pattern with the template at all angles. Spots being sparse, this needs a
thousandth of the operations of a correlation of images.

The mirrored template is the pattern of the same zone axis seen from the other side.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from phaseloom.orientation.quaternions import COMPILED, nearest_copy, product

_FINITE = {**COMPILED, "fastmath": True, "boundscheck": False, "error_model": "numpy"}
"""For loops that see finite numbers only: maxima of them become vector instructions."""

TOLERANCE = 0.02
"""Å⁻¹: pairs of radii that differ by less vote, with a weight that falls linearly to zero."""

LIST = 40
"""Zones and angles that are held before solutions that are too alike are joined."""

_NARROW = 0.80
"""Neighbouring zones with at least this part of a solution's votes decide where it lies."""


@njit(**_FINITE)
def polar_pattern(ky, kx, intensity, k_min, k_max, bins_per_turn, radius, angle, weight):
    """Peaks in polar form by rising radius, weights of unit norm; how many.

    The strongest ones if there are more than the outputs hold.
    """
    n = 0
    total = 0.0
    for i in range(ky.size):
        r = math.sqrt(ky[i] * ky[i] + kx[i] * kx[i])
        if not (k_min < r < k_max and intensity[i] > 0.0):
            continue
        w = math.sqrt(math.sqrt(intensity[i]) * r)
        if n < radius.size:
            at = n
            n += 1
        else:
            at = int(np.argmin(weight))
            if weight[at] >= w:
                continue
        turn = math.atan2(ky[i], kx[i]) * bins_per_turn / (2.0 * math.pi)
        if turn < 0.0:
            turn += bins_per_turn
        radius[at], angle[at], weight[at] = r, min(turn, bins_per_turn - 1e-3), w
    order = np.argsort(radius[:n])
    radius[:n] = radius[:n][order]
    angle[:n] = angle[:n][order]
    weight[:n] = weight[:n][order]
    for i in range(n):
        total += weight[i] * weight[i]
    if not 0.0 < total < np.inf:
        # Weights beyond what single precision holds say nothing.
        return 0
    weight[:n] /= np.float32(math.sqrt(total))
    return n


@njit(**_FINITE)
def rank_zones(radius, weight, signature, first, last, k_max, score):
    """score[first:last] = agreement of the pattern's weights by radius with every zone's."""
    bins = signature.shape[0]
    score[first:last] = 0.0
    held = np.zeros(bins, dtype=np.float32)
    for i in range(radius.size):
        at = min(max(radius[i] / k_max * bins - 0.5, 0.0), bins - 1.001)
        b = int(at)
        held[b] += weight[i] * (1.0 - (at - b))
        held[b + 1] += weight[i] * (at - b)
    for b in range(bins):
        h = held[b]
        if h > 0.0:
            row = signature[b]
            for z in range(first, last):
                score[z] += h * row[z]


@njit(**_FINITE)
def least_of_best(score, n):
    """A value that about ``n`` of the scores, not fewer, reach."""
    top = score.max()
    count = np.zeros(256, dtype=np.int64)
    scale = 255.0 / max(top, np.float32(1e-12))
    for value in score:
        count[int(max(value, np.float32(0.0)) * scale)] += 1
    at, reached = 255, count[255]
    while reached < n and at > 0:
        at -= 1
        reached += count[at]
    return at / scale


@njit(**_FINITE)
def vote(radius, angle, weight, t_radius, t_angle, t_weight, tolerance, votes):
    """Histograms of votes: (2, angles + 1), as it is and mirrored."""
    bins = np.float32(votes.shape[1] - 1)
    votes[:] = 0.0
    inverse = np.float32(1.0) / tolerance
    start = 0
    size = t_radius.size
    for i in range(radius.size):
        r = radius[i]
        while start < size and t_radius[start] < r - tolerance:
            start += 1
        j = start
        while j < size and t_radius[j] <= r + tolerance:
            w = weight[i] * t_weight[j] * (np.float32(1.0) - abs(r - t_radius[j]) * inverse)
            d = angle[i] - t_angle[j]
            if d < 0:
                d += bins
            b = int(d)
            f = (d - b) * w
            votes[0, b] += w - f
            votes[0, b + 1] += f
            d = angle[i] + t_angle[j]
            if d >= bins:
                d -= bins
            b = int(d)
            f = (d - b) * w
            votes[1, b] += w - f
            votes[1, b + 1] += f
            j += 1
    votes[0, 0] += votes[0, votes.shape[1] - 1]
    votes[1, 0] += votes[1, votes.shape[1] - 1]


@njit(**COMPILED)
def _keep(value, zone, bin_, mirror, score, which):
    """Insert into the list of the best, by falling score."""
    at = score.size - 1
    while at > 0 and value > score[at - 1]:
        score[at] = score[at - 1]
        which[at] = which[at - 1]
        at -= 1
    score[at] = value
    which[at, 0], which[at, 1], which[at, 2] = zone, bin_, mirror


@njit(**_FINITE)
def _largest(row, start, stop):
    top = np.float32(0.0)
    for b in range(start, stop):
        top = max(top, row[b])
    return top


@njit(**_FINITE)
def best_angles(votes, zone, score, which):
    """Enter the two best angles of a zone, each as it is and mirrored, into the list."""
    bins = votes.shape[1] - 1
    last = score.size - 1
    for mirror in range(2):
        row = votes[mirror]
        top = _largest(row, 0, bins)
        if top <= score[last]:
            continue
        first = 0
        while row[first] < top:
            first += 1
        _keep(top, zone, first, mirror, score, which)
        # Angles more than five steps away: two ranges, the turn being closed.
        left, right = first - 5, first + 6
        start, stop = max(0, right - bins), min(bins, left + bins)
        second = max(_largest(row, start, left), _largest(row, right, stop))
        if second > score[last]:
            at = start
            while row[at] < second or left <= at < right:
                at += 1
            _keep(second, zone, at, mirror, score, which)


@njit(**COMPILED)
def placed(zone_rotation, bin_, mirror, bins, out):
    """Rotation, sample to crystal, of a template turned by an angle, mirrored before or not."""
    half = math.pi * bin_ / bins
    turn = np.array([math.cos(half), 0.0, 0.0, -math.sin(half)])
    if mirror:
        product(np.array([0.0, 0.0, 1.0, 0.0]), turn, turn)
    product(zone_rotation, turn, out)


@njit(**COMPILED)
def join(score, which, zone_rotation, bins, symmetry, apart, rotation, correlation):
    """Distinct solutions of the list: best first; how many.

    What lies within ``apart`` (radians) of a better solution belongs to it; the mean over
    those with nearly as many votes, weighted with the votes, places it between the zones.
    """
    n = 0
    most = rotation.shape[0]
    close = math.cos(0.5 * apart)
    q = np.empty(4)
    copy = np.empty(4)
    total = np.zeros((most, 4))
    for i in range(score.size):
        if score[i] <= 0.0:
            break
        placed(zone_rotation[which[i, 0]], which[i, 1], which[i, 2], bins, q)
        owner = -1
        for k in range(n):
            s, cosine = nearest_copy(rotation[k], q, symmetry)
            if cosine > close:
                owner = k
                product(symmetry[s], q, copy)
                break
        if owner < 0:
            if n == most:
                continue
            rotation[n] = q
            total[n] = q * score[i]
            correlation[n] = score[i]
            n += 1
        elif score[i] > _NARROW * correlation[owner]:
            sign = 1.0 if np.dot(copy, rotation[owner]) > 0.0 else -1.0
            weight = sign * (score[i] - _NARROW * correlation[owner])
            total[owner] += copy * (weight / (1.0 - _NARROW))
    for k in range(n):
        rotation[k] = total[k] / math.sqrt(np.dot(total[k], total[k]))
    return n


@njit(**COMPILED)
def match_patterns(
    offset, ky, kx, intensity, k_min, templates, symmetry_offset, symmetry, k_max, bins,
    part, least, apart, rotation, correlation,
):  # fmt: skip
    """Distinct solutions of every pattern for every crystal.

    Parameters
    ----------
    offset, ky, kx, intensity
        Peaks of the patterns (float64, Å⁻¹).
    k_min, k_max
        Peaks between these count.
    templates
        :class:`phaseloom.orientation.matching.library.Templates`.
    symmetry_offset, symmetry
        Of the crystals.
    bins
        In-plane angles of a turn.
    part, least
        Share of a crystal's zones that is voted on, those with the best signatures, and the
        least number of them.
    apart
        Radians between distinct solutions.
    rotation, correlation
        Outputs (patterns, crystals, solutions, 4) and (patterns, crystals, solutions), NaN at
        the start.
    """
    crystals = templates.crystal_offset.size - 1
    score = np.empty(templates.offset.size - 1, dtype=np.float32)
    votes = np.empty((2, bins + 1), dtype=np.float32)
    radius = np.empty(250, dtype=np.float32)
    angle = np.empty(250, dtype=np.float32)
    weight = np.empty(250, dtype=np.float32)
    best = np.empty(LIST, dtype=np.float32)
    which = np.empty((LIST, 3), dtype=np.int32)
    tolerance = np.float32(TOLERANCE)
    for p in range(offset.size - 1):
        own = slice(offset[p], offset[p + 1])
        n = polar_pattern(
            ky[own], kx[own], intensity[own], k_min, k_max, bins, radius, angle, weight
        )
        if n == 0:
            continue
        r, a, w = radius[:n], angle[:n], weight[:n]
        for c in range(crystals):
            first, last = templates.crystal_offset[c], templates.crystal_offset[c + 1]
            rank_zones(r, w, templates.signature, first, last, k_max, score)
            voted_on = max(least, int(part * (last - first)))
            limit = least_of_best(score[first:last], voted_on)
            best[:] = 0.0
            for z in range(first, last):
                if score[z] < limit:
                    continue
                t = slice(templates.offset[z], templates.offset[z + 1])
                vote(r, a, w, templates.radius[t], templates.angle[t], templates.weight[t],
                     tolerance, votes)  # fmt: skip
                best_angles(votes, z, best, which)
            own_turns = symmetry[symmetry_offset[c] : symmetry_offset[c + 1]]
            join(best, which, templates.rotation, bins, own_turns, apart,
                 rotation[p, c], correlation[p, c])  # fmt: skip
