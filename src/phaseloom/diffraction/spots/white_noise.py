"""Noise of independent pixels, where spots do not reach: at the highest spatial frequencies.

A product of finite differences along rows and columns leaves nothing of what is smooth over some
pixels: background, haloes, unresolved spots. For counts n with variance = gain · counts + floor
and any filter h, E (h ∗ n)² = gain · (h² ∗ μ) + floor · Σh² + (h ∗ μ)², and h² ∗ n estimates
h² ∗ μ without bias. So crowded patterns tell the gain as well as empty ones do.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.diffraction.spots.shape import SpotShape

Array = NDArray[np.float64]
Images = NDArray[np.float32]

_BLOCK = 16
_GROUPS = 12
Kernel = tuple[int, ...]
_LOW: Kernel = (1, -3, 3, -1)
_BASE: Kernel = (1, -4, 6, -4, 1)
_HIGH: Kernel = (1, -6, 15, -20, 15, -6, 1)
_ALONE: Kernel = (1,)
_OUTLYING = 25.0
"""(h ∗ n)² in units of its expectation, from which a pixel is hot or dead."""
_FEWEST = 2000
_PARTS = 10
_SURE = 3.5
_TOLERANCE = 0.004


class Blocks(NamedTuple):
    """Sums over squares of pixels, of usable ones: (h ∗ n)², h² ∗ n, both over Σh²; number."""

    squares: Array
    counts: Array
    number: Array


class Groups(NamedTuple):
    """Variance of single pixels against counts per px, with its standard error."""

    counts: Array
    variance: Array
    error: Array


def leak(shape: SpotShape, *, lines: bool = False) -> float:
    """What the filter leaves at most of a spot of height 1, in units of what it makes of noise.

    Parameters
    ----------
    shape
        Of the spots.
    lines
        Of the filter along rows or columns alone.
    """
    template = shape.template()[None].astype(np.float64)
    down, across = _BASE, _ALONE if lines else _BASE
    return float(np.abs(_filtered(template, down, across)).max() / np.sqrt(_norm(down, across)))


def white_noise(
    values: Images,
    hidden: NDArray[np.bool_],
    hidden_from_lines: NDArray[np.bool_],
    gain: float,
    floor: float,
) -> Groups | None:
    """Variance of independent pixels against their counts; None where pixels share noise.

    Parameters
    ----------
    values
        (n, ky, kx), corrected, NaN where unusable.
    hidden, hidden_from_lines
        (n, ky, kx), True where a spot is of which the filter leaves something, and the filter along
        rows or columns alone.
    gain, floor
        A first guess of the noise, for what is too far out to be noise.

    Notes
    -----
    The noise is white if filters of low and of high order find the same variance. One along rows
    or columns alone passes lower frequencies too: where enough pixels are left for it, it has to
    find that variance as well.
    """
    seen = np.isfinite(values)
    counts = np.where(seen, values, np.float32(0))

    def blocks(usable: NDArray[np.bool_], down: Kernel, across: Kernel) -> Blocks:
        return _blocks(counts, usable, (down, across), gain, floor)

    base = blocks(seen & ~hidden, _BASE, _BASE)
    if base.number.sum() < _FEWEST:
        return None
    pairs = [tuple(blocks(seen & ~hidden, order, order) for order in (_LOW, _HIGH))]
    clear = seen & ~hidden_from_lines
    pairs += [(blocks(clear, *kernels), base) for kernels in ((_BASE, _ALONE), (_ALONE, _BASE))]
    for one, other in pairs:
        enough = min(one.number.sum(), other.number.sum()) > _FEWEST
        if enough and not _agree(one, other, gain, floor):
            return None
    return _grouped(base)


def _filtered(images: NDArray[Any], down: Kernel, across: Kernel) -> NDArray[Any]:
    from scipy import ndimage

    for axis, kernel in ((1, down), (2, across)):
        if len(kernel) > 1:
            images = ndimage.correlate1d(images, kernel, axis=axis, mode="nearest")
    return np.asarray(images)


def _norm(*kernels: Kernel) -> float:
    return float(np.prod([np.sum(np.square(kernel)) for kernel in kernels]))


def _blocks(
    counts: Images,
    usable: NDArray[np.bool_],
    kernels: tuple[Kernel, Kernel],
    gain: float,
    floor: float,
) -> Blocks:
    """Sums over squares of each pattern, on (n, blocks)."""
    from scipy import ndimage

    squared = [tuple(np.square(kernel).tolist()) for kernel in kernels]
    size = [len(kernel) // 2 * 2 + 1 for kernel in kernels]
    norm = _norm(*kernels)
    square = _filtered(counts, *kernels).astype(np.float64) ** 2 / norm
    level = _filtered(counts, squared[0], squared[1]).astype(np.float64) / norm
    whole = ndimage.minimum_filter(usable, (1, *size), mode="constant", cval=0)
    whole &= square < _OUTLYING * (gain * np.maximum(level, 0) + floor) + 1e-30
    sums = []
    n, rows, columns = counts.shape
    side = min(_BLOCK, rows, columns)
    y, x = rows // side, columns // side
    for image in (square * whole, level * whole, whole.astype(np.float64)):
        part = image[:, : y * side, : x * side].reshape(n, y, side, x, side)
        sums.append(part.sum(axis=(2, 4)).reshape(n, y * x))
    return Blocks(*sums)


def _agree(one: Blocks, other: Blocks, gain: float, floor: float) -> bool:
    """Whether two filters find the same variance, by their scatter over parts of the sample."""
    every = np.arange(one.number.size) % _PARTS
    sums = []
    for blocks in (one, other):
        expected = gain * np.maximum(blocks.counts, 0) + floor * blocks.number
        weight = 1 / (expected + gain)
        sums += [
            np.bincount(every, (values * weight).ravel(), minlength=_PARTS)
            for values in (blocks.squares, expected)
        ]
    total = [values.sum() for values in sums]
    without = [t - values for t, values in zip(total, sums, strict=True)]
    if min(float(values.min()) for values in without) <= 0:
        return False

    def ratio(found: Any, stated: Any, as_well: Any, stated_as_well: Any) -> Any:
        return np.log(found * stated_as_well / (stated * as_well))

    parts = ratio(*without)
    error = np.sqrt((_PARTS - 1) / _PARTS * ((parts - parts.mean()) ** 2).sum())
    return bool(abs(ratio(*total)) < _SURE * error + _TOLERANCE)


def _grouped(blocks: Blocks) -> Groups:
    """Blocks of about the same counts together.

    By the counts of a block no bias comes in: given their number, they are as independent.
    """
    full = blocks.number.ravel() > 0.25 * blocks.number.max()
    squares, counts, number = (values.ravel()[full] for values in blocks)
    order = np.argsort(counts / number)
    groups = [g for g in np.array_split(order, min(_GROUPS, order.size)) if g.size]
    total = np.array([number[g].sum() for g in groups])
    mean = np.array([counts[g].sum() for g in groups]) / total
    variance = np.array([squares[g].sum() for g in groups]) / total
    error = np.array(
        [
            np.sqrt(((squares[g] - v * number[g]) ** 2).sum()) / t
            for g, v, t in zip(groups, variance, total, strict=True)
        ]
    )
    return Groups(mean, variance, np.maximum(error, 1e-12))
