"""Posterior of pixels of one phase or two: pure centres and two-phase mixtures between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_FRACTIONS = np.arange(1, 10) / 10


@dataclass(frozen=True)
class Paths:
    """Spectra of pure phases first, then of every pair of phases at nine fractions.

    Attributes
    ----------
    spectra
        (member, features) centred and scaled.
    owner
        (member, phase) 1 for the phase with the larger fraction, one half each at a tie.
    group
        (member,) the pure phase or the pair a member belongs to.
    abundance
        (member, phase) fractions.
    """

    spectra: Array
    owner: Array
    group: NDArray[np.intp]
    abundance: Array

    @property
    def mean_square_abundance(self) -> Array:
        """Mean square of the fraction (member, phase), each standing for those about it."""
        mixed = (self.abundance > 0) & (self.abundance < 1)
        step = float(_FRACTIONS[1] - _FRACTIONS[0])
        return np.asarray(np.square(self.abundance) + mixed * step**2 / 12)


def mixture_paths(centres: NDArray[np.floating], amplitude: NDArray[np.floating]) -> Paths:
    """Spectra of pure phases and of two-phase pixels, centred and scaled again.

    Optical density adds up by thickness, so phases are mixed at their own contrast.

    Parameters
    ----------
    centres
        (phase, features) centred and scaled.
    amplitude
        (phase,) contrast of a phase's optical density for one thickness.
    """
    n_phases = len(centres)
    fractions = [np.eye(n_phases)]
    for first in range(n_phases):
        for second in range(first):
            pair = np.zeros((_FRACTIONS.size, n_phases))
            pair[:, first], pair[:, second] = _FRACTIONS, 1.0 - _FRACTIONS
            fractions.append(pair)
    abundance = np.concatenate(fractions)
    group = np.concatenate(
        [np.arange(n_phases), *(np.full(len(f), n_phases + i) for i, f in enumerate(fractions[1:]))]
    )
    spectra = abundance @ (amplitude[:, None] * centres)
    spectra = spectra - spectra.mean(axis=1, keepdims=True)
    spectra = spectra / np.sqrt((spectra**2).mean(axis=1, keepdims=True))
    largest = np.isclose(abundance, abundance.max(axis=1, keepdims=True))
    owner = largest / largest.sum(axis=1, keepdims=True)
    return Paths(spectra=spectra, owner=owner, group=group.astype(np.intp), abundance=abundance)


def learn_shares(squared: NDArray[np.floating], paths: Paths, *, rounds: int = 20) -> Array:
    """Prior (member,) of pure phases and pairs by EM; the fractions of a pair are equally likely.

    Parameters
    ----------
    squared
        (n, member) squared Mahalanobis distances.
    """
    size = np.bincount(paths.group)
    share = np.full(size.size, 1.0 / size.size)
    likelihood = np.exp(-0.5 * (squared - squared.min(axis=1, keepdims=True)))
    for _ in range(rounds):
        prior = (share / size)[paths.group]
        evidence = likelihood @ prior
        share = np.bincount(paths.group, prior * (likelihood / evidence[:, None]).mean(axis=0))
        share = (share + 1e-4) / (share + 1e-4).sum()
    return np.asarray((share / size)[paths.group])


def member_posterior(squared: NDArray[np.floating], prior: Array) -> NDArray[np.float32]:
    """Posterior (n, member) from squared distances and the members' prior."""
    score = np.log(prior) - 0.5 * squared
    weight = np.exp(score - score.max(axis=1, keepdims=True))
    return np.asarray(weight / weight.sum(axis=1, keepdims=True), dtype=np.float32)
