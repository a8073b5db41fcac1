"""What the components leave open: errors of ratios of weights, patterns that vary in a component.

Errors are those of counting, or larger where the pattern differs from what its components say: the
sandwich estimate of least squares (White, Econometrica 48 (1980) 817), in which the pixels of a
small square err together, as those of one spot do.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.components.factors.compression import Compressed
from phaseloom.components.factors.factorisation import Factors
from phaseloom.components.patterns.matrix import MatrixBlock, Prepared, over_blocks
from phaseloom.compute.execution import Execution
from phaseloom.compute.keywords import takes_options

VARIATION = 0.6
"""Variation of a component's patterns from which on it is said that they vary."""

SHARED = 0.2
"""The same of what neighbouring positions share: bending, or a second grain."""

_SIDE = 4
"""Px along the squares of the pattern that err together."""

_FLOOR = 0.02
"""Least variance of a pixel, as part of the scan's mean intensity."""

_ROWS = 64
"""Positions at a time."""

_SECOND = 0.2
"""Ratio of weights below which no error is computed: it is no overlap."""

_SIGNIFICANT = 3.0
"""Standard errors that a shared variation is above none at least."""

Floats = NDArray[np.float32]


class Deviations(NamedTuple):
    """How far single patterns are from what their components say.

    Parameters
    ----------
    ratio_error
        (positions,) standard error of the second weight over the first; NaN where the ratio is
        below 0.2.
    excess
        (positions,) squared residual beyond that of counting, counts²; NaN where pixels are no
        counts.
    square
        (positions,) ‖wH‖², counts².
    """

    ratio_error: Floats
    excess: Floats
    square: Floats


