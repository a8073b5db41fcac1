"""Weights and patterns once more, each pixel with the counting error it has.

Scaling by rows and columns gives an average pixel the right error; a spot that only one grain has
is brighter in that grain than its row and column say. Here the variance of a pixel is the model's
own expectation, W H: least squares so weighted are a step of scoring towards the greatest
likelihood of counts. One pass over the blocks gives the weights of the patterns given, and
(k² × pixels) sums from which the patterns follow.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.components.compression import Scaling, tensor

if TYPE_CHECKING:
    import torch

    from phaseloom.components.matrix import MatrixBlock

_FLOOR = 0.02
"""Part of the scan's mean intensity below which no pixel's variance is taken to be."""

_SWEEPS = 40
"""Of coordinate descent; each is exact in one coordinate."""

_CHUNK = 2**22
"""Numbers worked on at once."""

Floats = NDArray[np.float32]


class Part(NamedTuple):
    """What a block of positions gives.

    Parameters
    ----------
    weight
        (positions, k).
    residual
        (positions,) ‖v − w H‖².
    square
        (positions,) ‖v‖².
    products, pairs
        Normal equations of the patterns: (k, pixels) and (k (k + 1) / 2, pixels), float64.
    """

    weight: Floats
    residual: Floats
    square: Floats
    products: NDArray[np.float64]
    pairs: NDArray[np.float64]


def weigh(
    pattern: Floats, weight: Floats, mean: float, scaling: Scaling, device: str
) -> Callable[[MatrixBlock], Part]:
    """A function of one block: its weights, and its part of the patterns' normal equations.

    Parameters
    ----------
    pattern
        (k, pixels) in counts.
    weight
        (positions, k) found before; the variances are those of this model.
    mean
        Mean intensity of the scan.
    scaling
        ``"poisson"``: variance as said above; ``"none"``: the same for all pixels.
    device
        Where.
    """
    return partial(_weigh, pattern, weight, mean, scaling, device)


def _weigh(
    pattern: Floats, weight: Floats, mean: float, scaling: Scaling, device: str, block: MatrixBlock
) -> Part:
    import torch

    h = tensor(pattern, device)
    k, m = h.shape
    first, second = np.triu_indices(k)
    both = h[first] * h[second]
    values = block.load()
    before = weight[block.rows]
    found: list[tuple[Floats, Floats, Floats]] = []
    products, pairs = np.zeros((k, m)), np.zeros((len(first), m))
    step = max(1, _CHUNK // m)
    for start in range(0, len(values), step):
        v = tensor(values[start : start + step], device)
        w = tensor(before[start : start + step], device)
        if scaling == "poisson":
            certainty = 1.0 / (w @ h).clamp(min=_FLOOR * mean)
        else:
            certainty = torch.ones_like(v)
        w = _descend(w, (v * certainty) @ h.T, _square(certainty @ both.T, k))
        products += (w.T @ (v * certainty)).cpu().numpy()
        pairs += ((w[:, first] * w[:, second]).T @ certainty).cpu().numpy()
        left = (v - w @ h).square().sum(dim=1)
        found.append((w.cpu().numpy(), left.cpu().numpy(), v.square().sum(dim=1).cpu().numpy()))
    weights, residual, square = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Part(weights, residual, square, products, pairs)


def solve_patterns(
    pattern: Floats, products: NDArray[np.float64], pairs: NDArray[np.float64]
) -> Floats:
    """Patterns (k, pixels) of the normal equations of all blocks, begun with those before."""
    k = len(pattern)
    h = tensor(pattern.T, "cpu")
    gram = _square(tensor(pairs.T, "cpu"), k)
    return np.ascontiguousarray(_descend(h, tensor(products.T, "cpu"), gram).numpy().T)


def _square(pairs: torch.Tensor, k: int) -> torch.Tensor:
    """Symmetric matrices (…, k, k) of their upper triangles (…, k (k + 1) / 2)."""
    first, second = np.triu_indices(k)
    gram = pairs.new_empty((len(pairs), k, k))
    gram[:, first, second] = pairs
    gram[:, second, first] = pairs
    return gram


def _descend(x: torch.Tensor, products: torch.Tensor, gram: torch.Tensor) -> torch.Tensor:
    """Non-negative least squares of every row: x (n, k) of gram (n, k, k) x = products (n, k)."""
    columns = [column.contiguous() for column in x.T]
    rows = [
        [gram[:, j, i].contiguous() for i in range(gram.shape[1])] for j in range(gram.shape[1])
    ]
    wanted = [column.contiguous() for column in products.T]
    for _ in range(_SWEEPS):
        for j, row in enumerate(rows):
            left = wanted[j].clone()
            for i, other in enumerate(columns):
                if i != j:
                    left.addcmul_(row[i], other, value=-1.0)
            columns[j] = (left / row[j].clamp(min=1e-30)).clamp_(min=0)
    import torch

    return torch.stack(columns, dim=1)
