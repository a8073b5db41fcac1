"""The grains of pure phases behind a phase map, their boundary, and its segments.

A region counts as a grain where a disc of five pixels fits into it; what is thinner (a rim, a
layer, single pixels) goes to the grains beside it. Between two grains the boundary is drawn where
the fit of their two spectra says half and half, to a quarter of a pixel: whether a pixel's larger
share is above four fifths depends on where in it the boundary runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from phaseloom.maps.boundaries import boundary_pixels, distance_to_boundary

Array = NDArray[np.float64]

_REACH = 5.0
"""A phase counts as a neighbour up to this distance from the heart of its grain, in px."""
_PARTS = 4
"""Parts of a pixel's side in which boundaries are drawn."""
_SMOOTH = 1.0
"""Width in px over which a boundary's place is smoothed."""
_SEGMENT = 12
"""Length of a segment of the boundary in px."""


@dataclass(frozen=True)
class Grains:
    """Grains of pure phases.

    Attributes
    ----------
    heart : (y, x)
        Phase where a disc of five pixels of it fits; −1 elsewhere.
    nearby : (phase, y, x)
        Phases whose grains a pixel lies in or beside.
    share : (phase, y, x)
        Part of the pixel's area in grains of the phase; 0 outside the mask.
    phase : (y, x)
        The phase of the largest share, −1 outside.
    spectra : (phase, energy)
        Mean optical density of each phase at thickness 1, from its hearts; NaN where it has none.
    thickness, offset : (y, x)
        Optical density = thickness · spectrum + offset; 0 outside.
    """

    heart: NDArray[np.intp]
    nearby: NDArray[np.bool_]
    share: Array
    phase: NDArray[np.intp]
    spectra: Array
    thickness: Array
    offset: Array


def find_grains(
    phase: NDArray[np.integer], density: Array, references: Array, mask: NDArray[np.bool_]
) -> Grains | None:
    """Grains of pure phases.

    Parameters
    ----------
    phase
        (y, x) labels; −1 outside, −2 unknown.
    density
        (energy, y, x) optical density, finite.
    references
        (phase, energy) on the same energies.
    mask
        (y, x), true on the particles.

    Returns
    -------
    Grains or None
        None without two phases that have a grain.
    """
    n_phases = len(references)
    heart = np.full(mask.shape, -1, dtype=np.intp)
    for p in range(n_phases):
        heart[ndimage.binary_opening((phase == p) & mask, _disc())] = p
    present = [p for p in range(n_phases) if (heart == p).any()]
    if len(present) < 2:
        return None
    distance = np.full((n_phases, *mask.shape), np.inf)
    for p in present:
        distance[p] = ndimage.distance_transform_edt(heart != p)
    spectra = mean_spectra(density, references, heart)
    order = np.argsort(distance, axis=0, kind="stable")[:2]
    first, second = order
    alone = np.take_along_axis(distance, second[None], 0)[0] > _REACH
    field = np.zeros((n_phases, *mask.shape))
    thickness, offset = np.zeros(mask.shape), np.zeros(mask.shape)
    mean = density.mean(axis=0)
    for p in present:
        for q in present:
            where = mask & (first == p) & ((second == q) & ~alone if q != p else alone)
            if not where.any():
                continue
            a, b = _two_phases(density[:, where], spectra[p], None if q == p else spectra[q])
            total = np.maximum(a + b, 1e-9)
            part = a / total
            if q != p:
                # In a layer of a third phase the fit of these two says nothing: its middle does.
                apart = distance[q][where] / (distance[p][where] + distance[q][where])
                third = (phase[where] != p) & (phase[where] != q)
                part = np.where(third, apart, part)
            field[p, where] += part
            field[q, where] += 1 - part
            thickness[where] = a + b
            offset[where] = mean[where] - a * spectra[p].mean() - b * spectra[q].mean()
    share = _shares(field, mask)
    largest = np.where(mask, share.argmax(axis=0), -1)
    return Grains(heart, distance <= _REACH, share, largest, spectra, thickness, offset)


