"""Published choice of the number of components (Cao et al., Digital Discovery 2025, d5dd00071h).

1. Patterns of 128² scaled to [0, 1]; factors of least Kullback–Leibler divergence for
   k = 3 … 20; loss(k) = mean |V − WH|; its knee (Kneedle), and k from knee − 4 to knee + 4.
2. Factors of least squares from an NNDSVD start; a component is shown by its brightest image of
   rank one.
3. PSNR, SSIM, GMSD and MDSI between the components; each metric votes, the votes choose k.

How votes lead to k is taken as follows: one factorisation with as many components as the window
allows; component number i stands for k = i; a metric votes for the component least like the
others on average.

The procedure is here to compare with, flaws and all, and is not advised: the number of a
component says nothing about how many there are; PSNR counts the other way round (its largest
mean, the most alike); a component is compared with itself too; there is one start; and a fit of
one loss is judged by another.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.components.choice.image_quality import METRICS, similarity_matrices
from phaseloom.components.factors.compression import Compressed, compress
from phaseloom.components.factors.factorisation import Factors, check_rank, factorise
from phaseloom.components.options import Loss
from phaseloom.components.patterns.matrix import MatrixBlock, Prepared
from phaseloom.compute.execution import Execution
from phaseloom.compute.keywords import takes_options
from phaseloom.compute.progress import SILENT
from phaseloom.errors import InputError, InputWarning

_FEWEST = 3
_HALF_WINDOW = 4
_SENSITIVITY = 1.0
# Begun with the factors of least squares, twenty updates bring the loss to within 0.2 % of where
# it ends; each reads the whole scan.
_UPDATES = 20

# A pattern against itself, in the order of METRICS; PSNR would be infinite.
_WITH_ITSELF = (100.0, 1.0, 0.0, 0.0)
# A metric votes for the largest mean times this: for components little alike, smallest SSIM and
# largest GMSD and MDSI; but largest PSNR, as published, which is the most alike.
_SIGNS = (1.0, -1.0, 1.0, 1.0)

_CHUNK = 2**22


class PublishedChoice(NamedTuple):
    """The number of components by the published procedure, and the evidence for it.

    Parameters
    ----------
    k
        Number of components.
    knee
        Where the loss has its knee.
    ks
        3 … components_max.
    loss
        (ks,) mean |V − WH| of the KL fits, V scaled to [0, 1].
    votes
        (metric, ks) 1 where a metric of `METRICS` voted, else 0.
    quality
        (metric, ks) mean metric of component k (counted from 1) with all components, itself
        included; NaN outside the window.
    reason
        One sentence.
    """

    k: int
    knee: int
    ks: NDArray[np.int64]
    loss: NDArray[np.float64]
    votes: NDArray[np.int64]
    quality: NDArray[np.float64]
    reason: str


@takes_options()
def choose_published(
    prepared: Prepared,
    *,
    components_max: int = 20,
    seed: int = 0,
    execution: Execution,
) -> PublishedChoice:
    """The number of components by the published procedure.

    Parameters
    ----------
    prepared
        The scan, its patterns resized to 128² (as :func:`phaseloom.components.prepare` does
        by default). Intensities are scaled to [0, 1], minimum to maximum of the scan.
    components_max
        Largest number of components tried; also the upper end of the window at most.
    seed
        As for :func:`phaseloom.components.factorise`.
    **options
        How it is carried out; progress counts the factorisations.

    Returns
    -------
    PublishedChoice
        The most votes win; of equals the smallest k.

    Raises
    ------
    InputError
        Fewer than 4 components can be tried, the scan has fewer than components_max independent
        ones, or all its intensities are the same.

    Warns
    -----
    InputWarning
        The loss has no knee; the k of its largest distance from the straight line is taken.
    """
    most = min(components_max, *prepared.shape)
    if most <= _FEWEST:
        raise InputError(
            f"{prepared.shape[0]} positions of {prepared.shape[1]} pixels and at most "
            f"{components_max} components leave no choice of the number of components",
            f"give a larger scan, components_max above {_FEWEST}, or the number itself (-k)",
        )
    scaled = _scaled(prepared)
    options: dict[str, Any] = {"seed": seed, "execution": replace(execution, progress=SILENT)}
    options["compressed"] = _compressed(scaled, most, **options)
    ks = np.arange(_FEWEST, most + 1)
    loss = np.array(
        [
            _mean_residual(scaled, _factors(scaled, k, "kl", **options))
            for k in execution.progress.track(ks.tolist(), "components for the loss", total=len(ks))
        ]
    )
    corner = knee(ks, loss)
    if corner is None:
        warnings.warn(
            "the loss falls without a knee, so the published choice of k rests on the k where it "
            "is farthest below a straight line",
            InputWarning,
            stacklevel=2,
        )
        corner = int(ks[np.argmax(_below_chord(ks, loss))])
    window = np.abs(ks - corner) <= _HALF_WINDOW
    largest = int(ks[window][-1])
    patterns = scaled.image(_representative(_factors(scaled, largest, "frobenius", **options)))
    quality = np.full((len(METRICS), len(ks)), np.nan)
    quality[:, window] = mean_quality(patterns)[:, ks[window] - 1]
    votes = _votes(quality)
    k = int(ks[np.argmax(votes.sum(axis=0))])
    voters = [name.upper() for name, chosen in zip(METRICS, votes, strict=True) if chosen[ks == k]]
    reason = (
        f"k = {k} by the published procedure: the loss has its knee at {corner}, and of "
        f"{largest} components number {k} got {len(voters)} of {len(METRICS)} votes "
        f"({', '.join(voters)})"
    )
    return PublishedChoice(k, corner, ks, loss, votes, quality, reason)


def knee(x: ArrayLike, y: ArrayLike) -> int | None:
    """The knee of a falling convex curve: Kneedle, offline, S = 1, nothing smoothed.

    Satopää et al. 2011, ICDCS Workshops, 166. Both axes are scaled to [0, 1]; the knee is the
    first local maximum of the distance below the straight line from which the distance falls
    by more than S times the mean spacing before it reaches another.

    Parameters
    ----------
    x
        Rising whole numbers.
    y
        The curve.

    Returns
    -------
    int or None
        The x of the knee, None if there is none.
    """
    ks = np.asarray(x)
    below = _below_chord(ks, np.asarray(y, dtype=np.float64))
    inner = below[1:-1]
    maxima = 1 + np.flatnonzero((inner > below[:-2]) & (inner >= below[2:]))
    drop = _SENSITIVITY / (len(ks) - 1)
    ends = [*maxima, len(below)][1:]
    for maximum, end in zip(maxima, ends, strict=True):
        if below[maximum:end].min() < below[maximum] - drop:
            return int(ks[maximum])
    return None


def mean_quality(patterns: ArrayLike) -> NDArray[np.float64]:
    """Mean of each metric of a component with all components, itself included.

    Parameters
    ----------
    patterns
        (component, ky, kx).

    Returns
    -------
    ndarray
        (metric, component) in the order of `METRICS`. With itself a component has 100 dB, 1, 0
        and 0; no pair has more than 100 dB.
    """
    matrices = similarity_matrices(patterns).astype(np.float64)
    for matrix, itself in zip(matrices, _WITH_ITSELF, strict=True):
        np.fill_diagonal(matrix, itself)
    matrices[0] = np.minimum(matrices[0], _WITH_ITSELF[0])
    return np.asarray(matrices.mean(axis=2))


def _votes(quality: NDArray[np.float64]) -> NDArray[np.int64]:
    ranked = quality * np.array(_SIGNS)[:, None]
    votes = np.zeros(quality.shape, dtype=np.int64)
    votes[np.arange(len(quality)), np.nanargmax(ranked, axis=1)] = 1
    return votes


def _below_chord(x: NDArray[np.int64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of the curve, both axes scaled to [0, 1], below the falling diagonal."""
    height = np.ptp(y)
    level = (y - y.min()) / height if height > 0 else np.zeros(len(y))
    return np.asarray(1.0 - level - (x - x[0]) / (x[-1] - x[0]))


