"""HALS in few dimensions, against plain HALS of the whole matrix."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from component_cases import Case, case, correlations, cosines, grains, in_blocks
from scipy.optimize import nnls

from phaseloom.components.factors.compression import Compressed, compress
from phaseloom.components.factors.least_squares import _neighbours, fit, weights_of
from phaseloom.components.factors.starts import start_patterns

SIDE = 8
K = 3


@pytest.fixture(scope="module")
def small() -> Case:
    return case(K, shape=(10, 12), side=SIDE, counts=500.0)


@pytest.fixture(scope="module")
def few(small: Case) -> Compressed:
    """In as many dimensions as there are: nothing is left out."""
    return compress(small.prepared, dimensions=SIDE**2, device="cpu")


def scaled(matrix: np.ndarray, compressed: Compressed) -> np.ndarray:
    return matrix / compressed.scales.rows[:, None].astype(float) / compressed.scales.columns


def unit(h: np.ndarray) -> np.ndarray:
    return h / np.linalg.norm(h, axis=1, keepdims=True)


def hals(
    v: np.ndarray, h: np.ndarray, iterations: int, *, sparsity: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Cichocki & Phan 2009, algorithm 2, each factor twice from the same products."""
    h = unit(h)
    gram = h @ h.T
    k, cost = len(h), sparsity * np.sqrt(np.square(v).sum() / len(v))
    ridge = 1e-3 * np.trace(gram) / k * np.eye(k)
    w = np.maximum(np.linalg.solve(gram + ridge, h @ v.T).T, 0)
    for _ in range(iterations):
        products, gram = v @ h.T, h @ h.T
        for _ in range(2):
            for j in range(k):
                step = (products[:, j] - cost - w @ gram[:, j]) / gram[j, j]
                w[:, j] = np.maximum(w[:, j] + step, 0)
        products, gram = w.T @ v, w.T @ w
        for _ in range(2):
            for j in range(k):
                h[j] = np.maximum(h[j] + (products[j] - gram[j] @ h) / gram[j, j], 0)
        size = np.linalg.norm(h, axis=1)
        h, w = h / size[:, None], w * size
    return w, h


@pytest.mark.parametrize("sparsity", [0.0, 0.1])
@pytest.mark.parametrize("iterations", [1, 7])
def test_the_same_as_without_compression(
    small: Case, few: Compressed, sparsity: float, iterations: int
) -> None:
    begun = np.random.default_rng(0).random((K, SIDE**2)).astype(np.float32)
    found = fit(few, begun[None], sparsity=sparsity, max_iterations=iterations, device="cpu")
    v = scaled(small.matrix, few)
    w, h = hals(v, begun.astype(float), iterations, sparsity=sparsity)
    assert found.iterations == iterations and not found.converged
    np.testing.assert_allclose(found.patterns[0], h, atol=2e-3 * h.max())
    np.testing.assert_allclose(found.weights[0], w, atol=2e-3 * w.max())
    assert found.square[0] == pytest.approx(np.square(v - w @ h).sum(), rel=1e-3)


def test_several_starts_are_each_as_if_alone(few: Compressed) -> None:
    begun = np.stack([start_patterns(few, K, start="random", seed=s) for s in range(3)])
    together = fit(few, begun, max_iterations=10, device="cpu")
    assert together.weights.shape == (3, 120, K) and together.patterns.shape == (3, K, SIDE**2)
    for number, start in enumerate(begun):
        alone = fit(few, start[None], max_iterations=10, device="cpu")
        np.testing.assert_allclose(together.patterns[number], alone.patterns[0], atol=1e-4)
        np.testing.assert_allclose(
            together.weights[number], alone.weights[0], atol=1e-4 * alone.weights.max()
        )


def test_the_error_never_rises(small: Case, few: Compressed) -> None:
    begun = start_patterns(few, K, start="random", seed=3)[None]
    square = [
        fit(few, begun, max_iterations=n, tolerance=0.0, device="cpu").square[0]
        for n in (1, 2, 4, 8, 16, 32)
    ]
    assert np.all(np.diff(square) <= 1e-6 * few.total)


def test_separable_components_are_found_exactly() -> None:
    # Sharp enough boundaries: every component has positions of its own.
    true = case(4, counts=None, background=0.0)
    few = compress(true.prepared, dimensions=12, scaling="none", device="cpu")
    begun = start_patterns(few, 4)[None]
    found = fit(few, begun, tolerance=1e-6, max_iterations=2000, device="cpu")
    assert cosines(found.patterns[0], true.pattern).min() > 0.99999
    assert correlations(found.weights[0].T, true.weight.T).min() > 0.9999
    assert found.square[0] < 1e-6 * few.total


def test_iterations_end_when_the_maps_are_at_rest(few: Compressed) -> None:
    begun = start_patterns(few, K)[None]
    found = fit(few, begun, device="cpu")
    assert found.converged and found.iterations < 500 and found.iterations % 10 == 0
    longer = fit(few, begun, tolerance=0.0, max_iterations=500, device="cpu")
    assert longer.iterations == 500 and not longer.converged
    assert correlations(found.weights[0].T, longer.weights[0].T).min() > 0.9999


def test_weights_of_given_patterns_are_non_negative_least_squares(
    small: Case, few: Compressed
) -> None:
    h = start_patterns(few, K)
    weights, square = weights_of(few, h, device="cpu")
    v = scaled(small.matrix, few)
    expected = [nnls(h.T.astype(float), row) for row in v]
    w = np.array([found for found, _ in expected])
    np.testing.assert_allclose(weights, w, atol=1e-3 * w.max())
    assert square == pytest.approx(sum(left**2 for _, left in expected), rel=1e-4)


