"""Fit of the energy shift between a stack and its references, and whether to apply it.

An error of 0.15 eV costs a phase map a third of its pixels, so the shift is fitted before
anything is compared, with an uncertainty and a χ² that say whether to believe it.

The fit. The field is cut into tiles, averages over many counts, each a mixture of references and
a background (:mod:`phaseloom.stxm.references.tiles`). Two numbers are common to all tiles: the
energy shift, and the stray light, which compresses strong absorption and would otherwise pass for
another edge position (:mod:`phaseloom.stxm.references.shift_fit`). The start is the best of a
grid over the whole range.

The uncertainty. With 10⁵ pixels counting noise is negligible; what remains are errors shared by
all pixels: a frame's incident intensity, the references' own shape. Their effect is what the
shift does when parts of the spectrum, or of the field, are left out: a block jackknife
(J. W. Tukey 1958), over energies and over tiles; the larger of the two is reported.

Whether to apply it. A monochromator that is off moves every spectrum alike; a phase that is
missing among the references, or a reference measured elsewhere, moves only its own pixels, and
spoils the fit. So each phase's own tiles are fitted once more, and a shift is applied when they
agree on it within their errors, all parts of the sample are described, and no second shift
describes them about as well. A best shift at the end of the range is no answer.

The limit. A stack of nothing but one phase that is not among the references, and whose spectrum is
a shifted reference, cannot be told from a shifted stack. A missing phase whose spectrum is a
mixture of the references does no harm to the shift.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from phaseloom.errors import InputError, InputWarning
from phaseloom.stxm.references.references import sample_references
from phaseloom.stxm.references.shift_fit import (
    chi2,
    chi2_of_tiles,
    doubt_outliers,
    jackknife,
    minimise,
    profile,
)
from phaseloom.stxm.references.tiles import REPRODUCIBLE, Fit, Tiles, average_tiles, fit_mixtures

Array = NDArray[np.float64]

LIMIT = 5.0
"""Largest shift searched, in eV."""

DESCRIBED = 4.0
"""Reduced χ² up to which references describe a stack: 1 % of the spectra's contrast."""

_FEWEST_ENERGIES = 6
_STEP = 0.05
# In these steps: how far the curve is fine, and how coarse it is beyond.
_FINE, _COARSE = 20, 4
_SIGMA = 3.0
# χ² has to fall by this part before a shift is worth applying.
_CLEARLY = 0.1
# Another valley of χ², farther than this (eV), that is less than half as high again is a second
# answer.
_ELSEWHERE = 0.5
_SECOND = 1.5
# A phase has an opinion of its own from this many tiles that are mostly it.
_FEWEST_TILES = 3
# A phase that is missing may hold little of the field: this part of the tiles counts as one.
_PART = 0.025
# References from one scan agree no better than this (eV).
_AGREEMENT = 0.02


@dataclass(frozen=True)
class PhaseShift:
    """Energy shift that the tiles of one phase ask for by themselves.

    Attributes
    ----------
    name
        Of the phase.
    shift, error
        In eV; NaN where too few tiles are mostly of this phase.
    chi2
        Median reduced χ² of these tiles at the common shift.
    tiles
        Their number.
    """

    name: str
    shift: float
    error: float
    chi2: float
    tiles: int


@dataclass(frozen=True)
class EnergyShift:
    """A fitted energy shift, how sure it is, and what is made of it.

    Attributes
    ----------
    shift
        How far the stack's energy axis reads too high, in eV; NaN when it was not fitted.
    error
        Its standard uncertainty in eV.
    chi2, chi2_at_zero
        Reduced χ² of the tiles' spectra at the best shift and at none. One means that the
        references explain the stack to within counting noise and 0.5 % of its contrast.
    stray_light
        Fitted part of the incident counts that did not pass the sample (a nuisance of the fit:
        other departures from the law of absorption end up here too).
    stray_bound
        "lower" or "upper" where the stray light sits at nothing, or at the most that the
        thickest parts of the sample let through; "" where it lies between.
    significant
        Whether the shift should be applied.
    reason
        Why a shift that makes χ² clearly better should not be applied; "" where none is found,
        or it should.
    applied
        The shift in use, in eV: the one given, else the fitted one where it is significant.
    chi2_applied
        Reduced χ² at the shift in use.
    misfit
        What the references miss there, beyond the noise, as part of the spectra's contrast: the
        median over the tiles.
    doubted
        Energies (eV) that fit several times worse than the rest and were given less weight in
        all of this: bad frames, or features that the references lack.
    phases
        What each phase's own tiles say.
    curve
        Reduced χ² (shift) of the trial shifts, for a figure.
    """

    shift: float
    error: float
    chi2: float
    chi2_at_zero: float
    stray_light: float
    stray_bound: str
    significant: bool
    reason: str
    applied: float
    chi2_applied: float
    misfit: float
    doubted: tuple[float, ...]
    phases: tuple[PhaseShift, ...]
    curve: xr.DataArray


