"""Number of components: the largest without redundant or unstable components.

Positions are averaged with their neighbours (3 × 3), which takes noise and the small turns within
a grain away and leaves grains. From the largest number on down, the two most similar components are
merged and all are fitted again; other starts compete at every number. For each number k down to
one:

- redundancy: the largest cosine between the images V of two components, w hᵀ: that of their
  patterns times that of their weight maps. Neighbouring grains share positions, grains of like
  orientation share spots; two components of one grain share both. That of the maps is taken
  between both halves of the scan and divided by what each map keeps from one half to the other
  (Spearman 1904): parts of a grain that noise or varying orientations set apart overlap less in
  one map than they do in truth.
- stability: the least cosine between patterns fitted to one half of the positions (the black
  fields of a chessboard, averaged with their black neighbours) and those fitted to the other.
- held out: the error of positions that no pattern was fitted to; their weights are fitted to one
  half of the pixels, and the error is that of the other half.

The published procedure is in :mod:`phaseloom.components.choice.published`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.components.factors.compression import Compressed
from phaseloom.components.factors.least_squares import Fit, fit, weights_of
from phaseloom.components.factors.starts import start_patterns
from phaseloom.components.options import Start
from phaseloom.compute.device import Device
from phaseloom.compute.execution import Execution
from phaseloom.compute.keywords import takes_options
from phaseloom.errors import InputError

REDUNDANCY = 0.25
"""Largest cosine between the images of two components that are different."""

STABILITY = 0.5
"""Least cosine between a component of one half of the scan and of the other."""

_MOST = 40_000
"""Positions that the number of components is chosen from; of larger scans they are thinned."""

_ITERATIONS = 100
_SAME = 0.9
"""Least cosine between the weight maps of two starts that found the same components."""

Floats = NDArray[np.float32]


class Rank(NamedTuple):
    """The number of components, and the evidence for it.

    Parameters
    ----------
    k
        The number chosen.
    patterns
        (k, pixels) of the scaled matrix, fitted to averaged positions.
    iterations, converged
        Of that fit, and whether it had converged.
    ks
        Numbers tried, rising.
    loss
        (ks,) relative error of the scaled matrix.
    held_out, held_out_error
        (ks,) relative error of held-out entries, and its standard error.
    gain
        (ks,) how many standard errors the held-out error is below that of one component less;
        NaN for the first.
    stability, redundancy
        (ks,), 0 to 1.
    found
        (ks,) part of the other starts that ended with the same components.
    reason
        One sentence.
    """

    k: int
    patterns: Floats
    iterations: int
    converged: bool
    ks: NDArray[np.int64]
    loss: NDArray[np.float64]
    held_out: NDArray[np.float64]
    held_out_error: NDArray[np.float64]
    gain: NDArray[np.float64]
    stability: NDArray[np.float64]
    redundancy: NDArray[np.float64]
    found: NDArray[np.float64]
    reason: str


@takes_options()
def choose_rank(
    compressed: Compressed,
    scan_shape: tuple[int, int],
    *,
    components_max: int = 20,
    start: Start = "pure",
    seeds: int = 5,
    seed: int = 0,
    execution: Execution,
) -> Rank:
    """The number of components of a scan by redundancy, stability and held-out error.

    Parameters
    ----------
    compressed
        The scan, with positions held out, in at least `components_max` dimensions.
    scan_shape
        Positions (y, x).
    components_max
        Numbers 1 … components_max are tried.
    start, seeds
        Kind and number of the starts at each number of components; one is NNDSVD, one comes from
        the number above.
    seed
        Same seed, same choice.
    **options
        Where factors are fitted, and where the numbers tried are reported.

    Raises
    ------
    InputError
        The scan is too small, or fewer than two components are allowed.
    """
    device = execution.device
    most = min(components_max, compressed.scores.shape[1])
    # Of a single position there is no standard error.
    if most < 2 or len(compressed.held_out) < 2:
        raise InputError(
            f"{len(compressed.scores)} positions and at most {components_max} components leave no "
            "choice of the number of components",
            "give a larger scan, components_max above 1, or the number itself (-k)",
        )
    some, some_shape = thinned(compressed, scan_shape)
    halves = _halves(compressed, scan_shape)
    rows: list[tuple[float, ...]] = []
    errors: list[NDArray[np.float64]] = []
    patterns: dict[int, tuple[Floats, int, bool]] = {}
    steps = merging_sweep(
        compressed, scan_shape, most, 1, start=start, seeds=seeds, seed=seed, device=device
    )
    for step in execution.progress.track(steps, "numbers of components", total=most):
        k, own = len(step.patterns), step.patterns
        patterns[k] = own, step.iterations, step.converged
        _, square = weights_of(some, own, device=device)
        sides = [
            fit(half, own[None], max_iterations=20, device=device).patterns[0] for half in halves
        ]
        errors.append(_held_out(compressed, own, seed))
        rows.append(
            (
                np.sqrt(max(square, 0.0) / some.total),
                float(np.einsum("ij,ij->i", *_unit(*sides)).min()),
                _redundancy(halves, own, some_shape, device),
                step.found,
            )
        )
    loss, stability, redundancy, found = np.array(rows[::-1]).T
    held_out, held_out_error, gain = _errors(np.array(errors[::-1]))
    tried = np.array(sorted(patterns))
    k, reason = _choice(tried, redundancy, stability, gain)
    return Rank(
        k, *patterns[k], tried, loss, held_out, held_out_error, gain, stability, redundancy, found,
        reason,
    )  # fmt: skip


class Step(NamedTuple):
    """The best fit at one number of components.

    Parameters
    ----------
    weights, patterns
        (positions, k) and (k, pixels) of the scaled matrix, positions averaged, and thinned out in
        a large scan.
    redundancy
        Largest cosine between the images of two components.
    found
        Part of the other starts that ended with the same components; NaN without others.
    iterations, converged
        Of the fit, and whether it had converged.
    """

    weights: Floats
    patterns: Floats
    redundancy: float
    found: float
    iterations: int
    converged: bool


def merging_sweep(
    compressed: Compressed,
    scan_shape: tuple[int, int],
    most: int,
    least: int,
    *,
    start: Start,
    seeds: int,
    seed: int,
    device: Device,
) -> Iterator[Step]:
    """Factors of the averaged positions, from `most` components down to `least` by merging.

    Parameters
    ----------
    compressed, scan_shape, start, seeds, seed, device
        As for :func:`choose_rank`.
    most, least
        Numbers of components.
    """
    smooth, scan_shape = thinned(averaged(compressed, scan_shape), scan_shape)
    before: Step | None = None
    for k in range(most, least - 1, -1):
        starts = [start_patterns(smooth, k, start="nndsvd")]
        if before is not None:
            starts.append(_merged(before, scan_shape))
        if start != "nndsvd":
            starts += [
                start_patterns(smooth, k, start=start, part=0.5, seed=seed + 1000 * k + number)
                for number in range(max(1, seeds - len(starts)))
            ]
        fits = fit(smooth, np.stack(starts), max_iterations=_ITERATIONS, device=device)
        pairs = zip(fits.weights, fits.patterns, strict=True)
        redundant = np.array([_similarity(w, h, scan_shape).max() for w, h in pairs])
        best = _best(fits, redundant)
        others = [
            _agreement(fits.weights[best].T, weights.T) > _SAME
            for number, weights in enumerate(fits.weights)
            if number != best
        ]
        before = Step(
            fits.weights[best],
            fits.patterns[best],
            float(redundant[best]),
            float(np.mean(others)) if others else np.nan,
            fits.iterations,
            bool(fits.converged[best]),
        )
        yield before


def averaged(
    compressed: Compressed, scan_shape: tuple[int, int], only: NDArray[np.bool_] | None = None
) -> Compressed:
    """Scores averaged over 3 × 3 positions, positions held out left out.

    Parameters
    ----------
    compressed, scan_shape
        As for :func:`choose_rank`.
    only
        (positions,) Those that take part; all by default.
    """
    from scipy.ndimage import uniform_filter

    inside = np.ones(len(compressed.scores), dtype=np.float32)
    if only is not None:
        inside[~only] = 0
    inside[compressed.held_out] = 0
    share = uniform_filter(inside.reshape(scan_shape), 3, mode="constant")
    maps = (compressed.scores * inside[:, None]).T.reshape(-1, *scan_shape)
    mean = uniform_filter(maps, (1, 3, 3), mode="constant") / np.maximum(share, 1e-6)
    scores = np.ascontiguousarray(mean.reshape(len(mean), -1).T, dtype=np.float32)
    # Of the noise that the dimensions leave out a ninth stays.
    total = float(np.square(scores, dtype=np.float64).sum()) + compressed.left_out / 9
    return replace(compressed, scores=scores, total=total)


def _halves(compressed: Compressed, scan_shape: tuple[int, int]) -> list[Compressed]:
    """Averages over either half of the positions, the fields of a chessboard.

    No measured pattern is in both. Single patterns of a grain whose orientation varies from
    position to position would differ more than its components do.
    """
    black = (np.indices(scan_shape).sum(axis=0) % 2 == 0).ravel()
    return [
        thinned(averaged(compressed, scan_shape, half), scan_shape)[0] for half in (black, ~black)
    ]


def thinned(
    compressed: Compressed, scan_shape: tuple[int, int]
) -> tuple[Compressed, tuple[int, int]]:
    """A large scan thinned out to every n-th position of each axis, and its new shape.

    With averaged positions nothing is lost up to the third.
    """
    step = int(np.ceil(np.sqrt(np.prod(scan_shape) / _MOST)))
    if step <= 1:
        return compressed, scan_shape
    maps = compressed.scores.reshape(*scan_shape, -1)[::step, ::step]
    scores = np.ascontiguousarray(maps.reshape(-1, maps.shape[2]))
    left_out = compressed.left_out * len(scores) / len(compressed.scores)
    total = float(np.square(scores, dtype=np.float64).sum()) + left_out
    return replace(compressed, scores=scores, total=total), (maps.shape[0], maps.shape[1])


def _best(fits: Fit, redundant: NDArray[np.float64]) -> int:
    """The start with the least error, of those without redundant components if there are any."""
    allowed = redundant <= REDUNDANCY
    if not allowed.any():
        allowed[:] = True
    return int(np.where(allowed, fits.square, np.inf).argmin())


def _similarity(
    weights: Floats, patterns: Floats, scan_shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Cosine between the images of every two components, 0 on and below the diagonal.

    Weights are averaged over 3 × 3 positions: two components of one grain may alternate.
    """
    w, h = _unit(_smooth(weights, scan_shape), patterns)
    return np.triu((w @ w.T) * (h @ h.T), 1).astype(np.float64)


