"""Assignment of a phase to every pixel, and all maps of a stack.

:func:`judge` looks at one stack alone, :func:`in_latent_space` at all together,
:func:`complete` turns the assignment into the maps of the results contract.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.compute.execution import Execution
from phaseloom.maps.regions import label_particles
from phaseloom.stxm.assignment import pixels
from phaseloom.stxm.assignment.description import Examined, shift_attributes, shift_variables
from phaseloom.stxm.assignment.evidence import stands_out
from phaseloom.stxm.assignment.likelihood import likelihood
from phaseloom.stxm.assignment.neighbourhood import smooth as smooth_posterior
from phaseloom.stxm.assignment.rims import without_rims
from phaseloom.stxm.options import PhaseMapping
from phaseloom.stxm.preparation.preparation import counted_baseline, incident_counts, variance
from phaseloom.stxm.references.correlation import correlate
from phaseloom.stxm.references.references import sample_references

if TYPE_CHECKING:
    from phaseloom.stxm.assignment.latent_space import Resolution

_UNEXPLAINED = 3.0
"""Least reduced χ² of an unknown pixel."""


def judge(
    prepared: xr.Dataset,
    references: Sequence[xr.DataArray],
    examined: Examined,
    *,
    margin: float | Literal["noise"] = 0.005,
) -> xr.Dataset:
    """References at the stack's energies, correlation and likelihood maps.

    Parameters
    ----------
    prepared
        From :func:`phaseloom.stxm.prepare`.
    references
        (energy,) each.
    examined
        Energy shift and noise, from :func:`phaseloom.stxm.assignment.description.examine`.
    margin
        See :func:`phaseloom.stxm.references.correlation.correlate`.

    Returns
    -------
    xarray.Dataset
        What :func:`correlate` returns; ``likelihood`` (reference, y, x), the posterior of the
        count-weighted fits, ``abundance``, ``abundance_error``, ``chi2``;
        ``reference_spectrum`` (reference, energy); variables and attributes of the energy shift
        (:func:`phaseloom.stxm.assignment.description.shift_variables`); attr ``noise_scale``.
    """
    density = prepared["optical_density"]
    mask = prepared["mask"]
    fitted = examined.shift
    sampled = sample_references(references, density["energy"].to_numpy(), shift=fitted.applied)
    # Where too few pixels lie together to tell the noise, it is taken from what the fits leave.
    fits = likelihood(
        density,
        sampled,
        i0=examined.i0,
        baseline=counted_baseline(prepared),
        mask=mask,
        noise="residuals" if examined.i0 is None else "counts",
    )
    scale = fits.attrs["noise_scale"] if examined.i0 is None else examined.noise_scale
    noise = None
    if margin == "noise":
        noise = variance(prepared, mask.to_numpy())
        noise *= np.float32(scale)
    maps = correlate(density, sampled, mask, margin=margin, variance=noise)
    result = maps.assign(
        likelihood=fits["posterior"],
        abundance=fits["abundance"],
        abundance_error=fits["abundance_error"],
        chi2=fits["chi2"],
        reference_spectrum=sampled,
        **shift_variables(fitted),
    ).assign_coords(phase_value=sampled["phase_value"])
    return result.assign_attrs(shift_attributes(fitted), noise_scale=scale)


def in_latent_space(
    prepared: Mapping[str, xr.Dataset],
    judged: Mapping[str, xr.Dataset],
    references: Sequence[xr.DataArray],
    mapping: PhaseMapping,
    *,
    seed: int,
    execution: Execution,
) -> tuple[dict[str, xr.Dataset], xr.Dataset]:
    """Phases of all stacks' pixels from one latent space.

    Returns
    -------
    maps : dict of xarray.Dataset
        By name of the stack: ``phase``, ``posterior``, ``false_assignment``, ``transition``,
        ``latent`` as maps.
    components : xarray.Dataset
        The shared latent space: ``component_mean`` (reference, latent), ``component_covariance``
        (reference, latent, other_latent), NaN for phases that have no cluster;
        ``cluster_spectrum`` (reference, energy), centred and scaled.
    """
    from phaseloom.stxm.assignment.latent_space import resolve

    mean_shift = float(np.mean([maps.attrs["energy_shift"] for maps in judged.values()]))
    places = pixels.places(prepared)
    spectra = pixels.common_spectra(prepared, judged, references, mean_shift)
    first = next(iter(judged.values()))
    resolution = resolve(
        spectra,
        _of_pixels(prepared, judged, "phase_pearson"),
        _of_pixels(prepared, judged, "ambiguous"),
        variance=pixels.counting_variance(prepared, judged, spectra),
        phase_names=[str(label) for label in first["reference"].to_numpy()],
        references=sample_references(
            references, first["energy"].to_numpy(), shift=mean_shift
        ).to_numpy(),
        latent_dims=mapping.latent_dims,
        covariance=mapping.covariance,
        seed=seed,
        device=execution.device,
        progress=execution.progress,
    )
    maps = {
        name: _as_maps(resolution, place, prepared[name]["mask"].to_numpy())
        for name, place in places.items()
    }
    return maps, _components(resolution, first["reference"])


def by_argmax(judged: xr.Dataset, by: Literal["likelihood", "pearson"]) -> xr.Dataset:
    """Phases without a latent space: the likeliest of every pixel, or the best correlated.

    The posterior is that of the count-weighted fits either way. A confident Pearson label is a
    false assignment when the fits give it less than one chance in twenty; a pixel is of a
    transition phase when two phases share it more evenly than four to one. By likelihood, a
    pixel is unknown (−2) when its χ² stands far out from the others'.
    """
    posterior = judged["likelihood"]
    first = judged["phase_pearson"].to_numpy()
    probability = posterior.to_numpy()
    assignable = (first >= 0) & np.isfinite(probability).all(axis=0)
    of_first = np.take_along_axis(probability, np.maximum(first, 0)[None].astype(np.intp), 0)[0]
    contradicted = assignable & (of_first < 0.05) & ~judged["ambiguous"].to_numpy()
    with np.errstate(invalid="ignore"):
        mixed = assignable & (judged["abundance"].to_numpy().max(axis=0) < 0.8)
    if by == "pearson":
        phase = first
    else:
        phase = np.where(assignable, np.argmax(np.nan_to_num(probability), axis=0), first)
        chi2 = judged["chi2"].to_numpy()[assignable]
        phase[assignable] = np.where(
            stands_out(chi2) & (chi2 > _UNEXPLAINED), -2, phase[assignable]
        )
    return xr.Dataset(
        {
            "phase": (("y", "x"), phase.astype(np.int8)),
            "posterior": posterior,
            "abundance": judged["abundance"],
            "false_assignment": (("y", "x"), contradicted),
            "transition": (("y", "x"), mixed & (phase != -2)),
        }
    )


def complete(
    prepared: xr.Dataset,
    judged: xr.Dataset,
    assigned: xr.Dataset,
    *,
    smooth: float = 0.0,
    rims: bool = False,
    value_name: str = "value",
) -> xr.Dataset:
    """All maps of one stack: spatial prior, rims, values, particles, fit residual.

    Parameters
    ----------
    smooth
        Strength of the Potts field on the posterior; unknown pixels stay unknown.
    rims
        Give rims one pixel wide of an intermediate phase to the two phases that meet there.
    value_name
        What the phases' numbers are, for figures.
    """
    result = judged.drop_vars("likelihood").assign(assigned.variables)
    if smooth > 0:
        smoothed = _smoothed(result, prepared["mask"], smooth)
        result = result.drop_vars(["phase", "posterior"]).assign(smoothed.variables)
    if rims:
        counts = incident_counts(prepared)
        taken = without_rims(
            result,
            prepared["optical_density"],
            baseline=counted_baseline(prepared),
            counts=(np.ones(prepared.sizes["energy"]) if counts is None else counts)
            / judged.attrs["noise_scale"],
        )
        result = result.drop_vars([v for v in taken if v in result]).assign(taken.variables)
    labels = result["phase"].to_numpy()
    values = result["phase_value"].to_numpy().astype(np.float32)
    value = np.where(labels >= 0, values[np.maximum(labels, 0)], np.float32(np.nan))
    mean = _mean_value(values, result["abundance"].to_numpy())
    result = result.assign(
        phase=(("y", "x"), labels, _flags(result["reference"])),
        value=(("y", "x"), value.astype(np.float32), {"long_name": value_name}),
        value_mean=(
            ("y", "x"),
            np.where(labels >= 0, mean, np.nan).astype(np.float32),
            {"long_name": value_name},
        ),
        particle=(("y", "x"), label_particles(prepared["mask"].to_numpy(), minimum_pixels=9)),
    )
    return result.assign_attrs(residual=pixels.residual(prepared, judged), smooth=smooth)


def _smoothed(result: xr.Dataset, mask: xr.DataArray, strength: float) -> xr.Dataset:
    """Phase and posterior under the spatial prior: a label changes where the prior outvotes it."""
    before = result["posterior"].to_numpy()
    field = smooth_posterior(result["posterior"], mask, strength=strength)
    labels = result["phase"].to_numpy()
    likeliest = np.argmax(np.nan_to_num(before), axis=0)
    outvoted = (labels >= 0) & (field["phase"].to_numpy() != likeliest)
    return xr.Dataset(
        {
            "phase": (("y", "x"), np.where(outvoted, field["phase"].to_numpy(), labels)),
            "posterior": field["posterior"].variable,
        }
    )


def _mean_value(values: NDArray[np.float32], abundance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Σ value·abundance (y, x); NaN where phases without a value hold more than a hundredth."""
    has_value = np.isfinite(values)
    mean = np.tensordot(np.where(has_value, values, 0.0), abundance, axes=1)
    mean[abundance[~has_value].sum(axis=0) > 0.01] = np.nan
    return np.asarray(mean, dtype=np.float32)