def test_sparsity_makes_weights_sparser(few: Compressed) -> None:
    begun = start_patterns(few, K)[None]
    zeros = [
        float((fit(few, begun, sparsity=s, device="cpu").weights == 0).mean())
        for s in (0.0, 0.1, 0.3)
    ]
    assert zeros[0] < zeros[1] < zeros[2]


# Smoothness.


def roughness(weights: np.ndarray, shape: tuple[int, int]) -> float:
    maps = weights.T.reshape(-1, *shape)
    maps = maps / np.linalg.norm(maps, axis=(1, 2), keepdims=True)
    return float(sum(np.square(np.diff(maps, axis=axis)).sum() for axis in (1, 2)))


def test_smoothness_makes_weights_smoother(few: Compressed) -> None:
    begun, shape = start_patterns(few, K)[None], (10, 12)
    rough = [
        roughness(fit(few, begun, smoothness=s, scan_shape=shape, device="cpu").weights[0], shape)
        for s in (0.0, 0.3, 1.0)
    ]
    assert rough[0] > rough[1] > rough[2]


def test_neighbours_are_those_in_y_and_x() -> None:
    rng = np.random.default_rng(0)
    maps = rng.random((2, 4, 7)).astype(np.float32)
    wide = np.pad(maps, ((0, 0), (1, 1), (1, 1)), mode="edge")
    expected = (wide[:, :-2, 1:-1] + wide[:, 2:, 1:-1] + wide[:, 1:-1, :-2] + wide[:, 1:-1, 2:]) / 4
    np.testing.assert_allclose(_neighbours(torch.from_numpy(maps)), expected, rtol=1e-6)


def test_smoothness_knows_rows_from_columns() -> None:
    # Stripes along x, one step wide: smooth in x, and as sharp as can be in y.
    shape = (6, 40)
    stripes = np.repeat(np.eye(2)[[0, 1, 1, 0, 0, 1]], shape[1], axis=0)
    pattern = case(2, side=SIDE, counts=60.0, seed=1).pattern
    counts = np.random.default_rng(0).poisson(stripes @ pattern).reshape(*shape, SIDE, SIDE)
    few = compress(Case(counts, stripes, pattern).prepared, device="cpu")
    begun = start_patterns(few, 2)[None]

    def maps(scan: Compressed, shape: tuple[int, int], smoothness: float) -> np.ndarray:
        found = fit(scan, begun, smoothness=smoothness, scan_shape=shape, device="cpu").weights[0]
        return found.T.reshape(2, *shape)

    def noise(maps: np.ndarray, axis: int) -> float:
        return float(np.abs(np.diff(maps, axis=axis)).mean() / maps.mean())

    along = noise(maps(few, shape, 0.0), 2), noise(maps(few, shape, 0.4), 2)
    assert along[1] < 0.7 * along[0]
    # The scan turned by 90° gives the same maps, turned.
    order = np.arange(240).reshape(shape).T.ravel()
    turned = replace(few, scores=np.ascontiguousarray(few.scores[order]))
    np.testing.assert_allclose(
        maps(turned, shape[::-1], 0.4), maps(few, shape, 0.4).transpose(0, 2, 1), rtol=2e-2,
        atol=2e-2 * few.scores.max(),
    )  # fmt: skip


# Scans of odd shapes.


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (2, 2)])
def test_scans_of_one_row_or_few_positions(shape: tuple[int, int]) -> None:
    true = case(2, shape=shape, side=SIDE, blur=0.0)
    few = compress(true.prepared, device="cpu")
    begun = start_patterns(few, 2)[None]
    for smoothness in (0.0, 0.2):
        found = fit(few, begun, smoothness=smoothness, scan_shape=shape, device="cpu")
        assert np.isfinite(found.weights).all()
        if not smoothness:
            assert cosines(found.patterns[0] * few.scales.columns, true.pattern).min() > 0.95


def test_one_component_is_the_mean(few: Compressed, small: Case) -> None:
    found = fit(few, start_patterns(few, 1)[None], device="cpu")
    _, s, vt = np.linalg.svd(scaled(small.matrix, few), full_matrices=False)
    # The best of rank one is not negative anyway (Perron).
    assert found.square[0] == pytest.approx(np.square(s[1:]).sum(), rel=1e-3)
    np.testing.assert_allclose(found.patterns[0, 0], np.abs(vt[0]), atol=2e-3)


def test_a_component_too_many_does_no_harm() -> None:
    true = case(2, counts=None, background=0.0)
    few = compress(true.prepared, scaling="none", device="cpu")
    begun = np.concatenate([start_patterns(few, 2), np.zeros((1, 256), np.float32)])[None]
    found = fit(few, begun, device="cpu")
    assert np.isfinite(found.weights).all() and np.isfinite(found.patterns).all()
    assert np.all(found.weights[0][:, 2] == 0)
    assert found.square[0] < 1e-4 * few.total


def test_grains_are_where_they_are() -> None:
    # The maker of cases itself: grains of sum 1 in reading order.
    weight = grains((5, 9), 3, blur=0.6)
    np.testing.assert_allclose(weight.sum(axis=1), 1.0)
    assert in_blocks(case(2).prepared, 3).blocks[2].rows.stop == 256
