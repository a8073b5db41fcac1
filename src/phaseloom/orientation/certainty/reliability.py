"""Probabilities of the solutions, and the reliabilities that ASTAR defined."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.orientation.calibration.scale_rivals import ScaleRivals, log_likelihoods
from phaseloom.orientation.matching.library import Library
from phaseloom.orientation.refinement.solutions import Solutions

WITHIN = 3.0
"""Degrees: an orientation is called right if it is so close to the true one."""

_DISTINCT = 5.0
"""Degrees: for the orientation reliability, solutions closer than that are one."""


class Reliability(NamedTuple):
    """Probabilities and reliabilities of the solutions of every pattern.

    Parameters
    ----------
    posterior
        (patterns, n): probability of every solution; with ``nothing`` they sum to 1.
    nothing
        (patterns,): probability that no crystal of the library explains the peaks.
    probability
        (patterns,): that the first solution's orientation (within 3°) and crystal are right.
    phase_probability
        (patterns,): that its crystal is right, also where the list lacks the orientation.
    orientation_reliability, phase_reliability
        (patterns,): 0 to 100.
    """

    posterior: NDArray[np.float64]
    nothing: NDArray[np.float64]
    probability: NDArray[np.float64]
    phase_probability: NDArray[np.float64]
    orientation_reliability: NDArray[np.float64]
    phase_reliability: NDArray[np.float64]


def posterior(solutions: Solutions, rivals: ScaleRivals) -> NDArray[np.float64]:
    """Probability of every solution, if one of the list is right.

    All orientations of all crystals are equally likely beforehand; the scales that the crystals
    leave open are each taken with its probability.

    Parameters
    ----------
    solutions
        Of every pattern.
    rivals
        Scales.

    Returns
    -------
    NDArray
        (patterns, n), of sum one; 0 where there is no solution.
    """
    total = np.zeros(solutions.crystal.shape)
    found = (solutions.crystal >= 0).any(axis=1)
    for ln_scale, probability in zip(*rivals, strict=True):
        weight = log_likelihoods(solutions, float(ln_scale))[found]
        weight = np.exp(weight - weight.max(axis=1, keepdims=True))
        total[found] += probability * weight / weight.sum(axis=1, keepdims=True)
    return total


def reliability(
    solutions: Solutions,
    probabilities: NDArray[np.float64],
    nothing: NDArray[np.float64],
    library: Library,
) -> Reliability:
    """Probability and reliability of the first solution of every pattern, from all of them.

    Orientation reliability is 100 (1 − Q₂/Q₁), Q₂ the correlation index of the best distinct
    solution of the same crystal; phase reliability 100 (1 − Q_other/Q₁) with the best solution of
    another crystal (E. Rauch & M. Véron, Mater. Charact. 98, 1, 2014). Both are 0, not negative,
    where another solution correlates better, and 100 where there is none.

    Parameters
    ----------
    solutions
        Of every pattern, the chosen first.
    probabilities
        (patterns, n), of every solution.
    nothing
        (patterns,), that none is right.
    library
        The crystals.
    """
    exists = solutions.crystal >= 0
    angle = angles_to_first(solutions, library)
    same = exists & (solutions.crystal == solutions.crystal[:, :1])
    quality = np.where(exists, solutions.fact("correlation"), 0.0)
    first = np.where(quality[:, 0] > 0, quality[:, 0], 1.0)

    def margin(rivals: NDArray[np.bool_]) -> NDArray[np.float64]:
        best = np.where(rivals, quality, 0.0).max(axis=1)
        return np.where(exists[:, 0], 100.0 * np.maximum(1.0 - best / first, 0.0), np.nan)

    def summed(those: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.where(exists[:, 0], np.where(those, probabilities, 0.0).sum(axis=1), np.nan)

    return Reliability(
        posterior=probabilities,
        nothing=nothing,
        probability=summed(same & (angle <= WITHIN)),
        phase_probability=summed(same) * (1.0 - nothing) / np.maximum(summed(exists), 1e-300),
        orientation_reliability=margin(same & (angle > _DISTINCT)),
        phase_reliability=margin(exists & ~same),
    )


def correlation_reliability(solutions: Solutions, library: Library) -> Reliability:
    """Orientation and phase reliability of solutions of which only the correlation is known.

    The definitions are those of :func:`reliability`; of probabilities a correlation says nothing:
    they are NaN.

    Parameters
    ----------
    solutions
        From :func:`phaseloom.orientation.refinement.solutions.ranked`.
    library
        What they were found with.
    """
    unknown = np.full(solutions.crystal.shape, np.nan)
    return reliability(solutions, unknown, unknown[:, 0], library)


def angles_to_first(solutions: Solutions, library: Library) -> NDArray[np.float64]:
    """Misorientation in degrees of every solution to the first, (patterns, n); NaN between
    crystals or where there is no solution.

    Parameters
    ----------
    solutions
        Of every pattern.
    library
        The crystals.
    """
    from phaseloom.maps.misorientation import misorientation_angles

    lattices = library.lattices
    angle = np.full(solutions.crystal.shape, np.nan)
    for c in range(len(library.crystals)):
        turns = lattices.symmetry[lattices.symmetry_offset[c] : lattices.symmetry_offset[c + 1]]
        row, column = np.nonzero((solutions.crystal == c) & (solutions.crystal[:, :1] == c))
        angle[row, column] = misorientation_angles(
            solutions.rotation[row, 0], solutions.rotation[row, column], turns
        )
    return angle
