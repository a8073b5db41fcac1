"""Grains of an orientation map: segmentation, mean orientation, internal misorientation.

Maps are (y, x) arrays: ``phase`` the number of the crystal, −1 unindexed; ``rotation`` (y, x, 4)
unit quaternions, scalar first, v_crystal = R v_sample. ``symmetries`` holds, by the number of the
phase, the proper rotations of its Laue class, (n, 3, 3) or (n, 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from phaseloom.errors import InputError
from phaseloom.maps.misorientation import (
    Quaternions,
    angles,
    as_quaternions,
    between,
    misorientation_angles,
    multiply,
    smallest,
)

_ROUNDS = 3
"""Iterations of the mean orientation over the equivalent orientations nearest to it."""

_NEIGHBOURS = ((np.s_[:-1, :], np.s_[1:, :]), (np.s_[:, :-1], np.s_[:, 1:]))
"""Pixels that share an edge: above and below, left and right."""


class GrainOrientations(NamedTuple):
    """Mean orientations of grains, and deviations of their pixels from them."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float32]


def find_grains(
    phase: ArrayLike,
    rotation: ArrayLike,
    symmetries: Sequence[ArrayLike],
    *,
    threshold: float = 5.0,
) -> NDArray[np.int32]:
    """Number the grains of a map, the largest first.

    Pixels of one phase that share an edge belong together where their misorientation is at most
    the threshold. Within a bent grain the ends may differ by more.

    Parameters
    ----------
    phase, rotation, symmetries
        The map.
    threshold
        Largest misorientation between neighbours, in degrees.

    Returns
    -------
    ndarray of int32
        (y, x): 0, 1, 2 … by falling number of pixels (equal ones in reading order), −1 unindexed.

    Raises
    ------
    InputError
        The arrays are not of one map, an indexed pixel has no rotation, or a phase no symmetry.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    labels, rotations, operations = checked_map(phase, rotation, symmetries)
    index = np.arange(labels.size).reshape(labels.shape)
    firsts, seconds = [], []
    neighbour_angles = _neighbour_angles(labels, rotations, operations)
    for (pixel, neighbour), angle in zip(_NEIGHBOURS, neighbour_angles, strict=True):
        together = angle <= threshold
        firsts.append(index[pixel][together])
        seconds.append(index[neighbour][together])
    first, second = np.concatenate(firsts), np.concatenate(seconds)
    graph = coo_array(
        (np.ones(first.size, dtype=np.int8), (first, second)), shape=(labels.size, labels.size)
    )
    _, component = connected_components(graph, directed=False)
    inside = (labels >= 0).ravel()
    _, first_pixel, component_index, pixels = np.unique(
        component[inside], return_index=True, return_inverse=True, return_counts=True
    )
    number = np.empty(pixels.size, dtype=np.int32)
    number[np.lexsort((first_pixel, -pixels))] = np.arange(pixels.size, dtype=np.int32)
    grain = np.full(labels.size, -1, dtype=np.int32)
    grain[inside] = number[component_index]
    return grain.reshape(labels.shape)


def grain_orientations(
    grain: ArrayLike, phase: ArrayLike, rotation: ArrayLike, symmetries: Sequence[ArrayLike]
) -> GrainOrientations:
    """Mean orientation of every grain, and the misorientation of every pixel to it.

    Of the symmetrical copies of every orientation the one nearest to the mean is averaged, as
    quaternions of one sign.

    Parameters
    ----------
    grain
        (y, x) numbers from :func:`find_grains`.
    phase, rotation, symmetries
        The map.

    Returns
    -------
    GrainOrientations
        ``mean`` (grain, 4) unit quaternions, scalar not negative. ``deviation`` (y, x) in degrees,
        the grain reference orientation deviation, NaN outside.
    """
    labels, rotations, operations = checked_map(phase, rotation, symmetries)
    grains = _numbers(grain, labels)
    inside = grains >= 0
    number = grains[inside]
    phases, quaternions = labels[inside], rotations[inside]
    count = int(grains.max(initial=-1)) + 1
    members, first_pixel = np.unique(number, return_index=True)
    mean = np.full((count, 4), np.nan)
    mean[members] = quaternions[first_pixel]
    for _ in range(_ROUNDS):
        # q = d·mean; the copy S q nearest to the mean has the smallest S d.
        nearest = multiply(
            _smallest(between(mean[number], quaternions), phases, operations), mean[number]
        )
        total = [np.bincount(number, weights=part, minlength=count) for part in nearest.T]
        mean = np.stack(total, axis=1, dtype=np.float64)
        length = np.linalg.norm(mean, axis=1, keepdims=True)
        mean /= np.where(length > 0, length, np.nan)
    mean[mean[:, 0] < 0] *= -1.0
    deviation = np.full(grains.shape, np.nan, dtype=np.float32)
    deviation[inside] = angles(_smallest(between(mean[number], quaternions), phases, operations))
    return GrainOrientations(mean, deviation)


def grain_table(
    grain: ArrayLike,
    phase: ArrayLike,
    orientations: GrainOrientations,
    *,
    y: ArrayLike,
    x: ArrayLike,
    pixel_area: float,
    minimum_pixels: int = 1,
) -> pd.DataFrame:
    """Table of size, position and orientation of every grain.

    Parameters
    ----------
    grain
        (y, x) numbers from :func:`find_grains`.
    phase
        (y, x) number of the crystal.
    orientations
        From :func:`grain_orientations`.
    y, x
        Pixel coordinates.
    pixel_area
        Area of a pixel, in the square of their unit.
    minimum_pixels
        Grains of fewer pixels are marked as ``small``; they stay grains.

    Returns
    -------
    pandas.DataFrame
        One row per grain, index ``grain``: ``phase``; ``pixels``; ``area``;
        ``equivalent_diameter`` of the circle of the same area; ``y``, ``x`` of the centroid;
        ``rotation_a`` … ``rotation_d``, the mean orientation; ``spread`` (grain orientation
        spread: mean misorientation to the mean, in degrees); ``row_start``, ``row_stop``,
        ``column_start``, ``column_stop`` of the bounding box (half-open); ``edge``, whether it
        touches the edge of the map; ``small``.

    Raises
    ------
    InputError
        The arrays are not of one map.
    """
    labels = np.asarray(phase)
    grains = _numbers(grain, labels)
    rows, columns = np.asarray(y, dtype=float), np.asarray(x, dtype=float)
    if grains.shape != (rows.size, columns.size):
        raise InputError(
            f"grains {grains.shape} and coordinates {(rows.size, columns.size)} are not of one map"
        )
    row, column = np.nonzero(grains >= 0)
    number = grains[row, column]
    count = len(orientations.mean)
    pixels = np.bincount(number, minlength=count)

    def mean(values: NDArray[np.floating]) -> NDArray[np.float64]:
        total = np.bincount(number, weights=values, minlength=count)
        return np.asarray(total / np.where(pixels > 0, pixels, np.nan))

    box = {
        "row_start": np.full(count, grains.shape[0]),
        "row_stop": np.zeros(count, dtype=np.int64),
        "column_start": np.full(count, grains.shape[1]),
        "column_stop": np.zeros(count, dtype=np.int64),
    }
    for name, index in (("row", row), ("column", column)):
        np.minimum.at(box[f"{name}_start"], number, index)
        np.maximum.at(box[f"{name}_stop"], number, index + 1)
    of_phase = np.full(count, -1, dtype=np.int64)
    of_phase[number] = labels[row, column]
    area = pixels * pixel_area
    table: dict[str, NDArray[np.generic]] = {
        "phase": of_phase,
        "pixels": pixels,
        "area": area,
        "equivalent_diameter": 2 * np.sqrt(area / np.pi),
        "y": mean(rows[row]),
        "x": mean(columns[column]),
    }
    for name, part in zip("abcd", orientations.mean.T, strict=True):
        table[f"rotation_{name}"] = part
    table["spread"] = mean(orientations.deviation[row, column])
    table |= box
    table["edge"] = (
        (box["row_start"] == 0)
        | (box["column_start"] == 0)
        | (box["row_stop"] == grains.shape[0])
        | (box["column_stop"] == grains.shape[1])
    )
    table["small"] = pixels < minimum_pixels
    return pd.DataFrame(table, index=pd.RangeIndex(count, name="grain"))


def kernel_average_misorientation(
    phase: ArrayLike,
    rotation: ArrayLike,
    symmetries: Sequence[ArrayLike],
    *,
    threshold: float = 5.0,
) -> NDArray[np.float32]:
    """Mean misorientation of every pixel to its four neighbours.

    Parameters
    ----------
    phase, rotation, symmetries
        The map.
    threshold
        Neighbours further away than this, in degrees, are of another grain and do not count.

    Returns
    -------
    ndarray of float32
        (y, x) in degrees; NaN where there is no neighbour that counts.
    """
    labels, rotations, operations = checked_map(phase, rotation, symmetries)
    total = np.zeros(labels.shape)
    number = np.zeros(labels.shape)
    neighbour_angles = _neighbour_angles(labels, rotations, operations)
    for (pixel, neighbour), angle in zip(_NEIGHBOURS, neighbour_angles, strict=True):
        counted = angle <= threshold
        for side in (pixel, neighbour):
            total[side] += np.where(counted, angle, 0.0)
            number[side] += counted
    return np.asarray(total / np.where(number > 0, number, np.nan), dtype=np.float32)


def checked_map(
    phase: ArrayLike, rotation: ArrayLike, symmetries: Sequence[ArrayLike]
) -> tuple[NDArray[np.intp], Quaternions, list[Quaternions]]:
    """Check that phases, rotations and symmetries are of one map, and return them as arrays.

    Raises
    ------
    InputError
        They are not.
    """
    labels = np.asarray(phase)
    rotations = np.asarray(rotation, dtype=np.float64)
    if labels.ndim != 2 or rotations.shape != (*labels.shape, 4):
        raise InputError(
            f"phases {labels.shape} and rotations {rotations.shape} are not of one map",
            "give (y, x) and (y, x, 4)",
        )
    if labels.max(initial=-1) >= len(symmetries):
        raise InputError(
            f"phase {int(labels.max())} has no symmetry", "give the rotations of all phases"
        )
    if not np.isfinite(rotations[labels >= 0]).all():
        raise InputError("an indexed pixel has no rotation", "set its phase to −1")
    return labels.astype(np.intp), rotations, [as_quaternions(s) for s in symmetries]


def _numbers(grain: ArrayLike, phase: NDArray[np.integer]) -> NDArray[np.intp]:
    grains = np.asarray(grain)
    if grains.shape != phase.shape:
        raise InputError(f"grains {grains.shape} and phases {phase.shape} are not of one map")
    return grains.astype(np.intp)


def _neighbour_angles(
    phase: NDArray[np.intp], rotation: Quaternions, operations: list[Quaternions]
) -> list[NDArray[np.float64]]:
    """Misorientations of pixels that share an edge, NaN between phases."""
    result = []
    for pixel, neighbour in _NEIGHBOURS:
        angle = np.full(phase[pixel].shape, np.nan)
        for number, operation in enumerate(operations):
            both = (phase[pixel] == number) & (phase[neighbour] == number)
            angle[both] = misorientation_angles(
                rotation[pixel][both], rotation[neighbour][both], operation
            )
        result.append(angle)
    return result


def _smallest(
    rotations: Quaternions, phase: NDArray[np.intp], operations: list[Quaternions]
) -> Quaternions:
    """Smallest equivalent rotations (n, 4) of crystals of several phases (n,)."""
    best = np.empty_like(rotations)
    for number, operation in enumerate(operations):
        members = phase == number
        best[members] = smallest(rotations[members], operation)
    return best
