"""Errors of ratios of weights, and patterns that vary within a component: against known truth."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from component_cases import Case, case, grains, spots

from phaseloom.components.certainty import (
    SHARED,
    VARIATION,
    Deviations,
    deviations,
    shared_variation,
    variation,
    varying_sentence,
)
from phaseloom.components.factors.compression import compress
from phaseloom.components.factors.factorisation import Factors, factorise
from phaseloom.components.overlap import second_components

SHAPE = (20, 20)
HERE: dict[str, Any] = {"device": "cpu", "workers": 1}


@cache
def fitted(k: int, counts: float) -> tuple[Case, Factors, Deviations, np.ndarray, np.ndarray]:
    true = case(k, shape=SHAPE, counts=counts, blur=1.5, seed=3)
    return true, *examined(true, k)


def examined(true: Case, k: int) -> tuple[Factors, Deviations, np.ndarray, np.ndarray]:
    """Factors, deviations, label, and ratio of the second weight."""
    factors = factorise(true.prepared, k, seeds=2, **HERE)
    label, second, ratio = second_components(factors.weight.T.reshape(k, *SHAPE), -1, 0.65)
    found = deviations(true.prepared, factors, label.ravel(), second.ravel(), **HERE)
    return factors, found, label.ravel(), ratio.ravel()


def varied(spread: float, *, steady: bool = False, counts: float = 3000.0) -> Case:
    """Three grains whose eight spots vary by this standard deviation: at random, or steadily."""
    return expected_and_case(spread, steady, counts)[1]


def expected_and_case(spread: float, steady: bool, counts: float) -> tuple[np.ndarray, Case]:
    """Expected counts (positions, pixels), and the scan."""
    rng = np.random.default_rng(0)
    weight = grains(SHAPE, 3, blur=0.0, seed=3)
    y, x = np.indices(SHAPE).reshape(2, -1)
    expected = np.zeros((len(weight), 256))
    pattern = np.zeros((3, 256))
    for grain in range(3):
        single = np.stack([spots(1, 16, rng, n=1)[0] for _ in range(8)])
        turn = np.cos(rng.uniform(0, 2 * np.pi, 8) + np.outer(0.3 * y + 0.2 * x, np.ones(8)))
        change = np.sqrt(2) * turn if steady else rng.uniform(-1, 1, turn.shape) * np.sqrt(3)
        expected += weight[:, grain, None] * ((1 + spread * change) @ single) / 8
        pattern[grain] = single.mean(axis=0)
    counted = rng.poisson(counts * expected).reshape(*SHAPE, 16, 16)
    return counts * expected, Case(counted, weight, counts * pattern)


# Errors of ratios.


@pytest.mark.parametrize("counts", [150.0, 1000.0, 20000.0])
def test_errors_of_ratios_are_right(counts: float) -> None:
    true, _, found, label, ratio = fitted(3, counts)
    # Without position of a second component none is compared.
    seen = np.isfinite(found.ratio_error) & (true.weight.max(axis=1) < 0.8)
    assert seen.sum() > 30
    ordered = np.sort(true.weight, axis=1)
    true_ratio = ordered[:, -2] / ordered[:, -1]
    pull = (ratio - true_ratio)[seen] / found.ratio_error[seen]
    # The scales of the components, common to all positions, add a little.
    assert 0.5 < np.sqrt(np.mean(np.square(pull))) < 1.8
    assert label.min() >= 0


def test_errors_fall_as_counts_rise() -> None:
    errors = [np.nanmedian(fitted(3, counts)[2].ratio_error) for counts in (150.0, 20000.0)]
    assert errors[0] / errors[1] == pytest.approx(np.sqrt(20000 / 150), rel=0.4)


def test_spots_that_vary_enlarge_the_errors() -> None:
    def middle(spread: float) -> float:
        _, found, _, _ = examined(varied(spread, counts=30000.0), 3)
        return float(np.nanmedian(found.excess / found.square))

    assert middle(0.0) == pytest.approx(0.0, abs=0.002)
    assert middle(0.4) > 0.05


def test_without_a_second_component_there_is_no_error() -> None:
    _, factors, found, _, ratio = fitted(3, 1000.0)
    assert np.isnan(found.ratio_error[ratio < 0.19]).all()
    none = np.full(len(factors.weight), -1, np.int16)
    true = fitted(3, 1000.0)[0]
    alone = deviations(true.prepared, factors, none, none, **HERE)
    assert np.isnan(alone.ratio_error).all() and np.isfinite(alone.excess).all()


def test_what_is_no_counts_has_no_variation_beyond_counting() -> None:
    true, factors, _, label, _ = fitted(3, 1000.0)
    second = (label + 1) % 3
    found = deviations(true.prepared, factors, label, second, noise=np.nan, **HERE)
    assert np.isnan(found.excess).all()
    assert np.isfinite(found.ratio_error).any()
    assert np.isnan(variation(found, label, 3)).all()


# Variation within a component.


@pytest.mark.parametrize("spread", [0.0, 0.3, 0.5])
def test_variation_is_that_of_the_expected_counts(spread: float) -> None:
    expected, true = expected_and_case(spread, False, 3000.0)
    weight, pattern = true.weight.astype(np.float32), true.pattern.astype(np.float32)
    factors = Factors(weight, pattern, 0.0, np.zeros(len(weight), np.float32), 0, True)
    label = true.weight.argmax(axis=1).astype(np.int16)
    none = np.full(len(label), -1, np.int16)
    found = deviations(true.prepared, factors, label, none, **HERE)
    model = true.weight @ true.pattern
    for component in range(3):
        own = label == component
        varies = np.linalg.norm((expected - model)[own]) / np.linalg.norm(model[own])
        assert varies >= 0.5 * spread  # less than the spread, as spots share pixels
        assert variation(found, label, 3)[component] == pytest.approx(varies, abs=0.06)


def shared(true: Case, k: int) -> np.ndarray:
    factors, _, label, _ = examined(true, k)
    few = compress(true.prepared, dimensions=24, device="cpu")
    return shared_variation(few, factors, label, SHAPE)


@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_spots_that_vary_at_random_share_nothing(spread: float) -> None:
    assert (shared(varied(spread), 3) < 0.5 * SHARED).all()


def test_a_steady_change_is_shared() -> None:
    assert (shared(varied(0.6, steady=True), 3) > SHARED).all()


def test_two_grains_in_one_component_are_seen() -> None:
    # Two components for three grains.
    assert shared(varied(0.0), 2).max() > SHARED


def test_a_component_without_neighbours_shares_nothing_that_is_known() -> None:
    true, factors, _, label, _ = fitted(3, 1000.0)
    few = compress(true.prepared, dimensions=24, device="cpu")
    one = np.where(label == 0, -1, label)
    found = shared_variation(few, factors, one, SHAPE)
    assert np.isnan(found[0]) and np.isfinite(found[1:]).all()


# What is said of it.


def test_nothing_is_said_of_counting_noise() -> None:
    assert varying_sentence(np.array([0.1, np.nan]), np.array([0.0, np.nan])) == ""


def test_components_are_named() -> None:
    varies, shares = np.full(4, 0.1), np.zeros(4)
    varies[1] = VARIATION
    assert varying_sentence(varies, shares).startswith("within component 1 single patterns vary")
    shares[[0, 1, 3]] = SHARED, 0.4, 0.3
    text = varying_sentence(varies, shares)
    assert text.startswith("within components 0, 1 and 3 the patterns change from place to place")
    assert "40 %" in text and "single" not in text
