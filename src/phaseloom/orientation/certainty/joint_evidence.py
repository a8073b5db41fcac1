"""Joint evidence: which of the orientations that are open all over a grain is the grain's.

Half a turn about a zone axis leaves many patterns as they are, and then the same two orientations
are open in all patterns of a grain. What each pattern says for either is little, and is not
independent of what the next one says: the same reflections lack, the same structure factors are
wrong. The difference Δ of ln likelihoods in a pattern is a noisy reading of its mean over a grain,
and that mean errs by as much as the model does. Evidence of one pattern is taken to be calibrated:
its variance is twice its mean then. What of this is seen as scatter between the patterns of the
grain is independent and averages out; what lacks to twice the mean is common to all of them and
counts once:

    ln odds = 2 m |m| / (σ² + s²/N),   σ² = max(2 |m| − s², min(2 |m|, σ₀²)),

with mean m and variance s² of Δ over N patterns. N equal ones say what one of them says, and exact
half turns (Δ = 0 in all) stay open. Patterns that tell clearly are taken apart from those that do
not, and speak for the others only if they are more than strays would be.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

OPEN = 0.02
"""Solutions of less probability are not open."""

SURE = 0.9
"""Probability from which on a pixel at the edge of what is open speaks for one of them."""

DECIDED = 0.75
"""Share of an alternative that is the choice of all pixels; below, each keeps its own."""

_LEAST = 3
"""Pixels that are weighed together, at least."""

_MAINLY = 0.5
"""Probability that they have in common in two neighbours, more than that."""

_COVERED = 0.5
"""Part of these in which an alternative of the grain is open."""

_COVERED_CUT = 0.1
"""Likewise, where most lists are too short for all that is open."""

CLEAR = 1.5
"""|Δ| from which on a pattern tells clearly."""

_MOST = -math.log(0.01)
"""|Δ| that a pattern may have, at most: models err."""

_STRAY = 0.03
"""Part of the patterns that may tell clearly and be wrong."""

_COMMON = 0.5
"""σ₀: error of Δ that is common to the patterns of a grain, at least."""

_NEIGHBOURS = ((np.s_[:, :-1], np.s_[:, 1:], 2), (np.s_[:-1], np.s_[1:], 3))


class Joint(NamedTuple):
    """What is open all over grains.

    Parameters
    ----------
    group
        (y, x) int32: number of the patch of pixels in which the same solutions are open, −1
        where there is none.
    alternative
        (y, x, n) int16: of each solution, the alternative of the patch that it is, the likeliest
        being 0; −1 where it is none of them.
    share
        A list with the probabilities of the alternatives of every patch, falling, of sum one.
    """

    group: NDArray[np.int32]
    alternative: NDArray[np.int16]
    share: list[NDArray[np.float64]]


def joint_evidence(alone: NDArray[np.float64], partner: NDArray[np.int32]) -> Joint:
    """Patches of pixels in which the same solutions are open, and which of these is likely.

    Parameters
    ----------
    alone
        (y, x, n): probabilities of the solutions, 0 where there is none.
    partner
        Which of the neighbours' solutions they are, from
        :func:`phaseloom.orientation.certainty.beliefs.find_partners`.
    """
    shape = alone.shape
    is_open = alone >= OPEN
    patch, node = _patches(alone, is_open, partner)
    group = np.full(shape[:2], -1, dtype=np.int32)
    alternative = np.full(shape, -1, dtype=np.int16)
    share: list[NDArray[np.float64]] = []
    inside = np.flatnonzero(patch.ravel() >= 0)
    if inside.size == 0:
        return Joint(group, alternative, share)
    votes = _votes(alone, partner, patch, node)
    inside = inside[np.argsort(patch.ravel()[inside], kind="stable")]
    starts = np.flatnonzero(np.diff(patch.ravel()[inside], prepend=-1))
    # A list that ends with what is open lacks others that are as likely.
    is_cut = is_open[..., -1].ravel()
    logs = np.log(np.maximum(alone, 1e-300)).reshape(-1, shape[2])
    flat = np.where(is_open, node, -1).reshape(-1, shape[2])
    for pixels in np.split(inside, starts[1:]):
        nodes = flat[pixels]
        numbers, counts = np.unique(nodes[nodes >= 0], return_counts=True)
        cut = is_cut[pixels]
        needed = _COVERED if cut.mean() < _MAINLY else _COVERED_CUT
        numbers = numbers[counts >= needed * pixels.size]
        if numbers.size < 2:
            continue
        heard = votes.get(int(patch.flat[pixels[0]]))
        likelihood = _likelihoods(nodes, logs[pixels], numbers, cut, heard)
        chance = _shares(likelihood, pixels.size)
        order = np.argsort(-chance, kind="stable")
        rank = np.empty(order.size, dtype=np.int16)
        rank[order] = np.arange(order.size)
        place = np.searchsorted(numbers, nodes).clip(max=numbers.size - 1)
        alternative.reshape(-1, shape[2])[pixels] = np.where(
            numbers[place] == nodes, rank[place], -1
        )
        group.flat[pixels] = len(share)
        share.append(chance[order])
    return Joint(group, alternative, share)


def _patches(
    alone: NDArray[np.float64], is_open: NDArray[np.bool_], partner: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of the patches (y, x), −1 of what is too small, and of the orientations in them.

    Neighbours belong together where two or more open solutions of the one are open in the other,
    and hold most of the probability in both.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = is_open.shape[2]
    pixel = np.arange(is_open[..., 0].size).reshape(is_open.shape[:2])
    number = np.arange(is_open.size).reshape(is_open.shape)
    bits = (is_open << np.arange(n)).sum(axis=-1)
    pairs, links = [], []
    for own, neighbour, side in _NEIGHBOURS:
        mates = np.where(is_open[own], partner[own][:, :, side] & bits[neighbour][..., None], 0)
        common = mates != 0
        theirs = np.bitwise_or.reduce(mates, axis=-1)[..., None] >> np.arange(n) & 1
        most = np.minimum(
            np.where(common, alone[own], 0.0).sum(axis=-1),
            np.where(theirs, alone[neighbour], 0.0).sum(axis=-1),
        )
        together = (common.sum(axis=-1) >= 2) & (most > _MAINLY)
        pairs.append(np.stack([pixel[own][together], pixel[neighbour][together]]))
        for m in range(n):
            both = (mates >> m & 1).astype(bool) & together[..., None]
            other = np.broadcast_to(number[neighbour][..., m : m + 1], both.shape)
            links.append(np.stack([number[own][both], other[both]]))

    def components(edges: list[NDArray[np.int64]], size: int) -> NDArray[np.int64]:
        rows, columns = np.concatenate(edges, axis=1)
        graph = coo_array((np.ones(rows.size, dtype=np.int8), (rows, columns)), shape=(size, size))
        return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)

    patch = components(pairs, pixel.size)
    patch[np.bincount(patch)[patch] < _LEAST] = -1
    return patch.reshape(pixel.shape), components(links, number.size).reshape(number.shape)


def _votes(
    alone: NDArray[np.float64],
    partner: NDArray[np.int32],
    patch: NDArray[np.int64],
    node: NDArray[np.int64],
) -> dict[int, NDArray[np.int64]]:
    """By patch: the orientations in it that sure pixels at its edge have, once per pixel."""
    best = alone.argmax(axis=-1)
    sure = alone.max(axis=-1) >= SURE
    pixel = np.arange(patch.size).reshape(patch.shape)
    said = []
    for own, neighbour, side in _NEIGHBOURS:
        for a, b, towards in ((own, neighbour, side), (neighbour, own, side - 2)):
            mates = partner[a][:, :, towards] >> best[b][..., None] & 1
            edge = (patch[a] >= 0) & (patch[a] != patch[b]) & sure[b] & mates.any(axis=-1)
            which = np.take_along_axis(node[a], mates.argmax(axis=-1)[..., None], -1)[..., 0]
            said.append(np.stack([patch[a][edge], pixel[b][edge], which[edge]]))
    rows = np.unique(np.concatenate(said, axis=1), axis=1)
    starts = np.flatnonzero(np.diff(rows[0], prepend=-1))
    parts = np.split(rows, starts[1:], axis=1) if rows.size else []
    return {int(part[0, 0]): part[2] for part in parts}


def _likelihoods(
    nodes: NDArray[np.int64],
    logs: NDArray[np.float64],
    numbers: NDArray[np.int64],
    cut: NDArray[np.bool_],
    votes: NDArray[np.int64] | None,
) -> NDArray[np.float64]:
    """Relative ln likelihoods of the orientations (columns) in pixels and votes (rows).

    NaN where a list is cut before the orientation may have come.
    """
    each = nodes[:, :, None] == numbers
    value = np.where(each, logs[:, :, None], -np.inf).max(axis=1)
    highest = value.max(axis=1, keepdims=True)
    unknown = cut[:, None] & ~np.isfinite(value)
    value = np.maximum(value - np.where(np.isfinite(highest), highest, 0.0), -_MOST)
    value = np.where(unknown, np.nan, value)[np.isfinite(highest[:, 0])]
    if votes is None:
        return np.asarray(value)
    heard = votes[np.isin(votes, numbers)]
    return np.asarray(np.concatenate([value, np.where(heard[:, None] == numbers, 0.0, -_MOST)]))


def _shares(value: NDArray[np.float64], pixels: int) -> NDArray[np.float64]:
    """Probabilities of the orientations, from the ln likelihoods (patterns, orientations)."""
    known = np.isfinite(value)
    number = np.maximum(known.sum(axis=0), 1)
    leader = int((np.where(known, value, 0.0).sum(axis=0) / number).argmax())
    odds = np.zeros(value.shape[1])
    for k in range(odds.size):
        both = known[:, k] & known[:, leader]
        odds[k] = _log_odds(value[both, k] - value[both, leader], pixels)
    chance = np.exp(odds - odds.max())
    return np.asarray(chance / chance.sum())


def _log_odds(difference: NDArray[np.float64], pixels: int) -> float:
    """Logarithm of the odds of one orientation against another over a grain."""
    clear = np.abs(difference) >= CLEAR
    telling = int(clear.sum())
    heard = max(1.0 - _STRAY * (pixels - 1) / telling, 0.0) if telling else 0.0
    return _evidence(difference[~clear]) + heard * _evidence(difference[clear])


def _evidence(difference: NDArray[np.float64]) -> float:
    if difference.size == 0:
        return 0.0
    mean = float(difference.mean())
    scatter = float(difference.var(ddof=1)) if difference.size > 1 else 0.0
    expected = 2.0 * abs(mean)
    common = max(expected - scatter, min(expected, _COMMON**2))
    return expected * mean / max(common + scatter / difference.size, 1e-300)
