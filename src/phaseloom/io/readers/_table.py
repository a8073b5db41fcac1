"""Text tables: comments, headings and numbers of a file."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning

COMMENT = ("#", "*", "%")
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][+-]?\d+)?", re.ASCII)
_STARTS_WITH_NUMBER = re.compile(r"\s*[+-]?\.?\d", re.ASCII)
_MISSING = {"", "nan", "na", "n/a", "null", "-", "--"}
_NO_TEXT = re.compile(r"[^\t\n\v\f\r\x1a -~\x85\xa0-\U0010ffff]")
_ENERGY_FIRST = re.compile(r"(?:photon[ _]?)?(?:energy|e|ev)\b|energy_", re.IGNORECASE)


@dataclass
class Table:
    """A text file taken apart: comments, headings (empty if none) and numbers (row, column)."""

    comments: list[str]
    headings: list[str]
    numbers: NDArray[np.float64]


def read_text(path: Path) -> str:
    """Contents of a text file, with line ends of one kind.

    Raises
    ------
    InputError
        It is absent, or holds characters that no text has.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise InputError("no such file", "check the path", source=path) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")  # older beamline software: "µm" in comments
    if _NO_TEXT.search(text):
        raise InputError("is not a text file", "give spectra as text", source=path)
    # \x1a ended text files under DOS.
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\x1a", "")


def is_table(text: str) -> bool:
    """Whether one of the first lines holds two numbers or more."""
    lines = (
        line for line in text.split("\n", 2000)[:2000] if not line.lstrip().startswith(COMMENT)
    )
    return any(
        sum(bool(NUMBER.fullmatch(cell)) for cell in re.split(r"[\s,;]+", line)) >= 2
        for line in lines
    )


def read_table(text: str, path: Path) -> Table:
    """Take a text apart; every line must be a comment, the headings, or a row of numbers.

    Without a line of headings, the last comment serves that begins with "energy" and has as many
    words as there are columns.

    Raises
    ------
    InputError
        Another line is found, rows differ in length, or there are less than two rows or columns.
    """
    comments: list[str] = []
    headings: list[str] = []
    rows: list[list[float]] = []
    lines = [line.strip(" ") for line in text.split("\n")]
    separator = _separator(lines)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if line.lstrip().startswith(COMMENT):
            comments.append(line.lstrip()[1:].strip())
            continue
        cells = _cells(line, separator, path)
        # Columns separated by semicolons may have decimal commas.
        texts = [cell.replace(",", ".") for cell in cells] if separator == ";" else cells
        row = [_as_number(cell) for cell in texts]
        if None in row:
            # A line that starts with a number is a spoilt row, not headings.
            if rows or headings or NUMBER.fullmatch(texts[0].strip()):
                raise InputError(
                    f"line {number} is no row of numbers: {line[:60]!r}",
                    "comments start with #; above the numbers one line of headings may stand",
                    source=path,
                )
            headings = [cell.strip() for cell in cells]
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
    numbers = np.array(rows)
    # A separator at the end of every line makes a last column without heading or numbers.
    if numbers.shape[1] > 2 and np.isnan(numbers[:, -1]).all():
        if len(headings) == numbers.shape[1] and not headings[-1]:
            headings = headings[:-1]
        if len(headings) != numbers.shape[1]:
            numbers = numbers[:, :-1]
    if not headings:
        words = [re.split(r"[\s,;]+", comment) for comment in comments]
        fitting = [w for w in words if len(w) == numbers.shape[1] and _ENERGY_FIRST.match(w[0])]
        headings = fitting[-1] if fitting else []
    return Table(comments, headings, numbers)


def _separator(lines: Sequence[str]) -> str | None:
    """What separates the columns, by the first line that starts with a number; None for blanks."""
    line = next((line for line in lines if _STARTS_WITH_NUMBER.match(line)), "")
    return next((mark for mark in (";", ",", "\t") if mark in line.strip("\t")), None)


def _cells(line: str, separator: str | None, path: Path) -> list[str]:
    if separator is None:
        return line.split()
    if separator == "\t":
        return line.split("\t")
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True))
    except csv.Error as fault:
        raise InputError(f"is no table ({fault})", source=path) from fault


def _as_number(cell: str) -> float | None:
    """The number, NaN for an empty or missing cell, None for anything else."""
    cell = cell.strip()
    if cell.lower() in _MISSING:
        return float("nan")
    if NUMBER.fullmatch(cell):
        value = float(cell.lower().replace("d", "e"))
        return value if np.isfinite(value) else None
    return None
