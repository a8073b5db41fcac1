"""Fingerprints (hashes) of input files and arrays, kept with every result."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WHOLE = 64 * 2**20
"""Bytes up to which all of the content counts."""
_PIECE = 64 * 2**10
_N_PIECES = 64
_N_PATTERNS = 3


def input_fingerprint(paths: str | PathLike[str] | Iterable[str | PathLike[str]]) -> str:
    """Hash of files (or folders) by size and content.

    Up to 64 MB all content counts; of a larger file its head, its tail and 64 evenly spaced
    pieces, 64 kB each, so that a scan of 30 GB takes no longer. Names and dates do not count.

    Parameters
    ----------
    paths
        One or several files; of a folder all files in it, in the order of their names.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    several = [paths] if isinstance(paths, str | PathLike) else list(paths)
    digest = hashlib.blake2b(digest_size=16)
    for path in map(Path, several):
        files = [path]
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.is_file())
        budget = WHOLE // max(1, len(files))
        for file in files:
            size = file.stat().st_size
            digest.update(f"{size};".encode())
            with file.open("rb") as stream:
                for start, length in _pieces(size, WHOLE if len(files) == 1 else budget):
                    stream.seek(start)
                    digest.update(stream.read(length))
    return digest.hexdigest()


def array_fingerprint(array: Any) -> str:
    """Hash of an array by type, shape and content, sampled as files are.

    Of a dask array only the first, the middle and the last pattern are computed.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{array.dtype.str};{array.shape}".encode())
    if not isinstance(array, np.ndarray):
        flat = array.reshape(-1, *array.shape[-2:]) if array.ndim > 2 else array[None]
        chosen = np.unique(np.linspace(0, len(flat) - 1, _N_PATTERNS).astype(int))
        for index in chosen:
            digest.update(np.ascontiguousarray(flat[int(index)].compute()).tobytes())
        return digest.hexdigest()
    for start, length in _pieces(array.nbytes, WHOLE):
        digest.update(_bytes(array, start, length))
    return digest.hexdigest()


def _bytes(array: NDArray[Any], start: int, length: int) -> bytes:
    """Bytes of an array as if it lay contiguous."""
    first, last = start // array.itemsize, -(-(start + length) // array.itemsize)
    part = array.reshape(-1)[first:last] if array.flags.c_contiguous else array.flat[first:last]
    return np.ascontiguousarray(part).tobytes()


def _pieces(size: int, whole: int) -> list[tuple[int, int]]:
    """First byte and length of each piece that counts."""
    if size <= max(whole, (_N_PIECES + 2) * _PIECE):
        return [(0, size)]
    starts = np.linspace(0, size - _PIECE, _N_PIECES + 2).astype(np.int64)
    return [(int(start), _PIECE) for start in starts]
