"""From peak lists to orientations: starts from templates, then the likeliest solutions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.compute.device import Device, uses_gpu
from phaseloom.orientation.matching.library import Library
from phaseloom.orientation.matching.patterns import Patterns

STARTS = 16
"""Distinct solutions of the template matching, per crystal."""

APART = 2.001
"""Degrees between them: neighbours of the grid are one, and rounding does not decide on that."""

PART = 0.06
LEAST = 24
"""Share of a crystal's zones, and the least number, that is voted on: by their signatures."""

_NEAR_BEST = 0.7
"""Starts with less than this part of their crystal's best correlation are not refined."""


class Starts(NamedTuple):
    """Template matching: distinct solutions of every pattern for every crystal, best first.

    Parameters
    ----------
    rotation
        (patterns, crystals, n, 4), sample to crystal; NaN where there are fewer.
    correlation
        (patterns, crystals, n): votes of the peaks, both weights being of unit norm.
    """

    rotation: NDArray[np.float64]
    correlation: NDArray[np.float64]


class Solutions(NamedTuple):
    """Refined distinct solutions of every pattern over all crystals, likeliest first.

    Parameters
    ----------
    rotation
        (patterns, n, 4), sample to crystal; NaN where there are fewer.
    crystal
        (patterns, n), −1 where there are fewer.
    facts
        (patterns, n, facts), see :data:`phaseloom.orientation.refinement.search.FACTS`.
    """

    rotation: NDArray[np.float64]
    crystal: NDArray[np.int64]
    facts: NDArray[np.float64]

    def fact(self, name: str) -> NDArray[np.float64]:
        """One of the facts, (patterns, n)."""
        from phaseloom.orientation.refinement.search import FACTS

        return self.facts[..., FACTS.index(name)]


def match(
    patterns: Patterns, library: Library, *, starts: int = STARTS, device: Device | str = "cpu"
) -> Starts:
    """Compare every pattern with all templates.

    Zones are ranked by the weights of their spots along the radius; the best 6 % are compared
    at all in-plane angles, each as it is and mirrored, by sparse voting: one compiled loop over
    patterns on a processor (:mod:`phaseloom.orientation.matching.voting`), many patterns at once
    on a GPU (:mod:`phaseloom.orientation.matching.batched`). The two differ by rounding in single
    precision.

    Parameters
    ----------
    patterns
        Peaks.
    library
        Templates of all crystals.
    starts
        Distinct solutions (2° apart) per crystal.
    device
        ``cpu``, ``cuda``, or ``auto``: a GPU when there is one.

    Raises
    ------
    InputError
        ``cuda`` was asked for and there is none.
    """
    if uses_gpu(device):
        from phaseloom.orientation.matching.batched import match as match_batched

        return match_batched(patterns, library, device="cuda", starts=starts)
    from phaseloom.orientation.matching.voting import match_patterns

    shape = len(patterns), len(library.crystals), starts
    found = Starts(np.full((*shape, 4), np.nan), np.full(shape, np.nan))
    match_patterns(
        patterns.offset, patterns.ky, patterns.kx, patterns.intensity, 0.0,
        library.templates, library.lattices.symmetry_offset, library.lattices.symmetry,
        library.k_max, library.n_angles, PART, LEAST, np.radians(APART), *found,
    )  # fmt: skip
    return found


def solve(
    patterns: Patterns, starts: Starts, library: Library, physics: NamedTuple, *, solutions: int
) -> Solutions:
    """Refine the starts and weigh them against each other.

    Parameters
    ----------
    patterns
        Peaks.
    starts
        From :func:`match`.
    library
        The crystals.
    physics
        :class:`phaseloom.orientation.refinement.likelihood.Physics`.
    solutions
        How many of every pattern.
    """
    from phaseloom.orientation.refinement.search import FACTS, solve_patterns

    n = len(patterns)
    found = Solutions(
        np.full((n, solutions, 4), np.nan),
        np.full((n, solutions), -1, dtype=np.int64),
        np.full((n, solutions, len(FACTS)), np.nan),
    )
    solve_patterns(
        *patterns, starts.rotation, starts.correlation, _NEAR_BEST, library.lattices, physics,
        *found,
    )  # fmt: skip
    return found
