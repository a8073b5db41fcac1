"""Stacks of aXis2000 in two files: text header ``.dat``, little-endian values ``.ncb``."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.choice import FIRST, Choice
from phaseloom.io.readers._axis_stack import DETECTOR, build_stack, read_raw_frames
from phaseloom.io.readers._files import first_bytes

format_name = "aXis2000 NCB"
file_extensions = (".ncb", ".dat")
describe = "aXis2000 stack: .dat header and .ncb values, either can be given"

# float() alone would also take "1_0", "nan" and digits of other scripts.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_LARGEST = 2**16


class _Header(NamedTuple):
    columns: int
    rows: int
    scale: float
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    energies: NDArray[np.float64]
    image_lines: list[str]
    whole: bool  # the last line has a line end


def _numbers(line: str) -> list[float] | None:
    """Return the numbers of a line; None if any word is none, or one of absurd size."""
    words = line.split()
    if not all(_NUMBER.fullmatch(word) for word in words):
        return None
    numbers = [float(word) for word in words]
    return numbers if all(abs(number) < 1e30 for number in numbers) else None


def _parse(text: str) -> _Header | str:
    """Parse the ``.dat`` header; a str says what is wrong."""
    lines = [line for line in text.splitlines() if line.strip()]
    head = [_numbers(line) or [] for line in lines[:4]]
    if [len(numbers) for numbers in head] != [3, 2, 2, 1]:
        return "does not begin with sizes and scale, x range, y range and number of energies"
    (columns, rows, scale), (x0, x1), (y0, y1), (count,) = head
    sizes = (columns, rows, count)
    if not all(0 < size < _LARGEST and size == int(size) for size in sizes) or scale == 0:
        return "has sizes or a scale that cannot be"
    last = 4 + int(count)
    energies = [number for line in lines[4:last] for number in (_numbers(line) or [])]
    alone = all(len(line.split()) == 1 for line in lines[4:last])
    if len(energies) != count or not alone:
        return f"announces {count:.0f} energies and lists {len(energies)}"
    if len(lines) > last and len(lines[last].split()) == 1:
        return f"announces {count:.0f} energies and lists more"
    whole = text[-1:].isspace()
    if len(lines) == last and not whole:
        return "breaks off in its last energy"
    return _Header(
        int(columns),
        int(rows),
        scale,
        np.linspace(x0, x1, int(columns)),
        np.linspace(y0, y1, int(rows)),
        np.array(energies),
        lines[last:],
        whole,
    )


def _companion(path: Path, suffix: str) -> Path:
    """The file of the same name with the other suffix, in either case of letters."""
    if path.suffix.lower() == suffix:
        return path
    lower, upper = path.with_suffix(suffix), path.with_suffix(suffix.upper())
    return upper if upper.is_file() and not lower.is_file() else lower


def reads_this(path: Path) -> bool:
    """Whether the ``.dat`` file, or the one beside a ``.ncb``, reads as a stack's header."""
    if path.suffix.lower() == ".ncb":
        return path.is_file()
    lines = first_bytes(path, 4096).decode("latin-1").splitlines()
    head = [_numbers(line) or [] for line in lines if line.strip()][:4]
    return [len(numbers) for numbers in head] == [3, 2, 2, 1]


def read(path: Path, choice: Choice = FIRST) -> xr.Dataset:
    """Read a stack in two files, given either.

    Lines of the ``.dat`` file: columns, rows, scale; first and last x; first and last y;
    number of energies; the energies; for every image name, energy and dwell time (ms).
    Values of the ``.ncb`` file: float32 if the scale is negative, otherwise int16 to be
    divided by the scale; x fastest, then y, then energy.

    Returns
    -------
    xarray.Dataset
        As :func:`build_stack` makes it; ``counts`` are int16 at scale 1, else float32.

    Raises
    ------
    InputError
        One of the two files is missing, the header is damaged, or the size of the values is
        not what it says.
    """
    choice.require_only(DETECTOR, path)
    header_file, values_file = _companion(path, ".dat"), _companion(path, ".ncb")
    for file in (header_file, values_file):
        if not file.is_file():
            raise InputError(
                f"the file {file.name} is missing",
                "both files of the stack are needed",
                source=path,
            )
    header = _parse(header_file.read_text(encoding="latin-1"))
    if isinstance(header, str):
        raise InputError(header, "restore it from its original", source=header_file)
    frames = read_raw_frames(
        values_file,
        "<f4" if header.scale < 0 else "<i2",
        (header.energies.size, header.rows, header.columns),
        offset=0,
        partial=choice.partial,
    )
    if header.scale > 0 and header.scale != 1:
        frames = frames.astype(np.float32) / np.float32(header.scale)
    return build_stack(
        path,
        frames,
        format_name=format_name,
        energies=header.energies,
        y=header.y,
        x=header.x,
        dwell=_dwell(header, header_file),
        partial=choice.partial,
    )


def _dwell(header: _Header, file: Path) -> NDArray[np.float64] | None:
    """Dwell times (energy,) in ms from the lines on the images, if there are any."""
    if not header.image_lines:
        return None
    # The name may hold blanks: energy and dwell time are the last two words.
    ends = [_numbers(" ".join(line.split()[-2:])) or [] for line in header.image_lines]
    if len(ends) != header.energies.size or any(len(end) != 2 for end in ends) or not header.whole:
        warnings.warn(
            f"{file}: the lines on the images do not give name, energy and dwell time for every "
            "energy; no dwell times are known",
            InputWarning,
            stacklevel=3,
        )
        return None
    listed, dwell = np.array(ends).T
    if np.abs(listed - header.energies).max() > 0.1:
        warnings.warn(
            f"{file}: the lines on the images have other energies than the list of energies, "
            "which is used",
            InputWarning,
            stacklevel=3,
        )
    return np.array(dwell)
