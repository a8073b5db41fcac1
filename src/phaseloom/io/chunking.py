"""How a scan is divided into chunks of whole patterns."""

from __future__ import annotations

from collections.abc import Sequence

CHUNK = 32 * 2**20
"""Bytes of a chunk."""
_STORED_AT_MOST = 4 * CHUNK


def chunks(
    shape: Sequence[int], itemsize: int, stored: Sequence[int] = (1, 1)
) -> tuple[int, int, int, int]:
    """Chunks of whole patterns in scan order, of 32 MB at most where the file allows it.

    Parameters
    ----------
    shape
        (y, x, ky, kx).
    itemsize
        Bytes of a number.
    stored
        Rows and columns of the scan in a block of the file that can only be read whole.
    """
    pattern = max(1, shape[2] * shape[3] * itemsize)
    rows, columns = (max(1, min(stored[axis], shape[axis])) for axis in (0, 1))
    if rows * columns * pattern > _STORED_AT_MOST:
        rows = columns = 1
    if rows * shape[1] * pattern <= CHUNK:
        rows *= max(1, CHUNK // (rows * max(1, shape[1]) * pattern))
        columns = shape[1]
    else:
        columns *= max(1, CHUNK // (rows * columns * pattern))
    return min(rows, shape[0]), min(columns, shape[1]), shape[2], shape[3]
