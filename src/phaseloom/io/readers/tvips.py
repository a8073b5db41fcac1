"""TVIPS camera streams: ``NAME_000.tvips`` and the files it goes on in, ``_001``, ``_002`` ….

A header, then frames, each behind a header of its own; little-endian. Layout as documented by
RosettaSciIO. The stream says nothing of the scan: it is a series. Its pixel size is a whole
number of nm of the camera, no calibration of diffraction, and is not used.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import xarray as xr

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.choice import FIRST, Choice
from phaseloom.io.fingerprint import input_fingerprint
from phaseloom.io.readers._files import first_bytes
from phaseloom.io.readers._lazy import frames_in_file, pattern_type
from phaseloom.io.scan_axes import plain_axes
from phaseloom.io.scan_making import make_scan

format_name = "TVIPS"
file_extensions = (".tvips",)
describe = "TVIPS stream (.tvips, several parts)"

_HEADER = np.dtype(
    [
        (name, "<u4")
        for name in (
            "size", "version", "width", "height", "bits", "offset_x", "offset_y", "bin_x",
            "bin_y", "pixel", "voltage", "magnification", "frame_header",
        )
    ]
)  # fmt: skip
_MODE = 24  # where a frame header has its mode: 1 image, 2 diffraction
_IMAGE = 1
_PART = re.compile(r"(.*_)(\d{3})(\.tvips)", re.IGNORECASE)


def reads_this(path: Path) -> bool:
    """Whether the header could be one of this format."""
    start = first_bytes(path, _HEADER.itemsize)
    if _PART.fullmatch(path.name) is None or len(start) < _HEADER.itemsize:
        return len(start) == _HEADER.itemsize and _sensible(np.frombuffer(start, _HEADER)[0])
    return True  # the parts after the first have no header


def _sensible(header: np.void) -> bool:
    return (
        header["version"] in (1, 2)
        and header["bits"] in (8, 16, 32)
        and 0 < header["width"] < 2**16
        and 0 < header["height"] < 2**16
        and _HEADER.itemsize <= header["size"] < 2**16
        and header["frame_header"] < 2**16
    )


def read(path: Path, choice: Choice = FIRST) -> xr.Dataset:
    """Read a stream with all its parts, given the first: a scan (1, N, ky, kx), uncalibrated.

    Partial reading leaves out an incomplete last pattern.

    Raises
    ------
    InputError
        The file is not the first part, damaged or incomplete.
    """
    import dask.array as da

    choice.require_only("patterns", path)
    named = _PART.fullmatch(path.name)
    if named and int(named[2]) != 0:
        raise InputError(
            "is not the first part of its stream",
            f"give {named[1]}000{named[3]}",
            source=path,
        )
    parts = [path]
    while named:
        part = path.with_name(f"{named[1]}{len(parts):03d}{named[3]}")
        if not part.is_file():
            break
        parts.append(part)
    with path.open("rb") as file:
        start = file.read(_HEADER.itemsize)
        if len(start) < _HEADER.itemsize:
            raise InputError("ends within its header", "copy it again", source=path)
        header = np.frombuffer(start, _HEADER)[0]
        if not _sensible(header):
            raise InputError("its header is damaged", "copy it again", source=path)
        file.seek(int(header["size"]))
        first = file.read(_MODE + 4)
    length = 12 if header["version"] == 1 else int(header["frame_header"])
    mode = int.from_bytes(first[_MODE:], "little") if length >= _MODE + 4 else 0
    if mode == _IMAGE:
        warnings.warn(
            f"{path}: says that it holds images, not diffraction patterns",
            InputWarning,
            stacklevel=3,
        )
    pixels = int(header["height"]), int(header["width"])
    frame = np.dtype(
        [
            ("header", "u1", length),
            ("data", pattern_type(f"<u{header['bits'] // 8}", pixels, path)),
        ]
    )
    series = []
    for part in parts:
        offset = int(header["size"]) if part == path else 0
        # How many there should be is recorded nowhere: part of one more was lost.
        promised = -(-(part.stat().st_size - offset) // frame.itemsize)
        if promised > 0:
            series.append(
                frames_in_file(
                    part, offset=offset, frame=frame, field="data", shape=(1, promised),
                    partial=choice.partial,
                )
            )  # fmt: skip
    if not series:
        raise InputError("holds no patterns", "copy it again", source=path)
    voltage = float(header["voltage"])
    return make_scan(
        da.concatenate(series, axis=1) if len(series) > 1 else series[0],
        plain_axes(4),
        format_name=format_name,
        source=path,
        fingerprint=input_fingerprint(parts),
        facts={"voltage": voltage * 1e-3 if voltage > 5000 else voltage},
    )
