"""Photon energies of a TIFF stack: a list beside the file, labels of the pages, a description."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.io.images import EnergyFromName, energy_in_name
from phaseloom.io.readers._tiff_pages import ome_tree

SIDECARS = ("{}.csv", "{}.txt", "{}_energies.txt", "{}.energies")
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_FIRST_NUMBER = re.compile(rf"\s*({_NUMBER})(?=[\s,;]|$)")
_LABELLED_ENERGY = re.compile(rf"({_NUMBER})[ _]?eV(?![A-Za-z])")


def page_energies(
    path: Path, n_pages: int, labelled: Sequence[float], described: Sequence[float]
) -> NDArray[np.float64] | None:
    """Energy of every page in eV, from the first source that has them; None if there is none.

    Parameters
    ----------
    path
        The file: lists beside it come first, its name last.
    n_pages
        Number of pages.
    labelled, described
        Energies in the labels of the pages and in the description.

    Raises
    ------
    InputError
        There are more or fewer energies than pages, or numbers that are no energies.
    """
    named = energy_in_name(path) if n_pages == 1 else None
    sidecars = [path.with_name(pattern.format(path.stem)) for pattern in SIDECARS]
    sidecar = next((file for file in sidecars if file.is_file()), None)
    if sidecar is not None:
        origin, energies = sidecar.name, _numbers(sidecar)
    elif labelled:
        origin, energies = "the labels of its pages", list(labelled)
    elif described:
        origin, energies = "its description", list(described)
    elif named is not None:
        origin, energies = "its name", [named]
        warnings.warn(
            f"{path}: no energy recorded; {named:g} eV is taken from the file name",
            EnergyFromName,
            stacklevel=3,
        )
    else:
        return None
    if len(energies) != n_pages:
        raise InputError(
            f"has {n_pages} pages but {origin} lists {len(energies)} energies",
            "give one energy in eV per page, in the order of the pages",
            source=path,
        )
    energy = np.array(energies, dtype=np.float64)
    if not np.all((energy > 0) & (energy < 1e6)):
        raise InputError(
            f"{origin} gives energies from {energy.min():g} to {energy.max():g} eV",
            "photon energies lie between 0 and 1e6 eV",
            source=path,
        )
    return energy


def energies_in_labels(file: tifffile.TiffFile, pages: Sequence[Any]) -> list[float]:
    """Energies in eV in the labels of the pages, where every page has one."""
    imagej = file.imagej_metadata or {}
    candidates: list[list[str]] = []
    labels = imagej.get("Labels")
    if isinstance(labels, list):
        candidates.append([str(label) for label in labels])
    root = ome_tree(file)
    if root is not None:
        candidates.append([str(c.get("Name", "")) for c in root.iterfind(".//{*}Channel")])
    candidates.append([str(page.description) for page in pages])
    for candidate in candidates:
        if len(candidate) == len(pages) and all(map(_LABELLED_ENERGY.search, candidate)):
            return [float(_LABELLED_ENERGY.findall(label)[-1]) for label in candidate]
    return []


def energies_in_description(file: tifffile.TiffFile) -> list[float]:
    """The list ``energy`` of a JSON description, as tifffile writes from ``metadata=``."""
    try:
        description = json.loads(file.pages.first.description)
        return [float(energy) for energy in description["energy"]]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []


def _numbers(sidecar: Path) -> list[float]:
    """First number of each line; lines before the first number are headers."""
    numbers: list[float] = []
    for index, line in enumerate(sidecar.read_text("utf-8-sig", errors="replace").splitlines()):
        match = _FIRST_NUMBER.match(line)
        if match:
            numbers.append(float(match[1]))
        elif numbers and line.strip() and not line.lstrip().startswith(("#", "*")):
            raise InputError(
                f"line {index + 1} starts with no number: {line.strip()[:40]!r}",
                "the energy list has one energy in eV per line",
                source=sidecar,
            )
    return numbers
