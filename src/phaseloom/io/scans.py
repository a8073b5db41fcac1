"""4D-STEM scans as labelled, lazy arrays: made from files, from arrays, from HyperSpy signals.

A *scan* is an :class:`xarray.Dataset` with ``counts`` (y, x, ky, kx), backed by dask. The scan
axes are in nm and the axes of the detector in Å⁻¹ (k = 1/d, no 2π), or both count pixels
(``units`` "px"). Row 0 is the top: y and ky grow downwards.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.fingerprint import array_fingerprint, input_fingerprint
from phaseloom.io.readers._lazy import chunks
from phaseloom.io.scan_axes import (
    ANGSTROM,
    DIFFERS,
    DIMS,
    Axis,
    coordinate,
    plain_axes,
    spaced,
    step_of,
)
from phaseloom.io.scan_calibration import FACTS, calibrated, plausible, with_scan_shape

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "as_scan",
    "calibrated",
    "input_fingerprint",
    "make_scan",
    "read_scan",
    "to_hyperspy",
    "with_scan_shape",
]


def make_scan(
    data: Any,
    axes: Sequence[Axis],
    *,
    format_name: str,
    source: str | PathLike[str],
    fingerprint: str,
    title: str = "",
    facts: Mapping[str, float | None] | None = None,
) -> xr.Dataset:
    """Put an array and what is known of it together to a scan.

    Parameters
    ----------
    data
        Numbers, numpy or dask, two to four axes: two of the detector, the others of the scan.
    axes
        One for each axis of `data`, in its order. The scan's come first in the result; an
        array without is one pattern (1, 1, ky, kx), one with a single axis a series
        (1, N, ky, kx).
    format_name, source, fingerprint, title
        For the attributes; `source` is a file or the name of something in memory.
    facts
        ``voltage`` (kV), ``precession_angle`` (deg), ``camera_length`` (mm),
        ``convergence_angle`` (mrad), ``exposure`` (s), ``scan_rotation`` (deg), ``saturation``;
        None where not known. What cannot be is left out with a warning.

    Returns
    -------
    xarray.Dataset
        A scan, ``attrs["kind"] == "scan"``.

    Raises
    ------
    InputError
        The array holds no diffraction patterns, or numbers that are none.
    """
    import dask.array as da
    import xarray as xr

    if data.dtype.kind not in "uifb":
        raise InputError(
            f"holds {data.dtype}, not real numbers", "give counts or intensities", source=source
        )
    if not data.size:
        raise InputError(f"holds no patterns (shape {data.shape})", source=source)
    order = _scan_first(axes, source)
    axes = [Axis(navigate=True)] * (len(DIMS) - len(order)) + [axes[index] for index in order]
    # Not even an empty step between file and slice: dask reads no more than the slice then.
    data = data if order == sorted(order) else data.transpose(order)
    data = data.reshape((1,) * (len(DIMS) - data.ndim) + data.shape)
    if not isinstance(data, da.Array):
        data = _native(np.asarray(data))
        data = da.from_array(data, chunks=chunks(data.shape, data.itemsize))
    elif not data.dtype.isnative:
        data = data.map_blocks(_native, dtype=data.dtype.newbyteorder("="))
    if data.numblocks[2:] != (1, 1) or math.prod(data.chunksize) * data.dtype.itemsize > 2**28:
        data = data.rechunk(chunks(data.shape, data.dtype.itemsize))
    known = plausible(facts or {}, source)
    found = [
        coordinate(axis, n, voltage=known.get("voltage"), source=source)
        for axis, n in zip(axes, data.shape, strict=True)
    ]
    found = [*_alike(found[:2]), *_alike(found[2:])]
    scan = xr.Dataset(
        {"counts": (DIMS, data, {"units": "counts"})},
        coords={
            name: (name, values, {"units": unit})
            for name, (values, unit) in zip(DIMS, found, strict=True)
        },
        attrs={
            "kind": "scan",
            "format": format_name,
            "source": Path(source).name,
            "title": title or Path(source).stem,
            "input_fingerprint": fingerprint,
            **known,
        },
    )
    high, wide = step_of(scan["ky"]), step_of(scan["kx"])
    if high and wide and not math.isclose(high, wide, rel_tol=DIFFERS):
        warnings.warn(
            f"{source}: a pixel of the detector is {high:g} {ANGSTROM} high and {wide:g} "
            f"{ANGSTROM} wide; the width is taken for both",
            InputWarning,
            stacklevel=2,
        )
        scan["ky"] = ("ky", spaced(scan["ky"], wide), scan["ky"].attrs)
    return scan


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
    from phaseloom.io.patterns import read_tiff_scan
    from phaseloom.io.readers.tiff import file_extensions
    from phaseloom.io.reading import read

    path = Path(path)
    if path.suffix.lower() in file_extensions and path.is_file():
        return read_tiff_scan(path, partial=partial)
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


def _scan_first(axes: Sequence[Axis], source: str | PathLike[str]) -> list[int]:
    """Order of the axes: those of the scan, then those of the detector."""
    scan = [index for index, axis in enumerate(axes) if axis.navigate]
    detector = [index for index, axis in enumerate(axes) if not axis.navigate]
    if len(detector) != 2:
        what = {0: "numbers", 1: "spectra"}.get(len(detector), "volumes")
        raise InputError(
            f"holds {what}, not diffraction patterns ({len(detector)} axes per scan position)",
            "give a 4D-STEM scan",
            source=source,
        )
    if len(scan) > 2:
        named = ", ".join(axes[index].name or f"axis {index}" for index in scan)
        raise InputError(
            f"has {len(scan)} scan axes ({named})",
            "save one scan of it, with two scan axes",
            source=source,
        )
    return scan + detector


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


def _alike(found: Sequence[tuple[Any, str]]) -> Sequence[tuple[Any, str]]:
    """Two axes of one plane, both calibrated or neither; one without an extent borrows."""
    units = [unit for _, unit in found]
    if units[0] == units[1]:
        return found
    if all(len(values) == 1 or unit != "px" for values, unit in found):
        unit = next(unit for unit in units if unit != "px")
        return [(values, unit) for values, _ in found]
    return [(np.arange(len(values), dtype=np.float64), "px") for values, _ in found]


def _native(array: Any) -> Any:
    return array.astype(array.dtype.newbyteorder("="), copy=False)
