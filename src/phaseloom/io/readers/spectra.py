"""Spectra as text: aXis2000 ``.xas``, CSV with one column per spectrum, two columns, XDI.

Rules
-----
The first column is the photon energy in eV (keV if its heading says so); every further column is
a spectrum, named by its heading. A single spectrum without a telling heading is named after the
``Common name`` (aXis2000) or ``Sample.name`` (XDI) in the comments, or else after the file.
Lines that start with ``#``, ``*`` or ``%`` are comments. Columns are separated by commas,
semicolons (then with decimal commas or points), tabs or blanks.

Two marks of phaseloom's own files: a comment ``# value: LABEL=NUMBER`` gives the number that
belongs to a spectrum (say, its sodium content), a column ``LABEL_spread`` its uncertainty.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.choice import FIRST, Choice
from phaseloom.io.images import file_attrs
from phaseloom.io.readers._table import NUMBER, Table, is_table, read_table, read_text
from phaseloom.io.readers._xdi import is_xdi, xdi_absorption

format_name = "spectra"
file_extensions = (".xas", ".csv", ".xdi", ".t", ".r", ".xsp", ".txt", ".dat")
describe = "Spectra as text: aXis2000 .xas, CSV with headings, two columns, XDI"

_DETECTOR = "absorption"
_VALUE = re.compile(rf"value:\s*(.+)=\s*({NUMBER.pattern})\s*", re.ASCII)
# Headings of a single column which do not name the substance.
_UNTELLING = re.compile(
    r"(?:od|optical[ _]?density|absorption|absorbance|intensity|signal|counts?|value|y|i0|mu|norm"
    r"|flux|data|spectrum)?\s*(?:\(.*\)|\[.*\])?",
    re.IGNORECASE,
)
_NOT_ENERGY = re.compile(r"angle|theta|wavelength|lambda|degree|\bnm\b|wavenumber", re.IGNORECASE)


def reads_this(path: Path) -> bool:
    """Whether the file is text of which some line holds two numbers or more."""
    try:
        return is_table(read_text(path))
    except (InputError, OSError):
        return False


def read(path: Path, choice: Choice = FIRST) -> xr.Dataset:
    """Read spectra from a text file; whether rows are missing at its end cannot be seen.

    Returns
    -------
    xarray.Dataset
        kind "spectra": ``absorption`` (spectrum, energy), energy in eV, ascending; NaN where a
        spectrum has no number at an energy. ``spread`` (same dims) and the coordinate ``value``
        (spectrum) if the file has them, NaN for spectra without.
        ``attrs["absorption_from"]`` says which columns of an XDI file made the absorption.

    Raises
    ------
    InputError
        The file is no table of numbers, an energy is repeated with another value, or the first
        column is no energy.
    """
    choice.require_only(_DETECTOR, path)
    text = read_text(path)
    table = read_table(text, path)
    attrs = {"kind": "spectra", **file_attrs(path, format_name, _DETECTOR)}
    if is_xdi(text):
        energy, absorption, extra = xdi_absorption(table.comments, table.numbers, path)
        columns, labels = absorption[:, None], [str(extra.pop("label", "")) or path.stem]
        attrs.update(extra)
    else:
        energy = table.numbers[:, 0] * _energy_unit(table.headings, path)
        columns, labels = table.numbers[:, 1:], _labels(table, path)
    energy, columns = _clean(energy, columns, path)
    spectra = _assemble(energy, dict(zip(labels, columns.T, strict=True)), attrs, path)
    return _with_values(spectra, _values(table.comments), path)


def _energy_unit(headings: Sequence[str], path: Path) -> float:
    """Factor from the first column to eV."""
    heading = headings[0] if headings else ""
    if _NOT_ENERGY.search(heading):
        raise InputError(
            f"its first column is {heading!r}, not the photon energy",
            "convert it to energy in eV first",
            source=path,
        )
    return 1000.0 if re.search(r"kev", heading, re.IGNORECASE) else 1.0


def _labels(table: Table, path: Path) -> list[str]:
    """Name of every column after the first."""
    n_spectra = table.numbers.shape[1] - 1
    labels = table.headings[1:]
    if table.headings and len(labels) != n_spectra:
        raise InputError(
            f"has {len(table.headings)} headings over {n_spectra + 1} columns",
            "give every column its heading",
            source=path,
        )
    if n_spectra == 1 and (not labels or _UNTELLING.fullmatch(labels[0])):
        common = [
            comment.split(":", 1)[1].strip()
            for comment in table.comments
            if comment.lower().startswith("common name:")
        ]
        return [common[0] if common and common[0] else path.stem]
    if not labels:
        labels = [""] * n_spectra
    labels = [label or f"{path.stem} {index}" for index, label in enumerate(labels, start=1)]
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if repeated:
        raise InputError(
            f"has several columns named {', '.join(repeated)}",
            "give each spectrum its own name",
            source=path,
        )
    return labels


def _values(comments: Sequence[str]) -> dict[str, float]:
    matches = (_VALUE.fullmatch(comment) for comment in comments)
    return {match[1].strip(): float(match[2]) for match in matches if match}


def _clean(
    energy: NDArray[np.float64], columns: NDArray[np.float64], path: Path
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows sorted by energy; rows without numbers and identical repeats dropped, loudly."""
    empty = np.isnan(energy) | np.isnan(columns).all(axis=1)
    if empty.any():
        warnings.warn(
            f"{path}: {int(empty.sum())} of {empty.size} rows have no number and are dropped",
            InputWarning,
            stacklevel=3,
        )
        energy, columns = energy[~empty], columns[~empty]
    if not np.all((energy > 0) & (energy < 1e6)):
        wrong = energy[~((energy > 0) & (energy < 1e6))][0]
        raise InputError(
            f"its first column holds {wrong:g}, which is no photon energy in eV", source=path
        )
    order = np.argsort(energy, kind="stable")
    energy, columns = energy[order], columns[order]
    repeats = np.flatnonzero(np.diff(energy) == 0) + 1
    if repeats.size:
        same = np.array_equal(columns[repeats], columns[repeats - 1], equal_nan=True)
        if not same:
            raise InputError(
                f"the energy {energy[repeats[0]]:g} eV is repeated with other values",
                "average or remove repeated energies first",
                source=path,
            )
        warnings.warn(
            f"{path}: {repeats.size} repeated identical rows are dropped",
            InputWarning,
            stacklevel=3,
        )
        energy, columns = np.delete(energy, repeats), np.delete(columns, repeats, axis=0)
    if energy.size < 2:
        raise InputError("fewer than two energies have a number", source=path)
    return energy, columns


