"""Search for the scale of the patterns: which pixel size makes the crystals explain them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.orientation.matching.library import Library
from phaseloom.orientation.matching.matching import match
from phaseloom.orientation.matching.patterns import Patterns
from phaseloom.orientation.refinement.likelihood import Physics
from phaseloom.orientation.refinement.solving import solve

RANGE = 0.12
"""ln of the factors that are tried, either way."""

_STEP = 0.012
"""Between them: half of what a reflection of the outer spots may be away and still pair."""

_SAMPLE = 40
"""Patterns that are indexed at every scale."""


class ScaleSearch(NamedTuple):
    """How well the crystals explain the patterns at every scale.

    Parameters
    ----------
    ln_scale
        (n,) ln of factors of the pixel size.
    gain
        (n,) ln likelihood of a sample's peaks over that of unexplained ones, per peak.
    best
        ln of the best factor, between the steps.
    """

    ln_scale: NDArray[np.float64]
    gain: NDArray[np.float64]
    best: float


def widened(k_max: float) -> float:
    """Largest 1/d of a library for the search, where vectors may be too long by the range.

    Parameters
    ----------
    k_max
        Å⁻¹, where the peaks end as the file has them.
    """
    return k_max * float(np.exp(RANGE))


def find_scale(patterns: Patterns, library: Library, physics: Physics, *, seed: int) -> ScaleSearch:
    """Index a sample of patterns at scales of ±12 % and compare how well they are explained.

    Parameters
    ----------
    patterns
        All of them, as the file's pixel size has them.
    library
        The crystals, up to :func:`widened` of the peaks' extent.
    physics
        As for the file's pixel size.
    seed
        Which patterns are asked.
    """
    sample = patterns.take(sampled(patterns, _SAMPLE, seed))
    steps = round(RANGE / _STEP)
    ln_scale = _STEP * np.arange(-steps, steps + 1, dtype=np.float64)
    gain = np.array([explained(sample, library, physics, s) for s in ln_scale])
    return ScaleSearch(ln_scale, gain, _summit(ln_scale, gain))


def sampled(patterns: Patterns, most: int, seed: int) -> NDArray[np.intp]:
    """Patterns with enough peaks, drawn at random: their numbers, in order.

    Parameters
    ----------
    patterns
        All of them.
    most
        How many, at most.
    seed
        Which are looked at.
    """
    counts = np.diff(patterns.offset)
    usable = np.flatnonzero(counts >= min(5, int(counts.max(initial=0))))
    usable = usable[counts[usable] >= 3]
    if usable.size <= most:
        return usable
    return np.sort(np.random.default_rng(seed).choice(usable, most, replace=False))


def explained(sample: Patterns, library: Library, physics: Physics, ln_scale: float) -> float:
    """Ln likelihood per peak over that of unexplained ones, with vectors longer by a factor.

    Parameters
    ----------
    sample
        Patterns.
    library, physics
        The crystals; the instrument as the vectors are.
    ln_scale
        ln of the factor.
    """
    factor = float(np.exp(ln_scale))
    moved = sample.moved(factor * np.eye(2), np.zeros(2))
    there = at_scale(physics, ln_scale)
    solved = solve(moved, match(moved, library), library, there, solutions=1)
    likelihood = solved.fact("log_likelihood")[:, 0]
    counts = np.diff(sample.offset)
    gain = np.where(np.isfinite(likelihood), likelihood - counts * there.unexplained, 0.0)
    return float(np.maximum(gain, 0.0).sum() / max(counts.sum(), 1))


def at_scale(physics: Physics, ln_scale: float) -> Physics:
    """The same instrument with all vectors longer by a factor.

    Parameters
    ----------
    physics
        Before.
    ln_scale
        ln of the factor.
    """
    factor = float(np.exp(ln_scale))
    lengths = ("bottom", "top", "left", "right", "k_min")
    longer = {name: factor * getattr(physics, name) for name in lengths}
    # A density per area of reciprocal space.
    return physics._replace(unexplained=physics.unexplained - 2.0 * ln_scale, **longer)


def _summit(ln_scale: NDArray[np.float64], gain: NDArray[np.float64]) -> float:
    """Place of the maximum, by a parabola through the best point and its neighbours."""
    best = int(np.argmax(gain))
    if not 0 < best < gain.size - 1:
        return float(ln_scale[best])
    before, top, after = gain[best - 1 : best + 2]
    curve = before - 2.0 * top + after
    move = 0.5 * (before - after) / curve if curve < 0 else 0.0
    return float(ln_scale[best] + np.clip(move, -0.5, 0.5) * (ln_scale[1] - ln_scale[0]))
