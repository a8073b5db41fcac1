"""Measurements as NXstxm files, the NeXus HDF5 of STXM beamlines; results as NeXus data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from phaseloom.errors import InputError
from phaseloom.io.export._target import completed

if TYPE_CHECKING:
    import xarray as xr

_COUNTER = "counter0"
_DIMS = ("energy", "y", "x")
_AXES = {"energy": "energy", "y": "sample_y", "x": "sample_x"}
_UNITS = {"energy": "eV", "y": "µm", "x": "µm"}


def write_nxstxm(
    path: str | PathLike[str], measurement: xr.Dataset, *, title: str | None = None
) -> Path:
    """Write an image or stack as a NXstxm file with one entry and one counter.

    Counts keep their dtype, axes are float64 in eV and µm, so that reading the file gives the
    measurement back exactly. ``dwell`` and ``ring_current`` are written when there; other
    variables are not. Frames are written one by one, so a dask-backed stack stays small in
    memory; the file appears under its name only when it is complete.

    Parameters
    ----------
    path
        The file to write; ``.hdf5`` or ``.nxs`` is usual.
    measurement
        ``counts`` (energy, y, x) with coordinates ``energy`` in eV, ``y`` and ``x`` in µm.
    title
        Title of the entry; that of the measurement by default.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    InputError
        The measurement is no image or stack of counts, its lengths are not in µm, or the
        folder does not exist.

    References
    ----------
    https://manual.nexusformat.org/classes/applications/NXstxm.html
    """
    path = Path(path)
    _require_image_or_stack(measurement, path)
    with _new_file(path) as file:
        file.attrs["default"] = _text("entry1")
        _write_entry(file, measurement, title)
    return path


def write_nxdata(
    path: str | PathLike[str], data: xr.Dataset, *, default: str, title: str = ""
) -> Path:
    """Write the maps of a result as one NXdata each, with their axes and units.

    Parameters
    ----------
    path
        The file to write; ``.nxs`` is usual. It appears under its name only when it is complete.
    data
        Numbers over labelled dimensions; variables of other types are left out. Axes are its
        coordinates, names of reference spectra among them.
    default
        The variable that viewers show first.
    title
        Title of the entry.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    InputError
        There is no such variable, or the folder does not exist.

    References
    ----------
    https://manual.nexusformat.org/classes/base_classes/NXdata.html
    """
    path = Path(path)
    if default not in data.data_vars:
        raise InputError(f"the result has no {default}", source=path)
    with _new_file(path) as file:
        file.attrs["default"] = _text("entry1")
        entry = _group(file, "entry1", "NXentry")
        entry["title"] = _text(title)
        entry.attrs["default"] = _text(default)
        for name, variable in data.data_vars.items():
            if variable.dtype.kind in "biuf":
                _write_variable(entry, str(name), variable, data)
    return path


def _write_variable(entry: h5py.Group, name: str, variable: xr.DataArray, data: xr.Dataset) -> None:
    group = _group(entry, name, "NXdata")
    axes = []
    for dim in variable.dims:
        if dim not in data.coords:
            axes.append(".")
            continue
        axes.append(str(dim))
        axis = data.coords[dim]
        if axis.dtype.kind in "iuf":
            _numbers(group, str(dim), axis, str(axis.attrs.get("units", "")))
        else:
            group[str(dim)] = [_text(str(label)) for label in axis.to_numpy()]
    _describe(group, axes)
    values = variable.to_numpy()
    values = values.astype(np.uint8) if values.dtype.kind == "b" else values
    item = group.create_dataset(
        "data",
        data=values,
        chunks=(*(1 for _ in values.shape[:-2]), *values.shape[-2:]) if values.ndim else None,
        compression="gzip" if values.ndim else None,
        compression_opts=1 if values.ndim else None,
        shuffle=values.ndim > 0 or None,
        fletcher32=values.ndim > 0 or None,
    )
    item.attrs["units"] = _text(str(variable.attrs.get("units", "")))
    if "long_name" in variable.attrs:
        item.attrs["long_name"] = _text(str(variable.attrs["long_name"]))


@contextmanager
def _new_file(path: Path) -> Iterator[h5py.File]:
    """A file that gets its name when all is in it."""
    # With the format of HDF5 1.10 and fletcher32 everything has a checksum: damage is noticed.
    with (
        completed(path) as unfinished,
        h5py.File(unfinished, "w", libver=("v110", "v110")) as file,
    ):
        file.attrs["NX_class"] = _text("NXroot")
        yield file


def _require_image_or_stack(measurement: xr.Dataset, path: Path) -> None:
    if "counts" not in measurement or set(measurement["counts"].dims) != set(_DIMS):
        raise InputError(
            "only counts with dimensions energy, y and x make a NXstxm file",
            "give an image or a stack",
            source=path,
        )
    if not measurement["counts"].size:
        raise InputError("the measurement is empty", source=path)
    for name, unit in _UNITS.items():
        if name not in measurement.coords or measurement[name].attrs.get("units") != unit:
            raise InputError(
                f"the coordinate {name} is not in {unit}",
                f"give it values in {unit} and set its attribute units",
                source=path,
            )
    if measurement["counts"].dtype.kind not in "iuf":
        raise InputError(
            f"counts of type {measurement['counts'].dtype} are no numbers", source=path
        )


def _write_entry(file: h5py.File, measurement: xr.Dataset, title: str | None) -> None:
    counts = measurement["counts"].transpose(*_DIMS)
    n = counts.sizes["energy"]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    start = str(measurement.attrs.get("start_time", now))
    entry = _group(file, "entry1", "NXentry")
    entry.attrs["default"] = _text(_COUNTER)
    entry["definition"] = _text("NXstxm")
    entry["title"] = _text(str(measurement.attrs.get("title", "")) if title is None else title)
    entry["start_time"] = _text(start)
    entry["end_time"] = _text(str(measurement.attrs.get("end_time", start)))

    instrument = _group(entry, "instrument", "NXinstrument")
    source = _group(instrument, "source", "NXsource")
    source["type"] = _text("Synchrotron X-ray Source")
    source["name"] = _text(str(measurement.attrs.get("beamline", "unknown")))
    source["probe"] = _text("x-ray")
    monochromator = _group(instrument, "monochromator", "NXmonochromator")
    energy = _numbers(monochromator, "energy", measurement["energy"], "eV")
    sample = _group(entry, "sample", "NXsample")
    _numbers(sample, "rotation_angle", measurement.attrs.get("rotation_angle", 0.0), "deg")

    data = _group(entry, _COUNTER, "NXdata")
    _describe(data, [_AXES[name] for name in _DIMS])
    data["stxm_scan_type"] = _text("sample image stack" if n > 1 else "sample image")
    target = data.create_dataset(
        "data",
        shape=counts.shape,
        dtype=counts.dtype.newbyteorder("="),
        chunks=(1, *counts.shape[1:]),
        compression="gzip",
        compression_opts=1,
        shuffle=True,
        fletcher32=True,
    )
    target.attrs["units"] = _text("counts")
    for i in range(n):
        target[i] = counts[i].to_numpy()
    data["energy"] = energy
    for name in ("y", "x"):
        _numbers(data, _AXES[name], measurement[name], "µm")
    if "dwell" in measurement:
        _numbers(data, "count_time", measurement["dwell"], "s")
    detector = _group(instrument, _COUNTER, "NXdetector")
    detector["data"] = target

    if "ring_current" in measurement:
        control = _group(entry, "control", "NXmonitor")
        _describe(control, ["energy"])
        _numbers(control, "data", measurement["ring_current"], "mA")
        control["energy"] = energy


def _text(text: str) -> np.bytes_:
    """A string of fixed length, UTF-8: what every reader of NeXus files understands."""
    return np.bytes_(text.encode() or b" ")


def _group(parent: h5py.Group, name: str, nx_class: str) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs["NX_class"] = _text(nx_class)
    return group


def _describe(group: h5py.Group, axes: Sequence[str]) -> None:
    group.attrs["signal"] = _text("data")
    group.attrs["axes"] = [_text(axis) for axis in axes]
    for number, axis in enumerate(axes):
        if axis != ".":
            group.attrs[f"{axis}_indices"] = np.uint32(number)


def _numbers(group: h5py.Group, name: str, values: Any, unit: str) -> h5py.Dataset:
    numbers = np.asarray(values, dtype=np.float64)
    # Checksums go with chunks, and chunks with everything but a single number.
    item = group.create_dataset(
        name, data=numbers, chunks=numbers.shape or None, fletcher32=numbers.ndim > 0 or None
    )
    item.attrs["units"] = _text(unit)
    return item
