"""Whether the references describe a stack, before it is mapped; what is shown where they do not.

A map of references that do not fit is wrong with confidence. So the energy shift and the noise
come first (:func:`examine`), and no map is made of a stack that the references miss
(:func:`refuse`), unless it is asked for.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning
from phaseloom.stxm.preparation.preparation import counted_baseline, incident_counts
from phaseloom.stxm.references.energy_shift import DESCRIBED, EnergyShift, fit_energy_shift
from phaseloom.stxm.references.noise import noise_scale
from phaseloom.stxm.references.references import sample_references

_MISSED = 0.05
"""References that miss more than this part of the spectra's contrast make no map. On simulated
stacks those 0.3 eV off, or 0.8 eV too blurred, miss as much, and half to four fifths of a map is
right; a measured iron stack is missed by 0.03 to 0.04 by spectra of its own regions (its I0)."""

_BETTER_ELSEWHERE = 0.02, 4.0
"""Less is too much where the best shift, which is not applied, divides χ² by the second number."""

_COUNTING = (0.6, 1.5)
"""Noise within these multiples of that of counting is taken for it."""


_OPPOSED = -0.5
"""Correlation with the stack below which references are upside down."""


class UnfittingReferencesError(InputError):
    """The references do not describe a stack: no map is made of it.

    Attributes
    ----------
    shown
        By name of the stack, what helps to find out why: see :func:`spectra_shown`.
    """

    shown: Mapping[str, xr.Dataset]


@dataclass(frozen=True)
class Examined:
    """Energy shift and noise of one stack.

    Attributes
    ----------
    shift
        The fit of the energy shift, and the shift in use.
    i0
        Counts (energy,) that have the noise of the readings; None where nothing says what it is.
    noise_scale
        Variance of the readings over that of counting (of one count in the empty beam where
        counts are not known); NaN where nothing says what it is.
    """

    shift: EnergyShift
    i0: NDArray[np.float64] | None
    noise_scale: float


def examine(
    prepared: xr.Dataset,
    references: Sequence[xr.DataArray],
    *,
    shift: Literal["auto"] | float = "auto",
    seed: int = 0,
) -> Examined:
    """Noise and energy shift of a stack, and how well the references describe it.

    Parameters
    ----------
    prepared
        From :func:`phaseloom.stxm.prepare`.
    references
        (energy,) each.
    shift
        In eV, or "auto": fitted, and used where it should be.
    seed
        See :func:`phaseloom.stxm.references.energy_shift.fit_energy_shift`.
    """
    density = prepared["optical_density"]
    mask = prepared["mask"].to_numpy()
    energy = density["energy"].to_numpy()
    counts = incident_counts(prepared)
    scale = noise_scale(
        density,
        len(references),
        mask=mask,
        baseline=counted_baseline(prepared),
        i0=counts,
    )
    if counts is not None and not (scale < _COUNTING[0] or scale > _COUNTING[1]):
        scale = 1.0
    incident = None
    if np.isfinite(scale):
        incident = (np.ones(energy.size) if counts is None else counts) / scale
    fitted = fit_energy_shift(
        density,
        references,
        mask=mask,
        i0=incident,
        given=None if shift == "auto" else float(shift),
        seed=seed,
    )
    return Examined(fitted, incident, scale)


def refuse(
    prepared: Mapping[str, xr.Dataset],
    examined: Mapping[str, Examined],
    references: Sequence[xr.DataArray],
    *,
    given: bool,
) -> None:
    """Raise where the references miss a stack.

    Raises
    ------
    UnfittingReferencesError
        With what helps to find out why.
    """
    missed = [name for name, found in examined.items() if misses(found.shift)]
    if not missed:
        return
    name = missed[0]
    fit = examined[name].shift
    others = f" (nor {', '.join(missed[1:])})" if missed[1:] else ""
    shown = {n: spectra_shown(prepared[n], examined[n], references) for n in missed}
    error = UnfittingReferencesError(
        f"the references do not describe this stack{others}: they miss "
        f"{fit.misfit:.0%} of its spectra's contrast (reduced χ² {fit.chi2_applied:.3g}); "
        + _about_shift(fit, given=given)
        + _upside_down(shown[name]),
        "check the references' energies and phases, or give --shift, or --force for a map all "
        "the same",
        source=prepared[name].attrs["source"],
    )
    error.shown = shown
    raise error


def misses(fit: EnergyShift) -> bool:
    """Whether references, at the shift in use, miss too much of a stack to map it."""
    least, times = _BETTER_ELSEWHERE
    elsewhere = fit.reason != "" and fit.chi2_applied > times * fit.chi2
    missed = least if elsewhere and fit.applied == 0.0 else _MISSED
    return bool(fit.misfit > missed and fit.chi2_applied > DESCRIBED)


def warn_of_misfit(name: str, examined: Examined, *, given: bool) -> None:
    """Say once what is wrong with the shift, or with how the references describe the stack."""
    fit = examined.shift
    if misses(fit):
        warnings.warn(
            f"{name}: the references miss {fit.misfit:.0%} of the spectra's contrast (reduced χ² "
            f"{fit.chi2_applied:.3g}): the map was forced, and shows which reference is least "
            f"unlike, not which phase is there; {_about_shift(fit, given=given)}",
            InputWarning,
            stacklevel=3,
        )
    elif fit.reason and not given:
        warnings.warn(f"{name}: {_about_shift(fit, given=given)}", InputWarning, stacklevel=3)
    elif fit.chi2_applied > DESCRIBED:
        warnings.warn(
            f"{name}: the references describe the stack in part only (reduced χ² "
            f"{fit.chi2_applied:.3g}): a phase may be missing among them, "
            "or I0 be wrong from frame to frame",
            InputWarning,
            stacklevel=3,
        )
    if fit.stray_bound == "upper":
        warnings.warn(
            f"{name}: the stray light fitted sits at the most that the thickest parts of the "
            f"sample allow ({fit.stray_light:.1%}): I0, dark level or thickness may be wrong",
            InputWarning,
            stacklevel=3,
        )


def _about_shift(fit: EnergyShift, *, given: bool) -> str:
    """What the fit says of the energy shift, in a part of a sentence."""
    if given:
        return f"at the shift given, {fit.applied:+.3f} eV (the fit finds {fit.shift:+.3f} eV)"
    if fit.applied != 0.0:
        return f"an energy shift of {fit.applied:+.3f} eV was taken off"
    if fit.reason:
        return (
            f"the best energy shift, {fit.shift:+.2f} ± {fit.error:.2f} eV, is not applied: "
            f"{fit.reason}"
        )
    return "no energy shift makes it clearly better"


def _upside_down(shown: xr.Dataset) -> str:
    """A hint where all references fall where the stack absorbs."""
    spectra = [shown["mean_spectrum"].to_numpy(), *shown["reference_spectrum"].to_numpy()]
    if np.corrcoef(spectra)[0, 1:].max() < _OPPOSED:
        return "; they fall where the stack absorbs: are they counts instead of absorption?"
    return ""


def spectra_shown(
    prepared: xr.Dataset, examined: Examined, references: Sequence[xr.DataArray]
) -> xr.Dataset:
    """Mean spectrum of a stack's particles against the references, and the fit of the shift.

    Returns
    -------
    xarray.Dataset
        ``mean_spectrum`` and ``mixture`` (energy), the references mixed by least squares with
        weights ≥ 0, a constant and a slope, at the shift in use; ``mixture_shifted`` at the
        shift of the smallest χ²; ``reference_spectrum`` (reference, energy) at the shift in use;
        what :func:`shift_variables` and :func:`shift_attributes` hold.
    """
    density = prepared["optical_density"]
    inside = prepared["mask"].to_numpy()
    energy = density["energy"].to_numpy()
    mean = np.array([np.nanmean(frame[inside]) for frame in density.to_numpy()], dtype=float)
    fit = examined.shift
    sampled = sample_references(references, energy, shift=fit.applied)
    best = sample_references(references, energy, shift=fit.shift)
    return xr.Dataset(
        {
            "mean_spectrum": ("energy", mean),
            "mixture": ("energy", _mixture(mean, sampled.to_numpy(), energy)),
            "mixture_shifted": ("energy", _mixture(mean, best.to_numpy(), energy)),
            "reference_spectrum": sampled,
            **shift_variables(fit),
        },
        attrs=shift_attributes(fit) | {"source": prepared.attrs["source"]},
    )


def _mixture(
    mean: NDArray[np.float64], spectra: NDArray[np.float64], energy: NDArray[np.float64]
) -> NDArray[np.float64]:
    from scipy.optimize import lsq_linear

    slope = (energy - energy.mean()) / np.ptp(energy)
    design = np.column_stack([*spectra, np.ones_like(energy), slope])
    low = np.r_[np.zeros(len(spectra)), -np.inf, -np.inf]
    return np.asarray(design @ lsq_linear(design, mean, bounds=(low, np.inf)).x)


def shift_variables(fit: EnergyShift) -> dict[str, Any]:
    """Variables of the results contract that the fit of the shift gives.

    ``energy_shift_trial``, ``energy_shift_trial_chi2`` (trial); ``phase_energy_shift``,
    ``phase_energy_shift_error`` (reference), NaN where a phase has too little area of its own.
    """
    variables: dict[str, Any] = {
        "energy_shift_trial": ("trial", fit.curve["shift"].to_numpy(), {"units": "eV"}),
        "energy_shift_trial_chi2": ("trial", fit.curve.to_numpy()),
    }
    if fit.phases:
        own = np.array([(p.shift, p.error) for p in fit.phases])
        variables["phase_energy_shift"] = ("reference", own[:, 0], {"units": "eV"})
        variables["phase_energy_shift_error"] = ("reference", own[:, 1], {"units": "eV"})
    return variables


def shift_attributes(fit: EnergyShift) -> dict[str, float | int | str]:
    """Attributes of the results contract that the fit of the shift gives."""
    return {
        "energy_shift": fit.applied,
        "energy_shift_applied": int(fit.applied != 0.0),
        "energy_shift_fitted": fit.shift,
        "energy_shift_error": fit.error,
        "energy_shift_reason": fit.reason,
        "energy_shift_chi2": fit.chi2,
        "energy_shift_chi2_at_zero": fit.chi2_at_zero,
        "energy_shift_chi2_applied": fit.chi2_applied,
        "reference_misfit": fit.misfit,
        "stray_light_fitted": fit.stray_light,
        "stray_light_bound": fit.stray_bound,
    }
