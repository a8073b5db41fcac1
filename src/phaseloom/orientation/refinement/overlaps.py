"""Overlaps: a second crystal in patterns in which two lie over each other."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfc

from phaseloom.orientation.matching.library import Library
from phaseloom.orientation.matching.matching import match
from phaseloom.orientation.matching.patterns import Patterns
from phaseloom.orientation.refinement.likelihood import Physics
from phaseloom.orientation.refinement.solutions import Solutions
from phaseloom.orientation.refinement.solving import solve

_LEAST_UNPAIRED = 3
"""Peaks that the first crystal must leave, for an orientation needs so many."""

_TRIED = 4
"""Solutions of what one crystal leaves, and as many of the whole pattern, that are tried."""

_RIVALS = 6
"""Solutions of the whole pattern that are tried in the place of the first crystal."""

_ROUNDS = 4
"""Crystals of a pattern that are held, one after the other, while partners are sought."""

_DECIDED = 30.0
"""A partner of the first solution so much likelier (in ln) than any other is final."""

_SURE_LEFT = 0.25
"""Variance of ln intensity: peaks whose rest is surer are matched."""

_FINER = 12.0
"""ln of how many orientations are told apart by refinement where templates tell one: by about
0.04° instead of 2° in three angles. A second crystal can be found among so many more by chance."""


class SecondCrystals(NamedTuple):
    """Second crystals of patterns, and the solutions as they are with them.

    Parameters
    ----------
    solutions
        As before, but where ``turned`` the stronger of the two crystals is the first of the list.
    crystal, rotation
        (patterns,) −1 where a single crystal is likelier; (patterns, 4) NaN there.
    weight
        (patterns,) part of the second crystal in the intensity of the paired peaks.
    probability
        (patterns, 4): of a single crystal; that the first, and that the second, is one of two
        crystals; that both are.
    stronger
        (patterns,) probability that of the two the second is the stronger one.
    turned
        (patterns,) whether the first of the list is another than without a second crystal.
    """

    solutions: Solutions
    crystal: NDArray[np.int16]
    rotation: NDArray[np.float64]
    weight: NDArray[np.float64]
    probability: NDArray[np.float64]
    stronger: NDArray[np.float64]
    turned: NDArray[np.bool_]

    @classmethod
    def none(cls, solutions: Solutions) -> SecondCrystals:
        """No second crystal anywhere."""
        n = len(solutions.crystal)
        return cls(
            Solutions(solutions.rotation.copy(), solutions.crystal.copy(), solutions.facts.copy()),
            np.full(n, -1, dtype=np.int16),
            np.full((n, 4), np.nan),
            np.zeros(n),
            np.tile([1.0, 0.0, 0.0, 0.0], (n, 1)),
            np.zeros(n),
            np.zeros(n, dtype=bool),
        )

    def variables(self) -> dict[str, tuple[tuple[str, ...], NDArray[Any]]]:
        """Dimensions and arrays of all but the solutions, named ``overlap_…``."""
        axes = {"rotation": ("pattern", "quaternion"), "probability": ("pattern", "hypothesis")}
        return {
            f"overlap_{name}": (axes.get(name, ("pattern",)), getattr(self, name))
            for name in self._fields
            if name != "solutions"
        }


class _Pairs(NamedTuple):
    """Pairs of crystals tried for every pattern.

    ``rotation`` (patterns, n, 2, 4); ``crystal`` (patterns, n, 2), −1 where there are fewer; on
    (patterns, n) the ln likelihood ``value`` (−inf where there are fewer) and ``weight`` of
    the second.
    """

    rotation: NDArray[np.float64]
    crystal: NDArray[np.int64]
    value: NDArray[np.float64]
    weight: NDArray[np.float64]

    @classmethod
    def none(cls, *shape: int) -> _Pairs:
        """Room for so many patterns and pairs."""
        return cls(
            np.full((*shape, 2, 4), np.nan),
            np.full((*shape, 2), -1, dtype=np.int64),
            np.full(shape, -np.inf),
            np.full(shape, np.nan),
        )

    def joined(self, others: _Pairs) -> _Pairs:
        """These pairs and others of the same patterns."""
        return _Pairs(
            np.concatenate([self.rotation, others.rotation], axis=1),
            np.concatenate([self.crystal, others.crystal], axis=1),
            np.concatenate([self.value, others.value], axis=1),
            np.concatenate([self.weight, others.weight], axis=1),
        )


def second_crystals(
    patterns: Patterns, solutions: Solutions, library: Library, physics: Physics
) -> SecondCrystals:
    """Look for a second crystal in every pattern whose first leaves three peaks or more.

    What one crystal leaves is matched and solved like a pattern; the solutions, and those of the
    whole pattern, are refined together with it, each on what the other leaves. Unless
    one partner is by far the likeliest, the pair is then turned round: partners are sought for its
    second, and so on while the pair changes. The likelihood of all peaks under both (intensities
    add) decides.

    That there is no second crystal competes as if it were as likely as all orientations
    together. As refinement tells more of them apart than the templates, they are counted finer.

    Parameters
    ----------
    patterns
        Peaks.
    solutions
        Of every pattern, likeliest first.
    library, physics
        What they were found with.

    Returns
    -------
    SecondCrystals
        Where the second is likely the stronger one, it has become the first.
    """
    from phaseloom.orientation.refinement.overlap_search import weigh_pairs

    found = SecondCrystals.none(solutions)
    unpaired = np.diff(patterns.offset) - np.nan_to_num(solutions.fact("matched")[:, 0])
    candidates = np.flatnonzero((solutions.crystal[:, 0] >= 0) & (unpaired >= _LEAST_UNPAIRED))
    if not candidates.size:
        return found
    first = solutions.take(candidates)
    pairs = _pairs(patterns.take(candidates), first, library, physics)
    orientations = 2.0 * library.n_zones * library.n_angles
    alone = first.fact("log_likelihood")[:, 0] + np.log(orientations) + _FINER
    best = np.empty(candidates.size, dtype=np.int64)
    probability = np.empty((candidates.size, 4))
    weigh_pairs(
        *pairs, first.rotation[:, 0], first.crystal[:, 0], alone, library.lattices, best,
        probability,
    )  # fmt: skip
    row = np.flatnonzero(best >= 0)
    at = row, best[row]
    chosen = candidates[row]
    found.crystal[chosen], found.rotation[chosen] = pairs.crystal[*at, 1], pairs.rotation[*at, 1]
    found.weight[chosen], found.probability[chosen] = pairs.weight[at], probability[row]
    matched = np.maximum(np.nan_to_num(solutions.fact("matched")[chosen, 0]), 1.0)
    unmatched = np.maximum(np.diff(patterns.offset)[chosen] - matched, 1.0)
    # The ln of the ratio of both is as well known as the means of so many ln intensities.
    error = physics.spread * np.sqrt(1.0 / matched + 1.0 / unmatched)
    share = np.clip(found.weight[chosen], 1e-6, 1.0 - 1e-6)
    found.stronger[chosen] = 0.5 * erfc(-np.log(share / (1.0 - share)) / error / np.sqrt(2.0))
    _put_first(found, chosen, pairs.rotation[*at, 0], pairs.crystal[*at, 0], patterns, library,
               physics)  # fmt: skip
    of_single, of_first, of_second, _ = found.probability[chosen].T
    of_single = np.where(found.turned[chosen], 0.0, of_single)
    stronger = found.stronger[chosen]
    _turn(found, chosen[of_second * stronger > of_single + of_first * (1.0 - stronger)], patterns,
          library, physics)  # fmt: skip
    return found


def _put_first(
    found: SecondCrystals,
    rows: NDArray[np.intp],
    rotation: NDArray[np.float64],
    crystal: NDArray[np.int64],
    patterns: Patterns,
    library: Library,
    physics: Physics,
) -> None:
    """Make orientations the first of their patterns' lists, where they are not already."""
    from phaseloom.orientation.refinement.overlap_search import among_solutions
    from phaseloom.orientation.refinement.search import describe_solutions

    place = np.empty(rows.size, dtype=np.int64)
    old = found.solutions.take(rows)
    among_solutions(rotation, crystal, old.rotation, old.crystal, library.lattices, place)
    moving = np.flatnonzero(place > 0)
    rows, rotation, crystal, place = rows[moving], rotation[moving], crystal[moving], place[moving]
    if rows.size == 0:
        return
    old = found.solutions.take(rows)
    facts = np.full((rows.size, old.facts.shape[2]), np.nan)
    describe_solutions(*patterns.take(rows), rotation, crystal, library.lattices, physics, facts)
    # Where the list has it already it moves up from there, else the last one goes.
    numbers = np.arange(old.crystal.shape[1])
    order = np.where(numbers <= place[:, None], numbers - 1, numbers)
    moved = old.ordered(np.maximum(order, 0))
    moved.rotation[:, 0], moved.crystal[:, 0], moved.facts[:, 0] = rotation, crystal, facts
    for now, before in zip(found.solutions, moved, strict=True):
        now[rows] = before
    found.turned[rows] = True


