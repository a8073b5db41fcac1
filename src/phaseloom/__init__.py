"""Phase and orientation maps from X-ray spectromicroscopy and 4D-STEM.

Which phase and which orientation is each pixel, and how sure are we?

``phaseloom.read(path)`` takes what an instrument wrote. Then, by method:

- ``stxm.map_phases``: phase maps of X-ray stacks
- ``diffraction.register``, ``diffraction.Peaks``: every spot of a 4D-STEM scan
- ``orientation.index``: phase and orientation of every position, from spots and crystals
- ``components.cluster``: few patterns in place of all of a scan

Its halls, none of which knows one after it (``docs/architecture.md`` has a drawing):

- ``errors``, ``options``: faults of the input in one sentence; options stated once
- ``io``, ``compute``, ``crystals``: files, blocks and checkpoints, crystal structures
- ``latent``, ``maps``, ``simulate``: latent space, analysis of maps, measurements of known truth
- ``stxm``, ``diffraction``, ``orientation``, ``components``: the science
- ``view``, ``workflow``, ``cli``: figures and reports, recipes and runs, command line

Nothing heavy is imported before it is needed: the halls load on first use.
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
