"""Phase and orientation of every position of a scan from its diffraction spots (ACOM).

- ``indexing``: the chain :func:`index`, from peaks (or a scan) and crystals to maps
- ``assembly``: the maps of the group ``/orientation`` from the solutions
- ``crystal_map``: :func:`to_crystal_map`, for orix and other programs
- ``certainty``: probabilities, reliabilities, pseudo-symmetry, evidence of neighbours
- ``refinement``: :func:`solve`, the likeliest orientations; second crystals
- ``matching``: :func:`make_library`, :func:`match`, orientations from templates
- ``options``, ``quaternions``: options of the matching; quaternion algebra
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from phaseloom.lazy import lazy_names

if TYPE_CHECKING:
    from phaseloom.orientation.crystal_map import to_crystal_map
    from phaseloom.orientation.indexing import index
    from phaseloom.orientation.matching.library import Library, make_library
    from phaseloom.orientation.matching.matching import match
    from phaseloom.orientation.refinement.solving import solve

__all__ = ["Library", "index", "make_library", "match", "solve", "to_crystal_map"]

_HOMES = {
    "Library": "matching.library",
    "index": "indexing",
    "make_library": "matching.library",
    "match": "matching.matching",
    "solve": "refinement.solving",
    "to_crystal_map": "crystal_map",
}

__getattr__ = lazy_names(__name__, _HOMES)
