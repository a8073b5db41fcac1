"""Panta Rhei (CEOS) ``.prz``: a numpy archive with ``data`` and its metadata.

From version 24.03 on the metadata are JSON and say which axes are which (listed fastest first) and
their calibration. Before, and as HyperSpy writes them, they are pickled: unpickling can run code,
so they are not looked at, and the last two axes are the detector's. An array that lies in the
archive as it is gets mapped; a compressed one is unpacked into memory.
"""

from __future__ import annotations

import json
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.choice import FIRST, Choice
from phaseloom.io.readers._files import FAULTS, damage_named, first_bytes
from phaseloom.io.readers._lazy import MappedArray, lazily
from phaseloom.io.readers._npy import HEADER_FAULTS, read_header
from phaseloom.io.scan_axes import Axis, plain_axes
from phaseloom.io.scan_making import make_scan
from phaseloom.io.tags import number, scaled

format_name = "Panta Rhei"
file_extensions = (".prz",)
describe = "Panta Rhei of CEOS (.prz)"

_DATA, _TAGS = "data.npy", "meta_data_json.npy"
_FAULTS = (
    *FAULTS, *HEADER_FAULTS, zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error,
    NotImplementedError,
)  # fmt: skip
_LOCAL_HEADER = 30
_UNPACKED_AT_MOST = 4 * 2**30
_TAGS_AT_MOST = 2**26
_SCAN = ("ScanY", "ScanX", "Index", "PlotIndex")
_ORDER = {"ScanY": 0, "ScanX": 1, "Index": 2, "PlotIndex": 2, "CameraY": 3}
_LAST = 4


def reads_this(path: Path) -> bool:
    """Whether this is an archive."""
    return first_bytes(path, 4) == b"PK\x03\x04"


def read(path: Path, choice: Choice = FIRST) -> xr.Dataset:
    """Read the array as patterns: one, a series or a scan.

    Raises
    ------
    InputError
        The file is damaged, holds no patterns, or more packed ones than go into memory.

    Warns
    -----
    InputWarning
        Its metadata are pickled and are not read.
    """
    choice.require_only("patterns", path)
    with _opened(path) as archive:
        names = archive.namelist()
        if _DATA not in names:
            raise InputError("holds no data", "write it again", source=path)
        data = _array(archive, path)
        tags = _tags(archive) if _TAGS in names else None
        if tags is None and "meta_data.npy" in names:
            warnings.warn(
                f"{path}: its metadata are pickled, which could run code, and are not read; give "
                "pixel size, step and voltage, or save it with Panta Rhei 24.03 or later",
                InputWarning,
                stacklevel=2,
            )
        data, axes = _in_order(data, tags or {}, path)
    tags = tags or {}
    return make_scan(
        data,
        axes,
        format_name=format_name,
        source=path,
        title=str(tags.get("repo_id") or "").split(".")[0],
        facts={
            "voltage": scaled(number(tags.get("electron_gun.voltage")), 1e-3),
            "convergence_angle": scaled(number(tags.get("condenser.convergence_semi_angle")), 1e3),
        },
    )


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    with (
        damage_named(path, "Panta Rhei file", "copy it again", faults=_FAULTS),
        zipfile.ZipFile(path) as archive,
    ):
        yield archive


