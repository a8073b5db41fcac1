"""Crystal structure: a unit cell with all its atoms, its symmetry and its axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError

if TYPE_CHECKING:
    from orix.crystal_map import Phase

_SAME_SITE = 0.1
"""Å: symmetry copies of one atom that are closer are one atom (1/3 written as 0.3333)."""

_FIT = 0.02
"""Part by which a cell may miss the symmetry of its space group (rounding, relaxed cells)."""


Operation = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Matrix and shift, on fractional coordinates."""


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
    def phase(self) -> Phase:
        """The same as an orix ``Phase``, with symmetry and all atoms.

        orix knows a space group in one setting: it takes the axis of monoclinic crystals along
        c, where most files have it along b. :attr:`laue_rotations` are right for both.
        """
        from diffpy.structure import Atom, Lattice, Structure
        from orix.crystal_map import Phase

        atoms = [
            Atom(element, xyz, occupancy=float(occupancy), Uisoequiv=float(u))
            for element, xyz, occupancy, u in zip(
                self.elements, self.positions, self.occupancies, self.displacements, strict=True
            )
        ]
        structure = Structure(atoms, lattice=Lattice(base=self.lattice), title=self.name)
        return Phase(name=self.name, space_group=self.space_group, structure=structure)


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
    from diffpy.structure.spacegroups import GetSpaceGroup

    operations = group_operations(GetSpaceGroup(space_group))
    return expanded(name, aligned_lattice(*cell), sites, space_group, operations)


def group_operations(group: Any) -> list[Operation]:
    """Operations of a space group.

    Parameters
    ----------
    group
        diffpy's ``SpaceGroup``.
    """
    return [(np.asarray(o.R, dtype=float), np.asarray(o.t)) for o in group.iter_symops()]


def expanded(
    name: str,
    lattice: NDArray[np.float64],
    sites: Sequence[Site],
    space_group: int,
    operations: Sequence[Operation],
    *,
    source: Path | None = None,
) -> Crystal:
    """Apply all operations to all sites; copies that fall together are one atom.

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
    turns = np.array([turn for turn, _ in operations])
    shifts = np.array([shift for _, shift in operations])
    metric = lattice @ lattice.T
    turned = np.swapaxes(turns, 1, 2) @ metric @ turns
    if np.abs(turned - metric).max() > _FIT * np.abs(metric).max():
        raise InputError(
            "the cell does not have the symmetry of its space group",
            "check the cell parameters and the setting of the group",
            source=source,
        )
    positions, owners = [], []
    for number, site in enumerate(sites):
        # 0.9999999 is 0: else equal atoms land on both ends of the cell.
        copies = np.round((turns @ np.array(site.position) + shifts) % 1.0, 9) % 1.0
        kept = copies[:1]
        for copy in copies[1:]:
            apart = copy - kept
            apart -= np.round(apart)
            if np.linalg.norm(apart @ lattice, axis=1).min() > _SAME_SITE:
                kept = np.vstack([kept, copy])
        positions.append(kept)
        owners += [number] * len(kept)
    return Crystal(
        name=name,
        lattice=lattice,
        positions=np.concatenate(positions),
        elements=tuple(sites[i].element for i in owners),
        occupancies=np.array([sites[i].occupancy for i in owners], dtype=np.float64),
        displacements=np.array([sites[i].displacement for i in owners], dtype=np.float64),
        space_group=space_group,
        operations=np.unique(np.rint(turns).astype(np.int64), axis=0),
    )
