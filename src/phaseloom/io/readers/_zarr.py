"""Access to zarr stores, folders or zipped, with damage reported as InputError."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.io.chunking import chunks
from phaseloom.io.readers._files import FAULTS
from phaseloom.io.scan_axes import Axis

_MARKS = ("zarr.json", ".zgroup", ".zarray", ".zmetadata")
# What zarr 3 raises on metadata and chunks that make no sense.
_FAULTS = (*FAULTS, zipfile.BadZipFile)


def is_store(path: Path) -> bool:
    """Whether this is a folder with the marks of zarr, or a zipped one."""
    if path.is_dir():
        return any((path / mark).is_file() for mark in _MARKS)
    return zipfile.is_zipfile(path)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The group (or array) at the root of a store."""
    import zarr

    with _named(path):
        store: Any = path
        if path.is_file():
            store = zarr.storage.ZipStore(path, mode="r")
        yield zarr.open(store, mode="r")


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """What goes wrong inside is an :class:`InputError` that names the store."""
    try:
        yield
    except InputError:
        raise
    except _FAULTS as fault:
        raise InputError(
            f"damaged zarr store ({type(fault).__name__}: {fault})", "copy it again", source=path
        ) from fault


@dataclass(frozen=True)
class _Array:
    """A zarr array whose faults are sentences."""

    path: Path
    item: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.item.shape)

    @property
    def ndim(self) -> int:
        return int(self.item.ndim)

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = np.dtype(self.item.dtype)
        return dtype

    def __getitem__(self, key: Any) -> NDArray[Any]:
        with _named(self.path):
            return np.asarray(self.item[key])

    def __dask_tokenize__(self) -> object:
        path = self.path.absolute()
        return ("zarr", str(path), path.stat().st_mtime_ns, self.item.path, self.shape)


def lazy_array(
    path: Path, item: Any, axes: Sequence[Axis], order: Sequence[int] | None = None
) -> tuple[Any, list[Axis]]:
    """A zarr array of two to four axes as a dask array (y, x, ky, kx), and its axes in order."""
    import dask.array as da

    if order is None:
        order = [i for i, axis in enumerate(axes) if axis.navigate]
        order += [i for i, axis in enumerate(axes) if not axis.navigate]
    stored = tuple(item.chunks[axis] for axis in order)
    shape = tuple(item.shape[axis] for axis in order)
    missing = (1,) * (4 - len(shape))
    wanted = chunks(missing + shape, item.dtype.itemsize, (missing + stored)[:2])[len(missing) :]
    in_file = [0] * item.ndim
    for axis, size in zip(order, wanted, strict=True):
        in_file[axis] = size
    lazy = da.from_array(_Array(path, item), chunks=tuple(in_file))
    lazy = lazy if list(order) == sorted(order) else lazy.transpose(order)
    return lazy.reshape(missing + shape), [axes[axis] for axis in order]


def tree(group: Any) -> dict[str, Any]:
    """Attributes of a group and of those in it, nested."""
    return {**dict(group.attrs), **{name: tree(inner) for name, inner in group.groups()}}
