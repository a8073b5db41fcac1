"""Completion: what neighbours have found is tried in a pattern that lacks it.

The search for orientations is not exhaustive. Of two orientations that explain a pattern equally
well it may have found one only, or a poor copy of the other, and so be sure of what is open. What
neighbouring patterns found is refined against the pattern's own peaks and put among its solutions,
before any of them are weighed.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.compute.blocks import run_blocks
from phaseloom.compute.execution import Execution
from phaseloom.orientation.certainty.beliefs import drop_copies, find_lacking, find_partners
from phaseloom.orientation.certainty.shared_patterns import explained_part, stronger
from phaseloom.orientation.matching.library import Library
from phaseloom.orientation.matching.patterns import Patterns
from phaseloom.orientation.refinement.likelihood import Physics
from phaseloom.orientation.refinement.search import SAME
from phaseloom.orientation.refinement.solutions import Solutions
from phaseloom.orientation.refinement.solving import refine_given

_LEAST = 0.03
"""Probability of a neighbour's solution that is tried."""

_MOST = 8
"""Of them that are tried in a pattern at once."""

_ROUNDS = 3
"""How many positions far a solution may come."""

_EVEN = 0.05
"""ln likelihoods that differ by less are equal: what came first stays first."""

_BLOCK = 512
"""Patterns worked on at once."""

_TOLERANCE = math.cos(math.radians(1.5))
"""Cosine of half the angle between solutions that are one."""


class _Lacking(NamedTuple):
    """Patterns (n,), and the rotations (n, most, 4) and crystals (n, most) to be tried there."""

    pattern: NDArray[np.intp]
    rotation: NDArray[np.float64]
    crystal: NDArray[np.int64]

    def take(self, chosen: slice | NDArray[np.bool_]) -> _Lacking:
        """Some of the patterns."""
        return _Lacking(self.pattern[chosen], self.rotation[chosen], self.crystal[chosen])


def completed(
    solutions: Solutions,
    shows: NDArray[np.bool_],
    takes: NDArray[np.bool_],
    patterns: Patterns,
    library: Library,
    physics: Physics,
    shape: tuple[int, int],
    execution: Execution | None = None,
) -> Solutions:
    """Solutions of every pattern of a scan, with those that its neighbours have found.

    Parameters
    ----------
    solutions
        Of every pattern.
    shows
        (patterns,): a crystal explains the pattern. Others neither give nor take.
    takes
        (patterns,): others keep the list that they have.
    patterns, library, physics
        What they were found in and with.
    shape
        Of the scan.
    execution
        How blocks of patterns are worked on.

    Returns
    -------
    Solutions
        As many of every pattern; no likeliest one becomes less likely.
    """
    unexplained = np.diff(patterns.offset) * physics.unexplained
    now = Solutions(solutions.rotation.copy(), solutions.crystal.copy(), solutions.facts.copy())
    pending = shows.copy()
    for _ in range(_ROUNDS):
        lacking = _lacking(now, shows, pending, library, shape, unexplained)
        lacking = lacking.take(takes[lacking.pattern])
        pending = np.zeros_like(shows)
        parts = [lacking.take(slice(i, i + _BLOCK)) for i in range(0, lacking.pattern.size, _BLOCK)]
        work = partial(_tried, patterns=patterns, library=library, physics=physics)
        blocks = [(part, now.take(part.pattern)) for part in parts]
        for i, found in run_blocks(work, blocks, execution):
            chosen = parts[i].pattern
            for values, new in zip(now, found, strict=True):
                values[chosen] = new
            pending[chosen] = True
        if not pending.any():
            break
    return now


