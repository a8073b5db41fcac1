"""Ambiguous pixels resolved and false assignments found in the latent space.

References are registered to the data, a Gaussian-mixture variational autoencoder is trained from
the clusters found (:mod:`phaseloom.latent`), and every pixel is weighed against the phases and
their two-phase mixtures by Mahalanobis distance in the latent space. After Adrar et al.,
arXiv 2603.07666; what differs was measured on simulated stacks (``benchmarks/gmvae.py``):

- a covariance taken per class from confident pixels lets the broadest class swallow the
  boundaries; the counting noise of each pixel, carried through the encoder, does not;
- pixels at boundaries hold two phases: with the mixtures as members of the phases the accuracy on
  ambiguous pixels is above Pearson's from 3000 counts up (level with it at 1000), and the
  posterior is calibrated on them too;
- clusters keep the names of the references they came from even where the references are shifted
  against the data, which confident Pearson labels do not survive.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from phaseloom.compute.progress import SILENT, Progress
from phaseloom.errors import InputError, InputWarning
from phaseloom.latent.diagnostics import mahalanobis_squared
from phaseloom.latent.mixtures import learn_shares, member_posterior, mixture_paths
from phaseloom.latent.seeding import Seeds, log_likelihood, register
from phaseloom.stxm.assignment.evidence import stands_out
from phaseloom.stxm.assignment.points import (
    Points,
    Variance,
    blocks,
    centred_and_scaled,
    estimated_variance,
)

if TYPE_CHECKING:
    from phaseloom.latent.training import Model

Covariance = Literal["noise", "pooled"]
Array = NDArray[np.float32]

MIN_PIXELS = 200
_REGISTERED = 30_000
_TRAINED = 60_000
_SURE = 0.99
_CONTRADICTED = 0.95
_SEEN = 0.05
_CLEAR = 0.5
_NO_SIGNAL = 0.8
"""Noise as part of a spectrum's variance over energy: below the first a pixel may seed clusters,
above the second there is nothing to name."""
_MISSED = 0.06
"""Part of a spectrum's variance over energy that an unknown pixel keeps to itself."""


@dataclass
class Resolution:
    """Phase, posterior and flags of each pixel from the latent space.

    Attributes
    ----------
    phase
        (n,) int8 final phase: Pearson's, but the latent space's for ambiguous pixels and false
        assignments; −2 unknown.
    posterior
        (n, phase) probability that a phase is the largest part of the pixel.
    abundance
        (n, phase) posterior mean of the phases' fractions, at most two phases at a time.
    abundance_error
        (n, phase) its standard deviation over the posterior.
    distance
        (n, phase) Mahalanobis distance from each phase's centre in the latent space; NaN for an
        absent phase.
    false_assignment
        (n,) a confident Pearson label contradicted with more than 95 %, or naming a phase that
        is absent.
    transition
        (n,) two-phase pixels (largest fraction below 0.9), and those far from every phase and
        mixture.
    unknown
        (n,) pixels no phase or mixture explains.
    latent
        (n, latent) coordinates.
    present
        (phase,) which phases have a cluster of their own.
    cluster
        (phase, energy) centred and scaled mean spectra of the clusters, NaN for absent phases.
    noise_scale
        How much larger the scatter in the latent space is than the noise says; its square scales
        the covariance. 1 or more.
    model
        The trained network.
    """

    phase: NDArray[np.int8]
    posterior: Array
    abundance: Array
    abundance_error: Array
    distance: Array
    false_assignment: NDArray[np.bool_]
    transition: NDArray[np.bool_]
    unknown: NDArray[np.bool_]
    latent: Array
    present: NDArray[np.bool_]
    cluster: Array
    noise_scale: float
    model: Model


