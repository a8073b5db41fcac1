"""Tiles of a stack: averaged spectra, and mixtures of references fitted to them.

A tile is a square of neighbouring pixels, chosen without a look at their spectra, so that no
noise is selected. It is a mixture of at most three references with non-negative weights (a tile
may hold several phases, and a transition phase resembles its neighbours) plus a constant and a
slope (incident intensity, substrate).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage

from phaseloom.errors import InputError
from phaseloom.stxm.references.references import interpolator

Array = NDArray[np.float64]

_TILES = 120
_TILE_WIDTH = 20
_BLOCK = 3
_RIM = 2
REPRODUCIBLE = 0.005
"""Spectra are reproducible to about half a per cent of their contrast at best."""


@dataclass(frozen=True)
class Tiles:
    """Averaged spectra and what may be fitted to them.

    Attributes
    ----------
    spectra, variance
        Optical density and its variance (tile, energy).
    energy
        As the stack's axis reads, in eV.
    background
        (term, energy) of the background: a constant and a slope.
    references
        From energies in eV to reference spectra (phase, energy).
    most_stray
        Stray light beyond this part of the incident counts contradicts the thickest tiles.
    tolerance
        Standard deviation (tile,) to which spectra are reproducible at best, a part of
        ``variance``: half a per cent of a tile's contrast.
    """

    spectra: Array
    variance: Array
    energy: Array
    background: Array
    references: Callable[[Array], Array]
    most_stray: float
    tolerance: Array

    def chosen(self, which: NDArray[np.bool_]) -> Tiles:
        """Some of the tiles."""
        return replace(
            self,
            spectra=self.spectra[which],
            variance=self.variance[which],
            tolerance=self.tolerance[which],
        )


def average_tiles(
    optical_density: xr.DataArray,
    references: Sequence[xr.DataArray],
    mask: NDArray[np.bool_],
    incident: Array,
    seed: int,
) -> Tiles:
    """Average pixels into tiles: transmissions within 3 x 3 pixels, optical densities beyond.

    Averaging transmissions first keeps the logarithm away from single counts; averaging optical
    densities beyond that keeps thickness gradients linear.

    Parameters
    ----------
    optical_density
        (energy, y, x); values that are not finite are left out.
    references
        Reference spectra (energy,).
    mask
        (y, x), true where there is sample.
    incident
        Incident counts per pixel (energy,), infinite for no counting noise.
    seed
        Chooses the tiles of a field too large to use all of it.

    Raises
    ------
    InputError
        The mask holds too few pixels, or a frame no number.
    """
    y, x, tile = _choose(mask, seed)
    _, block = np.unique(np.stack([tile, y // _BLOCK, x // _BLOCK]), axis=1, return_inverse=True)
    block = block.reshape(-1)
    tile_of_block = np.zeros(block.max() + 1, dtype=np.intp)
    tile_of_block[block] = tile
    energy = optical_density["energy"].to_numpy().astype(float)

    spectra = np.empty((tile.max() + 1, energy.size))
    variance = np.empty_like(spectra)
    for e in range(energy.size):
        frame = optical_density[e].to_numpy()[y, x].astype(float)
        spectra[:, e], variance[:, e] = _average(frame, block, tile_of_block, incident[e])
    blank = ~np.isfinite(spectra).any(axis=0)
    if blank.any():
        raise InputError(
            f"the sample has no optical density at {energy[blank][0]:.2f} eV",
            "leave that energy out",
        )
    full = np.isfinite(spectra).all(axis=1)
    if not full.any():
        raise InputError(
            "no part of the sample has a spectrum without gaps", "leave out the damaged frames"
        )
    spectra, variance = spectra[full], variance[full]
    contrast = np.ptp(spectra, axis=1, keepdims=True)
    tolerance = REPRODUCIBLE * np.maximum(contrast, np.median(contrast) / 4)
    variance += tolerance**2
    centred = (energy - energy.mean()) / np.ptp(energy)
    return Tiles(
        spectra=spectra,
        variance=variance,
        energy=energy,
        background=np.stack([np.ones_like(energy), centred]),
        references=interpolator(references),
        most_stray=min(0.2, 0.7 * float(np.exp(-np.percentile(spectra, 99)))),
        tolerance=tolerance[:, 0],
    )


def _choose(
    mask: NDArray[np.bool_], seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Pixels (y, x) of at most 120 square tiles, and the tile of each."""
    if mask.sum() < _BLOCK**2:
        raise InputError(
            f"the sample mask holds {mask.sum()} pixels", "lower the thickness it asks for"
        )
    y, x = np.nonzero(_without_rim(mask))
    width = int(np.clip(np.sqrt(y.size / _TILES), _BLOCK, _TILE_WIDTH))
    across = mask.shape[1] // width + 1
    _, tile, size = np.unique(
        y // width * across + x // width, return_inverse=True, return_counts=True
    )
    # Slivers at the rim weigh little and are mostly edge.
    whole = np.nonzero(size >= 0.3 * size.max())[0]
    if whole.size > _TILES:
        whole = np.random.default_rng(seed).choice(whole, _TILES, replace=False)
    number = np.full(size.size, -1, dtype=np.intp)
    number[whole] = np.arange(whole.size)
    tile = number[tile]
    kept = tile >= 0
    return y[kept], x[kept], tile[kept]


