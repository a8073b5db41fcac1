"""Solving: refine the orientations that matching proposes, and rank them by likelihood."""

from __future__ import annotations

from phaseloom.orientation.matching.library import Library
from phaseloom.orientation.matching.patterns import Patterns
from phaseloom.orientation.matching.starts import Starts
from phaseloom.orientation.refinement.likelihood import Physics
from phaseloom.orientation.refinement.search import solve_patterns
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
    broad = physics
    if physics.sharpness > 1.0:
        broad = physics._replace(
            sharpness=1.0, thickness=_SAME_WIDTH * physics.thickness,
            spread=max(physics.spread, _BROAD_SPREAD),
        )  # fmt: skip
    solve_patterns(
        *patterns, starts.rotation, starts.correlation, _NEAR_BEST, library.lattices, physics,
        broad, *refined,
    )  # fmt: skip
    return refined
