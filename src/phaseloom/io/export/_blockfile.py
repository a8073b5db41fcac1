"""Patterns as NanoMegas block files (``.blo``), which ASTAR indexes; see ``io.block_file``."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.block_file import HEADER
from phaseloom.io.export.pattern_header import Blocks, PatternHeader
from phaseloom.io.scan_axes import wavelength

_IMAGE_OFFSET = 0x1000
_FLAGS = 131141
_EPOCH = datetime(1899, 12, 30, tzinfo=UTC)
_PIXELS_PER_METRE = (3000, 12000)


def write(path: Path, blocks: Blocks, header: PatternHeader) -> None:
    """Write a block file; see :func:`phaseloom.io.export.patterns.write_patterns`."""
    if header.dtype != np.uint8:
        raise InputError(
            f"a .blo file holds patterns of 8 bits, not {header.dtype}", "take the dtype uint8"
        )
    size = header.pattern_shape[0]
    if header.pattern_shape != (size, size):
        raise InputError(
            f"a .blo file holds square patterns, not {size}×{header.pattern_shape[1]}",
            "choose a square shape",
        )
    if max(*header.scan_shape, size) > np.iinfo(np.uint16).max:
        raise InputError("a .blo file counts no axis beyond 65535")
    record = np.dtype([("mark", "<u2"), ("number", "<u4"), ("pattern", "u1", (size, size))])
    image = np.zeros(header.positions)
    first = -(-(_IMAGE_OFFSET + header.positions) // 16) * 16
    with path.open("wb") as file:
        file.write(_header(header, first))
        file.write(bytes(first - file.tell()))
        for chosen, patterns in blocks:
            records = np.empty(len(patterns), dtype=record)
            records["mark"] = 0x55AA
            records["number"] = np.arange(chosen.start, chosen.stop)
            records["pattern"] = patterns
            records.tofile(file)
            image[chosen] = patterns.sum((1, 2), dtype=np.float64)
        file.seek(_IMAGE_OFFSET)
        file.write(np.rint(image * (255 / max(1.0, image.max()))).astype(np.uint8).tobytes())


def _header(header: PatternHeader, pattern_offset: int) -> bytes:
    values = np.zeros(1, dtype=HEADER)
    pixels_per_metre, camera_length = _calibration(header)
    for name, value in {
        "identity": b"IMGBLO",
        "magic": 0x0102,
        "image_offset": _IMAGE_OFFSET,
        "pattern_offset": pattern_offset,
        "flags": _FLAGS,
        "pattern_size": header.pattern_shape[0],
        "rows": header.scan_shape[0],
        "columns": header.scan_shape[1],
        "step_y": header.step[0],
        "step_x": header.step[1],
        "volts": round(1000 * (header.voltage or 0)),
        "pixels_per_metre": pixels_per_metre,
        "camera_length": camera_length,
        "time": (datetime.now(UTC) - _EPOCH).total_seconds() / 86400,
    }.items():
        values[name] = value
    units = "1/angstrom" if header.units == "Å⁻¹" else header.units
    # What is read back stands before the title, which may be long.
    note = (
        f"Pixel size : {header.pixel_size:.9g} {units}\r\n"
        f"Direct beam : row {header.centre[0]:g}, column {header.centre[1]:g}\r\n"
        f"Scan step : {header.step[0]:g} {header.step_units}\r\n"
        + (f"Intensity : {header.scaling}\r\n" if header.scaling else "")
        + header.title
    )
    room = _IMAGE_OFFSET - HEADER.itemsize
    return (values.tobytes() + note.encode("latin1", "replace")[:room]).ljust(_IMAGE_OFFSET, b"\0")


def _calibration(header: PatternHeader) -> tuple[int, int]:
    """Pixels per metre and camera length (0.1 mm) that together state the pixel size.

    Pixel size = 1 / (pixels per metre · camera length · wavelength); of the whole numbers that
    the header holds, those are taken whose product comes closest. Zero when it is not known.
    """
    if header.units != "Å⁻¹":
        return 0, 0
    if header.voltage is None:
        warnings.warn(
            "a .blo file states the pixel size through the voltage, which is not known: it stands "
            "in the note alone, which ASTAR does not read; give the voltage",
            InputWarning,
            stacklevel=2,
        )
        return 0, 0
    product = 1e4 / (header.pixel_size * wavelength(header.voltage))
    pixels = np.arange(*_PIXELS_PER_METRE)
    lengths = np.clip(np.rint(product / pixels), 1, np.iinfo(np.uint32).max)
    best = int(np.argmin(np.abs(pixels * lengths / product - 1)))
    return int(pixels[best]), int(lengths[best])
