"""Zeiss/Xradia full-field microscope files: ``.xrm`` images and ``.txrm`` series.

The format is not published; what is read here follows the open readers DXchange
(De Carlo et al., J. Synchrotron Rad. 21 (2014) 1224), xanespy and txrm2tiff.

Conventions
-----------
Rows: the first stored row is the bottom one. txrm2tiff turns images upside down to show them,
first row at the top, as the instrument's own software does, and the annotations in the files
count from the bottom left. So rows are taken in the order stored: y ascends upwards.

Positions: the recorded stage position labels the centre of the field; where none is recorded,
the first pixel is at 0. Within a series the stage jitters; the median position is used.

Energies: as recorded (32-bit, hence 8249.9365 eV); from the file name where absent or zero.
"""

from __future__ import annotations

import re
import warnings
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import olefile
import xarray as xr
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.choice import FIRST, Choice
from phaseloom.io.energies import in_electronvolts
from phaseloom.io.images import (
    EnergyFromName,
    energy_in_name,
    file_attrs,
    images_to_stack,
    pixel_axis,
)
from phaseloom.io.readers._files import damage_named, first_bytes

format_name = "Xradia"
file_extensions = (".xrm", ".txrm")
describe = "Zeiss/Xradia full-field X-ray microscope: images, energy series, tilt series"

_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_DATA_TYPES: dict[int, np.dtype[Any]] = {5: np.dtype("<u2"), 10: np.dtype("<f4")}
_DETECTOR = "camera"
_FRAME_STREAM = re.compile(r"ImageData(\d+)/Image(\d+)", re.IGNORECASE)
# Angles that differ by less than this (degrees) are one angle with the jitter of the stage.
_ANGLE_JITTER = 0.1


def reads_this(path: Path) -> bool:
    """Whether the file is an OLE2 container."""
    return first_bytes(path, len(_MAGIC)) == _MAGIC


def read(path: Path, choice: Choice = FIRST) -> xr.Dataset:
    """Read an ``.xrm`` image or a ``.txrm`` series; of an aborted one what can be read.

    Returns
    -------
    xarray.Dataset
        ``counts`` (energy, y, x), dtype as stored, of kind "image" or "stack". Several frames
        at one energy, or at varying angles, are no stack: they come as kind "image_series" with
        dims (frame, y, x) and coordinates ``energy`` (eV) and ``angle`` (degrees) on frame.
        ``dwell`` is the exposure in s per frame; ``reference_counts`` (y, x) the reference
        image (no sample in the beam) if the file holds one.

    Raises
    ------
    InputError
        The file is truncated or damaged, frames are missing, or the energy is unknown.
    """
    choice.require_only(_DETECTOR, path)
    streams = _read_streams(path)
    height = _integer(streams, "ImageInfo/ImageHeight", path)
    width = _integer(streams, "ImageInfo/ImageWidth", path)
    dtype = _data_type(_integer(streams, "ImageInfo/DataType", path), path)
    counts, kept = _frames(streams, (height, width), dtype, path=path, partial=choice.partial)
    taken = int(kept[-1]) + 1

    angle = _per_frame(streams, "ImageInfo/Angles", taken)[kept]
    tilted = len(kept) > 1 and bool(np.ptp(angle) > _ANGLE_JITTER)
    energy = _energies(streams, taken, same_energy=tilted, path=path)[kept]
    dwell = _per_frame(streams, "ImageInfo/ExpTimes", taken)[kept]
    dwell[~(dwell > 0)] = np.nan

    pixel_size = _one_float(streams, "ImageInfo/PixelSize")
    if pixel_size is not None and not 0 < pixel_size < 1e4:
        pixel_size = None
    y, x = (
        pixel_axis(name, size, pixel_size, _stage_position(streams, stream, taken))
        for name, size, stream in (
            ("y", height, "ImageInfo/YPosition"),
            ("x", width, "ImageInfo/XPosition"),
        )
    )
    title = _text(streams, "SampleInfo/SampleID")
    attrs = file_attrs(path, format_name, _DETECTOR, title=title)
    start = _start_time(streams)
    if start is not None:
        attrs["start_time"] = start

    if tilted or (len(kept) > 1 and bool(np.all(energy == energy[0]))):
        measurement = xr.Dataset(
            {
                "counts": (("frame", "y", "x"), counts, {"units": "counts"}),
                "dwell": ("frame", dwell, {"units": "s"}),
            },
            {
                "energy": ("frame", energy, {"units": "eV"}),
                "angle": ("frame", angle, {"units": "degree"}),
                "frame": ("frame", kept),
                "y": y,
                "x": x,
            },
            {"kind": "image_series", **attrs},
        )
    else:
        measurement = images_to_stack(
            {"counts": (counts, "counts"), "dwell": (dwell, "s")},
            energy=energy,
            y=y,
            x=x,
            attrs=attrs,
        )
    if not np.isfinite(dwell).any():
        measurement = measurement.drop_vars("dwell")
    reference = _reference(streams, (height, width), dtype, path)
    if reference is not None:
        measurement["reference_counts"] = (("y", "x"), reference, {"units": "counts"})
    return measurement


