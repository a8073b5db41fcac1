"""Patterns and bounds for peak_statistics.py: pure noise, isolated spots, Cramér–Rao."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIZE = 256
MIDDLE = 12.0  # px
WIDTH = 2.4  # sigma of the workloads' spots, px
DIRECT = 2e4  # counts of the direct beam, at least


def radial(level: float, size: int = SIZE, steep: bool = True) -> NDArray[np.float64]:
    """Expected background, ``level`` in the mean: flat, or falling steeply from the middle.

    Steep: half of it flat, the other half exp(−r / 12 px) with a rounded top; some 25 times
    ``level`` in the middle.
    """
    if not steep:
        return np.full((size, size), level)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    peak = np.exp(-np.sqrt(y**2 + x**2 + 36.0) / 12.0)
    return level * (0.5 + 0.5 * peak / peak.mean())


def off_middle(row: NDArray[np.float64], column: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether peaks are outside the middle, where the steep background has a summit of its own."""
    return np.hypot(row - (SIZE - 1) / 2, column - (SIZE - 1) / 2) > MIDDLE


def noise(expected: NDArray[np.float64], n: int, seed: int) -> NDArray[np.uint16]:
    """``n`` patterns of Poisson counts and nothing else."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.poisson(expected) for _ in range(n)]).astype(np.uint16)


@dataclass(frozen=True)
class Spots:
    """Isolated Gaussian spots, as many in each pattern, with what is true."""

    patterns: NDArray[np.uint16]
    position: NDArray[np.float64]  # (n, spots, 2) row, column; spot 0 is the direct beam
    counts: float  # of every spot but the direct beam
    sigma: float
    background: float


def share(y: NDArray[np.float64], x: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Part of a spot's counts per pixel, at distances y, x from its middle."""
    return np.exp(-0.5 * (y**2 + x**2) / sigma**2) / (2 * np.pi * sigma**2)


def isolated(
    counts: float, sigma: float, background: float, *, n: int, spots: int = 8, seed: int = 0
) -> Spots:
    """Spots on a ring of 85 px about the direct beam, turned and shifted at random."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, (n, 1)) + 2 * np.pi * np.arange(spots) / spots
    centre = (SIZE - 1) / 2 + rng.uniform(-0.5, 0.5, (n, 1, 2))
    ring = np.stack([np.sin(angle), np.cos(angle)], axis=-1) * 85.0
    ring = ring + rng.uniform(-0.5, 0.5, (n, spots, 2))
    position = np.concatenate([centre, centre + ring], axis=1)
    grid = np.arange(SIZE, dtype=np.float64)
    height = np.array([max(DIRECT, counts)] + [counts] * spots)
    patterns = np.empty((n, SIZE, SIZE), np.uint16)
    for i in range(n):
        rows, columns = (
            np.exp(-0.5 * ((grid - position[i, :, axis, None]) / sigma) ** 2) for axis in (0, 1)
        )
        scaled = rows * (height / (2 * np.pi * sigma**2))[:, None]
        patterns[i] = np.minimum(rng.poisson(scaled.T @ columns + background), 65535)
    return Spots(patterns, position, counts, sigma, background)


def cramer_rao(
    position: NDArray[np.float64], counts: float, sigma: float, background: float
) -> NDArray[np.float64]:
    """Least standard errors (…, 3) of row, column and counts, the background known.

    From the Fisher information Σ ∂λ/∂a ∂λ/∂b / λ over the pixels within 7 σ, λ the expected counts
    of a Gaussian spot of known sigma at ``position`` (…, 2) on a flat background.
    """
    flat = position.reshape(-1, 2)
    reach = int(np.ceil(7 * sigma))
    side = np.arange(-reach, reach + 1)
    offset = flat - np.rint(flat)
    y, x = (side[None, :] - offset[:, axis, None] for axis in (0, 1))
    y, x = np.broadcast_arrays(y[:, :, None], x[:, None, :])
    t = share(y, x, sigma)
    slopes = np.stack([counts * t * y / sigma**2, counts * t * x / sigma**2, t], axis=1)
    slopes = slopes.reshape(len(flat), 3, -1)
    expected = (counts * t + background).reshape(len(flat), 1, -1)
    weighted = np.divide(slopes, expected, out=np.zeros_like(slopes), where=expected > 1e-300)
    information = slopes @ weighted.transpose(0, 2, 1)
    errors = np.sqrt(np.linalg.inv(information).diagonal(axis1=1, axis2=2))
    return errors.reshape(*position.shape[:-1], 3)


def bound_of_visible(counts: NDArray[np.float64], error: NDArray[np.float64]) -> float:
    """Least rms distance (px) of spots, each as if alone, on a flat background.

    Parameters
    ----------
    counts, error
        Expected counts of the spots, and the least error of those counts with the position known:
        it tells the background under each. Gaussian spots of ``WIDTH`` px.
    """
    side = np.arange(-15.0, 16.0)
    y, x = (v.ravel() for v in np.meshgrid(side, side, indexing="ij"))
    t = share(y, x, WIDTH)
    background = np.geomspace(1e-4, 1e4, 200)
    total = 0.0
    for c, e in zip(counts, error, strict=True):
        errors = 1 / np.sqrt((t**2 / (c * t + background[:, None])).sum(axis=1))
        expected = c * t + np.interp(e, errors, background)
        total += 1 / ((c * t * y / WIDTH**2) ** 2 / expected).sum()
    return float(np.sqrt(2 * total / len(counts)))