def _turn(
    found: SecondCrystals,
    rows: NDArray[np.intp],
    patterns: Patterns,
    library: Library,
    physics: Physics,
) -> None:
    """The second crystals of some patterns become the first, and these the second."""
    first = found.solutions.rotation[rows, 0].copy(), found.solutions.crystal[rows, 0].copy()
    rotation, crystal = found.rotation[rows].copy(), found.crystal[rows].astype(np.int64)
    _put_first(found, rows, rotation, crystal, patterns, library, physics)
    found.rotation[rows], found.crystal[rows] = first
    found.weight[rows], found.stronger[rows] = 1.0 - found.weight[rows], 1.0 - found.stronger[rows]
    found.probability[rows, 1:3] = found.probability[rows, 2:0:-1]
    found.turned[rows] = True


def _pairs(patterns: Patterns, solutions: Solutions, library: Library, physics: Physics) -> _Pairs:
    """Pairs with the first solution, with its likeliest partner, and with what either became."""
    from phaseloom.orientation.refinement.overlap_search import not_held

    n = len(patterns)
    every = np.arange(n)
    held = np.full((n, _ROUNDS, 4), np.nan)
    held_crystal = np.full((n, _ROUNDS), -1, dtype=np.int64)
    rotation, crystal = solutions.rotation[:, 0].copy(), solutions.crystal[:, 0].copy()
    pairs = _Pairs.none(n, 0)
    for turn in range(_ROUNDS):
        present = np.flatnonzero(crystal >= 0)
        held[present, turn], held_crystal[present, turn] = rotation[present], crystal[present]
        some = solutions.take(present)
        more = _Pairs.none(n, 2 * _TRIED)
        tried = _partners(
            patterns.take(present), rotation[present], crystal[present], some, library, physics
        )
        for whole, part in zip(more, tried, strict=True):
            whole[present] = part
        pairs = pairs.joined(more)
        if turn == 0:
            second_best, likeliest = np.partition(pairs.value, -2, axis=1)[:, -2:].T
            undecided = ~(likeliest > second_best + _DECIDED)
        best = every, pairs.value.argmax(axis=1)
        value = np.where(undecided, pairs.value[best], -np.inf)
        crystal[:] = -1
        not_held(
            pairs.rotation[best], pairs.crystal[best], value, held, held_crystal,
            library.lattices, rotation, crystal,
        )  # fmt: skip
    # The rivals of either beside the other as it is now: it may have come nearer to the truth.
    row = every[:, None]
    for member in (0, 1):
        top = np.argsort(-pairs.value, axis=1)[:, :_TRIED]
        one = pairs.rotation[every, top[:, 0], member], pairs.crystal[every, top[:, 0], member]
        tried_crystal = np.where(undecided[:, None, None], pairs.crystal[row, top], -1)
        rivals = pairs.rotation[row, top].reshape(n, -1, 4), tried_crystal.reshape(n, -1)
        pairs = pairs.joined(_fitted(patterns, *one, *rivals, library, physics))
    # Half turns of the first, and whatever else explains its peaks, beside the second.
    best = every, pairs.value.argmax(axis=1)
    second = pairs.rotation[*best, 1], pairs.crystal[*best, 1]
    rivals = solutions.rotation[:, :_RIVALS], solutions.crystal[:, :_RIVALS]
    return pairs.joined(_fitted(patterns, *second, *rivals, library, physics))


