"""Phase maps from stacks of X-ray images.

``map_phases(stacks, references)`` strings the room's verbs together: preparation (drift, I0,
optical density, mask), energy shift, Pearson correlation, likelihood, latent space,
neighbourhood. Each is also usable alone, from its module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from phaseloom.lazy import lazy_names

if TYPE_CHECKING:
    from phaseloom.stxm.phasemap import map_phases
    from phaseloom.stxm.preparation.preparation import mean_spectrum, prepare

__all__ = ["map_phases", "mean_spectrum", "prepare"]

_HOMES = {
    "map_phases": "phasemap",
    "mean_spectrum": "preparation.preparation",
    "prepare": "preparation.preparation",
}

__getattr__ = lazy_names(__name__, _HOMES)
