"""What the header of an XDI file, an Athena export or a SPEC file says of its columns.

XDI, the XAFS data interchange format: B. Ravel and M. Newville, "XAFS Data Interchange: a single
spectrum XAFS data file format", J. Phys. Conf. Ser. 712 (2016) 012148;
https://github.com/XraySpectroscopy/XAS-Data-Interchange. Athena writes the same header.
SPEC: https://certif.com/spec_help/scans.html; PyMca writes its spectra in that way, too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from phaseloom.errors import InputError
from phaseloom.io.readers._columns import SPECTRUM, role_of
from phaseloom.io.readers._table import Table, is_unit, read_table

_COLUMN = re.compile(r"Column\.(\d+):\s*(\S+)\s*([^|]*)", re.IGNORECASE)
_FIELD = re.compile(r"([A-Za-z]\w*\.\w+):\s*(.*)")
_WANTED = {
    "sample.name": "label",
    "element.symbol": "element",
    "element.edge": "edge",
    "scan.start_time": "start_time",
}
_SCAN = re.compile(r"#S\s+(\d+)\b(.*)")


def is_xdi(text: str) -> bool:
    """Whether the first line is the version line of XDI."""
    return re.match(r"\s*#\s*XDI/\d", text) is not None


def take_xdi_columns(table: Table, path: Path) -> None:
    """Take headings and units from the lines ``Column.1: energy eV`` of a header.

    Raises
    ------
    InputError
        It names a column that the table has not.
    """
    n = table.numbers.shape[1]
    names, units = [""] * n, [""] * n
    for comment in table.comments:
        match = _COLUMN.match(comment)
        if match is None:
            continue
        column, name, rest = int(match[1]), match[2], match[3].strip()
        if not 1 <= column <= n:
            raise InputError(
                f"its header names column {column} ({name}) but it has {n}",
                "the file may be damaged",
                source=path,
            )
        if rest and not is_unit(rest, clearly=True) and role_of(name) == SPECTRUM:
            name, rest = f"{name} {rest}", ""
        names[column - 1], units[column - 1] = name, rest
    if any(names):
        table.headings, table.units = names, units


def fields(comments: Sequence[str]) -> dict[str, str]:
    """``label``, ``element``, ``edge`` and ``start_time``, as far as a header of XDI gives them."""
    found: dict[str, str] = {}
    for comment in comments:
        match = _FIELD.match(comment)
        if match and match[2].strip() and match[1].lower() in _WANTED:
            found.setdefault(_WANTED[match[1].lower()], " ".join(match[2].split()))
    return found


def is_spec(text: str) -> bool:
    """Whether the text has scans as SPEC writes them: ``#S`` and ``#L``."""
    return bool(re.search(r"^#S\s+\d+", text, re.MULTILINE)) and bool(
        re.search(r"^#L\s+\S", text, re.MULTILINE)
    )


def spec_scans(text: str, path: Path) -> list[tuple[str, Table]]:
    """The scans of a SPEC file that have rows: number and table, headings from ``#L``.

    Raises
    ------
    InputError
        The table of a scan is damaged.
    """
    scans: list[tuple[str, Table]] = []
    for part in re.split(r"^(?=#S\s+\d+)", text, flags=re.MULTILINE):
        match = _SCAN.match(part)
        labels = re.search(r"^#L\s+(.*)$", part, re.MULTILINE)
        # Spectra of multichannel analysers stand between the rows, on lines of their own.
        body = re.sub(r"^@(?:[^\n\\]|\\\n|\\.)*", "", part, flags=re.MULTILINE)
        rows = [line for line in body.split("\n") if line.strip() and not line.startswith("#")]
        if match is None or labels is None or len(rows) < 2 or len(rows[0].split()) < 2:
            continue
        table = read_table(body, path)
        n = table.numbers.shape[1]
        names = re.split(r"\s{2,}|\t", labels[1].strip())
        if len(names) != n:
            names = labels[1].split()
        if len(names) != n:
            raise InputError(
                f"scan {match[1]} names {len(names)} columns and has {n}",
                "the file may be damaged",
                source=path,
            )
        table.take_headings(names)
        scans.append((match[1], table))
    return scans
