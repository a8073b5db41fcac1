"""Neighbouring scan positions with the same pattern, by the statistics of counting; their sums.

Patterns are compared in cells of the size of a spot, outside of the direct beam. With a the counts
of a neighbour in a cell, A in all, and p, P those of the patterns that belong together so far (at
first the position's own), a neighbour is alike when both of these sums over the cells are what
counting leaves of nothing, and a quarter of the structure:

- what the neighbour lacks: A S − Σ a (p / P − b), with b the background of rings, and S the
  structure Σ (p / P) (p / P − b), which the counts tell without bias. It is 0 where the neighbour
  is a draw of the same expectation and A S where it has nothing in common.
- the whole difference, (A / P) Σ p² + (P / A) Σ a² − 2 Σ a p − A − P, which is 0 or the structure
  of both. It also sees what the neighbour has besides, but is known less well.

Then all is compared with the sum of the most alike ones, the neighbour left out, and again. This
is what tells boundaries at doses at which two single patterns do not (pooling as in adaptive
weights smoothing: Polzehl & Spokoiny, Probab. Theory Relat. Fields 135, 335 (2006); here with no
more than one window, so that nothing creeps on). Where the counts in the end would not tell a
stranger with certainty, nothing is added.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import sqrt
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

_ERRORS = 1.0
"""Standard errors by which alike patterns may differ: most of the same expectation do not."""

_UNLIKE = 0.25
"""Part of their structure that alike patterns may not share."""

_CERTAIN = 2.5
"""Standard errors by which the last round must exclude that a neighbour has nothing in common."""

_OWN = 3.5
"""The same for a position's own pattern against what was found for it, which was chosen by it."""

_ROUNDS = 4
"""Comparisons, each with what was alike in the one before."""

_FIRST = 3
"""Most alike ones of the first round; three times as many in each further one, all in the last.

Of all that pass at few counts in the first, as many may be strangers as there are of the grain, and
of a mixture both are a part.
"""