def distance_in_pixels(phase: NDArray[np.intp]) -> Array:
    """Distance from the phase boundary, rounded up: 1 for the pixels at it; NaN outside.

    All NaN where there is no boundary.
    """
    return np.ceil(distance_to_boundary(phase, pixel_size=1.0).astype(np.float64)) + 1.0


def segments(phase: NDArray[np.intp]) -> NDArray[np.intp]:
    """Number (y, x) of the segment of the phase boundary that each pixel is nearest to.

    Segments are the parts of the boundary in squares of twelve pixels: neighbouring pixels share
    their blur, their grain and their drift, pieces of boundary that far apart do not.
    """
    boundary = boundary_pixels(phase)
    y, x = ndimage.distance_transform_edt(~boundary, return_distances=False, return_indices=True)
    across = -(-phase.shape[1] // _SEGMENT)
    _, number = np.unique((y // _SEGMENT) * across + x // _SEGMENT, return_inverse=True)
    return np.asarray(number, dtype=np.intp).reshape(phase.shape)


def _disc() -> NDArray[np.bool_]:
    y, x = np.mgrid[-2:3, -2:3]
    return np.asarray(y**2 + x**2 <= 5)


def mean_spectra(density: Array, references: Array, heart: NDArray[np.intp]) -> Array:
    """Mean spectrum (phase, energy) at thickness 1 in the hearts (y, x) of each phase."""
    spectra = np.full(references.shape, np.nan)
    for p, reference in enumerate(references):
        inside = density[:, heart == p]
        if inside.size:
            centred = reference - reference.mean()
            thickness = centred @ inside / (centred @ centred)
            spectra[p] = inside.sum(axis=1) / max(float(thickness.sum()), 1e-9)
    return spectra


def _two_phases(density: Array, first: Array, second: Array | None) -> tuple[Array, Array]:
    """Amounts ≥ 0 (pixel,) of two phases, or of one, in spectra (energy, pixel); offset free."""
    centred = density - density.mean(axis=0)
    one = first - first.mean()
    alone = np.maximum(one @ centred / (one @ one), 0.0)
    if second is None:
        return alone, np.zeros_like(alone)
    two = second - second.mean()
    a, b = np.linalg.lstsq(np.stack([one, two], axis=1), centred, rcond=None)[0]
    other = np.maximum(two @ centred / (two @ two), 0.0)
    return (
        np.where(b < 0, alone, np.where(a < 0, 0.0, a)),
        np.where(a < 0, other, np.where(b < 0, 0.0, b)),
    )


def _shares(field: Array, mask: NDArray[np.bool_]) -> Array:
    """Part of each pixel's area in which each phase leads, between the pixels' centres linear."""
    # The rim has no neighbour outside: the nearest pixel inside stands in for it.
    y, x = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)
    # Noise of single pixels would fray the boundary and so widen what the optics mix.
    filled = ndimage.gaussian_filter(field[:, y, x], (0.0, _SMOOTH, _SMOOTH))
    place = [(np.arange(n * _PARTS) + 0.5) / _PARTS - 0.5 for n in mask.shape]
    grid = np.stack(np.meshgrid(*place, indexing="ij"))
    lead, largest = None, None
    for p, layer in enumerate(filled):
        fine = ndimage.map_coordinates(layer, grid, order=1, mode="nearest")
        if lead is None or largest is None:
            lead, largest = np.zeros(fine.shape, dtype=np.intp), fine
        else:
            lead[fine > largest] = p
            largest = np.maximum(largest, fine)
    rows, columns = mask.shape
    parts = np.asarray(lead).reshape(rows, _PARTS, columns, _PARTS)
    share = np.stack([(parts == p).mean(axis=(1, 3)) for p in range(len(field))])
    return np.where(mask, share, 0.0)
