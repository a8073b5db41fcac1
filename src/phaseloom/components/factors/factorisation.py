"""Factors of a scan's matrix: k patterns and their weights, V ≈ W H, none of them negative."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from phaseloom.components.factors.compression import Compressed, Scaling, compress
from phaseloom.components.factors.counting import solve_patterns, weigh
from phaseloom.components.factors.divergence import fit_divergence
from phaseloom.components.factors.least_squares import fit, weights_of
from phaseloom.components.factors.starts import Start, start_patterns
from phaseloom.components.patterns.matrix import Prepared, over_blocks
from phaseloom.compute.device import Device, torch_device
from phaseloom.compute.progress import SILENT, Progress
from phaseloom.errors import InputError

Loss = Literal["frobenius", "kl"]

_UPPER = 0.99
"""Weight 1 is this quantile of a component's weights where it is the strongest."""

_ROUNDS = 2
"""Weights and patterns in turn with the errors of counts, before the last weights."""

_RANK = 1e-5
"""Singular values below this part of the largest are rounding."""


class Factors(NamedTuple):
    """Components of a scan, the one with most intensity first.

    Parameters
    ----------
    weight
        (positions, k): 1 where a component is as strong as it gets.
    pattern
        (k, pixels): counts at weight 1.
    error
        ‖V − WH‖ / ‖V‖.
    residual
        (positions,) the same of each pattern, NaN where it is empty.
    iterations
        Of the loss that was asked for.
    converged
        Whether weights had come to rest.
    """

    weight: NDArray[np.float32]
    pattern: NDArray[np.float32]
    error: float
    residual: NDArray[np.float32]
    iterations: int
    converged: bool


def factorise(
    prepared: Prepared,
    k: int,
    *,
    loss: Loss = "frobenius",
    start: Start = "pure",
    seeds: int = 1,
    sparsity: float = 0.0,
    smoothness: float = 0.0,
    scaling: Scaling = "poisson",
    tolerance: float = 1e-3,
    max_iterations: int = 500,
    compressed: Compressed | None = None,
    patterns: NDArray[np.float32] | None = None,
    seed: int = 0,
    device: Device = "auto",
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Progress = SILENT,
) -> Factors:
    """Components of a scan.

    Parameters
    ----------
    prepared
        The matrix, from :func:`phaseloom.components.prepare`.
    k
        How many components.
    loss
        ``"frobenius"``: least squares of the scaled matrix by HALS in the compressed space, then
        once more with each pixel's own counting error. ``"kl"``: Kullback–Leibler divergence by
        multiplicative updates from there; each iteration reads the whole scan.
    start, seeds
        Where to begin (:func:`phaseloom.components.factors.starts.start_patterns`), and from how
        many starts; the one that ends with the least error is taken.
    sparsity, smoothness
        See :func:`phaseloom.components.factors.least_squares.fit`; not with ``"kl"``.
    scaling
        Errors of counts (``"poisson"``) or the same of all pixels (``"none"``).
    tolerance, max_iterations
        When iterations end.
    compressed
        The matrix compressed before, by the same scaling.
    patterns
        (k, pixels) of the scaled matrix that were found before, instead of `start`: with plain
        least squares they are weighed only, with other options a fit begins with them.
    seed
        Same seed, same components.
    device, workers, scheduler, progress
        Where and how blocks are worked on.

    Raises
    ------
    InputError
        There are not so many components in the matrix, or an option cannot be.
    """
    check_options(
        k=k, loss=loss, start=start, scaling=scaling, sparsity=sparsity, smoothness=smoothness,
        seeds=seeds,
    )  # fmt: skip
    device_name = torch_device(device).type

    def passed(
        work: Callable[..., Any], weight: NDArray[np.float32], said: str = ""
    ) -> Iterator[tuple[slice, Any]]:
        return over_blocks(
            prepared, work, said, along=[weight], workers=workers, scheduler=scheduler,
            progress=progress if said else SILENT,
        )  # fmt: skip

    if compressed is None:
        compressed = compress(
            prepared, dimensions=2 * k + 8, scaling=scaling, seed=seed, device=device,
            workers=workers, scheduler=scheduler, progress=progress,
        )  # fmt: skip
    check_rank(compressed, k)
    again = loss == "frobenius" and not sparsity and not smoothness
    if patterns is not None and again:
        weight, _ = weights_of(compressed, patterns, device=device)
        pattern, iterations, converged = patterns, 0, True
    else:
        begun = (
            [patterns]
            if patterns is not None
            else [
                start_patterns(
                    compressed, k, start=start, part=0.5 if number else 1.0, seed=seed + number
                )
                for number in range(1 if start == "nndsvd" else seeds)
            ]
        )
        fits = fit(
            compressed, np.stack(begun), sparsity=sparsity, smoothness=smoothness,
            scan_shape=prepared.scan_shape, tolerance=tolerance, max_iterations=max_iterations,
            device=device,
        )  # fmt: skip
        best = int(np.argmin(fits.square))
        weight, pattern = fits.weights[best], fits.patterns[best]
        iterations, converged = fits.iterations, bool(fits.converged[best])
    weight = weight * compressed.scales.rows[:, None]
    pattern = pattern * compressed.scales.columns
    mean = float(compressed.scales.mean.mean())
    if loss == "kl":
        weight, pattern, iterations, converged = fit_divergence(
            pattern, weight, passed, tolerance=tolerance, max_iterations=max_iterations,
            device=device_name, progress=progress,
        )  # fmt: skip
    if again:
        given: dict[str, Any] = {"mean": mean, "scaling": scaling, "device": device_name}
        for _ in range(_ROUNDS if scaling == "poisson" else 0):
            weight, pattern, _ = _weighed(passed, weight, pattern, for_patterns=True, **given)
        weight, _, residual = _weighed(passed, weight, pattern, for_patterns=False, **given)
    else:
        residual = _residual(passed, weight, pattern)
    weight, pattern = _normalised(weight, pattern)
    square = compressed.scales.square
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.sqrt(residual[0] / residual[1]).astype(np.float32)
    error = float(np.sqrt(residual[0].sum(dtype=np.float64) / square))
    return Factors(weight, pattern, error, share, iterations, converged)


