"""Fit of the energy shift between a stack and its references.

An error of 0.15 eV costs a phase map a third of its pixels, so the shift is fitted before
anything is compared, with an uncertainty and a χ² that say whether to believe it.

The fit. The field is cut into tiles, averages over many counts, each a mixture of references and
a background (:mod:`phaseloom.stxm.references.tiles`). Two numbers are common to all tiles: the
energy shift, and the stray light, which compresses strong absorption and would otherwise pass for
another edge position. For a trial shift and stray light the rest is linear, so both follow from
a few Gauss-Newton steps on the projected problem (variable projection: G. H. Golub, V. Pereyra,
SIAM J. Numer. Anal. 10 (1973) 413). The start is the best of a grid.

The uncertainty. With 10⁵ pixels counting noise is negligible; what remains are errors shared by
all pixels: a frame's incident intensity, the references' own shape. Their effect is what the
shift does when parts of the spectrum, or of the field, are left out: a block jackknife
(J. W. Tukey 1958), over energies and over tiles; the larger of the two is reported.

The limit. A stack of nothing but one phase beyond the ends of the reference series (nor between
any two) cannot be told from a shifted stack; a χ² far above that of similar stacks says so.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from phaseloom.errors import InputError, InputWarning
from phaseloom.stxm.references.references import sample_references
from phaseloom.stxm.references.tiles import (
    Fit,
    Tiles,
    average_tiles,
    fit_mixtures,
    project,
    without_stray,
)

Array = NDArray[np.float64]

_FEWEST_ENERGIES = 6
_STEP = 0.05
# No monochromator axis is read better than this (eV).
_READBACK = 0.001
# Slopes are taken over this (eV) to either side. Taken closer, they follow the noise of a finely
# sampled reference: with 1 % noise the shift scatters by 7 meV instead of 4.
_HALF_WIDTH = 0.2
_SIGMA = 3.0
# A frame that misfits by this much more than the median one does not take part in full.
_OUTLIER = 3.0
# χ² has to fall by this part before a shift is worth applying.
_CLEARLY = 0.1


@dataclass(frozen=True)
class EnergyShift:
    """A fitted energy shift and how sure it is.

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
    significant
        Whether the shift should be applied: beyond three standard uncertainties, with a clearly
        better χ², and inside the range searched.
    doubted
        Energies (eV) that fit several times worse than the rest and were given less weight in
        all of this: bad frames, or features that the references lack.
    curve
        Reduced χ² (shift) of the trial shifts, for a figure.
    """

    shift: float
    error: float
    chi2: float
    chi2_at_zero: float
    stray_light: float
    significant: bool
    doubted: tuple[float, ...]
    curve: xr.DataArray


def fit_energy_shift(
    optical_density: xr.DataArray,
    references: Sequence[xr.DataArray],
    *,
    mask: ArrayLike,
    i0: ArrayLike | None = None,
    limit: float = 1.0,
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
        Fewer than six energies (nothing is fitted), or the best shift lies at the edge of the
        range searched (it is reported, but not ``significant``).
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
        return _unfitted()
    inside = np.asarray(mask, dtype=bool)
    if inside.shape != optical_density.shape[1:]:
        raise InputError(
            f"the mask is {inside.shape} pixels but the stack's frames {optical_density.shape[1:]}",
            "give one value per pixel",
        )
    tiles = average_tiles(optical_density, references, inside, _incident(i0, energy), seed)
    steps = max(round(limit / _STEP), 1)
    trial: Array = np.linspace(-steps, steps, 2 * steps + 1) * _STEP

    coarse = trial[::2]
    start = float(coarse[np.argmin([_chi2(tiles, s, 0.0, 0.0) for s in coarse])])
    shift, stray = _minimise(tiles, start, 0.0, limit)
    trusted = tiles
    for _ in range(2):
        tiles = _doubt_outliers(tiles, shift, stray)
        shift, stray = _minimise(tiles, shift, stray, limit)
    curve = np.array([_profile(tiles, s, stray) for s in trial])
    best = _chi2(tiles, shift, stray, stray)
    if curve.min() < 0.99 * best:  # another, deeper valley
        shift, stray = _minimise(tiles, float(trial[np.argmin(curve)]), stray, limit)
        curve = np.array([_profile(tiles, s, stray) for s in trial])
        best = _chi2(tiles, shift, stray, stray)

    error = _jackknife(tiles, shift, stray)
    at_zero = float(curve[np.argmin(np.abs(trial))])
    at_edge = abs(shift) > limit - _STEP
    if at_edge:
        warnings.warn(
            f"the best energy shift, {shift:+.2f} eV, lies at the edge of the range searched "
            f"(±{limit:g} eV); it is not applied: check the references' energies",
            InputWarning,
            stacklevel=2,
        )
    return EnergyShift(
        shift=shift,
        error=error,
        chi2=best,
        chi2_at_zero=at_zero,
        stray_light=stray,
        significant=bool(
            abs(shift) > _SIGMA * error and at_zero > (1 + _CLEARLY) * best and not at_edge
        ),
        doubted=tuple(
            float(e) for e in energy[(tiles.variance > 4 * trusted.variance).all(axis=0)]
        ),
        curve=_curve(trial, curve),
    )


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


def _unfitted() -> EnergyShift:
    nan = float("nan")
    return EnergyShift(nan, nan, nan, nan, nan, False, (), _curve(np.empty(0), np.empty(0)))


def _doubt_outliers(tiles: Tiles, shift: float, stray: float) -> Tiles:
    """Raise the variance of energies that fit far worse than most: a beam loss, a wrong I0."""
    fit = fit_mixtures(tiles, shift, stray, stray)
    left = 1.0 - (_orthonormal(fit) ** 2).sum(axis=2)
    misfit = (fit.residual**2).mean(axis=0) / np.maximum(left.mean(axis=0), 0.1)
    excess = misfit / (_OUTLIER**2 * np.median(misfit))
    return replace(tiles, variance=tiles.variance * np.maximum(excess, 1.0))


def _chi2(tiles: Tiles, shift: float, stray: float, stray_of_weights: float) -> float:
    """Reduced χ² of all tiles."""
    fit = fit_mixtures(tiles, shift, stray, stray_of_weights)
    parameters = (fit.amount > 0).sum() + fit.amount.shape[0] * tiles.background.shape[0] + 2
    return float((fit.residual**2).sum() / max(fit.residual.size - int(parameters), 1))


def _profile(tiles: Tiles, shift: float, stray: float) -> float:
    """Reduced χ² at a shift, at the stray light that suits it."""
    fit = fit_mixtures(tiles, shift, stray, stray)
    slope = _slopes(tiles, fit, _orthonormal(fit), shift, stray)[..., 1]
    step = (slope * fit.residual).sum() / max((slope**2).sum(), 1e-30)
    return _chi2(tiles, shift, _bounded(tiles, stray - float(step)), stray)


def _minimise(tiles: Tiles, shift: float, stray: float, limit: float) -> tuple[float, float]:
    """Gauss-Newton steps in shift and stray light together."""
    for _ in range(20):
        fit = fit_mixtures(tiles, shift, stray, stray)
        slopes = _slopes(tiles, fit, _orthonormal(fit), shift, stray)
        curvature = np.einsum("tep,teq->pq", slopes, slopes)
        downhill = -np.einsum("tep,te->p", slopes, fit.residual)
        step = np.linalg.solve(curvature + 1e-12 * np.trace(curvature) * np.eye(2), downhill)
        moved = float(np.clip(shift + np.clip(step[0], -0.1, 0.1), -limit, limit))
        stray = _bounded(tiles, stray + float(np.clip(step[1], -0.05, 0.05)))
        converged = abs(moved - shift) < 1e-5
        shift = moved
        if converged:
            break
    return shift, stray


def _bounded(tiles: Tiles, stray: float) -> float:
    return float(np.clip(stray, -0.05, tiles.most_stray))


def _orthonormal(fit: Fit) -> Array:
    """Orthonormal basis (tile, energy, n) of what each tile fits on its own."""
    gram = np.einsum("tep,teq->tpq", fit.design, fit.design)
    unused = np.einsum("tpp->tp", gram) == 0
    scale = np.where(unused, 1.0, np.sqrt(np.maximum(np.einsum("tpp->tp", gram), 1e-300)))
    design = fit.design / scale[:, None, :]
    gram = gram / scale[:, :, None] / scale[:, None, :]
    gram += np.eye(gram.shape[1]) * (1e-12 + unused[:, None, :])
    lower = np.linalg.cholesky(gram)
    return np.swapaxes(np.linalg.solve(lower, np.swapaxes(design, 1, 2)), 1, 2)


def _slopes(tiles: Tiles, fit: Fit, basis: Array, shift: float, stray: float) -> Array:
    """Change (tile, energy, 2) of the residual with shift and stray light.

    After the tiles' own parameters have followed (Kaufman's form of variable projection).
    """
    half = _HALF_WIDTH
    rise = tiles.references(tiles.energy - shift - half) - tiles.references(
        tiles.energy - shift + half
    )
    with_shift = -(fit.amount @ (rise / (2 * half))) * fit.weight
    # At the fitted, not the measured transmission: its noise would correlate with the residual's.
    data = -np.log(without_stray(np.exp(-tiles.spectra), stray))
    transmission = np.exp(fit.residual / fit.weight - data)
    with_stray = (1 - transmission) / (transmission * (1 + stray)) * fit.weight
    return project(basis, np.stack([with_shift, with_stray], axis=-1))


def _jackknife(tiles: Tiles, shift: float, stray: float) -> float:
    """Standard uncertainty of the shift from leaving out blocks of energies, or of tiles."""
    fit = fit_mixtures(tiles, shift, stray, stray)
    basis = _orthonormal(fit)
    slopes = _slopes(tiles, fit, basis, shift, stray)
    curvature = np.einsum("tep,teq->pq", slopes, slopes)
    curvature += 1e-12 * np.trace(curvature) * np.eye(2)

    def spread(lost: list[tuple[Array, Array]]) -> float:
        moves = [np.linalg.lstsq(curvature - c, d, rcond=None)[0][0] for c, d in lost]
        return float(np.sqrt((len(moves) - 1) / len(moves) * np.sum(np.square(moves))))

    by_energy = []
    for part in _energy_blocks(tiles.energy):
        own = basis[:, part]
        # What is left of a tile's other parameters when these energies are gone.
        rest = np.eye(part.size) * (1 + 1e-6) - own @ np.swapaxes(own, 1, 2)
        solved = np.linalg.solve(
            rest, np.concatenate([slopes[:, part], fit.residual[:, part, None]], axis=2)
        )
        lost = np.einsum("tep,teq->pq", slopes[:, part], solved)
        by_energy.append((lost[:, :2], lost[:, 2]))
    by_tile = []
    for part in np.array_split(np.arange(slopes.shape[0]), min(24, slopes.shape[0])):
        lost = np.einsum("tep,teq->pq", slopes[part], slopes[part])
        by_tile.append((lost, np.einsum("tep,te->p", slopes[part], fit.residual[part])))
    return float(np.hypot(max(spread(by_energy), spread(by_tile)), _READBACK))


def _energy_blocks(energy: Array) -> list[NDArray[np.intp]]:
    """Energies in runs of 0.5 eV: what is wrong at one energy is wrong beside it too."""
    order = np.argsort(energy, kind="stable")
    blocks: list[list[int]] = []
    for e in order:
        if blocks and energy[e] - energy[blocks[-1][0]] < 0.5:
            blocks[-1].append(int(e))
        else:
            blocks.append([int(e)])
    return [np.array(block) for block in blocks]
