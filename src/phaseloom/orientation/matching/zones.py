"""Zone axes: directions of the beam in the crystal, one of each set that symmetry makes equal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phaseloom.crystals import Crystal

_MIDDLE = np.array([0.31, 0.17, 0.93]) / np.linalg.norm([0.31, 0.17, 0.93])
"""The sector round this direction is taken: it lies on no symmetry element of any setting."""


def zone_axes(crystal: Crystal, step: float) -> NDArray[np.float64]:
    """Unit vectors, about a step apart, over the part of the sphere that symmetry leaves.

    The sector holds one of all directions that the Laue class makes equal: those closer to one
    general direction than all their copies (the Dirichlet domain of the group). The sphere is
    covered by rings of equal distance, each with points of that distance.

    Parameters
    ----------
    crystal
        Its Laue class counts.
    step
        In degrees.

    Returns
    -------
    NDArray
        (zones, 3), Cartesian axes of the crystal.
    """
    directions = _sphere(np.radians(step))
    turns = crystal.laue_rotations
    # Planes half way between the general direction and its copies bound the sector.
    across = _MIDDLE - np.einsum("sji,j->si", np.concatenate([turns, -turns]), _MIDDLE)
    across = across[np.linalg.norm(across, axis=1) > 1e-6]
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    # Half a step beyond: at its edge no direction is further than elsewhere from a zone.
    margin = 0.5 * np.radians(step)
    inside: NDArray[np.float64] = directions[(directions @ across.T >= -margin).all(axis=1)]
    return inside


def facing(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotations (n, 4), sample to crystal, that bring the beam along the directions.

    Parameters
    ----------
    directions
        (n, 3) unit vectors.
    """
    # Half way between ẑ and the direction lies the axis of a half turn that swaps them.
    axes = directions + np.array([0.0, 0.0, 1.0])
    length = np.linalg.norm(axes, axis=1, keepdims=True)
    opposite = length[:, 0] < 1e-9
    axes[opposite], length[opposite] = [1.0, 0.0, 0.0], 1.0
    return np.concatenate([np.zeros((len(axes), 1)), axes / length], axis=1)


def _sphere(step: float) -> NDArray[np.float64]:
    rings = int(np.ceil(np.pi / step))
    parts = []
    for i in range(rings + 1):
        tilt = np.pi * i / rings
        n = max(1, round(2 * np.pi * np.sin(tilt) / step))
        turn = 2 * np.pi * (np.arange(n) + 0.5 * (i % 2)) / n
        ring = [np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn), np.full(n, np.cos(tilt))]
        parts.append(np.stack(ring, axis=1))
    return np.concatenate(parts)
