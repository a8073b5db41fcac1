"""Phase and orientation of every pixel from its diffraction spots."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phaseloom.orientation.crystal_map import to_crystal_map

__all__ = ["to_crystal_map"]

_HOMES = {"to_crystal_map": "crystal_map"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"phaseloom.orientation.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'phaseloom.orientation' has no attribute {name!r}")
