"""Linear-combination fit of whole particles, as in Athena or larch, with error bars.

The mean spectrum of a particle and the references are normalised to edge jump 1 above the
pre-edge; the spectrum is fitted with Σ weight · reference, weights ≥ 0, every reading weighted by
its counting variance. Sum to one: the weights are shares of the edge jump, which are shares of the
absorbing atoms. Free: how far their sum is from one says how well the normalisation, or the set of
references, suits.

Source: B. Ravel, M. Newville, ATHENA, ARTEMIS, HEPHAESTUS, J. Synchrotron Rad. 12 (2005) 537.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.optimize import nnls

from phaseloom.stxm.preparation.preparation import counted_baseline, incident_counts

Array = NDArray[np.float64]

CONSTRAINTS = ("sum to one", "free")

_FIRM = 1e4
"""Weight of the sum to one beside the readings' while the phases at zero are found."""


@dataclass(frozen=True)
class Combination:
    """A linear combination of references.

    Attributes
    ----------
    weight, error : (reference,)
        Weights and their standard errors.
    r_factor : float
        Σ (data − fit)² / Σ data².
    chi2 : float
        Reduced χ² against counting statistics.
    """

    weight: Array
    error: Array
    r_factor: float
    chi2: float


def combine(
    spectrum: Array, covariance: Array, references: Array, *, sum_to_one: bool
) -> Combination | None:
    """Fit a normalised spectrum; None where it has too few readings to tell the references apart.

    Parameters
    ----------
    spectrum
        (energy,), normalised; NaN readings are left out.
    covariance
        (energy, energy) of it. Its diagonal weighs the fit, all of it makes the errors.
    references
        (reference, energy), normalised alike.
    sum_to_one
        Whether the weights add up to one.

    Notes
    -----
    The errors are those without the bound at zero: they say how well the references can be told
    apart. They are multiplied by the root of the reduced χ² where that exceeds 1.
    """
    used = np.isfinite(spectrum) & (np.diag(covariance) > 0)
    free = len(references) - sum_to_one
    freedom = int(used.sum()) - free
    if freedom < 1 or not np.isfinite(references).all():
        return None
    data, model = spectrum[used], references[:, used].T
    within = covariance[np.ix_(used, used)]
    root = 1.0 / np.sqrt(np.diag(within))
    columns, target = model * root[:, None], data * root
    norm = float(np.linalg.norm(columns))
    if sum_to_one:
        firm = _FIRM * norm
        columns_all = np.vstack([columns, np.full(len(references), firm)])
        started, _ = nnls(columns_all, np.append(target, firm))
    else:
        started, _ = nnls(columns, target)
    present = started > 1e-9
    weight = np.zeros(len(references))
    weight[present] = _solver(columns[:, present], sum_to_one) @ np.append(target, 1.0)
    rest = data - model @ weight
    chi2 = float(np.square(rest * root).sum() / freedom)
    of_data = _solver(columns, sum_to_one)[:, :-1] * root
    variance = np.einsum("rd,de,re->r", of_data, within, of_data) * max(chi2, 1.0)
    r_factor = float(np.square(rest).sum() / np.square(data).sum())
    return Combination(weight, np.sqrt(variance), r_factor, chi2)


def _solver(columns: Array, sum_to_one: bool) -> Array:
    """Matrix that makes the weights from the scaled readings and, last, the sum of the weights."""
    inverse = np.linalg.pinv(columns.T @ columns, hermitian=True, rcond=1e-12)
    plain = inverse @ columns.T
    if not sum_to_one:
        return np.hstack([plain, np.zeros((len(plain), 1))])
    pull = inverse.sum(axis=1) / inverse.sum()
    return np.hstack([plain - np.outer(pull, plain.sum(axis=0)), pull[:, None]])


