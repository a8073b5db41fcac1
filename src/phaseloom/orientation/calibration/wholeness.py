"""Are patterns explained as a whole, by one crystal of the library or by two?

A crystal that shares a sublattice with that of the sample explains some of the peaks of nearly all
patterns, and far better than chance would. It does not explain the others. The right crystals
explain all peaks of many patterns: those of a single grain, or those of two as a pair.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phaseloom.orientation.matching.library import Library
from phaseloom.orientation.matching.patterns import Patterns
from phaseloom.orientation.refinement.likelihood import Physics
from phaseloom.orientation.refinement.overlaps import second_crystals
from phaseloom.orientation.refinement.search import describe_solutions
from phaseloom.orientation.refinement.solutions import FACTS, Solutions

WHOLE = 0.75
"""Part of a pattern's peaks that a crystal must explain to explain the pattern."""

_BY_PAIR = 0.9
"""Part that two must explain, those counted twice that both explain."""

_ENOUGH = 0.5
"""Part of the patterns that must be explained as a whole."""

_ASKED = 60
"""Patterns in which pairs are sought, at most."""


def explained_as_whole(
    sample: Patterns,
    solutions: Solutions,
    chosen: NDArray[np.bool_],
    library: Library,
    physics: Physics,
) -> bool:
    """Whether enough of the patterns are explained as a whole.

    Parameters
    ----------
    sample
        Patterns.
    solutions
        Theirs, several of each.
    chosen
        (patterns,): those that a crystal explains better than chance.
    library, physics
        What they were solved with.
    """
    rows = np.flatnonzero(chosen)
    if rows.size == 0:
        return False
    peaks = np.diff(sample.offset)
    matched = np.nan_to_num(solutions.fact("matched")[:, 0])
    if (matched[rows] >= WHOLE * peaks[rows]).mean() >= _ENOUGH:
        return True
    rows = rows[np.linspace(0, rows.size - 1, min(rows.size, _ASKED)).astype(np.intp)]
    some = sample.take(rows)
    second = second_crystals(some, solutions.take(rows), library, physics)
    of_second = np.full((rows.size, len(FACTS)), np.nan)
    describe_solutions(
        *some, second.rotation, second.crystal.astype(np.int64), library.lattices, physics,
        of_second,
    )  # fmt: skip
    by_first = np.nan_to_num(second.solutions.fact("matched")[:, 0])
    by_second = np.nan_to_num(of_second[:, FACTS.index("matched")])
    pairs = (second.crystal >= 0) & (by_first + by_second >= _BY_PAIR * peaks[rows])
    return bool(((by_first >= WHOLE * peaks[rows]) | pairs).mean() >= _ENOUGH)
