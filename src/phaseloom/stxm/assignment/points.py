"""Spectra centred and scaled, with their noise, computed for blocks of rows.

A stack of 2048² pixels and 120 energies is 2 GB: neither its scaled spectra nor their variance are
held for all pixels at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError

Array = NDArray[np.float32]
Rows = slice | NDArray[np.intp]
Variance = Callable[[Rows], NDArray[np.floating]]

BLOCK = 32_768
"""Spectra worked on at once."""
_ENOUGH = 20_000
"""Spectra from which a noise level is estimated."""


@dataclass(frozen=True)
class Points:
    """Spectra as points of equal length: without mean, over their standard deviation.

    ``points[rows]`` gives the points and the variance of their noise, (row, energy) each.

    Attributes
    ----------
    spectra
        (n, energy) as measured.
    scale
        (n,) standard deviation over energy of each.
    variance
        Of any rows of the spectra as measured.
    """

    spectra: NDArray[np.floating]
    scale: Array
    variance: Variance

    @classmethod
    def of(cls, spectra: NDArray[np.floating], variance: Variance) -> Points:
        """Points of spectra (n, energy).

        Raises
        ------
        InputError
            Spectra that are flat or not finite.
        """
        parts = [_centred(spectra[rows]).std(axis=1) for rows in blocks(len(spectra))]
        return cls(spectra, _checked(np.concatenate(parts)), variance)

    def __len__(self) -> int:
        return len(self.spectra)

    def __getitem__(self, rows: Rows) -> tuple[Array, Array]:
        scale = self.scale[rows, None]
        return _centred(self.spectra[rows]) / scale, np.asarray(
            self.variance(rows) / scale**2, dtype=np.float32
        )


def blocks(n: int) -> list[slice]:
    """Rows of a table of n in blocks."""
    return [slice(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK)]


def centred_and_scaled(spectra: NDArray[np.floating]) -> tuple[Array, Array]:
    """Each spectrum (n, energy) without its mean and over its standard deviation, and that (n,).

    Raises
    ------
    InputError
        Spectra that are flat or not finite.
    """
    values = _centred(spectra)
    scale = _checked(values.std(axis=1))
    return values / scale[:, None], scale


def estimated_variance(spectra: NDArray[np.floating], n_phases: int) -> Variance:
    """Variance of optical densities whose counts are not known.

    Poisson: exp(optical density) times a level per energy, taken from what is left when a phase
    each and three more components are taken away.
    """
    some = np.asarray(spectra[:: max(1, len(spectra) // _ENOUGH)], dtype=float)
    centred = some - some.mean(axis=0)
    n_energies = some.shape[1]
    axes = np.linalg.eigh(centred.T @ centred)[1]
    weak = axes[:, : max(n_energies - n_phases - 3, n_energies // 3, 1)]
    left = (centred @ weak @ weak.T) ** 2 / np.exp(some)
    part = (weak**2).sum(axis=1)
    level = left.mean(axis=0) / np.maximum(part, 1e-3)
    # Where the phases themselves take nearly all there is left, the other energies speak.
    trusted = part >= min(0.5, float(np.median(part)))
    level[~trusted] = np.median(level[trusted])
    return lambda rows: level * np.exp(spectra[rows])


def _centred(spectra: NDArray[np.floating]) -> Array:
    values = np.asarray(spectra, dtype=np.float32)
    return np.asarray(values - values.mean(axis=1, keepdims=True))


def _checked(scale: Array) -> Array:
    wrong = ~np.isfinite(scale) | (scale <= 0)
    if wrong.any():
        raise InputError(
            f"{int(wrong.sum())} of {len(scale)} spectra are flat or not finite",
            "mask those pixels",
        )
    return scale
