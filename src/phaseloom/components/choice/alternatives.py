"""Other clustering methods for comparison: k-means, Gaussian mixture, HDBSCAN, GMVAE.

All work on scores, the positions' coordinates in the truncated SVD of the Poisson-scaled matrix,
so none of them needs the patterns.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning

METHODS = ("kmeans", "mixture", "hdbscan", "gmvae")
"""k-means, Gaussian mixture, HDBSCAN and the Gaussian-mixture variational autoencoder."""

_STARTS = 10
_SMALLEST_PART = 0.01
_FEWEST = 5
"""HDBSCAN's smallest cluster: this part of the positions, and at least so many."""
_MOST = 20_000
"""HDBSCAN's time goes with the square of the positions: of more, a sample is clustered."""
_SURE = 0.6
"""Part of each k-means cluster, the nearest to its centre, that seeds the autoencoder."""

Labels = NDArray[np.int16]


def other_labels(
    scores: NDArray[np.floating],
    k: int,
    *,
    methods: Sequence[str] = METHODS,
    seed: int = 0,
    device: str = "auto",
) -> dict[str, Labels]:
    """Partitions of the positions by other methods.

    Parameters
    ----------
    scores
        (n, r), one row a position, as :func:`phaseloom.components.factors.compression.compress`
        gives.
    k
        Number of clusters, background included. HDBSCAN finds its own number.
    methods
        Of ``kmeans``, ``mixture`` (Gaussian mixture of full covariances), ``hdbscan`` (Campello,
        Moulavi and Sander 2013) and ``gmvae`` (:mod:`phaseloom.latent`, seeded with the centres
        of the k-means clusters); all but k-means on the k leading principal components.
    seed, device
        Same seed and device, same partitions; ``auto``, ``cpu`` or ``cuda`` for ``gmvae``.

    Returns
    -------
    dict of str to numpy.ndarray
        (n,) int16 by method: 0 the largest cluster, 1 the next, …; −1 noise (HDBSCAN).
        A method that finds no partition is left out with a warning.

    Raises
    ------
    InputError
        A method that is not known, scores that are not finite, or fewer positions than clusters.
    """
    table = np.asarray(scores, dtype=np.float64)
    unknown = [name for name in methods if name not in METHODS]
    if unknown:
        raise InputError(
            f"there is no method '{unknown[0]}' to compare with", f"choose of {', '.join(METHODS)}"
        )
    if table.ndim != 2 or not np.isfinite(table).all():
        raise InputError("scores are not a table of numbers", "give (positions, dimensions)")
    if not 1 <= k <= len(table):
        raise InputError(
            f"{len(table)} positions cannot be parted into {k} clusters",
            "ask for at least one and not more than there are positions",
        )
    if k == 1:
        # All that are given the number can but put everything into one.
        return {
            name: _by_size(_hdbscan(_principal(table, 2), seed))
            if name == "hdbscan"
            else np.zeros(len(table), np.int16)
            for name in methods
        }
    axes = _principal(table, k)
    labels: dict[str, Labels] = {}
    kmeans = None
    if {"kmeans", "gmvae"} & set(methods):
        kmeans = _kmeans(table, k, seed)
    for name in methods:
        if name == "kmeans" and kmeans is not None:
            labels[name] = _by_size(kmeans[0])
        elif name == "mixture":
            labels[name] = _by_size(_mixture(axes, k, seed))
        elif name == "hdbscan":
            labels[name] = _by_size(_hdbscan(axes, seed))
        elif name == "gmvae" and kmeans is not None:
            try:
                labels[name] = _by_size(_gmvae(axes, *kmeans, seed=seed, device=device))
            except InputError as error:
                warnings.warn(
                    f"no clusters by the autoencoder (gmvae): {error.fault}",
                    InputWarning,
                    stacklevel=2,
                )
    return labels


