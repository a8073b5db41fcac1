"""Where factorisations begin."""

from __future__ import annotations

import numpy as np
import pytest
from component_cases import Case, case, cosines
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition._nmf import _initialize_nmf

from phaseloom.components.factors.compression import compress
from phaseloom.components.factors.starts import Start, pure_positions, start_patterns
from phaseloom.components.patterns.matrix import matrix_of


@pytest.fixture(scope="module")
def true() -> Case:
    return case(5, shape=(20, 20))


@pytest.mark.parametrize("start", ["pure", "nndsvd", "random"])
def test_starts_are_not_negative_and_the_same_again(true: Case, start: Start) -> None:
    few = compress(true.prepared, device="cpu")
    first, again = (start_patterns(few, 5, start=start, seed=4) for _ in range(2))
    assert first.shape == (5, 256) and first.dtype == np.float32
    assert first.min() >= 0 and np.all(first.any(axis=1))
    np.testing.assert_array_equal(first, again)
    other = start_patterns(few, 5, start=start, part=0.5, seed=5)
    assert np.array_equal(first, other) == (start == "nndsvd")


def test_pure_positions_are_one_of_every_grain(true: Case) -> None:
    few = compress(true.prepared, device="cpu")
    found = start_patterns(few, 5) * few.scales.columns
    assert cosines(found, true.pattern).min() > 0.98


@settings(max_examples=15)
@given(st.integers(2, 6), st.integers(0, 1000))
def test_of_separable_mixtures_the_pure_ones_are_found(k: int, seed: int) -> None:
    # Gillis & Vavasis: exact without noise, wherever every component has pure positions.
    rng = np.random.default_rng(seed)
    pure = rng.uniform(0.1, 1.0, (k, 8)) + 3 * np.eye(k, 8)
    mixed = rng.dirichlet(np.ones(k), 60) * rng.uniform(0.2, 0.6, (60, 1))
    rows = np.concatenate([np.repeat(np.eye(k), 10, axis=0), mixed]) @ pure
    found = pure_positions(rows.astype(np.float32), k)
    assert cosines(found, pure).min() > 0.9999


@pytest.mark.parametrize("shape", [(2, 2), (2, 4), (3, 5)])
def test_few_positions_are_not_averaged_into_one(shape: tuple[int, int]) -> None:
    true = case(2, shape=shape, counts=None, blur=0.0)
    found = start_patterns(compress(true.prepared, device="cpu"), 2)
    # Scaled as the matrix is; the two patterns are nearly at right angles.
    true_cosine = cosines(true.pattern[:1], true.pattern[1:])[0]
    assert cosines(found[:1], found[1:])[0] < true_cosine + 0.1


def test_nndsvd_is_that_of_scikit_learn(true: Case) -> None:
    few = compress(true.prepared, dimensions=20, scaling="none", device="cpu")
    found = start_patterns(few, 5, start="nndsvd")
    _, h = _initialize_nmf(true.matrix, 5, init="nndsvd", random_state=0)
    # The first of scikit-learn is the whole singular vector, ours its positive part: the same.
    assert cosines(found, h).min() > 0.99
    cosine = np.einsum("ij,ij->i", found, h)
    cosine /= np.linalg.norm(found, axis=1) * np.linalg.norm(h, axis=1)
    assert cosine.min() > 0.99
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), np.linalg.norm(h, axis=1), rtol=0.05)


def test_random_numbers_have_the_size_of_the_matrix(true: Case) -> None:
    few = compress(true.prepared, device="cpu")
    found = start_patterns(few, 5, start="random")
    scale = np.sqrt(few.total / (400 * 256))
    assert found.max() <= scale and found.mean() == pytest.approx(scale / 2, rel=0.1)


def test_more_than_there_are_gives_numbers_all_the_same() -> None:
    scan = np.broadcast_to(case(1).counts[:1, :1], (6, 6, 16, 16))
    few = compress(matrix_of(scan), device="cpu")
    for start in ("pure", "nndsvd", "random"):
        assert np.isfinite(start_patterns(few, 4, start=start)).all()  # type: ignore[arg-type]
