"""Context: probabilities of the solutions of a pixel, given those of its neighbours.

Pixels of a grain share an orientation, and where a pattern leaves several open the patterns around
may tell. Three questions are taken one after the other:

1. Where patterns of two grains overlap, which of them is the stronger
   (:mod:`phaseloom.orientation.certainty.shared_patterns`).
2. Where the same orientations are open in a whole patch of pixels, as half a turn round a zone axis
   leaves them, what do all of its patterns say together
   (:mod:`phaseloom.orientation.certainty.joint_evidence`). From here on they are one label.
3. Every pixel chooses among its own labels, or has none of them (its list lacks the truth);
   neighbours with one label favour each other, as much as the map itself shows that neighbours
   agree (:mod:`phaseloom.orientation.certainty.beliefs`). A pixel that contradicts its neighbours
   for no good reason becomes less probable.

So neighbours decide what they are sure of. What is open all over a grain stays open.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.errors import InputError
from phaseloom.orientation.certainty.joint_evidence import Joint, joint_evidence
from phaseloom.orientation.certainty.labels import labelled, split
from phaseloom.orientation.certainty.shared_patterns import explained_part, stronger

if TYPE_CHECKING:
    from phaseloom.orientation.matching.library import Library
    from phaseloom.orientation.refinement.solutions import Solutions

_FLOOR = 1e-6
"""Likelihood, by the best solution's, of one that the neighbours support: models err. A layer of
two pixels that its patterns are sure of must not cost more than its boundary."""

_LONELY = 0.005
"""Chance of a pixel to be a grain of its own, amid neighbours that agree."""

_LACKING = 0.005
"""Chance that the list lacks the truth."""

_INDEPENDENT = 100.0
"""Pixels of a grain that count, at most."""

_OPEN = 0.02
"""Solutions of less probability do not tell how large a grain is."""

_SWEEPS, _SETTLED = 50, 2e-3

_ROUNDS = 100
"""Of the estimation of how often neighbours agree."""

_NEIGHBOURS = ((np.s_[:, :-1], np.s_[:, 1:], 2), (np.s_[:-1], np.s_[1:], 3))
"""Pixels, their neighbours, and the side on which these are: right and below."""

_MOST = 31
"""Solutions of a pixel: bits of a number."""


class Context(NamedTuple):
    """Solutions of the pixels, seen with their neighbours.

    Parameters
    ----------
    probability
        (y, x, n): of each solution, NaN where there is none. What lacks to one is the
        chance that the pixel's list lacks its orientation.
    chosen
        (y, x) int16: the most probable solution, −1 where there is none.
    agreement
        Estimated part of the neighbours that are one crystal.
    joint
        Patches of pixels in which the same orientations are open, and how likely each is.
    """

    probability: NDArray[np.float64]
    chosen: NDArray[np.int16]
    agreement: float
    joint: Joint


def with_context(
    rotation: ArrayLike,
    crystal: ArrayLike,
    log_likelihood: ArrayLike,
    symmetries: Sequence[ArrayLike],
    *,
    explained: ArrayLike | None = None,
    lacking: ArrayLike = 0.0,
    tolerance: float = 3.0,
) -> Context:
    """Probabilities of every pixel's solutions, given those of its neighbours.

    Parameters
    ----------
    rotation
        (y, x, n, 4) unit quaternions: distinct solutions of every pixel.
    crystal
        (y, x, n) numbers of their crystals, −1 where there are fewer.
    log_likelihood
        (y, x, n); softmax over them is what a pixel says alone.
    symmetries
        By the number of the crystal: proper rotations of its Laue class, (m, 3, 3) or (m, 4).
    explained
        (y, x, n): part of the intensity that each explains. Where two crystals overlap, the map is
        to hold the stronger; without it that is not looked at.
    lacking
        (y, x): chance that the pixel's list lacks its orientation, before neighbours are seen.
    tolerance
        Degrees: solutions of neighbours that are nearer are one orientation. Gradual changes
        across a grain do no harm.

    Returns
    -------
    Context
        Where neighbours do not agree more often than by chance, what the pixels say alone.

    Raises
    ------
    InputError
        The arrays are not of one map, a crystal has no symmetry, or a solution is not finite.

    Notes
    -----
    Two neighbours are one crystal with probability s, and then nearer than the tolerance; else
    their orientations are random, and nearer than that by chance 1/κ. The likelihood of pairs of
    neighbours gives s by expectation maximisation. An edge between equal orientations counts
    exp J, J = min(½ ln(1 + κ s/(1 − s)), ¼ ln(κ/ω)): what a pair alone would say, but never so
    much that a pixel amid four that agree were less often a grain of its own than ω = 0.5 %.
    """
    from phaseloom.orientation.certainty.beliefs import propagate

    rotations, crystals, alone = _checked(rotation, crystal, log_likelihood, len(symmetries))
    partner, turns = _partners(rotations, crystals, symmetries, tolerance)
    angle = math.radians(tolerance)
    # Part of all orientations, of all crystals, that are that near to one.
    chance = np.diff(turns.offset) * (angle - math.sin(angle)) / math.pi
    odds = (len(chance) / chance)[crystals]
    agreement = _agreement(alone, odds, partner)
    kappa = math.exp(float(np.average(np.log(odds), weights=alone + 1e-12)))
    coupling = min(
        0.5 * math.log1p(kappa * agreement / (1 - agreement)), 0.25 * math.log(kappa / _LONELY)
    )

    exists = crystals >= 0
    if explained is not None:
        alone = stronger(alone, np.asarray(explained, dtype=np.float64), partner)
    joint = joint_evidence(alone, partner)
    labels = labelled(joint, alone, exists, partner)
    floored = np.where(labels.exists, np.maximum(labels.probability, _FLOOR), 0.0)
    counted = _INDEPENDENT / (_INDEPENDENT - 1 + _grain_sizes(labels.probability, labels.partner))
    known = np.broadcast_to(np.asarray(lacking, dtype=np.float64), crystals.shape[:2])
    absent = np.clip(known, 0.0, 1.0 - _LACKING)
    absent = absent / (1.0 - absent)
    # Of what the list lacks, the orientation of a neighbour is one of κ.
    lack = np.maximum(absent, _LACKING) / kappa
    prior = np.empty((*crystals.shape[:2], crystals.shape[2] + 1), dtype=np.float32)
    prior[..., -1] = lack
    prior[..., :-1] = np.where(labels.exists, floored ** counted[..., None], 0.0)
    prior /= prior.sum(axis=-1, keepdims=True)
    message = np.ones((*crystals.shape[:2], 4, crystals.shape[2] + 1), dtype=np.float32)
    belief = propagate(prior, labels.partner, coupling, _SWEEPS, _SETTLED, message)
    probability = _conclusion(labels.probability, labels.exists, belief, message, lack, absent)
    probability = np.take_along_axis(probability, labels.number, axis=-1) * split(joint, alone)
    best = np.where(exists, probability, -1.0).argmax(axis=-1)
    return Context(
        np.where(exists, probability, np.nan),
        np.where(exists.any(axis=-1), best, -1).astype(np.int16),
        agreement,
        joint,
    )


class _Turns(NamedTuple):
    """Symmetry operations of all crystals (n, 4), and where each crystal's begin."""

    all: NDArray[np.float64]
    offset: NDArray[np.int64]


