"""Reading of CIF files: cell, symmetry, and all atoms of the cell from those the file lists."""

from __future__ import annotations

import io
import re
import warnings
from contextlib import redirect_stdout
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from phaseloom.crystals.scattering import known_elements
from phaseloom.crystals.structure import (
    Crystal,
    Operation,
    Site,
    aligned_lattice,
    expanded,
    group_operations,
)
from phaseloom.errors import InputError, InputWarning

_LARGEST_DISPLACEMENT = 0.5
"""Å²: no atom of a solid moves so far; a larger U is a B written in the wrong place."""

_FULL = 5e-3
"""Occupancies are rounded by so much."""

_NAMED = 4
"""Partly occupied sites that a warning names."""


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
        The file is missing, is not a CIF, has no cell or no atoms, or an atom's share of its site
        is not from 0 to 1.

    Warns
    -----
    InputWarning
        The file declares no symmetry (P 1), displacements that no atom can have, or sites that
        are partly occupied: their atoms count by their occupancy, as if evenly spread.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("no such file", "give the path of a CIF file", source=path)
    parser = _parsed(path)
    unknown = [
        axis
        for axis in "xyz"
        if {"?", "."} & set(np.ravel(_atoms_block(parser)[f"_atom_site_fract_{axis}"]).tolist())
    ]
    if unknown:
        raise InputError(
            f"an atom has no {unknown[0]} coordinate", "give it or take the atom out", source=path
        )
    sites = [
        Site(_symbol(str(a.element), path), tuple(a.xyz), float(a.occupancy), float(a.Uisoequiv))
        for a in parser.asymmetric_unit
    ]
    largest = max(site.displacement for site in sites)
    if largest > _LARGEST_DISPLACEMENT:
        warnings.warn(
            f"{path.name}: U_iso = {largest:g} Å² cannot be; taken as B instead (U = B / 8π²)",
            InputWarning,
            stacklevel=2,
        )
        sites = [s._replace(displacement=s.displacement / (8 * np.pi**2)) for s in sites]
    _check_occupancies(sites, path)
    operations = _listed_operations(parser, path) or group_operations(parser.spacegroup)
    if len(operations) == 1 and len(sites) > 1:
        warnings.warn(
            f"{path.name}: the file declares no symmetry (P 1): orientations that the crystal's "
            "symmetry makes equal will count as different; take a CIF with its space group",
            InputWarning,
            stacklevel=2,
        )
    # diffpy numbers further settings of a group by adding thousands; no number, no known group.
    number = int(parser.spacegroup.number or 1) % 1000
    lattice = aligned_lattice(*(float(v) for v in parser.stru.lattice.abcABG()))
    return expanded(path.stem, lattice, sites, number, operations, source=path)


def _parsed(path: Path) -> Any:
    """Diffpy's parser after it has read a file."""
    from diffpy.structure import StructureFormatError
    from diffpy.structure.parsers.p_cif import P_cif

    parser = P_cif()
    # diffpy lets what it stumbles over through as it is.
    stumbles = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError)
    try:
        # The parser under diffpy prints what it stumbles over; the error says it.
        with redirect_stdout(io.StringIO()):
            structure = parser.parseFile(str(path))
    except (StructureFormatError, *stumbles) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise InputError(
            f"cannot be read as a CIF file ({reason})",
            "it must hold six cell parameters, the name of a space group or its list of "
            "_symmetry_equiv_pos_as_xyz, and the atoms",
            source=path,
        ) from error
    if structure is None or not parser.asymmetric_unit:
        raise InputError(
            "the CIF file has no atoms",
            "intensities need them: take a CIF with an _atom_site_ loop",
            source=path,
        )
    return parser


def _atoms_block(parser: Any) -> Any:
    """The block of the file that holds the atoms."""
    blocks = [parser.ciffile[key] for key in list(parser.ciffile.keys())]
    return next(block for block in blocks if "_atom_site_fract_x" in block)


def _listed_operations(parser: Any, path: Path) -> list[Operation]:
    """The symmetry operations that the file itself lists, if it does.

    They come before the group's name: the origin or the axes may differ from the standard ones
    (Fd-3m with its origin at the centre of inversion).
    """
    from diffpy.structure.parsers.p_cif import getSymOp

    block = _atoms_block(parser)
    for name in ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz"):
        if name not in block:
            continue
        listed = block[name]
        symmetries = [getSymOp(text) for text in ([listed] if isinstance(listed, str) else listed)]
        operations = [(np.asarray(o.R, float), np.asarray(o.t, float)) for o in symmetries]
        if any(abs(abs(np.linalg.det(turn)) - 1) > 1e-6 for turn, _ in operations):
            fault = f"{name} lists an operation that is no symmetry"
            raise InputError(fault, "correct the list", source=path)
        return operations
    return []


def _check_occupancies(sites: list[Site], path: Path) -> None:
    shares = np.array([site.occupancy for site in sites])
    if not ((shares >= 0) & (shares <= 1 + _FULL)).all() or not shares.any():
        wrong = next((s for s in shares if not 0 < s <= 1 + _FULL), 0.0)
        fault = f"an occupancy of {wrong:g} cannot be"
        raise InputError(fault, "give the part of the cells that have the atom", source=path)
    partly = [f"{s.element} {s.occupancy:.3g}" for s in sites if s.occupancy < 1 - _FULL]
    if partly:
        listed = ", ".join([*partly[:_NAMED], *["…"] * (len(partly) > _NAMED)])
        warnings.warn(
            f"{path.name}: partly occupied sites ({listed}): structure factors are weighted with "
            "the occupancies, as if the atoms were evenly spread",
            InputWarning,
            stacklevel=3,
        )


def _symbol(text: str, path: Path) -> str:
    """Element of a type or label: "Fe2+" is Fe, "OH1" is O, "D" is H."""
    letters = re.sub(r"[^A-Za-z].*", "", text)[:2].capitalize()
    isotopes = {"D": "H", "T": "H"}
    for symbol in (letters, letters[:1]):
        if isotopes.get(symbol, symbol) in known_elements():
            return isotopes.get(symbol, symbol)
    raise InputError(
        f"{text!r} is no element", "write symbols in _atom_site_type_symbol", source=path
    )
