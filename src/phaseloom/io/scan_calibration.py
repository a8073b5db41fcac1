"""Calibration, instrument settings and shape of a scan given by hand."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.scan_axes import ANGSTROM, DIFFERS, DIMS, ROTATION_REMOVED, spaced, step_of

if TYPE_CHECKING:
    import xarray as xr

# Settings of an instrument that are kept, with their limits.
FACTS = {
    "voltage": (1.0, 5000.0),
    "precession_angle": (0.0, 20.0),
    "camera_length": (1e-3, 1e6),
    "convergence_angle": (0.0, 500.0),
    "exposure": (0.0, 1e6),
    "scan_rotation": (-720.0, 720.0),
    "saturation": (0.0, math.inf),
}
_LABELS = {
    "pixel_size": f"pixel size ({ANGSTROM})",
    "step": "scan step (nm)",
    "voltage": "voltage (kV)",
    "precession": "precession angle (°)",
    "scan_rotation": "scan rotation (°)",
}


def calibrated(
    scan: xr.Dataset,
    *,
    pixel_size: float | None = None,
    step: float | None = None,
    voltage: float | None = None,
    precession: float | None = None,
    scan_rotation: float | None = None,
) -> xr.Dataset:
    """The scan with pixel size, step and instrument settings as given, over those of its file.

    Parameters
    ----------
    scan
        A scan.
    pixel_size
        Å⁻¹ per detector pixel (k = 1/d, no 2π).
    step
        nm per scan position.
    voltage
        kV.
    precession
        Precession angle in degrees.
    scan_rotation
        Degrees counter-clockwise by which the detector's image is rotated against the scan
        (:func:`phaseloom.io.scan_turning.to_scan_axes`). It is taken out of the spots' vectors
        when the scan is registered, and the attribute ``scan_rotation_removed`` says so. What
        a file says of it stays out of them as long as it is not given here.

    Returns
    -------
    xarray.Dataset
        A scan; `scan` is not changed.

    Raises
    ------
    InputError
        A value that cannot be.

    Warns
    -----
    InputWarning
        The file says otherwise by more than 1 %: what is given wins.
    """
    source = scan.attrs.get("source", "scan")
    scan = scan.copy()
    for label, value, names, unit in (
        ("pixel_size", pixel_size, DIMS[2:], ANGSTROM),
        ("step", step, DIMS[:2], "nm"),
    ):
        if value is None:
            continue
        _require_positive(label, value, source)
        recorded = next(filter(None, (step_of(scan[name]) for name in names)), None)
        _warn_if_other(label, value, recorded, source)
        for name in names:
            scan[name] = (name, spaced(scan[name], value), {"units": unit})
    for label, value, attribute in (
        ("voltage", voltage, "voltage"),
        ("precession", precession, "precession_angle"),
        ("scan_rotation", scan_rotation, "scan_rotation"),
    ):
        if value is None:
            continue
        low, high = FACTS[attribute]
        if not low <= value <= high:
            raise InputError(
                f"{_LABELS[label]} of {value:g}", f"give {low:g} to {high:g}", source=source
            )
        _warn_if_other(label, value, scan.attrs.get(attribute), source)
        scan.attrs[attribute] = float(value)
    if scan_rotation is not None:
        scan.attrs[ROTATION_REMOVED] = float(scan_rotation)
    return scan


def with_scan_shape(scan: xr.Dataset, shape: tuple[int, int]) -> xr.Dataset:
    """A series of patterns laid out as a scan, row by row.

    Parameters
    ----------
    scan
        A scan of any shape.
    shape
        (rows, columns) it really has.

    Returns
    -------
    xarray.Dataset
        A scan; its steps are kept where the file knows them.

    Raises
    ------
    InputError
        The number of patterns is another.
    """
    import dask.array as da
    import xarray as xr

    counts = scan["counts"]
    n = counts.sizes["y"] * counts.sizes["x"]
    rows, columns = shape
    source = scan.attrs.get("source", "scan")
    if rows < 1 or columns < 1 or rows * columns != n:
        raise InputError(
            f"holds {n} patterns, not {rows}×{columns} = {rows * columns}",
            f"give a scan shape with a product of {n}",
            source=source,
        )
    if (rows, columns) == (counts.sizes["y"], counts.sizes["x"]):
        return scan
    # Row by row: dask reads no more of the file than is asked for, as it would of a reshape.
    series = counts.data
    if len(series) > 1:
        series = da.concatenate([series[row : row + 1] for row in range(len(series))], axis=1)
    data = da.concatenate([series[:, r * columns : (r + 1) * columns] for r in range(rows)])
    step = step_of(scan["x"]) or step_of(scan["y"])
    attrs = {"units": "nm" if step else "px"}
    coords = {
        name: xr.DataArray(np.arange(size) * (step or 1.0), dims=name, attrs=attrs)
        for name, size in zip(DIMS[:2], shape, strict=True)
    } | {name: scan[name] for name in DIMS[2:]}
    return xr.Dataset({"counts": (DIMS, data, counts.attrs)}, coords=coords, attrs=dict(scan.attrs))


def plausible(facts: Mapping[str, float | None], source: str | PathLike[str]) -> dict[str, float]:
    """Instrument settings that are physically possible; others go, with a warning."""
    known = {}
    for name, value in facts.items():
        # 0 stands for "not entered" in most files; a precession of 0 says the same as none.
        if value is None or (value == 0 and name != "scan_rotation"):
            continue
        low, high = FACTS[name]
        if low <= float(value) <= high:
            known[name] = float(value)
        else:
            warnings.warn(
                f"{source}: {name.replace('_', ' ')} of {value:g} cannot be right; it is taken as "
                "unknown",
                InputWarning,
                stacklevel=3,
            )
    return known


def _require_positive(label: str, value: float, source: str) -> None:
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{_LABELS[label]} of {value:g}", "give a positive number", source=source)


def _warn_if_other(label: str, given: float, recorded: float | None, source: str) -> None:
    if recorded is not None and not math.isclose(given, recorded, rel_tol=DIFFERS):
        warnings.warn(
            f"{source}: its {_LABELS[label]} is {recorded:.6g}, {given:.6g} was given and is used",
            InputWarning,
            stacklevel=3,
        )