def _partners(
    rotation: NDArray[np.float64],
    crystal: NDArray[np.int64],
    symmetries: Sequence[ArrayLike],
    tolerance: float,
) -> tuple[NDArray[np.int32], _Turns]:
    """Which of the neighbours' solutions are those of a pixel's own, as bits (y, x, 4, n)."""
    from phaseloom.maps.misorientation import as_quaternions
    from phaseloom.orientation.certainty.beliefs import find_partners

    if not 0 < tolerance < 15:
        raise InputError(f"a tolerance of {tolerance:g}° cannot be", "give some 2° to 5°")
    operations = [as_quaternions(symmetry) for symmetry in symmetries]
    offset = np.concatenate([[0], np.cumsum([len(turns) for turns in operations])])
    turns = _Turns(np.concatenate(operations), offset.astype(np.int64))
    partner = np.zeros((*crystal.shape[:2], 4, crystal.shape[2]), dtype=np.int32)
    find_partners(
        rotation, crystal, turns.offset, turns.all, math.cos(math.radians(tolerance) / 2), partner
    )
    return partner, turns


def settled(
    solutions: Solutions,
    probability: NDArray[np.float64],
    nothing: NDArray[np.float64],
    library: Library,
    shape: tuple[int, int],
    lacking: NDArray[np.float64],
    unexplained: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], Joint]:
    """Context for the chain: probabilities of the solutions of every pattern of a scan.

    Parameters
    ----------
    solutions
        Of every pattern.
    probability, nothing
        What the patterns say alone, (patterns, n) and (patterns,), from
        :func:`phaseloom.orientation.certainty.reliability.posterior`. Patterns that most likely
        show no crystal neither speak nor listen.
    library
        The crystals.
    shape
        Of the scan.
    lacking
        (patterns,): chance that a list lacks the orientation.
    unexplained
        (patterns,): ln likelihood of the peaks if no crystal explains them.

    Returns
    -------
    probability
        (patterns, n): with ``nothing`` they sum to less than 1 by the chance that the list lacks
        the orientation.
    nothing
        As given.
    order
        (patterns, n): numbers of the solutions, the most probable first.
    joint
        Patches in which the same orientations are open.
    """
    shows = (solutions.crystal >= 0) & (nothing < 0.5)[:, None]
    maps = [a.reshape(*shape, *a.shape[1:]) for a in (solutions.rotation, shows, probability)]
    crystal = np.where(shows, solutions.crystal, -1).reshape(maps[1].shape)
    symmetries = [each.laue_rotations for each in library.crystals]
    # What exceeds the range of floats has no chance.
    logarithm = np.log(np.maximum(maps[2], 1e-300))
    explained = explained_part(solutions, shows, unexplained).reshape(crystal.shape)
    context = with_context(
        maps[0], crystal, logarithm, symmetries, explained=explained, lacking=lacking.reshape(shape)
    )
    weighed = context.probability.reshape(probability.shape) * (1.0 - nothing)[:, None]
    changed = np.where(shows, weighed, probability)
    exists = solutions.crystal >= 0
    order = np.argsort(-np.where(exists, changed, -1.0), axis=1, kind="stable")
    return np.where(exists, changed, 0.0), nothing, order, context.joint


