"""Dectris Arina: ``NAME_master.h5``, with ``NAME_data_00000N.h5`` and ``NAME.h5`` beside it.

The master file links the patterns, which are compressed; the numbers are as stored, pixels that
the detector masks hold the largest value of their type. ``NAME.h5`` has the settings of the
microscope: the shape of the scan, its step, the voltage. Without it a square number of patterns is
a square.
"""

from __future__ import annotations

import warnings
from math import isqrt
from pathlib import Path
from typing import Any

import h5py
import xarray as xr

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.choice import FIRST, Choice
from phaseloom.io.fingerprint import input_fingerprint
from phaseloom.io.readers import _hdf5 as hdf5
from phaseloom.io.readers._hdf_scan import lazy_dataset, scalar
from phaseloom.io.scan_axes import Axis
from phaseloom.io.scan_calibration import with_scan_shape
from phaseloom.io.scan_making import make_scan
from phaseloom.io.tags import number, scaled

format_name = "Arina"
file_extensions = (".h5", ".hdf5", ".nxs")
describe = "Dectris Arina (_master.h5)"

_DATA, _DETECTOR = "entry/data", "entry/instrument/detector"
_MICROSCOPE = "STEM Metadata"


def reads_this(path: Path) -> bool:
    """Whether the file is a master file of a Dectris detector."""
    return hdf5.holds(
        path,
        lambda file: (
            hdf5.subgroup(file, f"{_DETECTOR}/detectorSpecific") is not None and bool(_names(file))
        ),
    )


def read(path: Path, choice: Choice = FIRST) -> xr.Dataset:
    """Read a scan of Arina from its ``_master.h5``; ``saturation`` as the detector gives it.

    Of an incomplete scan the data files that are there count, to the last complete row.

    Raises
    ------
    InputError
        A file is missing, damaged, or its patterns are no scan.
    """
    import dask.array as da

    choice.require_only("patterns", path)
    series = []
    with hdf5.open_hdf5(path) as file:
        names = _names(file)
        files = [path]
        for name in names:
            data, linked = _part(file, name, partial=choice.partial, path=path)
            if data is None:
                break
            series.append(data)
            files.append(linked)
        counting = scalar(file, f"{_DETECTOR}/count_time")
        saturation = scalar(file, f"{_DETECTOR}/saturation_value")
        promised = _product(
            scalar(file, f"{_DETECTOR}/detectorSpecific/nimages"),
            scalar(file, f"{_DETECTOR}/detectorSpecific/ntrigger"),
        )
    if not series:
        raise InputError("none of its data files is there", "put them beside it", source=path)
    data = da.concatenate(series, axis=1) if len(series) > 1 else series[0]
    facts, shape = _microscope(path)
    n = data.shape[1]
    if shape is None:
        side = isqrt(max(n, promised))
        shape = (side, side) if side * side == max(n, promised) else (1, max(n, promised))
    rows = min(shape[0], n // shape[1])
    if rows < shape[0] or rows * shape[1] != n:
        fault = f"holds {n} patterns, its scan has {shape[0]}×{shape[1]}"
        if not choice.partial or not rows:
            raise InputError(fault, "read complete rows with --partial (partial=True)", source=path)
        warnings.warn(f"{path}: {fault}; {rows} rows are read", InputWarning, stacklevel=3)
        data = data[:, : rows * shape[1]]
    step = facts.pop("step", None)
    scan_axis = Axis(units="nm", scale=step, navigate=True) if step else Axis(navigate=True)
    series_scan = make_scan(
        data,
        [scan_axis, scan_axis, Axis(), Axis()],
        format_name=format_name,
        source=path,
        fingerprint=input_fingerprint(files),
        facts={**facts, "exposure": counting, "saturation": saturation},
    )
    return with_scan_shape(series_scan, (rows, shape[1]))


def _names(file: h5py.File) -> list[str]:
    group = hdf5.subgroup(file, _DATA)
    return [] if group is None else [n for n in hdf5.names(group) if n.startswith("data")]


def _part(file: h5py.File, name: str, *, partial: bool, path: Path) -> tuple[Any, Path]:
    """The patterns of one data file, or None if it is missing and that is all right."""
    link = file[_DATA].get(name, getlink=True)
    linked = path.with_name(Path(link.filename).name) if hasattr(link, "filename") else path
    if not linked.is_file():
        fault = f"its data file {linked.name} is missing"
        if not partial:
            raise InputError(
                fault, "put it beside it, or read what is there with --partial", source=path
            )
        warnings.warn(f"{path}: {fault}; the scan ends before it", InputWarning, stacklevel=4)
        return None, path
    inside = link.path if linked != path else f"{_DATA}/{name}"
    with hdf5.open_hdf5(linked) as opened:
        item = hdf5.dataset(opened, inside)
        if item is None or item.ndim != 3:
            raise InputError(f"holds no patterns in {inside}", "copy it again", source=linked)
        axes = [Axis(navigate=True), Axis(), Axis()]
        return lazy_dataset(item, axes, partial=partial, path=linked)[0], linked


def _microscope(path: Path) -> tuple[dict[str, float | None], tuple[int, int] | None]:
    """Microscope settings in ``NAME.h5``, and the shape of the scan (y, x)."""
    beside = path.with_name(path.name.replace("_master", ""))
    if beside == path or not beside.is_file():
        return {}, None
    with hdf5.open_hdf5(beside) as file:
        group = hdf5.subgroup(file, _MICROSCOPE)
        if group is None:
            return {}, None
        tags = {name: number(value) for name, value in hdf5.attributes(group).items()}
    columns, rows = tags.get("NumPixelsX"), tags.get("NumPixelsY")
    shape = (int(rows), int(columns)) if rows and columns else None
    return {
        "voltage": scaled(tags.get("High Tension"), 1e-3),
        "camera_length": scaled(tags.get("Camera Length"), 1e3),
        "scan_rotation": tags.get("Rotation"),
        "step": tags.get("Pixel Size"),
    }, shape


def _product(*factors: float | None) -> int:
    product = 1
    for factor in factors:
        product *= int(factor) if factor else 0
    return product
