"""Which phase, how sure, and how much of two: count-weighted fits of every pixel spectrum.

A pixel is modelled as optical density = a·r_p + b·r_q + offset with a, b ≥ 0: one phase, or two
that share the pixel, as at a grain boundary. The variance of an optical density is
1 / counts, so every reading is weighted by its counts i0·exp(−optical density). All sums over
energy are matrix products; what is left per pixel and pair is a 2×2 system in closed form.

The posterior integrates over what is not asked for (Bayesian evidence, Laplace form, exact for
the Gaussian part; MacKay, *Information Theory, Inference, and Learning Algorithms*, ch. 28):
thickness t = a + b ≥ 0 and offset with flat priors, and for two phases their difference
v = a − b, uniform in [−t, t]. A phase's posterior is the probability that it has the largest
share: its one-phase evidence plus the part of every pair's evidence on its side of v = 0.
Because the two-phase models compete, mixed pixels are not claimed with false confidence.

No reference is perfect: where even the best fit has a reduced χ² above 1, all χ² of that pixel
are divided by it (tempering), so that misfit widens the posterior instead of sharpening it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr

from phaseloom.compute.progress import Progress, Silent
from phaseloom.errors import InputError

Array = NDArray[np.float64]

#: Pixels fitted at once; keeps a block of 120 energies below 100 MB.
BLOCK = 16384
#: Thickness and share of the second phase, and the offset.
PARAMETERS = 3


def likelihood(
    optical_density: xr.DataArray,
    references: xr.DataArray,
    *,
    i0: ArrayLike | xr.DataArray | None = None,
    baseline: ArrayLike | xr.DataArray | None = None,
    variance: xr.DataArray | None = None,
    noise: Literal["counts", "residuals"] = "counts",
    mask: xr.DataArray | NDArray[np.bool_] | None = None,
    mixed: float = 0.2,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Posterior of the phases and their abundance in every pixel, from count-weighted fits.

    Parameters
    ----------
    optical_density
        (energy, y, x), numpy- or dask-backed; NaN or infinite readings are left out of the fit.
    references
        (phase, energy) on the same energies, in any common scale per phase.
    i0
        (energy) incident intensity; sets the weights i0·exp(−optical density).
    baseline
        (y, x) already subtracted from the optical density; the counts still know of it.
    variance
        (energy) or (energy, y, x) variance of the optical density, instead of ``i0``.
    noise
        "counts": ``i0`` is in detected counts (``variance`` is absolute). "residuals": ``i0``
        (``variance``) is known up to a factor, which is taken from the residuals: the median
        reduced χ² over the pixels becomes 1. ``i0`` may then be left out (flat).
    mask
        (y, x), true where there is sample; everywhere when left out.
    mixed
        Prior probability that a pixel holds two phases.
    progress
        Told about the blocks of pixels.

    Returns
    -------
    xarray.Dataset
        float32, NaN outside the mask and where fewer than four readings are usable,
        with the references' coordinates on ``phase`` (an index named ``phase`` left out):
        ``posterior`` (phase, y, x), probability that the phase has the largest share;
        ``abundance`` (phase, y, x), posterior-mean share, sums to 1;
        ``log_likelihood`` (phase, y, x), −χ²/2 of the one-phase fit, tempered;
        ``chi2`` (y, x), reduced χ² of the best fit with at most two phases (not tempered).
        ``attrs["noise_scale"]``: factor put on the variance (1 with "counts").

    Raises
    ------
    InputError
        If energies differ, there are fewer than four, a reference is constant or not finite or
        equal to another, ``i0`` or ``variance`` is not positive, or the mask is empty.
    """
    data = _on_energy_y_x(optical_density)
    model = _Model.of(data, references, mixed)
    readings = _Noise.of(data, i0, baseline, variance, noise)
    inside = _inside(data, mask)
    scale = _residual_scale(data, readings, model, inside) if noise == "residuals" else 1.0

    shape = inside.shape
    n_phases = references.sizes["phase"]
    maps = {
        name: np.full((n_phases, *shape), np.nan, dtype=np.float32)
        for name in ("posterior", "abundance", "log_likelihood")
    }
    chi2 = np.full(shape, np.nan, dtype=np.float32)
    for rows in (progress or Silent()).track(list(_slabs(shape)), "likelihood"):
        here = inside[rows]
        if not here.any():
            continue
        density = _block(data[:, rows], here)
        sums = _sums(density, readings.weights(density, rows, here) / scale, model)
        with np.errstate(invalid="ignore", divide="ignore"):  # NaN of pixels short of readings
            *per_phase, chi2[rows][here] = _judge(sums, model)
        for values, found in zip(maps.values(), per_phase, strict=True):
            values[:, rows][:, here] = found

    phase_coordinates = {
        str(name): ("phase", c.to_numpy())
        for name, c in references.coords.items()
        if c.dims == ("phase",) and name != "phase"
    }
    return xr.Dataset(
        {
            **{name: (("phase", "y", "x"), values) for name, values in maps.items()},
            "chi2": (("y", "x"), chi2, {"units": "1", "long_name": "reduced chi-square"}),
        },
        coords={"y": data["y"], "x": data["x"], **phase_coordinates},
        attrs={"noise_scale": scale, "mixed": mixed},
    )


