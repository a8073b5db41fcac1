"""Likelihood (compiled): of a pattern's peaks, given a crystal and its orientation.

What a peak list says for and against an orientation:

- a peak where a reflection is excited: ln of the density of its distance (Student's t with four
  degrees of freedom round the predicted place) times that of the logarithm of its intensity
  (likewise, round the predicted one);
- a peak where there is none: ln of the density of unexplained peaks, the same everywhere. No
  peak counts for less than that;
- an excited reflection without a peak: ln of the chance that it stayed below the limit of
  detection.

Intensities are kinematic up to a factor of the pattern; reflections that fall on one peak add.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from phaseloom.orientation.quaternions import COMPILED, to_matrix
from phaseloom.orientation.refinement.excitation import excitation_of, log_below, profile

CELL = 0.02
"""Å⁻¹: the map that finds the peak near a place has cells of this size."""

_HALF_DIAGONAL = 0.015
"""Å⁻¹, of such a cell: what is within reach of a peak may lie in a cell whose middle is not."""

_RANGE = 9.0
"""A pattern shows reflections down to exp(−9) of what its strongest would be at s = 0."""

_MARGIN = 0.04
"""Radians: how far an orientation may be refined from where its reflections were listed."""

_MOST = 3000
"""Reflections of an orientation that are looked at, at most."""

FADING = math.exp(-2.5)
"""Reflections weaker than this part of the limit of detection are not looked at."""


class Physics(NamedTuple):
    """Instrument and sample, as far as the prediction of a pattern depends on them.

    Parameters
    ----------
    sphere
        Radius of the Ewald sphere, 1/λ, in Å⁻¹.
    thickness
        In Å, of the excitation profile.
    sharpness
        Of the profile, from 1 (that of a wedge) towards a Gaussian, see
        :func:`phaseloom.orientation.refinement.excitation.profile`.
    sweep
        Sine of the precession angle.
    reach
        Å⁻¹: a peak further from a reflection is not its.
    position
        Å⁻¹: standard deviation of a distance, per coordinate, beyond the peak's own error.
    centre
        Å⁻¹: standard deviation of the direct beam's place.
    spread
        Standard deviation of ln intensity about kinematic theory, beyond the peak's own error.
    unexplained
        ln of the density of peaks that no reflection explains, per Å⁻² and unit of ln intensity.
    missing
        ln of the chance that a strong reflection is missing all the same.
    k_min, k_max
        Å⁻¹: peaks and reflections outside do not count.
    bottom, top, left, right
        ky and kx of the detector's edges in Å⁻¹: reflections outside are not missed.
    """

    sphere: float
    thickness: float
    sharpness: float
    sweep: float
    reach: float
    position: float
    centre: float
    spread: float
    unexplained: float
    missing: float
    k_min: float
    k_max: float
    bottom: float
    top: float
    left: float
    right: float


class Pattern(NamedTuple):
    """Peaks of one pattern.

    Parameters
    ----------
    ky, kx
        Å⁻¹.
    intensity, log_intensity
        Counts and their ln.
    place, loose
        Variance of the place (Å⁻², per coordinate) and of the ln intensity.
    limit
        Counts that half of the spots would need to be found.
    """

    ky: Any
    kx: Any
    intensity: Any
    log_intensity: Any
    place: Any
    loose: Any
    limit: float


@njit(**COMPILED)
def pattern_at(p, offset, ky, kx, intensity, log_intensity, place, loose, limit):
    """Peaks of pattern ``p`` of :class:`phaseloom.orientation.matching.patterns.Patterns`."""
    own = slice(offset[p], offset[p + 1])
    return Pattern(
        ky[own], kx[own], intensity[own], log_intensity[own], place[own], loose[own], limit[p]
    )


@njit(**COMPILED)
def most_peaks(offset):
    """Peaks of the pattern that has most, at least 1."""
    most = 1
    for p in range(offset.size - 1):
        most = max(most, offset[p + 1] - offset[p])
    return most


class Room(NamedTuple):
    """Arrays to work in.

    Parameters
    ----------
    where
        Map of the peaks: number of the nearest (from 1), 0 if none is within reach.
    listed
        (5, n): reflections that may be excited: g (x, y, z in the crystal), strength, |g|.
    reach
        (reflections,): excitation errors up to which a tilt may show each; −1: never.
    near
        (reflections,): how far inside its reach each reflection of a crystal is.
    spots
        (5, n): predicted ky, kx, s, intensity, its slope d ln I / ds.
    source
        (n, 2): place in the list, peak or −1.
    sums
        (3, peaks): predicted intensity on a peak, and its slopes by the tilts ωx and ωy.
    best
        (peaks,): strongest of the spots on a peak, or −1.
    normal
        (9,): a matrix's upper triangle and right-hand side.
    """

    where: Any
    listed: Any
    reach: Any
    near: Any
    spots: Any
    source: Any
    sums: Any
    best: Any
    normal: Any


@njit(**COMPILED)
def _reach(lattices, physics):
    """Excitation errors (Å⁻¹) up to which a tilt may show each reflection; −1: never seen."""
    reach = np.empty(lattices.length.size)
    inverse = 1.0 / (2.0 * math.pi * physics.thickness)
    for j in range(reach.size):
        ratio = lattices.strength[j] * math.exp(_RANGE)
        k = lattices.length[j]
        if ratio <= 1.0 or k >= physics.k_max:
            reach[j] = -1.0
        else:
            error = inverse * math.sqrt(excitation_of(ratio, physics.sharpness))
            reach[j] = error + (_MARGIN + physics.sweep) * k
    return reach


@njit(**COMPILED)
def make_room(lattices, physics, peaks):
    """Room for patterns of at most so many peaks."""
    half = math.ceil((physics.k_max + 0.1) / CELL) + 2
    return Room(
        np.zeros((2 * half + 1, 2 * half + 1), dtype=np.int16),
        np.empty((5, _MOST)),
        _reach(lattices, physics),
        np.empty(lattices.length.size),
        np.empty((5, _MOST)),
        np.empty((_MOST, 2), dtype=np.int64),
        np.empty((3, peaks)),
        np.empty(peaks, dtype=np.int64),
        np.empty(9),
    )


@njit(**COMPILED)
def _cell(k, half):
    return math.floor(k / CELL + 0.5) + half


@njit(**COMPILED)
def _cells_near(ky, kx, reach, where):
    """First and last row and column of the map's cells that may lie within reach of a place."""
    half = where.shape[0] // 2
    r = math.ceil((reach + _HALF_DIAGONAL) / CELL)
    y, x = _cell(ky, half), _cell(kx, half)
    return (
        max(0, y - r), min(where.shape[0], y + r + 1), max(0, x - r), min(where.shape[1], x + r + 1)
    )  # fmt: skip


