"""Starting patterns of a factorisation: purest positions of the scan, NNDSVD, or random."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phaseloom.components.factors.compression import Compressed
from phaseloom.components.options import Start

_NEAR = 10
"""Positions averaged for a pure one, as single patterns are mostly noise. In a small scan no more
than half of a component's share, so that different components are not averaged."""


def start_patterns(
    compressed: Compressed, k: int, *, start: Start = "pure", part: float = 1.0, seed: int = 0
) -> NDArray[np.float32]:
    """Starting patterns (k, pixels) of the scaled matrix for a factorisation.

    Parameters
    ----------
    compressed
        The matrix.
    k
        How many.
    start
        ``"pure"``: the most different positions, see :func:`pure_positions`. ``"nndsvd"``: from
        the singular vectors (Boutsidis & Gallopoulos, Pattern Recognition 41 (2008) 1350).
        ``"random"``: uniform numbers.
    part
        Look for pure positions in so large a part of the scan, drawn at random.
    seed
        Same seed, same start.
    """
    rng = np.random.default_rng(seed)
    if start == "random":
        square = compressed.total / (len(compressed.scores) * compressed.basis.shape[1])
        drawn = rng.random((k, compressed.basis.shape[1]), dtype=np.float32)
        return (drawn * np.float32(np.sqrt(square))).astype(np.float32)
    if start == "nndsvd":
        return _nndsvd(compressed, k)
    n = len(compressed.scores)
    among = np.sort(rng.choice(n, max(min(n, 4 * k), round(part * n)), replace=False))
    scores = compressed.scores[among] if part < 1 else compressed.scores
    return np.asarray(np.maximum(pure_positions(scores, k) @ compressed.basis, 0.0))


def pure_positions(scores: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """The k purest positions by successive projection, each averaged with those most like it.

    One after the other, the position whose pattern reaches furthest out of the space of those
    before it; where positions of a single crystal exist for every component, these are the
    components (successive projection: Gillis & Vavasis, IEEE TPAMI 36 (2014) 698).

    Parameters
    ----------
    scores
        (positions, dimensions).
    k
        How many.

    Returns
    -------
    ndarray
        (k, dimensions): means of the (at most ten) positions most alike each.
    """
    left = scores.astype(np.float64)
    length = np.linalg.norm(left, axis=1)
    direction = left / np.maximum(length, 1e-30)[:, None]
    purest = np.empty((k, scores.shape[1]))
    number_near = min(_NEAR, max(1, len(scores) // (2 * k)))
    for number in range(k):
        furthest = int(np.einsum("ij,ij->i", left, left).argmax())
        alike = direction @ direction[furthest]
        near = np.argpartition(alike, -number_near)[-number_near:]
        purest[number] = scores[near].mean(axis=0)
        away = left[near].mean(axis=0)
        away /= max(float(np.linalg.norm(away)), 1e-30)
        left -= np.outer(left @ away, away)
    return purest.astype(np.float32)


def _nndsvd(compressed: Compressed, k: int) -> NDArray[np.float32]:
    size = np.linalg.norm(compressed.scores, axis=0)
    patterns = np.empty((k, compressed.basis.shape[1]), dtype=np.float32)
    for number in range(k):
        left = compressed.scores[:, number] / max(float(size[number]), 1e-30)
        right = compressed.basis[number]
        parts = [(np.maximum(sign * left, 0), np.maximum(sign * right, 0)) for sign in (1, -1)]
        norms = [(float(np.linalg.norm(a)), float(np.linalg.norm(b))) for a, b in parts]
        best = int(np.prod(norms, axis=1).argmax())
        scale = np.sqrt(size[number] * norms[best][0] / max(norms[best][1], 1e-30))
        patterns[number] = scale * parts[best][1]
    return patterns
