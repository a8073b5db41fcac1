"""Connected regions of a map (particles), and the table of their size and composition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from phaseloom.errors import InputError


def label_particles(mask: ArrayLike, *, minimum_pixels: int = 1) -> NDArray[np.int32]:
    """Number the connected regions of a mask, the largest first.

    Parameters
    ----------
    mask
        (y, x), true inside. Pixels that touch by an edge or a corner belong together.
    minimum_pixels
        Smaller regions get no number.

    Returns
    -------
    ndarray of int32
        (y, x): 0, 1, 2 … by falling area (equal ones in reading order), −1 outside.

    Raises
    ------
    InputError
        If the mask is not two-dimensional.
    """
    inside = np.asarray(mask, dtype=bool)
    if inside.ndim != 2:
        raise InputError(f"the mask has {inside.ndim} dimensions", "give one over (y, x)")
    components, _ = ndimage.label(inside, structure=np.ones((3, 3)))
    pixels = np.bincount(components.ravel())
    pixels[0] = 0  # the outside
    order = np.argsort(-pixels, kind="stable")
    number = np.full(pixels.size, -1, dtype=np.int32)
    kept = order[pixels[order] >= max(minimum_pixels, 1)]
    number[kept] = np.arange(kept.size, dtype=np.int32)
    return np.asarray(number[components])


def particle_table(
    particle: ArrayLike,
    phase: ArrayLike,
    *,
    names: Sequence[str],
    y: ArrayLike,
    x: ArrayLike,
    pixel_area: float,
    value: ArrayLike | None = None,
    posterior: ArrayLike | None = None,
) -> pd.DataFrame:
    """Table of phase fractions, position and size of every particle.

    Parameters
    ----------
    particle
        (y, x) region numbers, −1 outside, from :func:`label_particles`.
    phase
        (y, x) phase labels; −1 outside, −2 unknown.
    names
        Names of the phases.
    y, x
        Pixel coordinates (µm).
    pixel_area
        Area of a pixel (µm²).
    value
        (y, x) a value per pixel, such as the sodium content; NaN is left out.
    posterior
        (phase, y, x) posterior of the phases; NaN is left out.

    Returns
    -------
    pandas.DataFrame
        One row per particle, index ``particle``: ``pixels``; ``area`` (µm²); ``y``, ``x`` of
        the centroid (µm); ``equivalent_diameter`` of the circle of the same area (µm);
        ``fraction NAME`` of the pixels per phase and ``fraction unknown``;
        ``posterior NAME``, mean posterior per phase (if given); ``value_mean``, ``value_sd``
        (if given); ``boundary_fraction``, the share of the pixel edges inside the particle
        between two phases. NaN where there is nothing to average.

    Raises
    ------
    InputError
        If shapes do not agree, or there is a phase without a name.
    """
    regions, labels = np.asarray(particle), np.asarray(phase)
    rows, columns = np.asarray(y, dtype=float), np.asarray(x, dtype=float)
    if labels.shape != regions.shape or regions.shape != (rows.size, columns.size):
        raise InputError(
            f"particles {regions.shape}, phases {labels.shape} and coordinates "
            f"{(rows.size, columns.size)} are not of one map"
        )
    if labels.max(initial=-1) >= len(names):
        raise InputError(f"phase {int(labels.max())} has no name", "name all phases")
    n = int(regions.max(initial=-1)) + 1
    inside = regions >= 0
    region = regions[inside]
    row, column = np.nonzero(inside)
    pixels = np.bincount(region, minlength=n)

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean of the finite values in each region."""
        finite = np.isfinite(values)
        total = np.bincount(region[finite], weights=values[finite], minlength=n)
        count = np.bincount(region[finite], minlength=n)
        return np.asarray(total / np.where(count > 0, count, np.nan))

    area = pixels * pixel_area
    table: dict[str, NDArray[np.generic]] = {
        "pixels": pixels,
        "area": area,
        "y": mean(rows[row]),
        "x": mean(columns[column]),
        "equivalent_diameter": 2 * np.sqrt(area / np.pi),
    }
    inner = labels[inside]
    for index, name in enumerate(names):
        table[f"fraction {name}"] = mean((inner == index).astype(float))
    table["fraction unknown"] = mean((inner == -2).astype(float))
    if posterior is not None:
        for layer, name in zip(np.asarray(posterior), names, strict=True):
            table[f"posterior {name}"] = mean(layer[inside].astype(float))
    if value is not None:
        values = np.asarray(value, dtype=float)[inside]
        average = mean(values)
        table["value_mean"] = average
        table["value_sd"] = np.sqrt(mean((values - average[region]) ** 2))
    table["boundary_fraction"] = _boundary_fraction(regions, labels, n)
    return pd.DataFrame(table, index=pd.RangeIndex(n, name="particle"))


def _boundary_fraction(
    regions: NDArray[np.integer], labels: NDArray[np.integer], n: int
) -> NDArray[np.float64]:
    """Share of the pixel edges between pixels of known phase at which the phases differ."""
    all_edges = np.zeros(n, dtype=np.intp)
    differing_edges = np.zeros(n, dtype=np.intp)
    for pixel, neighbour in (
        (np.s_[:-1, :], np.s_[1:, :]),
        (np.s_[:, :-1], np.s_[:, 1:]),
    ):
        inner = (regions[pixel] == regions[neighbour]) & (regions[pixel] >= 0)
        inner &= (labels[pixel] >= 0) & (labels[neighbour] >= 0)
        region = regions[pixel][inner]
        differ = labels[pixel][inner] != labels[neighbour][inner]
        all_edges += np.bincount(region, minlength=n)
        differing_edges += np.bincount(region[differ], minlength=n)
    return np.asarray(differing_edges / np.where(all_edges > 0, all_edges, np.nan))
