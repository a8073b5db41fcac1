"""Text tables: comments, headings, units and numbers of a file."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.readers._columns import ANGLE, ENERGY, I0, INDEX, NOT_ENERGY, TIME, role_of

NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][+-]?\d+)?", re.ASCII)
_WITH_COMMA = re.compile(r"[+-]?(?:\d+,?\d*|,\d+)(?:[eEdD][+-]?\d+)?", re.ASCII)
_STARTS_WITH_NUMBER = re.compile(r"\s*[\"']?[+-]?[.,]?\d", re.ASCII)
_COMMENT = ("#", "*", "%", "!", ";", "'", "//")
_MISSING = {"", "nan", "na", "n/a", "null", "-", "--", "none"}
_APS_WIDTH = 21
_NO_AXIS = (ANGLE, NOT_ENERGY)
_SEPARATED_BY = re.compile(r"\"?sep=", re.IGNORECASE)  # for spreadsheets
_RULE = re.compile(r"[-=_~.*#+\s]+")
_UNIT = re.compile(
    r"(?:k?ev|electronvolts?|a\.?\s?u\.?|arb\.?\s?u(?:nits?|\.)?|arb(?:itrary)?\.?\s?units?|norm"
    r"|counts?|cts|counts?/s|cps|hz|m?s|sec(?:onds)?|[mµun]?a|m?v|%|1|nm|[µu]?m|mm|deg(?:rees)?|°"
    r"|o\.?d\.?|cm2/g|cm\^2/g|none|-+|)",
    re.IGNORECASE,
)
_BRACKETS = re.compile(r"\s*[(\[]\s*([^()\[\]]*?)\s*[)\]]\s*$")
# What is no substance's name in brackets: "LiNiO2 (1)" and "LiNiO2 (a)" are two samples.
_CLEAR_UNIT = re.compile(
    r"k?ev|a\.\s?u\.?|arb\.?\s?u(?:nits?|\.)?|arb(?:itrary)?\.?\s?units?|counts?|cts|counts?/s|cps"
    r"|hz|o\.d\.|norm\.?|cm2/g|cm\^2/g",
    re.IGNORECASE,
)


@dataclass
class Table:
    """A text file taken apart.

    ``headings`` are one per column without their units, or there are none; ``units`` likewise,
    "" where none is known.
    """

    comments: list[str]
    headings: list[str]
    numbers: NDArray[np.float64]
    units: list[str] = field(default_factory=list)
    others: list[list[str]] = field(default_factory=list)
    """Further lines above the numbers with one cell per column."""
    notes: list[str] = field(default_factory=list)
    """Lines above the numbers that are neither headings nor units."""
    misfit: str = ""
    """The last comment, if it begins as headings do and has another number of words."""

    def take_headings(self, cells: Sequence[str]) -> None:
        """Take one heading per column, with its unit behind it; known units stay."""
        split = [without_unit(cell) for cell in cells]
        below = self.units or [""] * len(split)
        self.headings = [heading for heading, _ in split]
        self.units = [own or unit for (_, own), unit in zip(split, below, strict=True)]


@dataclass(frozen=True)
class Layout:
    """How the numbers of a table are written."""

    separator: str | None
    """None for blanks."""
    decimal_comma: bool = False

    def cells(self, line: str) -> list[str]:
        """The cells of a line, without blanks and quotes round them."""
        if self.separator is None and '"' not in line:
            return [cell.strip("'") for cell in line.split()]
        try:
            row = next(csv.reader([line], delimiter=self.separator or " ", skipinitialspace=True))
        except (csv.Error, StopIteration):
            row = line.split(self.separator)
        return [cell.strip().strip("'").strip() for cell in row]

    def row(self, line: str) -> list[float | None]:
        """The numbers of a line: NaN for a missing one, None for what is no number."""
        return [self.number(cell) for cell in self.cells(line)]

    def number(self, cell: str) -> float | None:
        """The number in a cell, NaN for an empty or missing one, None for anything else."""
        if cell.lower() in _MISSING:
            return float("nan")
        if self.decimal_comma and _WITH_COMMA.fullmatch(cell):
            cell = cell.replace(",", ".")
        if not NUMBER.fullmatch(cell):
            return None
        value = float(cell.lower().replace("d", "e"))
        return value if np.isfinite(value) else None


_LAYOUTS = (
    Layout(";"),
    Layout(";", decimal_comma=True),
    Layout("\t"),
    Layout("\t", decimal_comma=True),
    Layout(","),
    Layout(None),
    Layout(",", decimal_comma=True),
    Layout(None, decimal_comma=True),
)


def is_table(text: str) -> bool:
    """Whether one of the first lines holds two numbers or more."""
    lines = (line for line in text.split("\n", 2000)[:2000] if not is_comment(line))
    return any(
        sum(bool(NUMBER.fullmatch(cell.strip("\"'"))) for cell in re.split(r"[\s,;]+", line)) >= 2
        for line in lines
    )


def is_comment(line: str) -> bool:
    """Whether a line begins as comments do in any of the programs, or is a ruled line."""
    line = line.strip()
    return bool(line.startswith(_COMMENT) or _RULE.fullmatch(line) or _SEPARATED_BY.match(line))


def comment_text(line: str) -> str:
    """A comment without its mark."""
    return line.strip().lstrip("#*%!;'/").strip()


def read_table(text: str, path: Path) -> Table:
    """Take a text apart: comments, lines of headings and of units, and rows of numbers.

    The headings are the last line above the numbers with as many words as there are columns that
    is no line of units; of two such lines that which begins with the energy. Without one, the
    last comment serves that begins with "energy" and has as many words.

    Raises
    ------
    InputError
        Between the rows stands another line, rows differ in length, points and commas are both
        decimal marks, or there are less than two rows or columns.
    """
    lines = [(number, line.strip(" ")) for number, line in enumerate(text.split("\n"), start=1)]
    layout = layout_of([line for _, line in lines], path)
    comments: list[str] = []
    above: list[tuple[int, str]] = []
    rows: list[list[float]] = []
    for number, line in lines:
        if not line.strip():
            continue
        row = layout.row(line)
        whole = None not in row and bool(np.isfinite(np.array(row, dtype=np.float64)).any())
        # In a table separated by semicolons one may lead a row without its first number.
        if is_comment(line) and not (whole and layout.separator == ";" and line[0] == ";"):
            comments.append(comment_text(line))
            continue
        if None in row or not (rows or whole):
            # A line that starts with a number is a spoilt row, not headings.
            if rows:
                raise _no_row(number, line, path)
            above.append((number, line))
            continue
        if rows and len(row) != len(rows[0]):
            raise InputError(
                f"line {number} has {len(row)} columns where the first has {len(rows[0])}",
                "the file may be cut off",
                source=path,
            )
        rows.append([value for value in row if value is not None])
    if len(rows) < 2 or len(rows[0]) < 2:
        raise InputError(
            "holds no table of energies and values",
            "spectra need two columns and two rows at least",
            source=path,
        )
    if not text.endswith("\n"):
        warnings.warn(
            f"{path}: the last line has no line end; if the file was cut off, its last value "
            f"({rows[-1][-1]:g} at {rows[-1][0]:g}) is wrong",
            InputWarning,
            stacklevel=4,
        )
    for number, line in above:
        # A line that starts with a number is a spoilt row, not headings: "700 1O", not "3000 x 8".
        cells = layout.cells(line)
        first = layout.number(cells[0])
        if first is not None and np.isfinite(first) and len(cells) == len(rows[0]):
            raise _no_row(number, line, path)
    table = Table(comments, [], np.array(rows))
    _take_headings(table, above, layout, path)
    _drop_empty_columns(table)
    return table


def _no_row(number: int, line: str, path: Path) -> InputError:
    return InputError(
        f"line {number} is no row of numbers: {line[:60]!r}",
        "comments start with #; lines of headings stand above the numbers",
        source=path,
    )


def layout_of(lines: Sequence[str], path: Path) -> Layout:
    """How the numbers are written: what separates them, and whether commas are decimal marks.

    Of the ways in which the first row of numbers can be read, the one that reads most rows.

    Raises
    ------
    InputError
        Points and commas are both used as decimal marks.
    """
    numbers = [line for line in lines if _STARTS_WITH_NUMBER.match(line)]
    best, most = Layout(None), 0
    for layout in _LAYOUTS:
        # The first row that can be read says how many columns there are.
        widths = [len(row) if None not in (row := layout.row(line)) else 0 for line in numbers]
        width = next((w for w in widths if w), 0)
        fitting = sum(w == width for w in widths if w)
        if width >= 2 and fitting > most:
            best, most = layout, fitting
    if best.decimal_comma:
        cells = [cell for line in numbers for cell in best.cells(line)]
        if any("." in cell for cell in cells if best.number(cell) is not None):
            raise InputError(
                "its numbers have both decimal commas and decimal points",
                "write all numbers in one way, without marks for thousands",
                source=path,
            )
    if best == Layout(","):
        padded = [c for line in numbers[:50] for c in best.cells(line)[1:]]
        # "700,000,0,050": no column but the fraction of a number begins with zeros.
        if padded and any(re.fullmatch(r"0\d+", cell) for cell in padded):
            raise InputError(
                "separates columns by commas and has decimal commas as well",
                "separate the columns by semicolons or tabs",
                source=path,
            )
    return best


def is_unit(text: str, *, clearly: bool = False) -> bool:
    """Whether a word is a unit of energies, of intensities or of what else stands in tables.

    Clearly is one that names no sample: "a" and "1" may do.
    """
    return bool((_CLEAR_UNIT if clearly else _UNIT).fullmatch(text.strip()))


def without_unit(heading: str) -> tuple[str, str]:
    """A heading without the unit at its end, and the unit: "Energy (keV)", "E [eV]", "E/eV"."""
    match = _BRACKETS.search(heading)
    if match:
        rest = heading[: match.start()].strip()
        if _CLEAR_UNIT.fullmatch(match[1]) or (is_unit(match[1]) and role_of(rest) == ENERGY):
            return rest, match[1].strip()
    match = re.search(r"(?<=\w)(?:\s*/\s*|[\s_.,:]+(?:in\s+)?)(k?eV)\s*$", heading, re.IGNORECASE)
    if match:
        return heading[: match.start()].strip(), match[1]
    if re.fullmatch(r"k?ev", heading.strip(), re.IGNORECASE):
        return heading, heading.strip()
    return heading, ""


def _kind(cell: str) -> str:
    return role_of(without_unit(cell)[0])


def _are_headings(cells: Sequence[str]) -> bool:
    """Whether words are headings: the first says energy, or counts the rows beside an energy."""
    kinds = [_kind(cell) for cell in cells]
    if I0 in kinds and any("energ" in cell.lower() for cell in cells):
        return True
    counts = kinds[0] in (INDEX, TIME, ANGLE) or not cells[0]
    return kinds[0] == ENERGY or (counts and ENERGY in kinds)


def _take_headings(
    table: Table, above: Sequence[tuple[int, str]], layout: Layout, path: Path
) -> None:
    """Find headings and units among the lines above the numbers, else among the comments."""
    n = table.numbers.shape[1]
    rows: list[list[str]] = []
    for number, line in above:
        cells = _split(line, layout, n)
        if cells is None:
            own = layout.cells(line)
            if len(own) > 1 and _kind(own[0]) == ENERGY:
                raise InputError(
                    f"has {len(own)} headings over {n} columns",
                    "give every column its heading",
                    source=path,
                )
            table.notes.append(f"line {number}: {line.strip()[:60]}")
        elif _are_units(cells, alone=not rows):
            table.units = [cell.strip("()[] ") for cell in cells]
        else:
            rows.append(cells)
    # "energy range: 700" is a remark.
    plain = [comment for comment in table.comments if not re.search("[:=]", comment)]
    fitting = [cells for comment in plain if (cells := _split(comment, layout, n))]
    fitting += _fixed_width(table.comments, n)
    if not rows and (told := [cells for cells in fitting if _are_headings(cells)]):
        rows.append(told[-1])
    if not rows and table.comments:
        last = table.comments[-1]
        words = re.split(r"[\s,;]+", last)
        if fitting and fitting[-1] == _split(last, layout, n) and _kind(fitting[-1][0]) in _NO_AXIS:
            rows.append(fitting[-1])  # "k chi": for the sentence that refuses it
        elif len(words) > 1 and _kind(words[0]) == ENERGY and last in plain:
            table.misfit = last
    if not rows:
        return
    energy = [row for row in rows if _are_headings(row)]
    chosen = (energy or rows)[-1]
    table.others = [row for row in rows if row is not chosen]
    table.take_headings(chosen)


def _fixed_width(comments: Sequence[str], n: int) -> list[list[str]]:
    """Headings of fixed width below "Column Headings:", as the scans of LabVIEW at the APS have."""
    for announced, line in pairwise(comments):
        if re.fullmatch(r"column headings:?", announced, re.IGNORECASE):
            cells = [
                line[at : at + _APS_WIDTH].strip(" *") for at in range(0, len(line), _APS_WIDTH)
            ]
            if len(cells) == n:
                return [cells]
    return []


def _are_units(cells: Sequence[str], *, alone: bool) -> bool:
    """Whether a line is one of units; without headings above it only where it cannot be names."""
    bare = [cell.strip("()[] ") for cell in cells]
    if not all(_UNIT.fullmatch(cell) for cell in bare):
        return False
    return not alone or all(_CLEAR_UNIT.fullmatch(cell) for cell in bare[1:])


def _split(line: str, layout: Layout, n: int) -> list[str] | None:
    """The n cells of a line that is written like the rows or otherwise; None if it has not n."""
    for cells in (
        layout.cells(line),
        Layout("\t").cells(line.strip("\t")),
        Layout(";").cells(line),
        Layout(",").cells(line),
        re.split(r"\s{2,}|\t", line.strip()),
        line.split(),
        re.sub(r"\s+(?=[(\[])", "", line).split(),
        re.split(r"[\s,;]+", line.strip()),
    ):
        trimmed = list(cells)
        while len(trimmed) > n and not trimmed[-1]:
            trimmed.pop()
        if len(trimmed) == n:
            return [cell.strip("\"' ") for cell in trimmed]
    return None


def _drop_empty_columns(table: Table) -> None:
    """Columns without heading and numbers: a separator at the end of every line makes one."""
    named = table.headings or [""] * table.numbers.shape[1]
    empty = np.isnan(table.numbers).all(axis=0) & np.array([not name for name in named])
    empty[:2] = False
    if not empty.any():
        return
    kept = np.flatnonzero(~empty)
    table.numbers = table.numbers[:, kept]
    for cells in (table.headings, table.units, *table.others):
        if cells:
            cells[:] = [cells[i] for i in kept]