def _partners(
    patterns: Patterns,
    rotation: NDArray[np.float64],
    crystal: NDArray[np.int64],
    of_whole: Solutions,
    library: Library,
    physics: Physics,
) -> _Pairs:
    """Pairs of one crystal with what explains its leftovers, and with the other solutions."""
    from phaseloom.orientation.refinement.overlap_search import leftovers

    ky, kx, intensity, place, loose = (np.empty(patterns.ky.size) for _ in range(5))
    leftovers(
        *patterns, rotation, crystal, library.lattices, physics, ky, kx, intensity, place, loose
    )
    rest = Patterns(patterns.offset, ky, kx, intensity, place, loose, patterns.limit)
    starts = match(_only(rest, rest.loose < _SURE_LEFT), library)
    of_rest = solve(rest, starts, library, physics, solutions=_TRIED)
    second = np.full((len(patterns), 2 * _TRIED, 4), np.nan)
    second_crystal = np.full((len(patterns), 2 * _TRIED), -1, dtype=np.int64)
    for first, solutions in ((0, of_rest), (_TRIED, of_whole)):
        last = first + min(solutions.crystal.shape[1], _TRIED)
        second[:, first:last] = solutions.rotation[:, : last - first]
        second_crystal[:, first:last] = solutions.crystal[:, : last - first]
    return _fitted(patterns, rotation, crystal, second, second_crystal, library, physics)


def _fitted(
    patterns: Patterns,
    first: NDArray[np.float64],
    first_crystal: NDArray[np.int64],
    second: NDArray[np.float64],
    second_crystal: NDArray[np.int64],
    library: Library,
    physics: Physics,
) -> _Pairs:
    """One crystal with each of several, refined."""
    from phaseloom.orientation.refinement.overlap_search import fit_pairs

    pairs = _Pairs.none(*second_crystal.shape)
    pairs.crystal[..., 0], pairs.crystal[..., 1] = first_crystal[:, None], second_crystal
    fit_pairs(
        *patterns, first, first_crystal, second, second_crystal, library.lattices, physics,
        pairs.rotation, pairs.value, pairs.weight,
    )  # fmt: skip
    return pairs


def _only(patterns: Patterns, kept: NDArray[np.bool_]) -> Patterns:
    """The patterns with some of their peaks."""
    number = np.concatenate([[0], np.cumsum(kept)])
    return patterns.of(kept, number[patterns.offset], patterns.limit)