def fit_energy_shift(
    optical_density: xr.DataArray,
    references: Sequence[xr.DataArray],
    *,
    mask: ArrayLike,
    i0: ArrayLike | None = None,
    given: float | None = None,
    limit: float = LIMIT,
    seed: int = 0,
) -> EnergyShift:
    """Fit the energy shift between a stack and its references.

    Parameters
    ----------
    optical_density
        (energy, y, x), numpy- or dask-backed; a constant or linear background is allowed.
        Values that are not finite are left out.
    references
        Reference spectra, see :func:`phaseloom.stxm.references.references.sample_references`.
    mask
        (y, x), true where there is sample.
    i0
        Incident counts per pixel (energy), the weight of counting noise. Without it all
        spectra weigh the same.
    given
        A shift (eV) that is to be used whatever is found.
    limit
        Largest shift tried, in eV.
    seed
        Chooses the tiles of a field too large to use all of it.

    Returns
    -------
    EnergyShift
        ``shift`` is how far the stack's energies read too high.

    Raises
    ------
    InputError
        The mask is of another shape or holds too few pixels, ``i0`` is not one positive number
        per energy, a frame holds no number, or the references cannot be sampled.

    Warns
    -----
    InputWarning
        Fewer than six energies: nothing is fitted.
    """
    energy = optical_density["energy"].to_numpy().astype(float)
    sample_references(references, energy)
    if np.unique(energy).size < _FEWEST_ENERGIES:
        warnings.warn(
            f"the energy shift cannot be fitted on {np.unique(energy).size} energies "
            f"({_FEWEST_ENERGIES} are needed); none is applied",
            InputWarning,
            stacklevel=2,
        )
        return _unfitted(given or 0.0)
    inside = np.asarray(mask, dtype=bool)
    if inside.shape != optical_density.shape[1:]:
        raise InputError(
            f"the mask is {inside.shape} pixels but the stack's frames {optical_density.shape[1:]}",
            "give one value per pixel",
        )
    tiles = average_tiles(optical_density, references, inside, _incident(i0, energy), seed)
    coarse = _steps(limit)[::2] * _STEP
    start = float(coarse[np.argmin([chi2(tiles, s, 0.0, 0.0) for s in coarse])])
    shift, stray = minimise(tiles, start, 0.0, limit)
    trusted = tiles
    for _ in range(2):
        tiles = doubt_outliers(tiles, shift, stray)
        shift, stray = minimise(tiles, shift, stray, limit)
    trial = _trial(shift, limit)
    curve = np.array([profile(tiles, s, stray)[0] for s in trial])
    best = chi2(tiles, shift, stray, stray)
    if curve.min() < 0.99 * best:  # another, deeper valley
        shift, stray = minimise(tiles, float(trial[np.argmin(curve)]), stray, limit)
        trial = _trial(shift, limit)
        curve = np.array([profile(tiles, s, stray)[0] for s in trial])
        best = chi2(tiles, shift, stray, stray)

    error = jackknife(tiles, shift, stray)
    at_zero = float(curve[np.argmin(np.abs(trial))])
    fit = fit_mixtures(tiles, shift, stray, stray)
    names = [str(reference.name) for reference in references]
    phases = tuple(
        _own_shift(name, tiles, fit, k, shift, stray, limit) for k, name in enumerate(names)
    )
    clear = abs(shift) > _SIGMA * error and at_zero > (1 + _CLEARLY) * best
    reason = ""
    if clear:
        reason = (
            _without_answer(shift, limit, trial, curve, best)
            or _undescribed(tiles, fit, best)
            or _disagreement(phases)
        )
    significant = clear and not reason
    applied = given if given is not None else shift if significant else 0.0
    chi2_applied, suited = best, stray
    if applied != shift:
        chi2_applied, suited = profile(tiles, applied, stray)
    return EnergyShift(
        shift=shift,
        error=error,
        chi2=best,
        chi2_at_zero=at_zero,
        stray_light=stray,
        stray_bound={0.0: "lower", tiles.most_stray: "upper"}.get(stray, ""),
        significant=significant,
        reason=reason,
        applied=applied,
        chi2_applied=chi2_applied,
        misfit=_misfit(tiles, fit_mixtures(tiles, applied, suited, suited)),
        doubted=tuple(
            float(e) for e in energy[(tiles.variance > 4 * trusted.variance).all(axis=0)]
        ),
        phases=phases,
        curve=_curve(trial, curve),
    )


def _steps(limit: float) -> Array:
    steps = max(round(limit / _STEP), 1)
    return np.arange(-steps, steps + 1, dtype=float)


def _trial(shift: float, limit: float) -> Array:
    """Trial shifts of the curve: fine around none and the best, coarse over the rest."""
    steps = _steps(limit)
    near = np.minimum(np.abs(steps), np.abs(steps - round(shift / _STEP))) <= _FINE
    return np.asarray(steps[near | (steps % _COARSE == 0)] * _STEP)


