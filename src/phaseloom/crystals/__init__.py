"""Crystal structures, and what they diffract: structure factors, kinematic spots, powder rings.

- ``symmetry``: operations of space groups, their point group and type
- ``structure``: the unit cell with all its atoms, its symmetry
- ``cif``: crystals from CIF files, from the parts that follow
- ``cif_text``: any encoding, blocks of tags, numbers
- ``settings``: space group, axes and origin by operations, Hall symbol, name, number
- ``cell``: cell parameters, those left out by the crystal system
- ``cif_atoms``: places, occupancies and displacements of the atoms
- ``elements``: elements of types and labels
- ``symmetrise``: symmetry that an export lost, from the atoms
- ``checks``: atoms listed twice, distances, the chemical formula
- ``description``: what ``phaseloom info`` shows of a CIF file
- ``builtin``: gold, silver, LiFePO4 and FePO4, as published
- ``named``: a crystal by what the user calls it, a CIF file or a built-in one
- ``records``: crystals as JSON, for the attributes of results
- ``scattering``: electron wavelength, form factors, structure factors, powder rings
- ``kinematic``: spot patterns of single crystals, with precession
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from phaseloom.lazy import lazy_names

if TYPE_CHECKING:
    from phaseloom.crystals.builtin import (
        builtin_names,
        gold,
        iron_phosphate,
        lithium_iron_phosphate,
        silver,
    )
    from phaseloom.crystals.cif import read_crystal
    from phaseloom.crystals.kinematic import Spots, kinematic_spots
    from phaseloom.crystals.named import named_crystal
    from phaseloom.crystals.records import crystals_from_json, to_json
    from phaseloom.crystals.scattering import powder_rings, reflections, wavelength
    from phaseloom.crystals.structure import Crystal

__all__ = [
    "Crystal",
    "Spots",
    "builtin_names",
    "crystals_from_json",
    "gold",
    "iron_phosphate",
    "kinematic_spots",
    "lithium_iron_phosphate",
    "named_crystal",
    "powder_rings",
    "read_crystal",
    "reflections",
    "silver",
    "to_json",
    "wavelength",
]

_HOMES = {
    "Crystal": "structure",
    "Spots": "kinematic",
    "builtin_names": "builtin",
    "crystals_from_json": "records",
    "gold": "builtin",
    "iron_phosphate": "builtin",
    "kinematic_spots": "kinematic",
    "lithium_iron_phosphate": "builtin",
    "named_crystal": "named",
    "powder_rings": "scattering",
    "read_crystal": "cif",
    "reflections": "scattering",
    "silver": "builtin",
    "to_json": "records",
    "wavelength": "scattering",
}

__getattr__ = lazy_names(__name__, _HOMES)
