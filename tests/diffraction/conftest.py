"""Peak tables for the tests, made rather than measured."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from phaseloom.diffraction.peaks.table import COLUMNS, Peaks

PIXEL_SIZE = 0.0123


def table(columns, counts, shape, *, detector=(64, 64), centre=None, units="Å⁻¹") -> Peaks:
    """Peaks of these columns (in table units), so many per scan position."""
    size = {"ky_error": 0.1 * PIXEL_SIZE, "kx_error": 0.1 * PIXEL_SIZE}
    n = int(np.sum(counts))
    data = {c: np.full(n, size.get(c, 1.0), dtype=np.float32) for c in COLUMNS}
    data |= {c: np.asarray(v, dtype=np.float32) for c, v in columns.items()}
    ones = np.ones(shape)
    cy, cx = centre if centre is not None else (detector[0] / 2, detector[1] / 2)
    maps = {"centre_y": ones * cy, "centre_x": ones * cx}
    dataset = xr.Dataset(
        {c: ("peak", v) for c, v in data.items()}
        | {c: (("y", "x"), v.astype(np.float32)) for c, v in maps.items()},
        attrs={
            "pixel_size": PIXEL_SIZE if units != "px" else 1.0,
            "pixel_size_units": units,
            "distortion": [1.0, 0.0, 0.0, 1.0],
            "detector_shape": list(detector),
        },
    ).assign(offset=("edge", np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)))
    for name in ("ky", "kx", "ky_error", "kx_error"):
        dataset[name].attrs["units"] = units
    return Peaks(dataset)


@pytest.fixture
def make_table() -> Callable[..., Peaks]:
    """Peaks of given columns."""
    return table


@pytest.fixture
def make_peaks() -> Callable[..., Peaks]:
    """Peaks at random: a direct beam and Poisson-many spots per pattern, sorted by row."""

    def make(shape=(3, 4), spots_per_pattern=10, seed=0, detector=(64, 64)) -> Peaks:
        rng = np.random.default_rng(seed)
        counts = 1 + rng.poisson(spots_per_pattern - 1, shape[0] * shape[1])
        n, first = int(counts.sum()), np.cumsum(counts) - counts
        half = 0.4 * min(detector) * PIXEL_SIZE
        ky, kx = rng.uniform(-half, half, (2, n))
        ky[first] = kx[first] = 0
        position = np.repeat(np.arange(counts.size), counts)
        order = np.lexsort((ky, position))
        ky, kx = ky[order], kx[order]
        intensity = np.exp(rng.normal(6, 1.2, n))
        error = np.sqrt(1.3 * intensity + 50) * rng.uniform(0.95, 1.05, n)
        ky_error = 2.4 / np.sqrt(intensity) * rng.uniform(1, 1.3, n) * PIXEL_SIZE
        columns = {
            "ky": ky,
            "kx": kx,
            "intensity": intensity,
            "ky_error": ky_error,
            "kx_error": ky_error * rng.uniform(0.9, 1.1, n),
            "intensity_error": error,
            "peak_prominence": intensity / 36 * rng.uniform(0.9, 1.1, n),
            "background": 5 * np.exp(-np.hypot(ky, kx) / (80 * PIXEL_SIZE)) + 1,
        }
        return table(columns, counts, shape, detector=detector)

    return make
