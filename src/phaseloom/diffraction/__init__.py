"""Diffraction patterns of a scan: corrected, centred, calibrated, and every spot registered."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phaseloom.diffraction.table import Peaks

__all__ = ["Peaks"]

_HOMES = {"Peaks": "table"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"phaseloom.diffraction.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'phaseloom.diffraction' has no attribute {name!r}")
