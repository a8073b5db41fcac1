"""Quantum Detectors Merlin (Medipix3): ``.mib``, with the ``.hdr`` beside it where there is one.

Every pattern lies behind a header of text (``MQ1,…``) that says how long it is, how many pixels
follow, of which type (big-endian) and when it was taken; "MerlinEM user manual", Quantum
Detectors. Rows are stored from the bottom, as RosettaSciIO has it.

Scan shape, from the first that is there: ``ScanX`` and ``ScanY`` or several frames per trigger in
the ``.hdr``; pauses in the recorded times after every row, equally many patterns each. Otherwise
the patterns are a series.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.choice import FIRST, Choice
from phaseloom.io.readers._files import first_bytes
from phaseloom.io.readers._lazy import frames_in_file, pattern_type
from phaseloom.io.scan_axes import plain_axes
from phaseloom.io.scan_making import make_scan

format_name = "Merlin mib"
file_extensions = (".mib",)
describe = "Quantum Detectors Merlin (.mib, with .hdr)"

_TYPES = {b"U08": ">u1", b"U16": ">u2", b"U32": ">u4", b"U64": ">u8"}
_TIME = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9})Z,(\d+)ns(?:,(\d+))?")
_EARLIER_TIME = re.compile(rb",(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{1,9}),([\d.eE+-]+),")
_TIMES_AT_MOST = 20_000
_HEADER_AT_MOST = 65536


def reads_this(path: Path) -> bool:
    """Whether the file begins with a Merlin header, or is a zip file under this name."""
    return first_bytes(path, 4) in (b"MQ1,", b"PK\x03\x04")


def read(path: Path, choice: Choice = FIRST) -> xr.Dataset:
    """Read a Merlin file as an uncalibrated scan; of an incomplete one the complete rows.

    Raises
    ------
    InputError
        The file is zipped, raw, damaged or incomplete.
    """
    choice.require_only("patterns", path)
    with path.open("rb") as file:
        start = file.read(_HEADER_AT_MOST)
    if start.startswith(b"PK"):
        raise InputError("is a zip archive", "unzip it and give the .mib inside", source=path)
    words = start[:768].split(b",")
    try:
        length, width, height = int(words[2]), int(words[4]), int(words[5])
        kind = words[6].strip()
    except (IndexError, ValueError):
        raise InputError("its header is damaged", "copy it again", source=path) from None
    if kind.startswith(b"R"):
        raise InputError(
            "holds raw counters (R64), not pictures",
            "save it again from the Merlin software as processed data",
            source=path,
        )
    if kind not in _TYPES or not 32 <= length <= _HEADER_AT_MOST or min(width, height) < 1:
        raise InputError(
            f"its header is damaged ({length} bytes, {width}×{height} of {kind!r})",
            "copy it again",
            source=path,
        )
    frame = np.dtype(
        [("header", "u1", length), ("data", pattern_type(_TYPES[kind], (height, width), path))]
    )
    stored = path.stat().st_size // frame.itemsize
    notes = _notes(path)
    shape = _scan_shape(path, notes, frame, stored)
    data = frames_in_file(
        path,
        offset=0,
        frame=frame,
        field="data",
        shape=shape,
        partial=choice.partial,
        upside_down=True,
    )
    time = _TIME.search(start[:length])
    earlier = _EARLIER_TIME.search(start[:length])
    depth = int(time[3]) if time and time[3] else notes.get("Counter Depth", 0)
    exposure = int(time[2]) * 1e-9 if time else float(earlier[2]) if earlier else None
    return make_scan(
        data,
        plain_axes(4),
        format_name=format_name,
        source=path,
        facts={
            "exposure": exposure,
            # A counter of one bit is full with its first electron: that is what it is for.
            "saturation": float(2**depth - 1) if depth in (6, 12, 24) else None,
        },
    )


def _notes(path: Path) -> dict[str, int]:
    """Whole numbers in the ``.hdr`` beside the file, by their name without its comment."""
    beside = path.with_suffix(".hdr")
    if not beside.is_file():
        return {}
    found = {}
    for line in beside.read_text("latin-1").splitlines():
        name, _, value = line.partition("\t")
        if value.strip().isdecimal():
            found[name.split("(")[0].strip(" :")] = int(value)
    return found


def _scan_shape(path: Path, notes: dict[str, int], frame: np.dtype, stored: int) -> tuple[int, int]:
    """Scan positions (y, x) which the file should hold."""
    promised = notes.get("Frames in Acquisition") or stored
    columns, rows = notes.get("ScanX", 0), notes.get("ScanY", 0)
    if columns > 0 and rows > 0:
        return rows, columns
    columns = notes.get("Frames per Trigger", 0)
    if columns > 1 and promised % columns == 0:
        return promised // columns, columns
    if stored == promised and stored > 1:
        columns = _row_length(_times(path, frame, stored), stored)
        if columns:
            warnings.warn(
                f"{path}: no scan shape recorded; {stored // columns}×{columns} is taken from the "
                "pauses between its rows",
                InputWarning,
                stacklevel=4,
            )
            return stored // columns, columns
    return 1, max(1, promised)


def _times(path: Path, frame: np.dtype, n: int) -> NDArray[np.int64]:
    """Time of each of the first patterns in ns; empty if one has none."""
    n = min(n, _TIMES_AT_MOST)
    headers = np.memmap(path, mode="r", dtype=frame, shape=(n,))["header"]
    times = []
    for header in headers:
        found = _TIME.search(header[:2048].tobytes())
        if not found:
            return np.empty(0, np.int64)
        try:
            times.append(np.datetime64(found[1].decode(), "ns"))
        except ValueError:
            return np.empty(0, np.int64)
    return np.array(times).astype(np.int64)


def _row_length(times: NDArray[np.int64], n: int) -> int:
    """Patterns per row by the longer pause after each, 0 if there is no clear answer.

    Clear means: the long pauses come after every `k`-th pattern and nowhere else, `k` divides
    the number of patterns, and they stand off from the others by ten times their spread.
    """
    pauses = np.diff(times)
    if pauses.size < 3:
        return 0
    ordered = np.sort(pauses)
    split = int(np.argmax(np.diff(ordered))) + 1
    short, long = ordered[:split], ordered[split:]
    if long[0] - short[-1] <= 10 * max(100, short[-1] - short[0]):
        return 0
    after = np.flatnonzero(pauses >= long[0]) + 1
    row = int(after[0])
    regular = np.array_equal(after, np.arange(row, times.size, row))
    return row if regular and row > 1 and n % row == 0 else 0