def _read_streams(path: Path) -> dict[str, bytes]:
    """All streams of the file which matter here, by name; any defect of the container raises.

    Without ``DEFECT_INCORRECT`` olefile returns what it finds of a truncated stream.
    """
    wanted = ("ImageInfo/", "ImageData", "ReferenceData/", "SampleInfo/SampleID")
    streams = {}
    with (
        damage_named(path, "OLE2 file", "copy it again from the instrument"),
        olefile.OleFileIO(path, raise_defects=olefile.DEFECT_INCORRECT) as container,
    ):
        for entry in container.listdir():
            name = "/".join(entry)
            if name.startswith(wanted):
                data = container.openstream(entry).read()
                if len(data) != container.get_size(entry):
                    raise InputError(f"stream {name} is cut off", source=path)
                streams[name] = data
    return streams


def _integer(streams: dict[str, bytes], name: str, path: Path) -> int:
    """A positive 32-bit integer which the format requires."""
    data = streams.get(name, b"")
    value = int.from_bytes(data[:4], "little", signed=True)
    if len(data) < 4 or value <= 0:
        raise InputError(
            f"has no valid {name}", "it is no Xradia image, or is damaged", source=path
        )
    return value


def _data_type(code: int, path: Path) -> np.dtype[Any]:
    if code not in _DATA_TYPES:
        raise InputError(
            f"stores pixels as data type {code}; known are 5 (uint16) and 10 (float32)", source=path
        )
    return _DATA_TYPES[code]


