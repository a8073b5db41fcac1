"""Spectra to CSV, in the form that phaseloom reads back."""

from __future__ import annotations

import csv
from os import PathLike
from pathlib import Path

import numpy as np
import xarray as xr

from phaseloom.errors import InputError


def write_spectra(path: str | PathLike[str], spectra: xr.Dataset) -> None:
    """Write spectra as CSV: ``energy_eV`` and one column per spectrum.

    Numbers are written with as many digits as their type holds, missing ones as empty cells, so
    that :func:`phaseloom.io.read` returns the same numbers.

    Parameters
    ----------
    path
        The file to write; an existing one is replaced.
    spectra
        ``absorption`` (spectrum, energy) with energies in eV and labels on ``spectrum``.
        If there is a variable ``spread`` (same dims), each spectrum that has one gets a column
        ``LABEL_spread`` beside it. A coordinate ``value`` (spectrum) is written as comments
        ``# value: LABEL=NUMBER``.

    Raises
    ------
    InputError
        Dimensions or labels are missing, or labels cannot be told apart in a CSV file.
    """
    path = Path(path)
    if "absorption" not in spectra or set(spectra["absorption"].dims) != {"spectrum", "energy"}:
        raise InputError(
            "spectra need a variable 'absorption' with dims (spectrum, energy)", source=path
        )
    labels = [str(label) for label in spectra["spectrum"].values]
    _check_labels(labels, path)
    absorption = spectra["absorption"].transpose("spectrum", "energy").values
    columns = {"energy_eV": spectra["energy"].values}
    for index, label in enumerate(labels):
        columns[label] = absorption[index]
        if "spread" in spectra:
            spread = spectra["spread"].transpose("spectrum", "energy").values[index]
            if np.isfinite(spread).any():
                columns[f"{label}_spread"] = spread
    with path.open("w", encoding="utf-8", newline="") as file:
        if "value" in spectra.coords:
            for label, value in zip(labels, spectra["value"].values, strict=True):
                if np.isfinite(value):
                    file.write(f"# value: {label}={_digits(value)}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*([_digits(v) for v in c] for c in columns.values()), strict=True))


def _digits(value: np.generic) -> str:
    """Shortest text that reads back as the same number; empty for NaN."""
    return str(value) if np.isfinite(float(value)) else ""


def _check_labels(labels: list[str], path: Path) -> None:
    taken = {"energy_eV"}
    for label in labels:
        for name in (label, f"{label}_spread"):
            if name in taken:
                raise InputError(
                    f"the label {name!r} is taken twice",
                    "give each spectrum its own label",
                    source=path,
                )
            taken.add(name)
        if not label or label != label.strip() or not label.isprintable():
            raise InputError(
                f"the label {label!r} cannot stand at the head of a column",
                "use a word without line ends and outer blanks",
                source=path,
            )
