"""Noise of a stack against that of counting, from pixels that lie near each other.

What two pixels two apart do not share is noise, and a difference in thickness and mixture. The
latter is a sum of few spectra, the strongest components of all such differences; what is left
without them is compared with the variance that counting gives. No reference enters: whether the
references describe the stack is judged against this noise.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

Array = NDArray[np.float64]

_APART = 2
_PAIRS = 4000
_FEWEST_PAIRS = 50
_FEWEST_FREE = 2


def noise_scale(
    optical_density: xr.DataArray,
    n_phases: int,
    *,
    mask: NDArray[np.bool_],
    baseline: NDArray[np.floating],
    i0: NDArray[np.float64] | None,
) -> float:
    """Variance of the readings as a multiple of what counting makes it.

    Parameters
    ----------
    optical_density
        (energy, y, x); pixels with readings that are not finite are left out.
    n_phases
        So many components of the differences are the sample's.
    mask
        (y, x), true where there is sample.
    baseline
        (y, x) already subtracted from the optical density.
    i0
        Incident counts per pixel (energy,); without it the multiple is that of one count in the
        empty beam at every energy.

    Returns
    -------
    float
        1 where readings are counts; below where they were scaled or interpolated before. NaN
        where too few pixels lie near each other, or too few energies are left.
    """
    n_energies = optical_density.sizes["energy"]
    first, second = _pairs(mask)
    if first.size < _FEWEST_PAIRS:
        return float("nan")
    chosen = np.linspace(0, first.size - 1, min(first.size, _PAIRS)).astype(np.intp)
    y, x = np.unravel_index(np.stack([first[chosen], second[chosen]]), mask.shape)
    spectra = np.stack(
        [optical_density[e].to_numpy()[y, x].astype(float) for e in range(n_energies)], axis=-1
    )
    kept = np.isfinite(spectra).all(axis=(0, 2))
    spectra, removed = spectra[:, kept], baseline[y[0], x[0]][kept].astype(float)
    free = n_energies - n_phases - 1
    if spectra.shape[1] < _FEWEST_PAIRS or free < _FEWEST_FREE:
        return float("nan")
    incident = np.ones(n_energies) if i0 is None else i0
    # At the pair's mean, whose noise is independent of that of the difference.
    counts = incident * np.exp(-spectra.mean(axis=0) - removed[:, None])
    difference = spectra[0] - spectra[1]
    difference -= (difference * counts).sum(axis=1, keepdims=True) / counts.sum(
        axis=1, keepdims=True
    )
    difference *= np.sqrt(counts / 2)
    axes = np.linalg.eigh(difference.T @ difference)[1][:, : n_energies - n_phases]
    left = difference @ axes
    # The median of χ² lies below its mean.
    median = (1 - 2 / (9 * free)) ** 3 * free
    return float(np.median((left**2).sum(axis=1)) / median)


def _pairs(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Flat indices of pixels of the sample that lie two apart along a row or a column."""
    number = np.arange(mask.size).reshape(mask.shape)
    down, right = mask[:-_APART] & mask[_APART:], mask[:, :-_APART] & mask[:, _APART:]
    first = number[:-_APART][down], number[:, :-_APART][right]
    second = number[_APART:][down], number[:, _APART:][right]
    return np.concatenate(first), np.concatenate(second)
