"""Symmetry of a cell from its atoms, for files that were written without (P 1)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.crystals.cell import cell_of
from phaseloom.crystals.settings import Setting
from phaseloom.crystals.structure import Crystal, aligned_lattice
from phaseloom.crystals.symmetry import (
    Operations,
    invariant_metric,
    quiet_spglib,
    spglib_errors,
    tabulated_name,
    tabulated_turns,
    turns_key,
)

TOLERANCE = 0.01
"""Å by which atoms and edges may miss their symmetry."""

MOST_ATOMS = 1000
"""Of a larger cell no symmetry is looked for."""

_TOGETHER = 1e-3
"""Å: atoms that share a site are one for the search."""

_SOURCE = "atoms"


def found_symmetry(crystal: Crystal) -> tuple[Crystal, Setting] | None:
    """The crystal with the symmetry that its atoms have within 0.01 Å, by spglib.

    Atoms and cell are moved onto the symmetry. The axes stay where they are those of a setting
    in the tables; a primitive cell or a supercell becomes the conventional cell.

    Parameters
    ----------
    crystal
        A cell with all its atoms.

    Returns
    -------
    Crystal, Setting
        None where there is no more symmetry than P 1.
    """
    import spglib

    if not 0 < len(crystal.elements) <= MOST_ATOMS:
        return None
    owners, kinds, contents = _kinds(crystal)
    firsts = np.array([np.flatnonzero(owners == site)[0] for site in range(len(kinds))])
    cell = (crystal.lattice.tolist(), crystal.positions[firsts].tolist(), kinds)
    with quiet_spglib():
        try:
            found = spglib.get_symmetry_dataset(cell, symprec=TOLERANCE)
        except spglib_errors():
            return None
    if found is None or found.number == 1:
        return None
    turns = np.asarray(found.rotations, dtype=np.int64)
    operations = Operations(turns, np.asarray(found.translations, dtype=np.float64) % 1.0)
    number = int(found.number)
    if turns_key(operations) in tabulated_turns(number):
        turned = _averaged(crystal, operations, number)
        return turned, Setting(operations, number, tabulated_name(operations), _SOURCE)
    return _conventional(crystal, found, owners, contents)


def _kinds(
    crystal: Crystal,
) -> tuple[NDArray[np.int64], list[int], dict[int, list[tuple[str, float]]]]:
    """The site of every atom, the kind of every site, and what every kind of site holds."""
    apart = crystal.positions[:, None] - crystal.positions[None]
    apart -= np.round(apart)
    together = np.linalg.norm(apart @ crystal.lattice, axis=-1) < _TOGETHER
    first = together.argmax(axis=1)
    _, owners = np.unique(first, return_inverse=True)
    numbers: dict[tuple[tuple[str, float], ...], int] = {}
    kinds = []
    for site in range(owners.max() + 1):
        held = tuple(
            sorted(
                (crystal.elements[a], round(float(crystal.occupancies[a]), 4))
                for a in np.flatnonzero(owners == site)
            )
        )
        kinds.append(numbers.setdefault(held, len(numbers) + 1))
    return owners, kinds, {number: list(held) for held, number in numbers.items()}


def _averaged(crystal: Crystal, operations: Operations, number: int) -> Crystal:
    """Cell and atoms at the mean of their copies, in the axes of the file."""
    metric = invariant_metric(crystal.lattice @ crystal.lattice.T, operations.unique_turns)
    names = np.unique(crystal.elements, return_inverse=True)[1]
    other = (names[:, None] != names[None]) | (
        np.abs(crystal.occupancies[:, None] - crystal.occupancies[None]) > 1e-3
    )
    shift = np.zeros_like(crystal.positions)
    displacement = np.zeros(len(crystal.elements))
    for turn, translation in zip(operations.turns, operations.shifts, strict=True):
        copies = crystal.positions @ turn.T + translation
        apart = copies[:, None] - crystal.positions[None]
        apart -= np.round(apart)
        distance = np.linalg.norm(apart @ crystal.lattice, axis=-1)
        distance[other] = np.inf
        # Every atom is the image of one atom.
        image = distance.argmin(axis=0)
        shift += apart[image, np.arange(len(image))]
        displacement += crystal.displacements[image]
    count = len(operations.turns)
    positions = np.round((crystal.positions + shift / count) % 1.0, 9) % 1.0
    return replace(
        crystal,
        lattice=aligned_lattice(*cell_of(metric)),
        positions=positions,
        displacements=displacement / count,
        space_group=number,
        operations=operations.unique_turns,
    )


def _conventional(
    crystal: Crystal,
    found: Any,
    owners: NDArray[np.int64],
    contents: dict[int, list[tuple[str, float]]],
) -> tuple[Crystal, Setting] | None:
    """The conventional cell of a primitive cell or supercell, in the standard setting."""
    import spglib

    with quiet_spglib():
        listed = spglib.get_symmetry_from_database(found.hall_number)
    if listed is None:
        return None
    turns = np.asarray(listed["rotations"], dtype=np.int64)
    operations = Operations(turns, np.asarray(listed["translations"]) % 1.0)
    lattice = np.asarray(found.std_lattice)
    # By site of the conventional cell the equivalent sites of the file's cell.
    orbits = np.asarray(found.crystallographic_orbits)
    primitive = list(found.mapping_to_primitive)
    rows = []
    for position, kind, of_primitive in zip(
        found.std_positions, found.std_types, found.std_mapping_to_primitive, strict=True
    ):
        sites = np.flatnonzero(orbits == orbits[primitive.index(of_primitive)])
        atoms = np.flatnonzero(np.isin(owners, sites))
        for element, share in contents[int(kind)]:
            alike = [a for a in atoms if crystal.elements[a] == element]
            rows.append((position, element, share, crystal.displacements[alike].mean()))
    number = int(found.number)
    turned = Crystal(
        name=crystal.name,
        lattice=aligned_lattice(*cell_of(lattice @ lattice.T)),
        positions=np.round(np.array([row[0] for row in rows]) % 1.0, 9) % 1.0,
        elements=tuple(row[1] for row in rows),
        occupancies=np.array([row[2] for row in rows], dtype=np.float64),
        displacements=np.array([row[3] for row in rows], dtype=np.float64),
        space_group=number,
        operations=operations.unique_turns,
    )
    return turned, Setting(operations, number, tabulated_name(operations), _SOURCE)
