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
from phaseloom.io.energies import in_electronvolts
from phaseloom.io.images import EnergyFromName, energy_in_name
from phaseloom.io.readers._energy_list import read_energy_list
from phaseloom.io.readers._tiff_pages import ome_tree

SIDECARS = ("{}.csv", "{}.txt", "{}_energies.txt", "{}.energies")
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_LABELLED_ENERGY = re.compile(rf"({_NUMBER})[ _]?(k?)eV(?![A-Za-z])")


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
        origin, energy = sidecar.name, read_energy_list(sidecar, stacklevel=4)
    elif labelled:
        origin, energy = "the labels of its pages", np.array(labelled)
    elif described:
        origin, energy = "its description", np.array(described)
    elif named is not None:
        origin, energy = "its name", np.array([named])
        warnings.warn(
            f"{path}: no energy recorded; {named:g} eV is taken from the file name",
            EnergyFromName,
            stacklevel=3,
        )
    else:
        return None
    if energy.size != n_pages:
        raise InputError(
            f"has {n_pages} pages but {origin} lists {energy.size} energies",
            "give one energy in eV per page, in the order of the pages",
            source=path,
        )
    if sidecar is not None:
        return energy
    return in_electronvolts(
        energy,
        # Labels and names are energies because of the unit in them.
        unit=None if origin == "its description" else "eV",
        source=path,
        what=f"the energies in {origin}",
        stacklevel=4,
    )


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
            found = [_LABELLED_ENERGY.findall(label)[-1] for label in candidate]
            return [float(number) * (1e3 if kilo else 1.0) for number, kilo in found]
    return []


def energies_in_description(file: tifffile.TiffFile) -> list[float]:
    """The list ``energy`` of a JSON description, as tifffile writes from ``metadata=``."""
    try:
        description = json.loads(file.pages.first.description)
        return [float(energy) for energy in description["energy"]]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