def particle_combinations(maps: xr.Dataset) -> xr.Dataset:
    """Linear-combination fits of the mean spectrum of every particle of a map.

    Parameters
    ----------
    maps
        A group ``stxm/NAME`` of a result: ``optical_density``, ``particle``, ``thickness``,
        ``baseline``, ``i0``, ``reference_spectrum``, and the attributes of the edge's quantities.

    Returns
    -------
    xarray.Dataset
        ``weight``, ``weight_error`` (particle, constraint, reference), ``r_factor``, ``chi2``
        (particle, constraint), ``pixels`` (particle). NaN where nothing can be fitted: no energies
        before or after the edge, a reference without an edge jump, too few readings.
    """
    particle = maps["particle"].to_numpy()
    number = int(particle.max()) + 1
    names = maps["reference"].to_numpy()
    weight, error = (np.full((number, 2, names.size), np.nan) for _ in range(2))
    quality = np.full((2, number, 2), np.nan)
    if not maps.attrs["edge_undetermined"]:
        energy = maps["energy"].to_numpy()
        before, after = (
            (energy >= low) & (energy <= high)
            for low, high in (maps.attrs["edge_before"], maps.attrs["edge_after"])
        )
        spectra, variances = _mean_spectra(maps, particle, number)
        plain = maps["reference_spectrum"].transpose("reference", "energy").to_numpy()
        references = np.stack(
            [_normalised(r, np.zeros(energy.size), before, after)[0] for r in plain]
        )
        for p in range(number):
            spectrum, covariance = _normalised(spectra[p], variances[p], before, after)
            for c, constraint in enumerate(CONSTRAINTS):
                found = combine(
                    spectrum, covariance, references, sum_to_one=constraint == "sum to one"
                )
                if found is not None:
                    weight[p, c], error[p, c] = found.weight, found.error
                    quality[:, p, c] = found.r_factor, found.chi2
    return xr.Dataset(
        {
            "weight": (("particle", "constraint", "reference"), weight),
            "weight_error": (("particle", "constraint", "reference"), error),
            "r_factor": (("particle", "constraint"), quality[0]),
            "chi2": (("particle", "constraint"), quality[1]),
            "pixels": ("particle", np.bincount(particle[particle >= 0], minlength=number)),
        },
        coords={"particle": np.arange(number), "constraint": list(CONSTRAINTS), "reference": names},
    )


def _mean_spectra(
    maps: xr.Dataset, particle: NDArray[np.int32], number: int
) -> tuple[Array, Array]:
    """Mean spectrum of every particle for thickness 1, and its variance, (particle, energy).

    The sum of the readings over that of the thickness of the pixels that have one, so that a
    missing reading of a thick pixel makes no dip.
    """
    inside = particle >= 0
    label, thickness = particle[inside], maps["thickness"].to_numpy()[inside]
    baseline = counted_baseline(maps)[inside]
    counts = incident_counts(maps)
    scale = float(maps.attrs["noise_scale"])
    spectra = np.full((number, maps.sizes["energy"]), np.nan)
    variances = spectra.copy()
    for e, frame in enumerate(maps["optical_density"].to_numpy()):
        density = frame[inside].astype(np.float64)
        read = np.isfinite(density)
        variance = scale * np.exp(density + baseline) / (1.0 if counts is None else counts[e])
        total, noise, depth = (
            np.bincount(label[read], values[read], minlength=number)
            for values in (density, variance, thickness)
        )
        known = depth > 0
        spectra[known, e] = total[known] / depth[known]
        variances[known, e] = noise[known] / np.square(depth[known])
    return spectra, variances


def _normalised(
    spectrum: Array, variance: Array, before: NDArray[np.bool_], after: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """A spectrum (energy,) above its pre-edge in units of its edge jump, and its covariance."""
    read = np.isfinite(spectrum)
    before, after = before & read, after & read
    if not (before.any() and after.any()):
        return np.full_like(spectrum, np.nan), np.diag(variance)
    floor, top = before / before.sum(), after / after.sum()
    known = np.where(read, spectrum, 0.0)
    jump = float((top - floor) @ known)
    if jump <= 0:
        return np.full_like(spectrum, np.nan), np.diag(variance)
    normal = (spectrum - floor @ known) / jump
    # First-order change of the normalised readings with the readings.
    change = (np.eye(spectrum.size) - floor - np.outer(np.nan_to_num(normal), top - floor)) / jump
    return normal, (change * np.where(read, variance, 0.0)) @ change.T
