"""Factors of least Kullback–Leibler divergence by multiplicative updates.

Lee & Seung, Advances in Neural Information Processing Systems 13 (2000) 556. The divergence is
the negative logarithm of the likelihood of counts, less a constant. An iteration is a pass over
the blocks, of which nothing but (k × pixels) sums leave them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.components.factors.compression import CHUNK, tensor
from phaseloom.compute.progress import SILENT, Progress

if TYPE_CHECKING:
    from phaseloom.components.patterns.matrix import MatrixBlock

_CHECK = 10
_LEAST = 1e-12

Floats = NDArray[np.float32]


def fit_divergence(
    pattern: Floats,
    weight: Floats,
    pass_over: Callable[[Callable[..., Any], Floats], Iterator[tuple[slice, Any]]],
    *,
    tolerance: float,
    max_iterations: int,
    device: str,
    progress: Progress = SILENT,
) -> tuple[Floats, Floats, int, bool]:
    """Weights and patterns of least divergence.

    Parameters
    ----------
    pattern, weight
        (k, pixels) and (positions, k) to begin with, in counts.
    pass_over
        Calls a function with each block and its part of the weights: gives rows and results in
        the order of the scan.
    tolerance, max_iterations, device
        As for :func:`phaseloom.components.factors.least_squares.fit`.
    progress
        Counts the iterations.

    Returns
    -------
    weight, pattern, iterations, converged
    """
    # A zero stays zero under multiplication.
    h = np.maximum(pattern, 1e-4 * pattern.mean(axis=1, keepdims=True))
    w = np.maximum(weight, 1e-4 * weight.mean(axis=0, keepdims=True))
    before, converged, iterations = w.copy(), False, 0
    for iterations in progress.track(range(1, max_iterations + 1), "fitting, iterations at most"):
        numerator = np.zeros(h.shape)
        for rows, (part, of_h) in pass_over(partial(_step, h, device=device), w):
            w[rows] = part
            numerator += of_h
        h = (h * (numerator / np.maximum(w.sum(axis=0, dtype=np.float64), _LEAST)[:, None])).astype(
            np.float32
        )
        size = np.maximum(h.sum(axis=1), _LEAST)
        h /= size[:, None]
        w *= size
        if iterations % _CHECK == 0:
            norm = np.maximum(np.linalg.norm(w, axis=0), _LEAST)
            converged = bool((np.linalg.norm(w - before, axis=0) / norm).max() < tolerance)
            before = w.copy()
        if converged:
            break
    return w, h, iterations, converged


def _step(
    pattern: Floats, block: MatrixBlock, weight: Floats, *, device: str
) -> tuple[Floats, NDArray[np.float64]]:
    """New weights of a block, and its part of the numerator of the patterns."""
    h = tensor(pattern, device)
    total = h.sum(dim=1).clamp(min=_LEAST)
    values = block.load()
    numerator = h.new_zeros(pattern.shape)
    weights = []
    step = max(1, CHUNK // pattern.shape[1])
    for start in range(0, len(values), step):
        v = tensor(values[start : start + step], device)
        w = tensor(weight[start : start + step], device)
        w = w * ((w @ h).clamp_(min=_LEAST).reciprocal_().mul_(v) @ h.T / total)
        numerator.addmm_(w.T, (w @ h).clamp_(min=_LEAST).reciprocal_().mul_(v))
        weights.append(w.cpu().numpy())
    return np.concatenate(weights), numerator.double().cpu().numpy()
