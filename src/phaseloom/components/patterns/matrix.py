"""The matrix that is factorised, scan positions by detector pixels, in blocks of positions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.compute.blocks import run_blocks
from phaseloom.compute.execution import Execution
from phaseloom.errors import InputError

_BLOCK_BYTES = 64 * 2**20


class MatrixBlock(Protocol):
    """Some rows of the matrix, not yet loaded; can be sent to another process."""

    @property
    def rows(self) -> slice:
        """Positions of the scan in reading order."""

    def load(self) -> NDArray[np.float32]:
        """The rows: finite and not negative."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """Patterns prepared for factorisation: the matrix V, one row per scan position.

    Parameters
    ----------
    blocks
        All rows in reading order of the scan, each in one block.
    scan_shape
        Scan positions (y, x).
    pixels
        Which pixels (ky, kx) of a pattern are columns, in reading order; the others (direct
        beam, no peaks) are not used.
    y, x, ky, kx
        Coordinates of positions and pixels.
    attrs
        ``length_units``, ``reciprocal_units``, and how the patterns were prepared.
    """

    blocks: Sequence[MatrixBlock]
    scan_shape: tuple[int, int]
    pixels: NDArray[np.bool_]
    y: NDArray[np.float64]
    x: NDArray[np.float64]
    ky: NDArray[np.float64]
    kx: NDArray[np.float64]
    attrs: dict[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """Positions and pixels in use."""
        return self.scan_shape[0] * self.scan_shape[1], int(np.count_nonzero(self.pixels))

    def image(self, columns: ArrayLike) -> NDArray[np.float32]:
        """Patterns (…, ky, kx) of values (…, columns), NaN where a pixel is not used."""
        values = np.asarray(columns, dtype=np.float32)
        image = np.full((*values.shape[:-1], *self.pixels.shape), np.nan, dtype=np.float32)
        image[..., self.pixels] = values
        return image

    def map(self, rows: ArrayLike) -> NDArray[Any]:
        """Maps (…, y, x) of values (…, positions)."""
        values = np.asarray(rows)
        return values.reshape(*values.shape[:-1], *self.scan_shape)


@dataclass(frozen=True, eq=False)
class ArrayBlock:
    """Rows of a matrix in memory."""

    rows: slice
    values: NDArray[Any]

    def load(self) -> NDArray[np.float32]:
        """The rows as numbers."""
        return checked(np.asarray(self.values, dtype=np.float32), self.rows.start)


def matrix_of(patterns: ArrayLike, pixels: ArrayLike | None = None) -> Prepared:
    """The matrix of a scan in memory, without preparation.

    Parameters
    ----------
    patterns
        (y, x, ky, kx), finite and not negative.
    pixels
        Mask (ky, kx) of the pixels to use; all by default.

    Returns
    -------
    Prepared
        Coordinates in px, of the detector from its middle (rows // 2, columns // 2).

    Raises
    ------
    InputError
        The array has not four axes, or is negative or not finite somewhere.
    """
    values = np.asarray(patterns)
    if values.ndim != 4 or not values.size:
        raise InputError(f"an array of shape {values.shape} is no scan", "give (y, x, ky, kx)")
    ny, nx, n_ky, n_kx = values.shape
    used = np.ones((n_ky, n_kx), bool) if pixels is None else np.asarray(pixels, dtype=np.bool_)
    rows = values.reshape(ny * nx, -1)
    if not used.all():
        rows = rows[:, used.ravel()]
    step = max(1, _BLOCK_BYTES // (4 * rows.shape[1]))
    edges = [*range(0, len(rows), step), len(rows)]
    return Prepared(
        blocks=[ArrayBlock(slice(a, b), rows[a:b]) for a, b in pairwise(edges)],
        scan_shape=(ny, nx),
        pixels=used,
        y=np.arange(ny, dtype=np.float64),
        x=np.arange(nx, dtype=np.float64),
        ky=np.arange(n_ky) - n_ky // 2.0,
        kx=np.arange(n_kx) - n_kx // 2.0,
        attrs={"length_units": "px", "reciprocal_units": "px"},
    )


def over_blocks(
    prepared: Prepared,
    function: Callable[..., Any],
    label: str = "",
    *,
    along: Sequence[NDArray[Any]] = (),
    execution: Execution | None = None,
) -> Iterator[tuple[slice, Any]]:
    """Call a function on every block of a matrix, several at once.

    Parameters
    ----------
    prepared
        The matrix.
    function
        As for :func:`phaseloom.compute.blocks.run_blocks`.
    label
        What the work is called in ``execution.progress``.
    along
        Arrays (positions, …): the function gets the rows of its block, after the block.
    execution
        Workers, cluster and progress.

    Yields
    ------
    rows : slice
        Positions of a block.
    result
        Of that block. Blocks finish in any order, but come in that of the scan: sums of rounded
        numbers are then the same in every run.
    """
    execution = execution or Execution()
    waiting: dict[int, Any] = {}
    following = 0
    blocks = [
        _BlockAlong(block, tuple(array[block.rows] for array in along)) for block in prepared.blocks
    ]
    finished = run_blocks(partial(_call, function), blocks, execution)
    for index, result in execution.progress.track(finished, label, total=len(prepared.blocks)):
        waiting[index] = result
        del result
        while following in waiting:
            yield prepared.blocks[following].rows, waiting.pop(following)
            following += 1


@dataclass(frozen=True, eq=False)
class _BlockAlong:
    """A block, and the rows of other arrays that go with it."""

    block: MatrixBlock
    along: tuple[NDArray[Any], ...]


def _call(function: Callable[..., Any], item: _BlockAlong) -> Any:
    return function(item.block, *item.along)


def checked(values: NDArray[np.float32], first: int = 0) -> NDArray[np.float32]:
    """The rows, if all intensities are finite and none is negative.

    Raises
    ------
    InputError
        One is not; its position is counted from `first`, the position of the first row.
    """
    lowest = float(values.min(initial=0.0))
    # NaN is neither below nor above anything; its sum is.
    if np.isfinite(lowest) and lowest >= 0 and np.isfinite(values.sum(dtype=np.float64)):
        return values
    wrong = ~np.isfinite(values) | (values < 0)
    row = int(np.flatnonzero(wrong.any(axis=1))[0])
    fault = "negative" if bool((values[row] < 0).any()) else "not a number"
    raise InputError(
        f"the pattern of position {first + row} holds an intensity that is {fault}",
        "subtract less background, or mask those pixels: factors are never negative",
    )
