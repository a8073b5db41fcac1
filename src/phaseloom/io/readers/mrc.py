"""MRC stacks (``.mrc``): a header of 1024 bytes, an extended one, then the images one by one.

Layout of MRC2014 (CCP-EM). Rows and images are taken as they lie in the file, the first row on
top. The cell of the header is a calibration of maps and tomograms: whether it means Å or Å⁻¹ in a
file of patterns nothing says, so it is not used. Bytes are signed where the header says so (MRC2014
or the flag of IMOD), otherwise counts from 0 to 255.

Movies of Direct Electron are a series of patterns; ``…_info.txt`` beside ``…_movie.mrc`` gives the
shape of a raster scan, its step, and the exposure.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.choice import FIRST, Choice
from phaseloom.io.fingerprint import input_fingerprint
from phaseloom.io.readers._files import first_bytes
from phaseloom.io.readers._lazy import frames_in_file, pattern_type
from phaseloom.io.scan_axes import Axis
from phaseloom.io.scan_making import make_scan
from phaseloom.io.tags import number

format_name = "MRC"
file_extensions = (".mrc", ".mrcs")
describe = "MRC stack, also of Direct Electron (.mrc)"

_SIZE = 1024
_HEADER = {
    order: np.dtype(
        {
            "names": ["columns", "rows", "images", "mode", "extended", "version", "imod", "flags"],
            "formats": [f"{order}i4"] * 8,
            "offsets": [0, 4, 8, 12, 92, 108, 152, 156],
            "itemsize": _SIZE,
        }
    )
    for order in "<>"
}
_TYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
_OTHER_MODES = {3: "complex numbers", 4: "complex numbers", 16: "colours", 101: "4 bits packed"}
_IMOD = 1146047817
_MRC2014 = 20140
_MOVIE = re.compile(r"(\d{8}_\d+)(?:_.*)?_movie\.mrcs?", re.IGNORECASE)
_MOST_TAGS = 2**20  # bytes


def reads_this(path: Path) -> bool:
    """Whether the header could be one of this format."""
    return _header(first_bytes(path, _SIZE)) is not None


def _header(start: bytes) -> tuple[np.void, str] | None:
    """The header and its byte order, if sensible in one."""
    if len(start) < _SIZE:
        return None
    for order, layout in _HEADER.items():
        header = np.frombuffer(start, layout)[0]
        if (
            all(0 < header[name] < 2**20 for name in ("columns", "rows"))
            and header["images"] > 0
            and (header["mode"] in _TYPES or header["mode"] in _OTHER_MODES)
            and header["extended"] >= 0
        ):
            return header, order
    return None


def read(path: Path, choice: Choice = FIRST) -> xr.Dataset:
    """Read the images as patterns: one, a series, or the scan of a movie of Direct Electron.

    Raises
    ------
    InputError
        The file is damaged or incomplete, or holds no real numbers.
    """
    choice.require_only("patterns", path)
    found = _header(first_bytes(path, _SIZE))
    if found is None:
        raise InputError("has a damaged header", "copy it again", source=path)
    header, order = found
    mode = int(header["mode"])
    if mode not in _TYPES:
        raise InputError(
            f"holds {_OTHER_MODES[mode]} (mode {mode})", "save it as whole numbers", source=path
        )
    kind = _TYPES[mode] if mode or _signed_bytes(header) else "u1"
    images = int(header["images"])
    info = _info_beside(path)
    tags = _tags(info) if info else {}
    shape = _scan_shape(tags, images, info)
    step = _positive(tags, "Specimen Pixel Size X (nanometers)")
    step_y = _positive(tags, "Specimen Pixel Size Y (nanometers)")
    frame = pattern_type(order + kind, (int(header["rows"]), int(header["columns"])), path)
    data = frames_in_file(
        path,
        offset=_SIZE + int(header["extended"]),
        frame=frame,
        field=None,
        shape=shape,
        partial=choice.partial,
    )
    more = path.stat().st_size - _SIZE - int(header["extended"]) - images * frame.itemsize
    if more > 0:
        warnings.warn(
            f"{path}: is {more} bytes longer than {images} images of {frame.shape[0]}×"
            f"{frame.shape[1]} pixels in {frame.base}, as its header says; the rest is not read",
            InputWarning,
            stacklevel=3,
        )
    rate = _positive(tags, "Frames Per Second")
    return make_scan(
        data,
        [
            Axis("y", "nm" if step_y and step else "", step_y or 1.0, navigate=True),
            Axis("x", "nm" if step_y and step else "", step or 1.0, navigate=True),
            Axis("ky"),
            Axis("kx"),
        ],
        format_name=format_name,
        source=path,
        fingerprint=input_fingerprint([path, *([info] if info else [])]),
        facts={"exposure": 1 / rate if rate else None},
    )


def _signed_bytes(header: np.void) -> bool:
    if header["imod"] == _IMOD:
        return bool(header["flags"] & 1)
    return bool(_MRC2014 <= header["version"] < _MRC2014 + 100)


def _info_beside(path: Path) -> Path | None:
    """What Direct Electron writes beside a movie."""
    movie = _MOVIE.fullmatch(path.name)
    if movie is None:
        return None
    beside = [path.with_name(path.name[: path.name.lower().rindex("_movie")] + "_info.txt")]
    beside.append(path.with_name(f"{movie[1]}_info.txt"))
    return next((file for file in beside if file.is_file()), None)


def _tags(info: Path) -> dict[str, str]:
    """Lines ``name = value``."""
    text = first_bytes(info, _MOST_TAGS).decode("utf-8", "replace")
    pairs = (line.partition("=") for line in text.splitlines())
    return {name.strip(): value.strip() for name, equals, value in pairs if equals}


def _scan_shape(tags: Mapping[str, str], images: int, info: Path | None) -> tuple[int, int]:
    """Rows and columns of a raster scan, as far as they make up the images; else a series."""
    if tags.get("Scan - Enable", "Disable") != "Enable":
        return 1, images
    area = "ROI Size" if tags.get("Scan - ROI Enable", "Disable") == "Enable" else "Size"
    sizes = [_positive(tags, f"Scan - {area} {axis}") for axis in "YX"]
    rows, columns = (int(size) if size and size < 2**31 else 0 for size in sizes)
    if tags.get("Scan - Type", "Raster") == "Raster" and rows * columns == images:
        return rows, columns
    warnings.warn(
        f"{info}: describes a {tags.get('Scan - Type', 'Raster').lower()[:30]} scan of "
        f"{rows}×{columns} positions, the file holds {images} images; they are read as a series: "
        "give the scan shape",
        InputWarning,
        stacklevel=4,
    )
    return 1, images


def _positive(tags: Mapping[str, Any], name: str) -> float | None:
    value = number(tags.get(name))
    return value if value is not None and 0 < value < np.inf else None
