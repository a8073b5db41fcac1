"""Non-negative matrix factorisation of a scan: V ≈ W H, k patterns H and their weights W."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.components.factors.compression import Compressed, compress
from phaseloom.components.factors.counting import solve_patterns, weigh
from phaseloom.components.factors.divergence import fit_divergence
from phaseloom.components.factors.least_squares import fit, weights_of
from phaseloom.components.factors.starts import start_patterns
from phaseloom.components.options import Factorisation, Loss, Preparation, Scaling, Start
from phaseloom.components.patterns.matrix import Prepared, over_blocks
from phaseloom.compute.device import torch_device
from phaseloom.compute.execution import Execution
from phaseloom.compute.keywords import takes_options
from phaseloom.compute.progress import SILENT
from phaseloom.errors import InputError
from phaseloom.options import validated

_UPPER = 0.99
"""Weight 1 is this quantile of a component's weights where it is the strongest."""

_ROUNDS = 2
"""Of weights and patterns in turn with the variance of counts, before the last weights."""

_RANK = 1e-5
"""Singular values below this part of the largest are rounding errors."""


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
        Of the fit by the loss that was chosen.
    converged
        Whether the weights had converged.
    """

    weight: NDArray[np.float32]
    pattern: NDArray[np.float32]
    error: float
    residual: NDArray[np.float32]
    iterations: int
    converged: bool


@takes_options()
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
    execution: Execution,
) -> Factors:
    """Components of a scan by non-negative matrix factorisation.

    Parameters
    ----------
    prepared
        The matrix, from :func:`phaseloom.components.prepare`.
    k
        How many components.
    loss
        ``"frobenius"``: least squares of the scaled matrix by HALS in the compressed space, then
        once more weighted with the Poisson variance of each pixel. ``"kl"``: Kullback–Leibler
        divergence by multiplicative updates from there; each iteration reads the whole scan.
    start, seeds
        Kind (:func:`phaseloom.components.factors.starts.start_patterns`) and number of starts; the
        fit of least error is taken.
    sparsity, smoothness
        See :func:`phaseloom.components.factors.least_squares.fit`; not with ``"kl"``.
    scaling
        Variance of counts (``"poisson"``) or the same for all pixels (``"none"``).
    tolerance, max_iterations
        When iterations end.
    compressed
        Truncated SVD of the matrix with the same scaling, if there is one.
    patterns
        Patterns (k, pixels) of the scaled matrix from an earlier fit, instead of `start`: plain
        least squares fits only their weights; with other options a fit begins with them.
    seed
        Same seed, same components.
    **options
        How it is carried out.

    Raises
    ------
    InputError
        The matrix has not so many components, or an option is out of bounds.
    """
    validated(
        Factorisation,
        {
            "k": k, "loss": loss, "start": start, "seeds": seeds, "sparsity": sparsity,
            "smoothness": smoothness,
        },
    )  # fmt: skip
    validated(Preparation, {"scaling": scaling})
    device = torch_device(execution.device).type

    def pass_over(
        work: Callable[..., Any], weight: NDArray[np.float32], label: str = ""
    ) -> Iterator[tuple[slice, Any]]:
        # Without a label the caller reports its iterations itself.
        own = execution if label else replace(execution, progress=SILENT)
        return over_blocks(prepared, work, label, along=[weight], execution=own)

    if compressed is None:
        compressed = compress(
            prepared, dimensions=2 * k + 8, scaling=scaling, seed=seed, execution=execution
        )
    check_rank(compressed, k)
    plain = loss == "frobenius" and not sparsity and not smoothness
    if patterns is not None and plain:
        weight, _ = weights_of(compressed, patterns, device=execution.device)
        pattern, iterations, converged = patterns, 0, True
    else:
        starts = (
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
            compressed, np.stack(starts), sparsity=sparsity, smoothness=smoothness,
            scan_shape=prepared.scan_shape, tolerance=tolerance, max_iterations=max_iterations,
            device=execution.device,
        )  # fmt: skip
        best = int(np.argmin(fits.square))
        weight, pattern = fits.weights[best], fits.patterns[best]
        iterations, converged = fits.iterations, bool(fits.converged[best])
    weight = weight * compressed.scales.rows[:, None]
    pattern = pattern * compressed.scales.columns
    mean = float(compressed.scales.mean.mean())
    if loss == "kl":
        weight, pattern, iterations, converged = fit_divergence(
            pattern, weight, pass_over, tolerance=tolerance, max_iterations=max_iterations,
            device=device, progress=execution.progress,
        )  # fmt: skip
    if plain:
        options: dict[str, Any] = {"mean": mean, "scaling": scaling, "device": device}
        for _ in range(_ROUNDS if scaling == "poisson" else 0):
            weight, pattern, _ = _weighed(pass_over, weight, pattern, for_patterns=True, **options)
        weight, _, residual = _weighed(pass_over, weight, pattern, for_patterns=False, **options)
    else:
        residual = _residual(pass_over, weight, pattern)
    weight, pattern = _normalised(weight, pattern)
    square = compressed.scales.square
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.sqrt(residual[0] / residual[1]).astype(np.float32)
    error = float(np.sqrt(residual[0].sum(dtype=np.float64) / square))
    return Factors(weight, pattern, error, share, iterations, converged)


def check_rank(compressed: Compressed, k: int) -> None:
    """Check that the matrix has a rank of at least k.

    Raises
    ------
    InputError
        Its rank is lower.
    """
    size = np.linalg.norm(compressed.scores, axis=0)
    rank = int(np.count_nonzero(size > _RANK * size[0]))
    if k > rank:
        raise InputError(
            f"the patterns have {rank} independent component{'s' * (rank != 1)}, of which no "
            f"{k} can be made",
            f"ask for at most {rank} (-k), or give a scan whose patterns differ",
        )


def _weighed(
    pass_over: Callable[..., Iterator[tuple[slice, Any]]],
    weight: NDArray[np.float32],
    pattern: NDArray[np.float32],
    *,
    for_patterns: bool,
    **options: Any,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Weights of these patterns, the patterns of those weights, and (2, positions) residuals."""
    fitted = np.empty_like(weight)
    residual = np.full((2, len(weight)), np.nan, dtype=np.float32)
    products: Any = 0.0
    pairs: Any = 0.0
    work = weigh(pattern, for_patterns=for_patterns, **options)
    for rows, part in pass_over(work, weight, "fitting weights"):
        fitted[rows] = part.weight
        if for_patterns:
            products, pairs = products + part.products, pairs + part.pairs
        else:
            residual[:, rows] = part.squares
    return fitted, solve_patterns(pattern, products, pairs) if for_patterns else pattern, residual


def _residual(
    pass_over: Callable[..., Iterator[tuple[slice, Any]]],
    weight: NDArray[np.float32],
    pattern: NDArray[np.float32],
) -> NDArray[np.float32]:
    residual = np.empty((2, len(weight)), dtype=np.float32)
    for rows, part in pass_over(partial(_squares, pattern), weight, "comparing"):
        residual[:, rows] = part
    return residual


def _squares(
    pattern: NDArray[np.float32], block: Any, weight: NDArray[np.float32]
) -> NDArray[np.float32]:
    """‖v − wH‖² and ‖v‖² (2, positions) of a block."""
    values = block.load()
    left_over = values - weight @ pattern
    return np.stack([np.einsum("ij,ij->i", a, a) for a in (left_over, values)])


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