def agreement_matrix(labels: Mapping[str, NDArray[np.integer[Any]]]) -> NDArray[np.float64]:
    """Adjusted Rand index of every pair of partitions.

    Parameters
    ----------
    labels
        (n,) or (y, x) by method. What has no label (−1) counts as a group like any other.

    Returns
    -------
    numpy.ndarray
        (method, method) in the order of ``labels``, symmetric, 1 on the diagonal: 1 the same
        partition whatever its numbers, 0 no more than by chance (Hubert and Arabie 1985).
    """
    from sklearn.metrics import adjusted_rand_score

    flat = [np.ravel(values) for values in labels.values()]
    matrix = np.eye(len(flat))
    for i, one in enumerate(flat):
        for j in range(i):
            matrix[i, j] = matrix[j, i] = adjusted_rand_score(one, flat[j])
    return matrix


def _principal(scores: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """The k leading principal components (n, at most k): k means lie in k − 1 dimensions.

    One scale for all, so that distances stay what they are.
    """
    centred = scores - scores.mean(axis=0)
    covariance = centred.T @ centred / len(centred)
    variance, axes = np.linalg.eigh(covariance)
    leading = centred @ axes[:, ::-1][:, :k]
    return np.asarray(leading / max(float(np.sqrt(variance[-1])), 1e-30))


def _kmeans(
    scores: NDArray[np.float64], k: int, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Cluster of each position, and its distance from that cluster's centre."""
    from sklearn.cluster import KMeans

    fitted = KMeans(k, n_init=_STARTS, random_state=seed).fit(scores)
    label = np.asarray(fitted.labels_, dtype=np.intp)
    return label, np.linalg.norm(scores - fitted.cluster_centers_[label], axis=1)


def _mixture(axes: NDArray[np.float64], k: int, seed: int) -> NDArray[np.intp]:
    from sklearn.mixture import GaussianMixture

    fitted = GaussianMixture(k, n_init=3, reg_covar=1e-5, max_iter=300, random_state=seed)
    return np.asarray(fitted.fit_predict(axes), dtype=np.intp)


def _hdbscan(axes: NDArray[np.float64], seed: int) -> NDArray[np.intp]:
    """Clusters of the positions, or of a sample; others go with the nearest of the sample."""
    from scipy.spatial import cKDTree
    from sklearn.cluster import HDBSCAN

    n = len(axes)
    sample = np.arange(n)
    if n > _MOST:
        sample = np.sort(np.random.default_rng(seed).choice(n, _MOST, replace=False))
    smallest = max(_FEWEST, round(_SMALLEST_PART * len(sample)))
    label = HDBSCAN(min_cluster_size=smallest, min_samples=_FEWEST, copy=True).fit_predict(
        axes[sample]
    )
    if n > _MOST:
        label = label[cKDTree(axes[sample]).query(axes)[1]]
    return np.asarray(label, dtype=np.intp)


def _gmvae(
    axes: NDArray[np.float64],
    label: NDArray[np.intp],
    distance: NDArray[np.float64],
    *,
    seed: int,
    device: str,
) -> NDArray[np.intp]:
    """The most probable component, seeded with positions near the centres of the clusters."""
    from phaseloom.latent.training import fit

    k = int(label.max()) + 1
    limit = np.array([np.quantile(distance[label == i], _SURE) for i in range(k)])
    seeds = np.where(distance <= limit[label], label, -1)
    if axes.shape[1] < 2:
        raise InputError("one dimension is too few", "give more scores")
    latent_dims = axes.shape[1] - 1
    model = fit(axes, seeds, n_components=k, latent_dims=latent_dims, seed=seed, device=device)
    return np.asarray(model.component_probability(axes).argmax(axis=1), dtype=np.intp)


def _by_size(label: NDArray[np.intp]) -> Labels:
    """Labels renumbered by falling size of the clusters, −1 unchanged."""
    count = np.bincount(label[label >= 0])
    rank = np.empty(count.size + 1, dtype=np.int16)
    rank[np.argsort(-count, kind="stable")] = np.arange(count.size)
    rank[-1] = -1
    return rank[label]
