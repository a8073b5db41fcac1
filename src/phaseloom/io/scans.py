"""4D-STEM scans as labelled, lazy arrays: from files, from arrays, from HyperSpy signals.

:mod:`phaseloom.io.scan_making` says what a scan is.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phaseloom.errors import InputError
from phaseloom.io.fingerprint import array_fingerprint
from phaseloom.io.scan_axes import DIMS, Axis, plain_axes, step_of
from phaseloom.io.scan_calibration import FACTS, calibrated, with_scan_shape
from phaseloom.io.scan_making import make_scan
from phaseloom.io.scan_turning import oriented

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["as_scan", "calibrated", "oriented", "read_scan", "to_hyperspy", "with_scan_shape"]


def read_scan(
    path: str | PathLike[str], *, detector: str | None = None, partial: bool = False
) -> xr.Dataset:
    """Read a file that has to hold diffraction patterns.

    As :func:`phaseloom.read`, and TIFF files, which it takes for X-ray images, too: their pages
    are one pattern or a series.

    Parameters
    ----------
    path, detector, partial
        As for :func:`phaseloom.read`.

    Returns
    -------
    xarray.Dataset
        A scan.

    Raises
    ------
    InputError
        The file cannot be read or holds something else.
    """
    from phaseloom.io.readers import tiff
    from phaseloom.io.reading import read

    path = Path(path)
    if path.suffix.lower() in tiff.file_extensions and path.is_file():
        return tiff.read_patterns(path, partial=partial)
    scan = read(path, detector=detector, partial=partial)
    if scan.attrs.get("kind") != "scan":
        raise InputError(
            f"holds no diffraction patterns but X-ray data ({scan.attrs.get('kind')})",
            "give a 4D-STEM scan",
            source=path,
        )
    return scan


def as_scan(measurement: Any, *, name: str = "scan") -> xr.Dataset:
    """A scan from whatever holds one in memory.

    Parameters
    ----------
    measurement
        A scan; a HyperSpy or pyxem signal (lazy ones stay lazy); a numpy or dask array whose
        last two axes are (ky, kx), before them nothing (one pattern), (N,) or (y, x); or an
        :class:`xarray.DataArray` with dims of these names, in any order.
    name
        What to call it in messages and attributes.

    Returns
    -------
    xarray.Dataset
        A scan.

    Raises
    ------
    InputError
        It is none of these.
    """
    import dask.array as da
    import xarray as xr

    if isinstance(measurement, xr.Dataset):
        if measurement.attrs.get("kind") == "scan" and "counts" in measurement:
            if measurement["counts"].dims == DIMS and measurement.chunks:
                return measurement
            measurement = measurement["counts"].assign_attrs(measurement.attrs)
        else:
            raise InputError("is a measurement of another kind", "give a scan", source=name)
    if isinstance(measurement, xr.DataArray):
        return _from_labelled(measurement, name)
    if isinstance(measurement, np.ndarray | da.Array):
        if not 2 <= measurement.ndim <= 4:
            raise InputError(
                f"has {measurement.ndim} axes", "a scan has the axes (y, x, ky, kx)", source=name
            )
        return make_scan(
            measurement,
            plain_axes(measurement.ndim),
            format_name="array",
            source=name,
            fingerprint=array_fingerprint(measurement),
        )
    if all(hasattr(measurement, part) for part in ("data", "axes_manager", "metadata")):
        from phaseloom.io.hyperspy_signals import from_signal

        return from_signal(measurement, name)
    raise InputError(
        f"is a {type(measurement).__name__}",
        "give a scan, a HyperSpy signal or an array (y, x, ky, kx)",
        source=name,
    )


def to_hyperspy(scan: xr.Dataset) -> Any:
    """The scan as a lazy HyperSpy signal, with axes and what is known of the microscope.

    Parameters
    ----------
    scan
        A scan.

    Returns
    -------
    hyperspy.signal.BaseSignal
        Where pyxem is installed its ``LazyElectronDiffraction2D``, otherwise ``LazySignal2D``.

    Raises
    ------
    InputError
        HyperSpy is not installed.
    """
    from phaseloom.io.hyperspy_signals import to_signal

    return to_signal(scan)


def _from_labelled(array: xr.DataArray, name: str) -> xr.Dataset:
    """A scan from an array with the dims y, x, ky, kx in any order."""
    import dask.array as da

    if not {"ky", "kx"} <= set(array.dims) <= set(DIMS):
        raise InputError(
            f"has the dims {', '.join(map(str, array.dims))}",
            "a scan has the dims (y, x, ky, kx)",
            source=name,
        )
    array = array.transpose(*(dim for dim in DIMS if dim in array.dims))
    axes = []
    for dim in map(str, array.dims):
        known = dim in array.coords
        step = step_of(array[dim]) if known else None
        axes.append(
            Axis(
                name=dim,
                navigate=dim in DIMS[:2],
                units=str(array[dim].attrs.get("units", "")) if known else "",
                scale=step or 1.0,
                offset=float(array[dim][0]) if step else 0.0,
            )
        )
    data = array.data if isinstance(array.data, da.Array) else np.asarray(array.data)
    attrs = array.attrs
    return make_scan(
        data,
        axes,
        format_name=str(attrs.get("format", "array")),
        source=str(attrs.get("source", name)),
        fingerprint=str(attrs.get("input_fingerprint") or array_fingerprint(data)),
        title=str(attrs.get("title", "")),
        facts={key: attrs[key] for key in FACTS if key in attrs},
    )
