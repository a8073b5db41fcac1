"""Raw frames and measurement, common to the two stack formats of aXis2000."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import DTypeLike, NDArray

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.energies import in_electronvolts
from phaseloom.io.images import file_attrs

DETECTOR = "counts"
"""What the formats have: one detector, one entry."""


def read_raw_frames(
    path: Path, dtype: DTypeLike, shape: tuple[int, int, int], *, offset: int, partial: bool
) -> NDArray[np.number]:
    """Read the frames from ``offset`` to the end of the file, in native byte order.

    Parameters
    ----------
    path
        The file.
    dtype
        Type of the values, byte order included.
    shape
        (energy, y, x) after the header; x is fastest in the file.
    offset
        Where the frames begin, in bytes.
    partial
        Accept fewer frames, with a warning; a frame that is cut is left out.

    Raises
    ------
    InputError
        The file's length is not that of its frames.
    """
    stored = np.dtype(dtype)
    frame = shape[1] * shape[2] * stored.itemsize
    length = path.stat().st_size - offset
    if length > frame * shape[0]:
        raise InputError(
            f"is longer than {shape[0]} frames of {shape[2]} × {shape[1]} pixels: "
            f"{length} bytes instead of {frame * shape[0]}",
            "the sizes in the header do not belong to these data",
            source=path,
        )
    whole = max(length, 0) // frame
    if whole < shape[0]:
        fault = f"breaks off: {whole} of {shape[0]} frames are whole"
        if not partial or whole == 0:
            raise InputError(
                fault, "restore the file, or allow partial reading to use these", source=path
            )
        warnings.warn(f"{path}: {fault}; the others are left out", InputWarning, stacklevel=2)
    raw = np.fromfile(path, dtype=stored, count=whole * shape[1] * shape[2], offset=offset)
    return raw.astype(stored.newbyteorder("="), copy=False).reshape(whole, *shape[1:])


def build_stack(
    path: Path,
    frames: NDArray[np.number],
    *,
    format_name: str,
    energies: NDArray[np.float64],
    y: NDArray[np.float64],
    x: NDArray[np.float64],
    dwell: NDArray[np.float64] | None,
    partial: bool,
) -> xr.Dataset:
    """Make the measurement: axes ascending, frames without data left out or refused.

    Parameters
    ----------
    path
        The file, for messages.
    frames
        (energy, y, x), perhaps fewer than energies.
    format_name
        Of the reader.
    energies, dwell
        (energy,) in eV and ms.
    y, x
        Positions in µm. All equal: the pixel size is unknown, pixel numbers take their place.
    partial
        Leave frames out that hold no data, with a warning.

    Returns
    -------
    xarray.Dataset
        ``counts`` (energy, y, x), ``dwell`` (energy) in s if known; energy in eV, y and x in
        µm, all ascending. The file does not say whether its values are counts or have been
        converted to optical density.

    Raises
    ------
    InputError
        An axis is not usable, or a frame is all zeros or not finite and ``partial`` is False.
    """
    energies = in_electronvolts(energies, unit=None, source=path, stacklevel=4)
    empty = ~frames.any(axis=(1, 2)) | ~np.isfinite(frames).all(axis=(1, 2))
    if empty.any():
        at = ", ".join(f"{energy:g}" for energy in energies[: len(frames)][empty][:12])
        fault = f"{empty.sum()} frames are all zeros or not finite, at {at} eV"
        if not partial or empty.all():
            raise InputError(fault, "allow partial reading to leave them out", source=path)
        warnings.warn(f"{path}: {fault}; they are left out", InputWarning, stacklevel=2)
    kept = np.flatnonzero(~empty)
    if empty.any():
        frames = frames[kept]
    positions = {"y": _positions(path, y, "y"), "x": _positions(path, x, "x")}
    measurement = xr.Dataset(
        {"counts": (("energy", "y", "x"), frames, {"units": "counts"})},
        coords={
            "energy": ("energy", energies[kept], {"units": "eV"}),
            **{name: (name, values, {"units": unit}) for name, (values, unit) in positions.items()},
        },
        attrs={
            "kind": "image" if kept.size == 1 else "stack",
            **file_attrs(path, format_name, DETECTOR),
        },
    )
    # Stacks made by processing carry no dwell times: zeros stand in their place.
    if dwell is not None and np.isfinite(dwell).all() and (dwell > 0).all():
        measurement["dwell"] = ("energy", dwell[kept] / 1000.0, {"units": "s"})
    order = np.argsort(energies[kept], kind="stable")
    return measurement.sortby(["y", "x"]).isel(energy=order)


def _positions(
    path: Path, values: NDArray[np.float64], name: str
) -> tuple[NDArray[np.float64], str]:
    steps = np.diff(values)
    if not np.isfinite(values).all():
        raise InputError(f"holds positions in {name} that are not finite", source=path)
    if steps.size and not steps.any():
        warnings.warn(
            f"{path}: all positions in {name} are equal; pixel numbers are used",
            InputWarning,
            stacklevel=3,
        )
        return np.arange(values.size, dtype=np.float64), "px"
    if not ((steps > 0).all() or (steps < 0).all()):
        raise InputError(
            f"the positions in {name} neither ascend nor descend throughout", source=path
        )
    return values, "µm"
