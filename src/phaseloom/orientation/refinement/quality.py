"""How closely a solution fits the peaks that it explains, whatever the fitted errors forgive.

A likelihood is judged by the errors that were learnt of the scan: with a crystal that is none of
the sample's these get so large that anything fits. What a solution gains per explained peak is
therefore compared with what it would gain were places and intensities as exact as they can be
known.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phaseloom.orientation.matching.patterns import Patterns
from phaseloom.orientation.refinement.chance import gains
from phaseloom.orientation.refinement.likelihood import Physics
from phaseloom.orientation.refinement.model import LEAST_POSITION, LEAST_SPREAD, density
from phaseloom.orientation.refinement.solutions import Solutions

_PEAK = 0.375 / (2.0 * np.pi)
"""Densities of the likelihood at no deviation: of the ln intensity times that of the place."""


def quality(solutions: Solutions, patterns: Patterns, physics: Physics) -> NDArray[np.float64]:
    """Gain of the likeliest solutions per explained peak, in parts of the largest possible.

    Parameters
    ----------
    solutions, patterns, physics
        What was found, in what, with what.

    Returns
    -------
    NDArray
        (patterns,): near 1 where places and intensities agree as well as they are known; 0 where
        nothing is gained; NaN without a solution.
    """
    likelihood = np.where(np.isfinite(s := solutions.fact("log_likelihood")), s, -np.inf)
    best = likelihood.argmax(axis=1)[:, None]
    matched = np.take_along_axis(solutions.fact("matched"), best, axis=1)[:, 0]
    area = (physics.top - physics.bottom) * (physics.right - physics.left)
    place = patterns.place + (LEAST_POSITION * physics.reach) ** 2
    loose = patterns.loose + LEAST_SPREAD**2
    largest = np.log(_PEAK / (place * np.sqrt(loose))) - density(1.0, area)
    total = np.add.reduceat(np.append(largest, 0.0), patterns.offset[:-1])
    peaks = np.diff(patterns.offset)
    mean = np.where(peaks > 0, total, 0.0) / np.maximum(peaks, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        part = gains(solutions, patterns, physics) / (matched * mean)
    return np.where((matched > 0) & (mean > 0), np.clip(part, 0.0, 1.0), np.nan)
