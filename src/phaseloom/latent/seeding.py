"""Initial clusters: references registered to the data by expectation maximisation.

Confident pixels follow the references wherever these are wrong (energy axis, stray light). So the
references are moved onto the data first, all together, then each by itself: as in coherent point
drift (Myronenko & Song 2010) the clusters keep the names of the references they came from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_STARTS = ((0.05, 0.5), (0.3, 0.2))
"""First temperature, and the weight of a reference's own displacement beside the common one: a
cold start that stays near the references, and a warm one."""
_BETTER = 0.97
"""The warm start is taken where it brings the misfit below this part of the cold one's."""
_DOMAIN = 0.1
"""Part of the confident points above which a cluster is a domain, not a boundary."""
_OUTLIERS = 0.03
"""Part of the points that belongs to no cluster while the references move."""


@dataclass(frozen=True)
class Seeds:
    """Clusters found from references.

    Attributes
    ----------
    centres
        (K, features); of an absent phase its reference, moved like the others.
    share
        (K,) part of the points, 0 for an absent phase.
    present
        (K,) bool.
    """

    centres: Array
    share: Array
    present: NDArray[np.bool_]


def log_likelihood(
    spectra: NDArray[np.floating], variance: NDArray[np.floating], centres: NDArray[np.floating]
) -> Array:
    """−χ²/2 (n, K) of each spectrum against each centre, noise per value known."""
    weight = 1.0 / variance
    weighted = spectra * weight
    chi2 = (spectra * weighted).sum(axis=1)[:, None]
    chi2 = chi2 - 2.0 * weighted @ centres.T + weight @ (centres**2).T
    return np.asarray(-0.5 * np.maximum(chi2, 0.0), dtype=float)


def register(
    spectra: NDArray[np.floating],
    variance: NDArray[np.floating],
    references: NDArray[np.floating],
    *,
    min_points: int = 50,
) -> Seeds:
    """Register the references to the data and find which of them are present.

    Parameters
    ----------
    spectra, variance
        (n, features) centred and scaled spectra, and the variance of their noise.
    references
        (K, features) centred and scaled.
    min_points
        A phase with fewer confident points than this is absent. So is one whose cluster is not
        its own: pixels on the way to a neighbour (see ``_dependent_cluster``).
    """
    x = np.asarray(spectra, dtype=float)
    v = np.asarray(variance, dtype=float)
    best: Seeds | None = None
    least = np.inf
    for temperature, follow in _STARTS:
        seeds, misfit = _register(x, v, references, temperature, follow, min_points)
        if best is None or misfit < _BETTER * least:
            best, least = seeds, misfit
    assert best is not None
    return best


def _register(
    x: Array,
    v: Array,
    references: NDArray[np.floating],
    temperature: float,
    follow: float,
    min_points: int,
) -> tuple[Seeds, float]:
    """Clusters from one start, and their mean reduced χ², outliers cut at 20."""
    centres, shift = _move_together(x, references, temperature, follow)
    present = np.ones(len(references), dtype=bool)
    while True:
        centres, responsibility, chi2 = _refine(x, v, centres, present)
        confident = (responsibility > 0.9).sum(axis=0)
        too_few = present & (confident < min_points)
        absent = (
            too_few
            if too_few.any()
            else _dependent_cluster(centres, references, present, confident)
        )
        if not absent.any() or present.sum() == 1:
            break
        present = present & ~absent
        if not present.any():
            present[int(np.argmax(confident))] = True
        centres = np.where(present[:, None], centres, references + shift)
    share = responsibility.mean(axis=0)
    seeds = Seeds(centres=centres, share=share / share.sum(), present=present)
    return seeds, float(np.minimum(chi2 / x.shape[1], 20.0).mean())


def _move_together(
    x: Array, references: NDArray[np.floating], temperature: float, follow: float
) -> tuple[Array, Array]:
    """Centres after annealed EM with a displacement common to all, and that displacement."""
    n_phases, n_features = references.shape
    shift = np.zeros(n_features)
    displacement = np.zeros((n_phases, n_features))
    share = np.full(n_phases, 1.0 / n_phases)
    apart = ((references[:, None] - references[None]) ** 2).sum(axis=2)
    apart = apart[np.triu_indices(n_phases, 1)]
    scale = float(np.median(apart)) / 4 if n_phases > 1 else float(x.var(axis=0).sum())
    for warmth in np.repeat(np.geomspace(temperature, 0.05, 8), 4):
        centres = references + shift + displacement
        squared = (x**2).sum(axis=1)[:, None] - 2 * x @ centres.T + (centres**2).sum(axis=1)
        score = np.log(share) - squared / (2 * scale * warmth)
        far = np.quantile(score.max(axis=1), _OUTLIERS)
        responsibility = _normalised(np.column_stack([score, np.full(len(x), far)]))[:, :-1]
        count = responsibility.sum(axis=0)
        share = (count + 0.005 * len(x)) / (count + 0.005 * len(x)).sum()
        residual = (responsibility.T @ x) / np.maximum(count, 1.0)[:, None] - references
        trust = count / (count + 0.02 * len(x))
        shift = trust @ residual / (trust.sum() + 0.1)
        displacement = follow * trust[:, None] * (residual - shift)
    return references + shift + displacement, shift


def _refine(
    x: Array, v: Array, centres: Array, present: NDArray[np.bool_], *, rounds: int = 10
) -> tuple[Array, Array, Array]:
    """EM with the noise as metric; noisy and far (mixed, foreign) points do not move a centre."""
    centres = centres.copy()
    share = present / present.sum()
    noise = v.mean(axis=1)
    noise = noise / np.median(noise)
    responsibility = np.zeros((len(x), len(centres)))
    misfit = np.zeros(len(x))
    for _ in range(rounds):
        likelihood = log_likelihood(x, v, centres[present])
        responsibility[:] = 0.0
        responsibility[:, present] = _normalised(likelihood + np.log(share[present] + 1e-3))
        share = responsibility.mean(axis=0)
        misfit = -2.0 * likelihood.max(axis=1)
        near = misfit <= np.quantile(misfit, 0.85)
        weight = responsibility * (near / noise)[:, None]
        total = weight.sum(axis=0)
        moved = present & (responsibility[near].sum(axis=0) >= 1.0)
        centres[moved] = (weight.T @ x)[moved] / total[moved, None]
    return centres, responsibility, misfit


def _dependent_cluster(
    centres: Array,
    references: NDArray[np.floating],
    present: NDArray[np.bool_],
    count: NDArray[np.intp],
) -> NDArray[np.bool_]:
    """The one phase, if any, whose cluster is a fringe of the larger one nearest to it.

    A small cluster is its own when it keeps 60 % of the references' distance to the larger one:
    below that it is made of the pixels of a boundary. A large one cannot be a boundary; real
    domains that are mixed throughout still keep a quarter, halves of one noisy cloud do not.
    """
    lost = np.zeros(len(centres), dtype=bool)
    ratio = np.full(len(centres), np.inf)
    for k in np.flatnonzero(present):
        for j in np.flatnonzero(present & (count > count[k])):
            expected = references[k] - references[j]
            ratio[k] = min(ratio[k], (centres[k] - centres[j]) @ expected / (expected @ expected))
    needed = np.where(count > _DOMAIN * count.sum(), 0.25, 0.6)
    worst = int(np.argmin(ratio / needed))
    lost[worst] = ratio[worst] < needed[worst]
    return lost


def _normalised(score: Array) -> Array:
    weight = np.exp(score - score.max(axis=1, keepdims=True))
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))
