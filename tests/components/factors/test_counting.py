"""Weights and patterns with the counting error of every pixel, against references row by row."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
from component_cases import Case, case, in_blocks
from scipy.optimize import nnls

from phaseloom.components.factors.counting import Part, solve_patterns, weigh
from phaseloom.components.patterns.matrix import matrix_of

K = 3
Scaling = Literal["poisson", "none"]


@pytest.fixture(scope="module")
def small() -> Case:
    return case(K, shape=(8, 9), side=8, counts=300.0)


def part_of(small: Case, scaling: Scaling, *, for_patterns: bool) -> Part:
    work = weigh(
        small.pattern.astype(np.float32),
        mean=float(small.matrix.mean()), scaling=scaling, for_patterns=for_patterns, device="cpu",
    )  # fmt: skip
    return work(small.prepared.blocks[0], np.asarray(small.weight, dtype=np.float32))


def certainty(small: Case, scaling: Scaling) -> np.ndarray:
    """1 / variance by the model given, none below a fiftieth of the mean."""
    v = small.matrix.astype(float)
    if scaling == "none":
        return np.ones(v.shape)
    return np.asarray(1 / np.maximum(small.weight @ small.pattern, 0.02 * v.mean()))


def expected_weights(small: Case, scaling: Scaling) -> np.ndarray:
    v, sure = small.matrix.astype(float), np.sqrt(certainty(small, scaling))
    return np.array([
        nnls((small.pattern * s).T, row * s)[0] for row, s in zip(v, sure, strict=True)
    ])  # fmt: skip


@pytest.mark.parametrize("scaling", ["poisson", "none"])
@pytest.mark.parametrize("for_patterns", [False, True])
def test_weights_are_weighted_non_negative_least_squares(
    small: Case, scaling: Scaling, for_patterns: bool
) -> None:
    part = part_of(small, scaling, for_patterns=for_patterns)
    np.testing.assert_allclose(part.weight, expected_weights(small, scaling), atol=2e-4)


@pytest.mark.parametrize("scaling", ["poisson", "none"])
def test_patterns_are_weighted_least_squares(small: Case, scaling: Scaling) -> None:
    part = part_of(small, scaling, for_patterns=True)
    found = solve_patterns(small.pattern.astype(np.float32), part.products, part.pairs)
    w, v = part.weight.astype(float), small.matrix.astype(float)
    sure = np.sqrt(certainty(small, scaling))
    by_nnls = np.array([nnls(w * s[:, None], c * s)[0] for c, s in zip(v.T, sure.T, strict=True)]).T
    np.testing.assert_allclose(found, by_nnls, atol=2e-3 * by_nnls.max())
    # Where nothing is negative it is the plain solution.
    column = int(np.argmax(by_nnls.min(axis=0)))
    s = sure[:, column]
    plain = np.linalg.lstsq(w * s[:, None], v[:, column] * s, rcond=None)[0]
    assert plain.min() > 0
    np.testing.assert_allclose(found[:, column], plain, rtol=2e-3)


def test_residuals_are_those_of_every_position(small: Case) -> None:
    part = part_of(small, "poisson", for_patterns=False)
    v = small.matrix.astype(float)
    left = v - part.weight.astype(float) @ small.pattern
    np.testing.assert_allclose(part.squares[0], np.square(left).sum(axis=1), rtol=1e-4)
    np.testing.assert_allclose(part.squares[1], np.square(v).sum(axis=1), rtol=1e-5)


def test_normal_equations_of_blocks_add_up(small: Case) -> None:
    given: Any = {"mean": float(small.matrix.mean()), "scaling": "poisson", "device": "cpu"}
    work = weigh(
        small.pattern.astype(np.float32), for_patterns=True, **given,
    )  # fmt: skip
    weight = np.asarray(small.weight, dtype=np.float32)
    whole = work(small.prepared.blocks[0], weight)
    parts = [work(block, weight[block.rows]) for block in in_blocks(small.prepared, 4).blocks]
    np.testing.assert_allclose(
        np.concatenate([p.weight for p in parts]), whole.weight, rtol=1e-4, atol=1e-6
    )
    for name in ("products", "pairs"):
        total = sum(getattr(p, name) for p in parts)
        np.testing.assert_allclose(total, getattr(whole, name), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("scaling", "beam"), [("poisson", 4000.0), ("none", 400.0)])
def test_a_bright_direct_beam_in_all_patterns(small: Case, scaling: Scaling, beam: float) -> None:
    # Patterns are then nearly parallel, and coordinate descent is slow.
    pattern = small.pattern.copy()
    pattern[:, 27] = beam
    counts = np.random.default_rng(0).poisson(small.weight @ pattern)
    bright = Case(counts.reshape(small.counts.shape), np.full((72, K), 1 / K), pattern)
    found = part_of(bright, scaling, for_patterns=False).weight
    np.testing.assert_allclose(found, expected_weights(bright, scaling), atol=1e-3)


def test_counting_errors_beat_plain_least_squares() -> None:
    # Spots of one grain are much brighter than its other pixels: their noise counts for all.
    rms = {}
    for scaling in ("poisson", "none"):
        found = []
        for seed in range(3):
            true = case(K, shape=(12, 12), side=8, counts=200.0, seed=seed)
            weight = part_of(true, scaling, for_patterns=False).weight  # type: ignore[arg-type]
            found.append(np.square(weight - true.weight).mean())
        rms[scaling] = np.sqrt(np.mean(found))
    assert rms["poisson"] < 0.85 * rms["none"]


def test_empty_positions_and_dark_pixels_weigh_nothing(small: Case) -> None:
    counts = small.counts.copy()
    counts[1, 2], counts[:, :, 3] = 0, 0
    pattern = small.pattern.reshape(K, 8, 8).copy()
    pattern[:, 3] = 0
    dark = Case(counts, small.weight.copy(), pattern.reshape(K, -1))
    part = part_of(dark, "poisson", for_patterns=True)
    assert np.all(part.weight[1 * 9 + 2] == 0)
    found = solve_patterns(dark.pattern.astype(np.float32), part.products, part.pairs)
    assert np.isfinite(found).all() and np.all(found.reshape(K, 8, 8)[:, 3] == 0)
    # A component that is nowhere has no pattern, and is no number divided by none.
    absent = np.column_stack([small.weight, np.zeros(72)])
    more = np.vstack([small.pattern, small.pattern[:1] * 0])
    part = part_of(Case(small.counts, absent, more), "poisson", for_patterns=True)
    found = solve_patterns(more.astype(np.float32), part.products, part.pairs)
    assert np.isfinite(part.weight).all() and np.isfinite(found).all()
    assert np.all(found[3] == 0)


def test_one_component_has_the_weight_of_its_counts() -> None:
    # For counts of one pattern the greatest likelihood is that of the totals.
    true = case(1, shape=(4, 4), side=8, counts=500.0)
    prepared = matrix_of(true.counts)
    work = weigh(
        true.pattern.astype(np.float32),
        mean=float(true.matrix.mean()), scaling="poisson", for_patterns=False, device="cpu",
    )  # fmt: skip
    found = work(prepared.blocks[0], np.ones((16, 1), np.float32)).weight[:, 0]
    totals = true.matrix.sum(axis=1) / true.pattern.sum()
    np.testing.assert_allclose(found, totals, rtol=2e-3)