def _smooth(weights: Floats, scan_shape: tuple[int, int]) -> Floats:
    """Weight maps (component, positions) averaged over 3 × 3 positions."""
    from scipy.ndimage import uniform_filter

    maps = weights.T.reshape(-1, *scan_shape)
    smooth = uniform_filter(maps, (1, 3, 3), mode="nearest")
    return np.asarray(smooth, dtype=np.float32).reshape(len(maps), -1)


def _redundancy(
    halves: list[Compressed], patterns: Floats, scan_shape: tuple[int, int], device: Device
) -> float:
    """Largest cosine between the images of two components, as the errors of maps leave it.

    Errors of one half are independent of those of the other: they shorten no product of the two.
    """
    one, other = (
        _smooth(weights_of(half, patterns, device=device)[0], scan_shape).astype(np.float64)
        for half in halves
    )
    product = one @ other.T
    kept = np.sqrt(np.diag(product))
    cosine = (product + product.T) / 2 / np.maximum(np.outer(kept, kept), 1e-30)
    (h,) = _unit(patterns)
    return float(np.triu(np.clip(cosine, 0, 1) * np.clip(h @ h.T, 0, 1), 1).max())


def _merged(step: Step, scan_shape: tuple[int, int]) -> Floats:
    """Patterns with the two most similar components merged."""
    weights, patterns = step.weights, step.patterns
    similarity = _similarity(weights, patterns, scan_shape)
    first, second = np.unravel_index(similarity.argmax(), similarity.shape)
    size = np.linalg.norm(weights, axis=0)
    merged = size[first] * patterns[first] + size[second] * patterns[second]
    others = np.delete(patterns, [first, second], axis=0)
    merged /= max(float(np.linalg.norm(merged)), 1e-30)
    return np.vstack([others, merged]).astype(np.float32)


