"""Diffraction patterns to files that ASTAR, HyperSpy, pyxem and ImageJ open calibrated.

Patterns come block by block and go to disk at once: a scan need not fit into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from phaseloom.errors import InputError
from phaseloom.io.export import _blockfile, _hyperspy
from phaseloom.io.export._target import completed, require_folder
from phaseloom.io.export.pattern_header import Blocks, PatternHeader


def write_patterns(
    path: str | PathLike[str],
    blocks: Blocks,
    *,
    scan_shape: tuple[int, int],
    pattern_shape: tuple[int, int],
    pixel_size: float = 1.0,
    units: str = "px",
    centre: tuple[float, float] | None = None,
    step: float | tuple[float, float] = 1.0,
    step_units: str = "px",
    voltage: float | None = None,
    title: str = "",
    scaling: str = "",
) -> Path:
    """Write patterns as ``.blo``, ``.hspy``, ``.zspy``, ``.tif`` or ``.tiff``.

    ======  =========================================================================
    .blo    NanoMegas block file, for ASTAR: square, 8 bits. The pixel size is stated the
            format's way, by pixels per metre, camera length and voltage together
            (pixel size = 1 / (pixels per metre · camera length · wavelength)); without a
            voltage it stands in the note only. The virtual image is the sum of every pattern.
    .hspy   HyperSpy's HDF5; pyxem opens it as electron diffraction, in its unit "$A^{-1}$".
    .zspy   The same in a folder (zarr format 2).
    .tif    One page per pattern, an ImageJ stack with frames = y and slices = x; BigTIFF from
            4 GB on.
    ======  =========================================================================

    Rows of the patterns are written from the top, scan positions in reading order. The file
    appears under its name only when it is complete; one that is there already is replaced.

    Parameters
    ----------
    path
        Its extension says the format.
    blocks
        Yields (scan positions counted in reading order, patterns (n, ky, kx)), without gaps.
    scan_shape
        Scan positions (y, x).
    pattern_shape
        Rows and columns of the patterns.
    pixel_size
        ``units`` per pixel of the patterns.
    units
        "Å⁻¹" (1/d, no 2π) or "px".
    centre
        Row and column of the direct beam; (rows // 2, columns // 2) by default.
    step
        ``step_units`` between scan positions, one number or (y, x).
    step_units
        "nm" or "px".
    voltage
        Acceleration voltage in kV.
    title
        Said in the file.
    scaling
        What the stored values are, in one line: said in the note of ``.blo``, and in
        ``metadata.General.notes`` of ``.hspy`` and ``.zspy``.

    Returns
    -------
    pathlib.Path
        The file (or folder) written.

    Raises
    ------
    InputError
        The extension is unknown, the folder does not exist, the blocks do not fit the shapes, or
        the format cannot hold such patterns.
    """
    path = Path(path)
    write = _writer(path)
    require_folder(path)
    stream = iter(blocks)
    first = next(stream, None)
    if first is None:
        raise InputError("there are no patterns to write", source=path)
    rows, columns = pattern_shape
    header = PatternHeader(
        (int(scan_shape[0]), int(scan_shape[1])),
        (int(rows), int(columns)),
        first[1].dtype,
        float(pixel_size),
        units,
        (rows // 2, columns // 2) if centre is None else centre,
        (float(step), float(step)) if isinstance(step, (int, float)) else step,
        step_units,
        voltage,
        title,
        scaling,
    )
    _check(header, path)
    with completed(path) as unfinished:
        write(unfinished, _checked(chain([first], stream), header, path), header)
    return path


def _writer(path: Path) -> Callable[[Path, Blocks, PatternHeader], None]:
    """The function that writes what the extension says."""
    writers: dict[str, Callable[[Path, Blocks, PatternHeader], None]] = {
        ".blo": _blockfile.write,
        ".hspy": _hyperspy.write_hspy,
        ".zspy": _hyperspy.write_zspy,
        ".tif": _write_tiff,
        ".tiff": _write_tiff,
    }
    if path.suffix.lower() not in writers:
        raise InputError(
            f"patterns are not written as {path.suffix or 'a file without extension'}",
            f"take one of {' '.join(writers)}",
            source=path,
        )
    # Only a folder of ours is ever replaced.
    store = path.suffix.lower() == ".zspy"
    if path.is_dir() and not (store and (path / ".zgroup").is_file()):
        raise InputError("is a folder", "remove it or take another name", source=path)
    return writers[path.suffix.lower()]


def _check(header: PatternHeader, path: Path) -> None:
    if min(header.scan_shape) < 1 or min(header.pattern_shape) < 1:
        raise InputError("there are no patterns to write", source=path)
    for what, unit, known in (
        ("pixel size", header.units, ("Å⁻¹", "px")),
        ("step", header.step_units, ("nm", "px")),
    ):
        if unit not in known:
            raise InputError(
                f"the unit {unit!r} of the {what} is unknown",
                f"take {' or '.join(known)}",
                source=path,
            )
    for what, value in (
        ("pixel size", header.pixel_size),
        ("step", header.step[0]),
        ("step", header.step[1]),
        ("voltage", 1.0 if header.voltage is None else header.voltage),
    ):
        if not (np.isfinite(value) and value > 0):
            raise InputError(f"a {what} of {value} cannot be", "it must be positive", source=path)


def _checked(blocks: Blocks, header: PatternHeader, path: Path) -> Iterator[tuple[slice, Any]]:
    """The blocks, provided that they follow each other and fit."""
    expected = 0
    for chosen, patterns in blocks:
        last = expected + len(patterns)
        if (chosen.start, chosen.stop) != (expected, last) or last > header.positions:
            raise InputError(
                f"the block of positions {chosen.start} to {chosen.stop} does not follow "
                f"position {expected} of {header.positions}",
                source=path,
            )
        if patterns.shape[1:] != header.pattern_shape or patterns.dtype != header.dtype:
            raise InputError(
                f"patterns of shape {patterns.shape[1:]} and type {patterns.dtype} among those of "
                f"shape {header.pattern_shape} and type {header.dtype}",
                source=path,
            )
        yield chosen, patterns
        expected = last
    if expected != header.positions:
        raise InputError(
            f"there are {expected} patterns for {header.positions} scan positions", source=path
        )


def _write_tiff(path: Path, blocks: Blocks, header: PatternHeader) -> None:
    """Pages of a TIFF with the description and resolution that ImageJ reads."""
    from tifffile import TiffWriter, imagej_description

    if header.dtype not in (np.uint8, np.uint16, np.float32):
        raise InputError(
            f"a TIFF of type {header.dtype} is not read by ImageJ", "take uint8, uint16 or float32"
        )
    unit = "1/angstrom" if header.units == "Å⁻¹" else "pixel"
    description = imagej_description(
        (*header.scan_shape, 1, *header.pattern_shape),
        axes="TZCYX",
        unit=unit,
        # ImageJ counts coordinates from here: the direct beam is at zero.
        xorigin=header.centre[1],
        yorigin=header.centre[0],
    )
    # HyperSpy takes unit and origin from the tags of DigitalMicrograph, for x and for y.
    places = [-at * header.pixel_size for at in (header.centre[1], header.centre[0])]
    tags = [
        *((tag, "s", len(unit) + 1, unit, True) for tag in (65003, 65004)),
        *((tag, "d", 1, place, True) for tag, place in zip((65006, 65007), places, strict=True)),
        *((tag, "d", 1, header.pixel_size, True) for tag in (65009, 65010)),
    ]
    # The 4 GB of a classic TIFF hold the directory of every page too.
    large = header.nbytes + 1024 * header.positions > 2**32 - 2**20
    with TiffWriter(path, bigtiff=large) as file:
        file.write(
            (pattern for _, patterns in blocks for pattern in patterns),
            shape=(header.positions, *header.pattern_shape),
            dtype=header.dtype,
            photometric="minisblack",
            resolution=(1 / header.pixel_size, 1 / header.pixel_size),
            resolutionunit="NONE",
            description=description,
            metadata=None,
            extratags=tags,
        )
