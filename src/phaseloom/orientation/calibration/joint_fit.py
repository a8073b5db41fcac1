"""Joint fit of scale, elliptic distortion and centre to the indexed spots of many patterns.

The reflections on the peaks of a pattern are known but for a small turn about the beam and a shift
of the direct beam, both free in every pattern. What patterns have in common, magnification and
ellipse, is fitted to all of them by weighted least squares, weights as in the likelihood (Student's
t). A rotation in common cannot be told from that of the crystals, and is none of it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.orientation.calibration.correction import Correction
from phaseloom.orientation.calibration.pairs import paired_places
from phaseloom.orientation.matching.library import Library
from phaseloom.orientation.matching.patterns import Patterns
from phaseloom.orientation.refinement.likelihood import Physics
from phaseloom.orientation.refinement.solutions import Solutions

Array = NDArray[np.float64]

_LEAST_PAIRS = 4
"""Paired peaks that a pattern needs: three of its coordinates say nothing of what is in common."""

_LEAST_PATTERNS = 3

_ROUNDS = 8
"""Of reweighting."""


class Pairs(NamedTuple):
    """Peaks with their reflections.

    Parameters
    ----------
    peak, place
        (n, 2): ky, kx of the peaks, and of their reflections from the pattern's direct beam, Å⁻¹.
    variance
        (n,) of a peak's coordinate, Å⁻².
    pattern
        (n,) number of the pattern; those without enough pairs are left out.
    """

    peak: Array
    place: Array
    variance: Array
    pattern: NDArray[np.intp]


def fit_correction(
    patterns: Patterns, solutions: Solutions, chosen: NDArray[np.bool_], library: Library,
    physics: Physics,
) -> Correction | None:  # fmt: skip
    """What the indexed spots say of scale, distortion and centre.

    Parameters
    ----------
    patterns
        A sample.
    solutions
        Theirs; the first of every pattern counts.
    chosen
        (patterns,): those that a crystal explains.
    library, physics
        What they were solved with.

    Returns
    -------
    Correction or None
        To be applied to the vectors of ``patterns``; none where too few patterns are explained.
        Errors are those of leaving out each pattern in turn (jackknife; R. M. Bell and D. F.
        McCaffrey, Survey Methodology 28, 169 (2002)), those of the centre of a sandwich estimator
        over patterns: what the spots of a pattern have in common does not make them smaller.
    """
    pairs = paired_spots(patterns, solutions, chosen, library, physics)
    numbers, of = np.unique(pairs.pattern, return_inverse=True)
    if numbers.size < _LEAST_PATTERNS:
        return None
    return _fitted(pairs.peak, pairs.place, pairs.variance, of)


def paired_spots(
    patterns: Patterns, solutions: Solutions, chosen: NDArray[np.bool_], library: Library,
    physics: Physics,
) -> Pairs:  # fmt: skip
    """The peaks of explained patterns with their reflections; arguments of :func:`fit_correction`.

    Patterns with fewer than four pairs are left out.
    """
    crystal = np.where(chosen, solutions.crystal[:, 0], -1)
    reflection = np.full((2, patterns.ky.size), np.nan)
    paired_places(
        *patterns, np.ascontiguousarray(solutions.rotation[:, 0]), crystal,
        np.log(patterns.intensity), library.lattices, physics, reflection,
    )  # fmt: skip
    of = np.repeat(np.arange(len(patterns)), np.diff(patterns.offset))
    paired = np.isfinite(reflection[0])
    enough = np.bincount(of[paired], minlength=len(patterns)) >= _LEAST_PAIRS
    used = paired & enough[of]
    peak = np.stack([patterns.ky[used], patterns.kx[used]], axis=1)
    variance = physics.position**2 + patterns.place[used]
    return Pairs(peak, reflection[:, used].T, variance, of[used])


def _fitted(peak: Array, place: Array, variance: Array, of: NDArray[np.intp]) -> Correction:
    """Scale, distortion and centre from peaks (n, 2), their reflections and patterns."""
    count = int(of.max()) + 1
    common = np.zeros(3)
    own = np.zeros((count, 3))
    # Peak = reflection − (δ + [[a, b], [b, −a]]) reflection + turn × reflection + shift.
    y, x = place.T
    zero, one = np.zeros_like(y), np.ones_like(y)
    jacobian = np.stack([np.stack([-y, -y, -x], 1), np.stack([-x, x, -y], 1)], axis=1)
    of_own = np.stack([np.stack([x, one, zero], 1), np.stack([-y, zero, one], 1)], axis=1)
    residual = peak - place
    for _ in range(_ROUNDS):
        weight = 1.5 / (variance * (1.0 + _distance(residual, variance)))
        clean, inverse = _cleaned(of, count, of_own, jacobian, weight)
        hessian = np.einsum("nij,nik,n->jk", clean, jacobian, weight)
        data = peak - place
        common = np.linalg.solve(hessian, np.einsum("nij,ni,n->j", clean, data, weight))
        left = data - jacobian @ common
        gradient = np.zeros((count, 3))
        np.add.at(gradient, of, np.einsum("nij,ni,n->nj", of_own, left, weight))
        own = np.einsum("nij,nj->ni", inverse, gradient)
        residual = left - np.einsum("nij,nj->ni", of_own, own[of])
    # Pulls of far spots hardly grow with their distance: how the score changes with the parameters
    # (in the mean over the directions of a residual) is less than the weights say.
    curvature = weight / (1.0 + _distance(residual, variance))
    clean, _ = _cleaned(of, count, of_own, jacobian, curvature)
    score = np.zeros((count, 3))
    np.add.at(score, of, np.einsum("nij,ni,n->nj", clean, residual, weight))
    parts = _summed(of, count, clean, clean, curvature)
    # How far the fit would move without each of the patterns: those with many spots count much.
    moved = np.einsum("nij,nj->ni", np.linalg.pinv(parts.sum(axis=0) - parts), score)
    freedom = count / max(count - 1, 1)
    covariance = moved.T @ moved / freedom
    shift = own[:, 1:]
    information = np.linalg.inv(inverse[:, 1:, 1:])
    sums = information.sum(axis=0)
    centre = np.linalg.solve(sums, np.einsum("nij,nj->i", information, shift))
    off = np.einsum("nij,nj->ni", information, shift - centre)
    of_centre = np.linalg.inv(sums)
    centre_covariance = freedom * of_centre @ (off.T @ off) @ of_centre
    error = np.sqrt(np.concatenate([np.diag(covariance), np.diag(centre_covariance)]))
    return Correction(
        np.concatenate([common, centre]),
        error,
        float(np.sqrt((residual**2).sum(axis=1).mean())),
        count,
        len(peak),
    )


def _distance(residual: Array, variance: Array) -> Array:
    """Square of the distance in units of Student's t with four degrees of freedom."""
    return np.asarray(0.25 * (residual**2).sum(axis=1) / variance)


def _cleaned(
    of: NDArray[np.intp], count: int, of_own: Array, jacobian: Array, weight: Array
) -> tuple[Array, Array]:
    """Common slopes of spots without what their pattern's own parameters take over.

    The inverse of the normal equations of these, per pattern, besides.
    """
    normal = _summed(of, count, of_own, of_own, weight)
    inverse = np.asarray(np.linalg.pinv(normal, hermitian=True), dtype=np.float64)
    cross = _summed(of, count, of_own, jacobian, weight)
    taken = np.einsum("nij,njk->nik", of_own, (inverse @ cross)[of])
    return np.asarray(jacobian - taken), inverse


def _summed(
    of: NDArray[np.intp], count: int, first: Array, second: Array, weight: Array
) -> NDArray[np.float64]:
    """Σ firstᵀ weight second over the spots of every pattern: (patterns, ., .)."""
    sums = np.zeros((count, first.shape[2], second.shape[2]))
    np.add.at(sums, of, np.einsum("nij,nik,n->njk", first, second, weight))
    return sums