def _floats(streams: dict[str, bytes], name: str) -> NDArray[np.float64]:
    """All 32-bit floats of a stream; empty if it is absent. Longer ones are padded with zeros."""
    data = streams.get(name, b"")
    return np.frombuffer(data[: len(data) // 4 * 4], "<f4").astype(np.float64)


def _one_float(streams: dict[str, bytes], name: str) -> float | None:
    values = _floats(streams, name)
    return float(values[0]) if values.size and np.isfinite(values[0]) else None


def _per_frame(streams: dict[str, bytes], name: str, taken: int) -> NDArray[np.float64]:
    """One number per frame taken; NaN where none is recorded."""
    values = np.full(taken, np.nan)
    recorded = _floats(streams, name)[:taken]
    values[: recorded.size] = recorded
    return values


def _frames(
    streams: dict[str, bytes],
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    *,
    path: Path,
    partial: bool,
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Images (frame, y, x) in native byte order, and the indices of the frames they are."""
    expected = _integer(
        streams,
        "ImageInfo/ImagesTaken" if "ImageInfo/ImagesTaken" in streams else "ImageInfo/NoOfImages",
        path,
    )
    n_bytes = shape[0] * shape[1] * dtype.itemsize
    found = {
        int(match[2]) - 1: data
        for name, data in streams.items()
        if (match := _FRAME_STREAM.fullmatch(name)) and len(data) == n_bytes
    }
    kept = np.array(sorted(frame for frame in found if 0 <= frame < expected), dtype=np.int64)
    if len(kept) < expected:
        first = next(frame for frame in range(expected) if frame not in found) + 1
        fault = (
            f"holds {len(kept)} of the {expected} images of {shape[0]} × {shape[1]} pixels its "
            f"header names; the first missing is image {first}"
        )
        if not partial or not len(kept):
            raise InputError(
                fault,
                "use those it has with --partial (partial=True)" if len(kept) else None,
                source=path,
            )
        warnings.warn(f"{path}: {fault}", InputWarning, stacklevel=3)
    counts = np.empty((len(kept), *shape), dtype=dtype.newbyteorder("="))
    for index, frame in enumerate(kept):
        counts[index] = np.frombuffer(found[int(frame)], dtype).reshape(shape)
    return counts, kept


def _energies(
    streams: dict[str, bytes], taken: int, *, same_energy: bool, path: Path
) -> NDArray[np.float64]:
    """Energy of each frame in eV, from the header or else from the file name."""
    energy = _per_frame(streams, "ImageInfo/Energy", taken)
    energy[~((energy > 0) & (energy < 1e6))] = np.nan
    energy = in_electronvolts(energy, unit=None, source=path, gaps=True, stacklevel=5)
    named = energy_in_name(path)
    known = np.isfinite(energy)
    if known.all():
        if taken == 1 and named is not None and abs(named - energy[0]) > 1:
            warnings.warn(
                f"{path}: the header says {energy[0]:.2f} eV, the file name {named:g} eV; "
                "the header is taken",
                InputWarning,
                stacklevel=3,
            )
        return energy
    # One energy may stand for all frames only where the series is evidently not one of energies.
    if same_energy and known.sum() == 1:
        warnings.warn(
            f"{path}: the energy is recorded for one of {taken} images, "
            f"{energy[known][0]:.2f} eV; it is taken for all",
            InputWarning,
            stacklevel=3,
        )
        return np.full(taken, energy[known][0])
    if not known.any() and named is not None and (taken == 1 or same_energy):
        warnings.warn(
            f"{path}: no energy recorded; {named:g} eV is taken from the file name",
            EnergyFromName,
            stacklevel=3,
        )
        return np.full(taken, named)
    raise InputError(
        f"records no energy for {int((~known).sum())} of {taken} images",
        "for a single image, write it into the file name as in NAME_8324.0_eV_.xrm",
        source=path,
    )


def _stage_position(streams: dict[str, bytes], name: str, taken: int) -> float | None:
    values = _per_frame(streams, name, taken)
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else None


def _reference(
    streams: dict[str, bytes], shape: tuple[int, int], dtype: np.dtype[Any], path: Path
) -> NDArray[Any] | None:
    """The reference image inside the file, which must be as large as the images."""
    data = streams.get("ReferenceData/Image")
    if data is None:
        return None
    if "ReferenceData/DataType" in streams:
        dtype = _data_type(_integer(streams, "ReferenceData/DataType", path), path)
    if len(data) != shape[0] * shape[1] * dtype.itemsize:
        warnings.warn(
            f"{path}: its reference image has not the size of its images and is left out",
            InputWarning,
            stacklevel=3,
        )
        return None
    image = np.frombuffer(data, dtype).reshape(shape)
    return image.astype(dtype.newbyteorder("="))


def _text(streams: dict[str, bytes], name: str) -> str:
    return streams.get(name, b"").split(b"\0")[0].decode("latin-1").strip()


def _start_time(streams: dict[str, bytes]) -> str | None:
    """Local time of the first image, ISO 8601; None if the header holds none."""
    try:
        moment = datetime.strptime(_text(streams, "ImageInfo/Date"), "%m/%d/%y %H:%M:%S")
    except ValueError:
        return None
    return moment.isoformat()
