"""Lazy arrays in binary and HDF5 files: only the slice asked for is read.

Each is opened anew wherever it is read, so that it can be sent to another process.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.chunking import chunks
from phaseloom.io.readers import _hdf5 as hdf5


@dataclass(frozen=True)
class MappedArray:
    """An array in a binary file, mapped into memory.

    Parameters
    ----------
    path, offset, stored, shape
        File, first byte, type of an element (with ``field``: a record that has it) and the
        shape in the file; with a field, its own dimensions come after these.
    field
        The field of the record that is meant.
    order
        ``"C"`` or ``"F"``.
    axes
        Order of the axes wanted, as for :func:`numpy.transpose`.
    upside_down
        The rows of the patterns (last axis but one) are stored from the bottom.
    """

    path: Path
    offset: int
    stored: np.dtype[Any]
    file_shape: tuple[int, ...]
    field: str | None = None
    order: str = "C"
    axes: tuple[int, ...] | None = None
    upside_down: bool = False

    @property
    def _element(self) -> tuple[np.dtype[Any], tuple[int, ...]]:
        item = self.stored if self.field is None else self.stored[self.field]
        return item.base, item.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers, native byte order."""
        return self._element[0].newbyteorder("=")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape after putting the axes in order."""
        shape = self.file_shape + self._element[1]
        return shape if self.axes is None else tuple(shape[axis] for axis in self.axes)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Read a part."""
        try:
            array: Any = np.memmap(
                self.path,
                mode="r",
                dtype=self.stored,
                offset=self.offset,
                shape=self.file_shape,
                order="F" if self.order == "F" else "C",
            )
        except (OSError, ValueError, OverflowError) as fault:
            raise InputError(
                f"can no longer be read ({fault})", "was it moved or cut short?", source=self.path
            ) from fault
        if self.field is not None:
            array = array[self.field]
        if self.axes is not None:
            array = array.transpose(self.axes)
        if self.upside_down:
            array = array[..., ::-1, :]
        return np.array(array[key], dtype=self.dtype)

    def __dask_tokenize__(self) -> object:
        return ("mapped", *_state(self.path), *map(str, self.__dict__.values()))


@dataclass(frozen=True)
class HdfArray:
    """A dataset of an HDF5 file, its axes in the order wanted.

    Parameters
    ----------
    path, name, dtype
        File, dataset, type of the numbers in native byte order.
    shape
        The shape wanted: that of the dataset in the order of ``axes``, before it ones.
    axes
        Axes of the dataset in the order wanted.
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    axes: tuple[int, ...]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Read a part."""
        keys = key if isinstance(key, tuple) else (key,)
        keys = (*keys, *(slice(None),) * (self.ndim - len(keys)))
        added = self.ndim - len(self.axes)
        in_file: list[Any] = [slice(None)] * len(self.axes)
        lists: dict[int, NDArray[np.intp]] = {}
        for axis, wanted in zip(self.axes, keys[added:], strict=True):
            in_file[axis] = wanted
            if np.ndim(wanted):
                # HDF5 takes one list, which has to rise: read what encloses it.
                lists[axis] = np.asarray(wanted)
                in_file[axis] = slice(int(min(wanted)), int(max(wanted)) + 1)
        with hdf5.open_hdf5(self.path) as file:
            item = hdf5.dataset(file, self.name)
            if item is None:
                raise InputError(f"no longer holds {self.name}", source=self.path)
            part = hdf5.part(item, tuple(in_file))
        kept = [axis for axis, wanted in enumerate(in_file) if isinstance(wanted, slice)]
        for axis, chosen in lists.items():
            part = part.take(chosen - in_file[axis].start, axis=kept.index(axis))
        part = part.transpose([kept.index(axis) for axis in self.axes if axis in kept])
        part = part.reshape((1,) * added + part.shape)[keys[:added]]
        return part.astype(self.dtype, copy=False)

    def __dask_tokenize__(self) -> object:
        return ("hdf5", *_state(self.path), self.name, self.shape, str(self.dtype), self.axes)


def _state(path: Path) -> tuple[str, int, int]:
    state = path.stat()
    return str(path.absolute()), state.st_size, state.st_mtime_ns