def _array(archive: zipfile.ZipFile, path: Path) -> Any:
    """The array of the archive, two to four axes or some of length 1 more, mapped or unpacked."""
    member = archive.getinfo(_DATA)
    with archive.open(member) as file:
        shape, column_major, dtype = read_header(file)
        start = file.tell()
        if dtype.kind not in "uif" or not 2 <= len(shape) <= 8 or min(shape) < 1:
            raise InputError(
                f"holds {dtype} of shape {shape}", "patterns are numbers (y, x, ky, kx)",
                source=path,
            )  # fmt: skip
        promised = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if member.file_size - start < promised:
            raise InputError("holds less than it promises", "copy it again", source=path)
        if member.compress_type != zipfile.ZIP_STORED:
            if promised > _UNPACKED_AT_MOST:
                raise InputError(
                    f"holds {promised / 2**30:.3g} GB of compressed numbers",
                    "save it uncompressed, or as .hspy",
                    source=path,
                )
            packed = np.frombuffer(file.read(promised), dtype)
            return packed.reshape(shape, order="F" if column_major else "C")
    with path.open("rb") as raw:
        raw.seek(member.header_offset)
        local = raw.read(_LOCAL_HEADER)
    offset = member.header_offset + _LOCAL_HEADER + sum(struct.unpack("<HH", local[26:])) + start
    if path.stat().st_size - offset < promised:
        raise InputError("holds less than it promises", "copy it again", source=path)
    return MappedArray(path, offset, dtype, shape, order="F" if column_major else "C")


def _tags(archive: zipfile.ZipFile) -> dict[str, Any]:
    """The metadata, a list of one object in JSON, in a numpy array of one text."""
    member = archive.getinfo(_TAGS)
    if member.file_size > _TAGS_AT_MOST:
        return {}
    with archive.open(member) as file:
        _, _, dtype = read_header(file)
        if dtype.kind not in "US":
            return {}
        content = file.read()
    text = content.decode("latin1")
    if dtype.kind == "U":
        text = content.decode("utf-32-be" if dtype.byteorder == ">" else "utf-32-le")
    tags = json.loads(text.rstrip("\0"))
    tags = tags[0] if isinstance(tags, list) and tags else tags
    return tags if isinstance(tags, dict) else {}


def _in_order(array: Any, tags: Mapping[str, Any], path: Path) -> tuple[Any, list[Axis]]:
    """The array with the scan's axes first, and its axes."""
    names, calibrations = ([*_listed(tags, key)[::-1]] for key in ("content.types", "device.calib"))
    if len(names) != array.ndim:
        names = ["Index" if axis.navigate else "" for axis in plain_axes(array.ndim)]
    if len(calibrations) != array.ndim:
        calibrations = [None] * array.ndim
    names = [str(name or "") for name in names]
    if "Energy" in names:
        raise InputError(
            "holds spectra, not diffraction patterns", "give a 4D-STEM scan", source=path
        )
    # Scan axes of length 1 beyond two are none; y before x, the others as stored.
    spare = [i for i, name in enumerate(names) if name in _SCAN and array.shape[i] == 1]
    left_out = spare[: max(0, sum(name in _SCAN for name in names) - 2)]
    kept = [i for i in range(array.ndim) if i not in left_out]
    order = sorted(kept, key=lambda i: _ORDER.get(names[i], _LAST))
    axes = [_axis(names[i], calibrations[i]) for i in order]
    if not isinstance(array, MappedArray):
        array = array.reshape([array.shape[i] for i in kept])
        return array.transpose([kept.index(i) for i in order]), axes
    missing = max(0, 4 - len(kept))
    array = replace(
        array,
        file_shape=(1,) * missing + tuple(array.shape[i] for i in kept),
        axes=(*range(missing), *(missing + kept.index(i) for i in order)),
    )
    if array.ndim > 4:
        raise InputError(f"has {array.ndim} axes", "a scan has four at most", source=path)
    return lazily(array), [Axis(navigate=True)] * missing + axes


def _listed(tags: Mapping[str, Any], key: str) -> list[Any]:
    value = tags.get(key)
    return value if isinstance(value, list) else []


def _axis(name: str, calibration: Any) -> Axis:
    """An axis; without a calibration it counts."""
    if not isinstance(calibration, dict):
        return Axis(name, navigate=name in _SCAN)
    scale = number(calibration.get("value")) or 0.0
    factor = number(calibration.get("pixel_factor", 1.0)) or 0.0
    unit = str(calibration.get("unit") or "") if np.isfinite(scale * factor) else ""
    return Axis(name, unit, scale * factor, navigate=name in _SCAN)
