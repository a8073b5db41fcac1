"""Scales that several crystals leave open.

Two crystals that differ by little more than their size explain the same patterns at two scales: all
patterns one crystal at one scale, all the other at another, or some of each at a third. Every
solution of a pattern says at which scale it would fit best and how sharply; the likelihood of a
common scale is a mixture over the solutions of each pattern, multiplied over the patterns.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.orientation.matching.library import Library
from phaseloom.orientation.matching.matching import match
from phaseloom.orientation.matching.patterns import Patterns
from phaseloom.orientation.refinement.likelihood import Physics
from phaseloom.orientation.refinement.solutions import Solutions
from phaseloom.orientation.refinement.solving import solve

_REACH, _STEP = 0.02, 1e-4
"""ln of the scales that are compared, from the present one; the pairs of peaks and reflections stay
the same so far."""

_ROUNDS = 3
"""Refinements of every pattern with every crystal, each at the scale that the last one gave."""

_PRIOR = 0.01
"""ln of the factor within which the pixel size of the file is right by half (Cauchy)."""

_PATTERNS = 30.0
"""Patterns count as so many at most: what the model lacks is the same in all of them."""

_NEGLIGIBLE = 1e-3
"""Scales of less probability, by the best one's, are left out."""

_TAIL = 8.0
"""Half of the square of a scale's distance in standard errors counts up to this."""


class ScaleRivals(NamedTuple):
    """Scales and their probabilities.

    Parameters
    ----------
    ln_scale
        (n,) ln of factors of the present scale.
    probability
        (n,), of sum one.
    """

    ln_scale: NDArray[np.float64]
    probability: NDArray[np.float64]

    @classmethod
    def exact(cls) -> ScaleRivals:
        """The present scale alone."""
        return cls(np.zeros(1), np.ones(1))

    @property
    def best(self) -> float:
        """Ln of the most probable one."""
        return float(self.ln_scale[np.argmax(self.probability)])

    @property
    def summits(self) -> NDArray[np.float64]:
        """Ln of the scales likelier than those beside them, and than a tenth of the likeliest.

        One where the scale is not open.
        """
        before = np.concatenate([[0.0], self.probability[:-1]])
        after = np.concatenate([self.probability[1:], [0.0]])
        apart = np.diff(self.ln_scale, prepend=-np.inf) > 1.5 * _STEP
        before[apart] = 0.0
        after[:-1][apart[1:]] = 0.0
        summit = (self.probability >= before) & (self.probability > after)
        return np.asarray(
            self.ln_scale[summit & (self.probability >= 0.1 * self.probability.max())]
        )

    @property
    def spread(self) -> float:
        """Standard deviation of the ln scale."""
        mean = float(self.probability @ self.ln_scale)
        return float(np.sqrt(self.probability @ (self.ln_scale - mean) ** 2))


def log_likelihoods(solutions: Solutions, ln_scale: float) -> NDArray[np.float64]:
    """Ln likelihoods of solutions at another scale, (patterns, n); −inf where there is none.

    Parameters
    ----------
    solutions
        Found at the present scale.
    ln_scale
        ln of the other, by the present one.
    """
    own = np.nan_to_num(solutions.fact("dilation"))
    information = np.nan_to_num(solutions.fact("dilation_information"))
    penalty = 0.5 * information * np.stack([(ln_scale - own) ** 2, own**2])
    change = np.minimum(penalty[0], _TAIL) - np.minimum(penalty[1], _TAIL)
    likelihood = np.where(solutions.crystal >= 0, solutions.fact("log_likelihood"), -np.inf)
    return np.asarray(likelihood - change)


def scale_rivals(
    sample: Patterns, library: Library, physics: Physics, *, applied: float
) -> ScaleRivals:
    """Probabilities of scales near the present one.

    Parameters
    ----------
    sample
        Patterns.
    library, physics
        Several crystals, and the instrument.
    applied
        ln of the present scale by that of the file.
    """
    likelihood, own, information = _own_scales(sample, library, physics)
    orientations = 2.0 * library.n_zones * library.n_angles
    nothing = np.diff(sample.offset) * physics.unexplained + np.log(orientations)
    steps = round(_REACH / _STEP)
    ln_scale = _STEP * np.arange(-steps, steps + 1)
    total = np.empty(ln_scale.size)
    for i, s in enumerate(ln_scale):
        there = likelihood - np.minimum(0.5 * information * (s - own) ** 2, _TAIL)
        each = np.concatenate([there, nothing[:, None]], axis=1)
        top = each.max(axis=1)
        total[i] = (top + np.log(np.exp(each - top[:, None]).sum(axis=1))).sum()
    total *= min(1.0, _PATTERNS / max(len(sample), 1))
    total -= np.log1p(((ln_scale + applied) / _PRIOR) ** 2)
    weight = np.exp(total - total.max())
    weight[weight < _NEGLIGIBLE] = 0.0
    kept = weight > 0
    return ScaleRivals(ln_scale[kept], weight[kept] / weight.sum())


def _own_scales(
    sample: Patterns, library: Library, physics: Physics
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Ln likelihood, ln scale and its information, (patterns, crystals), each at its own scale."""
    starts = match(sample, library)
    shape = len(sample), len(library.crystals)
    likelihood, own, information = np.full(shape, -np.inf), np.zeros(shape), np.zeros(shape)
    of = np.repeat(np.arange(len(sample)), np.diff(sample.offset))
    for c in range(shape[1]):
        others = np.arange(shape[1]) != c
        alone = starts._replace(correlation=np.where(others[:, None], np.nan, starts.correlation))
        for _ in range(_ROUNDS):
            factor = np.exp(own[:, c])[of]
            moved = Patterns(
                sample.offset, sample.ky * factor, sample.kx * factor, sample.intensity,
                sample.place, sample.loose, sample.limit,
            )  # fmt: skip
            solved = solve(moved, alone, library, physics, solutions=1)
            found = solved.crystal[:, 0] == c
            likelihood[:, c] = np.where(found, solved.fact("log_likelihood")[:, 0], -np.inf)
            information[:, c] = np.where(found, solved.fact("dilation_information")[:, 0], 0.0)
            step = np.where(found, solved.fact("dilation")[:, 0], 0.0)
            own[:, c] = np.clip(own[:, c] + step, -_REACH, _REACH)
    return likelihood, own, information
