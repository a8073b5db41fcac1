"""Reading the crystals of a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from phaseloom.workflow.orientation.recipe import CrystalFile

if TYPE_CHECKING:
    from phaseloom.crystals import Crystal


def crystals_of(entries: Sequence[CrystalFile]) -> list[Crystal]:
    """Read crystals, under their names in maps.

    Raises
    ------
    InputError
        A file cannot be read, or has no atoms.
    """
    from phaseloom.crystals import named_crystal

    return [replace(named_crystal(str(entry.file)), name=entry.label) for entry in entries]
