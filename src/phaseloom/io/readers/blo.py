"""NanoMegas ``.blo`` block files of ASTAR: precession diffraction of a scan, 8 bits.

A header of a fixed layout, a virtual bright-field image, then every pattern behind a mark of six
bytes (``AA 55`` and its number). Layout as documented by RosettaSciIO, whose reader the tests
compare with; here it is mapped so that incomplete files are noticed before they are read.

Calibration: the header gives the physical size of a pixel on the fluorescent screen (pixels per
cm), the camera length and the voltage; k per pixel is size / (camera length · wavelength).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import xarray as xr

from phaseloom.errors import InputError
from phaseloom.io.fingerprint import input_fingerprint
from phaseloom.io.readers._lazy import frames_in_file, pattern_type
from phaseloom.io.scan_axes import Axis, wavelength
from phaseloom.io.scans import make_scan
from phaseloom.io.stacking import refuse_choice

format_name = "NanoMegas blo"
file_extensions = (".blo",)
describe = "NanoMegas / ASTAR block file (.blo)"

_HEADER = np.dtype(
    [
        ("id", "S6"),
        ("magic", "<u2"),
        ("offset_image", "<u4"),
        ("offset_patterns", "<u4"),
        ("flags", "<u4"),
        ("size", "<u2"),
        ("pattern_rotation", "<u2"),
        ("nx", "<u2"),
        ("ny", "<u2"),
        ("scan_rotation", "<u2"),
        ("step_x", "<f8"),
        ("step_y", "<f8"),
        ("voltage", "<u4"),
        ("pixels_per_cm", "<u2"),
        ("camera_length", "<u4"),
        ("time", "<f8"),
        ("centring", "<f8", 8),
        ("distortion", "<f8", 14),
    ]
)
_PRECESSION = re.compile(rb"Precession angle\s*:\s*([0-9]+(?:[.,][0-9]+)?)", re.IGNORECASE)


def reads_this(path: Path) -> bool:
    """Whether the file begins as a block file does."""
    try:
        with path.open("rb") as file:
            return file.read(6) == b"IMGBLO"
    except OSError:
        return False


def read(
    path: Path, *, detector: str | None = None, region: int | None = None, partial: bool = False
) -> xr.Dataset:
    """Read a block file.

    Parameters
    ----------
    path
        The file.
    detector, region
        None: there is one scan.
    partial
        Use the complete rows of an incomplete file.

    Returns
    -------
    xarray.Dataset
        A scan, uint8.

    Raises
    ------
    InputError
        The file is incomplete or its header makes no sense.
    """
    refuse_choice(path, detector=detector, region=region, available="patterns")
    with path.open("rb") as file:
        start = file.read(_HEADER.itemsize)
        if len(start) < _HEADER.itemsize:
            raise InputError("ends within its header", "copy it again", source=path)
        header = np.frombuffer(start, _HEADER)[0]
        note = file.read(max(0, min(int(header["offset_image"]), 2**16) - file.tell()))
    size = int(header["size"])
    if int(header["offset_patterns"]) < _HEADER.itemsize:
        raise InputError("its header is damaged", "copy it again", source=path)
    data = frames_in_file(
        path,
        offset=int(header["offset_patterns"]),
        frame=np.dtype([("mark", "u1", 6), ("data", pattern_type("u1", (size, size), path))]),
        field="data",
        shape=(int(header["ny"]), int(header["nx"])),
        partial=partial,
    )
    voltage = header["voltage"] * 1e-3
    camera_length = header["camera_length"] * 0.1  # mm
    pixel = {"units": ""} if not (voltage and camera_length and header["pixels_per_cm"]) else {
        "units": "1/Å",
        "scale": 1e3
        / (header["pixels_per_cm"] * camera_length * wavelength(float(voltage))),
    }  # fmt: skip
    precession = _PRECESSION.search(note)
    return make_scan(
        data,
        [
            Axis(name="y", units="nm", scale=float(header["step_y"]), navigate=True),
            Axis(name="x", units="nm", scale=float(header["step_x"]), navigate=True),
            Axis(name="ky", **pixel),
            Axis(name="kx", **pixel),
        ],
        format_name=format_name,
        source=path,
        fingerprint=input_fingerprint(path),
        facts={
            "voltage": float(voltage),
            "camera_length": float(camera_length),
            "scan_rotation": header["scan_rotation"] * 0.01,
            "precession_angle": float(precession[1].replace(b",", b".")) if precession else None,
        },
    )
