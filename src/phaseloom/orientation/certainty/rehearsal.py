"""Rehearsal: how far probabilities hold, learnt on patterns of known truth made for each scan.

Patterns of the scan's crystals in random orientations are drawn from all that was learnt of it:
thickness and profile, spread of intensities, errors of places, counts and limits of detection of
its own patterns, unexplained and missing peaks. They are indexed like the scan's. How often the
answers are right, by the probability claimed and the number of peaks, corrects the probabilities of
the scan: a list of solutions may lack the truth, the more often the fewer the peaks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from phaseloom.orientation.calibration.scale_rivals import ScaleRivals
from phaseloom.orientation.certainty.reliability import WITHIN, angles_to_first, posterior
from phaseloom.orientation.matching.library import Library
from phaseloom.orientation.matching.matching import match
from phaseloom.orientation.matching.patterns import Patterns
from phaseloom.orientation.refinement.excitation import profiles
from phaseloom.orientation.refinement.likelihood import Physics
from phaseloom.orientation.refinement.solutions import Solutions
from phaseloom.orientation.refinement.solving import solve

_PATTERNS = 1000
"""Rehearsed, at most 4 times as many as the scan has to be like."""

_PRIOR = np.array([0.2, 0.3, 0.3])
"""Standard deviations of the coefficients about those that change nothing. Two orientations that no
pattern can tell apart are one half each: there is little to learn of the offset."""

_CERTAIN = 1e-4
"""No probability is nearer to 0 or 1 before it is corrected."""

SAMPLE = 240
"""Patterns of the scan that those drawn resemble, at most."""


class Rehearsal(NamedTuple):
    """Correction of probabilities: logit p → offset + slope · logit p + trend · (ln n − middle).

    Parameters
    ----------
    offset, slope, trend
        Coefficients; 0, 1, 0 change nothing.
    middle
        ln of a usual number of peaks n.
    """

    offset: float
    slope: float
    trend: float
    middle: float

    def corrected(
        self, probability: NDArray[np.float64], peaks: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Probabilities of patterns of so many peaks that hold.

        Parameters
        ----------
        probability
            (patterns,) as the likelihood has it.
        peaks
            (patterns,).
        """
        away = np.log(np.maximum(peaks, 1)) - self.middle
        held = np.clip(probability, _CERTAIN, 1.0 - _CERTAIN)
        logit = self.offset + self.slope * np.log(held / (1.0 - held)) + self.trend * away
        return np.asarray(expit(logit), dtype=np.float64)


