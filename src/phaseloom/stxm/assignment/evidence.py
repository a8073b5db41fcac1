"""Bayesian evidence of one phase and of pairs of phases in a spectrum, in closed form.

A spectrum is modelled as a·r_p + b·r_q + offset with a, b ≥ 0. All sums over energy are matrix
products; what is left per pixel and pair is a 2×2 system.

The evidence (Laplace form, exact for the Gaussian part; MacKay, *Information Theory, Inference,
and Learning Algorithms*, ch. 28) integrates over thickness t = a + b ≥ 0 and offset with flat
priors, and for two phases over their difference v = a − b, uniform in [−t, t].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import log_ndtr

from phaseloom.errors import InputError

Array = NDArray[np.float64]

#: Thickness and share of the second phase, and the offset.
PARAMETERS = 3


@dataclass(frozen=True)
class Model:
    """References as the columns that the sums over energy need.

    Attributes
    ----------
    columns : (1 + P + P(P+1)/2, energy)
        Ones, references (less their mean: the offset is free) and their products.
    first, second : (pair,)
        Phases of each pair.
    """

    columns: Array
    n_phases: int
    product_of: NDArray[np.intp]
    first: NDArray[np.intp]
    second: NDArray[np.intp]
    mixed: float

    @classmethod
    def of(cls, data: xr.DataArray, references: xr.DataArray, mixed: float) -> Model:
        """The model of references (reference, energy) for a stack (energy, y, x).

        Raises
        ------
        InputError
            Energies differ or are too few, a reference is constant, not finite or given twice.
        """
        if set(references.dims) != {"reference", "energy"}:
            raise InputError(
                f"the references have dimensions {references.dims}",
                "give one array over (reference, energy)",
                source="references",
            )
        energy = data["energy"].to_numpy()
        if references.sizes["energy"] != energy.size or not np.allclose(
            references["energy"].to_numpy(), energy, rtol=0, atol=1e-6
        ):
            raise InputError(
                "the references are not on the stack's energies",
                "sample them on the stack first",
                source="references",
            )
        if energy.size <= PARAMETERS:
            raise InputError(
                f"{energy.size} energies cannot tell phases from thickness and offset",
                f"measure at least {PARAMETERS + 1}",
            )
        if not 0.0 < mixed < 1.0:
            raise InputError(f"the share of mixed pixels is {mixed}", "give it between 0 and 1")
        spectra = references.transpose("reference", "energy").to_numpy().astype(np.float64)
        if not np.isfinite(spectra).all():
            raise InputError(
                "a reference is not finite on the stack's energies", source="references"
            )
        spectra = spectra - spectra.mean(axis=1, keepdims=True)
        spread = np.linalg.norm(spectra, axis=1)
        if (spread <= 1e-9).any():
            raise InputError(
                f"reference {int(np.argmin(spread)) + 1} is constant over the stack's energies",
                "leave it out",
                source="references",
            )
        n = len(spectra)
        first, second = np.triu_indices(n, 1)
        likeness = (spectra @ spectra.T / np.outer(spread, spread))[first, second]
        if likeness.size and likeness.max() > 1 - 1e-9:
            p = int(np.argmax(likeness))
            raise InputError(
                f"references {first[p] + 1} and {second[p] + 1} are the same spectrum",
                "leave one out",
                source="references",
            )
        upper = np.triu_indices(n)
        product_of = np.zeros((n, n), dtype=np.intp)
        product_of[upper] = product_of[upper[::-1]] = np.arange(upper[0].size)
        columns = np.vstack([np.ones(energy.size), spectra, spectra[upper[0]] * spectra[upper[1]]])
        return cls(columns, n, product_of, first, second, mixed)


@dataclass(frozen=True)
class Sums:
    """Weighted sums over energy, the free offset eliminated.

    Attributes
    ----------
    square : (pixel,)
        Σ w d² of the data d.
    cross : (phase, pixel)
        Σ w d r.
    product : (products, pixel)
        Σ w r_p r_q, in the order of ``Model.product_of``.
    readings : (pixel,)
        Usable readings.
    """

    square: Array
    cross: Array
    product: Array
    readings: NDArray[np.intp]


def sums_over_energy(density: Array, weight: Array, model: Model) -> Sums:
    """Sums of optical density (energy, pixel) with weights (inverse variances) of that shape.

    Readings that are not finite are left out; too few give NaN.
    """
    usable = np.isfinite(density) & np.isfinite(weight)
    readings = usable.sum(axis=0)
    weight = np.where(usable, weight, 0.0)
    density = np.where(usable, density, 0.0)
    # Less the weighted mean: no large numbers cancel below.
    # With too few readings NaN goes through to the maps.
    total = np.where(readings > PARAMETERS, weight.sum(axis=0), np.nan)
    density = density - (weight * density).sum(axis=0) / total
    n = model.n_phases
    moments = model.columns[1:] @ weight
    weighted = weight * density
    upper = np.triu_indices(n)
    mean = moments[:n]
    return Sums(
        square=np.einsum("ep,ep->p", weighted, density),
        cross=model.columns[1 : n + 1] @ weighted,
        product=moments[n:] - mean[upper[0]] * mean[upper[1]] / total,
        readings=readings,
    )


@dataclass(frozen=True)
class Fits:
    """Least squares with one phase, and with each pair; not yet bounded to a, b ≥ 0."""

    own: Array
    chi2_one: Array
    a: Array
    b: Array
    determinant: Array
    chi2_two: Array

    def best(self, cross: Array, square: Array) -> Array:
        """Smallest χ² with at most two phases and a, b ≥ 0.

        With two parameters the bounded optimum is the free one if that is allowed, else it
        lies on a bound, where one phase alone is left: the non-negative fit in closed form.
        """
        bounded = np.minimum(square, np.where(cross > 0, self.chi2_one, square).min(axis=0))
        allowed = (self.a >= 0) & (self.b >= 0)
        pairs = np.where(allowed, self.chi2_two, np.inf)
        return np.asarray(np.minimum(bounded, pairs.min(axis=0, initial=np.inf)))


def fit(sums: Sums, model: Model) -> Fits:
    """Least squares with each phase and each pair, from the sums."""
    p, q = model.first, model.second
    own = sums.product[np.diag(model.product_of)]
    shared = sums.product[model.product_of[p, q]]
    determinant = own[p] * own[q] - shared**2
    a = (own[q] * sums.cross[p] - shared * sums.cross[q]) / determinant
    b = (own[p] * sums.cross[q] - shared * sums.cross[p]) / determinant
    return Fits(
        own=own,
        chi2_one=np.maximum(sums.square - sums.cross**2 / own, 0.0),
        a=a,
        b=b,
        determinant=determinant,
        chi2_two=np.maximum(sums.square - a * sums.cross[p] - b * sums.cross[q], 0.0),
    )


def judge(sums: Sums, model: Model) -> tuple[Array, Array, Array, Array]:
    """Posterior, mean abundance and its standard error (phase, pixel), reduced χ² (pixel,).

    The standard error is the standard deviation of the posterior over all explanations.

    Where even the best fit has a reduced χ² above 1, all χ² of that pixel are divided by it.
    """
    fits = fit(sums, model)
    p, q = model.first, model.second
    chi2 = fits.best(sums.cross, sums.square) / (sums.readings - PARAMETERS)
    temper = np.maximum(chi2, 1.0)

    # One phase: ∫ over thickness ≥ 0 of a Gaussian of width sigma around cross / own.
    sigma = np.sqrt(temper / fits.own)
    one = (
        -fits.chi2_one / (2 * temper)
        + 0.5 * np.log(2 * np.pi)
        + np.log(sigma)
        + log_ndtr(sums.cross / fits.own / sigma)
        + np.log((1 - model.mixed if len(p) else 1.0) / model.n_phases)
    )
    above, below, share, variance = _pairs(fits, sums, model, temper)
    terms = [
        np.concatenate([one[k : k + 1], above[p == k], below[q == k]])
        for k in range(model.n_phases)
    ]
    peak = np.max([t.max(axis=0) for t in terms], axis=0)
    posterior = np.stack([np.exp(t - peak).sum(axis=0) for t in terms])
    total = posterior.sum(axis=0)
    posterior /= total

    abundance = np.exp(one - peak) / total
    second = abundance.copy()  # moment of the share, which is 1 for one phase alone
    pair = (np.exp(above - peak) + np.exp(below - peak)) / total
    for k in range(len(p)):
        abundance[p[k]] += pair[k] * share[k]
        abundance[q[k]] += pair[k] * (1 - share[k])
        second[p[k]] += pair[k] * (share[k] ** 2 + variance[k])
        second[q[k]] += pair[k] * ((1 - share[k]) ** 2 + variance[k])
    error = np.sqrt(np.maximum(second - abundance**2, 0.0))
    return posterior, abundance, error, chi2


def _pairs(
    fits: Fits, sums: Sums, model: Model, temper: Array
) -> tuple[Array, Array, Array, Array]:
    """Log evidence of each pair with the first phase (second phase) in the lead, share, variance.

    The share is the mean one of the first phase, with its variance.

    In thickness t = a + b and difference v = a − b the Gaussian is integrated over t ≥ 0 and
    over v in [−t, 0] and [0, t] at the fitted t (t is far better known than v).
    """
    p, q = model.first, model.second
    shared = sums.product[model.product_of[p, q]]
    spread = temper / fits.determinant
    sigma_t = np.sqrt((fits.own[p] + fits.own[q] - 2 * shared) * spread)
    sigma = np.sqrt((fits.own[p] + fits.own[q] + 2 * shared) * spread)
    difference = fits.a - fits.b
    fitted = fits.a + fits.b
    thickness = np.maximum(fitted, sigma_t)  # a pixel without sample has no share to speak of
    common = (
        -fits.chi2_two / (2 * temper)
        + np.log(2 * np.pi)
        + np.log(2 * np.sqrt(temper * spread))  # √det of the covariance of (t, v)
        + log_ndtr(fitted / sigma_t)
        - np.log(2 * thickness)
        + np.log(model.mixed / max(len(p), 1))
    )
    low, middle, high = ((edge - difference) / sigma for edge in (-thickness, 0.0, thickness))
    above = _log_between(middle, high)
    below = _log_between(low, middle)
    # Mean of a Gaussian cut off at both ends.
    mass = np.logaddexp(above, below)
    at_low, at_high = (np.exp(-(end**2) / 2 - mass) / np.sqrt(2 * np.pi) for end in (low, high))
    pull = at_low - at_high
    mean = difference + sigma * pull
    share = np.clip(0.5 + 0.5 * mean / thickness, 0.0, 1.0)
    width = np.clip(1.0 + low * at_low - high * at_high - pull**2, 0.0, 1.0)
    return common + above, common + below, share, width * np.square(0.5 * sigma / thickness)


def _log_between(low: Array, high: Array) -> Array:
    """Log of the standard normal's mass between two values, also far out in either tail."""
    turned = low > 0
    near = log_ndtr(np.where(turned, -low, high))
    far = log_ndtr(np.where(turned, -high, low))
    return np.asarray(near + np.log1p(-np.exp(np.minimum(far - near, -1e-12))))


def stands_out(chi2: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Reduced χ² far above the others', on a logarithmic scale: what the phases do not explain.

    Level and spread come from the lower half alone, so that even a foreign phase that holds a
    third of the pixels does not hide itself. Five deviations, and at least a factor four.
    """
    level = np.log(np.maximum(chi2, 1e-12))
    low, quarter = np.quantile(level, [0.05, 0.25])
    spread = (quarter - low) / 0.970  # normal quantiles: 1.645 − 0.674
    middle = quarter + 0.674 * spread
    return np.asarray(level > middle + max(5.0 * spread, float(np.log(4.0))))
