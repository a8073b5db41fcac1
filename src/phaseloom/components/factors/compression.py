"""Truncated SVD of the scan matrix by block subspace iteration.

The leading singular vectors are found by randomised subspace iteration over blocks of positions
(Halko, Martinsson & Tropp, SIAM Review 53 (2011) 217): only (dimensions × pixels) sums leave a
block. Factors are then fitted in the compressed space, where an iteration costs as much as one of
a matrix of some forty columns (Erichson et al., Pattern Recognition Letters 104 (2018) 1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.components.options import Scaling
from phaseloom.components.patterns.matrix import over_blocks
from phaseloom.compute.device import one_thread, torch_device
from phaseloom.compute.execution import Execution
from phaseloom.compute.keywords import takes_options
from phaseloom.errors import InputError

if TYPE_CHECKING:
    import torch

    from phaseloom.components.patterns.matrix import MatrixBlock, Prepared

_FLOOR = 0.02
"""Lower limit of a pixel's, or a position's, mean counts as a fraction of the mean of all."""

CHUNK = 2**20
"""Numbers worked on at once, so that intermediate results stay in the processor's cache."""


@dataclass(frozen=True, eq=False)
class Scales:
    """Scales of rows and columns that the matrix is divided by, and sums of the matrix.

    For counts, V / √(row mean · column mean) has the same variance everywhere, and stays a sum of
    non-negative components (Keenan & Kotula, Surface and Interface Analysis 36 (2004) 203).

    Parameters
    ----------
    rows, columns
        (positions,) and (pixels,): V is divided by both.
    square
        ‖V‖² of the matrix before scaling.
    mean
        Mean pattern (pixels,).
    """

    rows: NDArray[np.float32]
    columns: NDArray[np.float32]
    square: float
    mean: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Compressed:
    """Truncated SVD of the scaled matrix, ``scores @ basis``.

    Parameters
    ----------
    scores
        (positions, dimensions), in the order of falling variance.
    basis
        (dimensions, pixels), orthonormal rows.
    scales
        What the matrix was divided by.
    total
        ‖V‖² of the scaled matrix.
    held_out
        Positions that took no part in finding the basis, to test on.
    held_out_rows
        The scaled matrix at these positions (held_out, pixels), not truncated.
    """

    scores: NDArray[np.float32]
    basis: NDArray[np.float32]
    scales: Scales
    total: float
    held_out: NDArray[np.intp]
    held_out_rows: NDArray[np.float32]

    @property
    def left_out(self) -> float:
        """‖V‖² of the dimensions that were truncated."""
        return max(self.total - float(np.square(self.scores, dtype=np.float64).sum()), 0.0)


