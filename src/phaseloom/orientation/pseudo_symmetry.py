"""Which orientations are mistaken for each other: the frequent pairs of a map, by name."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.orientation.library import Library
from phaseloom.orientation.matching import Solutions

_RIVAL = 0.05
"""Second solutions with at least so much probability are counted."""

_MOST = 12

_ROUNDING = 2.0
"""Degrees: misorientations closer than that are of one kind."""


def pseudo_symmetry(
    solutions: Solutions, posterior: NDArray[np.float64], library: Library
) -> list[dict[str, Any]]:
    """Misorientations between the first two solutions where both are likely.

    Parameters
    ----------
    solutions
        Of every pattern.
    posterior
        Their probabilities.
    library
        The crystals.

    Returns
    -------
    list of dict
        Most frequent first: ``crystal``, ``angle`` in degrees, ``axis`` (three small integers,
        direction [uvw] of the crystal), ``count`` of patterns. Pairs of different crystals are
        not listed.
    """
    from phaseloom.maps.misorientation import misorientation

    lattices = library.lattices
    kinds: list[dict[str, Any]] = []
    if solutions.crystal.shape[1] < 2:
        return kinds
    rival = (posterior[:, 1] >= _RIVAL) & (solutions.crystal[:, 0] == solutions.crystal[:, 1])
    for c, crystal in enumerate(library.crystals):
        chosen = np.flatnonzero(rival & (solutions.crystal[:, 0] == c))
        if chosen.size == 0:
            continue
        turns = lattices.symmetry[lattices.symmetry_offset[c] : lattices.symmetry_offset[c + 1]]
        angle, axis = misorientation(
            solutions.rotation[chosen, 0], solutions.rotation[chosen, 1], turns
        )
        indices = _indices(axis, crystal.lattice, crystal.laue_rotations)
        rounded = np.rint(angle / _ROUNDING).astype(int)
        table, inverse, counts = np.unique(
            np.column_stack([rounded, indices]), axis=0, return_inverse=True, return_counts=True
        )
        kinds += [
            {
                "crystal": crystal.name,
                "angle": round(float(np.median(angle[inverse.ravel() == i])), 1),
                "axis": [int(v) for v in table[i, 1:]],
                "count": int(counts[i]),
            }
            for i in range(len(table))
        ]
    kinds.sort(key=lambda kind: -kind["count"])
    return kinds[:_MOST]


def _indices(
    axis: NDArray[np.float64], lattice: NDArray[np.float64], turns: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Nearest [uvw] with indices up to 4 of every axis, one of each set of equal ones."""
    steps = np.arange(-4, 5)
    uvw = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    uvw = uvw[np.gcd.reduce(uvw, axis=1) == 1]
    # Simple indices come first and win where two directions are about as near.
    uvw = uvw[np.lexsort((*(-uvw.T), (uvw**2).sum(axis=1)))]
    directions = uvw @ lattice
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    copies = np.einsum("sij,nj->sni", turns, axis)
    copies = np.concatenate([copies, -copies])
    cosines = copies @ directions.T
    penalty = 1e-4 * (uvw**2).sum(axis=1)
    best = (cosines.max(axis=0) - penalty).argmax(axis=1)
    # Of all [uvw] that symmetry makes equal, the first in the list.
    equal = np.concatenate([turns, -turns])
    images = np.einsum("sij,nj->nsi", equal, directions[best]) @ directions.T
    nearest = (images.max(axis=1) > 1.0 - 1e-6).argmax(axis=1)
    chosen: NDArray[np.int64] = uvw[nearest]
    return chosen
