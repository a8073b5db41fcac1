"""Spectra as text: CSV and other tables, aXis2000 ``.xas``, XDI, Athena, SPEC.

Rules
-----
A column is what its heading says. The energy is in eV, or in keV if a heading, a line of units or
the numbers say so; it may lead every spectrum (x, y, x, y …). Detector readings, errors, angles,
times and running numbers are no spectra; absorption is made of I0 and transmitted intensity (or
yield) where a table has no other. Where no heading says what a column is, it is a spectrum, and
the first column the energy, unless it counts the rows.

A single spectrum without a telling heading is named after the ``Common name`` (aXis2000) or
``Sample.name`` (XDI) in the comments, or else after the file. Lines that start with ``#``, ``*``,
``%``, ``!``, ``;``, ``'`` or ``//`` are comments. Columns are separated by semicolons, tabs,
commas or blanks; numbers have decimal points or commas.

Two marks of phaseloom's own files: a comment ``# value: LABEL=NUMBER`` gives the number that
belongs to a spectrum (say, its sodium content), a column ``LABEL_spread`` its uncertainty.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.choice import FIRST, Choice
from phaseloom.io.images import file_attrs
from phaseloom.io.readers._absorption import Columns, columns_of
from phaseloom.io.readers._athena import is_project, read_project
from phaseloom.io.readers._headers import fields, is_spec, is_xdi, spec_scans, take_xdi_columns
from phaseloom.io.readers._table import NUMBER, is_table, read_table
from phaseloom.io.readers._text import looks_like_text, read_text

format_name = "spectra"
file_extensions = (
    ".xas", ".csv", ".xdi", ".t", ".r", ".xsp", ".txt", ".dat", ".tsv", ".prn", ".asc", ".dpt",
    ".nor", ".xmu", ".prj", ".chi", ".chik", ".chir", ".chiq", ".spec", "",
)  # fmt: skip
describe = "Spectra as text: tables with headings, aXis2000 .xas, XDI, Athena .prj .nor .xmu, SPEC"

_DETECTOR = "absorption"
_VALUE = re.compile(rf"value:\s*(.+)=\s*({NUMBER.pattern})\s*", re.ASCII)
_SPREAD = "_spread"


def reads_this(path: Path) -> bool:
    """Whether the file is a project of Athena, or text of which some line holds two numbers."""
    try:
        if path.is_dir():
            return False
        return is_project(path) or (looks_like_text(path) and is_table(read_text(path)))
    except (InputError, OSError):
        return False


def read(path: Path, choice: Choice = FIRST) -> xr.Dataset:
    """Read spectra from a text file; whether rows are missing at its end cannot be seen.

    Returns
    -------
    xarray.Dataset
        kind "spectra": ``absorption`` (spectrum, energy), energy in eV, ascending; NaN where a
        spectrum has no number at an energy. ``spread`` (same dims) and the coordinate ``value``
        (spectrum) if the file has them, NaN for spectra without. ``intensity`` (channel, energy)
        are detector readings, if it has any, with the coordinate ``role`` (channel): "I0",
        "transmitted", "yield", "reference" or "current"; a file of I0 has nothing else.
        ``attrs["absorption_from"]`` says of which columns the absorption is made.

    Raises
    ------
    InputError
        The file is no table of numbers, an energy is repeated with another value, no column is
        the energy or the energies are none, or of no column the absorption can be had.
    """
    choice.require_only(_DETECTOR, path)
    attrs: dict[str, Any] = {"kind": "spectra", **file_attrs(path, format_name, _DETECTOR)}
    values: dict[str, float] = {}
    if is_project(path):
        found = _from_project(path, attrs)
    else:
        text = read_text(path)
        if is_spec(text):
            found = _from_scans(text, path)
        else:
            table = read_table(text, path)
            said = fields(table.comments)
            name = said.pop("label", "") or _common_name(table.comments) or path.stem
            if is_xdi(text):
                take_xdi_columns(table, path)
                attrs.update(said)
            found = columns_of(table, path, name=name, raw=is_xdi(text))
            values = _values(table.comments)
    made = [columns.made_from for columns in found if columns.made_from]
    if len(made) == 1 and sum(len(columns.spectra) for columns in found) == 1:
        attrs["absorption_from"] = made[0]
    found = [_clean(columns, path) for columns in found]
    return _with_values(_assemble(found, attrs), values, path)


def _from_project(path: Path, attrs: dict[str, Any]) -> list[Columns]:
    """The spectra of an Athena project, each over its own energies."""
    spectra = read_project(path)
    labels = _distinct([spectrum.label for spectrum in spectra])
    if len(spectra) == 1:
        attrs.update(spectra[0].attributes)
    return [
        Columns(spectrum.energy, {label: spectrum.absorption})
        for label, spectrum in zip(labels, spectra, strict=True)
    ]


def _from_scans(text: str, path: Path) -> list[Columns]:
    """The spectra of the scans of a SPEC file; scans over something else are left out, loudly."""
    scans = spec_scans(text, path)
    if not scans:
        raise InputError("holds no scan with rows of numbers", source=path)
    found: list[Columns] = []
    faults: list[str] = []
    fault: InputError | None = None
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for number, table in scans:
            name = path.stem if len(scans) == 1 else f"{path.stem} {number}"
            try:
                found += columns_of(table, path, name=name, raw=True)
            except InputError as error:
                fault = error
                faults.append(f"{number} ({error.fault})")
    # What holds for many scans is said once.
    for message, category in {str(warning.message): warning.category for warning in said}.items():
        warnings.warn(message, category, stacklevel=4)
    if not found and fault is not None:
        raise fault
    if faults:
        warnings.warn(f"{path}: scans left out: {', '.join(faults)}", InputWarning, stacklevel=4)
    labels = [label for columns in found for label in columns.spectra]
    renamed = iter(_distinct(labels))
    for columns in found:
        columns.spectra = {next(renamed): values for values in columns.spectra.values()}
    return found


def _distinct(labels: Sequence[str]) -> list[str]:
    """Labels of which repeated ones are numbered: "Fe2O3", "Fe2O3 (2)"."""
    seen: Counter[str] = Counter()
    distinct = []
    for label in labels:
        seen[label] += 1
        distinct.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return distinct


def _common_name(comments: Sequence[str]) -> str:
    """The name that aXis2000 gives a substance."""
    names = (c.split(":", 1)[1].strip() for c in comments if c.lower().startswith("common name:"))
    return next(names, "")


def _values(comments: Sequence[str]) -> dict[str, float]:
    matches = (_VALUE.fullmatch(comment) for comment in comments)
    return {match[1].strip(): float(match[2]) for match in matches if match}


def _clean(columns: Columns, path: Path) -> Columns:
    """Rows sorted by energy; rows without numbers and identical repeats dropped, loudly."""
    energy = columns.energy
    series = columns.spectra or columns.readings
    numbers = np.column_stack([*columns.spectra.values(), *columns.readings.values()])
    telling = np.column_stack(list(series.values()))
    empty = np.isnan(energy) | np.isnan(telling).all(axis=1)
    if empty.any():
        # A spectrum of fewer points than the others of the table ends in empty cells.
        ended = np.isnan(energy) & np.isnan(numbers).all(axis=1)
        if n := int((empty & ~ended).sum()):
            warnings.warn(
                f"{path}: {n} of {empty.size} rows have no number and are dropped",
                InputWarning,
                stacklevel=3,
            )
        energy, numbers = energy[~empty], numbers[~empty]
    order = np.argsort(energy, kind="stable")
    energy, numbers = energy[order], numbers[order]
    repeats = np.flatnonzero(np.diff(energy) == 0) + 1
    if repeats.size:
        if not np.array_equal(numbers[repeats], numbers[repeats - 1], equal_nan=True):
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
        energy, numbers = np.delete(energy, repeats), np.delete(numbers, repeats, axis=0)
    if energy.size < 2:
        raise InputError("fewer than two energies have a number", source=path)
    holes = [
        name
        for name, values in zip(columns.spectra, numbers.T, strict=False)
        if not name.endswith(_SPREAD) and np.isnan(values).any()
    ]
    if holes:
        warnings.warn(
            f"{path}: {', '.join(holes)}: no number at some energies (NaN)",
            InputWarning,
            stacklevel=3,
        )
    n = len(columns.spectra)
    return Columns(
        energy,
        dict(zip(columns.spectra, numbers.T[:n], strict=True)),
        dict(zip(columns.readings, numbers.T[n:], strict=True)),
        columns.roles,
        columns.made_from,
    )


def _assemble(found: Sequence[Columns], attrs: dict[str, Any]) -> xr.Dataset:
    """Dataset of spectra, their spreads and readings on the energies of all of them together."""
    energy = found[0].energy
    if any(not np.array_equal(columns.energy, energy) for columns in found[1:]):
        energy = np.unique(np.concatenate([columns.energy for columns in found]))
    spectra: dict[str, np.ndarray] = {}
    readings: dict[str, np.ndarray] = {}
    roles: dict[str, str] = {}
    for columns in found:
        at = np.searchsorted(energy, columns.energy)
        for series, own in ((spectra, columns.spectra), (readings, columns.readings)):
            for name, values in own.items():
                placed = np.full(energy.size, np.nan)
                placed[at] = values
                series.setdefault(name, placed)
        roles.update(columns.roles)
    data = xr.Dataset(coords={"energy": ("energy", energy, {"units": "eV"})}, attrs=attrs)
    spreads = {name: spectra[name + _SPREAD] for name in spectra if name + _SPREAD in spectra}
    names = [name for name in spectra if name not in {base + _SPREAD for base in spreads}]
    if names:
        dims = ("spectrum", "energy")
        data["absorption"] = (dims, np.array([spectra[name] for name in names]))
        data = data.assign_coords(spectrum=names)
        if spreads:
            unknown = np.full(energy.size, np.nan)
            data["spread"] = (dims, np.array([spreads.get(name, unknown) for name in names]))
    if readings:
        data["intensity"] = (("channel", "energy"), np.array(list(readings.values())))
        data = data.assign_coords(
            channel=list(readings), role=("channel", [roles[name] for name in readings])
        )
    return data


def _with_values(spectra: xr.Dataset, values: dict[str, float], path: Path) -> xr.Dataset:
    """Spectra with the coordinate ``value``, if any of them has one."""
    names = [str(name) for name in spectra["spectrum"].values] if "spectrum" in spectra else []
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
