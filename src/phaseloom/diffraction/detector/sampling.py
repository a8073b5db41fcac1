"""Sample of a scan: a few patterns, evenly spread, read without reading the scan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError

if TYPE_CHECKING:
    import xarray as xr


_BYTES = 2**28
"""Of a sample as float32: what looks at it takes some copies."""
_FEWEST, _MOST = 8, 36


def sample_size(scan: xr.Dataset) -> int:
    """How many patterns to look at before all others: 36, of large ones fewer, down to 8."""
    pattern = 4 * scan.sizes["ky"] * scan.sizes["kx"]
    return int(np.clip(_BYTES // max(1, pattern), _FEWEST, _MOST))


def sample_patterns(scan: xr.Dataset, n: int = 64) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Patterns from a grid of scan positions that covers the scan evenly.

    Parameters
    ----------
    scan
        With ``counts`` (y, x, ky, kx), in memory or lazy.
    n
        At most so many patterns. A scan with fewer positions is read whole.

    Returns
    -------
    patterns : ndarray
        (≤ n, ky, kx), as stored.
    positions : ndarray
        (≤ n, 2), the scan indices (y, x) of the patterns, in reading order.

    Notes
    -----
    Lazy scans are read one chunk at a time, each once, so no more than one chunk and the sample
    are in memory.
    """
    if n < 1:
        raise InputError(f"a sample of {n} patterns cannot be", "ask for at least one")
    counts = scan["counts"].transpose("y", "x", "ky", "kx")
    if 0 in counts.shape:
        raise InputError(
            "the scan holds no pattern",
            "see whether the file is complete",
            source=scan.attrs.get("source"),
        )
    positions = _grid((counts.sizes["y"], counts.sizes["x"]), n)
    if counts.chunks is None:
        y, x = positions.T
        return counts.to_numpy()[y, x], positions
    return _read_by_chunk(counts.data, positions), positions


def _grid(shape: tuple[int, int], n: int) -> NDArray[np.intp]:
    """At most ``n`` positions on a grid with about equal steps along y and x."""
    height, width = shape
    rows = min(max(round(np.sqrt(n * height / width)), 1), height, n)
    columns = min(n // rows, width)
    rows = min(n // columns, height)
    y = ((np.arange(rows) + 0.5) * height / rows).astype(np.intp)
    x = ((np.arange(columns) + 0.5) * width / columns).astype(np.intp)
    return np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).reshape(-1, 2)


def _read_by_chunk(counts: Any, positions: NDArray[np.intp]) -> NDArray[Any]:
    """Patterns of a dask array; those of one chunk in one computation, which reads it once."""
    import dask

    ends = [np.cumsum(chunks) for chunks in counts.chunks[:2]]
    chunk = np.stack(
        [np.searchsorted(end, positions[:, axis], side="right") for axis, end in enumerate(ends)]
    )
    _, group = np.unique(chunk, axis=1, return_inverse=True)
    patterns = np.empty((len(positions), *counts.shape[2:]), dtype=counts.dtype)
    for number in range(group.max() + 1):
        members = np.flatnonzero(group == number)
        for i, pattern in zip(
            members, dask.compute(*(counts[y, x] for y, x in positions[members])), strict=True
        ):
            patterns[i] = pattern
    return patterns
