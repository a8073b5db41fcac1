"""Phase and orientation maps from X-ray spectromicroscopy and 4D-STEM.

Which phase and which orientation is each pixel, and how sure are we?

Nothing heavy is imported before it is needed: the rooms (``io``, ``stxm``, ``simulate`` …)
load on first use.
"""

from __future__ import annotations

import logging
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from phaseloom.errors import InputError, InputWarning

if TYPE_CHECKING:
    from phaseloom.io import read

__version__ = version("phaseloom")

# Warnings are shown already: without a log file Python would print them once more.
logging.getLogger("phaseloom").addHandler(logging.NullHandler())

__all__ = ["InputError", "InputWarning", "__version__", "read"]

_ROOMS = (
    "components",
    "compute",
    "crystals",
    "diffraction",
    "io",
    "latent",
    "maps",
    "orientation",
    "simulate",
    "stxm",
    "view",
    "workflow",
)


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"phaseloom.{name}")
    if name == "read":
        return import_module("phaseloom.io").read
    raise AttributeError(f"module 'phaseloom' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_ROOMS])