def lazily(array: Any, stored: Sequence[int] = (1, 1)) -> Any:
    """A dask array (y, x, ky, kx) of an array in a file."""
    import dask.array as da

    return da.from_array(array, chunks=chunks(array.shape, array.dtype.itemsize, stored))


def pattern_type(dtype: Any, shape: tuple[int, ...], path: Path) -> np.dtype[Any]:
    """The type of a pattern (rows, columns) as it lies in a file.

    Raises
    ------
    InputError
        The file says that a pattern is larger than any can be.
    """
    if prod(shape) * np.dtype(dtype).itemsize >= 2**30:
        raise InputError(
            f"says that a pattern has {shape[0]}×{shape[1]} pixels", "copy it again", source=path
        )
    return np.dtype((dtype, shape))


def frames_in_file(
    path: Path,
    *,
    offset: int,
    frame: np.dtype[Any],
    field: str | None,
    shape: tuple[int, int],
    partial: bool,
    upside_down: bool = False,
    tail: int = 0,
) -> Any:
    """The patterns of a scan that lie one after the other in a file, as a dask array.

    Parameters
    ----------
    path, offset
        File and first byte of the first pattern.
    frame, field
        The record of one pattern and the field with its pixels, or a type with a shape.
    shape
        Scan positions (y, x) which the file claims to hold.
    partial
        Take what there is of an incomplete file: rows of the scan that are complete if the
        numbers are integers, all patterns and NaN for the others if they are not.
    upside_down
        Rows of a pattern are stored from the bottom.
    tail
        Bytes at the end of a record that the last one may lack.

    Raises
    ------
    InputError
        The file is shorter than it claims and `partial` is false, or it holds nothing.
    """
    import dask.array as da

    promised = prod(shape)
    stored = max(0, (path.stat().st_size - offset + tail) // max(1, frame.itemsize))
    if min(*shape, frame.itemsize) < 1:
        raise InputError(
            f"claims a scan of {shape[0]}×{shape[1]} patterns of {frame.itemsize} bytes",
            "its header is damaged",
            source=path,
        )

    def mapped(first: int, part: tuple[int, int]) -> Any:
        return lazily(
            MappedArray(
                path, offset + first * frame.itemsize, *_flat(frame, field, part), field,
                upside_down=upside_down,
            )
        )  # fmt: skip

    if stored >= promised:
        return mapped(0, shape)
    fault = f"holds {stored} of the {promised} patterns it promises ({shape[0]}×{shape[1]})"
    pixels = (frame if field is None else frame[field]).base
    rows, rest = divmod(stored, shape[1])
    # A damaged header may promise anything: a scan that is all but empty is none.
    readable = stored > 0 and promised < 1000 * stored
    readable = readable and (rows > 0 or shape[0] == 1 or pixels.kind == "f")
    if not partial or not readable:
        raise InputError(
            fault,
            "read what there is with --partial (partial=True)"
            if readable
            else "copy it again from where it was measured",
            source=path,
        )
    if pixels.kind == "f":
        remedy = "the missing patterns are NaN"
        parts = [mapped(0, (rows, shape[1]))] if rows else []
        detector = (frame if field is None else frame[field]).shape
        nan = pixels.newbyteorder("=").type(np.nan)
        if rest:
            hole = da.full((1, shape[1] - rest, *detector), nan)
            parts.append(da.concatenate([mapped(rows * shape[1], (1, rest)), hole], axis=1))
        empty = shape[0] - rows - bool(rest)
        if empty:
            whole = (empty, shape[1], *detector)
            parts.append(da.full(whole, nan, chunks=chunks(whole, pixels.itemsize)))
        data = da.concatenate(parts, axis=0)
        data = data.rechunk(chunks(data.shape, pixels.itemsize))
    elif shape[0] == 1:
        remedy = f"the scan ends after {stored} patterns"
        data = mapped(0, (1, stored))
    else:
        remedy = f"the scan ends after its {rows} complete rows"
        data = mapped(0, (rows, shape[1]))
    warnings.warn(f"{path}: {fault}; {remedy}", InputWarning, stacklevel=4)
    return data


def _flat(
    frame: np.dtype[Any], field: str | None, shape: tuple[int, int]
) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Type and shape for mapping; a plain type with a shape becomes a type and a longer shape."""
    return (frame, shape) if field is not None else (frame.base, shape + frame.shape)
