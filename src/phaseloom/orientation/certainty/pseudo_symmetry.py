"""Pseudo-symmetry: misorientations by which the first two solutions of a map often differ."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.crystals import Crystal
from phaseloom.orientation.matching.library import Library
from phaseloom.orientation.refinement.solutions import Solutions

_RIVAL = 0.05
"""Second solutions with at least so much probability are counted."""

_MOST = 12
"""Kinds that are listed."""

_ALIKE = 1.0
"""Degrees: misorientations that differ by less from the middle of a kind are of it."""

_LARGEST_INDEX = 4

_AT_ONCE = 2048
"""Pairs worked on together."""


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
    kinds: list[dict[str, Any]] = []
    if solutions.crystal.shape[1] < 2:
        return kinds
    rival = (posterior[:, 1] >= _RIVAL) & (solutions.crystal[:, 0] == solutions.crystal[:, 1])
    for c, crystal in enumerate(library.crystals):
        chosen = np.flatnonzero(rival & (solutions.crystal[:, 0] == c))
        if chosen.size == 0:
            continue
        uvw, images = _directions(crystal)
        named = [
            _named(solutions.rotation[chosen[i : i + _AT_ONCE], :2], crystal, uvw, images)
            for i in range(0, chosen.size, _AT_ONCE)
        ]
        angle, which = (np.concatenate(column) for column in zip(*named, strict=True))
        for number in np.unique(which):
            axis = [int(v) for v in uvw[number]]
            kinds += [
                {"crystal": crystal.name, "angle": round(middle, 1), "axis": axis, "count": n}
                for middle, n in _heaps(angle[which == number])
            ]
    kinds.sort(key=lambda kind: -kind["count"])
    return kinds[:_MOST]


def _directions(crystal: Crystal) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Directions [uvw], simple ones first and one of each set that symmetry makes equal.

    Returns (n, 3) and the unit vectors of all of each set, (n, operations, 3).
    """
    steps = np.arange(-_LARGEST_INDEX, _LARGEST_INDEX + 1)
    uvw = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    uvw = uvw[np.gcd.reduce(uvw, axis=1) == 1]
    uvw = uvw[np.lexsort((*(-uvw.T[::-1]), (uvw**2).sum(axis=1)))]
    directions = uvw @ crystal.lattice
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    images = np.einsum("sij,nj->nsi", crystal.laue_rotations, directions)
    # The opposite of an axis is the same axis.
    equal = np.abs(np.einsum("nsi,mi->nsm", images, directions)).max(axis=1) > 1.0 - 1e-6
    first = equal.argmax(axis=1) == np.arange(len(uvw))
    return uvw[first], images[first]


def _named(
    pairs: NDArray[np.float64],
    crystal: Crystal,
    uvw: NDArray[np.int64],
    images: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Smallest angles (degrees) between pairs (n, 2, 4) and the numbers of their axes.

    Where several axes have this angle, the one that is nearest to a simple direction is taken.
    """
    from phaseloom.maps.misorientation import angles, as_quaternions, between, multiply

    operations = as_quaternions(crystal.laue_rotations)
    turns = multiply(operations, between(pairs[:, 0], pairs[:, 1])[:, None])
    angle = angles(turns)
    least = angle.min(axis=1)
    row, column = np.nonzero(angle <= least[:, None] + 0.5 * _ALIKE)
    axes = turns[row, column, 1:]
    axes = axes / np.maximum(np.linalg.norm(axes, axis=1, keepdims=True), 1e-12)
    cosine = np.abs(axes @ images.reshape(-1, 3).T).reshape(len(axes), *images.shape[:2])
    closeness = cosine.max(axis=2) - 1e-4 * (uvw**2).sum(axis=1)
    # Of every pair the last row, by rising closeness.
    order = np.lexsort((closeness.max(axis=1), row))
    last = order[np.append(row[order][1:] != row[order][:-1], True)]
    return least, closeness[last].argmax(axis=1)


def _heaps(angle: NDArray[np.float64]) -> list[tuple[float, int]]:
    """Middles and sizes of the heaps in a list of angles, largest first."""
    heaps: list[tuple[float, int]] = []
    rest = np.sort(angle)
    while rest.size and len(heaps) < _MOST:
        first = np.searchsorted(rest, rest - _ALIKE)
        last = np.searchsorted(rest, rest + _ALIKE, side="right")
        most = (last - first).argmax()
        own = slice(first[most], last[most])
        heaps.append((float(np.median(rest[own])), int(last[most] - first[most])))
        rest = np.delete(rest, own)
    return heaps