@takes_options()
def compress(
    prepared: Prepared,
    *,
    dimensions: int = 48,
    scaling: Scaling = "poisson",
    held_out: int = 0,
    seed: int = 0,
    execution: Execution,
) -> Compressed:
    """Truncated SVD of the scaled matrix of a scan.

    Parameters
    ----------
    prepared
        The matrix, in blocks.
    dimensions
        How many; fewer when the matrix has not so many rows or columns. Take twice the number of
        components, and some.
    scaling
        ``"poisson"`` gives all counts the same variance, ``"none"`` leaves them as they are.
    held_out
        Positions held out (at most an eighth of all): the basis is found without them.
    seed
        Same seed, same result.
    **options
        How it is carried out.

    Returns
    -------
    Compressed

    Raises
    ------
    InputError
        All patterns are empty.
    """
    n, m = prepared.shape
    dimensions = max(1, min(dimensions, n, m))

    def pass_over(function: Callable[..., Any], label: str, *arguments: Any) -> Iterator[Any]:
        work = partial(function, *arguments, device=torch_device(execution.device).type)
        return over_blocks(prepared, work, label, execution=execution)

    rng = np.random.default_rng(seed)
    test = np.sort(rng.choice(n, min(held_out, n // 8), replace=False))
    directions = rng.standard_normal((m, dimensions)).astype(np.float32)
    # The leading directions before scaling are close to those of the scaled matrix.
    scales, product = _scales(n, m, pass_over(_sums, "counting", directions, test), scaling)
    basis = _orthonormal(product / scales.columns[:, None])
    product = np.zeros((m, dimensions))
    for _, of_block in pass_over(_scaled_product, "compressing", _Subspace(basis, scales, test)):
        product += of_block
    basis = _orthonormal(product)
    scores = np.empty((n, dimensions), dtype=np.float32)
    test_rows = np.empty((len(test), m), dtype=np.float32)
    total = 0.0
    subspace = _Subspace(basis, scales, test)
    for rows, projected in pass_over(_projected, "compressing", subspace):
        scores[rows], square, test_rows[_within(test, rows)] = projected
        total += square
    # Directions of falling variance, again without the positions held out.
    fitted = np.delete(scores, test, axis=0).astype(np.float64)
    _, rotation = np.linalg.eigh(fitted.T @ fitted)
    rotation = rotation[:, ::-1].astype(np.float32)
    return Compressed(
        scores @ rotation, np.ascontiguousarray((basis @ rotation).T), scales, total, test,
        test_rows,
    )  # fmt: skip


def _within(positions: NDArray[np.intp], rows: slice) -> slice:
    """Which of these positions, in order, lie in these rows."""
    first, last = np.searchsorted(positions, [rows.start, rows.stop])
    return slice(int(first), int(last))


@one_thread()
def _orthonormal(columns: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(np.linalg.qr(columns)[0], dtype=np.float32)


def _scales(
    n: int, m: int, sums: Iterator[Any], scaling: Scaling
) -> tuple[Scales, NDArray[np.float64]]:
    """The scales and ‖V‖², and VᵀV times the random directions, of the sums of all blocks."""
    row, column, square = np.zeros(n), np.zeros(m), 0.0
    product: Any = 0.0
    for rows, (of_rows, of_columns, of_squares, of_block) in sums:
        row[rows] = of_rows
        column += of_columns
        square += float(of_squares)
        product = product + of_block
    mean = column.mean() / n
    if mean <= 0:
        raise InputError(
            "all patterns are empty", "look at the mask, and at the peaks that were found"
        )
    divisors = np.ones(n, np.float32), np.ones(m, np.float32)
    if scaling == "poisson":
        divisors = (
            np.sqrt(np.maximum(row / m / mean, _FLOOR)).astype(np.float32),
            np.sqrt(np.maximum(column / n, _FLOOR * mean)).astype(np.float32),
        )
    return Scales(*divisors, square, (column / n).astype(np.float32)), product


def tensor(values: NDArray[Any], device: str) -> torch.Tensor:
    """An array on a device, float32, shared in memory where it can be."""
    import torch

    # Torch wants memory that could be written to, which that from another process is not.
    return torch.from_numpy(np.require(values, np.float32, ["C", "W"])).to(device)


class _Subspace(NamedTuple):
    """The basis found so far, and how the matrix is scaled."""

    basis: NDArray[np.float32]
    scales: Scales
    held_out: NDArray[np.intp]

    def on_device(self, block: MatrixBlock, device: str) -> tuple[torch.Tensor, ...]:
        """Rows of a block, scales of rows and of columns, basis divided by those of columns."""
        values = tensor(block.load(), device)
        columns = tensor(self.scales.columns, device)
        rows = tensor(self.scales.rows[block.rows], device)
        return values, rows, columns, tensor(self.basis, device) / columns[:, None]


def _sums(
    random: NDArray[np.float32], held_out: NDArray[np.intp], block: MatrixBlock, *, device: str
) -> tuple[NDArray[np.float64], ...]:
    """Sums over rows and columns, of squares, and a block's term of VᵀV times the directions."""
    import torch

    values, directions = tensor(block.load(), device), tensor(random, device)
    row = values @ values.new_ones(values.shape[1])
    column = values.new_ones(len(values)) @ values
    square = torch.linalg.vector_norm(values, dim=1).double().square().sum()
    scores = values @ directions
    scores[_rows_held_out(held_out, block)] = 0
    sums = (row, column, square, values.T @ scores)
    return tuple(part.cpu().numpy().astype(np.float64) for part in sums)


def _scaled_product(subspace: _Subspace, block: MatrixBlock, *, device: str) -> NDArray[np.float64]:
    """A block's term of VᵀV times the basis, V the scaled matrix without positions held out."""
    values, rows, columns, directions = subspace.on_device(block, device)
    scores = values @ directions / rows.square()[:, None]
    scores[_rows_held_out(subspace.held_out, block)] = 0
    return ((values.T @ scores) / columns[:, None]).cpu().numpy().astype(np.float64)


def _projected(
    subspace: _Subspace, block: MatrixBlock, *, device: str
) -> tuple[NDArray[np.float32], float, NDArray[np.float32]]:
    """Scores of a block, ‖V‖² of its scaled rows, and its scaled rows that are held out."""
    values, rows, columns, directions = subspace.on_device(block, device)
    scores = values @ directions / rows[:, None]
    step = max(1, CHUNK // values.shape[1])
    square = 0.0
    for first in range(0, len(values), step):
        part = values[first : first + step].square() @ columns.pow(-2)
        square += float((part / rows[first : first + step].square()).double().sum())
    test = _rows_held_out(subspace.held_out, block)
    test_rows = values[test] / rows[test, None] / columns
    return scores.cpu().numpy(), square, test_rows.cpu().numpy()


def _rows_held_out(held_out: NDArray[np.intp], block: MatrixBlock) -> NDArray[np.intp]:
    """Rows of a block that are held out, counted from its first."""
    return np.asarray(held_out[_within(held_out, block.rows)] - block.rows.start)
