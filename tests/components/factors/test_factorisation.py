"""Components of counted mixtures, found from every start."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from component_cases import Case, case, correlations, cosines, in_blocks

from phaseloom.components import factorise, matrix_of
from phaseloom.components.factors.compression import compress
from phaseloom.components.factors.factorisation import Factors
from phaseloom.components.factors.starts import start_patterns
from phaseloom.errors import InputError

K = 4


@pytest.fixture(scope="module")
def true() -> Case:
    return case(K, counts=1000.0)


@pytest.fixture(scope="module")
def found(true: Case) -> Factors:
    return factorise(true.prepared, K, device="cpu", workers=1)


@pytest.mark.parametrize("start", ["pure", "nndsvd", "random"])
@pytest.mark.parametrize("scaling", ["poisson", "none"])
def test_maps_and_patterns_are_found_from_every_start(true: Case, start: Any, scaling: Any) -> None:
    found = factorise(
        true.prepared, K, start=start, scaling=scaling, seeds=5, seed=1, device="cpu", workers=1
    )
    assert correlations(found.weight.T, true.weight.T).min() > 0.98
    assert cosines(found.pattern, true.pattern).min() > 0.98
    assert found.weight.dtype == found.pattern.dtype == np.float32
    assert found.weight.min() >= 0 and found.pattern.min() >= 0


def test_divergence_finds_them_too(true: Case, found: Factors) -> None:
    kl = factorise(true.prepared, K, loss="kl", max_iterations=30, device="cpu", workers=1)
    assert correlations(kl.weight.T, true.weight.T).min() > 0.98
    assert correlations(kl.weight.T, found.weight.T).min() > 0.98
    assert kl.iterations <= 30


def test_counting_errors_make_weights_better() -> None:
    # At a low dose, where a spot of one grain has its own error.
    low = case(K, counts=100.0, seed=3)

    def rms(**options: Any) -> float:
        found = factorise(low.prepared, K, device="cpu", workers=1, **options)
        scale = found.weight / np.linalg.norm(found.weight, axis=0)
        expected = low.weight / np.linalg.norm(low.weight, axis=0)
        order = [int(np.argmax(expected.T @ s)) for s in scale.T]
        return float(np.sqrt(np.square(scale - expected[:, order]).mean()))

    assert rms() < rms(scaling="none")


def test_weight_one_is_as_strong_as_a_component_gets(found: Factors) -> None:
    intensity = found.weight * found.pattern.sum(axis=1)
    strongest = intensity.argmax(axis=1)
    for component in range(K):
        own = found.weight[strongest == component, component]
        assert np.quantile(own, 0.99) == pytest.approx(1.0, rel=1e-3)


def test_the_one_with_most_intensity_is_first(found: Factors) -> None:
    total = (found.weight * found.pattern.sum(axis=1)).sum(axis=0)
    assert np.all(np.diff(total) <= 0)


@pytest.mark.parametrize("options", [{}, {"scaling": "none"}, {"sparsity": 0.1}, {"loss": "kl"}])
def test_the_error_is_that_of_the_counts(true: Case, options: dict[str, Any]) -> None:
    found = factorise(true.prepared, K, max_iterations=10, device="cpu", workers=1, **options)
    v = true.matrix.astype(float)
    left = np.linalg.norm(v - found.weight.astype(float) @ found.pattern, axis=1)
    whole = np.linalg.norm(v, axis=1)
    assert found.error == pytest.approx(np.linalg.norm(left) / np.linalg.norm(whole), rel=1e-4)
    np.testing.assert_allclose(found.residual, left / whole, rtol=1e-3)


def test_counts_of_a_component_are_those_of_its_pattern(true: Case, found: Factors) -> None:
    # Positions of one grain alone have its pattern's counts, to the counting error.
    pure = true.weight.max(axis=1) > 0.995
    label = found.weight[pure].argmax(axis=1)
    totals, shown = true.matrix[pure].sum(axis=1), found.pattern.sum(axis=1)[label]
    assert np.median(totals / shown) == pytest.approx(1.0, abs=0.1)


def test_blocks_and_workers_make_no_difference(true: Case, found: Factors) -> None:
    parts = in_blocks(true.prepared, 6)
    one, two = (factorise(parts, K, device="cpu", workers=n) for n in (1, 2))
    np.testing.assert_array_equal(one.weight, two.weight)
    np.testing.assert_array_equal(one.pattern, two.pattern)
    assert one.error == two.error
    assert correlations(one.weight.T, found.weight.T).min() > 0.999


def test_patterns_given_are_where_it_begins(true: Case, found: Factors) -> None:
    few = compress(true.prepared, device="cpu")
    again = factorise(
        true.prepared, K, compressed=few, patterns=start_patterns(few, K), device="cpu", workers=1
    )
    assert correlations(again.weight.T, found.weight.T).min() > 0.999
    assert again.converged


def test_several_starts_are_no_worse_than_one(true: Case) -> None:
    options: Any = {"start": "random", "scaling": "none", "device": "cpu", "workers": 1}
    few = compress(true.prepared, scaling="none", device="cpu")
    one, five = (factorise(true.prepared, K, seeds=n, compressed=few, **options) for n in (1, 5))
    assert five.error <= one.error * (1 + 1e-3)


def test_smoothness_makes_maps_smoother(true: Case) -> None:
    low = case(3, counts=60.0, seed=5)

    def rough(smoothness: float) -> float:
        found = factorise(low.prepared, 3, smoothness=smoothness, device="cpu", workers=1)
        maps = low.prepared.map(found.weight.T)
        return float(np.square(np.diff(maps, axis=1)).mean() / np.square(maps).mean())

    assert rough(0.5) < 0.8 * rough(0.0)


# What is at the edge.


def test_empty_positions_and_dark_pixels(true: Case) -> None:
    counts = true.counts.copy()
    counts[3, 4:7], counts[:, :, 5], counts[:, :, :, 9] = 0, 0, 0
    for loss in ("frobenius", "kl"):
        found = factorise(
            matrix_of(counts), K, loss=loss, max_iterations=20,  # type: ignore[arg-type]
            device="cpu", workers=1,
        )  # fmt: skip
        empty = np.zeros((16, 16), bool)
        empty[3, 4:7] = True
        assert np.isnan(found.residual[empty.ravel()]).all()
        assert np.isfinite(found.residual[~empty.ravel()]).all()
        assert found.weight[empty.ravel()].max() < 1e-4
        assert np.isfinite(found.weight).all() and np.isfinite(found.pattern).all()
        assert found.pattern.reshape(K, 16, 16)[:, 5].max() < 1e-3


@pytest.mark.parametrize("shape", [(1, 60), (2, 2), (2, 5)])
def test_scans_of_one_row_or_few_positions(shape: tuple[int, int]) -> None:
    true = case(2, shape=shape, blur=0.0)
    found = factorise(true.prepared, 2, device="cpu", workers=1)
    label, expected = found.weight.argmax(axis=1), true.weight.argmax(axis=1)
    assert np.array_equal(label, expected) or np.array_equal(label, 1 - expected)


def test_one_component(true: Case) -> None:
    found = factorise(true.prepared, 1, device="cpu", workers=1)
    assert found.weight.shape == (256, 1)
    mean = true.matrix.mean(axis=0)
    assert cosines(found.pattern, mean[None])[0] > 0.99


def test_counts_as_large_as_they_get() -> None:
    # 10⁹ counts in all at 16 bit, of which the components are a small part.
    true = case(3, counts=1000.0)
    counts = true.counts.copy()
    counts[:, :, 7:9, 7:9] += np.random.default_rng(0).poisson(60_000, (16, 16, 2, 2))
    found = factorise(matrix_of(counts.astype(np.uint32)), 3, device="cpu", workers=1)
    v = counts.reshape(256, -1).astype(float)
    left = v - found.weight.astype(float) @ found.pattern
    assert found.error == pytest.approx(np.linalg.norm(left) / np.linalg.norm(v), rel=1e-2)
    assert np.isfinite(found.residual).all()


def test_faint_patterns_in_any_unit(true: Case) -> None:
    first, second = (
        factorise(matrix_of(true.counts * unit), K, device="cpu", workers=1) for unit in (1.0, 1e-6)
    )
    np.testing.assert_allclose(second.weight, first.weight, atol=1e-3)
    np.testing.assert_allclose(1e6 * second.pattern, first.pattern, atol=1e-3 * true.pattern.max())


# Bad input.


def test_more_components_than_the_patterns_have_are_told() -> None:
    flat = case(3, counts=None)
    with pytest.raises(InputError, match="3 independent components, of which no 4 can be made"):
        factorise(flat.prepared, 4, device="cpu", workers=1)
    same = np.broadcast_to(flat.counts[:1, :1], (5, 5, 16, 16))
    with pytest.raises(InputError, match="1 independent component, of which no 2 can be made"):
        factorise(matrix_of(same), 2, device="cpu", workers=1)
    with pytest.raises(InputError, match="ask for at most 4"):
        factorise(case(2, shape=(2, 2)).prepared, 9, device="cpu", workers=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k must be 'auto' or greater than or equal to 1, not 0"),
        ({"k": -3}, "greater than or equal to 1, not -3"),
        ({"seeds": 0}, "seeds must be greater than or equal to 1, not 0"),
        ({"sparsity": -0.1}, "sparsity must be greater than or equal to 0, not -0.1"),
        ({"smoothness": np.nan}, "smoothness must be a finite number, not nan"),
        ({"loss": "kl", "smoothness": 0.1}, "smoothness goes with least squares only"),
        ({"loss": "kl", "sparsity": 0.1}, "sparsity goes with least squares only"),
        ({"loss": "l1"}, "loss must be 'frobenius' or 'kl', not 'l1'"),
        ({"start": "kmeans"}, "start must be 'pure', 'nndsvd' or 'random', not 'kmeans'"),
        ({"scaling": "log"}, "scaling must be 'poisson' or 'none', not 'log'"),
    ],
)
def test_what_cannot_be_is_told(true: Case, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        factorise(true.prepared, **{"k": 2, "device": "cpu", **options})


@pytest.mark.parametrize(("value", "message"), [(-1, "negative"), (np.nan, "not a number")])
def test_intensities_that_cannot_be_are_told(true: Case, value: float, message: str) -> None:
    counts = true.counts.astype(float)
    counts[5, 6, 7, 8] = value
    with pytest.raises(InputError, match=f"position 86 holds an intensity that is {message}"):
        factorise(matrix_of(counts), 2, device="cpu", workers=1)