@njit(**COMPILED)
def stamp(pattern, reach, where):
    """Enter the number of the nearest peak (from 1) into all cells within reach of one."""
    half = where.shape[0] // 2
    for i in range(pattern.ky.size):
        top, bottom, left, right = _cells_near(pattern.ky[i], pattern.kx[i], reach, where)
        for v in range(top, bottom):
            for h in range(left, right):
                cy, cx = (v - half) * CELL, (h - half) * CELL
                o = where[v, h] - 1
                if o >= 0:
                    own = (cy - pattern.ky[i]) ** 2 + (cx - pattern.kx[i]) ** 2
                    its = (cy - pattern.ky[o]) ** 2 + (cx - pattern.kx[o]) ** 2
                    if own >= its:
                        continue
                where[v, h] = i + 1


@njit(**COMPILED)
def wipe(pattern, reach, where):
    """Undo :func:`stamp`."""
    for i in range(pattern.ky.size):
        top, bottom, left, right = _cells_near(pattern.ky[i], pattern.kx[i], reach, where)
        where[top:bottom, left:right] = 0


@njit(**COMPILED)
def shortlist(q, c, lattices, physics, room):
    """List the reflections of crystal ``c`` that may be excited near an orientation; how many."""
    first, last = lattices.offset[c], lattices.offset[c + 1]
    m = np.empty((3, 3))
    to_matrix(q, m)
    x, y, z = m[0, 2], m[1, 2], m[2, 2]
    half = 0.5 / physics.sphere
    listed, near = room.listed, room.near
    a, b, d = lattices.vector[:, 0], lattices.vector[:, 1], lattices.vector[:, 2]
    k = lattices.length
    for j in range(first, last):
        near[j] = room.reach[j] - abs(x * a[j] + y * b[j] + z * d[j] + half * k[j] * k[j])
    n = 0
    for j in range(first, last):
        if near[j] > 0.0 and n < _MOST:
            listed[0, n], listed[1, n], listed[2, n] = a[j], b[j], d[j]
            listed[3, n], listed[4, n] = lattices.strength[j], k[j]
            n += 1
    return n


