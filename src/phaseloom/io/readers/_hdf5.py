"""Access to HDF5 files, with damage and missing blocks reported as InputError.

A damaged file shows itself in h5py as any of half a dozen exceptions, and a file that was never
finished not at all: HDF5 hands out the fill value (zero) wherever nothing was written. Every
access to a file goes through the functions here, which name the first and look for the second.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil, prod
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.io.readers import _hdf5_sources as sources
from phaseloom.io.readers._files import FAULTS

SIGNATURE = b"\x89HDF\r\n\x1a\n"

# KeyError and RuntimeError carry errors of the HDF5 library, MemoryError and OverflowError
# absurd sizes.
_FAULTS = (*FAULTS, SystemError)
# More blocks than any scan has: a damaged file may claim any shape.
_CHUNKS_AT_MOST = 20_000_000


@contextmanager
def named(source: str | PathLike[str]) -> Iterator[None]:
    """What goes wrong inside is an :class:`InputError` that names the file."""
    try:
        yield
    except InputError:
        raise
    except _FAULTS as fault:
        cause = str(fault).strip("'\"").splitlines()[0] if str(fault) else type(fault).__name__
        raise InputError(
            f"damaged HDF5 file ({cause})",
            "copy it again from where it was measured",
            source=source,
        ) from fault


def has_signature(path: Path) -> bool:
    """Whether the file is marked as HDF5, whatever its state.

    The mark is at the start, or behind a preamble of 512, 1024, 2048 … bytes (as at PolLux).
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            for place in (0, *(512 << i for i in range(40))):
                if place >= size:
                    return False
                file.seek(place)
                if file.read(len(SIGNATURE)) == SIGNATURE:
                    return True
    except OSError:
        return False
    return False


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading.

    Raises
    ------
    InputError
        The file is no HDF5 file, is truncated, or was not closed by the program that wrote it.
    """
    try:
        file = h5py.File(path, "r")
    except _FAULTS as fault:
        if not has_signature(path):
            raise InputError("not an HDF5 file", source=path) from fault
        if isinstance(fault, BlockingIOError):
            raise InputError(
                "another program is writing this file", "wait until it has ended", source=path
            ) from fault
        raise InputError(
            f"truncated, half-written or damaged HDF5 file ({fault})",
            "copy it again, or wait until the scan has ended",
            source=path,
        ) from fault
    with file:
        yield file


def holds(path: Path, test: Callable[[h5py.File], bool]) -> bool:
    """Whether this is an HDF5 file that can be opened and passes the test."""
    if not has_signature(path):
        return False
    try:
        with open_hdf5(path) as file:
            return test(file)
    except InputError:
        return False


def names(group: h5py.Group) -> list[str]:
    """Names in a group, numbers in them in numerical order (entry2 before entry10)."""
    with named(group.file.filename):
        return sorted(group, key=_natural)


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def subgroup(group: h5py.Group, name: str) -> h5py.Group | None:
    """The group of that name, or None."""
    found = member(group, name)
    return found if isinstance(found, h5py.Group) else None


def dataset(group: h5py.Group, name: str) -> h5py.Dataset | None:
    """The dataset of that name (a path may be given), ready to be read, or None.

    Raises
    ------
    BrokenLinkError
        The name is a link to another file, and what it leads to is not there.
    InputError
        It was compressed by a filter that is not known.
    """
    found = member(group, name)
    if not isinstance(found, h5py.Dataset):
        return None
    with named(group.file.filename):
        sources.load_filters(found)
    return found


def member(group: h5py.Group, name: str) -> Any:
    """Group, dataset or type of that name, or None; see :func:`dataset`."""
    with named(group.file.filename):
        try:
            return group[name] if name in group else sources.require_link(group, name)
        except (KeyError, OSError, RuntimeError):
            sources.require_link(group, name)
            raise


def attribute(item: h5py.Group | h5py.Dataset, name: str) -> Any:
    """Value of an attribute, or None."""
    with named(item.file.filename):
        return item.attrs[name] if name in item.attrs else None  # noqa: SIM401 - as above


def texts(value: Any) -> list[str]:
    """Strings in an attribute or dataset, however they were stored.

    Fixed or variable length, bytes (UTF-8 or Latin-1) or str, scalar or array, padded or not;
    numbers become their text, an absent or empty value an empty list.
    """
    if value is None or isinstance(value, h5py.Empty):
        return []
    if isinstance(value, np.ndarray | list | tuple):
        return [text for item in np.asarray(value).ravel().tolist() for text in texts(item)]
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError:
            value = value.decode("latin-1")
    return [str(value).strip(" \0\t\r\n")]


def attribute_text(item: h5py.Group | h5py.Dataset, name: str) -> str:
    """First string of an attribute, or an empty one."""
    return next(iter(texts(attribute(item, name))), "")


def dataset_text(group: h5py.Group, name: str) -> str:
    """First string of a dataset, or an empty one."""
    found = dataset(group, name)
    if found is None:
        return ""
    with named(group.file.filename):
        return next(iter(texts(found[()])), "")


def require_numbers(item: h5py.Dataset) -> None:
    """Raise an InputError unless the dataset holds real numbers, at least one."""
    with named(item.file.filename):
        kind, size = item.dtype.kind, item.size
    if kind not in "iuf" or not size:
        raise InputError(f"{item.name} holds no numbers", source=item.file.filename)


def written(item: h5py.Dataset, *, strict: bool = True) -> NDArray[np.bool_]:
    """Which indices along the first dimension were written completely.

    HDF5 reads blocks that it does not find as zeros; this asks for each block beforehand.
    A scalar counts as one index.

    Parameters
    ----------
    item
        The dataset.
    strict
        Raise when a source of a virtual dataset is not there, instead of taking for unwritten
        what would have come from it.

    Raises
    ------
    BrokenLinkError
        A file that the numbers are taken from is not there.
    """
    with named(item.file.filename):
        shape: tuple[int, ...] = item.shape or (1,)
        if item.is_virtual:
            return sources.virtual_rows(item, strict=strict)
        sources.require_raw_files(item)
        if item.external:
            return np.full(shape[0], True)  # reading past the end of such a file is an error
        if item.chunks is None:
            size = item.id.get_storage_size()
            whole = size == item.nbytes and size <= Path(item.file.filename).stat().st_size
            return np.full(shape[0], whole)
        grid = [ceil(n / c) for n, c in zip(shape, item.chunks, strict=True)]
        if prod(grid) > _CHUNKS_AT_MOST or item.id.get_num_chunks() == 0:
            return np.zeros(min(shape[0], _CHUNKS_AT_MOST), bool)
        whole = np.array(
            [
                all(_chunk_is_stored(item, (i, *rest)) for rest in np.ndindex(*grid[1:]))
                for i in range(grid[0])
            ]
        )
        return np.repeat(whole, item.chunks[0])[: shape[0]]


def _chunk_is_stored(item: h5py.Dataset, index: tuple[int, ...]) -> bool:
    # Asked for as reading asks for it: in a damaged index the number of chunks may be right
    # and some still not be found. Much quicker than h5py's query for a single chunk.
    try:
        skipped, stored = item.id.read_direct_chunk(
            tuple(i * c for i, c in zip(index, item.chunks, strict=True))
        )
    except (RuntimeError, OSError):
        return False
    # What was stored without its compression is as long as its numbers, or 4 for a checksum more.
    return not skipped or len(stored) - prod(item.chunks) * item.dtype.itemsize in (0, 4)


def values(item: h5py.Dataset) -> NDArray[np.float64]:
    """A small dataset (an axis, a monitor) as float64, whole.

    Raises
    ------
    InputError
        It holds no numbers, is damaged or was not written completely.
    """
    require_numbers(item)
    if not written(item).all():
        raise InputError(
            f"{item.name} was not written completely",
            "the file is half-written: copy it again, or wait until the scan has ended",
            source=item.file.filename,
        )
    with named(item.file.filename):
        return np.asarray(item[()], dtype=np.float64)


def frames(item: h5py.Dataset, n: int) -> NDArray[Any]:
    """The first `n` frames of a large dataset, in its own dtype and native byte order.

    Read straight into the result: no second copy is made.
    """
    with named(item.file.filename):
        result = np.empty((n, *item.shape[1:]), dtype=item.dtype.newbyteorder("="))
        item.read_direct(result, source_sel=np.s_[:n])
        return result


def frame(item: h5py.Dataset, index: int) -> NDArray[np.float64]:
    """One frame of a dataset as float64."""
    with named(item.file.filename):
        return np.asarray(item[index], dtype=np.float64)


def part(item: h5py.Dataset, key: tuple[Any, ...]) -> NDArray[Any]:
    """A part of a large dataset, as stored."""
    with named(item.file.filename):
        return np.asarray(item[key])


def attributes(item: h5py.Group | h5py.Dataset) -> dict[str, Any]:
    """All attributes."""
    with named(item.file.filename):
        return dict(item.attrs)


def tree(group: h5py.Group) -> dict[str, Any]:
    """Attributes of a group and of those in it, nested."""
    with named(group.file.filename):
        inner = {name: item for name, item in group.items() if isinstance(item, h5py.Group)}
    return {**attributes(group), **{name: tree(item) for name, item in inner.items()}}