def resolve(
    spectra: NDArray[np.floating],
    labels: NDArray[np.integer],
    ambiguous: NDArray[np.bool_],
    *,
    references: NDArray[np.floating],
    phase_names: Sequence[str],
    variance: NDArray[np.floating] | Variance | None = None,
    latent_dims: int = 3,
    covariance: Covariance = "noise",
    seed: int = 0,
    device: str = "auto",
    progress: Progress = SILENT,
) -> Resolution:
    """Resolve ambiguous pixels in a latent space.

    Parameters
    ----------
    spectra
        (n, energy) optical density of the masked pixels, of one stack or of several on the same
        energies.
    labels, ambiguous
        (n,) Pearson's best phase, and where it is ambiguous.
    references
        (phase, energy) sampled on the stack's energies; arbitrary but common scale.
    phase_names
        (phase,) for messages.
    variance
        (n, energy) variance of the optical density (1/counts for Poisson counts), or a function
        that gives it for the rows asked for. Without it a level per energy is estimated from what
        few components cannot explain.
    latent_dims
        Dimensions of the latent space; 3 lose nothing for 5 phases, 2 lose a little.
    covariance
        ``noise``: of each pixel, from its variance through the encoder. ``pooled``: within
        classes, one for all.
    seed, device, progress
        Same seed and device, same result; ``auto``, ``cpu`` or ``cuda``; what to report to.

    Raises
    ------
    InputError
        Spectra that are not finite or flat, too few pixels, or a component that ends empty after
        restarts.
    """
    from phaseloom.latent.training import fit

    rng = np.random.default_rng(seed)
    n = len(spectra)
    if n < MIN_PIXELS:
        raise InputError(
            f"{n} pixels are too few for a latent space (at least {MIN_PIXELS})",
            "take a larger region, or use --resolve likelihood",
        )
    if variance is None:
        points = Points.of(spectra, estimated_variance(spectra, len(references)))
    else:
        points = Points.of(spectra, variance if callable(variance) else variance.__getitem__)
    expected, contrast = centred_and_scaled(references)

    noise_part = np.concatenate([points[rows][1].mean(axis=1) for rows in blocks(n)])
    above_noise = np.flatnonzero(noise_part <= _CLEAR)
    if above_noise.size < MIN_PIXELS:
        raise InputError(
            f"only {above_noise.size} of {n} spectra stand out of the noise",
            "bin the pixels, or check the incident intensity",
        )
    sample = rng.choice(above_noise, min(above_noise.size, _REGISTERED), replace=False)
    seeds = register(*points[sample], expected)
    kept = np.flatnonzero(seeds.present)
    _warn_of_absent(labels, ambiguous, seeds, phase_names)
    likely, confident = _confident(points, seeds)
    chosen = above_noise[_balanced(likely[above_noise], rng)]
    trained, their_variance = points[chosen]
    model = fit(
        trained,
        np.where(confident, likely, -1)[chosen],
        variance=their_variance,
        n_components=kept.size,
        names=[phase_names[int(k)] for k in kept],
        latent_dims=latent_dims,
        seed=seed,
        device=device,
        progress=progress,
    )

    paths = mixture_paths(seeds.centres[kept], contrast[kept])
    members = model.embed(paths.spectra)[0]
    pooled = None
    if covariance == "pooled":
        pooled = _pooled(model, trained, members[likely[chosen]], confident[chosen])

    def squared(x: Array, v: Array) -> tuple[Array, Array]:
        latent = model.embed(x)[0]
        spread = model.propagate(x, v) if pooled is None else pooled
        return latent, mahalanobis_squared(latent, members, spread)

    sure = sample[confident[sample]]
    noise_scale = _noise_scale(squared(*points[sure])[1], likely[sure], latent_dims)
    prior = learn_shares(squared(*points[sample])[1] / noise_scale**2, paths)

    n_phases = len(references)
    posterior = np.zeros((n, n_phases), dtype=np.float32)
    abundance = np.zeros((n, n_phases), dtype=np.float32)
    abundance_error = np.zeros((n, n_phases), dtype=np.float32)
    squares = paths.mean_square_abundance
    distance = np.full((n, n_phases), np.nan, dtype=np.float32)
    latent = np.empty((n, latent_dims), dtype=np.float32)
    mixed = np.empty(n, dtype=np.float32)
    nearest = np.empty(n, dtype=np.float32)
    misfit = np.empty(n, dtype=np.float32)
    excess = np.empty(n, dtype=np.float32)
    two = paths.abundance.max(axis=1) < 0.89
    for rows in progress.track(blocks(n), "phases in latent space"):
        x, v = points[rows]
        latent[rows], d2 = squared(x, v)
        d2 /= noise_scale**2
        weight = member_posterior(d2, prior)
        posterior[rows, kept] = weight @ paths.owner
        mean = weight @ paths.abundance
        abundance[rows, kept] = mean
        abundance_error[rows, kept] = np.sqrt(np.maximum(weight @ squares - mean**2, 0.0))
        distance[rows, kept] = np.sqrt(d2[:, : kept.size])
        mixed[rows] = weight[:, two].sum(axis=1)
        nearest[rows] = d2.min(axis=1)
        best = paths.spectra[weight.argmax(axis=1)]
        residual = (x - best) ** 2
        misfit[rows] = (residual / v).mean(axis=1)
        excess[rows] = residual.mean(axis=1) - noise_part[rows]

    unknown = _unknown(misfit, excess, noise_part)
    far = nearest > _chi2_quantile(0.9999, latent_dims)
    return _decide(
        labels,
        ambiguous,
        posterior=posterior,
        abundance=abundance,
        abundance_error=abundance_error,
        distance=distance,
        latent=latent,
        transition=((mixed > 0.5) | far) & ~unknown,
        unknown=unknown,
        far=far,
        seeds=seeds,
        noise_scale=noise_scale,
        model=model,
    )


