"""Starts: the orientations that template matching proposes for refinement to begin with."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

STARTS = 16
"""Distinct solutions of the template matching, per crystal."""

APART = 2.001
"""Degrees between them: neighbours of the grid are one, and rounding does not decide on that."""

PART = 0.06
LEAST = 24
"""Share of a crystal's zones, and the least number, that is voted on: by their signatures."""


class Starts(NamedTuple):
    """Template matching: distinct solutions of every pattern for every crystal, best first.

    Parameters
    ----------
    rotation
        (patterns, crystals, n, 4), sample to crystal; NaN where there are fewer.
    correlation
        (patterns, crystals, n): votes of the peaks, both weights being of unit norm, or, of
        images, the correlation index.
    """

    rotation: NDArray[np.float64]
    correlation: NDArray[np.float64]

    @classmethod
    def none(cls, patterns: int, crystals: int, solutions: int) -> Starts:
        """Room for so many."""
        shape = patterns, crystals, solutions
        return cls(np.full((*shape, 4), np.nan), np.full(shape, np.nan))
