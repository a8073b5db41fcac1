"""Count-weighted fits of every pixel spectrum: posterior, abundance, reduced χ².

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

from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from phaseloom.compute.blocks import slabs
from phaseloom.compute.progress import SILENT, Progress
from phaseloom.errors import InputError
from phaseloom.stxm.assignment.evidence import (
    PARAMETERS,
    Array,
    Model,
    fit,
    judge,
    sums_over_energy,
)


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
    progress: Progress = SILENT,
) -> xr.Dataset:
    """Posterior of the phases and their abundance in every pixel, from count-weighted fits.

    Parameters
    ----------
    optical_density
        (energy, y, x), numpy- or dask-backed; NaN or infinite readings are left out of the fit.
    references
        (reference, energy) on the same energies, in any common scale per phase.
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
        with the references' coordinates on ``reference``:
        ``posterior`` (reference, y, x), probability that the phase has the largest share;
        ``abundance`` (reference, y, x), posterior-mean share, sums to 1; ``abundance_error``,
        its standard deviation over the posterior;
        ``chi2`` (y, x), reduced χ² of the best fit with at most two phases (not tempered).
        ``attrs["noise_scale"]``: factor put on the variance (1 with "counts").

    Raises
    ------
    InputError
        If energies differ, there are fewer than four, a reference is constant or not finite or
        equal to another, ``i0`` or ``variance`` is not positive, or the mask is empty.
    """
    data = _on_energy_y_x(optical_density)
    model = Model.of(data, references, mixed)
    readings = _Noise.of(data, i0, baseline, variance, noise)
    inside = _inside(data, mask)
    scale = _residual_scale(data, readings, model, inside) if noise == "residuals" else 1.0

    shape = inside.shape
    n_phases = references.sizes["reference"]
    maps = {
        name: np.full((n_phases, *shape), np.nan, dtype=np.float32)
        for name in ("posterior", "abundance", "abundance_error")
    }
    chi2 = np.full(shape, np.nan, dtype=np.float32)
    for rows, _ in progress.track(list(slabs(inside)), "likelihood"):
        in_slab = inside[rows]
        density = _block(data[:, rows], in_slab)
        sums = sums_over_energy(density, readings.weights(density, rows, in_slab) / scale, model)
        with np.errstate(invalid="ignore", divide="ignore"):  # NaN of pixels short of readings
            *per_phase, chi2[rows][in_slab] = judge(sums, model)
        for values, block in zip(maps.values(), per_phase, strict=True):
            values[:, rows][:, in_slab] = block

    of_references = {
        str(name): ("reference", c.to_numpy())
        for name, c in references.coords.items()
        if c.dims == ("reference",)
    }
    return xr.Dataset(
        {
            **{name: (("reference", "y", "x"), values) for name, values in maps.items()},
            "chi2": (("y", "x"), chi2, {"units": "1", "long_name": "reduced chi-square"}),
        },
        coords={"y": data["y"], "x": data["x"], **of_references},
        attrs={"noise_scale": scale, "mixed": mixed},
    )


@dataclass(frozen=True)
class _Noise:
    """What the readings are weighted by: counts from i0 and baseline, or a given variance."""

    i0: Array
    baseline: Array
    variance: xr.DataArray | None

    def weights(self, density: Array, rows: slice, in_slab: NDArray[np.bool_]) -> Array:
        """Inverse variance (energy, pixel) of a block of optical density."""
        if self.variance is not None:
            return 1.0 / _block(self.variance[:, rows], in_slab)
        return np.asarray(self.i0[:, None] * np.exp(-density - self.baseline[rows][in_slab]))

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


def _residual_scale(
    data: xr.DataArray, readings: _Noise, model: Model, inside: NDArray[np.bool_]
) -> float:
    """Median reduced χ² of the best fits, over slabs spread through the map."""
    all_rows = [rows for rows, _ in slabs(inside)]
    blocks = []
    for rows in all_rows[:: max(1, len(all_rows) // 8)]:
        in_slab = inside[rows]
        density = _block(data[:, rows], in_slab)
        sums = sums_over_energy(density, readings.weights(density, rows, in_slab), model)
        best = fit(sums, model).best(sums.cross, sums.square)
        blocks.append(best / (sums.readings - PARAMETERS))
    reduced = np.concatenate(blocks)
    reduced = reduced[np.isfinite(reduced)]
    if not reduced.size or not np.median(reduced) > 0:
        raise InputError(
            "the noise cannot be told from the residuals: the fits leave none",
            "give i0 in counts or a variance",
        )
    return float(np.median(reduced))


def _block(slab: xr.DataArray, in_slab: NDArray[np.bool_]) -> Array:
    """Pixels of a slab of rows, (energy, pixel)."""
    return np.asarray(slab.to_numpy()[:, in_slab], dtype=np.float64)


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
