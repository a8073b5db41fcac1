"""Fit of one orientation (compiled): steps towards the greatest likelihood.

In-plane angle and centre come from the places of the peaks, the tilt from their intensities:
tilting by ω changes the excitation error of a reflection at k by −ωx ky + ωy kx. Far from the
solution ln intensities are a poor guide (their slope by s is −2/s, which turns round at 0), so the
first steps solve for the excitation errors themselves: an observed intensity says |s|, the
present orientation its sign. The last steps are Gauss-Newton on ln intensities.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from phaseloom.orientation.quaternions import COMPILED, turned
from phaseloom.orientation.refinement.excitation import excitation_of, log_below
from phaseloom.orientation.refinement.likelihood import FADING, log_likelihood, predict

_BLURS = (0.02, 0.008)
"""Sines of the angles by which the first steps widen the excitation."""

_LARGEST = 0.02
"""Radians: no step tilts further."""

_SETTLED = 0.05
"""A step that gains less ln likelihood is the last."""

_PRIOR = 0.03
"""Radians: a step is held back as if the start were known so well."""


@njit(**COMPILED)
def _solve(h, g, out):
    """Out = h⁻¹ g for a symmetric, positive matrix (upper triangle by rows; Cholesky)."""
    a = math.sqrt(h[0])
    b, c = h[1] / a, h[2] / a
    d = math.sqrt(max(h[3] - b * b, 1e-300))
    e = (h[4] - b * c) / d
    f = math.sqrt(max(h[5] - c * c - e * e, 1e-300))
    x = g[0] / a
    y = (g[1] - b * x) / d
    z = (g[2] - c * x - e * y) / f
    out[2] = z / f
    out[1] = (y - e * out[2]) / d
    out[0] = (x - b * out[1] - c * out[2]) / a


@njit(**COMPILED)
def _along(pattern, state, physics, wide, room, step):
    """Angle (radians) and shift that bring the paired reflections onto their peaks."""
    spots, best = room.spots, room.best
    prior = 1.0 / physics.centre**2
    h, g = room.normal[:6], room.normal[6:]
    room.normal[:] = 0.0
    h[0], h[3], h[5] = 1e-6, prior, prior
    g[1], g[2] = -state[0] * prior, -state[1] * prior
    for p in range(pattern.ky.size):
        i = best[p]
        if i < 0:
            continue
        dy, dx = pattern.ky[p] - spots[0, i], pattern.kx[p] - spots[1, i]
        place = 1.0 / (wide * (physics.position**2 + pattern.place[p]))
        # Student's t, four degrees of freedom: weights (4 + 2) / (4 + d²).
        w = 1.5 * place / (1.0 + 0.25 * (dy * dy + dx * dx) * place)
        jy, jx = spots[1, i] - state[1], -(spots[0, i] - state[0])
        h[0] += w * (jy * jy + jx * jx)
        h[1] += w * jy
        h[2] += w * jx
        h[3] += w
        h[5] += w
        g[0] += w * (jy * dy + jx * dx)
        g[1] += w * dy
        g[2] += w * dx
    _solve(h, g, step)


@njit(**COMPILED)
def _add(h, g, w, r, jx, jy, js):
    """One residual r with slopes jx, jy, js into the normal equations."""
    h[0] += w * jx * jx
    h[1] += w * jx * jy
    h[2] += w * jx * js
    h[3] += w * jy * jy
    h[4] += w * jy * js
    h[5] += w * js * js
    g[0] += w * jx * r
    g[1] += w * jy * r
    g[2] += w * js * r


@njit(**COMPILED)
def _across(n, pattern, state, physics, early, room, step):
    """Tilts ωx, ωy (radians) and the change of ln scale."""
    spots, sums, best = room.spots, room.sums, room.best
    h, g = room.normal[:6], room.normal[6:]
    room.normal[:] = 0.0
    h[0] = h[3] = 1.0 / _PRIOR**2
    h[5] = 1e-6
    c = 2.0 * math.pi * physics.thickness
    for p in range(pattern.ky.size):
        i = best[p]
        if i < 0:
            continue
        spread = physics.spread**2 + pattern.loose[p]
        r = pattern.log_intensity[p] - math.log(sums[0, p])
        w = 1.0 / ((1.0 + 0.25 * r * r / spread) * spread)
        if early:
            _add(h, g, w, r, 0.0, 0.0, 1.0)
            full = room.listed[3, room.source[i, 0]] * state[2]
            excess = excitation_of(max(full / pattern.intensity[p], 1.0), physics.sharpness)
            seen = math.copysign(math.sqrt(excess) / c, spots[2, i])
            error = math.sqrt(spread) * (1.0 + excess / physics.sharpness)
            error /= 2.0 * c * c * max(abs(seen), 0.5 / c)
            error = error * error + 4e-6
            off = seen - spots[2, i]
            w = 1.0 / ((1.0 + 0.25 * off * off / error) * error)
            _add(h, g, w, off, -(spots[0, i] - state[0]), spots[1, i] - state[1], 0.0)
        else:
            _add(h, g, w, r, sums[1, p] / sums[0, p], sums[2, p] / sums[0, p], 1.0)
    if not early:
        soft = 1.0 / math.sqrt(physics.spread**2 + 0.09)
        for i in range(n):
            if room.source[i, 1] >= 0:
                continue
            y, x = spots[0, i], spots[1, i]
            if not (physics.bottom < y < physics.top and physics.left < x < physics.right):
                continue
            below = math.log(pattern.limit / spots[3, i]) * soft
            value = log_below(below)
            if below > 3.0 or value < physics.missing:
                continue
            # Newton on ln Φ: its slope is φ/Φ, and that of the slope −φ/Φ (φ/Φ + x).
            mills = 0.3989422804 * math.exp(-0.5 * below * below - value)
            curve = max(mills * (mills + below), 1e-6) * soft * soft
            slope = spots[4, i]
            jx, jy = -slope * (y - state[0]), slope * (x - state[1])
            _add(h, g, curve, -mills * soft / curve, jx, jy, 1.0)
    _solve(h, g, step)
    largest = max(abs(step[0]), abs(step[1]))
    if largest > _LARGEST:
        step[0] *= _LARGEST / largest
        step[1] *= _LARGEST / largest


@njit(**COMPILED)
def _first_scale(pattern, room):
    """Factor between theory and counts: the mean of its ln, strong peaks counting more."""
    total = weight = 0.0
    for p in range(pattern.ky.size):
        if room.best[p] >= 0:
            w = math.sqrt(pattern.intensity[p])
            weight += w
            total += w * (pattern.log_intensity[p] - math.log(room.sums[0, p]))
    return math.exp(total / weight) if weight > 0.0 else 1.0


@njit(**COMPILED)
def _move(q, state, along, across, part):
    """Take a part of a step: in-plane angle and shift, tilts and scale."""
    state[0] += part * along[1]
    state[1] += part * along[2]
    state[2] *= math.exp(part * min(max(across[2], -2.0), 2.0))
    turned(q, part * across[0], part * across[1], part * along[0], q)


@njit(**COMPILED)
def refine(q, state, steps, early, listed, pattern, physics, room):
    """Refine an orientation in place.

    Parameters
    ----------
    q
        (4,), rotation.
    state
        (3,): shift of the direct beam (ky, kx) and scale; a NaN scale is found first.
    steps
        At most so many on ln intensities; none makes the likelihood less.
    early
        So many before them solve for excitation errors.
    listed
        From :func:`phaseloom.orientation.refinement.likelihood.shortlist`.
    pattern, physics, room
        See :mod:`phaseloom.orientation.refinement.likelihood`; ``room`` holds the solution's spots
        after.

    Returns
    -------
    value : float
        ln likelihood, −inf if fewer than two peaks pair.
    n : int
        Spots predicted.
    """
    along = np.zeros(3)
    across = np.zeros(3)
    best = -np.inf
    best_q, best_state = q.copy(), state.copy()
    damping = 1.0
    turn = n = 0
    floor = pattern.limit * FADING
    while True:
        blur = _BLURS[turn] if turn < min(early, 2) else 0.0
        if math.isnan(state[2]):
            n, pairs = predict(q, state, 1.0, blur, listed, pattern, physics, 1e-5, room)
            state[2] = _first_scale(pattern, room)
            room.spots[3, :n] *= state[2]
            room.sums[:] *= state[2]
        else:
            n, pairs = predict(q, state, state[2], blur, listed, pattern, physics, floor, room)
        if turn >= early:
            value = log_likelihood(n, pattern, state, physics, room)
            gain = value - best
            if gain >= 0.0:
                best, damping = value, 1.0
                best_q[:], best_state[:] = q, state
            else:
                # The step went too far: a shorter one from where it began.
                damping *= 0.4
            if turn >= early + steps or 0.0 <= gain < _SETTLED or damping < 0.1:
                break
            if gain < 0.0:
                q[:], state[:] = best_q, best_state
                _move(q, state, along, across, damping)
                turn += 1
                continue
        if pairs < 2:
            return -np.inf, n
        _along(pattern, state, physics, 4.0 if turn < 2 else 1.0, room, along)
        _across(n, pattern, state, physics, turn < early, room, across)
        _move(q, state, along, across, 1.0)
        turn += 1
    if gain < 0.0:
        q[:], state[:] = best_q, best_state
        n, pairs = predict(q, state, state[2], 0.0, listed, pattern, physics, floor, room)
    return best, n
