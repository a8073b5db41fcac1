"""Solutions: the refined orientations of every pattern, in one list over all crystals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.orientation.matching.starts import Starts

FACTS = (
    "log_likelihood", "correlation", "matched", "explained", "residual", "deviation",
    "expected", "missed", "dilation", "dilation_information",
    "log_counts", "zone_share",
)  # fmt: skip
"""Columns of ``Solutions.facts``: ln likelihood; correlation index; paired peaks; part of the
intensity in them; rms distance in Å⁻¹; mean deviation of ln intensities; reflections that should
have been found easily, and how many of them were not; ln of the factor by which the peaks' vectors
would fit this solution best, and its inverse variance; ln of the factor between theory and counts;
part of the peaks' weight in the zone round whose axis half a turn led here (0: found by
matching)."""


class Solutions(NamedTuple):
    """Refined distinct solutions of every pattern over all crystals, likeliest first.

    Parameters
    ----------
    rotation
        (patterns, n, 4), sample to crystal; NaN where there are fewer.
    crystal
        (patterns, n), −1 where there are fewer.
    facts
        (patterns, n, facts), see :data:`FACTS`.
    """

    rotation: NDArray[np.float64]
    crystal: NDArray[np.int64]
    facts: NDArray[np.float64]

    @classmethod
    def none(cls, patterns: int, solutions: int) -> Solutions:
        """Room for so many."""
        shape = patterns, solutions
        return cls(
            np.full((*shape, 4), np.nan),
            np.full(shape, -1, dtype=np.int64),
            np.full((*shape, len(FACTS)), np.nan),
        )

    def fact(self, name: str) -> NDArray[np.float64]:
        """One of the facts, (patterns, n)."""
        return self.facts[..., FACTS.index(name)]

    def take(self, patterns: NDArray[np.intp]) -> Solutions:
        """Those of some of the patterns."""
        return Solutions(self.rotation[patterns], self.crystal[patterns], self.facts[patterns])

    def ordered(self, order: NDArray[np.int64]) -> Solutions:
        """Those of every pattern in another order: (patterns, n) numbers."""
        return Solutions(
            np.take_along_axis(self.rotation, order[..., None], axis=1),
            np.take_along_axis(self.crystal, order, axis=1),
            np.take_along_axis(self.facts, order[..., None], axis=1),
        )


def ranked(starts: Starts) -> Solutions:
    """Starts of all crystals in one list, the highest correlation first, not refined.

    Parameters
    ----------
    starts
        From :func:`phaseloom.orientation.matching.matching.match` or
        :func:`phaseloom.orientation.matching.images.match_images`.

    Returns
    -------
    Solutions
        (patterns, crystals · n); of the facts only ``correlation`` is known.
    """
    patterns, _, n = starts.correlation.shape
    row = np.arange(patterns)[:, None]
    flat = np.where(np.isnan(starts.correlation), -np.inf, starts.correlation)
    flat = flat.reshape(patterns, -1)
    order = np.argsort(-flat, axis=1, kind="stable")
    quality = flat[row, order]
    exists = np.isfinite(quality)
    facts = np.full((*order.shape, len(FACTS)), np.nan)
    facts[..., FACTS.index("correlation")] = np.where(exists, quality, np.nan)
    return Solutions(
        rotation=starts.rotation.reshape(patterns, -1, 4)[row, order],
        crystal=np.where(exists, order // n, -1),
        facts=facts,
    )
