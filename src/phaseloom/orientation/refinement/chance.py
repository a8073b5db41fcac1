"""What crystals explain by chance: the null distribution of their fit, from the scan itself.

Patterns of a scan, each strained in its plane by an ellipse of its own, are as dense as before, are
lattices still and have the same intensities, but are no patterns of the crystals any more. How well
the best of all orientations explains them is how well a wrong crystal would explain the patterns.
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

DECOYS = 900
"""Strained patterns that are indexed, about."""

_STRAIN = 0.04, 0.18
"""Least and largest: half the ln ratio of the axes of the ellipse. Beyond the errors of a
calibration, yet so small that what a pattern has in common with the crystal counts in part."""

_TAIL = 0.1
"""The part of the decoys that gain most gives the law by which still greater gains get rarer."""

_WIDTH = 0.3
"""In ln of the number of peaks: decoys so near in it are alike."""

_GRID = 12


class Chance(NamedTuple):
    """How much a wrong crystal gains on patterns, by their number of peaks.

    Parameters
    ----------
    log_peaks
        (n,) ln of the number of peaks.
    level
        (n,) gain (ln likelihood over that of unexplained peaks) of one pattern in ten.
    decay
        (n,) by how much the gain must grow to be e times rarer.
    """

    log_peaks: NDArray[np.float64]
    level: NDArray[np.float64]
    decay: NDArray[np.float64]

    def rarity(self, gain: NDArray[np.float64], peaks: NDArray[np.int64]) -> NDArray[np.float64]:
        """Probability that a wrong crystal explains a pattern at least so well, 0 to 1.

        Parameters
        ----------
        gain
            (patterns,) of their likeliest solutions; −inf where there is none.
        peaks
            (patterns,), how many each has.
        """
        at = np.log(np.maximum(peaks, 1))
        level = np.interp(at, self.log_peaks, self.level)
        decay = np.interp(at, self.log_peaks, self.decay)
        above = _TAIL * np.exp(-np.maximum(gain - level, 0.0) / decay)
        below = 1.0 - (1.0 - _TAIL) * np.clip(gain / level, 0.0, 1.0)
        return np.where(gain >= level, above, below)

    def rarity_of(
        self, solutions: Solutions, patterns: Patterns, physics: Physics
    ) -> NDArray[np.float64]:
        """:meth:`rarity` of the likeliest solutions of patterns.

        Parameters
        ----------
        solutions, patterns, physics
            What was found, in what, with what.
        """
        return self.rarity(gains(solutions, patterns, physics), np.diff(patterns.offset))


def gains(solutions: Solutions, patterns: Patterns, physics: Physics) -> NDArray[np.float64]:
    """Ln likelihood of the likeliest solutions over unexplained peaks; −inf without one.

    Parameters
    ----------
    solutions, patterns, physics
        What was found, in what, with what.
    """
    unexplained = np.diff(patterns.offset) * physics.unexplained
    likelihood = solutions.fact("log_likelihood")
    best = np.where(np.isfinite(likelihood), likelihood, -np.inf).max(axis=1)
    return np.asarray(best - unexplained)


def measure_chance(
    sample: Patterns, library: Library, physics: Physics, *, seed: int, decoys: int = DECOYS
) -> Chance:
    """Index strained copies of a sample of patterns.

    Parameters
    ----------
    sample
        Patterns of the scan with three peaks or more.
    library, physics
        As they are to be indexed.
    seed
        Of the strains.
    decoys
        Strained patterns that are indexed, about.
    """
    rng = np.random.default_rng(seed)
    peaks = np.diff(sample.offset)
    copies = int(np.clip(round(decoys / max(len(sample), 1)), 3, 40))
    found = []
    for _ in range(copies):
        strained = _strained(sample, rng)
        solved = solve(strained, match(strained, library), library, physics, solutions=1)
        found.append(np.maximum(gains(solved, strained, physics), 0.0))
    return _law(np.concatenate(found), np.tile(peaks, copies))


def _strained(patterns: Patterns, rng: np.random.Generator) -> Patterns:
    """Patterns, each stretched along one direction and shrunk across it, of equal area."""
    counts = np.diff(patterns.offset)
    size = rng.uniform(*_STRAIN, len(patterns))
    direction = rng.uniform(0.0, 2.0 * np.pi, len(patterns))
    even, odd = np.cosh(size), np.sinh(size)
    a, b, d = (
        np.repeat(values, counts)
        for values in (even + odd * np.cos(direction), odd * np.sin(direction),
                       even - odd * np.cos(direction))
    )  # fmt: skip
    return Patterns(
        patterns.offset, a * patterns.ky + b * patterns.kx, b * patterns.ky + d * patterns.kx,
        patterns.intensity, patterns.place, patterns.loose, patterns.limit,
    )  # fmt: skip


def _law(gain: NDArray[np.float64], peaks: NDArray[np.int64]) -> Chance:
    """Level and decay by the number of peaks, from the decoys near in it."""
    log_peaks = np.log(peaks)
    grid = np.linspace(log_peaks.min(), log_peaks.max(), _GRID)
    order = np.argsort(gain)
    ranked = gain[order]
    level, decay = np.empty(_GRID), np.empty(_GRID)
    for i, at in enumerate(grid):
        weight = np.exp(-0.5 * ((log_peaks[order] - at) / _WIDTH) ** 2)
        above = np.cumsum(weight[::-1])[::-1] / weight.sum()
        last = max(int(np.searchsorted(-above, -_TAIL, side="right")) - 1, 0)
        level[i] = max(float(ranked[last]), 1.0)
        excess = np.maximum(ranked - level[i], 0.0)
        those = excess > 0
        mean = (weight[those] @ excess[those] / weight[those].sum()) if those.any() else 0.0
        decay[i] = max(float(mean), 1.0)
    return Chance(grid, level, decay)