Floats = NDArray[np.float64]
Images = NDArray[np.float32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Likeness:
    """How patterns of neighbouring positions are compared.

    Parameters
    ----------
    radius
        Scan positions up to which neighbours are added, along rows and columns.
    cell
        Side of the cells, in px.
    used
        (ky, kx), True where a pixel is usable and outside of the direct beam.
    background
        (cells,), what a pattern without structure has in each cell, as part of its counts.
    gain, floor
        Variance of a pixel is ``gain · counts + floor``.
    """

    radius: int
    cell: int
    used: Flags
    background: Floats
    gain: float = 1.0
    floor: float = 0.0

    @property
    def steps(self) -> NDArray[np.int64]:
        """(neighbours, 2), steps (y, x) to all neighbours."""
        reach = range(-self.radius, self.radius + 1)
        return np.array([step for step in product(reach, reach) if step != (0, 0)])


def cells(patterns: Images, cell: int, used: Flags) -> Images:
    """Counts of patterns (…, ky, kx) in square cells (…, cells); what is not used is left out."""
    rows, columns = (size // cell for size in used.shape)
    inside = patterns[..., : rows * cell, : columns * cell]
    counts = np.where(used[: rows * cell, : columns * cell] & np.isfinite(inside), inside, 0)
    tiles = counts.reshape(*patterns.shape[:-2], rows, cell, columns, cell)
    binned: Images = tiles.sum(axis=-1, dtype=np.float32).sum(axis=-2, dtype=np.float32)
    return binned.reshape(*patterns.shape[:-2], rows * columns)


def flat_background(
    mean: Floats, cell: int, used: Flags, centre: tuple[float, float]
) -> NDArray[np.float64]:
    """Part of the counts that each cell has in a pattern which depends on the radius alone.

    Parameters
    ----------
    mean
        (cells,), mean counts of many patterns.
    cell, used
        As in :class:`Likeness`.
    centre
        The direct beam, row and column in px.
    """
    y, x = np.indices(tuple(size // cell for size in used.shape))
    middle = (cell - 1) / 2
    ring = np.hypot(y * cell + middle - centre[0], x * cell + middle - centre[1]) // cell
    number = ring.astype(np.intp).ravel()
    usable = cells(used.astype(np.float32), cell, used).astype(np.float64)
    pixels = np.bincount(number, usable)
    expected = usable * (np.bincount(number, mean) / np.maximum(pixels, 1))[number]
    return np.asarray(expected / max(float(expected.sum()), 1e-30))


def alike(counts: Images, likeness: Likeness, inner: tuple[slice, slice]) -> Flags:
    """Which neighbours of each position have the same pattern.

    Parameters
    ----------
    counts
        (y, x, cells), from :func:`cells`, with the neighbours about the positions asked for.
    likeness
        How they are compared.
    inner
        Slices (y, x) of the positions asked for.

    Returns
    -------
    ndarray of bool
        (y, x, neighbours) of these positions, in the order of :attr:`Likeness.steps`. False beyond
        the edge of what is given, and wherever the counts do not tell.
    """
    electrons = counts / np.float32(likeness.gain)
    noise = likeness.floor * float(likeness.used.sum()) / likeness.gain**2
    first = np.array([part.start for part in inner])
    shape = tuple(part.stop - part.start for part in inner)
    steps = likeness.steps
    chosen = np.zeros((*shape, len(steps)), dtype=np.bool_)
    _compare(electrons, likeness.background, noise, steps, first, chosen)
    return chosen


def added(
    patterns: Images, chosen: Flags, likeness: Likeness, inner: tuple[slice, slice]
) -> tuple[Images, NDArray[np.int64]]:
    """Patterns with those of alike neighbours added.

    Parameters
    ----------
    patterns
        (y, x, ky, kx), corrected, with the neighbours about the positions asked for.
    chosen
        From :func:`alike`.
    likeness, inner
        As for it.

    Returns
    -------
    sums : ndarray
        (y, x, ky, kx) float32. A pixel that is NaN in some of the patterns has the sum of the
        others in proportion, and is NaN where it is so in all.
    number : ndarray of int
        (y, x), patterns in each sum, the position's own among them.
    """
    usable = np.isfinite(patterns)
    same_everywhere = bool((usable.any(axis=(0, 1)) == usable.all(axis=(0, 1))).all())
    values = patterns if same_everywhere else np.where(usable, patterns, np.float32(0))
    sums = values[inner].copy()
    seen = usable[inner].astype(np.float32)
    number = np.ones(sums.shape[:2], dtype=np.int64)
    for place, (dy, dx) in enumerate(likeness.steps):
        y, x = np.nonzero(chosen[..., place])
        there = y + inner[0].start + dy, x + inner[1].start + dx
        sums[y, x] += values[there]
        number[y, x] += 1
        if not same_everywhere:
            seen[y, x] += usable[there]
    if not same_everywhere:
        with np.errstate(invalid="ignore", divide="ignore"):
            sums *= number[..., None, None] / seen
        sums[seen == 0] = np.nan
    return sums, number


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _compare(
    electrons: Any, background: Any, noise: float, steps: Any, first: Any, chosen: Any
) -> None:
    """Fill ``chosen`` (y, x, neighbours), see :func:`alike`."""
    rows, columns, number_of_cells = electrons.shape
    pooled = np.empty(number_of_cells, np.float64)
    scores = np.zeros(len(steps))
    for y in range(chosen.shape[0]):
        for x in range(chosen.shape[1]):
            own = electrons[first[0] + y, first[1] + x]
            members = chosen[y, x]
            most = _FIRST
            for turn in range(_ROUNDS):
                last = turn == _ROUNDS - 1
                number = _pool(electrons, own, first[0] + y, first[1] + x, steps, members, pooled)
                for n in range(len(steps)):
                    row, column = first[0] + y + steps[n, 0], first[1] + x + steps[n, 1]
                    scores[n] = 0.0
                    if 0 <= row < rows and 0 <= column < columns:
                        scores[n] = _score(
                            electrons[row, column], pooled, number, members[n], background,
                            noise, _CERTAIN if last else _ERRORS,
                        )  # fmt: skip
                least = 0.0
                if not last and most < len(steps):
                    least = np.sort(scores)[-most]
                members[:] = (scores > 0) & (scores >= least)
                most *= 3
            number = _pool(electrons, own, first[0] + y, first[1] + x, steps, members, pooled)
            # The position itself, too, must be one of those that were found for it.
            if number > 1 and not _score(own, pooled, number, True, background, noise, _OWN) > 0:
                members[:] = False


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _pool(
    electrons: Any, own: Any, row: int, column: int, steps: Any, members: Any, pooled: Any
) -> int:
    """Add the members' counts to a position's own; how many patterns these are."""
    pooled[:] = own
    number = 1
    for n in range(len(steps)):
        if members[n]:
            pooled += electrons[row + steps[n, 0], column + steps[n, 1]]
            number += 1
    return number


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _score(
    pattern: Any,
    pooled: Any,
    number: int,
    member: bool,
    background: Any,
    noise: float,
    least: float,
) -> float:
    """Standard errors from a stranger, where a pattern is alike to those pooled; 0 where it is not.

    The pattern itself is left out of those that are pooled.
    """
    total = others = 0.0
    squares = pooled_squares = shared = flat = pooled_flat = flat_squares = 0.0
    for k in range(pattern.size):
        a = pattern[k]
        p = pooled[k] - a if member else pooled[k]
        b = background[k]
        total += a
        others += p
        squares += a * a
        pooled_squares += p * p
        shared += a * p
        flat += a * b
        pooled_flat += p * b
        flat_squares += b * b
    if member:
        number -= 1
    if total <= 0.0 or others <= 0.0:
        return 0.0
    pooled_structure = (pooled_squares - others - number * noise) / others**2
    structure = pooled_structure - pooled_flat / others
    expected = total * structure
    projection = shared / others - flat
    spread = 0.0
    for k in range(pattern.size):
        a = pattern[k]
        p = pooled[k] - a if member else pooled[k]
        spread += a * (p / others - background[k]) ** 2
    ratio = total / others
    cell_noise = noise / pattern.size
    quadratic = max(pooled_structure, flat_squares)
    variance = max(spread - projection**2 / total, 0.0) * (1 + ratio)
    variance += 2 * (ratio**2) * quadratic + cell_noise * quadratic
    error = sqrt(variance)
    lacking = expected - projection
    if lacking > _UNLIKE * expected + _ERRORS * error:
        return 0.0
    # Of a stranger the projection is 0, whatever the dose.
    score = projection / max(error, 1e-30)
    if score < least:
        return 0.0
    # The whole difference, in electrons of both.
    own = squares - 2 * total * flat + total**2 * flat_squares - total - noise
    rest = others**2 * (pooled_structure - 2 * pooled_flat / others + flat_squares)
    both = own / ratio + ratio * rest
    extra = noise * (number * ratio + 1 / ratio)
    difference = ratio * pooled_squares + squares / ratio - 2 * shared - total - others - extra
    all_squares = squares + pooled_squares + 2 * shared
    variance = (ratio + 1 / ratio - 4) * (total + others) + 2 * (
        all_squares + (2 * (total + others) + extra) * extra / pattern.size
    )
    error = sqrt(max(variance, 0.0))
    alike_enough = difference <= _UNLIKE * max(both - 2 * error, 0.0) + _ERRORS * error
    return score if alike_enough else 0.0