def _assemble(
    energy: NDArray[np.float64],
    columns: dict[str, NDArray[np.float64]],
    attrs: dict[str, Any],
    path: Path,
) -> xr.Dataset:
    """Dataset of the spectra and their spreads from the columns by label."""
    spreads = {base: columns[f"{base}_spread"] for base in columns if f"{base}_spread" in columns}
    names = [name for name in columns if name not in {f"{base}_spread" for base in spreads}]
    holes = [name for name in names if np.isnan(columns[name]).any()]
    if holes:
        warnings.warn(
            f"{path}: {', '.join(holes)}: no number at some energies (NaN)",
            InputWarning,
            stacklevel=3,
        )
    spectra = xr.Dataset(
        {"absorption": (("spectrum", "energy"), np.array([columns[name] for name in names]))},
        {"spectrum": names, "energy": ("energy", energy, {"units": "eV"})},
        attrs,
    )
    if spreads:
        unknown = np.full(energy.size, np.nan)
        spectra["spread"] = (
            ("spectrum", "energy"),
            np.array([spreads.get(name, unknown) for name in names]),
        )
    return spectra


def _with_values(spectra: xr.Dataset, values: dict[str, float], path: Path) -> xr.Dataset:
    """Spectra with the coordinate ``value``, if any of them has one."""
    names = [str(name) for name in spectra["spectrum"].values]
    unknown = sorted(set(values) - set(names))
    if unknown:
        warnings.warn(
            f"{path}: a value is given for {', '.join(unknown)}, which is not in the file",
            InputWarning,
            stacklevel=3,
        )
    if not set(values) & set(names):
        return spectra
    return spectra.assign_coords(value=("spectrum", [values.get(name, np.nan) for name in names]))
