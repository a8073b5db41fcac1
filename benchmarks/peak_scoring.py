"""Compare found peaks with the truth.

Recall: matched visible spots / visible spots, where found peaks and visible spots are paired one to
one within ``RADIUS`` (as many pairs as possible, then the smallest sum of distances). Precision:
share of the found peaks paired so, or, those left over, with a true spot that is not counted
visible (expected counts > 0), again one to one; everything else is false, a second peak on one spot
too. Position rms: of the distance (both axes together) over all pairs of visible spots; nothing is
clipped. Close pairs: visible spots with another one nearer than ``CLOSE`` times their sigma.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

RADIUS = 3.0
CLOSE = 3.0
SIGMA = 2.4


@dataclass(frozen=True)
class Truth:
    """The spots of a workload: flat columns, rows of pattern i at ``offset[i]:offset[i + 1]``."""

    offset: NDArray[np.int64]
    position: NDArray[np.float64]  # (n, 2) row, column
    counts: NDArray[np.float64]
    visible: NDArray[np.bool_]
    counting_error: NDArray[np.float64]  # least error of the counts

    def pattern(self, i: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows of one pattern's spots that are visible, and of the others with any counts."""
        rows = np.arange(self.offset[i], self.offset[i + 1])
        rows = rows[self.counts[rows] > 0]
        return rows[self.visible[rows]], rows[~self.visible[rows]]


@dataclass(frozen=True)
class Score:
    """Figures of one run over a workload."""

    recall: float
    precision: float
    rms: float  # px
    close_recall: float
    false_per_pattern: float

    @property
    def merit(self) -> float:
        """What tuning maximises: recall, and worse for imprecise positions and false peaks."""
        return self.recall - 0.1 * self.rms - 10 * max(0.0, 0.995 - self.precision)


def paired(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[NDArray[np.intp], ...]:
    """Indices into a and b of the pairs within ``RADIUS``, and their distances."""
    distance = cdist(a, b)
    first, second = linear_sum_assignment(np.where(distance <= RADIUS, distance, 1e6))
    near = distance[first, second] <= RADIUS
    first, second = first[near], second[near]
    return first, second, distance[first, second]


@dataclass(frozen=True)
class Matches:
    """Every found peak and every visible spot, with what became of it."""

    distance: NDArray[np.float64]  # per found peak: to its visible spot, NaN without
    true: NDArray[np.bool_]  # per found peak
    found: NDArray[np.bool_]  # per visible spot
    close: NDArray[np.bool_]  # per visible spot
    spot: NDArray[np.intp]  # per found peak: its row in the truth, −1 without


def match(
    truth: Truth, offset: NDArray[np.int64], position: NDArray[np.float64], sigma: float = SIGMA
) -> Matches:
    """Pair found peaks, (n, 2) row and column, with the truth, pattern by pattern."""
    distance, true, spot = (
        np.full(len(position), np.nan),
        np.zeros(len(position), bool),
        np.full(len(position), -1),
    )
    found, close = [], []
    for i in range(len(offset) - 1):
        here = np.arange(offset[i], offset[i + 1])
        visible, rest = truth.pattern(i)
        seen = truth.position[visible]
        hit = np.zeros(len(seen), bool)
        apart = np.sort(cdist(seen, seen), axis=1)[:, 1:2]
        close.append(np.broadcast_to((apart < CLOSE * sigma).any(axis=1), len(seen)))
        a, b, length = paired(position[here], seen)
        distance[here[a]], true[here[a]], spot[here[a]], hit[b] = length, True, visible[b], True
        left = here[~true[here]]
        true[left[paired(position[left], truth.position[rest])[0]]] = True
        found.append(hit)
    return Matches(distance, true, np.concatenate(found), np.concatenate(close), spot)


def score(truth: Truth, offset: NDArray[np.int64], position: NDArray[np.float64]) -> Score:
    """All figures; ``offset`` may cover only the first patterns of the truth."""
    m = match(truth, offset, position)
    matched = np.isfinite(m.distance)
    return Score(
        recall=float(m.found.mean()),
        precision=float(m.true.mean()) if m.true.size else 1.0,
        rms=float(np.sqrt((m.distance[matched] ** 2).mean())) if matched.any() else np.nan,
        close_recall=float(m.found[m.close].mean()) if m.close.any() else np.nan,
        false_per_pattern=float((~m.true).sum() / (len(offset) - 1)),
    )


def best_threshold(
    truth: Truth,
    offset: NDArray[np.int64],
    position: NDArray[np.float64],
    strength: NDArray[np.float64],
    *,
    fine: bool = False,
) -> tuple[float, Score]:
    """The cut in strength of greatest merit: of a dozen candidates, or three dozen about it."""
    order = np.sort(strength)[::-1]
    tried: dict[int, Score] = {}

    def tried_at(low: float, high: float, number: int) -> int:
        """Try cuts that keep so many peaks; the best number of all tried."""
        for rank in np.geomspace(low, high, number).astype(int).clip(1, len(order)):
            if int(rank) not in tried:
                keep = strength >= order[rank - 1]
                kept = np.concatenate([[0], np.cumsum(keep)])[offset]
                tried[int(rank)] = score(truth, kept, position[keep])
        return max(tried, key=lambda rank: tried[rank].merit)

    n = truth.visible[: truth.offset[len(offset) - 1]].sum()
    best = tried_at(0.3 * n, 3.0 * n, 12)
    if fine:
        best = tried_at(best / 1.25, best * 1.25, 36)
    return float(order[best - 1]), tried[best]


def chance(truth: Truth, shape: tuple[int, int], seed: int = 0) -> float:
    """Share of peaks thrown at random onto the patterns that would count as true."""
    rng = np.random.default_rng(seed)
    n = min(200, len(truth.offset) - 1)
    hits = []
    for i in range(n):
        thrown = rng.uniform(0, np.array(shape) - 1, (50, 2))
        spots = truth.position[np.concatenate(truth.pattern(i))]
        hits.append((cdist(thrown, spots) <= RADIUS).any(axis=1).mean())
    return float(np.mean(hits))
