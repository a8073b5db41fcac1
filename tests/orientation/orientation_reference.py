"""What the kernels of orientation mapping compute, in plain numpy and from the definitions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from scipy.special import log_ndtr

from phaseloom.orientation.matching.library import Library
from phaseloom.orientation.matching.starts import APART, LEAST, PART
from phaseloom.orientation.refinement.likelihood import FADING, Pattern, Physics

Array = NDArray[np.float64]

TOLERANCE = 0.02
LIST = 40
NARROW = 0.8
LEVELS = 255
VISIBLE = np.exp(-9.0)


def votes_reference(
    peaks: tuple[Array, Array, Array], spots: tuple[Array, Array, Array], bins: int
) -> Array:
    """Votes for all in-plane angles, plain and mirrored, (2, bins): every pair is looked at.

    Peaks and spots are radius (Å⁻¹), angle (in steps of a turn's ``bins``) and weight.
    """
    votes = np.zeros((2, bins))
    t_radius, t_angle, t_weight = spots
    for r, angle, weight in zip(*peaks, strict=True):
        value = weight * t_weight * np.maximum(0.0, 1.0 - np.abs(r - t_radius) / TOLERANCE)
        for mirror, turn in enumerate((angle - t_angle, angle + t_angle)):
            lower = np.floor(turn)
            for place, share in ((lower, 1.0 - (turn - lower)), (lower + 1, turn - lower)):
                np.add.at(votes[mirror], (place % bins).astype(int), value * share)
    return votes


def polar_reference(ky: Array, kx: Array, intensity: Array, bins: int) -> tuple[Array, ...]:
    """Radius, angle in steps and weight (fourth root of the intensity, root of the radius)."""
    radius = np.hypot(ky, kx)
    weight = intensity**0.25 * np.sqrt(radius)
    angle = np.arctan2(ky, kx) / (2 * np.pi) * bins % bins
    return radius, angle, weight / np.linalg.norm(weight)


def match_reference(
    ky: Array, kx: Array, intensity: Array, library: Library, starts: int
) -> tuple[Array, Array]:
    """Distinct solutions of one pattern for a library of one crystal: (n, 4) and (n,)."""
    templates, bins = library.templates, library.n_angles
    inside = np.hypot(ky, kx) < library.k_max
    peaks = polar_reference(ky[inside], kx[inside], intensity[inside], bins)
    signature = np.zeros(len(templates.signature))
    at = np.clip(peaks[0] / library.k_max * len(signature) - 0.5, 0, len(signature) - 1.001)
    for place, weight in zip(at, peaks[2], strict=True):
        lower = int(place)
        signature[lower] += weight * (1 - (place - lower))
        signature[lower + 1] += weight * (place - lower)
    score = signature @ templates.signature
    # The least of so many levels that enough zones reach.
    voted_on = max(LEAST, int(PART * score.size))
    nth = np.sort(score)[::-1][min(voted_on, score.size) - 1]
    scale = LEVELS / score.max()
    zones = np.flatnonzero(score >= np.floor(nth * scale) / scale)
    table = []
    for z in zones:
        own = slice(templates.offset[z], templates.offset[z + 1])
        spots = (templates.radius[own], templates.angle[own], templates.weight[own])
        for mirror, row in enumerate(votes_reference(peaks, spots, bins)):
            first = row.argmax()
            apart = np.abs(np.arange(bins) - first)
            other = np.where(np.minimum(apart, bins - apart) > 5, row, -1.0).argmax()
            table += [(row[b], z, b, mirror) for b in (first, other)]
    table = sorted(table, reverse=True)[:LIST]
    return _joined(table, library, starts)


def _joined(table: list[tuple], library: Library, starts: int) -> tuple[Array, Array]:
    turns = Rotation.from_quat(np.roll(library.lattices.symmetry, -1, axis=1))
    zones = Rotation.from_quat(np.roll(library.templates.rotation, -1, axis=1))
    kept: list[Rotation] = []
    totals: list[Array] = []
    scores: list[float] = []
    for value, zone, angle, mirror in table:
        if value <= 0:
            break
        turn = Rotation.from_rotvec([0, 0, -2 * np.pi * angle / library.n_angles])
        if mirror:
            turn = Rotation.from_rotvec([0, np.pi, 0]) * turn
        rotation = zones[zone] * turn
        for k, known in enumerate(kept):
            copies = turns * rotation
            left = (copies * known.inv()).magnitude()
            if np.degrees(left.min()) < APART:
                weight = (value - NARROW * scores[k]) / (1 - NARROW)
                quaternion = copies[left.argmin()].as_quat()
                totals[k] += max(weight, 0) * quaternion * np.sign(quaternion @ known.as_quat())
                break
        else:
            if len(kept) < starts:
                kept.append(rotation)
                totals.append(value * rotation.as_quat())
                scores.append(value)
    rotations = np.roll([t / np.linalg.norm(t) for t in totals], 1, axis=1)
    return rotations, np.array(scores)


class Predicted(NamedTuple):
    """Reflections that could be seen: places (n, 2), intensities, and their peaks or −1."""

    place: Array
    intensity: Array
    peak: NDArray[np.int64]


def matrix(q: Array) -> Array:
    return Rotation.from_quat(np.roll(q, -1)).as_matrix()


def profile_reference(error: Array, sweep: Array, thickness: float, n: int = 720) -> Array:
    """The excitation profile of a wedge, averaged over the cone of precession."""
    phi = 2 * np.pi * (np.arange(n) + 0.5) / n
    swept = error[..., None] + np.asarray(sweep)[..., None] * np.cos(phi)
    return (1 / (1 + (2 * np.pi * thickness * swept) ** 2)).mean(axis=-1)


def predict_reference(
    q: Array, shift: Array, scale: float, pattern: Pattern, library: Library, physics: Physics
) -> Predicted:
    """Where the reflections of a crystal lie and what they show, and which peak is whose."""
    lattices = library.lattices
    at = lattices.vector @ matrix(q)
    error = -at[:, 2] - lattices.length**2 / (2 * physics.sphere)
    flat = np.hypot(at[:, 0], at[:, 1])
    near = (np.abs(error) < 0.2) & (flat > physics.k_min) & (flat < physics.k_max)
    near &= lattices.length < physics.k_max
    # Of a pattern's whole range, and what tilts of up to 0.04 bring into it.
    inside = np.maximum(np.abs(error) - (0.04 + physics.sweep) * lattices.length, 0.0)
    near &= lattices.strength * profile_reference(inside, 0.0, physics.thickness, 1) > VISIBLE
    sweep = flat[near] * physics.sweep
    n = 720 if physics.sweep else 1
    intensity = scale * lattices.strength[near]
    intensity = intensity * profile_reference(error[near], sweep, physics.thickness, n)
    seen = intensity >= FADING * pattern.limit
    place = (at[near][:, 1::-1] + shift)[seen]
    apart = np.hypot(place[:, :1] - pattern.ky, place[:, 1:] - pattern.kx)
    peak = np.where(apart.min(axis=1) <= physics.reach, apart.argmin(axis=1), -1)
    return Predicted(place, intensity[seen], peak)


def likelihood_reference(
    q: Array, shift: Array, scale: float, pattern: Pattern, library: Library, physics: Physics
) -> float:
    """Ln likelihood of a pattern's peaks, as the head of ``likelihood.py`` defines it."""
    spots = predict_reference(q, shift, scale, pattern, library, physics)
    total = -0.5 * (shift**2).sum() / physics.centre**2
    for p in range(pattern.ky.size):
        own = np.flatnonzero(spots.peak == p)
        if own.size == 0:
            total += physics.unexplained
            continue
        main = own[spots.intensity[own].argmax()]
        variance = physics.position**2 + pattern.place[p]
        square = (spots.place[main, 0] - pattern.ky[p]) ** 2
        square += (spots.place[main, 1] - pattern.kx[p]) ** 2
        place = (1 + square / variance / 4) ** -3 / (2 * np.pi * variance)
        spread = physics.spread**2 + pattern.loose[p]
        off = np.log(pattern.intensity[p] / spots.intensity[own].sum())
        strength = 0.375 * (1 + off**2 / spread / 4) ** -2.5 / np.sqrt(spread)
        total += np.log(place * strength + np.exp(physics.unexplained))
    y, x = spots.place.T
    on = (physics.bottom < y) & (y < physics.top) & (physics.left < x) & (x < physics.right)
    absent = spots.intensity[on & (spots.peak < 0)]
    below = log_ndtr(np.log(pattern.limit / absent) / np.sqrt(physics.spread**2 + 0.09))
    return float(total + np.maximum(below, physics.missing).sum())