def _without_rim(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The sample without the pixels at its rim, if enough are left.

    There a rest of drift mixes sample and empty field, and its spectrum is none of any phase.
    """
    inner = ndimage.binary_erosion(mask, iterations=_RIM, border_value=1)
    return np.asarray(inner if inner.sum() >= mask.sum() / 3 else mask)


def _average(
    frame: Array, block: NDArray[np.intp], tile_of_block: NDArray[np.intp], incident: float
) -> tuple[Array, Array]:
    """Mean optical density (tile) of one frame and its counting variance."""
    good = ~np.isnan(frame) & (frame > -np.inf)
    size = np.bincount(block[good], minlength=tile_of_block.size).astype(float)
    transmitted = np.bincount(
        block[good], np.exp(-frame[good]), minlength=tile_of_block.size
    ) / np.maximum(size, 1.0)
    usable = (size > 0) & (transmitted > 0)
    size, transmitted, tile = size[usable], transmitted[usable], tile_of_block[usable]
    counts = np.maximum(incident * transmitted * size, 1.0)
    # E[−ln N] lies above −ln E[N] by 1/(2N).
    density = -np.log(transmitted) - 0.5 / counts
    n_tiles = int(tile_of_block.max()) + 1
    pixels = np.bincount(tile, size, minlength=n_tiles)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(tile, density * size, minlength=n_tiles) / pixels
        variance = np.bincount(tile, size**2 / counts, minlength=n_tiles) / pixels**2
    return mean, variance


@dataclass(frozen=True)
class Fit:
    """Mixtures fitted to all tiles at one shift and stray light; everything weighted.

    Attributes
    ----------
    residual
        (tile, energy).
    weight
        One over the standard deviation (tile, energy).
    amount
        (tile, phase).
    design
        (tile, energy, phase + background), zero where a phase is not used.
    """

    residual: Array
    weight: Array
    amount: Array
    design: Array


def fit_mixtures(tiles: Tiles, shift: float, stray: float, stray_of_weights: float) -> Fit:
    """Fit each tile by up to three references and the background, by counted weights.

    Parameters
    ----------
    tiles
        From :func:`average_tiles`.
    shift
        How far the stack's energies read too high, in eV.
    stray
        Part of the incident counts that did not pass the sample, taken off the data.
    stray_of_weights
        The same for the weights: held where χ² of several stray lights are compared.
    """
    transmission = np.exp(-tiles.spectra)
    data = -np.log(without_stray(transmission, stray))
    gain = (1 + stray_of_weights) * transmission / without_stray(transmission, stray_of_weights)
    weight = 1.0 / (np.sqrt(tiles.variance) * gain)

    background = tiles.background.T[None] * weight[:, :, None]
    basis, _ = np.linalg.qr(background)
    reference = tiles.references(tiles.energy - shift).T[None] * weight[:, :, None]
    free = project(basis, reference)
    target = project(basis, (data * weight)[:, :, None])[..., 0]
    gram = np.einsum("tep,teq->tpq", free, free)
    moment = np.einsum("tep,te->tp", free, target)
    amount = _non_negative(gram, moment)
    return Fit(
        residual=target - np.einsum("tep,tp->te", free, amount),
        weight=weight,
        amount=amount,
        design=np.concatenate([reference * (amount > 0)[:, None, :], background], axis=2),
    )


def without_stray(transmission: Array, stray: float) -> Array:
    """Transmission of the sample alone, stray light taken off sample and empty beam."""
    return np.maximum((1 + stray) * transmission - stray, 1e-4)


def project(basis: Array, vectors: Array) -> Array:
    """Part (tile, energy, n) of vectors that an orthonormal basis (tile, energy, m) lacks."""
    return vectors - basis @ (np.swapaxes(basis, 1, 2) @ vectors)


def _non_negative(gram: Array, moment: Array) -> Array:
    """Best non-negative amounts (tile, phase) of at most three phases, by trying all sets.

    Few enough sets, and all tiles at once: exact where an iteration over nearly parallel
    spectra is slow.
    """
    n_tiles, n_phases = moment.shape
    most = 3 if n_phases <= 8 else 2
    amount = np.zeros((n_tiles, n_phases))
    best = np.zeros(n_tiles)
    ridge = 1e-10 * np.einsum("tpp->t", gram)[:, None, None]
    for size in range(1, most + 1):
        for chosen in combinations(range(n_phases), size):
            pick = np.array(chosen)
            part = gram[:, pick[:, None], pick] + ridge * np.eye(size)
            solution = np.linalg.solve(part, moment[:, pick, None])[..., 0]
            gain = np.einsum("tp,tp->t", solution, moment[:, pick])
            better = (gain > best) & (solution > 0).all(axis=1)
            best = np.where(better, gain, best)
            candidate = np.zeros_like(amount)
            candidate[:, pick] = solution
            amount = np.where(better[:, None], candidate, amount)
    return amount
