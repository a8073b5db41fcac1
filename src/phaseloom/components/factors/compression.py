"""A scan's matrix in few dimensions: what is left of V when its noise is left behind.

The leading directions of the pattern space are found by subspace iteration over blocks of
positions (Halko, Martinsson & Tropp, SIAM Review 53 (2011) 217). Of the matrix itself nothing but
(dimensions × pixels) sums of a block leave the block; factors are then found in the compressed
space, where an iteration costs as much as one of a matrix of some forty columns (Erichson et al.,
Pattern Recognition Letters 104 (2018) 1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from phaseloom.components.patterns.matrix import over_blocks
from phaseloom.compute.device import Device, one_thread, torch_device
from phaseloom.compute.progress import SILENT, Progress
from phaseloom.errors import InputError

if TYPE_CHECKING:
    import torch

    from phaseloom.components.patterns.matrix import MatrixBlock, Prepared

Scaling = Literal["poisson", "none"]

_FLOOR = 0.02
"""Part of the mean below which a pixel's, or a position's, counts are taken for no fewer."""

_CHUNK = 2**20
"""Numbers worked on at once: what is made of them stays in the processor's cache."""


@dataclass(frozen=True, eq=False)
class Scales:
    """What the matrix is divided by, row by row and column by column, and its sums.

    For counts, V / √(row mean · column mean) has the same variance everywhere, and stays a sum of
    non-negative components (Keenan & Kotula, Surface and Interface Analysis 36 (2004) 203).

    Parameters
    ----------
    rows, columns
        (positions,) and (pixels,): V is divided by both.
    square
        ‖V‖² of the matrix as it is.
    mean
        Mean pattern (pixels,).
    """

    rows: NDArray[np.float32]
    columns: NDArray[np.float32]
    square: float
    mean: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Compressed:
    """The scaled matrix as ``scores @ basis``, and the little that this leaves out.

    Parameters
    ----------
    scores
        (positions, dimensions), in the order of falling variance.
    basis
        (dimensions, pixels), orthonormal rows.
    scales
        What the matrix was divided by.
    total
        Square of the norm of the whole scaled matrix.
    apart
        Positions that the basis was found without, to test on.
    rows_apart
        The scaled matrix at these positions (apart, pixels), as it is.
    """

    scores: NDArray[np.float32]
    basis: NDArray[np.float32]
    scales: Scales
    total: float
    apart: NDArray[np.intp]
    rows_apart: NDArray[np.float32]

    @property
    def left_out(self) -> float:
        """Square of the norm of what the dimensions do not hold."""
        return max(self.total - float(np.square(self.scores, dtype=np.float64).sum()), 0.0)