def _own_shift(
    name: str, tiles: Tiles, fit: Fit, phase: int, shift: float, stray: float, limit: float
) -> PhaseShift:
    """The shift that the tiles which are mostly of one phase ask for."""
    part = fit.amount * np.ptp(tiles.references(tiles.energy - shift), axis=1)
    part = part / np.maximum(part.sum(axis=1, keepdims=True), 1e-300)
    own = (part.argmax(axis=1) == phase) & (part[:, phase] > 0.5)
    number = int(own.sum())
    if number < _FEWEST_TILES:
        return PhaseShift(name, float("nan"), float("nan"), float("nan"), number)
    chosen = tiles.chosen(own)
    moved, _ = minimise(chosen, shift, stray, limit, hold_stray=True)
    error = jackknife(chosen, moved, stray, hold_stray=True)
    return PhaseShift(name, moved, error, float(np.median(chi2_of_tiles(tiles, fit)[own])), number)


def _without_answer(shift: float, limit: float, trial: Array, curve: Array, best: float) -> str:
    """Why the search has no answer: its end, or a second valley of χ²."""
    if abs(shift) > limit - _STEP:
        return f"the search ended at its limit of ±{limit:g} eV, which is no answer"
    valley = (curve[1:-1] < curve[:-2]) & (curve[1:-1] < curve[2:])
    valley &= np.abs(trial[1:-1] - shift) > _ELSEWHERE
    others = np.flatnonzero(valley & (curve[1:-1] < _SECOND * best)) + 1
    if others.size:
        other = trial[others[np.argmin(curve[others])]]
        return f"a shift of {other:+.2f} eV describes the stack about as well"
    return ""


def _undescribed(tiles: Tiles, fit: Fit, best: float) -> str:
    """Whether the stack, or a small part of it, is described by no reference even at this shift."""
    if best > DESCRIBED:
        return f"even there the references do not describe the stack (reduced χ² {best:.1f})"
    of_tiles = chi2_of_tiles(tiles, fit)
    worst, middle = np.quantile(of_tiles, [1 - _PART, 0.5])
    if worst > DESCRIBED * max(middle, 1.0):
        return (
            "a part of the sample fits no reference even there (reduced χ² "
            f"{worst:.1f} in the worst {_PART:.1%} of it, {middle:.1f} in the middle)"
        )
    return ""


def _disagreement(phases: Sequence[PhaseShift]) -> str:
    """What two phases say of the shift that is farther apart than their errors allow."""
    told = sorted((p for p in phases if np.isfinite(p.shift)), key=lambda p: p.shift)
    for i, low in enumerate(told):
        for high in told[i + 1 :]:
            apart = high.shift - low.shift
            if apart > _SIGMA * np.hypot(low.error, high.error) + _AGREEMENT:
                return "the phases disagree on it: " + ", ".join(
                    f"{p.name} {p.shift:+.2f} ± {p.error:.2f} eV" for p in told
                )
    return ""


def _misfit(tiles: Tiles, fit: Fit) -> float:
    """What the fit misses beyond counting noise, as part of the contrast; median of the tiles."""
    n = tiles.energy.size
    free = np.maximum(n - (fit.amount > 0).sum(axis=1) - tiles.background.shape[0], 1)[:, None]
    certain = tiles.tolerance[:, None] ** 2
    weight = 1.0 / tiles.variance
    missed = fit.residual**2 * tiles.variance * (n / free) - (tiles.variance - certain)
    square = (weight * missed).sum(axis=1) / weight.sum(axis=1)
    contrast = tiles.tolerance / REPRODUCIBLE
    return float(np.median(np.sqrt(np.maximum(square, 0.0)) / contrast))


def _curve(trial: Array, chi2: Array) -> xr.DataArray:
    return xr.DataArray(
        chi2,
        dims="shift",
        coords={"shift": ("shift", trial, {"units": "eV", "long_name": "energy shift"})},
        name="chi2",
        attrs={"long_name": "reduced χ²"},
    )


def _incident(i0: ArrayLike | None, energy: Array) -> Array:
    """Incident counts (energy), infinite when they are not known: no counting noise."""
    if i0 is None:
        return np.full(energy.shape, np.inf)
    incident = np.asarray(i0, dtype=float)
    if incident.shape != energy.shape or not np.all(incident > 0):
        raise InputError(
            "the incident intensity is not one positive number per energy", "check the I0"
        )
    return incident


def _unfitted(applied: float) -> EnergyShift:
    nan = float("nan")
    return EnergyShift(
        shift=nan,
        error=nan,
        chi2=nan,
        chi2_at_zero=nan,
        stray_light=nan,
        stray_bound="",
        significant=False,
        reason="",
        applied=applied,
        chi2_applied=nan,
        misfit=nan,
        doubted=(),
        phases=(),
        curve=_curve(np.empty(0), np.empty(0)),
    )
