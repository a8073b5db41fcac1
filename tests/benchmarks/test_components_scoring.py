"""The figures of the component benchmarks, on cases worked out by hand, and their workload."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MODULES = ("components_workload", "components_scoring", "orientation_scoring")


@pytest.fixture
def scoring(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import components_scoring

    yield components_scoring
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def workload(scoring: Any) -> Any:
    import components_workload

    return components_workload


def test_relative_error_is_that_of_the_whole_matrix(scoring):
    rng = np.random.default_rng(0)
    v, w, h = rng.uniform(size=(700, 30)), rng.uniform(size=(700, 3)), rng.uniform(size=(3, 30))
    expected = np.linalg.norm(v - w @ h) / np.linalg.norm(v)
    assert scoring.relative_error(v, w, h) == pytest.approx(expected)
    assert scoring.relative_error(w @ h, w, h) == pytest.approx(0.0, abs=1e-9)


def test_maps_are_matched_whatever_their_order_and_scale(scoring):
    rng = np.random.default_rng(1)
    truth = rng.uniform(size=(200, 3))
    found = np.stack([5 * truth[:, 2], rng.uniform(size=200), 0.1 * truth[:, 0] + 3], axis=1)
    matched = scoring.map_correlations(found, truth)
    assert matched[[0, 2]] == pytest.approx(1.0)
    assert abs(matched[1]) < 0.3
    # One is missing, and one is constant.
    assert scoring.map_correlations(found[:, :1], truth) == pytest.approx([0, 0, 1])
    assert scoring.map_correlations(np.ones((200, 1)), truth) == pytest.approx(0)


def test_overlaps_are_where_the_second_share_comes_near_the_first(scoring):
    shares = np.array([[1.0, 0, 0], [0.56, 0.44, 0], [0, 0.6, 0.4], [0, 0, 0]])
    truth = scoring.true_overlaps(shares)
    assert truth.tolist() == [False, True, False, False]
    assert scoring.f1(np.array([False, True, True, False]), truth) == pytest.approx(2 / 3)
    assert scoring.f1(truth, truth) == 1.0
    assert np.isnan(scoring.f1(np.zeros(4, bool), np.zeros(4, bool)))


def test_each_label_stands_for_one_grain_at_most(scoring):
    truth = np.array([0, 0, 0, 1, 1, 2])
    assert scoring.labels_right(np.array([1, 1, 1, 0, 0, 2]), truth) == 1.0
    assert scoring.labels_right(np.array([1, 1, -1, 0, 0, 0]), truth) == pytest.approx(4 / 6)


def test_true_factors_leave_the_noise_that_was_asked_for(scoring, workload):
    made = workload.factors(side=20, detector=32)
    matrix = made.counts.reshape(len(made.weight), -1)
    assert matrix.dtype == np.float32
    assert made.weight.sum(axis=1) == pytest.approx(1.0)
    floor = scoring.relative_error(matrix, made.weight, made.pattern)
    assert floor == pytest.approx(workload.FLOOR, rel=0.02)
    # What all patterns share holds nearly all of the norm.
    common = made.pattern.min(axis=0)
    assert (common**2).sum() > 0.95 * (made.pattern**2).sum(axis=1).mean()
    assert scoring.true_overlaps(made.weight).any()


def test_thirty_scans_of_which_half_have_descan(workload):
    scans = list(workload.counting_scans())
    assert len(scans) == 30
    assert [s.number for s in scans] == list(range(30))
    assert sum(s.descan for s in scans) == 15
    for dose in workload.DOSES:
        assert {s.grains for s in scans if s.dose == dose} == set(range(4, 13))


def test_grains_of_a_scan_to_count_are_distinct_and_large(workload, monkeypatch):
    monkeypatch.setattr(workload, "DETECTOR", 24)
    scan, shares = workload.Counting(3, 1e3, 5, descan=True).simulate()
    assert scan["counts"].shape == (workload.SIDE, workload.SIDE, 24, 24)
    assert np.bincount(shares.argmax(axis=1)).min() >= workload.FEWEST
    assert shares.sum(axis=1) == pytest.approx(1.0)
    assert scan["counts"].to_numpy().sum(axis=(2, 3)).mean() == pytest.approx(1e3, rel=0.1)
