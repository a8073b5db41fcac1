"""From spots to peak tables: counting, detection, errors of places."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.diffraction.peaks.table import COLUMNS, Peaks

Floats = NDArray[np.float64]

SHAPE = 256  # px
RESOLVED = 1.5  # px
SPOT_SIGMA = 1.2  # px
BACKGROUND = 0.5  # counts per px
LIMIT = 25.0  # counts that a spot needs to be found
FALSE_SPOTS = 0.05  # per pattern
DIRECT_BEAM = 2e5  # counts


def resolved(place: Floats, counts: Floats, closest: float) -> tuple[Floats, Floats]:
    """Spots that are told apart and found; closer ones join the strongest."""
    some = np.flatnonzero(counts > 0)
    some = some[np.argsort(-counts[some])]
    place, counts = place[some], counts[some].copy()
    moment = place * counts[:, None]
    apart = np.hypot(*(place[:, None] - place).T)
    kept = np.ones(counts.size, dtype=bool)
    for i in range(1, counts.size):
        close = np.flatnonzero(kept[:i] & (apart[i, :i] < closest))
        if close.size:
            kept[i] = False
            counts[close[0]] += counts[i]
            moment[close[0]] += moment[i]
    kept &= counts >= LIMIT
    return moment[kept] / counts[kept, None], counts[kept]


def detected(
    place: Floats,
    expected: Floats,
    rng: np.random.Generator,
    *,
    centre: float = 0.0,
    error_factor: float = 1.0,
    closest: float = RESOLVED,
) -> dict[str, Floats]:
    """What is found of one pattern, the direct beam among it.

    Parameters
    ----------
    place, expected
        (n, 2) px from the direct beam, (n,) expected counts.
    rng
        Of counts and errors.
    centre
        px by which the direct beam is off, a standard deviation per axis.
    error_factor
        True errors of places over the stated ones.
    closest
        px between spots that are told apart.
    """
    place, counts = resolved(place, rng.poisson(expected).astype(np.float64), closest)
    extra = rng.poisson(FALSE_SPOTS)
    reach = SHAPE / 2 - 3
    false = rng.uniform(-reach, reach, (extra, 2))
    place = np.concatenate([np.zeros((1, 2)), place, false])
    counts = np.concatenate(
        [[DIRECT_BEAM], counts, LIMIT * (1 + 0.2 * rng.exponential(size=extra))]
    )
    error = np.clip(1.5 / np.sqrt(counts), 0.1, 0.3)
    place = place + centre * rng.standard_normal(2)
    place = place + error_factor * error[:, None] * rng.standard_normal(place.shape)
    inside = (np.abs(place) < reach + 2).all(axis=1)
    order = np.flatnonzero(inside)
    order = order[np.argsort(place[order, 0])]
    return {"place": place[order], "counts": counts[order], "error": error[order]}


def table(tables: list[dict[str, Floats]], shape: tuple[int, int], pixel_size: float) -> Peaks:
    place, counts, error = (np.concatenate([t[c] for t in tables]) for c in tables[0])
    offset = np.concatenate([[0], np.cumsum([t["counts"].size for t in tables])])
    area = 4 * np.pi * SPOT_SIGMA**2
    columns = (
        pixel_size * place[:, 0], pixel_size * place[:, 1], counts, pixel_size * error,
        pixel_size * error, np.sqrt(counts + area * BACKGROUND), 2 * counts / area,
        np.full(counts.size, BACKGROUND),
    )  # fmt: skip
    data = xr.Dataset(
        {c: ("peak", v.astype(np.float32)) for c, v in zip(COLUMNS, columns, strict=True)}
        | {c: (("y", "x"), np.full(shape, SHAPE / 2, np.float32)) for c in ("centre_y", "centre_x")}
        | {"offset": ("edge", offset.astype(np.int64))},
        coords={
            a: (a, np.arange(m) * 1.0, {"units": "px"}) for a, m in zip("yx", shape, strict=True)
        },
        attrs={
            "pixel_size": pixel_size,
            "pixel_size_units": "Å⁻¹",
            "distortion": [1.0, 0.0, 0.0, 1.0],
            "detector_shape": [SHAPE, SHAPE],
            "spot_shape": "gaussian",
            "spot_sigma": SPOT_SIGMA,
        },
    )
    for name in ("ky", "kx", "ky_error", "kx_error"):
        data[name].attrs["units"] = "Å⁻¹"
    return Peaks(data)
