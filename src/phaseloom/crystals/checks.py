"""Plausibility of a cell: atoms listed twice, distances, and what the chemical formula says."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.crystals.cif_text import Block, number
from phaseloom.crystals.elements import formula
from phaseloom.crystals.structure import Crystal
from phaseloom.errors import InputError

_SAME_PLACE = 0.1
"""Å: atoms that are closer share a place."""

_OVERFULL = 1.05
"""Occupancies of one place may add up to so much (rounding of refinements)."""

_TOUCHING = 0.5
"""Atoms are never closer than this part of the sum of their covalent radii."""

_SEARCHED = 3.0
"""Å: pairs of atoms are looked for up to this distance, at first."""

_DENSEST = 2.0
"""Atoms per Å³ that no structure has, however disordered (diamond has 0.18)."""

_MOST_ATOMS = 20_000

_COUNTED = 0.02
"""Part by which numbers of atoms may differ from the formula."""


class Pair(NamedTuple):
    """Two atoms of the structure, the second perhaps in another cell."""

    first: int
    second: int
    distance: float


def check_number(count: int, volume: float, path: Path) -> None:
    """Refuse more atoms than a cell can hold.

    Parameters
    ----------
    count
        Atoms with symmetry applied.
    volume
        Of the cell in Å³.
    path
        To name in errors.

    Raises
    ------
    InputError
        There are too many.
    """
    if count > _MOST_ATOMS or count > max(8.0, _DENSEST * volume):
        fault = f"{count} atoms in a cell of {volume:.4g} Å³ cannot be"
        raise InputError(fault, "check the cell and the atoms", source=path)


def without_duplicates(crystal: Crystal, path: Path) -> tuple[Crystal, list[str]]:
    """The cell without atoms that the file lists more than once.

    Parameters
    ----------
    crystal
        With symmetry applied.
    path
        To name in errors.

    Returns
    -------
    Crystal, list of str
        The cell, and one sentence if there were any.

    Raises
    ------
    InputError
        Different elements share a place with occupancies that add up to more than 1.
    """
    pairs = close_pairs(crystal, _SAME_PLACE)
    if not pairs:
        return crystal, []
    groups = list(range(len(crystal.elements)))
    for pair in pairs:
        one, other = groups[pair.first], groups[pair.second]
        if one != other:
            groups = [min(one, other) if g in (one, other) else g for g in groups]
    members: dict[int, list[int]] = {}
    for atom, group in enumerate(groups):
        members.setdefault(group, []).append(atom)
    kept = np.ones(len(crystal.elements), dtype=bool)
    twice: Counter[str] = Counter()
    for atoms in members.values():
        if crystal.occupancies[atoms].sum() <= _OVERFULL:
            continue
        kinds = {crystal.elements[a] for a in atoms}
        for kind in kinds:
            alike = [a for a in atoms if crystal.elements[a] == kind]
            largest = max(alike, key=lambda a: crystal.occupancies[a])
            if crystal.occupancies[alike].sum() > _OVERFULL:
                kept[[a for a in alike if a != largest]] = False
                twice[kind] += len(alike) - 1
        total = crystal.occupancies[atoms][kept[atoms]].sum()
        if total > _OVERFULL:
            fault = f"{' and '.join(sorted(kinds))} share a place with occupancies of {total:.3g}"
            raise InputError(fault, "give occupancies that add up to 1", source=path)
    if kept.all():
        return crystal, []
    listed = ", ".join(f"{count} {element}" for element, count in sorted(twice.items()))
    note = f"atoms of the cell are listed more than once and are merged ({listed})"
    return atoms_kept(crystal, kept), [note]


def atoms_kept(crystal: Crystal, kept: NDArray[np.bool_]) -> Crystal:
    """A crystal with some of its atoms.

    Parameters
    ----------
    crystal
        The cell.
    kept
        (atoms,), which.
    """
    return replace(
        crystal,
        positions=crystal.positions[kept],
        elements=tuple(e for e, k in zip(crystal.elements, kept, strict=True) if k),
        occupancies=crystal.occupancies[kept],
        displacements=crystal.displacements[kept],
    )


def close_pairs(crystal: Crystal, reach: float) -> list[Pair]:
    """Pairs of atoms that are closer than a distance, images in other cells among them.

    Parameters
    ----------
    crystal
        The cell.
    reach
        In Å.
    """
    from scipy.spatial import cKDTree

    # Thickness of the cell across each face: so many neighbouring cells matter.
    cells = np.ceil(reach * np.linalg.norm(crystal.reciprocal, axis=1)).astype(int)
    steps = np.stack(
        np.meshgrid(*(np.arange(-n, n + 1) for n in cells), indexing="ij"), axis=-1
    ).reshape(-1, 3)
    here = crystal.positions @ crystal.lattice
    margin = reach * np.linalg.norm(crystal.reciprocal, axis=1) + 1e-9
    fractions = (crystal.positions[None] + steps[:, None]).reshape(-1, 3)
    owner = np.tile(np.arange(len(here)), len(steps))
    near = ((fractions > -margin) & (fractions < 1 + margin)).all(axis=1)
    images = fractions[near] @ crystal.lattice
    owner = owner[near]
    found: dict[tuple[int, int], float] = {}
    lists = cKDTree(images).query_ball_point(here, reach)
    for first, others in enumerate(lists):
        apart = np.linalg.norm(images[others] - here[first], axis=1)
        for image, distance in zip(others, apart, strict=True):
            second = int(owner[image])
            # An atom is at no distance from itself.
            if second < first or (second == first and distance < 1e-6):
                continue
            key = (first, second)
            found[key] = min(found.get(key, np.inf), float(distance))
    return [Pair(*key, distance) for key, distance in sorted(found.items(), key=lambda f: f[1])]


def shortest_distance(crystal: Crystal) -> Pair | None:
    """The closest atoms that can be there at once: their occupancies add up to more than 1.

    Parameters
    ----------
    crystal
        The cell.
    """
    # No atom is farther from itself in the next cell than the shortest edge.
    longest = min(crystal.cell[:3]) + 1e-6
    reach = min(_SEARCHED, longest)
    while True:
        for pair in close_pairs(crystal, reach):
            together = crystal.occupancies[pair.first] + crystal.occupancies[pair.second]
            if together > _OVERFULL:
                return pair
        if reach >= longest:
            return None
        reach = min(2 * reach, longest)


def distance_fault(crystal: Crystal) -> str:
    """What is impossible in the distances of a cell, or "".

    Parameters
    ----------
    crystal
        The cell.
    """
    import gemmi

    radii = [gemmi.Element(element).covalent_r for element in crystal.elements]
    for pair in close_pairs(crystal, _SEARCHED):
        together = crystal.occupancies[pair.first] + crystal.occupancies[pair.second]
        least = _TOUCHING * (radii[pair.first] + radii[pair.second])
        if together > _OVERFULL and pair.distance < least:
            names = f"{crystal.elements[pair.first]} and {crystal.elements[pair.second]}"
            return f"a distance of {pair.distance:.2f} Å between {names} cannot be"
    return ""


def composition(crystal: Crystal) -> dict[str, float]:
    """Numbers of atoms in the cell by element, weighted with their occupancies.

    Parameters
    ----------
    crystal
        The cell.
    """
    counts: dict[str, float] = {}
    for element, share in zip(crystal.elements, crystal.occupancies, strict=True):
        counts[element] = counts.get(element, 0.0) + float(share)
    return counts


def formula_fault(crystal: Crystal, block: Block, *, exact: bool = False) -> str:
    """How the atoms of a cell differ from the file's formula and Z, or "".

    Parameters
    ----------
    crystal
        The cell.
    block
        Of the CIF file.
    exact
        Whether a formula of the whole cell beside a Z, as some programs write it, is a fault.
    """
    stated = formula(block.text("_chemical_formula_sum"))
    if stated is None:
        return ""
    counts = composition(crystal)
    units = number(block.text("_cell_formula_units_z"))
    heavy = {e: n for e, n in stated.items() if e != "H"} or stated
    ratio = sum(counts.get(e, 0.0) for e in heavy) / sum(heavy.values())
    # Some programs write the formula of the whole cell beside a Z: "Cu4" and 4.
    of_cell = not exact and units and all(abs(n % units) < 1e-6 for n in stated.values())
    possible = [units or round(ratio, 6), *([1.0] if of_cell else [])]
    for z in dict.fromkeys(possible):
        wrong = _unlike(counts, stated, z)
        if not wrong:
            return ""
        if wrong == ["H"] and "H" not in counts:
            return f"the file has no places of the hydrogen in its formula ({_text(stated, 1)})"
    if not _unlike(counts, stated, ratio):
        return f"the cell holds {ratio:.4g} formula units, the file says {units:g}"
    return f"the cell holds {_text(counts, 1)}, the formula says {_text(stated, units or 1.0)}" + (
        f" (Z = {units:g})" if units else ""
    )


def _unlike(counts: dict[str, float], stated: dict[str, float], units: float) -> list[str]:
    """Elements whose numbers differ from so many formula units."""
    return [
        element
        for element in sorted({*counts, *stated})
        if abs(counts.get(element, 0.0) - units * stated.get(element, 0.0))
        > _COUNTED * units * stated.get(element, 0.0) + 0.05
    ]


def _text(counts: dict[str, float], units: float) -> str:
    return " ".join(f"{element}{units * n:.4g}" for element, n in sorted(counts.items()))