def _tried(
    block: tuple[_Lacking, Solutions], *, patterns: Patterns, library: Library, physics: Physics
) -> Solutions:
    """Solutions of a block of patterns with what was lacking."""
    lacking, own = block
    found = refine_given(
        patterns.take(lacking.pattern), lacking.rotation, lacking.crystal, library, physics
    )
    n = own.crystal.shape[1]
    joined = Solutions(
        np.concatenate([own.rotation, found.rotation], axis=1),
        np.concatenate([own.crystal, found.crystal], axis=1),
        np.concatenate([own.facts, found.facts], axis=1),
    )
    likelihood = joined.fact("log_likelihood").copy()
    likelihood[(joined.crystal < 0) | ~np.isfinite(likelihood)] = -np.inf
    # What came first stays first if it is as likely.
    likelihood[:, 0] += _EVEN
    order = np.argsort(-likelihood, axis=1, kind="stable")
    likelihood = np.take_along_axis(likelihood, order, axis=1)
    ranked = joined.ordered(order)
    is_given, kept = order >= n, np.isfinite(likelihood)
    lattices = library.lattices
    drop_copies(
        ranked.rotation, ranked.crystal, lattices.symmetry_offset, lattices.symmetry, SAME, kept,
        is_given,
    )  # fmt: skip
    # Likely ones have room first, then what neighbours are sure of, then others.
    is_likely = likelihood >= likelihood[:, :1] + math.log(_LEAST)
    importance = np.where(kept, np.where(is_likely, 0, np.where(is_given, 1, 2)), 3)
    chosen = np.argsort(importance, axis=1, kind="stable")[:, :n]
    chosen = np.where(np.take_along_axis(kept, chosen, axis=1), chosen, kept.shape[1])
    chosen = np.sort(chosen, axis=1)
    missing = chosen == kept.shape[1]
    best = ranked.ordered(np.where(missing, 0, chosen))
    best.rotation[missing], best.crystal[missing], best.facts[missing] = np.nan, -1, np.nan
    return best


def _lacking(
    solutions: Solutions,
    shows: NDArray[np.bool_],
    pending: NDArray[np.bool_],
    library: Library,
    shape: tuple[int, int],
    unexplained: NDArray[np.float64],
) -> _Lacking:
    """What neighbours of patterns in which anything is new have and a pattern has not."""
    n = solutions.crystal.shape[1]
    crystal = np.where(shows[:, None], solutions.crystal, -1).reshape(*shape, n)
    likelihood = np.where(crystal.reshape(-1, n) >= 0, solutions.fact("log_likelihood"), -np.inf)
    highest = likelihood.max(axis=1, keepdims=True)
    weight = np.exp(likelihood - np.where(np.isfinite(highest), highest, 0.0))
    weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-300)
    lattices = library.lattices
    rotation = np.ascontiguousarray(solutions.rotation).reshape(*shape, n, 4)
    partner = np.zeros((*shape, 4, n), dtype=np.int32)
    find_partners(
        rotation, crystal, lattices.symmetry_offset, lattices.symmetry, _TOLERANCE, partner
    )
    # The stronger of two crystals is passed on, though its pattern alone prefers the other.
    explained = explained_part(solutions, crystal.reshape(-1, n) >= 0, unexplained)
    told = stronger(weight.reshape(*shape, n), explained.reshape(*shape, n), partner)
    weight = np.maximum(weight, told.reshape(-1, n))
    giving = np.where(pending[:, None], weight, 0.0).reshape(*shape, n)
    code = np.full((*shape, _MOST), -1, dtype=np.int16)
    find_lacking(
        rotation, crystal, weight.reshape(*shape, n), giving, partner, lattices.symmetry_offset,
        lattices.symmetry, _TOLERANCE, _LEAST, code,
    )  # fmt: skip
    y, x = np.nonzero(code[..., 0] >= 0)
    given = code[y, x]
    side, which = given // n, np.maximum(given % n, 0)
    v = y[:, None] + (side == 3) - (side == 1)
    u = x[:, None] + (side == 2) - (side == 0)
    none = given < 0
    v, u = np.where(none, 0, v), np.where(none, 0, u)
    return _Lacking(
        y * shape[1] + x,
        np.where(none[..., None], np.nan, rotation[v, u, which]),
        np.where(none, -1, crystal[v, u, which]),
    )
