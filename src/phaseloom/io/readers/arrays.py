"""Plain arrays: ``.npy`` (mapped), HDF5 and zarr of unknown layout.

The last two axes are (ky, kx), the ones before them (y, x), or a series. Axes of zarr and of HDF5
(dimension scales) which are named so are put in this order. Nothing is calibrated.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from phaseloom.errors import InputError
from phaseloom.io.choice import FIRST, Choice
from phaseloom.io.readers import _hdf5 as hdf5
from phaseloom.io.readers import _zarr
from phaseloom.io.readers._files import first_bytes
from phaseloom.io.readers._hdf5_sources import BrokenLinkError
from phaseloom.io.readers._hdf_scan import choose, lazy_dataset, numeric_datasets
from phaseloom.io.readers._lazy import MappedArray, frames_in_file, lazily, pattern_type
from phaseloom.io.readers._npy import HEADER_FAULTS, read_header
from phaseloom.io.scan_axes import DIMS, plain_axes
from phaseloom.io.scan_making import make_scan

format_name = "array"
file_extensions = (".npy", ".h5", ".hdf5", ".zarr")
describe = "arrays (y, x, ky, kx): .npy, HDF5, zarr"

_NPY = b"\x93NUMPY"


def reads_this(path: Path) -> bool:
    """Whether this is a numpy file, an HDF5 file with a scan or series, or a zarr store."""
    if path.is_dir():
        return _zarr.is_store(path)
    if hdf5.has_signature(path):
        return hdf5.holds(path, _has_arrays)
    return first_bytes(path, len(_NPY)) == _NPY


def _has_arrays(file: h5py.File) -> bool:
    """Whether there is an array, or a link to another file which is not there: reading says so."""
    with warnings.catch_warnings(action="ignore"):  # said when it is read
        try:
            return bool(numeric_datasets(file, least=3))
        except BrokenLinkError:
            return True


def read(path: Path, choice: Choice = FIRST) -> xr.Dataset:
    """Read an array as an uncalibrated scan; the detector is its name among several.

    Raises
    ------
    InputError
        The file is damaged or incomplete, or the array has not two to four axes.
    """
    choice.require_first_entry(path)
    if path.is_dir():
        data = _from_zarr(path, choice.detector)
    elif path.suffix.lower() == ".npy":
        choice.require_only("patterns", path)
        data = _from_npy(path, partial=choice.partial)
    else:
        data = _from_hdf5(path, choice.detector, partial=choice.partial)
    return make_scan(
        data,
        plain_axes(4),
        format_name=format_name,
        source=path,
    )


def _from_npy(path: Path, *, partial: bool) -> Any:
    try:
        with path.open("rb") as file:
            shape, column_major, dtype = read_header(file)
            start = file.tell()
    except HEADER_FAULTS as fault:
        raise InputError(f"has a damaged header ({fault})", "save it again", source=path) from fault
    kinds = "uifb" if len(shape) == 2 else "uif"  # a mask is one pattern of yes and no
    if dtype.kind not in kinds or not 2 <= len(shape) <= 4 or min(shape) < 1:
        raise InputError(
            f"holds {dtype} of shape {shape}",
            "a scan is an array of numbers (y, x, ky, kx)",
            source=path,
        )
    if not column_major:
        rows, columns = (1, 1, *shape)[-4:-2]
        return frames_in_file(
            path, offset=start, frame=pattern_type(dtype, shape[-2:], path), field=None,
            shape=(rows, columns), partial=partial,
        )  # fmt: skip
    promised = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if path.stat().st_size - start < promised:
        raise InputError(
            "is truncated, and stored column by column: no pattern is complete",
            "copy it again",
            source=path,
        )
    whole = (1,) * (4 - len(shape)) + shape
    return lazily(MappedArray(path, start, dtype, whole, order="F"))


def _from_hdf5(path: Path, detector: str | None, *, partial: bool) -> Any:
    with hdf5.open_hdf5(path) as file:
        found = numeric_datasets(file, least=2 if detector else 3, whole=detector is None)
        most = max((file[name].ndim for name in found), default=0)
        if detector is None:
            found = [name for name in found if file[name].ndim == most]
        name = choose(found, detector, path=path)
        item = file[name]
        labels = _labels(item)
        order = _named_order(labels) if len(labels) == item.ndim else None
        axes = plain_axes(item.ndim)
        return lazy_dataset(item, axes, partial=partial, path=path, order=order)[0]


def _labels(item: h5py.Dataset) -> list[str]:
    """Name of every axis: its label, otherwise that of the scale attached to it.

    From the attributes: the functions of HDF5 for it crash on damaged ones.
    """
    labels = hdf5.texts(hdf5.attribute(item, "DIMENSION_LABELS"))
    attached = hdf5.attribute(item, "DIMENSION_LIST")
    if len(labels) == item.ndim and all(labels):
        return labels
    if attached is None or len(attached) != item.ndim:
        return []
    with hdf5.named(item.file.filename):
        scales = [item.file[references[0]].name for references in attached if len(references)]
    return [name.rpartition("/")[2] for name in scales]


def _named_order(names: list[str]) -> list[int] | None:
    """Order of axes all of which are named as ours, otherwise None: as stored."""
    wanted = [name for name in DIMS if name in names]
    return [names.index(name) for name in wanted] if len(wanted) == len(names) else None


def _from_zarr(path: Path, detector: str | None) -> Any:
    import zarr

    with _zarr.opened(path) as root:
        if isinstance(root, zarr.Array):
            arrays = {"": root}
        else:
            arrays = {
                name: member
                for name, member in root.members(max_depth=None)
                if isinstance(member, zarr.Array) and member.dtype.kind in "uif"
            }
        least = 2 if detector else 3
        found = [n for n, item in arrays.items() if least <= item.ndim <= 4 and item.size]
        most = max((arrays[name].ndim for name in found), default=0)
        if detector is None:
            found = [name for name in found if arrays[name].ndim == most]
        item = arrays[choose(sorted(found), detector, path=path)]
        names = getattr(item.metadata, "dimension_names", None)
        names = names or item.attrs.get("_ARRAY_DIMENSIONS") or []
        order = _named_order([str(name) for name in names]) if len(names) == item.ndim else None
        return _zarr.lazy_array(path, item, plain_axes(item.ndim), order)[0]