def _checked(
    rotation: ArrayLike, crystal: ArrayLike, log_likelihood: ArrayLike, n_symmetries: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Rotations, crystals and the probabilities of the pixels alone (0: no solution)."""
    rotations = np.ascontiguousarray(rotation, dtype=np.float64)
    crystals = np.ascontiguousarray(crystal, dtype=np.int64)
    likelihoods = np.asarray(log_likelihood, dtype=np.float64)
    if (
        crystals.ndim != 3
        or rotations.shape != (*crystals.shape, 4)
        or likelihoods.shape != crystals.shape
        or 0 in crystals.shape
    ):
        raise InputError(
            f"solutions {rotations.shape}, crystals {crystals.shape} and likelihoods "
            f"{likelihoods.shape} are not of one map",
            "give (y, x, n, 4), (y, x, n) and (y, x, n)",
        )
    if crystals.shape[2] > _MOST:
        raise InputError(f"{crystals.shape[2]} solutions are too many", f"give {_MOST} at most")
    if crystals.max() >= n_symmetries:
        raise InputError(
            f"crystal {int(crystals.max())} has no symmetry", "give the rotations of all crystals"
        )
    exists = crystals >= 0
    if not (np.isfinite(likelihoods[exists]).all() and np.isfinite(rotations[exists]).all()):
        raise InputError("a solution is not finite", "set its crystal to −1")
    values = np.where(exists, likelihoods, -np.inf)
    highest = values.max(axis=-1, keepdims=True)
    weight = np.exp(values - np.where(np.isfinite(highest), highest, 0.0))
    return rotations, crystals, weight / np.maximum(weight.sum(axis=-1, keepdims=True), 1e-300)


def _agreement(
    alone: NDArray[np.float64], odds: NDArray[np.float64], partner: NDArray[np.int32]
) -> float:
    """Part of the pairs of neighbours that are one crystal."""
    weighted = alone * odds
    ratios = []
    for own, neighbour, side in _NEIGHBOURS:
        ratio = np.zeros(alone[own].shape[:2])
        for m, mates in _mates(partner[own][:, :, side]):
            ratio += (weighted[own] * mates).sum(axis=-1) * alone[neighbour][..., m]
        ratios.append(ratio.ravel())
    ratio = np.concatenate(ratios)
    share = 0.5
    for _ in range(_ROUNDS):
        same = share * ratio
        # One more pair that is not: a share of one would be for ever.
        new = float((same / (same + 1 - share)).sum() / (ratio.size + 1))
        if abs(new - share) < 1e-5:
            break
        share = new
    return share


def _grain_sizes(alone: NDArray[np.float64], partner: NDArray[np.int32]) -> NDArray[np.float64]:
    """Pixels of the largest patch of one orientation that a pixel may belong to (y, x)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    number = np.arange(alone.size).reshape(alone.shape)
    likely = alone >= _OPEN
    pairs = []
    for own, neighbour, side in _NEIGHBOURS:
        for m, mates in _mates(partner[own][:, :, side]):
            both = mates & likely[own] & likely[neighbour][..., m : m + 1]
            other = np.broadcast_to(number[neighbour][..., m : m + 1], both.shape)
            pairs.append(np.stack([number[own][both], other[both]]))
    rows, columns = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(rows.size, dtype=np.int8), (rows, columns)), shape=(alone.size,) * 2)
    _, component = connected_components(graph, directed=False)
    size = np.bincount(component)[component].reshape(alone.shape)
    return np.asarray(np.where(likely, size, 1).max(axis=-1), dtype=np.float64)


