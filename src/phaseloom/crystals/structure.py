"""Crystal structure: a unit cell with all its atoms, its symmetry and its axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.crystals.symmetry import Operations, fits, point_group, standard_operations
from phaseloom.errors import InputError

if TYPE_CHECKING:
    from orix.crystal_map import Phase

_SAME_SITE = 0.1
"""Å: symmetry copies of one atom that are closer are one atom (1/3 written as 0.3333)."""


class Site(NamedTuple):
    """An atom of the asymmetric unit."""

    element: str
    position: tuple[float, float, float]
    occupancy: float = 1.0
    displacement: float = 0.0


@dataclass(frozen=True, eq=False)
class Crystal:
    """A unit cell with all its atoms.

    Crystal axes lie in Cartesian space as in orix: e1 ∥ a, e3 ∥ c* (and e2 = e3 × e1).

    Parameters
    ----------
    name
        What maps call the phase.
    lattice
        (3, 3), rows a, b, c in Å, Cartesian.
    positions
        (atoms, 3), fractional coordinates in [0, 1), symmetry applied.
    elements
        Symbol of every atom, without charge.
    occupancies
        (atoms,), the share of cells in which the atom is there.
    displacements
        (atoms,), mean-square displacement U_iso in Å² (B = 8π² U).
    space_group
        Number in the International Tables.
    operations
        (n, 3, 3), rotation parts of the space group's operations in the setting of the cell,
        acting on fractional coordinates.
    """

    name: str
    lattice: NDArray[np.float64]
    positions: NDArray[np.float64]
    elements: tuple[str, ...]
    occupancies: NDArray[np.float64]
    displacements: NDArray[np.float64]
    space_group: int
    operations: NDArray[np.int64]

    @property
    def volume(self) -> float:
        """Volume of the cell in Å³."""
        return float(abs(np.linalg.det(self.lattice)))

    @property
    def reciprocal(self) -> NDArray[np.float64]:
        """(3, 3), rows a*, b*, c* in Å⁻¹ (no 2π): the vector of hkl is ``hkl @ reciprocal``."""
        return np.asarray(np.linalg.inv(self.lattice).T, dtype=np.float64)

    @property
    def cell(self) -> tuple[float, float, float, float, float, float]:
        """a, b, c in Å and α, β, γ in degrees."""
        a, b, c = np.linalg.norm(self.lattice, axis=1)
        unit_a, unit_b, unit_c = self.lattice / np.array([[a], [b], [c]])
        cosines = [unit_b @ unit_c, unit_a @ unit_c, unit_a @ unit_b]
        alpha, beta, gamma = np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
        return float(a), float(b), float(c), float(alpha), float(beta), float(gamma)

    @property
    def laue_rotations(self) -> NDArray[np.float64]:
        """Proper rotations of the Laue class: (n, 3, 3) Cartesian matrices, the identity first.

        Kinematic diffraction cannot tell orientations R and S R apart, S one of these. Made
        from the operations of the space group itself, they fit every setting of the cell.
        """
        proper = self.operations * np.rint(np.linalg.det(self.operations))[:, None, None]
        unique = np.unique(proper.astype(np.int64), axis=0)
        unique = unique[np.argsort(-np.trace(unique, axis1=1, axis2=2), kind="stable")]
        # x' = W x on fractions of rows a, b, c: Cartesian Lᵀ W L⁻ᵀ.
        turns: NDArray[np.float64] = self.lattice.T @ unique @ np.linalg.inv(self.lattice.T)
        return turns

    @cached_property
    def point_group(self) -> str:
        """Hermann–Mauguin symbol of the point group of the operations, such as "mmm"."""
        return point_group(self.operations)

    @cached_property
    def phase(self) -> Phase:
        """The same as an orix ``Phase``, with symmetry and all atoms.

        The point group is that of the operations; where the number of the space group has
        another one (records of older versions), the phase has no space group. orix knows a
        space group in one setting: it takes the axis of monoclinic crystals along c, where most
        files have it along b. :attr:`laue_rotations` are right for both.
        """
        from orix.crystal_map import Phase

        structure = Phase().structure
        structure.lattice.setLatBase(self.lattice)
        structure.title = self.name
        for element, xyz, occupancy, u in zip(
            self.elements, self.positions, self.occupancies, self.displacements, strict=True
        ):
            structure.addNewAtom(element, xyz, occupancy=float(occupancy), Uisoequiv=float(u))
        standard = point_group(standard_operations(self.space_group).unique_turns)
        group = self.point_group
        agree = group in ("", standard)
        return Phase(
            name=self.name,
            space_group=self.space_group if agree else None,
            # orix has a symbol for every direction of the only axis.
            point_group=None if agree else {"2": "112", "m": "11m"}.get(group, group),
            structure=structure,
        )


def aligned_lattice(
    a: float, b: float, c: float, alpha: float, beta: float, gamma: float
) -> NDArray[np.float64]:
    """Rows a, b, c (Å) in Cartesian space with e1 ∥ a and e3 ∥ c*, orix's alignment.

    Parameters
    ----------
    a, b, c
        Lengths in Å.
    alpha, beta, gamma
        Angles in degrees: between b and c, a and c, a and b.
    """
    cos_a, cos_b, cos_c = np.cos(np.radians([alpha, beta, gamma]))
    sin_c = np.sin(np.radians(gamma))
    c_y = (cos_a - cos_b * cos_c) / sin_c
    square = 1.0 - cos_b**2 - c_y**2
    if not (min(a, b, c) > 0 and square > 0):
        raise InputError(
            f"a cell of {a}, {b}, {c} Å and {alpha}, {beta}, {gamma}° cannot be",
            "check the six cell parameters",
        )
    lattice = np.array(
        [
            [a, 0.0, 0.0],
            [b * cos_c, b * sin_c, 0.0],
            [c * cos_b, c * c_y, c * np.sqrt(square)],
        ]
    )
    # A right angle's cosine is not exactly zero in floating point.
    lattice[np.abs(lattice) < 1e-12 * max(a, b, c)] = 0.0
    return lattice


def crystal_from_sites(
    name: str, cell: Sequence[float], space_group: int, sites: Sequence[Site]
) -> Crystal:
    """A crystal from its published description: cell, space group and asymmetric unit.

    Parameters
    ----------
    name
        What maps call the phase.
    cell
        a, b, c in Å; α, β, γ in degrees.
    space_group
        Number in the International Tables; its standard setting is meant.
    sites
        The asymmetric unit.
    """
    operations = standard_operations(space_group)
    return expanded(name, aligned_lattice(*cell), sites, space_group, operations)


def expanded(
    name: str,
    lattice: NDArray[np.float64],
    sites: Sequence[Site],
    space_group: int,
    operations: Operations,
    *,
    source: Path | None = None,
) -> Crystal:
    """Apply all operations to all sites; copies within 0.1 Å are one atom, at their mean.

    Parameters
    ----------
    name, lattice, space_group
        As in :class:`Crystal`.
    sites
        The asymmetric unit.
    operations
        All of the space group, centrings among them.
    source
        File to name in errors.

    Raises
    ------
    InputError
        The cell does not have the symmetry of the operations.
    """
    if not fits(lattice @ lattice.T, operations.turns):
        raise InputError(
            "the cell does not have the symmetry of its space group",
            "check the cell parameters and the setting of the group",
            source=source,
        )
    orbits = [_orbit(np.array(site.position), lattice, operations) for site in sites]
    owners = [number for number, orbit in enumerate(orbits) for _ in orbit]
    return Crystal(
        name=name,
        lattice=lattice,
        positions=np.concatenate(orbits),
        elements=tuple(sites[i].element for i in owners),
        occupancies=np.array([sites[i].occupancy for i in owners], dtype=np.float64),
        displacements=np.array([sites[i].displacement for i in owners], dtype=np.float64),
        space_group=space_group,
        operations=operations.unique_turns,
    )


def _orbit(
    position: NDArray[np.float64], lattice: NDArray[np.float64], operations: Operations
) -> NDArray[np.float64]:
    """All copies of an atom in the cell; those that fall together are one, at their mean."""
    # Rounding: 0.9999999 is 0, else equal atoms land on both ends of the cell.
    copies = np.round((operations.turns @ position + operations.shifts) % 1.0, 9) % 1.0
    apart = copies[:, None] - copies[None]
    apart -= np.round(apart)
    together = np.linalg.norm(apart @ lattice, axis=-1) <= _SAME_SITE
    kept: list[int] = []
    for i in range(len(copies)):
        if not together[i, kept].any():
            kept.append(i)
    places = []
    for i in kept:
        # A third written as 0.3333 lies where the mean of its copies is.
        mean = copies[i] - apart[i, together[i]].mean(axis=0)
        places.append(np.round(mean % 1.0, 9) % 1.0)
    return np.array(places)
