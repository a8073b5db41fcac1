"""FEI / Thermo Fisher TIA: ``.ser`` series, and the ``.emi`` that describes them.

The ``.ser`` has a header, places of the patterns, and each pattern behind a short header of its
own; little-endian (layout after C. B. Boothroyd's description, as documented by RosettaSciIO).
Rows are stored from the bottom. The ``.emi`` holds XML with the settings of the microscope.

A pixel has a size in m or in m⁻¹, without saying which; the two differ by more than ten orders
of magnitude.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any, BinaryIO
from xml.etree import ElementTree

import numpy as np
import xarray as xr

from phaseloom.errors import InputError
from phaseloom.io.choice import FIRST, Choice
from phaseloom.io.fingerprint import input_fingerprint
from phaseloom.io.readers._files import first_bytes
from phaseloom.io.readers._hdf_scan import choose
from phaseloom.io.readers._lazy import frames_in_file, pattern_type
from phaseloom.io.scan_axes import Axis
from phaseloom.io.scan_making import make_scan
from phaseloom.io.tags import number, scaled

format_name = "TIA"
file_extensions = (".ser", ".emi")
describe = "FEI / Thermo Fisher TIA (.ser, .emi)"

_TYPES = {1: "<u1", 2: "<u2", 3: "<u4", 4: "<i1", 5: "<i2", 6: "<i4", 7: "<f4", 8: "<f8"}
_SPECTRA, _IMAGES = 0x4120, 0x4122
_LONG_PLACES = 0x220  # from this version on places are 8 bytes
_WITH_POSITIONS = 0x4142
_ELEMENT = struct.Struct("<ddiddiHii")
_OBJECT = re.compile(rb"<ObjectInfo>.*?</ObjectInfo>", re.DOTALL)


def reads_this(path: Path) -> bool:
    """Whether the file is a series, or an ``.emi`` with descriptions."""
    return path.suffix.lower() == ".emi" or first_bytes(path, 4) == b"II\x97\x01"


def read(path: Path, choice: Choice = FIRST) -> xr.Dataset:
    """Read a series of patterns, given its ``.ser`` or the ``.emi`` that belongs to it.

    The detector is one ``.ser`` of several beside an ``.emi`` (its number or name). Of an
    incomplete series the complete patterns are read.

    Raises
    ------
    InputError
        The series is missing, damaged, incomplete, or holds spectra or images.
    """
    described = path if path.suffix.lower() == ".emi" else _description(path)
    if path.suffix.lower() == ".emi":
        choice.require_first_entry(path)
        several = sorted(path.parent.glob(f"{_plain(path.stem)}_*.ser"))
        several = [file for file in several if file.stem[len(path.stem) + 1 :].isdigit()]
        if not several:
            raise InputError(f"no {path.stem}_1.ser beside it", "put the .ser there", source=path)
        wanted = choice.detector
        if wanted is not None and wanted.isdigit():
            wanted = f"{path.stem}_{wanted}.ser"
        path = path.with_name(
            choose([file.name for file in several], wanted, path=path, first_is_meant=True)
        )
    else:
        choice.require_only("patterns", path)
    try:
        data, axes = _series(path, partial=choice.partial)
    except (struct.error, OSError) as fault:  # a place outside the file
        raise InputError("is truncated or damaged", "copy it again", source=path) from fault
    return make_scan(
        data,
        axes,
        format_name=format_name,
        source=path,
        fingerprint=input_fingerprint([path, described] if described else path),
        facts=_facts(described, path) if described else {},
    )


def _plain(stem: str) -> str:
    return re.sub(r"([\[\]*?])", r"[\1]", stem)


def _series(path: Path, *, partial: bool) -> tuple[Any, list[Axis]]:
    with path.open("rb") as file:
        start = file.read(2**16)
        version, kind, tag, total, valid = struct.unpack_from("<HIIII", start, 4)
        if kind != _IMAGES:
            raise InputError(
                "holds spectra, not diffraction patterns"
                if kind == _SPECTRA
                else "its header is damaged",
                "give a 4D-STEM scan",
                source=path,
            )
        long = version >= _LONG_PLACES
        places_at, n_dims = struct.unpack_from("<QI" if long else "<II", start, 22)
        dims = _dimensions(start, 34 if long else 30, n_dims, path)
        width = 8 if long else 4
        if valid > path.stat().st_size // width:
            raise InputError("its header is damaged", "copy it again", source=path)
        stored = _bytes(file, places_at, width * valid)
        places = np.frombuffer(stored[: len(stored) // width * width], f"<u{width}")
        if places.size == 0:
            raise InputError("holds no patterns", "the series was never recorded", source=path)
        element = _bytes(file, int(places[0]), _ELEMENT.size)
        _, step_x, _, _, step_y, _, number, nx, ny = _ELEMENT.unpack(element)
        if number not in _TYPES or min(nx, ny) < 1:
            raise InputError("its header is damaged", "copy it again", source=path)
        pixels = pattern_type(_TYPES[number], (ny, nx), path)
        rows_first = True
        if tag == _WITH_POSITIONS and places.size > 1:
            ys = []
            for place in places[:2]:
                position = _bytes(file, int(place) + _ELEMENT.size + pixels.itemsize, 24)
                ys.append(struct.unpack("<HHIdd", position)[4])
            rows_first = ys[0] != ys[1]
    gaps = np.unique(np.diff(places.astype(np.int64)))
    stride = int(gaps[0]) if gaps.size else _ELEMENT.size + pixels.itemsize
    if gaps.size > 1 or stride < _ELEMENT.size + pixels.itemsize:
        raise InputError("its patterns are not evenly placed", "copy it again", source=path)
    after = stride - _ELEMENT.size - pixels.itemsize
    shape = tuple(n for n, _ in dims if n > 1) or (total,)
    if rows_first is False:
        dims, shape = dims[::-1], shape[::-1]
    if len(shape) > 2 or int(np.prod(shape)) != total:
        shape = (total,)
    if valid < total and len(shape) == 1:
        shape = (valid,)  # a series that was stopped
    # The last pattern may lack what comes after it.
    frame = np.dtype([("head", "u1", _ELEMENT.size), ("data", pixels), ("after", "u1", after)])
    data = frames_in_file(
        path, offset=int(places[0]), frame=frame, field="data",
        shape=(1, shape[0]) if len(shape) == 1 else (shape[0], shape[1]),
        partial=partial, upside_down=True, tail=after,
    )  # fmt: skip
    steps = [axis for n, axis in dims if n > 1] if len(shape) == 2 else []
    scan = [Axis(navigate=True), *steps] if len(steps) < 2 else steps
    if len(scan) < 2:
        scan = [Axis(navigate=True), Axis(navigate=True)]
    unit = "1/m" if step_x > 1 else "m" if step_x > 0 else ""
    return data, [
        *scan,
        Axis(name="ky", units=unit, scale=step_y),
        Axis(name="kx", units=unit, scale=step_x),
    ]


def _bytes(file: BinaryIO, place: int, n: int) -> bytes:
    """`n` bytes of a place, fewer where the file ends, none where no file reaches."""
    if place >= 2**62:
        return b""
    file.seek(place)
    return file.read(n)


def _dimensions(start: bytes, at: int, n: int, path: Path) -> list[tuple[int, Axis]]:
    """Length and axis of every dimension of the scan."""
    if n > 8:
        raise InputError("its header is damaged", "copy it again", source=path)
    found = []
    for _ in range(n):
        size, _, scale, _, length = struct.unpack_from("<IddII", start, at)
        at += 28 + length
        (length,) = struct.unpack_from("<I", start, at)
        unit = start[at + 4 : at + 4 + length].decode("utf-8", "replace")
        at += 4 + length
        found.append((size, Axis(units=unit, scale=abs(scale), navigate=True)))
    return found


def _description(path: Path) -> Path | None:
    """The ``.emi`` that a ``.ser`` belongs to."""
    stem, _, number = path.stem.rpartition("_")
    beside = path.with_name(f"{stem}.emi")
    return beside if number.isdigit() and beside.is_file() else None


def _facts(described: Path, path: Path) -> dict[str, float | None]:
    objects = _OBJECT.findall(described.read_bytes())
    suffix = path.stem.rpartition("_")[2]
    index = int(suffix) - 1 if suffix.isdigit() else 0
    if not 0 <= index < len(objects):
        return {}
    try:
        root = ElementTree.fromstring(objects[index])
    except ElementTree.ParseError:
        return {}
    tags = {
        item.findtext("Label", ""): number(item.findtext("Value"))
        for item in root.iterfind(".//ExperimentalDescription/Root/Data")
    }
    return {
        "voltage": tags.get("High tension"),
        "camera_length": scaled(tags.get("Camera length"), 1e3),
        "exposure": number(root.findtext(".//AcquireInfo/DwellTimePath")),
    }