def compress(
    prepared: Prepared,
    *,
    dimensions: int = 48,
    scaling: Scaling = "poisson",
    test: int = 0,
    seed: int = 0,
    device: Device = "auto",
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Progress = SILENT,
) -> Compressed:
    """The matrix of a scan in few dimensions.

    Parameters
    ----------
    prepared
        The matrix, in blocks.
    dimensions
        How many; fewer when the matrix has not so many rows or columns. Take twice the number of
        components, and some.
    scaling
        ``"poisson"`` gives all counts the same variance, ``"none"`` leaves them as they are.
    test
        Positions set apart (at most an eighth of all): the basis is found without them.
    seed
        Same seed, same result.
    device
        Where blocks are multiplied.
    workers, scheduler, progress
        As for :func:`phaseloom.compute.blocks.run_blocks`.

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

    def passed(function: Callable[..., Any], said: str, *given: Any) -> Iterator[Any]:
        work = partial(function, *given, device=torch_device(device).type)
        return over_blocks(
            prepared, work, said, workers=workers, scheduler=scheduler, progress=progress
        )

    rng = np.random.default_rng(seed)
    apart = np.sort(rng.choice(n, min(test, n // 8), replace=False))
    drawn = rng.standard_normal((m, dimensions)).astype(np.float32)
    # The matrix as it is has the directions of the scaled one, less well weighed.
    scales, turned = _scales(n, m, passed(_sums, "counting", drawn, apart), scaling)
    basis = _orthonormal(turned / scales.columns[:, None])
    turned = np.zeros((m, dimensions))
    for _, part in passed(_turned, "compressing", basis, scales, apart):
        turned += part
    basis = _orthonormal(turned)
    scores = np.empty((n, dimensions), dtype=np.float32)
    rows_apart = np.empty((len(apart), m), dtype=np.float32)
    total = 0.0
    for rows, (part, square, kept) in passed(_projected, "compressing", basis, scales, apart):
        scores[rows] = part
        rows_apart[_within(apart, rows)] = kept
        total += square
    # Directions of falling variance, again without the positions set apart.
    inside = np.delete(scores, apart, axis=0).astype(np.float64)
    _, turn = np.linalg.eigh(inside.T @ inside)
    turn = turn[:, ::-1].astype(np.float32)
    return Compressed(
        scores @ turn, np.ascontiguousarray((basis @ turn).T), scales, total, apart, rows_apart
    )


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
    row, column, square = np.zeros(n), np.zeros(m), 0.0
    turned: Any = 0.0
    for rows, (of_rows, of_columns, of_squares, part) in sums:
        row[rows] = of_rows
        column += of_columns
        square += float(of_squares)
        turned = turned + part
    mean = column.mean() / n
    if mean <= 0:
        raise InputError(
            "there is nothing in any pattern", "look at the mask, and at the peaks that were found"
        )
    ones = np.ones(n, np.float32), np.ones(m, np.float32)
    if scaling == "poisson":
        ones = (
            np.sqrt(np.maximum(row / m / mean, _FLOOR)).astype(np.float32),
            np.sqrt(np.maximum(column / n, _FLOOR * mean)).astype(np.float32),
        )
    return Scales(*ones, square, (column / n).astype(np.float32)), turned


def tensor(values: NDArray[Any], device: str) -> torch.Tensor:
    """An array on a device, float32, shared in memory where it can be."""
    import torch

    # Torch wants memory that could be written to, which that from another process is not.
    return torch.from_numpy(np.require(values, np.float32, ["C", "W"])).to(device)


def _sums(
    drawn: NDArray[np.float32], apart: NDArray[np.intp], block: MatrixBlock, *, device: str
) -> tuple[NDArray[np.float64], ...]:
    """Sums over rows and columns, of squares, and what a block adds to VᵀV drawn."""
    import torch

    values, directions = tensor(block.load(), device), tensor(drawn, device)
    row = values @ values.new_ones(values.shape[1])
    column = values.new_ones(len(values)) @ values
    square = torch.linalg.vector_norm(values, dim=1).double().square().sum()
    scores = values @ directions
    scores[apart[_within(apart, block.rows)] - block.rows.start] = 0
    sums = (row, column, square, values.T @ scores)
    return tuple(part.cpu().numpy().astype(np.float64) for part in sums)


def _turned(
    basis: NDArray[np.float32],
    scales: Scales,
    apart: NDArray[np.intp],
    block: MatrixBlock,
    *,
    device: str,
) -> NDArray[np.float64]:
    """What a block adds to VᵀV basis, with V the scaled matrix without positions set apart."""
    values = tensor(block.load(), device)
    columns = tensor(scales.columns, device)[:, None]
    rows = tensor(scales.rows[block.rows], device)[:, None]
    scores = values @ (tensor(basis, device) / columns) / rows.square()
    scores[apart[_within(apart, block.rows)] - block.rows.start] = 0
    return ((values.T @ scores) / columns).cpu().numpy().astype(np.float64)


def _projected(
    basis: NDArray[np.float32],
    scales: Scales,
    apart: NDArray[np.intp],
    block: MatrixBlock,
    *,
    device: str,
) -> tuple[NDArray[np.float32], float, NDArray[np.float32]]:
    values = tensor(block.load(), device)
    columns = tensor(scales.columns, device)
    rows = tensor(scales.rows[block.rows], device)
    scores = values @ (tensor(basis, device) / columns[:, None]) / rows[:, None]
    step = max(1, _CHUNK // values.shape[1])
    square = 0.0
    step = max(1, _CHUNK // values.shape[1])
    for first in range(0, len(values), step):
        part = values[first : first + step].square() @ columns.pow(-2)
        square += float((part / rows[first : first + step].square()).double().sum())
    here = apart[_within(apart, block.rows)] - block.rows.start
    kept = values[here] / rows[here, None] / columns
    return scores.cpu().numpy(), square, kept.cpu().numpy()