def _of_pixels(
    prepared: Mapping[str, xr.Dataset], judged: Mapping[str, xr.Dataset], name: str
) -> NDArray[Any]:
    """One map of all stacks as a row of their particles' pixels."""
    return np.concatenate(
        [judged[n][name].to_numpy()[data["mask"].to_numpy()] for n, data in prepared.items()]
    )


def _as_maps(resolution: Resolution, place: slice, inside: NDArray[np.bool_]) -> xr.Dataset:
    """The part of a resolution that belongs to one stack, as maps."""

    def painted(values: NDArray[np.generic], outside: float | bool) -> NDArray[np.generic]:
        picture = np.full((*values.shape[1:], *inside.shape), outside, dtype=values.dtype)
        picture[..., inside] = values[place].T
        return picture

    return xr.Dataset(
        {
            "phase": (("y", "x"), painted(resolution.phase, -1)),
            "posterior": (("reference", "y", "x"), painted(resolution.posterior, np.nan)),
            "abundance": (("reference", "y", "x"), painted(resolution.abundance, np.nan)),
            "abundance_error": (
                ("reference", "y", "x"),
                painted(resolution.abundance_error, np.nan),
            ),
            "false_assignment": (("y", "x"), painted(resolution.false_assignment, False)),
            "transition": (("y", "x"), painted(resolution.transition, False)),
            "latent": (("latent", "y", "x"), painted(resolution.latent, np.nan)),
        }
    )


def _components(resolution: Resolution, names: xr.DataArray) -> xr.Dataset:
    centre, covariance = resolution.model.components
    n, dims = names.size, centre.shape[1]
    means, covariances = np.full((n, dims), np.nan), np.full((n, dims, dims), np.nan)
    means[resolution.present], covariances[resolution.present] = centre, covariance
    return xr.Dataset(
        {
            "component_mean": (("reference", "latent"), means),
            "component_covariance": (("reference", "latent", "other_latent"), covariances),
            "cluster_spectrum": (("reference", "energy"), resolution.cluster),
        },
        coords={"reference": names.to_numpy()},
        attrs={
            "noise_scale": resolution.noise_scale,
            "restarts": resolution.model.restarts,
            "absent": [str(n) for n in names.to_numpy()[~resolution.present]],
        },
    )


def _flags(names: xr.DataArray) -> dict[str, object]:
    """What the numbers of the phase map mean, after the CF conventions."""
    labels = [str(n) for n in names.to_numpy()]
    return {
        "flag_values": [*range(len(labels)), -1, -2],
        "flag_meanings": [*labels, "outside", "unknown"],
    }