def _unit(*factors: Floats) -> list[Floats]:
    return [f / np.maximum(np.linalg.norm(f, axis=1, keepdims=True), 1e-30) for f in factors]


def _agreement(first: Floats, second: Floats) -> float:
    """Least cosine of the matched rows."""
    from scipy.optimize import linear_sum_assignment

    a, b = _unit(first, second)
    cosine = a @ b.T
    return float(cosine[linear_sum_assignment(-cosine)].min())


def _held_out(compressed: Compressed, patterns: Floats, seed: int) -> NDArray[np.float64]:
    """Squared error of half of the pixels by weights of the others, and ‖v‖² (2, held_out)."""
    half = np.random.default_rng(seed).random(patterns.shape[1]) < 0.5
    rows, h = compressed.held_out_rows, patterns
    gram, products = h[:, half] @ h[:, half].T, rows[:, half] @ h[:, half].T
    weight = np.zeros_like(products)
    for _ in range(50):
        for j in range(len(h)):
            step = (products[:, j] - weight @ gram[:, j]) / max(float(gram[j, j]), 1e-30)
            weight[:, j] = np.maximum(weight[:, j] + step, 0.0)
    other = rows[:, ~half]
    both = np.stack([other - weight @ h[:, ~half], other])
    return np.asarray(np.square(both, dtype=np.float64).sum(axis=2))


