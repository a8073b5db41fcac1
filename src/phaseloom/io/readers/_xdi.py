"""XDI, the XAFS data interchange format: energy and absorption from its columns.

B. Ravel and M. Newville, "XAFS Data Interchange: a single spectrum XAFS data file format",
J. Phys. Conf. Ser. 712 (2016) 012148; https://github.com/XraySpectroscopy/XAS-Data-Interchange.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError

_COLUMN = re.compile(r"Column\.(\d+):\s*(\S+)\s*([^|]*)", re.IGNORECASE)
_FIELD = re.compile(r"([A-Za-z]\w*\.\w+):\s*(.*)")
_ABSORPTION = ("mutrans", "mu", "xmu", "normtrans", "mufluor", "normfluor", "norm")


def is_xdi(text: str) -> bool:
    """Whether the first line is the version line of XDI."""
    return re.match(r"\s*#\s*XDI/\d", text) is not None


def xdi_absorption(
    comments: Sequence[str], numbers: NDArray[np.float64], path: Path
) -> tuple[NDArray[np.float64], NDArray[np.float64], dict[str, Any]]:
    """Energy in eV, absorption, and what the header says.

    The absorption is the column ``mutrans``, ``mu`` or a like one; else ln(i0 / itrans); else
    ifluor / i0. It is NaN where an intensity is not positive.

    Parameters
    ----------
    comments
        Header lines without the comment mark.
    numbers
        Numbers (row, column).
    path
        The file, named in errors.

    Returns
    -------
    energy, absorption
        Arrays (row,), in the order of the file.
    attributes
        ``absorption_from``; ``label``, ``element``, ``edge``, ``start_time`` if given.

    Raises
    ------
    InputError
        There is no energy column, or nothing to make the absorption from.
    """
    columns: dict[str, int] = {}
    units: dict[str, str] = {}
    for comment in comments:
        match = _COLUMN.match(comment)
        if match:
            name = match[2].lower()
            if int(match[1]) < 1 or int(match[1]) > numbers.shape[1]:
                raise InputError(
                    f"its header names column {match[1]} ({name}) but it has {numbers.shape[1]}",
                    "the file may be damaged",
                    source=path,
                )
            columns[name] = int(match[1]) - 1
            units[name] = match[3].strip().lower()
    if "energy" not in columns:
        raise InputError(
            "has no column 'energy'" + (" but an angle" if "angle" in columns else ""),
            "convert it to energy in eV first",
            source=path,
        )
    unit = units["energy"] or "ev"
    if unit not in ("ev", "kev"):
        raise InputError(
            f"has the energy in {unit!r}", "XDI wants eV or keV; convert it first", source=path
        )
    energy = numbers[:, columns["energy"]] * (1000.0 if unit == "kev" else 1.0)
    absorption, origin = _absorption(columns, numbers, path)
    attributes: dict[str, Any] = {"absorption_from": origin}
    wanted = {
        "sample.name": "label",
        "element.symbol": "element",
        "element.edge": "edge",
        "scan.start_time": "start_time",
    }
    for comment in comments:
        field = _FIELD.match(comment)
        if field and field[2].strip() and field[1].lower() in wanted:
            attributes.setdefault(wanted[field[1].lower()], " ".join(field[2].split()))
    return energy, absorption, attributes


def _absorption(
    columns: dict[str, int], numbers: NDArray[np.float64], path: Path
) -> tuple[NDArray[np.float64], str]:
    for name in _ABSORPTION:
        if name in columns:
            return numbers[:, columns[name]], name

    def positive(name: str) -> NDArray[np.float64]:
        values = numbers[:, columns[name]]
        return np.where(values > 0, values, np.nan)

    transmitted = next((name for name in ("itrans", "i1", "it") if name in columns), None)
    if "i0" in columns and transmitted:
        return np.log(positive("i0") / positive(transmitted)), f"ln(i0/{transmitted})"
    fluorescence = next((name for name in ("ifluor", "if") if name in columns), None)
    if "i0" in columns and fluorescence:
        return numbers[:, columns[fluorescence]] / positive("i0"), f"{fluorescence}/i0"
    raise InputError(
        f"has the columns {', '.join(columns)}, of which no absorption can be made",
        "it needs mutrans, or i0 with itrans or ifluor",
        source=path,
    )
