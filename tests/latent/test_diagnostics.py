from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phaseloom.latent.diagnostics import calibration_error, mahalanobis_squared, one_to_one


@given(st.permutations(range(5)), st.integers(0, 2**16))
@settings(max_examples=25, deadline=None)
def test_a_permutation_of_names_is_undone(order: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, 500)
    components = np.asarray(order)[labels]
    wrong = rng.random(500) < 0.2
    components[wrong] = rng.integers(0, 5, int(wrong.sum()))
    name, recall = one_to_one(components, labels, n_components=5)
    assert (name[np.asarray(order)] == np.arange(5)).all()
    assert (recall > 0.6).all()


def test_each_name_is_given_once_even_where_one_label_swallows_two_components() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    components = np.array([0] * 60 + [1] * 40)
    name, recall = one_to_one(components, labels, n_components=2)
    assert sorted(name) == [0, 1]
    assert recall == pytest.approx([60 / 90, 1.0])


def test_mahalanobis_matches_the_definition_for_one_and_for_many_covariances() -> None:
    rng = np.random.default_rng(0)
    points, centres = rng.normal(5, 1, (40, 3)), rng.normal(5, 2, (6, 3))
    roots = rng.normal(size=(40, 3, 3))
    covariances = roots @ roots.transpose(0, 2, 1) + 0.1 * np.eye(3)
    apart = points[:, None] - centres
    one = np.einsum("nci,ij,ncj->nc", apart, np.linalg.inv(covariances[0]), apart)
    many = np.einsum("nci,nij,ncj->nc", apart, np.linalg.inv(covariances), apart)
    np.testing.assert_allclose(
        mahalanobis_squared(points, centres, covariances[0]), one, rtol=1e-3, atol=1e-3
    )
    np.testing.assert_allclose(
        mahalanobis_squared(points, centres, covariances), many, rtol=1e-3, atol=1e-3
    )


def test_calibration_error_is_nothing_for_a_true_posterior_and_the_gap_for_a_boast() -> None:
    rng = np.random.default_rng(1)
    right = rng.uniform(0.5, 1.0, 40_000)
    truth = (rng.random(40_000) > right).astype(int)
    assert calibration_error(np.column_stack([right, 1 - right]), truth) < 0.01
    boast = np.column_stack([np.ones(40_000), np.zeros(40_000)])
    assert calibration_error(boast, truth) == pytest.approx(0.25, abs=0.01)
