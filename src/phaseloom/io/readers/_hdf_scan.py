"""Scans in HDF5 files of any layout: one dataset as a lazy array."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from math import ceil, prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.readers import _hdf5 as hdf5
from phaseloom.io.readers._hdf5_sources import (
    BrokenLinkError,
    load_filters,
    require_raw_files,
    virtual_rows,
)
from phaseloom.io.readers._lazy import HdfArray, lazily
from phaseloom.io.scan_axes import Axis


def lazy_dataset(
    item: h5py.Dataset,
    axes: Sequence[Axis],
    *,
    partial: bool,
    path: Path,
    order: Sequence[int] | None = None,
) -> tuple[Any, list[Axis]]:
    """A dataset of two to four axes as a lazy array with the scan's axes first.

    Parameters
    ----------
    item, axes
        The dataset and its axes as stored.
    partial, path
        As for the readers.
    order
        Order of the axes wanted; by default the scan's first, otherwise as stored.

    Returns
    -------
    data : dask.array.Array
        (y, x, ky, kx) in native byte order.
    axes : list of Axis
        As many as the dataset has, in the order of the array's last ones.

    Raises
    ------
    InputError
        Blocks of it are missing and `partial` is false, or the axes are none of a scan.
    """
    load_filters(item)
    if item.dtype.kind != "b":
        hdf5.require_numbers(item)
    _require_written(item, partial=partial, path=path)
    if order is None:
        order = [i for i, axis in enumerate(axes) if axis.navigate]
        order += [i for i, axis in enumerate(axes) if not axis.navigate]
    shape = tuple(int(item.shape[axis]) for axis in order)
    stored = tuple((item.chunks or (1,) * item.ndim)[axis] for axis in order)
    missing = (1,) * (4 - len(shape))
    # Of a dataset behind a link the file that holds it.
    place = Path(item.file.filename)
    array = HdfArray(place, item.name, missing + shape, item.dtype.newbyteorder("="), tuple(order))
    return lazily(array, missing + stored), [axes[axis] for axis in order]


def _require_written(item: h5py.Dataset, *, partial: bool, path: Path) -> None:
    """HDF5 reads what was never written as zeros: count the blocks that were."""
    with hdf5.named(path):
        require_raw_files(item)
        if item.external:
            return
        if item.is_virtual:
            whole = virtual_rows(item, strict=not partial)
            stored, promised = int(np.count_nonzero(whole)), whole.size
        elif item.chunks is None:
            stored, promised = item.id.get_storage_size(), item.nbytes
        else:
            stored = item.id.get_num_chunks()
            promised = prod(ceil(n / c) for n, c in zip(item.shape, item.chunks, strict=True))
    if stored >= promised:
        return
    share = f"only {100 * stored / promised:.0f} % of {item.name} was written"
    if not partial or not stored:
        raise InputError(
            share,
            "read it with --partial (partial=True), what is missing being zero"
            if stored
            else "the scan was never recorded",
            source=path,
        )
    warnings.warn(f"{path}: {share}; what is missing reads as zero", InputWarning, stacklevel=4)


def choose(
    found: Sequence[str], wanted: str | None, *, path: Path, first_is_meant: bool = False
) -> str:
    """The dataset meant: the one asked for, or the only one.

    Parameters
    ----------
    found
        Names of what there is.
    wanted
        Name, or the end of one, or None.
    path
        For messages.
    first_is_meant
        Take the first of several, with a warning, instead of refusing.
    """
    listed = ", ".join(found)
    if not found:
        raise InputError("holds no diffraction patterns", "give a 4D-STEM scan", source=path)
    if wanted is not None:
        fitting = [name for name in found if name.strip("/") == wanted.strip("/")]
        fitting = fitting or [n for n in found if f"/{n}".endswith(f"/{wanted.strip('/')}")]
        fitting = fitting or [n for n in found if wanted.strip("/") in n.strip("/").split("/")]
        if len(fitting) == 1:
            return fitting[0]
        raise InputError(
            f"has {'no' if not fitting else len(fitting)} detector {wanted!r}",
            f"there are {listed}",
            source=path,
        )
    if len(found) > 1:
        if not first_is_meant:
            raise InputError(
                f"holds {len(found)} scans ({listed})",
                "choose one with --detector (detector=)",
                source=path,
            )
        warnings.warn(
            f"{path}: holds {len(found)} scans ({listed}); the first is read, --detector chooses "
            "another",
            InputWarning,
            stacklevel=4,
        )
    return found[0]


def numeric_datasets(file: h5py.File, *, least: int = 2, whole: bool = True) -> list[str]:
    """Names of all datasets of numbers with `least` to four axes, larger than a label.

    Those behind links into other files count.

    Parameters
    ----------
    file
        The file.
    least
        Number of axes.
    whole
        Say which links lead to what is not there.

    Raises
    ------
    BrokenLinkError
        Such a link may be the scan that is meant, as no dataset has four axes.
    """
    found: dict[str, int] = {}
    broken: list[BrokenLinkError] = []
    for name, item in all_datasets(file):
        if isinstance(item, BrokenLinkError):
            broken.append(item)
        elif (
            item.dtype.kind in "uif"
            and item.shape is not None
            and least <= item.ndim <= 4
            and item.size > 1
        ):
            found[name] = item.ndim
    if whole and broken:
        if 4 not in found.values():
            raise broken[0]
        warnings.warn(f"{broken[0].source}: {broken[0].fault}", InputWarning, stacklevel=4)
    return list(found)


def all_datasets(file: h5py.File) -> Iterator[tuple[str, h5py.Dataset | BrokenLinkError]]:
    """All datasets of a type that can be read, with their names, links to other files followed.

    Each comes once; in place of what such a link does not find comes the error that says so.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [(file["/"], "")]
    while waiting:
        group, above = waiting.pop(0)
        for key in hdf5.names(group):
            name = f"{above}/{key}".strip("/")
            try:
                item = hdf5.member(group, key)
            except BrokenLinkError as broken:
                yield name, broken
                continue
            if item is None:
                continue
            with hdf5.named(group.file.filename):
                info = h5py.h5o.get_info(item.id)
            if (info.fileno, info.addr) in seen:
                continue
            seen.add((info.fileno, info.addr))
            if isinstance(item, h5py.Group):
                waiting.append((item, name))
            elif isinstance(item, h5py.Dataset) and _has_type(item):
                yield name, item


def _has_type(item: h5py.Dataset) -> bool:
    """Whether numpy has the type of a dataset; it lacks some, and those that are damaged."""
    try:
        return item.dtype is not None
    except (TypeError, ValueError):
        return False


def scalar(group: h5py.Group, name: str, factor: float = 1.0) -> float | None:
    """A number in a dataset times a factor, or None where there is none."""
    item = hdf5.dataset(group, name)
    if item is None or item.dtype.kind not in "uif" or item.size != 1:
        return None
    return factor * float(np.ravel(hdf5.part(item, ()))[0])
