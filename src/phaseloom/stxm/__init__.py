"""Phase maps from stacks of X-ray images.

``map_phases(stacks, references)`` runs all steps; each is also usable alone, from its module.

- phasemap: all steps from stacks and references to phase maps
- quantities: edge jump, edge position, white line, centroid, with standard errors
- assignment: likelihood, latent space, spatial prior, final phases
- boundaries: transition pixels at phase boundaries against what the optics alone mix
- preparation: drift, incident intensity, optical density, particle mask
- references: reference spectra, energy shift, Pearson correlation
- options: options of the steps
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from phaseloom.lazy import lazy_names

if TYPE_CHECKING:
    from phaseloom.stxm.phasemap import map_phases
    from phaseloom.stxm.preparation.preparation import mean_spectrum, prepare
    from phaseloom.stxm.quantities.edge import edge_quantities

__all__ = ["edge_quantities", "map_phases", "mean_spectrum", "prepare"]

_HOMES = {
    "edge_quantities": "quantities.edge",
    "map_phases": "phasemap",
    "mean_spectrum": "preparation.preparation",
    "prepare": "preparation.preparation",
}

__getattr__ = lazy_names(__name__, _HOMES)
