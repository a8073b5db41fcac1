"""Phase maps from stacks of X-ray images.

``map_phases(stacks, references)`` strings the room's verbs together: preparation (drift, I0,
optical density, mask), energy shift, Pearson correlation, likelihood, latent space,
neighbourhood. Each is also usable alone, from its module.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phaseloom.stxm.phasemap import map_phases
    from phaseloom.stxm.preparation.preparation import mean_spectrum, prepare

__all__ = ["map_phases", "mean_spectrum", "prepare"]

_HOMES = {
    "map_phases": "phasemap",
    "mean_spectrum": "preparation.preparation",
    "prepare": "preparation.preparation",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"phaseloom.stxm.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'phaseloom.stxm' has no attribute {name!r}")
