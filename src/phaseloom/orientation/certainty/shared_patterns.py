"""Shared patterns: where two grains overlap, the stronger one is likelier the pixel's.

The likelihood counts peaks. In the pattern of two crystals it prefers the one that explains more of
them, which a weak crystal with many weak spots may do. Which crystals lie there is known from the
neighbours. Which of them is the stronger, the part of the intensity that each explains says.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phaseloom.orientation.refinement.solutions import Solutions

_EXPLAINING = 0.6
"""Gain of ln likelihood per paired peak, by the best solution's, of one that explains its peaks."""

_AROUND = 0.05
"""Probability, in a neighbour, of a solution that is said to be around."""

_COMPLEMENT = 0.03
"""Two solutions that together explain all of the intensity but for so much, and none of it twice,
are said to be a pair."""

_WEAKEST = 0.1
"""What explains less of the intensity makes no pair."""

_SHARED = 0.1
"""Unexplained part of the intensity from which on a pattern is taken for a shared one."""

_ALIKE = 0.02
"""In a pattern that is not shared, explained parts that differ by less say nothing."""

_STEP = 0.01
"""Difference of the explained parts that makes one e times likelier to be the stronger."""

_FLOOR, _FLOOR_SHARED = 0.01, 0.1
"""What the likelihood may say against the stronger one, at most, in patterns of one and of two."""

_PASSES = 3
"""What was decided of a pixel says what is around its neighbours."""

_NEIGHBOURS = ((np.s_[:, :-1], np.s_[:, 1:], 2), (np.s_[:-1], np.s_[1:], 3))
"""Pixels, their neighbours, and the side on which these are: right and below."""


def explained_part(
    solutions: Solutions, shows: NDArray[np.bool_], unexplained: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Part of the intensity that each solution explains.

    What pairs many peaks but with wrong intensities, as dense patterns do by chance, explains none.

    Parameters
    ----------
    solutions
        Of every pattern.
    shows
        (patterns, n): those that count.
    unexplained
        (patterns,): ln likelihood of the peaks if no crystal explains them.

    Returns
    -------
    NDArray
        (patterns, n), 0 to 1.
    """
    gain = solutions.fact("log_likelihood") - unexplained[:, None]
    gain /= np.maximum(solutions.fact("matched"), 1.0)
    gain = np.where(shows & np.isfinite(gain), gain, 0.0)
    explains = gain >= _EXPLAINING * gain.max(axis=1, keepdims=True)
    return np.where(explains & shows, np.nan_to_num(solutions.fact("explained")), 0.0)


def stronger(
    alone: NDArray[np.float64], explained: NDArray[np.float64], partner: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Probabilities with those of the solutions that are around shared by explained intensity.

    Around are solutions that a neighbour has, too: as a likely one, or as one that makes a pair
    with the neighbour's likeliest. Half turns explain the same peaks: the likelihood tells.

    Parameters
    ----------
    alone
        (y, x, n): what the pixels say alone, 0 where there is no solution.
    explained
        (y, x, n): part of the intensity that each explains.
    partner
        Which of the neighbours' solutions they are, from
        :func:`phaseloom.orientation.certainty.beliefs.find_partners`.

    Returns
    -------
    NDArray
        (y, x, n): of every pixel the same sum as before.
    """
    known = np.where(alone > 0, np.nan_to_num(explained), -np.inf)
    likeliest = np.take_along_axis(known, alone.argmax(axis=-1)[..., None], axis=-1)
    likeliest = np.where(np.isfinite(likeliest), likeliest, 0.0)
    pair = (np.abs(known + likeliest - 1.0) <= _COMPLEMENT) & (known >= _WEAKEST)
    weight = alone
    for _ in range(_PASSES):
        weight = _shared(alone, known, _around(pair | (weight >= _AROUND), partner))
    return weight


def _around(candidate: NDArray[np.bool_], partner: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Solutions (y, x, n) that are a neighbour's candidate, too."""
    n = candidate.shape[2]
    bits = (candidate << np.arange(n, dtype=np.int32)).sum(axis=-1, dtype=np.int32)[..., None]
    around = np.zeros(candidate.shape, dtype=bool)
    for own, neighbour, side in _NEIGHBOURS:
        around[own] |= (partner[own][:, :, side] & bits[neighbour]) != 0
        around[neighbour] |= (partner[neighbour][:, :, side - 2] & bits[own]) != 0
    return around


def _shared(
    alone: NDArray[np.float64], explained: NDArray[np.float64], around: NDArray[np.bool_]
) -> NDArray[np.float64]:
    around = around & np.isfinite(explained)
    part = np.where(around, explained, -np.inf)
    most = part.max(axis=-1, keepdims=True)
    less = np.where(around, most - np.where(around, part, 0.0), 0.0)
    # The more the best of them leaves unexplained, the more likely it is not alone.
    single = np.clip(1.0 - (1.0 - most) / _SHARED, 0.0, 1.0)
    best = np.where(around, alone, 0.0).max(axis=-1, keepdims=True)
    floor = _FLOOR_SHARED * (_FLOOR / _FLOOR_SHARED) ** single
    weight = np.where(around, np.maximum(alone, floor * best), 0.0)
    weight *= np.exp(-np.maximum(less - single * _ALIKE, 0.0) / _STEP)
    mass = np.where(around, alone, 0.0).sum(axis=-1, keepdims=True)
    total = weight.sum(axis=-1, keepdims=True)
    return np.where(around & (total > 0), mass * weight / np.where(total > 0, total, 1.0), alone)
