"""Crystals: a unit cell with every atom in it, and how one is read from a CIF file."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.errors import InputError, InputWarning

if TYPE_CHECKING:
    from orix.crystal_map import Phase

_SAME_SITE = 0.1
"""Å: symmetry copies of one atom that are closer are one atom (1/3 written as 0.3333)."""

_LARGEST_DISPLACEMENT = 0.5
"""Å²: no atom of a solid moves so far; a larger U is a B written in the wrong place."""


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
    """

    name: str
    lattice: NDArray[np.float64]
    positions: NDArray[np.float64]
    elements: tuple[str, ...]
    occupancies: NDArray[np.float64]
    displacements: NDArray[np.float64]
    space_group: int

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

    @cached_property
    def phase(self) -> Phase:
        """The same as an orix ``Phase``, with symmetry and all atoms."""
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
    from diffpy.structure.symmetryutilities import ExpandAsymmetricUnit

    group = GetSpaceGroup(space_group)
    expanded = ExpandAsymmetricUnit(group, [site.position for site in sites], eps=1e-3)
    atoms = [
        Site(site.element, tuple(position), site.occupancy, site.displacement)
        for site, copies in zip(sites, expanded.expandedpos, strict=True)
        for position in copies
    ]
    return _crystal(name, aligned_lattice(*cell), atoms, space_group)


def read_crystal(path: str | PathLike[str]) -> Crystal:
    """Read a CIF file, with the symmetry of its space group applied to the atoms.

    Parameters
    ----------
    path
        The file; its stem becomes the name of the crystal.

    Returns
    -------
    Crystal
        All atoms of the cell. Occupancies and isotropic displacements as in the file; 1 and 0
        where it says nothing.

    Raises
    ------
    InputError
        The file is missing, is not a CIF, has no cell or no atoms.

    Warns
    -----
    InputWarning
        The file declares no symmetry (P 1), or displacements that no atom can have.
    """
    from diffpy.structure import StructureFormatError
    from diffpy.structure.parsers.p_cif import P_cif

    path = Path(path)
    if not path.is_file():
        raise InputError("no such file", "give the path of a CIF file", source=path)
    parser = P_cif(eps=1e-3)
    try:
        structure = parser.parseFile(str(path))
    except (StructureFormatError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"cannot be read as a CIF file ({reason})",
            "check it with a CIF checker or save it anew from the structure database",
            source=path,
        ) from error
    if structure is None or len(structure) == 0:
        raise InputError(
            "the CIF file has no atoms",
            "intensities need them: take a CIF with an _atom_site_ loop",
            source=path,
        )
    group = parser.spacegroup
    number = 1 if group is None else int(group.number)
    # diffpy's private settings of a group count on from 1000 by the group's number.
    number = number % 1000 if number > 230 else number
    lattice = structure.lattice
    cell = aligned_lattice(*(float(v) for v in lattice.abcABG()))
    atoms = [
        Site(_symbol(str(a.element), path), tuple(a.xyz), float(a.occupancy), float(a.Uisoequiv))
        for a in structure
    ]
    wrong = max(a.displacement for a in atoms)
    if wrong > _LARGEST_DISPLACEMENT:
        warnings.warn(
            f"{path.name}: U_iso = {wrong:g} Å² cannot be; taken as B instead (U = B / 8π²)",
            InputWarning,
            stacklevel=2,
        )
        atoms = [a._replace(displacement=a.displacement / (8 * np.pi**2)) for a in atoms]
    if number == 1 and len(atoms) > 1:
        warnings.warn(
            f"{path.name}: the file declares no symmetry (P 1): orientations that the crystal's "
            "symmetry makes equal will count as different; take a CIF with its space group",
            InputWarning,
            stacklevel=2,
        )
    return _crystal(path.stem, cell, atoms, number)


def _symbol(text: str, path: Path) -> str:
    """Element symbol without charge or isotope: "Fe2+" is Fe, "D" is H."""
    found = re.match(r"[A-Za-z]{1,2}", text)
    symbol = found.group().capitalize() if found else ""
    symbol = {"D": "H", "T": "H"}.get(symbol, symbol)
    if not symbol:
        raise InputError(
            f"{text!r} is no element",
            "write element symbols in _atom_site_type_symbol",
            source=path,
        )
    return symbol


def _crystal(
    name: str, lattice: NDArray[np.float64], atoms: Sequence[Site], space_group: int
) -> Crystal:
    """Wrap positions into the cell and merge copies that rounding has torn apart."""
    kept: list[Site] = []
    for atom in atoms:
        # 0.9999999 is 0: else equal sites land on both ends of the cell.
        position = np.round(np.asarray(atom.position, dtype=float) % 1.0, 9) % 1.0
        same = any(
            k.element == atom.element
            and k.occupancy == atom.occupancy
            and _distance(position - k.position, lattice) < _SAME_SITE
            for k in kept
        )
        if not same:
            kept.append(atom._replace(position=tuple(position)))
    return Crystal(
        name=name,
        lattice=lattice,
        positions=np.array([a.position for a in kept], dtype=np.float64),
        elements=tuple(a.element for a in kept),
        occupancies=np.array([a.occupancy for a in kept], dtype=np.float64),
        displacements=np.array([a.displacement for a in kept], dtype=np.float64),
        space_group=space_group,
    )


def _distance(difference: ArrayLike, lattice: NDArray[np.float64]) -> Any:
    """Length in Å of the shortest periodic copy of a fractional difference."""
    difference = np.asarray(difference, dtype=float)
    return np.linalg.norm((difference - np.round(difference)) @ lattice, axis=-1)