def check_rank(compressed: Compressed, k: int) -> None:
    """Are there as many components as asked for?

    Raises
    ------
    InputError
        The matrix has a lower rank.
    """
    size = np.linalg.norm(compressed.scores, axis=0)
    rank = int(np.count_nonzero(size > _RANK * size[0]))
    if k > rank:
        raise InputError(
            f"the patterns have {rank} independent component{'s' * (rank != 1)}, of which no "
            f"{k} can be made",
            f"ask for at most {rank} (-k), or give a scan whose patterns differ",
        )


def check_options(
    *,
    k: int = 1,
    loss: str,
    start: str,
    scaling: str,
    sparsity: float,
    smoothness: float,
    seeds: int,
) -> None:
    """Can a scan be factorised so?

    Raises
    ------
    InputError
        It cannot.
    """
    words = (("loss", loss, Loss), ("start", start, Start), ("scaling", scaling, Scaling))
    for name, word, kind in words:
        if word not in get_args(kind):
            raise InputError(f"there is no {name} {word!r}", f"take {' or '.join(get_args(kind))}")
    if k < 1:
        raise InputError(f"{k} components cannot be", "ask for one or more")
    if seeds < 1:
        raise InputError(f"{seeds} starts cannot be", "take one or more")
    for name, value in (("sparsity", sparsity), ("smoothness", smoothness)):
        if not (np.isfinite(value) and value >= 0):
            raise InputError(f"a {name} of {value} cannot be", "give a number from 0")
        # The weights of a position always add up to its counts: a cost on them prefers none.
        if loss == "kl" and value:
            raise InputError(
                f"{name} goes with least squares only", f"leave out the {name}, or the loss kl"
            )


def _weighed(
    passed: Callable[..., Iterator[tuple[slice, Any]]],
    weight: NDArray[np.float32],
    pattern: NDArray[np.float32],
    *,
    for_patterns: bool,
    **given: Any,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Weights of these patterns, the patterns of those weights, and (2, positions) residuals."""
    found = np.empty_like(weight)
    residual = np.full((2, len(weight)), np.nan, dtype=np.float32)
    products: Any = 0.0
    pairs: Any = 0.0
    work = weigh(pattern, for_patterns=for_patterns, **given)
    for rows, part in passed(work, weight, "weighing"):
        found[rows] = part.weight
        if for_patterns:
            products, pairs = products + part.products, pairs + part.pairs
        else:
            residual[:, rows] = part.squares
    return found, solve_patterns(pattern, products, pairs) if for_patterns else pattern, residual


def _residual(
    passed: Callable[..., Iterator[tuple[slice, Any]]],
    weight: NDArray[np.float32],
    pattern: NDArray[np.float32],
) -> NDArray[np.float32]:
    residual = np.empty((2, len(weight)), dtype=np.float32)
    for rows, part in passed(partial(_left, pattern), weight, "comparing"):
        residual[:, rows] = part
    return residual


def _left(
    pattern: NDArray[np.float32], block: Any, weight: NDArray[np.float32]
) -> NDArray[np.float32]:
    values = block.load()
    left = values - weight @ pattern
    return np.stack([np.einsum("ij,ij->i", a, a) for a in (left, values)])


def _normalised(
    weight: NDArray[np.float32], pattern: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight 1 where a component is as strong as it gets; most intensity first."""
    intensity = weight * pattern.sum(axis=1)
    strongest = intensity.argmax(axis=1)
    order = np.argsort(-intensity.sum(axis=0), kind="stable")
    scale = np.ones(len(pattern), dtype=np.float32)
    for component in range(len(pattern)):
        own = weight[(strongest == component) & (weight[:, component] > 0), component]
        own = own if own.size else weight[weight[:, component] > 0, component]
        if own.size:
            scale[component] = np.quantile(own, _UPPER)
    return (weight / scale)[:, order], (pattern * scale[:, None])[order]
