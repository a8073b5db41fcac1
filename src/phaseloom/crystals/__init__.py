"""What a crystal diffracts: structures, structure factors, kinematic spots and rings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phaseloom.lazy import lazy_names

if TYPE_CHECKING:
    from phaseloom.crystals.cif import read_crystal
    from phaseloom.crystals.house import gold, iron_phosphate, lithium_iron_phosphate, silver
    from phaseloom.crystals.kinematic import Spots, kinematic_spots
    from phaseloom.crystals.records import crystals_from_json, to_json
    from phaseloom.crystals.scattering import powder_rings, reflections, wavelength
    from phaseloom.crystals.structure import Crystal

__all__ = [
    "Crystal",
    "Spots",
    "crystals_from_json",
    "gold",
    "iron_phosphate",
    "kinematic_spots",
    "lithium_iron_phosphate",
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
    "crystals_from_json": "records",
    "gold": "house",
    "iron_phosphate": "house",
    "kinematic_spots": "kinematic",
    "lithium_iron_phosphate": "house",
    "powder_rings": "scattering",
    "read_crystal": "cif",
    "reflections": "scattering",
    "silver": "house",
    "to_json": "records",
    "wavelength": "scattering",
}

__getattr__ = lazy_names(__name__, _HOMES)
