"""Description of a crystal for ``phaseloom info``: cell, symmetry, atoms, density, d-spacings."""

from __future__ import annotations

import warnings
from collections import Counter
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from phaseloom.crystals.checks import composition, shortest_distance
from phaseloom.crystals.cif import reading
from phaseloom.crystals.scattering import powder_rings
from phaseloom.crystals.structure import Crystal
from phaseloom.crystals.symmetry import standard_name
from phaseloom.errors import InputWarning

_RINGS = 12
"""d-spacings that are listed."""

_POINTS = 60
"""Reciprocal lattice points that are looked through at first."""

_K_MOST = 3.0
"""Å⁻¹."""

_DALTON = 1.66053907
"""g/cm³ of one atomic mass unit per Å³."""


def describe_crystal(path: str | PathLike[str]) -> dict[str, Any]:
    """Formula, cell, space group, atoms, density and first d-spacings of a CIF file, JSON-able.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    dict
        ``kind`` ("crystal"), ``format``, ``source``, ``formula`` and ``formula_units`` in the
        cell, ``cell`` (a, b, c in Å; α, β, γ in degrees), ``volume`` in Å³, ``space_group`` with
        ``number``, ``setting``, ``from`` and ``point_group``, ``atoms`` by element weighted with
        occupancies, ``n_atoms`` (places), ``density`` in g/cm³, ``shortest_distance`` in Å
        with its two ``elements``, and ``rings``: per d-spacing ``d`` in Å, ``k`` in Å⁻¹, ``hkl``,
        ``multiplicity`` and ``intensity`` for electrons, strongest 100.

    Raises
    ------
    InputError
        As :func:`phaseloom.crystals.read_crystal`.

    Warns
    -----
    InputWarning
        As :func:`phaseloom.crystals.read_crystal`.
    """
    path = Path(path)
    crystal, setting, _, notes = reading(path)
    for note in notes:
        warnings.warn(f"{path.name}: {note}", InputWarning, stacklevel=2)
    units, text = _formula(composition(crystal))
    pair = shortest_distance(crystal)
    return {
        "kind": "crystal",
        "format": "CIF",
        "source": str(path),
        "formula": text,
        "formula_units": units,
        "cell": [round(v, 6) for v in crystal.cell],
        "volume": crystal.volume,
        "space_group": {
            "number": crystal.space_group,
            "name": standard_name(crystal.space_group).partition(":")[0],
            "setting": setting.name or None,
            "from": setting.source,
            "point_group": crystal.point_group,
        },
        "n_atoms": len(crystal.elements),
        "places": dict(Counter(crystal.elements)),
        "atoms": composition(crystal),
        "density": density(crystal),
        "shortest_distance": None
        if pair is None
        else {
            "distance": pair.distance,
            "elements": [crystal.elements[pair.first], crystal.elements[pair.second]],
        },
        "rings": _rings(crystal),
    }


def density(crystal: Crystal) -> float:
    """Density in g/cm³, of the atoms that are listed.

    Parameters
    ----------
    crystal
        The cell.
    """
    import gemmi

    mass = sum(
        gemmi.Element(element).weight * float(share)
        for element, share in zip(crystal.elements, crystal.occupancies, strict=True)
    )
    return float(mass * _DALTON / crystal.volume)


def _formula(counts: dict[str, float]) -> tuple[int, str]:
    """Formula units in the cell and the formula, elements by alphabet, carbon first."""
    whole = [round(n) for n in counts.values()]
    exact = all(abs(n - w) < 0.01 and w > 0 for n, w in zip(counts.values(), whole, strict=True))
    units = int(np.gcd.reduce(whole)) if exact else 1
    order = sorted(counts, key=lambda element: (element != "C", element))
    parts = []
    for element in order:
        number = counts[element] / units
        parts.append(element if abs(number - 1) < 1e-3 else f"{element}{number:.4g}")
    return units, " ".join(parts)


def _rings(crystal: Crystal) -> list[dict[str, Any]]:
    """The largest d-spacings that scatter."""
    k_max = (_POINTS * 3 / (4 * np.pi * crystal.volume)) ** (1 / 3)
    while True:
        k_max = min(1.5 * k_max, _K_MOST)
        rings = powder_rings(crystal, k_max)
        if rings.k.size >= _RINGS or k_max >= _K_MOST:
            break
    strongest = float(rings.intensity[:_RINGS].max(initial=0.0)) or 1.0
    return [
        {
            "d": 1 / float(k),
            "k": float(k),
            "hkl": [int(i) for i in hkl],
            "multiplicity": int(multiplicity),
            "intensity": 100 * float(intensity) / strongest,
        }
        for k, intensity, hkl, multiplicity in zip(*(c[:_RINGS] for c in rings), strict=True)
    ]
