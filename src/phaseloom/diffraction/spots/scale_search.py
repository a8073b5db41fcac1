"""Search for spots of yet unknown size: maxima over place and scale, in units of the noise."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.diffraction.spots.noise_level import background_level, radial_mean

Array = NDArray[np.float64]
Images = NDArray[np.float32]

_FINEST, _COARSEST = 1.0, 16.0
_BEST_SCALE = 1.3
"""Scale over sigma at which a Gaussian spot stands out most of the difference of Gaussians."""
_SCORE = 7.0
_LEAST_ELECTRONS = 12.0
_PIXELS = 1_200_000
_QUIET, _QUIET_NORMAL = 0.1, 0.12566
"""A quantile of the magnitude of scores, and what it is of a normal variable."""
_SHARED_AT = 2.5
"""Scale from which noise that pixels share grows no more, in px."""
_PER_PATTERN = 30


class Spots(NamedTuple):
    """Candidates: pattern, row, column, first sigma, score."""

    pattern: NDArray[np.intp]
    row: Array
    column: Array
    sigma: Array
    score: Array

    def take(self, index: NDArray[np.intp] | NDArray[np.bool_]) -> Spots:
        """Some of them."""
        return Spots._make(values[index] for values in self)


def find_blobs(
    values: Images, beam: Array, beam_radius: float, noise: tuple[float, float]
) -> Spots:
    """Blobs of any size that stand out of the noise, the strongest where several overlap.

    Parameters
    ----------
    values
        (n, ky, kx).
    beam, beam_radius
        (n, 2) and px, as in :func:`estimate_shape`.
    noise
        Gain and floor of a pixel.
    """
    step = max(1, -(-max(values.shape[1:]) // 512))
    n = max(1, int(_PIXELS * step**2 // values[0].size))
    index = np.unique(np.linspace(0, len(values) - 1, min(n, len(values))).astype(np.intp))
    per_scale, most = [], math.inf
    scale = _FINEST * step
    while scale <= min(_COARSEST * step, min(values.shape[1:]) / 8):
        side = (
            step * max(1, 2 ** int(math.log2(scale / step / 1.9 + 1e-9))) if scale > 1.9 else step
        )
        # Within, the direct beam is not taken for background.
        inner = max(3.5 * scale, 3 * beam_radius if math.isfinite(beam_radius) else 0.0)
        one, shared = _at_scale(values[index], beam[index], noise, (scale, inner), side, most)
        per_scale.append(one)
        # What large spots leave at large scales is not noise.
        most = min(most, shared) if scale > _SHARED_AT * step else most
        scale *= math.sqrt(2)
    if not per_scale:
        # Patterns smaller than eight of the finest spots.
        none = np.zeros(0)
        return Spots(none.astype(np.intp), none, none, none, none)
    spots = Spots._make(map(np.concatenate, zip(*per_scale, strict=True)))
    spots = spots._replace(pattern=index[spots.pattern])
    return _strongest(spots)


def _at_scale(
    values: Images,
    beam: Array,
    noise: tuple[float, float],
    reach: tuple[float, float],
    side: int,
    most: float,
) -> tuple[Spots, float]:
    """Maxima of the difference of Gaussians of one scale, of patterns binned to ``side`` px.

    Also by how much their noise is larger than that of independent pixels, at most ``most``.
    """
    from scipy import ndimage

    gain, floor = noise
    scale, inner = reach
    n, rows, columns = values.shape[0], values.shape[1] // side, values.shape[2] // side
    blocks = values[:, : rows * side, : columns * side].reshape(n, rows, side, columns, side)
    usable = np.isfinite(blocks)
    number = usable.sum(axis=(2, 4)).astype(np.float32)
    counts = np.where(usable, blocks, 0).sum(axis=(2, 4)) / np.maximum(number, 1)
    seen = number > 0
    local = (beam + 0.5) / side - 0.5
    sigma = scale / side
    ground = radial_mean(counts, seen, local, inner / side)
    spread = np.sqrt((gain * np.maximum(ground, 0) + floor) / side**2)
    dim = seen & (counts < ground + 3 * spread + 2 * gain / side**2)
    ground = radial_mean(counts, dim, local, inner / side).astype(np.float32)
    level = background_level(values)
    weight = [
        ndimage.gaussian_filter(seen.astype(np.float32), (0, s, s), mode="constant")
        for s in (sigma, 2 * sigma)
    ]
    rest = np.where(seen, counts - ground, 0)
    near, far = (
        ndimage.gaussian_filter(rest, (0, s, s), mode="constant") / np.maximum(w, 0.1)
        for s, w in zip((sigma, 2 * sigma), weight, strict=True)
    )
    contrast = near - far
    # Not what the spots themselves add: that would favour scales too large for them.
    expected = np.maximum(ground, level)
    norm = 0.45 / (4 * math.pi * scale**2)
    deviation = np.sqrt((gain * expected + floor) * norm)
    score = contrast / np.maximum(deviation, 1e-6 * gain)
    # Noise that pixels share makes every score larger; the smallest tell, where there are no spots.
    scores = np.abs(score[seen][:: max(1, score.size // 200_000)])
    quiet = np.quantile(scores, _QUIET) if scores.size else 0.0
    shared = min(max(1.0, float(quiet) / _QUIET_NORMAL), most)
    score /= shared
    electrons = contrast * (2 * math.pi * scale**2) / 0.3 / gain
    top = (score == ndimage.maximum_filter(score, (1, 3, 3))) & (score > _SCORE)
    top &= seen & (electrons > _LEAST_ELECTRONS) & (weight[0] > 0.6)
    pattern, row, column = np.nonzero(top)
    high = score[top].astype(np.float64)
    # Of a pattern, the strongest.
    order = np.lexsort((-high, pattern))
    rank = np.arange(order.size) - np.searchsorted(pattern[order], pattern[order])
    order = order[rank < 2 * _PER_PATTERN]
    spots = Spots(
        pattern[order],
        np.asarray((row[order] + 0.5) * side - 0.5, dtype=np.float64),
        np.asarray((column[order] + 0.5) * side - 0.5, dtype=np.float64),
        np.full(order.size, scale / _BEST_SCALE),
        high[order],
    )
    return spots, shared


def _strongest(spots: Spots) -> Spots:
    """Without those that lie on a stronger one."""
    order = np.argsort(-spots.score, kind="stable")
    spots = spots.take(order)
    kept: list[int] = []
    for number in np.unique(spots.pattern):
        mine = np.flatnonzero(spots.pattern == number)
        free = np.ones(mine.size, np.bool_)
        row, column = spots.row[mine], spots.column[mine]
        for k in range(mine.size):
            if free[k]:
                reach = 2.2 * max(spots.sigma[mine[k]], 1.0)
                free[k + 1 :] &= (
                    np.hypot(row[k + 1 :] - row[k], column[k + 1 :] - column[k]) > reach
                )
        kept.extend(mine[free][:_PER_PATTERN].tolist())
    return spots.take(np.sort(np.array(kept, dtype=np.intp)))
