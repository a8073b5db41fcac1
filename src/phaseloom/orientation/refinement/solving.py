"""Solving: refine the orientations that matching proposes, and rank them by likelihood."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phaseloom.orientation.matching.library import Library
from phaseloom.orientation.matching.patterns import Patterns
from phaseloom.orientation.matching.starts import Starts
from phaseloom.orientation.refinement.likelihood import Physics
from phaseloom.orientation.refinement.search import refine_orientations, solve_patterns
from phaseloom.orientation.refinement.solutions import Solutions

_NEAR_BEST = 0.7
"""Starts with less than this part of their crystal's best correlation are not refined."""

_SAME_WIDTH = 1.2
"""Thickness of the wedge whose excitation is as wide at half its height as a Gaussian's."""

_BROAD_SPREAD = 0.8
"""Least spread of ln intensities on the way to a solution."""


def solve(
    patterns: Patterns, starts: Starts, library: Library, physics: Physics, *, solutions: int
) -> Solutions:
    """Refine the starts and rank them by likelihood.

    Parameters
    ----------
    patterns
        Peaks.
    starts
        From :func:`phaseloom.orientation.matching.matching.match`.
    library
        The crystals.
    physics
        Instrument and sample, from :func:`phaseloom.orientation.refinement.model.estimate`.
    solutions
        How many of every pattern.
    """
    refined = Solutions.none(len(patterns), solutions)
    solve_patterns(
        *patterns, starts.rotation, starts.correlation, _NEAR_BEST, library.lattices, physics,
        _broad(physics), *refined,
    )  # fmt: skip
    return refined


def refine_given(
    patterns: Patterns,
    rotation: NDArray[np.float64],
    crystal: NDArray[np.int64],
    library: Library,
    physics: Physics,
) -> Solutions:
    """Refine given orientations, in the order and number that they have.

    Parameters
    ----------
    patterns
        Peaks.
    rotation, crystal
        (patterns, n, 4) and (patterns, n), −1 where there are fewer.
    library, physics
        As for :func:`solve`.
    """
    refined = Solutions.none(*crystal.shape)
    refined.rotation[:], refined.crystal[:] = rotation, crystal
    refine_orientations(
        *patterns, refined.rotation, refined.crystal, library.lattices, physics, _broad(physics),
        refined.facts,
    )  # fmt: skip
    return refined


def _broad(physics: Physics) -> Physics:
    """The same with the wings by which starts find their way."""
    if physics.sharpness <= 1.0:
        return physics
    return physics._replace(
        sharpness=1.0, thickness=_SAME_WIDTH * physics.thickness,
        spread=max(physics.spread, _BROAD_SPREAD),
    )  # fmt: skip
