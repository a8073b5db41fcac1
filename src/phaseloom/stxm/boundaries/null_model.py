"""What a stack of pure grains would look like if only the optics mixed neighbours.

The grains of the map, each with the mean spectrum of its phase, transmit; their image is blurred
with the point-spread function, counted with the noise of the measurement, and decided by the
same fits as the data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage

from phaseloom.compute.progress import Progress
from phaseloom.stxm.assignment.likelihood import likelihood
from phaseloom.stxm.boundaries.grains import Grains, mean_spectra
from phaseloom.stxm.boundaries.point_spread import PointSpread

Array = NDArray[np.float64]

PURE = 0.8
"""Largest share from which a pixel is of one phase."""
_DARKEST = 1e-6
_CORRECTIONS = 3
"""Times spectra and thickness are corrected; what is left falls tenfold each time."""
_QUIET = 1.5
"""Width in px over which the corrections of the thickness are smoothed."""


@dataclass(frozen=True)
class Measured:
    """What is known of a stack, for the same decision on data and simulations.

    Attributes
    ----------
    density : (energy, y, x)
        Optical density.
    references : (reference, energy)
        As used for the map.
    i0 : (energy,)
        In counts; ones where counts are not known.
    baseline : (y, x)
        Taken off the optical density before.
    filled : (energy, y, x)
        The optical density, a missing reading being the pixel's mean.
    mask : (y, x)
        True on the pixels to decide.
    noise : float
        Factor on the variance 1 / counts.
    """

    density: xr.DataArray
    references: xr.DataArray
    i0: Array
    baseline: Array
    filled: Array
    mask: NDArray[np.bool_]
    noise: float


def transitions(
    measured: Measured, density: Array, nearby: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Decide which pixels are of a transition.

    A pixel is mixed when no phase has four fifths of it in the count-weighted fit, and foreign
    when its leading phase is that of no grain nearby.

    Parameters
    ----------
    measured
        The stack.
    density
        (energy, y, x), of the data or a simulation.
    nearby
        (phase, y, x), from :class:`Grains`.

    Returns
    -------
    mixed, foreign : (y, x)
    """
    fits = likelihood(
        measured.density.copy(data=density.astype(np.float32)),
        measured.references,
        i0=measured.i0 / measured.noise,
        baseline=measured.baseline,
        mask=measured.mask,
    )
    share = np.nan_to_num(fits["abundance"].transpose("reference", "y", "x").to_numpy())
    known = measured.mask & (share.max(axis=0) > 0)
    mixed = known & (share.max(axis=0) < PURE)
    lead = share.argmax(axis=0)
    foreign = known & ~np.take_along_axis(nearby, lead[None], 0)[0]
    return mixed, foreign


def pure_transmission(measured: Measured, grains: Grains, optics: PointSpread) -> Array:
    """Transmission (energy, y, x) of the grains before the optics; outside them as measured.

    What is known of the grains (spectra of the phases, thickness) was seen through the optics:
    their hearts hold some of their neighbours already, and blurred again they would hold it
    twice. Sought are the spectra and thicknesses that, blurred, give those measured: from a
    linear estimate on, corrected by what the blurred image differs from them.
    """
    present = np.flatnonzero(np.isfinite(grains.spectra).all(axis=1))
    seen = optics.blurred(grains.share[present])
    mixing = np.stack([seen[:, grains.heart == p].mean(axis=1) for p in present])
    mixing /= mixing.sum(axis=1, keepdims=True)
    spectra = np.full_like(grains.spectra, np.nan)
    spectra[present] = np.linalg.solve(mixing, grains.spectra[present])
    thickness, offset = grains.thickness, grains.offset
    references = measured.references.to_numpy()
    inside = grains.phase >= 0
    for _ in range(_CORRECTIONS):
        pure = _transmission(measured, grains, spectra, thickness, offset)
        image = np.clip(optics.blurred(pure), _DARKEST, None)
        density = -np.log(image) - measured.baseline
        amount, wanted = (
            _smooth(_amount(image, grains), inside) for image in (density, measured.filled)
        )
        moved = _smooth(measured.filled.mean(axis=0) - density.mean(axis=0), inside)
        level = np.einsum("pyx,p->yx", grains.share, np.nan_to_num(spectra.mean(axis=1)))
        ratio = np.clip(wanted / np.maximum(amount, 1e-3), 0.5, 2.0)
        offset = np.where(inside, offset + moved - thickness * (ratio - 1.0) * level, 0.0)
        thickness = np.where(inside, thickness * ratio, 0.0)
        spectra += grains.spectra - mean_spectra(density, references, grains.heart)
    return _transmission(measured, grains, spectra, thickness, offset)


