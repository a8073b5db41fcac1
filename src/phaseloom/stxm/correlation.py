"""Pearson correlation of pixel spectra with reference spectra: the first phase map.

Source: Adrar et al., arXiv 2603.07666: ρ_n = correlation of a pixel's optical density with
reference n over the energies; the phase is the argmax; a pixel whose two best correlations
differ by 0.005 or less is ambiguous.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

_BLOCK = 1 << 16
_ONE_SIDED_95 = 1.645


def pearson(spectra: NDArray[np.float32], references: NDArray[np.float64]) -> NDArray[np.float32]:
    """Correlation coefficients (phase, pixel) of spectra (energy, pixel) with references.

    Parameters
    ----------
    spectra
        Optical density (energy, pixel).
    references
        (phase, energy), at the same energies.

    Returns
    -------
    ndarray
        −1 to 1; NaN for a spectrum with a missing value or without variation.
    """
    unit = references - references.mean(axis=1, keepdims=True)
    unit = (unit / np.linalg.norm(unit, axis=1, keepdims=True)).astype(np.float32)
    result = np.empty((len(unit), spectra.shape[1]), dtype=np.float32)
    for start in range(0, spectra.shape[1], _BLOCK):
        block = spectra[:, start : start + _BLOCK]
        centred = block - block.mean(axis=0)
        length = np.sqrt(np.einsum("ep,ep->p", centred, centred))
        with np.errstate(invalid="ignore", divide="ignore"):
            result[:, start : start + _BLOCK] = (unit @ centred) / np.where(
                length > 0, length, np.nan
            )
    return result


def noise_margin(
    spectra: NDArray[np.float32],
    references: NDArray[np.float64],
    correlation: NDArray[np.float32],
    variance: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Margin (pixel,) within which counting noise swaps the two best phases in 5 % of cases.

    The difference of two correlations of one spectrum s moves with its noise as
    δ(ρ_a − ρ_b) = (r_a − r_b − (ρ_a − ρ_b) s/|s|)·δs/|s|, r and s centred, r of unit length.

    Parameters
    ----------
    spectra, variance
        Optical density and its variance, (energy, pixel).
    references
        (phase, energy).
    correlation
        From :func:`pearson`.
    """
    unit = references - references.mean(axis=1, keepdims=True)
    unit = (unit / np.linalg.norm(unit, axis=1, keepdims=True)).astype(np.float32)
    order = np.argsort(correlation, axis=0)
    best, second = order[-1], order[-2]
    margin = np.empty(spectra.shape[1], dtype=np.float32)
    for start in range(0, spectra.shape[1], _BLOCK):
        part = slice(start, start + _BLOCK)
        centred = spectra[:, part] - spectra[:, part].mean(axis=0)
        length = np.linalg.norm(centred, axis=0)
        a, b = best[part], second[part]
        pixel = np.arange(a.size)
        gap = correlation[:, part][a, pixel] - correlation[:, part][b, pixel]
        slope = (unit[a] - unit[b]).T - gap * centred / length
        slope -= slope.mean(axis=0)
        margin[part] = _ONE_SIDED_95 * np.sqrt((slope**2 * variance[:, part]).sum(axis=0)) / length
    return margin


def correlate(
    optical_density: xr.DataArray,
    references: xr.DataArray,
    mask: xr.DataArray,
    *,
    margin: float | Literal["noise"] = 0.005,
    variance: NDArray[np.float32] | None = None,
) -> xr.Dataset:
    """Correlation maps, first phase map and its ambiguous pixels.

    Parameters
    ----------
    optical_density
        (energy, y, x).
    references
        (phase, energy), at the same energies (see ``references.sample_references``).
    mask
        (y, x), true on the particles.
    margin
        Pixels whose two best correlations differ by no more are ambiguous (0.005 as
        published), or "noise": per pixel, from the counting noise in ``variance``.
    variance
        Variance of the optical density of the masked pixels (energy, pixel), for "noise".

    Returns
    -------
    xarray.Dataset
        ``correlation`` (phase, y, x), ``phase_pearson`` (y, x) int8 with −1 outside the mask,
        ``ambiguous`` (y, x).
    """
    inside = mask.to_numpy()
    spectra = optical_density.to_numpy()[:, inside]
    coefficients = pearson(spectra, references.to_numpy())
    ordered = np.sort(coefficients, axis=0)
    gap = ordered[-1] - ordered[-2]
    if margin == "noise":
        if variance is None:
            raise ValueError("margin='noise' needs the variance of the optical density")
        limit: NDArray[np.float32] | float = noise_margin(
            spectra, references.to_numpy(), coefficients, variance
        )
    else:
        limit = margin

    maps = np.full((references.sizes["phase"], *inside.shape), np.nan, dtype=np.float32)
    maps[:, inside] = coefficients
    first = np.full(inside.shape, -1, dtype=np.int8)
    first[inside] = np.argmax(coefficients, axis=0)
    ambiguous = np.zeros(inside.shape, dtype=bool)
    ambiguous[inside] = gap <= limit
    return xr.Dataset(
        {
            "correlation": (("phase", "y", "x"), maps, {"long_name": "Pearson correlation"}),
            "phase_pearson": (("y", "x"), first),
            "ambiguous": (("y", "x"), ambiguous),
        },
        coords={
            "y": optical_density["y"],
            "x": optical_density["x"],
            "phase_name": references["phase_name"],
        },
        attrs={"margin": "noise" if margin == "noise" else float(margin)},
    )
