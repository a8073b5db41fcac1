"""Least squares for one energy shift and stray light common to all tiles, and its uncertainty.

For a trial shift and stray light the rest is linear, so both follow from a few Gauss-Newton steps
on the projected problem (variable projection: G. H. Golub, V. Pereyra, SIAM J. Numer. Anal. 10
(1973) 413). Stray light is a part of the light: it stays within nothing and what the thickest
tiles let through; where it sits at a bound and wants beyond, the shift is fitted without it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from phaseloom.stxm.references.tiles import Fit, Tiles, fit_mixtures, project, without_stray

Array = NDArray[np.float64]

# No monochromator axis is read better than this (eV).
_READBACK = 0.001
# Slopes are taken over this (eV) to either side. Taken closer, they follow the noise of a finely
# sampled reference: with 1 % noise the shift scatters by 7 meV instead of 4.
_HALF_WIDTH = 0.2
# A frame that misfits by this much more than the median one does not take part in full.
_OUTLIER = 3.0


def doubt_outliers(tiles: Tiles, shift: float, stray: float) -> Tiles:
    """Raise the variance of energies that fit far worse than most: a beam loss, a wrong I0."""
    fit = fit_mixtures(tiles, shift, stray, stray)
    left = 1.0 - (_orthonormal(fit) ** 2).sum(axis=2)
    misfit = (fit.residual**2).mean(axis=0) / np.maximum(left.mean(axis=0), 0.1)
    excess = misfit / (_OUTLIER**2 * np.median(misfit))
    return replace(tiles, variance=tiles.variance * np.maximum(excess, 1.0))


def chi2(tiles: Tiles, shift: float, stray: float, stray_of_weights: float) -> float:
    """Reduced χ² of all tiles."""
    fit = fit_mixtures(tiles, shift, stray, stray_of_weights)
    parameters = (fit.amount > 0).sum() + fit.amount.shape[0] * tiles.background.shape[0] + 2
    return float((fit.residual**2).sum() / max(fit.residual.size - int(parameters), 1))


def chi2_of_tiles(tiles: Tiles, fit: Fit) -> Array:
    """Reduced χ² of each tile."""
    free = fit.residual.shape[1] - (fit.amount > 0).sum(axis=1) - tiles.background.shape[0]
    return np.asarray((fit.residual**2).sum(axis=1) / np.maximum(free, 1))


def profile(tiles: Tiles, shift: float, stray: float) -> tuple[float, float]:
    """Reduced χ² at a shift, at the stray light that suits it, and that stray light."""
    fit = fit_mixtures(tiles, shift, stray, stray)
    slope = _slopes(tiles, fit, _orthonormal(fit), shift, stray)[..., 1]
    step = (slope * fit.residual).sum() / max((slope**2).sum(), 1e-30)
    suited = _bounded(tiles, stray - float(step))
    return chi2(tiles, shift, suited, stray), suited


def minimise(
    tiles: Tiles, shift: float, stray: float, limit: float, *, hold_stray: bool = False
) -> tuple[float, float]:
    """Gauss-Newton steps in shift and stray light together, or in the shift alone.

    Parameters
    ----------
    tiles
        What is fitted.
    shift, stray
        Where to start.
    limit
        The shift stays within ±limit, in eV.
    hold_stray
        The stray light stays what it is.

    Returns
    -------
    shift, stray : float
        In eV, and as part of the incident counts.
    """
    for _ in range(20):
        fit = fit_mixtures(tiles, shift, stray, stray)
        slopes = _slopes(tiles, fit, _orthonormal(fit), shift, stray)
        curvature = np.einsum("tep,teq->pq", slopes, slopes)
        curvature += 1e-12 * np.trace(curvature) * np.eye(2)
        downhill = -np.einsum("tep,te->p", slopes, fit.residual)
        step = np.linalg.solve(curvature, downhill)
        if hold_stray or _bounded(tiles, stray + step[1]) == stray:
            # At a bound the best shift is not where both slopes vanish.
            step = np.array([downhill[0] / curvature[0, 0], 0.0])
        moved = float(np.clip(shift + np.clip(step[0], -0.1, 0.1), -limit, limit))
        stray = _bounded(tiles, stray + float(np.clip(step[1], -0.05, 0.05)))
        converged = abs(moved - shift) < 1e-5
        shift = moved
        if converged:
            break
    return shift, stray


def _bounded(tiles: Tiles, stray: float) -> float:
    return float(np.clip(stray, 0.0, tiles.most_stray))


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


def jackknife(tiles: Tiles, shift: float, stray: float, *, hold_stray: bool = False) -> float:
    """Standard uncertainty (eV) of the shift from leaving out blocks of energies, or of tiles."""
    fit = fit_mixtures(tiles, shift, stray, stray)
    basis = _orthonormal(fit)
    slopes = _slopes(tiles, fit, basis, shift, stray)
    if hold_stray or not 0.0 < stray < tiles.most_stray:
        slopes = slopes[..., :1]
    n = slopes.shape[-1]
    curvature = np.einsum("tep,teq->pq", slopes, slopes)
    curvature += 1e-12 * np.trace(curvature) * np.eye(n)

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
        by_energy.append((lost[:, :n], lost[:, n]))
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
