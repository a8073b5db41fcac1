"""A 4D-STEM scan from an array, its axes and instrument settings.

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
from phaseloom.io.chunking import chunks
from phaseloom.io.fingerprint import input_fingerprint
from phaseloom.io.scan_axes import ANGSTROM, DIFFERS, DIMS, Axis, coordinate, spaced, step_of
from phaseloom.io.scan_calibration import plausible

if TYPE_CHECKING:
    import xarray as xr


def make_scan(
    data: Any,
    axes: Sequence[Axis],
    *,
    format_name: str,
    source: str | PathLike[str],
    fingerprint: str | None = None,
    title: str = "",
    facts: Mapping[str, float | None] | None = None,
) -> xr.Dataset:
    """Make a scan of an array, its axes and the settings of the instrument.

    Parameters
    ----------
    data
        Numbers, numpy or dask, two to four axes: two of the detector, the others of the scan.
    axes
        One for each axis of `data`, in its order. The scan's come first in the result; an
        array without is one pattern (1, 1, ky, kx), one with a single axis a series
        (1, N, ky, kx).
    format_name, source, title
        For the attributes; `source` is a file or the name of something in memory.
    fingerprint
        Of what the numbers were read from: the file `source` by default.
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
    coordinates = [
        coordinate(axis, n, voltage=known.get("voltage"), source=source)
        for axis, n in zip(axes, data.shape, strict=True)
    ]
    coordinates = [*_alike(coordinates[:2]), *_alike(coordinates[2:])]
    scan = xr.Dataset(
        {"counts": (DIMS, data, {"units": "counts"})},
        coords={
            name: (name, values, {"units": unit})
            for name, (values, unit) in zip(DIMS, coordinates, strict=True)
        },
        attrs={
            "kind": "scan",
            "format": format_name,
            "source": Path(source).name,
            "title": title or Path(source).stem,
            "input_fingerprint": fingerprint or input_fingerprint(Path(source)),
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


def _alike(coordinates: Sequence[tuple[Any, str]]) -> Sequence[tuple[Any, str]]:
    """Two axes of one plane, both calibrated or neither; one without an extent borrows."""
    units = [unit for _, unit in coordinates]
    if units[0] == units[1]:
        return coordinates
    if all(len(values) == 1 or unit != "px" for values, unit in coordinates):
        unit = next(unit for unit in units if unit != "px")
        return [(values, unit) for values, _ in coordinates]
    return [(np.arange(len(values), dtype=np.float64), "px") for values, _ in coordinates]


def _native(array: Any) -> Any:
    return array.astype(array.dtype.newbyteorder("="), copy=False)
