"""Spectra among the columns of a table: which are absorption, what is made of detector readings."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.energies import UNITS, in_electronvolts
from phaseloom.io.readers._columns import (
    ABSORPTION,
    DERIVED,
    ENERGY,
    I0,
    NAMELESS_AXIS,
    READINGS,
    SPECTRUM,
    TIME,
    TRANSMITTED,
    YIELD,
    best_absorption,
    blocks_of,
    plain,
    role_of,
    roles_of,
)
from phaseloom.io.readers._table import Table

# Names of detectors and of their channels.
_COUNTER = re.compile(
    r"(?:.* )?(?:aux|\w*adc|gap|roi|det(?:ector)?|ch(?:an(?:nel)?)?|mca|scaler|counter|ctr|vortex"
    r"|xmap|sdd|ge|pin|gain|cps|(?:photo)?diode|mux|xia|dxp|x3?press|keithley)\d*(?: ?\w+)*"
)
# Optical densities and edge-normalised spectra lie far below, counts far above.
_HIGHEST_ABSORPTION = 20.0
_READING = re.compile(
    r"(?<![A-Za-z0-9])(?:i0|io|izero|scaler\w*|ion ?chambers?|i_?trans|ifluor)(?![A-Za-z0-9])",
    re.IGNORECASE,
)
# Spectra of one table have one scale; intensities and what is made of them have not, and less
# proves it where the header speaks of intensities.
_MOST_UNLIKE, _UNLIKE = 300.0, 20.0
_MOST_LINES = 4


@dataclass
class Columns:
    """Spectra and readings over one energy axis: arrays (row,), energy in eV."""

    energy: NDArray[np.float64]
    spectra: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    readings: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    """What the readings are: I0, transmitted, yield, reference, current."""
    made_from: str = ""
    """The column of the only absorption, or what it is made of."""


def columns_of(table: Table, path: Path, *, name: str, raw: bool) -> list[Columns]:
    """The spectra of a table, by energy axis.

    Parameters
    ----------
    table
        Numbers with their headings.
    path
        The file, for messages.
    name
        Of the spectrum where there is one whose heading does not name the substance.
    raw
        The table is a record of a measurement (XDI, SPEC): columns that are not known are no
        spectra where others are known.

    Returns
    -------
    list of Columns
        NaN where a reading of which absorption is made is not positive.

    Raises
    ------
    InputError
        No column is the energy, or of none the absorption can be had.
    """
    roles = roles_of(table.headings, table.numbers)
    headings = table.headings or [""] * len(roles)
    if ENERGY not in roles:
        raise InputError(
            f"its first column is {headings[0]!r}, not the photon energy"
            if not raw
            else "has no column 'energy'" + (" but an angle" if "angle" in roles else ""),
            "convert it to energy in eV first",
            source=path,
        )
    blocks = blocks_of(roles)
    if not table.headings:
        _require_alike(table, blocks, path)
    unused = set(range(len(roles))) - {block[0] for block in blocks}
    found: list[Columns] = []
    labels: list[str] = []
    for block in blocks:
        chosen = _chosen(block, roles, headings, table.numbers, raw=raw)
        columns = Columns(_energies(table, block[0], path))
        for column in block[1:]:
            if roles[column] in READINGS:
                heading = headings[column]
                if any(heading in other.readings for other in [*found, columns]):
                    heading = f"{heading} (column {column + 1})"
                columns.readings[heading] = table.numbers[:, column]
                columns.roles[heading] = roles[column]
        if chosen:
            alone = len(chosen) == len(blocks) == 1
            for label, column in zip(
                _labels(chosen, block, roles, table, alone=alone), chosen, strict=True
            ):
                labels.append(label or (name if alone else f"{path.stem} {len(labels) + 1}"))
                columns.spectra[labels[-1]] = table.numbers[:, column]
            if len(chosen) == 1 and roles[chosen[0]] != SPECTRUM:
                columns.made_from = headings[chosen[0]]
                rivals = [headings[c] for c in block if roles[c] == ABSORPTION]
                if raw and {"mutrans", "mufluor"} <= set(map(plain, rivals)):
                    _warn(f"{path}: of {', '.join(rivals)}, {columns.made_from} is taken")
        elif made := _made(block, roles, headings, table.numbers):
            columns.spectra[name], columns.made_from, chosen = made
            labels.append(name)
            if not np.isfinite(made[0]).any():
                raise InputError(
                    f"its {' and '.join(headings[c] for c in chosen)} are nowhere both positive",
                    "give absorption, or readings with the dark level taken off",
                    source=path,
                )
            if not raw:
                _warn(f"{path}: the absorption is made of its columns: {columns.made_from}")
        unused -= set(chosen)
        if columns.spectra or columns.readings:
            found.append(columns)
    if doubled := sorted({label for label in labels if labels.count(label) > 1}):
        raise InputError(
            f"has several columns named {', '.join(doubled)}",
            "give each spectrum its own name",
            source=path,
        )
    if not any(columns.spectra for columns in found) and (
        raw or not any(I0 in columns.roles.values() for columns in found)
    ):
        raise InputError(
            f"has the columns {', '.join(filter(None, headings))}, of which no absorption can be "
            "made",
            "it needs absorption (mutrans, norm, OD), or i0 with itrans or ifluor",
            source=path,
        )
    if not raw and any(columns.spectra for columns in found):
        _warn_of_unused(sorted(unused), headings, path)
    _warn_of_lines(table, labels, path)
    return found


def _require_alike(table: Table, blocks: Sequence[Sequence[int]], path: Path) -> None:
    """Raise where columns without headings are detector readings, as far as can be seen."""
    columns = [table.numbers[:, column] for block in blocks for column in block[1:]]
    known = [values[np.isfinite(values)] for values in columns]
    spans = [float(np.ptp(values)) for values in known if values.size and np.ptp(values) > 0]
    told = any(map(_READING.search, [*table.comments, *table.notes]))
    if len(spans) > 1 and max(spans) > (_UNLIKE if told else _MOST_UNLIKE) * min(spans):
        raise InputError(
            f"has no headings that fit its {len(table.numbers[0])} columns, and these differ in "
            f"scale by {max(spans) / min(spans):.0f}, as detector readings do",
            "put a line of headings with one word per column above the numbers",
            source=path,
        )


def _energies(table: Table, column: int, path: Path) -> NDArray[np.float64]:
    """An energy axis in eV; NaN where a row has none."""
    unit = table.units[column].strip() if table.units else ""
    if unit and unit.lower() not in UNITS:
        raise InputError(
            f"has the energy in {unit.lower()!r}",
            "eV or keV are understood; convert it first",
            source=path,
        )
    energy = table.numbers[:, column].copy()
    known = np.isfinite(energy)
    energy[known] = in_electronvolts(
        energy[known],
        unit=unit or None,
        source=path,
        what="its energies" if column == 0 else f"the energies in its column {column + 1}",
        stacklevel=6,
    )
    return energy


def _chosen(
    block: Sequence[int],
    roles: Sequence[str],
    headings: Sequence[str],
    numbers: NDArray[np.float64],
    *,
    raw: bool,
) -> list[int]:
    """The columns of a block that are absorption."""
    of = {role: [c for c in block[1:] if roles[c] == role] for role in set(roles)}
    phases, absorption = of.get(SPECTRUM, []), of.get(ABSORPTION, [])
    yields, readings = of.get(YIELD, []), [c for c in block[1:] if roles[c] in READINGS]
    if raw and (absorption or readings or of.get(TIME)):
        phases = []  # counters and motors
    recorded = of.get(I0) and (of.get(TRANSMITTED) or yields)
    if recorded and not all(_may_be_absorption(headings[c], numbers[:, c]) for c in phases):
        phases = []  # counters of a measurement, which a table of phases has not
    if absorption and of.get(DERIVED):
        phases = []  # intermediate results of the program that made the absorption
    alike = Counter(plain(headings[column]) for column in absorption)
    if phases or (alike and max(alike.values()) > 1):
        return sorted(phases + absorption)
    if absorption:
        return [best_absorption(headings, absorption)]
    if of.get(I0) or raw:
        return []
    # A yield is absorption in an arbitrary scale, where it has been divided by I0 already.
    return yields if len(yields) == len(readings) else []


def _may_be_absorption(heading: str, values: NDArray[np.float64]) -> bool:
    known = np.abs(values[np.isfinite(values)])
    if _COUNTER.fullmatch(plain(heading)) or not known.size:
        return False
    return bool(np.ptp(known) > 0 and known.max() <= _HIGHEST_ABSORPTION)


def _made(
    block: Sequence[int],
    roles: Sequence[str],
    headings: Sequence[str],
    numbers: NDArray[np.float64],
) -> tuple[NDArray[np.float64], str, list[int]] | None:
    """Absorption made of readings, how it is made, and of which columns; None where it cannot."""
    first = {roles[column]: column for column in reversed(block[1:])}
    if I0 not in first:
        return None
    column = first.get(TRANSMITTED, first.get(YIELD))
    if column is None:
        return None
    incident, signal = _upright(numbers[:, first[I0]]), _upright(numbers[:, column])
    incident = np.where(incident > 0, incident, np.nan)
    name, used = headings[first[I0]], [first[I0], column]
    if TRANSMITTED in first:
        signal = np.where(signal > 0, signal, np.nan)
        return np.log(incident / signal), f"ln({name}/{headings[column]})", used
    return signal / incident, f"{headings[column]}/{name}", used


def _upright(readings: NDArray[np.float64]) -> NDArray[np.float64]:
    """Readings as positive numbers where an amplifier inverts all of them."""
    known = readings[np.isfinite(readings)]
    return -readings if known.size and (known < 0).all() else readings


def _labels(
    chosen: Sequence[int],
    block: Sequence[int],
    roles: Sequence[str],
    table: Table,
    *,
    alone: bool,
) -> list[str]:
    """Names of the chosen columns, "" where nothing names them.

    The heading names a spectrum unless it stands for a quantity (mu, OD): then another line above
    the numbers may, over the column or, where it has an axis of its own, over that.
    """
    if not table.headings:
        return [""] * len(chosen)
    labels = []
    for column in chosen:
        heading = table.headings[column]
        if not heading or roles[column] != SPECTRUM:
            above = _said_above(column, block[0] if len(block) == 2 else column, table)
            over_axis = table.headings[block[0]] if len(block) == 2 else ""
            if above:
                heading = above
            elif role_of(over_axis) == SPECTRUM and not NAMELESS_AXIS.fullmatch(plain(over_axis)):
                heading = over_axis  # "FeII,,FeIII,"
            elif alone or len(block) == 2:
                heading = ""
        elif len(block) == 2:
            heading = re.sub(r"(?<=\w)[\s_]+y$", "", heading, flags=re.IGNORECASE)  # "FeII Y"
        labels.append(heading)
    return labels


def _said_above(column: int, axis: int, table: Table) -> str:
    for row in table.others:
        for cell in (row[column], row[axis]):
            if cell and row.count(cell) == 1 and role_of(cell) == SPECTRUM:
                return cell
    return ""


def _warn_of_unused(unused: Sequence[int], headings: Sequence[str], path: Path) -> None:
    if not unused:
        return
    names = [headings[c] or f"column {c + 1} (it counts the rows)" for c in unused]
    _warn(f"{path}: left out, as they are no absorption of a phase: {', '.join(names)}")


def _warn_of_lines(table: Table, labels: Sequence[str], path: Path) -> None:
    """Say which of the lines above the numbers name nothing."""
    unused = [row for row in table.others if not set(row) & set(labels)]
    lines = [*table.notes, *(", ".join(filter(None, row))[:60] for row in unused)]
    if table.misfit and not table.headings:
        lines.append(f"{table.misfit[:60]} (not one word per column)")
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES:] = [f"{len(lines) - _MOST_LINES} more"]
    if lines:
        _warn(
            f"{path}: the headings are {', '.join(table.headings) or 'none'}; of the lines above "
            f"the numbers not used: {'; '.join(lines)}"
        )


def _warn(text: str) -> None:
    warnings.warn(text, InputWarning, stacklevel=5)
