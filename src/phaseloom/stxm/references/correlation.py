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

from phaseloom.compute.blocks import slabs

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
        −1 to 1; NaN for a spectrum without variation. Missing readings (NaN) are left out of
        both, the spectrum and the reference.
    """
    there = np.isfinite(spectra)
    gaps = ~there.all(axis=0)
    result = np.empty((len(references), spectra.shape[1]), dtype=np.float32)
    result[:, ~gaps] = _of_whole(spectra[:, ~gaps], references)
    if gaps.any():
        result[:, gaps] = _of_gapped(spectra[:, gaps], there[:, gaps], references)
    return result


def _of_whole(spectra: NDArray[np.float32], references: NDArray[np.float64]) -> NDArray[np.float32]:
    centred = spectra - spectra.mean(axis=0)
    length = np.sqrt(np.einsum("ep,ep->p", centred, centred))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((_unit(references) @ centred) / np.where(length > 0, length, np.nan))


def _of_gapped(
    spectra: NDArray[np.float32], there: NDArray[np.bool_], references: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Correlation over the readings (energy, pixel) that are there."""
    number = np.maximum(there.sum(axis=0), 1)
    weight = there.astype(np.float64)
    # Less the mean over all energies first: what is subtracted below stays small.
    centred = references - references.mean(axis=1, keepdims=True)
    mean = centred @ weight / number
    length = centred**2 @ weight - number * mean**2
    known = np.where(there, spectra, 0.0).astype(np.float64)
    known = np.where(there, known - known.sum(axis=0) / number, 0.0)
    own = np.einsum("ep,ep->p", known, known)
    with np.errstate(invalid="ignore", divide="ignore"):
        product = np.sqrt(np.maximum(length, 0.0) * own)
        return np.asarray(centred @ known / np.where(product > 0, product, np.nan), np.float32)


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
    unit = _unit(references)
    best, second = np.argsort(correlation, axis=0)[:-3:-1]
    gap = np.take_along_axis(correlation, np.stack([best, second]), 0)
    there = np.isfinite(spectra)
    centred = np.where(there, spectra - np.nanmean(spectra, axis=0), np.float32(0))
    length = np.sqrt(np.einsum("ep,ep->p", centred, centred))
    slope = (unit[best] - unit[second]).T - (gap[0] - gap[1]) * centred / length
    slope -= slope.mean(axis=0)
    variance = np.where(there, variance, np.float32(0))
    return np.asarray(_ONE_SIDED_95 * np.sqrt((slope**2 * variance).sum(axis=0)) / length)


def _unit(references: NDArray[np.float64]) -> NDArray[np.float32]:
    """References centred and of unit length."""
    centred = references - references.mean(axis=1, keepdims=True)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(unit, dtype=np.float32)


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
        (reference, energy), at the same energies (see ``references.sample_references``).
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
        ``correlation`` (reference, y, x), ``phase_pearson`` (y, x) int8 with −1 outside the mask,
        ``ambiguous`` (y, x).
    """
    inside = mask.to_numpy()
    spectra_of_references = references.to_numpy()
    maps = np.full((references.sizes["reference"], *inside.shape), np.nan, dtype=np.float32)
    first = np.full(inside.shape, -1, dtype=np.int8)
    ambiguous = np.zeros(inside.shape, dtype=bool)
    for rows, chosen in slabs(inside):
        in_slab = inside[rows]
        spectra = optical_density[:, rows].to_numpy()[:, in_slab]
        coefficients = pearson(spectra, spectra_of_references)
        limit: NDArray[np.float32] | float
        if margin != "noise":
            limit = margin
        elif variance is None:
            raise ValueError("margin='noise' needs the variance of the optical density")
        else:
            limit = noise_margin(spectra, spectra_of_references, coefficients, variance[:, chosen])
        ordered = np.sort(coefficients, axis=0)
        maps[:, rows][:, in_slab] = coefficients
        first[rows][in_slab] = np.argmax(coefficients, axis=0)
        ambiguous[rows][in_slab] = ordered[-1] - ordered[-2] <= limit
    return xr.Dataset(
        {
            "correlation": (("reference", "y", "x"), maps, {"long_name": "Pearson correlation"}),
            "phase_pearson": (("y", "x"), first),
            "ambiguous": (("y", "x"), ambiguous),
        },
        coords={
            "y": optical_density["y"],
            "x": optical_density["x"],
            "reference": references["reference"],
        },
        attrs={"margin": "noise" if margin == "noise" else float(margin)},
    )