def _mates(bits: NDArray[np.int32]) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """For every solution of a neighbour, which of a pixel's own are the same orientation."""
    for m in range(bits.shape[-1]):
        yield m, (bits >> m & 1).astype(bool)


def _conclusion(
    alone: NDArray[np.float64],
    exists: NDArray[np.bool_],
    belief: NDArray[np.float32],
    message: NDArray[np.float32],
    lacking: NDArray[np.float64],
    unknown: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Probabilities of the solutions, (y, x, n).

    Between orientations that the neighbourhood shares the tempered beliefs decide, between these
    and the pixel's own ones all that the pixel says. What the list lacks may be a neighbour's
    orientation (lacking) or nobody's (unknown).
    """
    # Of each message, what it says of orientations that the neighbour does not have.
    listed = np.concatenate([exists, np.ones_like(exists[..., :1])], axis=-1)[:, :, None]
    least = np.where(listed, message, np.float32(np.inf)).min(axis=-1)
    support = (message / least[..., None]).prod(axis=2, dtype=np.float64)
    absent = lacking[..., None] * support[..., -1:]
    support = support[..., :-1]
    shared = np.where(exists, 1.0 - 1.0 / support, 0.0)
    weight = np.where(exists, alone * np.minimum(support, 1.0 / _LONELY), 0.0)
    together = (shared * weight).sum(axis=-1, keepdims=True)
    split = shared * belief[..., :-1]
    total = split.sum(axis=-1, keepdims=True)
    weight = (1.0 - shared) * weight + together * split / np.where(total > 0, total, 1.0)
    norm = weight.sum(axis=-1, keepdims=True) + absent + unknown[..., None]
    return np.asarray(weight / norm)
