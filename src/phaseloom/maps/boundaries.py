"""Phase boundaries: boundary pixels, lengths of interfaces, distance to the boundary."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from phaseloom.errors import InputError


def boundary_pixels(phase: ArrayLike) -> NDArray[np.bool_]:
    """Pixels with a neighbour (sharing an edge) of another phase.

    Parameters
    ----------
    phase
        (y, x) phase labels. Outside (−1) and unknown (−2) make no boundary.

    Returns
    -------
    ndarray of bool
        (y, x), true on both sides of every boundary.
    """
    labels = _map(phase)
    boundary = np.zeros(labels.shape, dtype=bool)
    for pixel, neighbour in (
        (np.s_[:-1, :], np.s_[1:, :]),
        (np.s_[:, :-1], np.s_[:, 1:]),
    ):
        differing = _differing(labels[pixel], labels[neighbour])
        boundary[pixel] |= differing
        boundary[neighbour] |= differing
    return boundary


def interface_lengths(
    phase: ArrayLike, *, names: Sequence[str], pixel_size: float | tuple[float, float]
) -> pd.DataFrame:
    """Length of the interface between every two phases.

    Counting pixel edges makes oblique lines up to √2 too long. Instead, the interface is cut
    with the lines of the pixel grid in four directions and the cuts are counted
    (Cauchy–Crofton: length = ½ ∫∫ cuts dp dθ): right on average over all directions, and
    within 5 % for any straight line on square pixels.

    Parameters
    ----------
    phase
        (y, x) phase labels. Outside (−1) and unknown (−2) have no interfaces.
    names
        Names of the phases.
    pixel_size
        Pixel size (µm), or (y, x) where they differ.

    Returns
    -------
    pandas.DataFrame
        Symmetric, phases by phases, in µm; zero on the diagonal.

    Raises
    ------
    InputError
        If a phase has no name or the pixel size is not positive.
    """
    labels = _map(phase)
    if labels.max(initial=-1) >= len(names):
        raise InputError(f"phase {int(labels.max())} has no name", "name all phases")
    contacts = contact_lengths(labels, pixel_size=pixel_size)
    matrix = np.zeros((len(names), len(names)))
    matrix[contacts["first"], contacts["second"]] = contacts["length"]
    return pd.DataFrame(matrix + matrix.T, index=list(names), columns=list(names))


def contact_lengths(label: ArrayLike, *, pixel_size: float | tuple[float, float]) -> pd.DataFrame:
    """Length of the boundary between every two labels that touch, as :func:`interface_lengths`.

    Parameters
    ----------
    label
        (y, x) labels, any number of them; negative ones have no boundaries.
    pixel_size
        Pixel size, or (y, x) where they differ.

    Returns
    -------
    pandas.DataFrame
        A row per pair: ``first`` < ``second``, ``length`` in the unit of the pixel size.
    """
    labels = _map(label)
    size_y, size_x = _sizes(pixel_size)
    diagonal = np.arctan2(size_y, size_x)
    n = int(labels.max(initial=-1)) + 1
    # Angle between neighbouring directions: each stands for half of the gap on either side.
    gap_flat, gap_steep = diagonal, np.pi / 2 - diagonal
    pairs, lengths = [], []
    for pixel, neighbour, step, gap in (
        (np.s_[:, :-1], np.s_[:, 1:], (0.0, size_x), 2 * gap_flat),
        (np.s_[:-1, :], np.s_[1:, :], (size_y, 0.0), 2 * gap_steep),
        (np.s_[:-1, :-1], np.s_[1:, 1:], (size_y, size_x), gap_flat + gap_steep),
        (np.s_[:-1, 1:], np.s_[1:, :-1], (size_y, size_x), gap_flat + gap_steep),
    ):
        first, second = labels[pixel], labels[neighbour]
        differing = _differing(first, second)
        first, second = first[differing], second[differing]
        line_spacing = size_y * size_x / np.hypot(*step)
        pairs.append(np.minimum(first, second) * n + np.maximum(first, second))
        lengths.append(np.full(first.size, 0.5 * line_spacing * gap / 2))
    pair, pair_index = np.unique(np.concatenate(pairs), return_inverse=True)
    first, second = np.divmod(pair, max(n, 1))
    length = np.bincount(pair_index, weights=np.concatenate(lengths), minlength=pair.size)
    return pd.DataFrame({"first": first, "second": second, "length": length})


def distance_to_boundary(
    phase: ArrayLike, *, pixel_size: float | tuple[float, float]
) -> NDArray[np.float32]:
    """Distance of every pixel to the nearest boundary pixel.

    Parameters
    ----------
    phase
        (y, x) phase labels.
    pixel_size
        Pixel size (µm), or (y, x) where they differ.

    Returns
    -------
    ndarray of float32
        (y, x) in µm, 0 on boundary pixels; NaN outside the sample (−1), and everywhere if
        there is no boundary.
    """
    labels = _map(phase)
    boundary = boundary_pixels(labels)
    if not boundary.any():
        return np.full(labels.shape, np.nan, dtype=np.float32)
    distance = ndimage.distance_transform_edt(~boundary, sampling=_sizes(pixel_size))
    return np.where(labels == -1, np.float32(np.nan), distance.astype(np.float32))


def _differing(first: NDArray[np.intp], second: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Where two neighbours are of different known phases."""
    return np.asarray((first != second) & (first >= 0) & (second >= 0))


def _map(phase: ArrayLike) -> NDArray[np.intp]:
    labels = np.asarray(phase)
    if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            f"the phase map has {labels.ndim} dimensions of {labels.dtype}",
            "give whole numbers over (y, x)",
        )
    return labels.astype(np.intp)


def _sizes(pixel_size: float | tuple[float, float]) -> tuple[float, float]:
    size_y, size_x = np.broadcast_to(np.asarray(pixel_size, dtype=float), 2).tolist()
    if not (size_y > 0 and size_x > 0):
        raise InputError(f"the pixel size is {pixel_size}", "give positive lengths")
    return size_y, size_x