def rehearsed(
    share: NDArray[np.float64],
    solutions: Solutions,
    library: Library,
    rehearsal: Rehearsal,
    peaks: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Probabilities of solutions, that of the first one's orientation corrected.

    Parameters
    ----------
    share
        (patterns, n) probabilities by the likelihood, of sum one.
    solutions, library
        The solutions.
    rehearsal
        What was learnt.
    peaks
        (patterns,).

    Returns
    -------
    NDArray
        (patterns, n): what the first loses is not given to others; the list may lack the truth.
    """
    near = angles_to_first(solutions, library) <= WITHIN
    claimed = np.where(near, share, 0.0).sum(axis=1)
    held = rehearsal.corrected(claimed, peaks)
    to_first = held / np.maximum(claimed, 1e-300)
    rest = (1.0 - held) / np.maximum(1.0 - claimed, 1e-300)
    to_others = np.where(held < claimed, to_first, rest)
    return np.asarray(np.where(near, share * to_first[:, None], share * to_others[:, None]))


def rehearse(
    patterns: Patterns,
    solutions: Solutions,
    library: Library,
    physics: Physics,
    *,
    seed: int,
) -> Rehearsal:
    """Draw patterns like those of a scan, index them, and compare with the truth.

    Parameters
    ----------
    patterns
        A sample of the scan's that crystals explain.
    solutions
        Theirs.
    library, physics
        What they were solved with.
    seed
        Of the draws.
    """
    rng = np.random.default_rng(seed)
    drawn, rotation, crystal = draw_patterns(
        patterns, solutions, library, physics, rng, min(_PATTERNS, 4 * len(patterns))
    )
    peaks = np.diff(drawn.offset)
    usable = np.flatnonzero(peaks >= 3)
    drawn, peaks = drawn.take(usable), peaks[usable]
    solved = solve(drawn, match(drawn, library), library, physics, solutions=9)
    found = solved.crystal[:, 0] >= 0
    share = posterior(solved, ScaleRivals.exact())
    near = angles_to_first(solved, library) <= WITHIN
    claimed = np.where(near, share, 0.0).sum(axis=1)
    truth = Solutions(rotation[usable, None], crystal[usable, None], solved.facts[:, :1])
    both = Solutions(
        np.concatenate([solved.rotation[:, :1], truth.rotation], axis=1),
        np.concatenate([solved.crystal[:, :1], truth.crystal], axis=1),
        np.concatenate([truth.facts] * 2, axis=1),
    )
    right = angles_to_first(both, library)[:, 1] <= WITHIN
    return _fitted(claimed[found], right[found], peaks[found])


def draw_patterns(
    patterns: Patterns,
    solutions: Solutions,
    library: Library,
    physics: Physics,
    rng: np.random.Generator,
    count: int,
) -> tuple[Patterns, NDArray[np.float64], NDArray[np.int64]]:
    """Patterns in random orientations, as the model of the scan has them.

    Parameters
    ----------
    patterns, solutions, library, physics
        As for :func:`rehearse`; counts, limits of detection and errors are taken from them.
    rng
        Random numbers.
    count
        How many.

    Returns
    -------
    patterns
        Drawn; some may have fewer than three peaks.
    rotation, crystal
        (count, 4) and (count,): the truth.
    """
    like = rng.choice(len(patterns), count)
    crystal = solutions.crystal[like, 0]
    rotation = rng.normal(size=(count, 4))
    rotation /= np.linalg.norm(rotation, axis=1, keepdims=True)
    counts = np.exp(solutions.fact("log_counts")[like, 0])
    limit = patterns.limit[like]
    order = np.argsort(patterns.intensity)
    ranked = np.log(patterns.intensity[order])
    columns = [
        _spots(rotation[i], crystal[i], counts[i], limit[i], library, physics, rng)
        for i in range(count)
    ]
    offset = np.concatenate([[0], np.cumsum([c.shape[1] for c in columns])])
    ky, kx, intensity = np.concatenate(columns, axis=1)
    # Errors as peaks of such intensity have them.
    at = np.clip(np.searchsorted(ranked, np.log(intensity)), 0, ranked.size - 1)
    place, loose = patterns.place[order][at], patterns.loose[order][at]
    error = np.sqrt(place + physics.position**2)
    ky = ky + error * rng.normal(size=ky.size)
    kx = kx + error * rng.normal(size=kx.size)
    return Patterns(offset, ky, kx, intensity, place, loose, limit), rotation, crystal


def _spots(
    rotation: NDArray[np.float64],
    crystal: int,
    counts: float,
    limit: float,
    library: Library,
    physics: Physics,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """ky, kx and intensity of the spots that are found in one pattern, (3, n)."""
    from phaseloom.crystals.kinematic import rotation_matrices

    lattices = library.lattices
    own = slice(lattices.offset[crystal], lattices.offset[crystal + 1])
    kx, ky, kz = (lattices.vector[own] @ rotation_matrices(rotation[None])[0]).T
    length = lattices.length[own]
    error = -kz - length**2 / (2.0 * physics.sphere)
    flat = np.hypot(kx, ky)
    excited = profiles(error, flat * physics.sweep, physics.thickness, physics.sharpness)
    varied = np.exp(physics.spread * rng.normal(size=length.size))
    intensity = counts * lattices.strength[own] * excited * varied
    found = intensity * np.exp(0.3 * rng.normal(size=length.size)) > limit
    found &= rng.random(length.size) > np.exp(physics.missing)
    found &= (flat > physics.k_min) & (flat < physics.k_max)
    found &= (ky > physics.bottom) & (ky < physics.top)
    found &= (kx > physics.left) & (kx < physics.right)
    return np.stack([ky[found], kx[found], intensity[found]])


def _fitted(
    claimed: NDArray[np.float64], right: NDArray[np.bool_], peaks: NDArray[np.int64]
) -> Rehearsal:
    """Logistic regression of being right, held near what changes nothing."""
    if claimed.size == 0:
        return Rehearsal(0.0, 1.0, 0.0, 0.0)
    middle = float(np.median(np.log(peaks)))
    held = np.clip(claimed, _CERTAIN, 1.0 - _CERTAIN)
    terms = np.stack(
        [np.ones(held.size), np.log(held / (1.0 - held)), np.log(peaks) - middle], axis=1
    )
    neutral = np.array([0.0, 1.0, 0.0])

    def loss(coefficients: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logit = terms @ coefficients
        away = (coefficients - neutral) / _PRIOR**2
        value = np.logaddexp(0.0, logit) - right * logit
        total = float(value.sum() + 0.5 * away @ (coefficients - neutral))
        return total, terms.T @ (expit(logit) - right) + away

    coefficients = minimize(loss, neutral, jac=True, method="L-BFGS-B").x
    offset, slope, trend = (float(v) for v in coefficients)
    return Rehearsal(offset, slope, trend, middle)
