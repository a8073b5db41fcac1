"""Stacks ``.stk`` as written by the X1A software and aXis2000: big-endian, one file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from phaseloom.errors import InputError
from phaseloom.io.choice import FIRST, Choice
from phaseloom.io.readers._axis_stack import DETECTOR, build_stack, read_raw_frames

format_name = "aXis2000 STK"
file_extensions = (".stk",)
describe = "aXis2000 / X1A stack in one binary file"

_SIZES = np.dtype(">i4")
_VALUES = np.dtype(">f4")
_LARGEST = 2**16


def _sizes(path: Path) -> tuple[int, int, int] | None:
    """(columns, rows, energies) as far as they are plausible."""
    sizes = [int(size) for size in np.fromfile(path, dtype=_SIZES, count=3)]
    if len(sizes) < 3 or not all(0 < size < _LARGEST for size in sizes):
        return None
    return sizes[0], sizes[1], sizes[2]


def reads_this(path: Path) -> bool:
    """Whether the file begins with three plausible sizes (TIFF files of this name do not)."""
    try:
        return _sizes(path) is not None
    except OSError:
        return False


def read(path: Path, choice: Choice = FIRST) -> xr.Dataset:
    """Read a ``.stk`` stack: float32, as :func:`build_stack` makes it.

    The file is big-endian: int32 columns, rows, energies; then float32 x, y, energy, dwell
    time (ms) and the values, x fastest, then y, then energy.

    Raises
    ------
    InputError
        The file is truncated or longer than its sizes say, or its axes are not usable.
    """
    choice.require_only(DETECTOR, path)
    sizes = _sizes(path)
    if sizes is None:
        raise InputError("does not begin with the sizes of a stack", source=path)
    columns, rows, count = sizes
    lengths = (columns, rows, count, count)
    header = np.fromfile(path, dtype=_VALUES, count=sum(lengths), offset=3 * _SIZES.itemsize)
    if header.size < sum(lengths):
        raise InputError("breaks off within its axes", "restore the file", source=path)
    x, y, energies, dwell = np.split(header.astype(np.float64), np.cumsum(lengths[:-1]))
    frames = read_raw_frames(
        path,
        _VALUES,
        (count, rows, columns),
        offset=3 * _SIZES.itemsize + header.nbytes,
        partial=choice.partial,
    )
    return build_stack(
        path,
        frames,
        format_name=format_name,
        energies=energies,
        y=y,
        x=x,
        dwell=dwell,
        partial=choice.partial,
    )
