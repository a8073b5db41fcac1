"""Weights and patterns by least squares weighted with the Poisson variance of every pixel.

Scaling by rows and columns gives an average pixel the right variance; a spot that only one grain
has is brighter in that grain than its row and column suggest. Here the variance of a pixel is the
expectation of the model, W H: least squares weighted so are a step of Fisher scoring towards the
maximum likelihood of counts. One pass over the blocks gives the weights of the patterns given, and
(k² × pixels) sums from which the patterns follow.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.components.factors.compression import CHUNK, tensor
from phaseloom.components.options import Scaling
from phaseloom.compute.device import one_thread

if TYPE_CHECKING:
    import torch

    from phaseloom.components.patterns.matrix import MatrixBlock

_FLOOR = 0.02
"""Lower limit of a pixel's variance as a fraction of the scan's mean intensity."""

_SWEEPS = 1000
"""Of coordinate descent at most; patterns that share a bright direct beam need hundreds."""

_CHECK = 8
"""Sweeps between two checks of convergence."""

_TOLERANCE = 3e-5
"""Change of a coordinate between two checks, relative to its norm, at convergence."""

Floats = NDArray[np.float32]


class Part(NamedTuple):
    """Results of a block of positions.

    Parameters
    ----------
    weight
        (positions, k).
    squares
        (2, positions): ‖v − w H‖² and ‖v‖²; None where patterns are wanted.
    products, pairs
        Normal equations of the patterns: (k, pixels) and (k (k + 1) / 2, pixels); None where they
        were not asked for.
    """

    weight: Floats
    squares: Floats | None
    products: Floats | None
    pairs: Floats | None


def weigh(
    pattern: Floats,
    *,
    mean: float,
    scaling: Scaling,
    for_patterns: bool,
    device: str,
) -> Callable[[MatrixBlock, Floats], Part]:
    """A function of a block and its earlier weights that fits its weights anew.

    Variances are those of the earlier weights and patterns.

    Parameters
    ----------
    pattern
        (k, pixels) in counts.
    mean
        Mean intensity of the scan.
    scaling
        ``"poisson"``: variance of the expected counts; ``"none"``: the same for all pixels.
    for_patterns
        Whether the patterns' normal equations are wanted, or the residuals.
    device
        Where.
    """
    least = _FLOOR * mean if scaling == "poisson" else np.inf
    return partial(_weigh, pattern, least, for_patterns, device)


def _weigh(
    pattern: Floats,
    least: float,
    for_patterns: bool,
    device: str,
    block: MatrixBlock,
    weight: Floats,
) -> Part:
    import torch

    h = tensor(pattern, device)
    k, m = h.shape
    first, second = np.triu_indices(k)
    both = h[first] * h[second]
    step = max(1, CHUNK // m)
    chunks = _parts(tensor(block.load(), device), step)
    before = tensor(weight, device)

    def certainty(v: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return (
            (w @ h).clamp_(min=least).reciprocal_() if np.isfinite(least) else v.new_ones(v.shape)
        )

    equations = []
    for v, w in zip(chunks, _parts(before, step), strict=True):
        sure = certainty(v, w)
        equations.append((sure @ both.T, sure.mul_(v) @ h.T))
    gram, right = (torch.cat(parts) for parts in zip(*equations, strict=True))
    fitted = _descend(before, right, _square(gram, k))
    products, pairs = h.new_zeros((k, m)), h.new_zeros((len(both), m))
    norms = []
    for v, w, old in zip(chunks, _parts(fitted, step), _parts(before, step), strict=True):
        if for_patterns:
            sure = certainty(v, old)
            pairs.addmm_((w[:, first] * w[:, second]).T, sure)
            products.addmm_(w.T, sure.mul_(v))
        else:
            norms.append([torch.linalg.vector_norm(part, dim=1) for part in (v - w @ h, v)])
    weights = fitted.cpu().numpy()
    if for_patterns:
        return Part(weights, None, products.cpu().numpy(), pairs.cpu().numpy())
    squares = [torch.cat(parts).square() for parts in zip(*norms, strict=True)]
    return Part(weights, torch.stack(squares).cpu().numpy(), None, None)


def _parts(rows: torch.Tensor, step: int) -> list[torch.Tensor]:
    return [rows[first : first + step] for first in range(0, len(rows), step)]


@one_thread()
def solve_patterns(
    pattern: Floats, products: NDArray[np.floating], pairs: NDArray[np.floating]
) -> Floats:
    """Patterns (k, pixels) of the normal equations of all blocks, begun with those before."""
    gram = _square(tensor(pairs.T, "cpu"), len(pattern))
    solved = _descend(tensor(pattern.T, "cpu"), tensor(products.T, "cpu"), gram)
    return np.ascontiguousarray(solved.numpy().T)


def _square(pairs: torch.Tensor, k: int) -> torch.Tensor:
    """Symmetric matrices (…, k, k) of their upper triangles (…, k (k + 1) / 2)."""
    first, second = np.triu_indices(k)
    gram = pairs.new_empty((len(pairs), k, k))
    gram[:, first, second] = pairs
    gram[:, second, first] = pairs
    return gram


def _descend(x: torch.Tensor, products: torch.Tensor, gram: torch.Tensor) -> torch.Tensor:
    """Non-negative least squares of every row: x (n, k) of gram (n, k, k) x = products (n, k)."""
    import torch

    columns = [column.contiguous() for column in x.T]
    rows = [
        [gram[:, j, i].contiguous() for i in range(gram.shape[1])] for j in range(gram.shape[1])
    ]
    targets = [column.contiguous() for column in products.T]
    before = columns[:]
    for sweep in range(1, _SWEEPS + 1):
        for j, row in enumerate(rows):
            left = targets[j].clone()
            for i, other in enumerate(columns):
                if i != j:
                    left.addcmul_(row[i], other, value=-1.0)
            columns[j] = (left / row[j].clamp(min=1e-30)).clamp_(min=0)
        if sweep % _CHECK == 0:
            changes = zip(columns, before, strict=True)
            if all(bool((new - old).norm() <= _TOLERANCE * new.norm()) for new, old in changes):
                break
            before = columns[:]
    return torch.stack(columns, dim=1)
