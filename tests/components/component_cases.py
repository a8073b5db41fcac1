"""Scans of known components: grains of spots that overlap at their boundaries, counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.optimize import linear_sum_assignment

from phaseloom.components.patterns.matrix import ArrayBlock, Prepared, matrix_of
from phaseloom.compute.progress import Advance, Progress

Floats = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Case:
    """A scan, and what it was made of.

    Parameters
    ----------
    counts
        (y, x, ky, kx).
    weight
        (positions, k), 1: fully that component.
    pattern
        (k, pixels) expected counts at weight 1.
    """

    counts: Floats
    weight: Floats
    pattern: Floats

    @property
    def matrix(self) -> Floats:
        """The counts (positions, pixels) as they are factorised."""
        return self.counts.reshape(len(self.weight), -1).astype(np.float32)

    @property
    def prepared(self) -> Prepared:
        """The scan as a matrix, in one block."""
        return matrix_of(self.counts)


class Recorder(Progress):
    """A progress that records every label, and how many items were passed on under it."""

    def __init__(self) -> None:
        self.labels: list[tuple[str, int]] = []

    @contextmanager
    def task(self, label: str, total: int | None) -> Iterator[Advance]:
        count = 0

        def advance(_: int) -> None:
            nonlocal count
            count += 1

        yield advance
        self.labels.append((label, count))
        assert total in (None, count)


def case(
    k: int,
    *,
    shape: tuple[int, int] = (16, 16),
    side: int = 16,
    counts: float | None = 2000.0,
    blur: float = 0.6,
    background: float = 0.05,
    seed: int = 0,
) -> Case:
    """Grains of about one size with ten spots each.

    Parameters
    ----------
    k
        How many.
    shape, side
        Positions (y, x), and detector pixels of one side.
    counts
        Of a position on average; None for the expected ones, without noise.
    blur
        Width of grain boundaries in steps.
    background
        Part of the counts that is the same everywhere in every pattern.
    seed
        Same seed, same scan.
    """
    rng = np.random.default_rng(seed)
    weight = grains(shape, k, blur=blur, seed=seed)
    pattern = (1 - background) * spots(k, side, rng) + background / side**2
    pattern *= 2000.0 if counts is None else counts
    expected = (weight @ pattern).reshape(*shape, side, side)
    return Case(expected if counts is None else rng.poisson(expected), weight, pattern)


def grains(
    shape: tuple[int, int], k: int, *, blur: float = 0.6, seed: int = 0
) -> NDArray[np.float64]:
    """Weights (positions, k), sum 1: each position that of the nearest of k points, blurred."""
    rng = np.random.default_rng(seed)
    place = np.stack(np.indices(shape), axis=-1).reshape(-1, 2)
    # Of some draws the one whose points keep farthest apart: no grain is tiny.
    draws = [rng.uniform(-0.5, np.array(shape) - 0.5, (k, 2)) for _ in range(50)]
    far = [np.linalg.norm(d[:, None] - d, axis=2) + 1e9 * np.eye(k) for d in draws]
    points = draws[int(np.argmax([f.min() for f in far]))]
    nearest = np.linalg.norm(place[:, None] - points, axis=2).argmin(axis=1)
    sharp = np.eye(k)[nearest].reshape(*shape, k)
    return gaussian_filter(sharp, (blur, blur, 0), mode="nearest").reshape(-1, k)


def spots(k: int, side: int, rng: np.random.Generator, n: int = 10) -> NDArray[np.float64]:
    """Patterns (k, pixels) of n spots, sum 1."""
    images = np.zeros((k, side, side))
    for image in images:
        image[rng.integers(1, side - 1, n), rng.integers(1, side - 1, n)] += rng.uniform(0.3, 1, n)
    images = gaussian_filter(images, (0, 0.7, 0.7))
    return images.reshape(k, -1) / images.sum(axis=(1, 2))[:, None]


def in_blocks(prepared: Prepared, n: int, block: Callable[..., Any] = ArrayBlock) -> Prepared:
    """The same matrix in n blocks."""
    rows = np.concatenate([b.load() for b in prepared.blocks])
    edges = np.linspace(0, len(rows), n + 1).astype(int)
    blocks = [block(slice(int(a), int(b)), rows[a:b]) for a, b in pairwise(edges)]
    return replace(prepared, blocks=blocks)


def cosines(found: Floats, true: Floats) -> NDArray[np.float64]:
    """Cosine of each true row with the found row that it is matched to."""
    a, b = (f / np.linalg.norm(f, axis=1, keepdims=True) for f in (found, true))
    cosine = b @ a.T
    return np.asarray(cosine[linear_sum_assignment(-cosine)])


def correlations(found: Floats, true: Floats) -> NDArray[np.float64]:
    """Correlation of each true map (row) with the found one that it is matched to."""
    r = np.corrcoef(true, found)[: len(true), len(true) :]
    return np.asarray(r[linear_sum_assignment(-r)])


def diffraction(
    k: int,
    *,
    shape: tuple[int, int] = (14, 16),
    side: int = 32,
    counts: float = 3000.0,
    blur: float = 0.6,
    vacuum: bool = False,
    seed: int = 0,
) -> Case:
    """A scan as a detector sees it: a direct beam in the middle, spots in pairs around it.

    Parameters
    ----------
    k, shape, side, counts, blur, seed
        As for :func:`case`.
    vacuum
        The last component has no spots, only diffuse scattering around the beam.
    """
    rng = np.random.default_rng(seed)
    y, x = np.indices((side, side)) - side // 2
    away = np.hypot(y, x)
    beam = np.exp(-(away**2) / (2 * 1.2**2))
    halo = np.exp(-away / (side / 5))
    images = np.tile(0.5 * beam / beam.sum() + 0.05 * halo / halo.sum(), (k, 1, 1))
    if vacuum:
        images[-1] += 0.2 * halo / halo.sum()
    for number in range(k - vacuum):
        sizes = rng.uniform(0.5, 1.0, 5)
        for radius, turn, size in zip(
            rng.uniform(0.25, 0.42, 5) * side, rng.uniform(0, np.pi, 5), sizes / sizes.sum(),
            strict=True,
        ):  # fmt: skip
            for sign in (1, -1):
                ky, kx = sign * radius * np.sin(turn), sign * radius * np.cos(turn)
                spot = np.exp(-((y - ky) ** 2 + (x - kx) ** 2) / (2 * 1.2**2))
                images[number] += 0.225 * size * spot / spot.sum()
    weight = grains(shape, k, blur=blur, seed=seed)
    pattern = counts * images.reshape(k, -1)
    expected = (weight @ pattern).reshape(*shape, side, side)
    return Case(rng.poisson(expected).astype(np.uint16), weight, pattern)