@takes_options()
def deviations(
    prepared: Prepared,
    factors: Factors,
    first: NDArray[np.int16],
    second: NDArray[np.int16],
    *,
    noise: float = 1.0,
    execution: Execution,
) -> Deviations:
    """Errors of the ratio of two weights at every position, and residuals beyond counting.

    Parameters
    ----------
    prepared, factors
        The scan and its components.
    first, second
        (positions,) the components whose weights are compared; −1: none.
    noise
        Variance of a pixel over its expected counts; NaN where pixels are no counts.
    **options
        How it is carried out.
    """
    row, column = np.nonzero(prepared.pixels)
    square = (row // _SIDE) * prepared.pixels.shape[1] + column // _SIDE
    order = np.argsort(square, kind="stable")
    starts = np.flatnonzero(np.diff(square[order], prepend=-1))
    mean = float(np.mean(factors.weight @ factors.pattern.mean(axis=1)))
    work = partial(_examine, factors.pattern[:, order], order, starts, _FLOOR * mean, noise)
    found = np.full((3, len(factors.weight)), np.nan, dtype=np.float32)
    for rows, part in over_blocks(
        prepared, work, "examining", along=[factors.weight, first, second], execution=execution
    ):
        found[:, rows] = part
    return Deviations(*found)


def _examine(
    pattern: Floats,
    order: NDArray[np.intp],
    starts: NDArray[np.intp],
    least: float,
    noise: float,
    block: MatrixBlock,
    weight: Floats,
    first: NDArray[np.int16],
    second: NDArray[np.int16],
) -> Floats:
    """Ratio error, excess, square (3, positions) of a block."""
    values = block.load()
    found = np.full((3, len(weight)), np.nan, dtype=np.float32)
    for begin in range(0, len(weight), _ROWS):
        rows = slice(begin, begin + _ROWS)
        w, a, b = weight[rows], first[rows], second[rows]
        expected = w @ pattern
        left = values[rows][:, order] - expected
        found[1, rows] = np.square(left).sum(axis=1) - noise * expected.sum(axis=1)
        found[2, rows] = np.square(expected).sum(axis=1)
        at = np.arange(len(w))
        one, other = w[at, np.maximum(a, 0)], w[at, np.maximum(b, 0)]
        some = np.flatnonzero((a >= 0) & (b >= 0) & (other > _SECOND * one))
        if some.size:
            sure = 1.0 / np.maximum(expected[some], least)
            found[0, begin + some] = _ratio_errors(
                w[some], pattern, sure, left[some], starts, a[some], b[some], noise
            )
    return found


def _ratio_errors(
    weight: Floats,
    pattern: Floats,
    sure: Floats,
    left: Floats,
    starts: NDArray[np.intp],
    first: NDArray[np.int16],
    second: NDArray[np.int16],
    noise: float,
) -> NDArray[np.float64]:
    k = len(pattern)
    upper = np.triu_indices(k)
    gram = np.zeros((len(weight), k, k))
    gram[:, upper[0], upper[1]] = sure @ (pattern[upper[0]] * pattern[upper[1]]).T
    gram = gram + np.triu(gram, 1).mT
    # A weight that is held at 0 does not vary.
    free = weight > 0
    both = free[:, :, None] & free[:, None, :]
    gram = np.where(both, gram, np.eye(k))
    inverse = np.linalg.inv(gram + 1e-9 * gram.max(axis=(1, 2), keepdims=True) * np.eye(k))
    inverse = np.where(both, inverse, 0.0)
    at = np.arange(len(weight))
    one = weight[at, first].astype(np.float64)
    gradient = np.zeros((len(weight), k))
    gradient[at, second] = 1.0 / one
    gradient[at, first] = -weight[at, second] / one**2
    influence = (inverse @ gradient[:, :, None])[:, :, 0]
    # What every pixel adds to the ratio, and every square of pixels together.
    moved = (influence.astype(np.float32) @ pattern) * sure * left
    scattered = np.square(np.add.reduceat(moved, starts, axis=1), dtype=np.float64).sum(axis=1)
    counted = noise * np.einsum("ni,ni->n", influence, gradient)
    return np.asarray(np.sqrt(np.fmax(scattered, counted)))


def variation(found: Deviations, label: NDArray[np.integer], k: int) -> NDArray[np.float64]:
    """Root mean square of how far the patterns of a component vary beyond counting, relative.

    Parameters
    ----------
    found
        Of all positions.
    label
        (positions,) the component of positions that hold no other; −1 elsewhere.
    k
        Number of components.

    Returns
    -------
    numpy.ndarray
        (k,) 0 where counting is all there is; NaN where no position is left, or pixels are no
        counts.
    """
    alone = label >= 0
    excess, square = (
        np.bincount(label[alone], weights=part[alone], minlength=k)
        for part in (found.excess, found.square)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.sqrt(np.maximum(excess / square, 0.0)))


def shared_variation(
    compressed: Compressed,
    factors: Factors,
    label: NDArray[np.integer],
    scan_shape: tuple[int, int],
    *,
    apart: int = 1,
) -> NDArray[np.float64]:
    """What residuals of neighbouring positions of a component have in common, relative.

    Counting errors and turns of single positions average out; a pattern that changes steadily over
    the grain, as in a bent one, or that of a second grain stays.

    Parameters
    ----------
    compressed, factors
        The scan and its components.
    label
        (positions,) the component of positions that hold no other; −1 elsewhere.
    scan_shape
        Positions (y, x).
    apart
        Steps between the two positions: more than one where neighbours share counts.

    Returns
    -------
    numpy.ndarray
        (k,) root of the residuals' mean product over that of the model; 0 where it is not
        significant, NaN without neighbours.
    """
    k = len(factors.pattern)
    scales = compressed.scales
    patterns = (factors.pattern / scales.columns) @ compressed.basis.T
    model = (factors.weight / scales.rows[:, None]) @ patterns
    left = compressed.scores - model
    place = np.arange(len(label)).reshape(scan_shape)
    pairs = [
        np.stack([near.ravel(), far.ravel()])
        for near, far in ((place[:-apart], place[apart:]), (place[:, :-apart], place[:, apart:]))
    ]
    one, other = np.concatenate(pairs, axis=1)
    taken = (label[one] == label[other]) & (label[one] >= 0)
    one, other = one[taken], other[taken]
    product, square = (np.einsum("ij,ij->i", part[one], part[other]) for part in (left, model))
    of = label[one]
    number = np.bincount(of, minlength=k)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(of, product, k) / number
        spread = np.sqrt(np.bincount(of, np.square(product), k)) / number
        share = mean / (np.bincount(of, square, k) / number)
        significant = mean > _SIGNIFICANT * spread
    return np.where(number > 0, np.sqrt(np.where(significant, share, 0.0)), np.nan)


def varying_sentence(varies: NDArray[np.floating], shares: NDArray[np.floating]) -> str:
    """Which components' patterns vary more than counting lets them, and what that means.

    Parameters
    ----------
    varies, shares
        (k,) from :func:`variation` and :func:`shared_variation`.

    Returns
    -------
    str
        One or two sentences; empty where none varies.
    """
    steadily = np.flatnonzero(shares >= SHARED)
    # What is shared is said already.
    singly = np.flatnonzero((varies >= VARIATION) & ~(shares >= SHARED))
    texts = []
    if steadily.size:
        texts.append(
            f"within {_names(steadily)} the patterns change from place to place by up to "
            f"{100 * np.nanmax(shares):.0f} %, beyond counting noise: a bent grain, part of one, "
            "or more than one; the number of components is not sure to be that of the grains"
        )
    if singly.size:
        texts.append(
            f"within {_names(singly)} single patterns vary by up to "
            f"{100 * np.nanmax(varies[singly]):.0f} % beyond counting noise, as where the "
            "orientation turns from position to position: weights and overlaps are less sure than "
            "counts let expect"
        )
    return "; ".join(texts)


def _names(components: NDArray[np.intp]) -> str:
    *others, last = components.tolist()
    if not others:
        return f"component {last}"
    return f"components {', '.join(map(str, others))} and {last}"