@njit(**COMPILED)
def predict(q, shift, scale, blur, listed, pattern, physics, floor, room):
    """Places and intensities of the reflections that could be seen, each with its peak.

    Parameters
    ----------
    q
        Rotation.
    shift
        (3,) or more: ky and kx of the true direct beam in the peaks' frame.
    scale
        Factor between theory and counts.
    blur
        Sine of an angle that widens the excitation on the way to the solution.
    listed
        How many reflections :func:`shortlist` found.
    floor
        Intensity: what is weaker is left out.
    room
        ``spots``, ``source``, ``sums`` and ``best`` are filled.

    Returns
    -------
    spots, pairs : int
        How many.
    """
    m = np.empty((3, 3))
    to_matrix(q, m)
    where, spots, source, sums, best = room.where, room.spots, room.source, room.sums, room.best
    g = room.listed
    peaks = pattern.ky.size
    for p in range(peaks):
        sums[0, p] = sums[1, p] = sums[2, p] = 0.0
        best[p] = -1
    half = where.shape[0] // 2
    sweep = math.sqrt(physics.sweep**2 + blur**2)
    c = math.pi * physics.thickness
    relative = floor / scale
    curve = 0.5 / physics.sphere
    limit = physics.reach**2
    n = pairs = 0
    for i in range(listed):
        a, b, d, k = g[0, i], g[1, i], g[2, i], g[4, i]
        kz = m[0, 2] * a + m[1, 2] * b + m[2, 2] * d
        s = -kz - curve * k * k
        near = max(abs(s) - k * sweep, 0.0)
        # 2 / (1 + (πts)²) bounds the profile.
        if 2.0 * g[3, i] < relative * (1.0 + (c * near) ** 2):
            continue
        flat = math.sqrt(max(k * k - kz * kz, 0.0))
        value, slope = profile(s, flat * sweep, physics.thickness, physics.sharpness)
        value *= g[3, i] * scale
        if value < floor or flat < physics.k_min or flat > physics.k_max:
            continue
        kx = m[0, 0] * a + m[1, 0] * b + m[2, 0] * d + shift[1]
        ky = m[0, 1] * a + m[1, 1] * b + m[2, 1] * d + shift[0]
        v, h = _cell(ky, half), _cell(kx, half)
        p = -1
        if 0 <= v < where.shape[0] and 0 <= h < where.shape[1]:
            p = where[v, h] - 1
            if p >= 0 and (pattern.ky[p] - ky) ** 2 + (pattern.kx[p] - kx) ** 2 > limit:
                p = -1
        spots[0, n], spots[1, n], spots[2, n], spots[3, n], spots[4, n] = ky, kx, s, value, slope
        source[n, 0], source[n, 1] = i, p
        if p >= 0:
            # s grows by −ωx ky + ωy kx.
            sums[0, p] += value
            sums[1, p] -= value * slope * (ky - shift[0])
            sums[2, p] += value * slope * (kx - shift[1])
            if best[p] < 0:
                pairs += 1
                best[p] = n
            elif value > spots[3, best[p]]:
                best[p] = n
        n += 1
    return n, pairs


@njit(**COMPILED)
def log_likelihood(n, pattern, shift, physics, room):
    """Ln likelihood of all peaks of a pattern, see the head of this file.

    ``n`` spots were predicted; ``shift`` is the direct beam's.
    """
    spots, sums, best = room.spots, room.sums, room.best
    total = -0.5 * (shift[0] ** 2 + shift[1] ** 2) / physics.centre**2
    for p in range(pattern.ky.size):
        i = best[p]
        if i < 0:
            total += physics.unexplained
            continue
        place = 1.0 / (physics.position**2 + pattern.place[p])
        d2 = ((pattern.ky[p] - spots[0, i]) ** 2 + (pattern.kx[p] - spots[1, i]) ** 2) * place
        spread = physics.spread**2 + pattern.loose[p]
        r2 = (pattern.log_intensity[p] - math.log(sums[0, p])) ** 2 / spread
        # Student's t, four degrees of freedom, in two dimensions and in one:
        # (1 + d²/4)⁻³ / 2πσ² and 0.375 (1 + r²/4)^(−5/2) / σ.
        square = 1.0 + 0.25 * r2
        density = 0.375 / math.sqrt(square * spread) / (square * square)
        near = 1.0 + 0.25 * d2
        density *= place / (2.0 * math.pi * near * near * near)
        total += math.log(density + math.exp(physics.unexplained))
    soft = 1.0 / math.sqrt(physics.spread**2 + 0.09)
    for i in range(n):
        if room.source[i, 1] >= 0:
            continue
        y, x = spots[0, i], spots[1, i]
        if physics.bottom < y < physics.top and physics.left < x < physics.right:
            below = log_below(math.log(pattern.limit / spots[3, i]) * soft)
            total += max(below, physics.missing)
    return total
