"""Diagnostics of the latent space: naming, occupancy, distances, calibration."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def one_to_one(
    components: ArrayLike, labels: ArrayLike, *, n_components: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Name components by the labels they share most points with, each name given once.

    Parameters
    ----------
    components, labels
        (n,) integers below ``n_components``; labels below zero are left out.
    n_components
        Number of components and of labels.

    Returns
    -------
    name : numpy.ndarray
        (n_components,) the label of each component (Hungarian assignment on the shared counts;
        Kuhn 1955), a permutation.
    recall : numpy.ndarray
        (n_components,) by label: the part of its points found in its component; NaN without any.
    """
    from scipy.optimize import linear_sum_assignment

    component, label = np.asarray(components), np.asarray(labels)
    labelled = label >= 0
    shared = np.zeros((n_components, n_components))
    np.add.at(shared, (component[labelled], label[labelled]), 1.0)
    _, name = linear_sum_assignment(-shared)
    total = shared.sum(axis=0)
    shared_with_own = np.zeros(n_components)
    shared_with_own[name] = shared[np.arange(n_components), name]
    with np.errstate(invalid="ignore"):
        return np.asarray(name, dtype=np.intp), shared_with_own / np.where(total > 0, total, np.nan)


def mahalanobis_squared(
    points: NDArray[np.floating], centres: NDArray[np.floating], covariance: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Squared Mahalanobis distances of points from centres.

    Parameters
    ----------
    points
        (n, latent).
    centres
        (centre, latent).
    covariance
        (latent, latent) for all points, or (n, latent, latent), one for each.

    Returns
    -------
    numpy.ndarray
        (n, centre) float32, expanded into matrix products; never below zero.
    """
    origin = np.asarray(centres, dtype=float).mean(axis=0)
    z, c = points - origin, centres - origin
    precision = np.broadcast_to(np.linalg.inv(covariance), (len(z), c.shape[1], c.shape[1]))
    weighted = np.einsum("nij,nj->ni", precision, z)
    outer = np.einsum("ci,cj->cij", c, c).reshape(len(c), -1)
    squared = (
        np.einsum("ni,ni->n", weighted, z)[:, None]
        - 2.0 * weighted @ c.T
        + precision.reshape(len(z), -1) @ outer.T
    )
    return np.asarray(np.maximum(squared, 0.0), dtype=np.float32)


def calibration_error(
    posterior: NDArray[np.floating], truth: NDArray[np.integer], *, bins: int = 10
) -> float:
    """Expected calibration error: mean gap between stated and achieved accuracy.

    Parameters
    ----------
    posterior
        (n, phase), rows summing to one.
    truth
        (n,) true phase.
    bins
        Equal bins of the largest posterior (Guo et al. 2017).
    """
    stated = posterior.max(axis=1)
    right = posterior.argmax(axis=1) == truth
    index = np.minimum((stated * bins).astype(int), bins - 1)
    count = np.bincount(index, minlength=bins)
    gap = np.bincount(index, stated - right, minlength=bins)
    return float(np.abs(gap).sum() / max(count.sum(), 1))
