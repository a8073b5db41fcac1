"""Multiplicative updates of the Kullback–Leibler divergence, against Lee & Seung's by numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from component_cases import Case, Recorder, case, correlations, in_blocks
from sklearn.decomposition import NMF

from phaseloom.components.factors.divergence import fit_divergence
from phaseloom.components.patterns.matrix import Prepared, over_blocks

K = 3


@pytest.fixture(scope="module")
def small() -> Case:
    return case(K, shape=(9, 10), side=8, counts=300.0)


@pytest.fixture(scope="module")
def begun() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return (
        rng.uniform(0.5, 1.5, (K, 64)).astype(np.float32),
        rng.uniform(0.5, 1.5, (90, K)).astype(np.float32),
    )


def fitted(
    prepared: Prepared, begun: tuple[np.ndarray, np.ndarray], iterations: int, **options: Any
) -> tuple[np.ndarray, np.ndarray, int, bool]:
    pattern, weight = begun

    def passed(work: Any, along: np.ndarray) -> Any:
        return over_blocks(prepared, work, along=[along])

    return fit_divergence(
        pattern, weight.copy(), passed,
        **{"tolerance": 0.0, "max_iterations": iterations, "device": "cpu"}
        | options,
    )  # fmt: skip


def divergence(v: np.ndarray, w: np.ndarray, h: np.ndarray) -> float:
    model = w.astype(float) @ h
    there = v > 0
    return float((v[there] * np.log(v[there] / model[there])).sum() - v.sum() + model.sum())


def lee_seung(v: np.ndarray, h: np.ndarray, w: np.ndarray, iterations: int) -> tuple[Any, Any]:
    """Lee & Seung 2000, equation 5: weights, then patterns."""
    h, w = h.astype(float), w.astype(float)
    for _ in range(iterations):
        w = w * ((v / (w @ h)) @ h.T) / h.sum(axis=1)
        h = h * (w.T @ (v / (w @ h))) / w.sum(axis=0)[:, None]
    return w, h


@pytest.mark.parametrize("iterations", [1, 12])
def test_the_updates_of_lee_and_seung(small: Case, begun: Any, iterations: int) -> None:
    w, h, done, _ = fitted(small.prepared, begun, iterations)
    expected_w, expected_h = lee_seung(small.matrix, *begun, iterations)
    assert done == iterations
    np.testing.assert_allclose(w @ h, expected_w @ expected_h, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(h.sum(axis=1), 1.0, rtol=1e-5)
    scale = expected_h.sum(axis=1)
    np.testing.assert_allclose(w, expected_w * scale, rtol=1e-3, atol=1e-3)


@pytest.mark.filterwarnings("ignore:Maximum number of iterations")
def test_the_updates_of_scikit_learn(small: Case, begun: Any) -> None:
    w, h, _, _ = fitted(small.prepared, begun, 10)
    model = NMF(K, init="custom", solver="mu", beta_loss="kullback-leibler", max_iter=10, tol=0.0)
    pattern, weight = begun
    other = model.fit_transform(small.matrix, W=weight.copy(), H=pattern.copy())
    np.testing.assert_allclose(w @ h, other @ model.components_, rtol=2e-3, atol=1e-4)


def test_the_divergence_never_rises(small: Case, begun: Any) -> None:
    after = [fitted(small.prepared, begun, n)[:2] for n in range(12)]
    found = [divergence(small.matrix, w, h) for w, h in after]
    assert np.all(np.diff(found) <= 1e-6 * found[0])
    assert found[-1] < 0.7 * found[0]


def test_blocks_and_one_block_are_the_same(small: Case, begun: Any) -> None:
    whole = fitted(small.prepared, begun, 8)
    parts = fitted(in_blocks(small.prepared, 5), begun, 8)
    np.testing.assert_allclose(parts[0], whole[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(parts[1], whole[1], rtol=1e-4, atol=1e-7)


def test_a_fit_of_all_intensity(small: Case, begun: Any) -> None:
    # At every stage the model has as many counts as there are (Lee & Seung's scaling).
    w, h, _, _ = fitted(small.prepared, begun, 5)
    np.testing.assert_allclose((w @ h).sum(), small.matrix.sum(), rtol=1e-4)
    np.testing.assert_allclose((w @ h).sum(axis=0), small.matrix.sum(axis=0), rtol=1e-3, atol=0.1)


def test_it_ends_when_the_maps_are_at_rest(small: Case) -> None:
    near = small.pattern.astype(np.float32), np.asarray(small.weight, dtype=np.float32)
    w, _, iterations, converged = fitted(small.prepared, near, 500, tolerance=1e-2)
    assert converged and iterations < 500 and iterations % 10 == 0
    assert correlations(w.T, small.weight.T).min() > 0.97


def test_empty_positions_and_dark_pixels(small: Case) -> None:
    counts = small.counts.copy()
    counts[2, 3], counts[:, :, 4] = 0, 0
    dark = Case(counts, small.weight, small.pattern)
    near = small.pattern.astype(np.float32), np.asarray(small.weight, dtype=np.float32)
    w, h, _, _ = fitted(dark.prepared, near, 20)
    assert np.isfinite(w).all() and np.isfinite(h).all()
    assert w[23].max() < 1e-6 and h.reshape(K, 8, 8)[:, 4].max() < 1e-6


def test_iterations_are_reported_under_one_name(small: Case, begun: Any) -> None:
    progress = Recorder()
    fitted(small.prepared, begun, 5, progress=progress)
    assert progress.labels == [("fitting, iterations at most", 5)]
