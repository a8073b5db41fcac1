"""Grain boundaries: pixels, lengths, misorientation; cubic twins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from phaseloom.errors import InputError
from phaseloom.maps.boundaries import contact_lengths
from phaseloom.maps.grains import GrainOrientations, checked_map
from phaseloom.maps.misorientation import (
    Quaternions,
    angles,
    as_quaternions,
    between,
    common_operations,
    conjugate,
    joint_operations,
    multiply,
    reduced_axes,
    smallest,
)

TWIN_TOLERANCE = 15.0 / np.sqrt(3.0)
"""Degrees, largest deviation of a twin (D. G. Brandon, Acta Metallurgica 14, 1479 (1966))."""

_TWIN = np.array([np.cos(np.pi / 6), *np.full(3, np.sin(np.pi / 6) / np.sqrt(3.0))])
"""60° about [111]."""


def boundary_segments(
    grain: ArrayLike,
    phase: ArrayLike,
    rotation: ArrayLike,
    symmetries: Sequence[ArrayLike],
    *,
    y: ArrayLike,
    x: ArrayLike,
) -> pd.DataFrame:
    """Table of the pixel edges between grains, with the misorientation of the two pixels.

    Parameters
    ----------
    grain
        (y, x) numbers from :func:`phaseloom.maps.grains.find_grains`.
    phase, rotation, symmetries
        The map, as there.
    y, x
        Pixel coordinates.

    Returns
    -------
    pandas.DataFrame
        A row per pair of neighbours of different grains: ``y``, ``x`` of the middle between them;
        ``along_x``, whether the edge between them runs along x; ``first`` < ``second`` grain,
        ``first_phase``, ``second_phase``; ``angle`` (degrees) and ``axis_1``, ``axis_2``,
        ``axis_3`` (Cartesian frame of the first crystal, of the equivalent ones as
        :func:`~phaseloom.maps.misorientation.misorientation`; between two phases of those that
        the rotations common to both make equivalent); ``twin_deviation`` (degrees from 60° about
        ⟨111⟩; NaN but within a cubic phase) and ``twin``, whether it is within Brandon's 8.66°.

    Raises
    ------
    InputError
        The arrays are not of one map.
    """
    labels, rotations, operations = checked_map(phase, rotation, symmetries)
    grains = np.asarray(grain)
    rows, columns = np.asarray(y, dtype=float), np.asarray(x, dtype=float)
    if grains.shape != labels.shape or labels.shape != (rows.size, columns.size):
        raise InputError(
            f"grains {grains.shape}, phases {labels.shape} and coordinates "
            f"{(rows.size, columns.size)} are not of one map"
        )
    flat = grains.ravel()
    place = np.arange(labels.size).reshape(labels.shape)
    firsts, seconds, flat_edges = [], [], []
    for pixel, neighbour, along_x in (
        (place[:-1, :], place[1:, :], True),
        (place[:, :-1], place[:, 1:], False),
    ):
        one, other = flat[pixel], flat[neighbour]
        differing = (one != other) & (one >= 0) & (other >= 0)
        firsts.append(np.where(one < other, pixel, neighbour)[differing])
        seconds.append(np.where(one < other, neighbour, pixel)[differing])
        flat_edges.append(np.full(int(differing.sum()), along_x))
    first, second = np.concatenate(firsts), np.concatenate(seconds)
    middle = [
        (axis[one] + axis[other]) / 2
        for axis, one, other in zip(
            (rows, columns),
            np.divmod(first, columns.size),
            np.divmod(second, columns.size),
            strict=True,
        )
    ]
    of_phase = labels.ravel()
    quaternions = rotations.reshape(-1, 4)
    table = {
        "y": middle[0],
        "x": middle[1],
        "along_x": np.concatenate(flat_edges),
        "first": flat[first].astype(np.int64),
        "second": flat[second].astype(np.int64),
        "first_phase": of_phase[first],
        "second_phase": of_phase[second],
    }
    relations = _relations(
        quaternions[first], quaternions[second], of_phase[first], of_phase[second], operations
    )
    return pd.DataFrame(table | relations)


def boundary_table(
    grain: ArrayLike,
    segments: pd.DataFrame,
    orientations: GrainOrientations,
    symmetries: Sequence[ArrayLike],
    *,
    pixel_size: float | tuple[float, float],
) -> pd.DataFrame:
    """Table of the grain boundaries: a row per pair of grains that share one.

    Parameters
    ----------
    grain
        (y, x) numbers of the grains.
    segments
        From :func:`boundary_segments`.
    orientations
        From :func:`phaseloom.maps.grains.grain_orientations`.
    symmetries
        Proper rotations by phase.
    pixel_size
        Pixel size, or (y, x) where they differ.

    Returns
    -------
    pandas.DataFrame
        A row per pair: ``first`` < ``second`` grain, ``first_phase``, ``second_phase``; ``length``
        (:func:`phaseloom.maps.boundaries.contact_lengths`); ``segments``, the number of pixel
        edges; ``mean_angle`` over them; ``angle``, ``axis_1`` … and ``twin_deviation``, ``twin`` as
        in the segments, but between the mean orientations of the grains.
    """
    operations = [as_quaternions(s) for s in symmetries]
    pairs = segments.groupby(["first", "second"], sort=True, as_index=False).agg(
        first_phase=("first_phase", "first"),
        second_phase=("second_phase", "first"),
        segments=("angle", "size"),
        mean_angle=("angle", "mean"),
    )
    # Grains that meet in a corner only share no edge, and get no row.
    pairs = pairs.merge(
        contact_lengths(grain, pixel_size=pixel_size), on=["first", "second"], how="left"
    )
    ends = [pairs[name].to_numpy() for name in ("first", "second")]
    phases = [pairs[name].to_numpy() for name in ("first_phase", "second_phase")]
    means = [orientations.mean[end] for end in ends]
    relations = _relations(means[0], means[1], phases[0], phases[1], operations)
    columns = ["first", "second", "first_phase", "second_phase", "length", "segments", "mean_angle"]
    return pairs[columns].assign(**relations)


def twin_deviation(first: ArrayLike, second: ArrayLike, symmetry: ArrayLike) -> NDArray[np.float64]:
    """Deviation of two cubic crystals from the twin relation, 60° about ⟨111⟩ (Σ3).

    Parameters
    ----------
    first, second
        (…, 4) orientations.
    symmetry
        Proper rotations of the cubic Laue class, (n, 3, 3) or (n, 4).

    Returns
    -------
    ndarray of float64
        (…) in degrees.
    """
    # The angle of S₂ D S₁⁻¹ T⁻¹ is that of (S₁⁻¹ T⁻¹ S₂) D.
    twinned = multiply(conjugate(_TWIN)[None], as_quaternions(symmetry))
    operations = joint_operations(symmetry, twinned)
    return angles(smallest(between(first, second), operations))


def _relations(
    first: Quaternions,
    second: Quaternions,
    first_phase: NDArray[np.integer],
    second_phase: NDArray[np.integer],
    operations: list[Quaternions],
) -> dict[str, NDArray[np.generic]]:
    """Angles, axes and twins between crystals (n, 4) of phases (n,)."""
    angle, deviation = np.full(len(first), np.nan), np.full(len(first), np.nan)
    axis = np.full((len(first), 3), np.nan)
    for one, other in np.unique(np.stack([first_phase, second_phase], axis=1), axis=0):
        pairs = np.flatnonzero((first_phase == one) & (second_phase == other))
        symmetry, other_symmetry = operations[one], operations[other]
        joint = symmetry if one == other else joint_operations(symmetry, other_symmetry)
        rotation = smallest(between(first[pairs], second[pairs]), joint)
        angle[pairs] = angles(rotation)
        axis[pairs] = reduced_axes(rotation, common_operations(symmetry, other_symmetry))
        if one == other and _is_cubic(symmetry):
            deviation[pairs] = twin_deviation(first[pairs], second[pairs], symmetry)
    named = {f"axis_{number}": part for number, part in enumerate(axis.T, start=1)}
    return {
        "angle": angle,
        **named,
        "twin_deviation": deviation,
        "twin": deviation <= TWIN_TOLERANCE,
    }


def _is_cubic(operations: Quaternions) -> bool:
    """Whether the operations have three-fold axes in four directions."""
    return int((np.abs(operations[:, 0] - 0.5) < 1e-3).sum()) == 8
