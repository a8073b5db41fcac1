"""NanoMegas ``.blo`` block files of ASTAR: precession diffraction of a scan, 8 bits.

A header of a fixed layout, a virtual bright-field image, then every pattern behind a mark of six
bytes (``AA 55`` and its number). Layout as documented by RosettaSciIO, whose reader the tests
compare with; here it is mapped so that incomplete files are noticed before they are read.

Calibration: the header gives the physical size of a pixel on the fluorescent screen (pixels per
metre), the camera length and the voltage; k per pixel is size / (camera length · wavelength).
Where these are not known, a note such as ours may say the pixel size; a note that says that the
scan step counts positions is believed too, for the header has no other unit than nm.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.block_file import HEADER
from phaseloom.io.choice import FIRST, Choice
from phaseloom.io.readers._files import first_bytes
from phaseloom.io.readers._lazy import frames_in_file, pattern_type
from phaseloom.io.scan_axes import Axis, wavelength
from phaseloom.io.scan_making import make_scan
from phaseloom.io.tags import number

format_name = "NanoMegas blo"
file_extensions = (".blo",)
describe = "NanoMegas / ASTAR block file (.blo)"

_PRECESSION = re.compile(rb"Precession angle\s*:\s*([0-9]+(?:[.,][0-9]+)?)", re.IGNORECASE)
_PIXEL_SIZE = re.compile(rb"^Pixel size : ([0-9.eE+-]{1,30}) 1/angstrom\r?$", re.MULTILINE)
_UNKNOWN_STEP = re.compile(rb"^Scan step : [0-9.eE+-]{1,30} px\r?$", re.MULTILINE)
_ROOTS = re.compile(rb"^Intensity : values are .{1,40} the square root", re.MULTILINE)


def reads_this(path: Path) -> bool:
    """Whether the file begins as a block file does."""
    return first_bytes(path, 6) == b"IMGBLO"


def read(path: Path, choice: Choice = FIRST) -> xr.Dataset:
    """Read a block file as a scan, uint8; of an incomplete one the complete rows.

    Raises
    ------
    InputError
        The file is incomplete or its header makes no sense.
    """
    choice.require_only("patterns", path)
    with path.open("rb") as file:
        start = file.read(HEADER.itemsize)
        if len(start) < HEADER.itemsize:
            raise InputError("ends within its header", "copy it again", source=path)
        header = np.frombuffer(start, HEADER)[0]
        note = file.read(max(0, min(int(header["image_offset"]), 2**16) - file.tell()))
    size = int(header["pattern_size"])
    if int(header["pattern_offset"]) < HEADER.itemsize:
        raise InputError("its header is damaged", "copy it again", source=path)
    data = frames_in_file(
        path,
        offset=int(header["pattern_offset"]),
        frame=np.dtype([("mark", "u1", 6), ("data", pattern_type("u1", (size, size), path))]),
        field="data",
        shape=(int(header["rows"]), int(header["columns"])),
        partial=choice.partial,
    )
    voltage = header["volts"] * 1e-3
    camera_length = header["camera_length"] * 0.1  # mm
    pixel: dict[str, Any] = {"units": ""}
    magnified = float(header["pixels_per_metre"]) * camera_length
    if voltage and magnified:
        scale = 1e3 / (magnified * wavelength(float(voltage)))
        pixel = {"units": "1/Å", "scale": scale}
    elif noted := _PIXEL_SIZE.search(note):
        pixel = {"units": "1/Å", "scale": number(noted[1]) or 0.0}
    if _ROOTS.search(note):
        warnings.warn(
            f"{path}: its note says that its values are square roots of counts",
            InputWarning,
            stacklevel=3,
        )
    step_units = "" if _UNKNOWN_STEP.search(note) else "nm"
    precession = _PRECESSION.search(note)
    return make_scan(
        data,
        [
            Axis(name="y", units=step_units, scale=float(header["step_y"]), navigate=True),
            Axis(name="x", units=step_units, scale=float(header["step_x"]), navigate=True),
            Axis(name="ky", **pixel),
            Axis(name="kx", **pixel),
        ],
        format_name=format_name,
        source=path,
        facts={
            "voltage": float(voltage),
            "camera_length": float(camera_length),
            "scan_rotation": header["scan_rotation"] * 0.01,
            "precession_angle": float(precession[1].replace(b",", b".")) if precession else None,
        },
    )
