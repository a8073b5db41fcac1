"""NXstxm files of the ALS: grid of the scan, binning of fly-scan samples.

The software version stands in `version`. Version 2.0 keeps every sample of the fly scan with its
measured position in ``counter0`` and the grid that was asked for in ``requested_values``; 2.1
keeps the binned counts beside it in ``binned_values``; before and after (3) the counts are on
their grid already.
"""

from __future__ import annotations

import h5py
import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.io.readers import _hdf5 as hdf5


def is_als(entry: h5py.Group) -> bool:
    """Whether the ALS software wrote this entry; it counts time in ms without saying so."""
    return hdf5.dataset(entry, "version") is not None


def grid(entry: h5py.Group, group: h5py.Group) -> h5py.Group | None:
    """The group with the scan's grid when the counter itself is not on it (versions 2.x)."""
    if not group.name.rsplit("/", 1)[-1].lower().startswith("counter"):
        return None
    for name in ("binned_values", "requested_values"):
        if (found := hdf5.subgroup(entry, name)) is not None:
            return found
    return None


def rebinned(
    group: h5py.Group, counts: h5py.Dataset, axes: dict[str, h5py.Dataset], *, scan_type: str
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Samples of a fly scan (version 2.0) put into the pixels in which they were taken.

    A pixel holds the mean of its samples times the number of samples meant for a pixel, so
    that counts per dwell time are kept; a pixel without samples is NaN.

    Returns
    -------
    counts, dims
        (energy, y, x), or (energy, single, position) for a line scan.

    Raises
    ------
    InputError
        Counts, positions and grid do not fit each other.
    """
    source = group.file.filename
    place = {role: hdf5.dataset(group, f"sample_{role}") for role in ("x", "y")}
    x, y = place["x"], place["y"]
    if x is None or y is None or "x" not in axes or "y" not in axes:
        raise InputError("lacks the positions of its samples or their grid", source=source)
    is_line = "line" in scan_type
    n_lines = 1 if is_line else axes["y"].size
    if not (counts.ndim == 3 and counts.shape[1] == n_lines and counts.shape == x.shape == y.shape):
        raise InputError(
            f"samples of shape {counts.shape} do not fit positions of shape {x.shape} "
            f"and {n_lines} lines",
            "the scan was aborted or the file is damaged",
            source=source,
        )
    if not (hdf5.written(counts).all() and hdf5.written(x).all() and hdf5.written(y).all()):
        raise InputError("the samples were not written completely", source=source)
    wanted_x, wanted_y = hdf5.values(axes["x"]).ravel(), hdf5.values(axes["y"]).ravel()
    # The scan runs along x in an image, along any direction in a line scan.
    along = np.array([wanted_x[-1] - wanted_x[0], (wanted_y[-1] - wanted_y[0]) * is_line])
    if wanted_x.size < 2 or not np.hypot(*along) > 0:
        raise InputError("the grid of the scan has no extent along its lines", source=source)
    along /= np.hypot(*along)
    wanted = (wanted_x - wanted_x[0]) * along[0]
    if is_line:
        wanted = wanted + (wanted_y - wanted_y[0]) * along[1]
    result = np.empty((counts.shape[0], n_lines, wanted.size))
    for i in range(len(result)):
        distance = (hdf5.frame(x, i) - wanted_x[0]) * along[0]
        distance += (hdf5.frame(y, i) - wanted_y[0]) * along[1]
        result[i] = _into_pixels(hdf5.frame(counts, i), distance, wanted)
    return result, ("energy", "single", "position") if is_line else ("energy", "y", "x")


def _into_pixels(
    samples: NDArray[np.float64], distance: NDArray[np.float64], wanted: NDArray[np.float64]
) -> NDArray[np.float64]:
    middle = (wanted[1:] + wanted[:-1]) / 2
    edges = np.concatenate([[2 * wanted[0] - middle[0]], middle, [2 * wanted[-1] - middle[-1]]])
    n_lines, n_pixels = len(samples), wanted.size
    pixel = np.searchsorted(edges, distance, side="right") - 1
    inside = (pixel >= 0) & (pixel < n_pixels)  # the stage accelerates and turns outside
    line = np.broadcast_to(np.arange(n_lines)[:, np.newaxis], pixel.shape)
    index = (line * n_pixels + pixel)[inside]
    total = np.bincount(index, samples[inside], n_lines * n_pixels)
    number = np.bincount(index, minlength=n_lines * n_pixels)
    meant = samples.shape[1] / n_pixels
    mean = np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)
    return np.asarray(mean * meant, dtype=np.float64).reshape(n_lines, n_pixels)
