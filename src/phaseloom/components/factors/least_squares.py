"""Factors of least squares in the compressed space by HALS.

Hierarchical alternating least squares (Cichocki & Phan, IEICE E92-A (2009) 708), several updates
of each factor from the same products (Gillis & Glineur, Neural Computation 24 (2012) 1085), for
several starts at once. Iterations end when the weight maps have converged, not when the error falls
slowly: the error is nearly all noise, and falls slowly long before the maps are right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.components.factors.compression import Compressed, tensor
from phaseloom.compute.device import Device, one_thread, torch_device

if TYPE_CHECKING:
    import torch

_CHECK = 10
"""Iterations between two checks of convergence."""

_REPEATS = 2
"""Updates of a factor from the same products."""

_SWEEPS = 50
"""Updates of weights whose patterns stay."""


class Fit(NamedTuple):
    """Factors of the scaled matrix, one set for every start.

    Parameters
    ----------
    weights
        (start, positions, k).
    patterns
        (start, k, pixels).
    square
        (start,) ‖V − WH‖² of the scaled matrix.
    iterations
        How many there were.
    converged
        (start,) whether the maps had converged.
    """

    weights: NDArray[np.float32]
    patterns: NDArray[np.float32]
    square: NDArray[np.float64]
    iterations: int
    converged: NDArray[np.bool_]


@one_thread()
def fit(
    compressed: Compressed,
    patterns: NDArray[np.float32],
    *,
    sparsity: float = 0.0,
    smoothness: float = 0.0,
    scan_shape: tuple[int, int] | None = None,
    tolerance: float = 1e-3,
    max_iterations: int = 500,
    device: Device = "auto",
) -> Fit:
    """Weights and patterns of least squares from given starts.

    Parameters
    ----------
    compressed
        The matrix.
    patterns
        (start, k, pixels) to begin with.
    sparsity
        What a weight costs, in parts of the root mean square of a position's pattern: more, and
        positions have fewer components.
    smoothness
        How much a weight is drawn to the mean of its four neighbours, in parts of what the data
        draw; needs `scan_shape`.
    scan_shape
        Positions (y, x).
    tolerance
        A weight map has converged when ten iterations change it by less than this part of its norm.
    max_iterations
        End at the latest.
    device
        Where.
    """
    where = torch_device(device).type
    scores = tensor(compressed.scores, where)
    basis = tensor(compressed.basis, where)
    h = tensor(patterns, where).clone()
    h = h / h.norm(dim=2, keepdim=True).clamp(min=1e-30)
    w = _weights((h @ basis.T) @ scores.T, h @ h.mT)
    cost = sparsity * float(np.sqrt(compressed.total / len(compressed.scores)))
    before, iterations = w.clone(), 0
    converged = np.zeros(len(h), dtype=np.bool_)
    while iterations < max_iterations and not converged.all():
        iterations += 1
        products = (h @ basis.T) @ scores.T
        gram = h @ h.mT
        for _ in range(_REPEATS):
            _update(w, products - cost, gram, smoothness, scan_shape)
        _update_all(h, (w @ scores) @ basis, w @ w.mT)
        size = h.norm(dim=2, keepdim=True).clamp(min=1e-30)
        h /= size
        w *= size
        if iterations % _CHECK == 0:
            moved = (w - before).norm(dim=2) / w.norm(dim=2).clamp(min=1e-30)
            converged = (moved.amax(dim=1) < tolerance).cpu().numpy()
            before = w.clone()
    square = _square(compressed.total, w, (h @ basis.T) @ scores.T, h @ h.mT)
    return Fit(w.mT.cpu().numpy(), h.cpu().numpy(), square.cpu().numpy(), iterations, converged)


@one_thread()
def weights_of(
    compressed: Compressed, patterns: NDArray[np.float32], *, device: Device = "auto"
) -> tuple[NDArray[np.float32], float]:
    """Weights (positions, k) of given patterns (k, pixels), and ‖V − WH‖² of the scaled matrix."""
    where = torch_device(device).type
    scores, h = tensor(compressed.scores, where), tensor(patterns[None], where)
    directions = h @ tensor(compressed.basis, where).T
    products, gram = directions @ scores.T, h @ h.mT
    w = _weights(products, gram)
    for _ in range(_SWEEPS):
        _update(w, products, gram)
    return w[0].T.cpu().numpy(), float(_square(compressed.total, w, products, gram)[0])


def _square(
    total: float, w: torch.Tensor, products: torch.Tensor, gram: torch.Tensor
) -> torch.Tensor:
    cross = (products * w).double().sum(dim=(1, 2))
    return total - 2 * cross + ((w @ w.mT).double() * gram.double()).sum(dim=(1, 2))


def _weights(products: torch.Tensor, gram: torch.Tensor) -> torch.Tensor:
    """Weights (start, k, positions) to begin with: least squares, what is negative cut off."""
    import torch

    size = gram.diagonal(dim1=1, dim2=2).mean(dim=1)[:, None, None]
    eye = torch.eye(gram.shape[1], device=gram.device)
    begun: torch.Tensor = torch.linalg.solve(gram + 1e-3 * size * eye, products).clamp(min=0)
    return begun


def _update_all(factor: torch.Tensor, products: torch.Tensor, gram: torch.Tensor) -> None:
    for _ in range(_REPEATS):
        _update(factor, products, gram)


def _update(
    factor: torch.Tensor,
    products: torch.Tensor,
    gram: torch.Tensor,
    smoothness: float = 0.0,
    scan_shape: tuple[int, int] | None = None,
) -> None:
    """One row of a factor (start, k, …) after the other, in place, best with the others fixed."""
    for j in range(factor.shape[1]):
        own = gram[:, j, j, None].clamp(min=1e-30)
        step = products[:, j] - (gram[:, j, None] @ factor)[:, 0]
        if smoothness and scan_shape is not None:
            unsmoothed = factor[:, j] + step / own
            mean = _neighbours(factor[:, j].reshape(-1, *scan_shape)).reshape(unsmoothed.shape)
            factor[:, j] = ((unsmoothed + smoothness * mean) / (1.0 + smoothness)).clamp(min=0)
        else:
            factor[:, j].add_(step / own).clamp_(min=0)


def _neighbours(maps: torch.Tensor) -> torch.Tensor:
    """Mean of the four neighbours of every position; the edge is its own neighbour."""
    from torch.nn.functional import pad

    wide = pad(maps[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    return 0.25 * (wide[:, :-2, 1:-1] + wide[:, 2:, 1:-1] + wide[:, 1:-1, :-2] + wide[:, 1:-1, 2:])