@dataclass(frozen=True)
class _Model:
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
    def of(cls, data: xr.DataArray, references: xr.DataArray, mixed: float) -> _Model:
        if set(references.dims) != {"phase", "energy"}:
            raise InputError(
                f"the references have dimensions {references.dims}",
                "give one array over (phase, energy)",
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
        spectra = references.transpose("phase", "energy").to_numpy().astype(np.float64)
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
class _Noise:
    """What the readings are weighted by: counts from i0 and baseline, or a given variance."""

    i0: Array
    baseline: Array
    variance: xr.DataArray | None

    def weights(self, density: Array, rows: slice, here: NDArray[np.bool_]) -> Array:
        """Inverse variance (energy, pixel) of a block of optical density."""
        if self.variance is not None:
            return 1.0 / _block(self.variance[:, rows], here)
        return np.asarray(self.i0[:, None] * np.exp(-density - self.baseline[rows][here]))

    @classmethod
    def of(
        cls,
        data: xr.DataArray,
        i0: ArrayLike | xr.DataArray | None,
        baseline: ArrayLike | xr.DataArray | None,
        variance: xr.DataArray | None,
        noise: str,
    ) -> _Noise:
        if noise not in ("counts", "residuals"):
            raise InputError(f'noise "{noise}" is unknown', 'choose "counts" or "residuals"')
        if i0 is not None and variance is not None:
            raise InputError("both i0 and a variance were given", "give one of them")
        if i0 is None and variance is None and noise == "counts":
            raise InputError(
                "the noise is unknown", 'give i0 in counts, a variance, or noise="residuals"'
            )
        n_energies, *shape = data.shape
        incident = np.ones(n_energies) if i0 is None else np.asarray(i0, dtype=float)
        if incident.shape != (n_energies,):
            raise InputError(f"i0 has shape {incident.shape}", "give one value per energy")
        if not (np.isfinite(incident).all() and (incident > 0).all()):
            raise InputError("the incident intensity is not positive at every energy", source="i0")
        subtracted = np.zeros(shape) if baseline is None else np.asarray(baseline, dtype=float)
        if subtracted.shape != tuple(shape):
            raise InputError(f"the baseline has shape {subtracted.shape}, the stack {shape}")
        if variance is not None:
            if any(data.sizes.get(d) != size for d, size in variance.sizes.items()):
                raise InputError(
                    f"the variance has sizes {dict(variance.sizes)}, the stack {dict(data.sizes)}"
                )
            if not bool((variance > 0).all()):
                raise InputError("the variance is not positive everywhere", source="variance")
            missing = {d: data.sizes[d] for d in data.dims if d not in variance.dims}
            variance = variance.expand_dims(missing).transpose("energy", "y", "x")
        return cls(incident, subtracted, variance)


@dataclass(frozen=True)
class _Sums:
    """Weighted sums over energy, the free offset eliminated.

    Attributes
    ----------
    square : (pixel,)
        Σ w d² of the data d.
    cross : (phase, pixel)
        Σ w d r.
    product : (products, pixel)
        Σ w r_p r_q, in the order of ``_Model.product_of``.
    readings : (pixel,)
        Usable readings.
    """

    square: Array
    cross: Array
    product: Array
    readings: NDArray[np.intp]


def _sums(density: Array, weight: Array, model: _Model) -> _Sums:
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
    return _Sums(
        square=np.einsum("ep,ep->p", weighted, density),
        cross=model.columns[1 : n + 1] @ weighted,
        product=moments[n:] - mean[upper[0]] * mean[upper[1]] / total,
        readings=readings,
    )


@dataclass(frozen=True)
class _Fits:
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


def _fit(sums: _Sums, model: _Model) -> _Fits:
    p, q = model.first, model.second
    own = sums.product[np.diag(model.product_of)]
    shared = sums.product[model.product_of[p, q]]
    determinant = own[p] * own[q] - shared**2
    a = (own[q] * sums.cross[p] - shared * sums.cross[q]) / determinant
    b = (own[p] * sums.cross[q] - shared * sums.cross[p]) / determinant
    return _Fits(
        own=own,
        chi2_one=np.maximum(sums.square - sums.cross**2 / own, 0.0),
        a=a,
        b=b,
        determinant=determinant,
        chi2_two=np.maximum(sums.square - a * sums.cross[p] - b * sums.cross[q], 0.0),
    )


def _judge(sums: _Sums, model: _Model) -> tuple[Array, Array, Array, Array]:
    """Posterior, abundance, tempered one-phase log likelihood and reduced χ²."""
    fits = _fit(sums, model)
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
    above, below, share = _pairs(fits, sums, model, temper)
    terms = [
        np.concatenate([one[k : k + 1], above[p == k], below[q == k]])
        for k in range(model.n_phases)
    ]
    peak = np.max([t.max(axis=0) for t in terms], axis=0)
    posterior = np.stack([np.exp(t - peak).sum(axis=0) for t in terms])
    total = posterior.sum(axis=0)
    posterior /= total

    abundance = np.exp(one - peak) / total
    pair = (np.exp(above - peak) + np.exp(below - peak)) / total
    for k in range(len(p)):
        abundance[p[k]] += pair[k] * share[k]
        abundance[q[k]] += pair[k] * (1 - share[k])
    bounded = np.where(sums.cross > 0, fits.chi2_one, sums.square)
    return posterior, abundance, -bounded / (2 * temper), chi2


def _pairs(fits: _Fits, sums: _Sums, model: _Model, temper: Array) -> tuple[Array, Array, Array]:
    """Log evidence of each pair with the first phase (second phase) in the lead, mean share.

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
    pull = np.exp(-(low**2) / 2 - mass) - np.exp(-(high**2) / 2 - mass)
    mean = difference + sigma * pull / np.sqrt(2 * np.pi)
    share = np.clip(0.5 + 0.5 * mean / thickness, 0.0, 1.0)
    return common + above, common + below, share


def _log_between(low: Array, high: Array) -> Array:
    """Log of the standard normal's mass between two values, also far out in either tail."""
    turned = low > 0
    near = log_ndtr(np.where(turned, -low, high))
    far = log_ndtr(np.where(turned, -high, low))
    return np.asarray(near + np.log1p(-np.exp(np.minimum(far - near, -1e-12))))


def _residual_scale(
    data: xr.DataArray, readings: _Noise, model: _Model, inside: NDArray[np.bool_]
) -> float:
    """Median reduced χ² of the best fits, over slabs spread through the map."""
    slabs = [rows for rows in _slabs(inside.shape) if inside[rows].any()]
    found = []
    for rows in slabs[:: max(1, len(slabs) // 8)]:
        here = inside[rows]
        density = _block(data[:, rows], here)
        sums = _sums(density, readings.weights(density, rows, here), model)
        best = _fit(sums, model).best(sums.cross, sums.square)
        found.append(best / (sums.readings - PARAMETERS))
    reduced = np.concatenate(found)
    reduced = reduced[np.isfinite(reduced)]
    if not reduced.size or not np.median(reduced) > 0:
        raise InputError(
            "the noise cannot be told from the residuals: the fits leave none",
            "give i0 in counts or a variance",
        )
    return float(np.median(reduced))


def _block(slab: xr.DataArray, here: NDArray[np.bool_]) -> Array:
    """Pixels of a slab of rows, (energy, pixel)."""
    return np.asarray(slab.to_numpy()[:, here], dtype=np.float64)


def _slabs(shape: tuple[int, ...]) -> Iterator[slice]:
    """Rows in groups of about ``BLOCK`` pixels."""
    step = max(1, BLOCK // shape[1])
    for start in range(0, shape[0], step):
        yield slice(start, min(start + step, shape[0]))


def _on_energy_y_x(optical_density: xr.DataArray) -> xr.DataArray:
    if set(optical_density.dims) != {"energy", "y", "x"}:
        raise InputError(
            f"the optical density has dimensions {optical_density.dims}",
            "give a stack over (energy, y, x)",
        )
    return optical_density.transpose("energy", "y", "x")


def _inside(data: xr.DataArray, mask: xr.DataArray | NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    shape = (data.sizes["y"], data.sizes["x"])
    if mask is None:
        return np.ones(shape, dtype=bool)
    inside = np.asarray(mask, dtype=bool)
    if inside.shape != shape:
        raise InputError(f"the mask has shape {inside.shape}, the stack {shape}", source="mask")
    if not inside.any():
        raise InputError(
            "the mask is empty: there is no sample pixel to fit", "loosen it", source="mask"
        )
    return inside