def _transmission(
    measured: Measured, grains: Grains, spectra: Array, thickness: Array, offset: Array
) -> Array:
    density = measured.density.to_numpy().astype(np.float64)
    result = np.exp(-density - measured.baseline)
    result[~np.isfinite(result)] = 1.0
    inside = grains.phase >= 0
    share = grains.share[:, inside]
    background = offset[inside] + measured.baseline[inside]
    total = np.zeros((len(density), share.shape[1]))
    for part, spectrum in zip(share, spectra, strict=True):
        if (part > 0).any():
            absorbed = spectrum[:, None] * thickness[inside] + background
            total += part * np.exp(-absorbed)
    result[:, inside] = total
    return np.asarray(np.clip(result, _DARKEST, None))


def _amount(density: Array, grains: Grains) -> Array:
    """Thickness (y, x) of optical densities, by the mean spectrum of the pixel's own phase."""
    centred = density - density.mean(axis=0)
    result = np.zeros(density.shape[1:])
    for p, spectrum in enumerate(grains.spectra):
        own = grains.phase == p
        column = spectrum - spectrum.mean()
        if own.any():
            result[own] = column @ centred[:, own] / (column @ column)
    return np.asarray(np.maximum(result, 0.0))


def _smooth(values: Array, inside: NDArray[np.bool_]) -> Array:
    """Values (y, x) without the noise of single pixels; 0 outside."""
    weight = ndimage.gaussian_filter(inside.astype(np.float64), _QUIET)
    total = ndimage.gaussian_filter(np.where(inside, values, 0.0), _QUIET)
    return np.where(inside, total / np.maximum(weight, 1e-9), 0.0)


def measured_noise(density: Array, grains: Grains, i0: Array, baseline: Array) -> float:
    """Factor on the variance 1 / counts that the hearts of the grains show.

    Median reduced χ² against mixtures of the phases' own spectra. Readings that were interpolated
    before they came here scatter less than counting allows, scaled ones more or less: what
    matters is how they scatter.
    """
    inside = grains.heart >= 0
    block = density[:, inside]
    weight = i0[:, None] * np.exp(-block - baseline[inside])
    present = grains.spectra[np.isfinite(grains.spectra).all(axis=1)]
    common = np.sqrt(weight.mean(axis=1))[:, None]
    columns = np.concatenate([np.ones((len(block), 1)), present.T], axis=1) * common
    base = np.linalg.qr(columns)[0]
    scaled = block * common
    rest = (scaled - base @ (base.T @ scaled)) / common
    freedom = len(block) - columns.shape[1]
    if freedom < 1:
        return float("nan")
    reduced = (weight * rest**2).sum(axis=0) / freedom
    # The median of χ² lies below its mean (Wilson and Hilferty).
    return float(np.median(reduced) / (1 - 2 / (9 * freedom)) ** 3)


def simulate(
    measured: Measured,
    grains: Grains,
    optics: PointSpread,
    *,
    simulations: int,
    seed: int,
    progress: Progress,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Transition pixels of stacks in which the optics alone mix neighbours.

    The point-spread function is drawn anew each time, within its errors.

    Returns
    -------
    mixed, foreign : (simulation, y, x)
    """
    rng = np.random.default_rng(seed)
    pure = pure_transmission(measured, grains, optics)
    shape = (simulations, *measured.mask.shape)
    mixed, foreign = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for k in progress.track(range(simulations), "boundary null model", total=simulations):
        seen = np.clip(optics.drawn(rng).blurred(pure), _DARKEST, None)
        spread = np.sqrt(measured.noise / (measured.i0[:, None, None] * seen))
        density = -np.log(seen) - measured.baseline + spread * rng.standard_normal(seen.shape)
        mixed[k], foreign[k] = transitions(measured, density, grains.nearby)
    return mixed, foreign
