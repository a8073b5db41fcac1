"""How right factors and labels are, given the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Array = NDArray[np.floating[Any]]

OVERLAP_RATIO = 0.75
"""A position with two grains counts as an overlap from this ratio of the smaller to the larger."""


def relative_error(matrix: Array, weight: Array, pattern: Array) -> float:
    """‖V − WH‖ / ‖V‖ of V (positions, pixels) as given, without a product of that size."""
    step = 256
    left = total = 0.0
    for first in range(0, len(matrix), step):
        rows = slice(first, first + step)
        v = matrix[rows].astype(np.float64)
        left += float(((v - weight[rows].astype(np.float64) @ pattern) ** 2).sum())
        total += float((v**2).sum())
    return float(np.sqrt(left / total))


def map_correlations(weight: Array, truth: Array) -> NDArray[np.float64]:
    """Correlation of every true map with the found one that is assigned to it.

    Parameters
    ----------
    weight, truth
        (positions, found) and (positions, true). The assignment makes the sum largest; a true
        map for which none is left has 0, as has one whose partner is constant.

    Returns
    -------
    numpy.ndarray
        (true,).
    """
    a, b = (np.asarray(x, dtype=np.float64) - np.mean(x, axis=0) for x in (weight, truth))
    norms = np.linalg.norm(a, axis=0)[:, None] * np.linalg.norm(b, axis=0)
    correlation = np.divide(a.T @ b, norms, out=np.zeros_like(norms), where=norms > 0)
    found, true = linear_sum_assignment(-correlation)
    matched = np.zeros(truth.shape[1])
    matched[true] = correlation[found, true]
    return matched


def true_overlaps(shares: Array) -> NDArray[np.bool_]:
    """Positions whose second share (positions, grains) is near the first, by the rule on truth."""
    second, first = np.sort(shares, axis=1)[:, -2:].T
    return np.asarray((first > 0) & (second >= OVERLAP_RATIO * first))


def f1(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Harmonic mean of precision and recall; NaN where there is nothing to find or found."""
    total = np.count_nonzero(found) + np.count_nonzero(truth)
    return float(2 * np.count_nonzero(found & truth) / total) if total else float("nan")


def labels_right(label: NDArray[np.integer[Any]], truth: NDArray[np.integer[Any]]) -> float:
    """Share of positions with the right grain, each label standing for one grain at most."""
    known = label >= 0
    shared = np.zeros((int(label.max(initial=-1)) + 1, int(truth.max()) + 1))
    np.add.at(shared, (label[known], truth[known]), 1.0)
    found, true = linear_sum_assignment(-shared)
    return float(shared[found, true].sum() / truth.size)