def _representative(factors: Factors) -> NDArray[np.float32]:
    """The brightest image of rank one of each component."""
    return np.asarray(factors.weight.max(axis=0)[:, None] * factors.pattern)


def _mean_residual(prepared: Prepared, factors: Factors) -> float:
    total = 0.0
    step = max(1, _CHUNK // prepared.shape[1])
    for block in prepared.blocks:
        values, weight = block.load(), factors.weight[block.rows]
        for first in range(0, len(values), step):
            rows = slice(first, first + step)
            residual = values[rows] - weight[rows] @ factors.pattern
            total += float(np.abs(residual).sum(dtype=np.float64))
    return total / float(np.prod(prepared.shape))


def _compressed(prepared: Prepared, most: int, **options: Any) -> Compressed:
    """The truncated SVD that all factorisations begin with."""
    compressed = compress(prepared, dimensions=2 * most + 8, scaling="none", **options)
    check_rank(compressed, most)
    return compressed


def _factors(prepared: Prepared, k: int, loss: Loss, **options: Any) -> Factors:
    if loss == "kl":
        options["max_iterations"] = _UPDATES
    return factorise(prepared, k, loss=loss, start="nndsvd", scaling="none", **options)


@dataclass(frozen=True)
class _ScaledBlock:
    """Rows scaled to [0, 1], smallest to largest intensity of the scan."""

    block: MatrixBlock
    lowest: float
    highest: float

    @property
    def rows(self) -> slice:
        return self.block.rows

    def load(self) -> NDArray[np.float32]:
        values = (self.block.load() - np.float32(self.lowest)) / np.float32(
            self.highest - self.lowest
        )
        return np.asarray(values, dtype=np.float32)


def _scaled(prepared: Prepared) -> Prepared:
    extremes = [(rows.min(), rows.max()) for rows in (block.load() for block in prepared.blocks)]
    lowest = float(min(low for low, _ in extremes))
    highest = float(max(high for _, high in extremes))
    if not highest > lowest:
        raise InputError(
            "all intensities of the scan are the same", "there are no components to find"
        )
    blocks = [_ScaledBlock(block, lowest, highest) for block in prepared.blocks]
    return replace(prepared, blocks=blocks)
