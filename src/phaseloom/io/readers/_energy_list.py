"""Lists of photon energies: one line per image, whatever else stands on it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.io.energies import in_electronvolts
from phaseloom.io.readers._columns import ENERGY, INDEX, roles_of
from phaseloom.io.readers._table import Layout, comment_text, is_comment, without_unit
from phaseloom.io.readers._text import read_text

_WITH_UNIT = re.compile(r"(.*\d)\s*(k?eV)", re.IGNORECASE)
_WHOLE = re.compile(r"\d+(?:,\d+)?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?", re.ASCII)


def read_energy_list(path: Path, *, stacklevel: int = 2) -> NDArray[np.float64]:
    """Photon energies in eV from a text file, in its order.

    The column whose heading says so, or else the first that does not count the lines; text such as
    names of files may stand beside it. keV and decimal commas are understood.

    Parameters
    ----------
    path
        The file, one energy per line.
    stacklevel
        Of warnings, from the caller.

    Returns
    -------
    numpy.ndarray
        (line,), empty if no line holds a number.

    Raises
    ------
    InputError
        A line between the energies holds no number, no column has one on every line, the numbers
        are no energies, or decimal commas cannot be told from columns.
    """
    comments: list[str] = []
    above: list[str] = []
    lines: list[str] = []
    text = [(number, line.strip()) for number, line in enumerate(read_text(path).split("\n"), 1)]
    text = [(number, line) for number, line in text if line]
    # Names of files may lead the lines; where numbers do, a line of words is none of the list.
    led_by_numbers = any(_numbers_in(line)[0] for _, line in text if not is_comment(line))
    for number, line in text:
        if is_comment(line):
            comments.append(comment_text(line))
        elif _numbers_in(line)[0] or (not led_by_numbers and any(_numbers_in(line))):
            lines.append(line)
        elif not lines:
            above.append(line)
        else:
            raise InputError(
                f"line {number} starts with no number: {line[:40]!r}",
                "the energy list has one energy in eV per line",
                source=path,
            )
    if not lines:
        return np.empty(0)
    headings = [*above, *comments]
    separator, commas = _layout(lines, headings, path)
    columns, texts = _columns(lines, separator, commas=commas, path=path)
    energies, unit = _energies(columns, texts, headings, separator, path)
    unit = unit or _unit_said(headings)
    return in_electronvolts(energies, unit=unit or None, source=path, stacklevel=stacklevel + 1)


def _numbers_in(line: str) -> list[bool]:
    """For every word of a line, whether it is a number."""
    words = re.split(r"[\s;,]+", line)
    return [_number(word.strip("\"'"), commas=True)[0] is not None for word in words]


def _number(cell: str, *, commas: bool) -> tuple[float | None, str]:
    """The number in a cell, None without one, and the unit behind it."""
    match = _WITH_UNIT.fullmatch(cell)
    text, unit = (match[1], match[2]) if match else (cell, "")
    value = Layout(None, decimal_comma=commas).number(text)
    return (None if value is None or np.isnan(value) else value), unit


def _layout(lines: Sequence[str], headings: Sequence[str], path: Path) -> tuple[str | None, bool]:
    """What separates the columns, None for blanks, and whether commas are decimal marks."""
    if all(_WHOLE.fullmatch(line) for line in lines):
        if any("," not in line for line in lines):
            return None, True
        return (None, True) if _are_decimals(lines, headings, path) else (",", False)
    for separator in (";", "\t", None):
        if separator is None or all(separator in line for line in lines):
            cells = [cell for line in lines for cell in line.split(separator)]
            if any(map(_DECIMAL_COMMA.fullmatch, cells)) and not any("." in c for c in cells):
                return separator, True
            if separator is not None:
                return separator, False
    return ("," if all("," in line for line in lines) else None), False


def _are_decimals(lines: Sequence[str], headings: Sequence[str], path: Path) -> bool:
    """Whether "701,500" on every line is one number, not two columns of whole numbers."""
    if any(len([cell for cell in heading.split(",") if cell.strip()]) == 2 for heading in headings):
        return False
    before, behind = zip(*(line.split(",") for line in lines), strict=True)
    whole = np.array(before, dtype=np.float64)
    if whole[0] in (0.0, 1.0) and np.all(np.diff(whole) == 1.0):
        return False
    # No column of whole numbers begins with zeros, and no energy is measured twice in a row.
    padded = any(len(cell) > 1 and cell.startswith("0") for cell in behind)
    repeated = np.unique(whole).size < whole.size and len(set(lines)) == len(lines)
    if not (padded or repeated):
        raise InputError(
            f"its lines, as {lines[0]!r}, may have a decimal comma or two columns",
            "write decimal points, or put headings above the columns",
            source=path,
        )
    return True


def _columns(
    lines: Sequence[str], separator: str | None, *, commas: bool, path: Path
) -> tuple[dict[int, NDArray[np.float64]], list[list[str]]]:
    """Columns that hold a number on every line, by their place, and all cells."""
    rows = [[cell.strip("\"' ") for cell in line.split(separator)] for line in lines]
    width = min(len(row) for row in rows)
    columns: dict[int, NDArray[np.float64]] = {}
    for column in range(width):
        values = [_number(row[column], commas=commas)[0] for row in rows]
        if None not in values:
            columns[column] = np.array(values, dtype=np.float64)
    if not columns:
        spoilt = next((line for line in lines if not _numbers_in(line)[0]), lines[0])
        raise InputError(
            f"has no column with a number on every line, as {spoilt[:40]!r}",
            "the energy list has one energy in eV per line",
            source=path,
        )
    return columns, rows


def _energies(
    columns: dict[int, NDArray[np.float64]],
    rows: Sequence[Sequence[str]],
    headings: Sequence[str],
    separator: str | None,
    path: Path,
) -> tuple[NDArray[np.float64], str]:
    """The column of energies and its unit, "" where none is said."""
    width = min(len(row) for row in rows)
    names: list[str] = []
    units = [""] * width
    for heading in reversed(headings):
        cells = [cell.strip("\"' ") for cell in heading.split(separator)]
        if len(cells) == width and width > 1:
            split = [without_unit(cell) for cell in cells]
            names, units = [name for name, _ in split], [unit for _, unit in split]
            break
    places = list(columns)
    numbers = np.column_stack(list(columns.values()))
    roles = roles_of([names[place] for place in places] if names else [], numbers)
    if not names and len(places) > 1 and roles[0] == ENERGY and _counts(numbers[:, 0]):
        roles[:2] = [INDEX, ENERGY]
    if ENERGY not in roles:
        raise InputError(
            f"has no column of energies among {', '.join(filter(None, names))}",
            "head one column energy",
            source=path,
        )
    place = places[roles.index(ENERGY)]
    said = {_number(row[place], commas=True)[1].lower() for row in rows}
    beside = {row[place + 1].lower() for row in rows} if place + 1 < width else set()
    for candidates in (said, beside):
        if len(candidates) == 1 and (unit := candidates.pop()) in ("ev", "kev"):
            return columns[place], unit
    return columns[place], units[place]


def _counts(values: NDArray[np.float64]) -> bool:
    """Whether numbers count the lines, from 0 or 1."""
    return bool(values[0] in (0.0, 1.0) and np.all(np.diff(values) == 1.0))


def _unit_said(lines: Sequence[str]) -> str:
    """The unit that the lines above the numbers name, if it is one."""
    text = " ".join(lines)
    units = {unit for unit in ("eV", "keV") if re.search(rf"(?<![A-Za-z]){unit}\b", text, re.I)}
    return units.pop() if len(units) == 1 else ""