def _errors(
    squares: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Relative error and its standard error for each k, and the gain over one component less."""
    squares, total = squares[:, 0], squares[0, 1].sum()
    n = squares.shape[1]
    # All patterns that were held out may be empty.
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(squares.sum(axis=1) / total)
        spread = squares.std(axis=1) * np.sqrt(n) / total / (2 * error)
    less = squares[:-1] - squares[1:]
    gain = less.mean(axis=1) / np.maximum(less.std(axis=1) / np.sqrt(n), 1e-30)
    return error, spread, np.concatenate([[np.nan], gain])


def _choice(
    ks: NDArray[np.int64],
    redundancy: NDArray[np.float64],
    stability: NDArray[np.float64],
    gain: NDArray[np.float64],
) -> tuple[int, str]:
    """The largest number that passes, none below it having two alike, and why in a sentence."""
    # Where two of some number are alike, two of a larger one are, though chance may hide it.
    alike = np.logical_or.accumulate(redundancy > REDUNDANCY)
    passes = ~alike & (stability >= STABILITY) & ~(gain < -1.0)
    k = int(ks[passes][-1]) if passes.any() else int(ks[0])
    chosen = int(np.flatnonzero(ks == k)[0])
    if k == 1:
        # Of one component there is nothing to compare: whatever it is, fewer there are not.
        reason = "k = 1: all patterns are one component"
    else:
        reason = (
            f"k = {k} is the largest number of components of which no two are alike (largest "
            f"cosine {redundancy[chosen]:.2f}, limit {REDUNDANCY:g}) and all are found in both "
            f"halves of the scan (least cosine {stability[chosen]:.2f}, limit {STABILITY:g})"
        )
    after = chosen + 1
    if after == len(ks):
        return (
            k,
            reason + "; it is the largest that was tried: there may be more (--components-max)",
        )
    if redundancy[after] > REDUNDANCY:
        fault = f"two are alike ({redundancy[after]:.2f})"
    elif stability[after] < STABILITY:
        fault = f"one is not found in both halves ({stability[after]:.2f})"
    else:
        fault = "held-out patterns are described worse"
    return k, f"{reason}; with {k + 1} {fault}"