def _warn_of_absent(
    labels: NDArray[np.integer],
    ambiguous: NDArray[np.bool_],
    seeds: Seeds,
    names: Sequence[str],
) -> None:
    """Warn when a phase that Pearson correlation finds has no cluster of its own."""
    share = np.bincount(labels[~ambiguous], minlength=len(names)) / len(labels)
    for phase in np.flatnonzero(~seeds.present & (share > _SEEN)):
        warnings.warn(
            f"{names[int(phase)]} has the best correlation in {share[phase]:.1%} of the pixels "
            "but no cluster of its own in the latent space: it is taken as absent there "
            "(compare --resolve likelihood)",
            InputWarning,
            stacklevel=3,
        )


def _decide(
    labels: NDArray[np.integer],
    ambiguous: NDArray[np.bool_],
    *,
    posterior: Array,
    abundance: Array,
    abundance_error: Array,
    distance: Array,
    latent: Array,
    transition: NDArray[np.bool_],
    unknown: NDArray[np.bool_],
    far: NDArray[np.bool_],
    seeds: Seeds,
    noise_scale: float,
    model: Model,
) -> Resolution:
    best = posterior.argmax(axis=1)
    sure = posterior.max(axis=1) > _CONTRADICTED
    # A phase without a cluster of its own cannot win in the latent space. Near the clusters that
    # contradicts Pearson; far from all of them it may be a rare phase, and Pearson's word stands.
    contradicted = (best != labels) & np.where(seeds.present[labels], sure, ~far)
    false_assignment = contradicted & ~ambiguous & ~unknown
    phase = np.where(ambiguous | false_assignment, best, labels)
    return Resolution(
        phase=np.where(unknown, -2, phase).astype(np.int8),
        posterior=posterior,
        abundance=abundance,
        abundance_error=abundance_error,
        distance=distance,
        false_assignment=false_assignment,
        transition=transition,
        unknown=unknown,
        latent=latent,
        present=seeds.present,
        cluster=np.where(seeds.present[:, None], seeds.centres, np.nan).astype(np.float32),
        noise_scale=noise_scale,
        model=model,
    )


def _confident(points: Points, seeds: Seeds) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Nearest cluster (n,) among those present, and where it is sure and the spectrum pure."""
    centres = seeds.centres[seeds.present].astype(np.float32)
    score = np.concatenate([log_likelihood(*points[rows], centres) for rows in blocks(len(points))])
    likely = score.argmax(axis=1)
    best = score.max(axis=1)
    sure = best - np.log(np.exp(score - best[:, None]).sum(axis=1)) - best > np.log(_SURE)
    limit = np.array(
        [
            np.quantile(-best[likely == k], 0.9) if (likely == k).any() else 0.0
            for k in range(score.shape[1])
        ]
    )
    return likely, sure & (-best <= limit[likely])


def _balanced(likely: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """At most 60 000 pixels in which rare clusters are better represented."""
    n = len(likely)
    if n <= _TRAINED:
        return np.arange(n)
    weight = 1.0 / np.sqrt(np.bincount(likely))[likely]
    return np.sort(rng.choice(n, _TRAINED, replace=False, p=weight / weight.sum()))


def _pooled(
    model: Model, x: NDArray[np.floating], centres: Array, confident: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Covariance within classes, of all together, without the outermost tenth."""
    residual = (model.embed(x)[0] - centres)[confident].astype(float)
    inverse = np.linalg.inv(residual.T @ residual / len(residual))
    size = np.einsum("ni,ij,nj->n", residual, inverse, residual)
    core = residual[size <= np.quantile(size, 0.9)]
    covariance: NDArray[np.float64] = core.T @ core / len(core)
    return covariance


def _noise_scale(squared: Array, likely: NDArray[np.intp], latent_dims: int) -> float:
    own = float(np.median(squared[np.arange(len(likely)), likely]))
    return math.sqrt(max(own / _chi2_quantile(0.5, latent_dims), 1.0))


def _chi2_quantile(probability: float, freedom: int) -> float:
    from scipy.special import chdtri

    return float(chdtri(freedom, 1.0 - probability))


def _unknown(misfit: Array, excess: Array, noise: Array) -> NDArray[np.bool_]:
    """Pixels no phase explains: a misfit far out from the others' and large, or no signal at all.

    The fit has to miss a part of the spectrum's contrast (squared) beyond the noise, so that high
    counts alone, which make every small error of the model significant, call nothing unknown.
    """
    return np.asarray((stands_out(misfit) & (excess > _MISSED)) | (noise > _NO_SIGNAL))
