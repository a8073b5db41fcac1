"""Refined solutions of every pattern: right, distinct, likeliest first, and fairly described."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from orientation_cases import Case, pattern_of
from orientation_reference import likelihood_reference, predict_reference
from scipy.optimize import minimize

from phaseloom.maps.misorientation import misorientation_angles
from phaseloom.orientation.matching.patterns import Patterns
from phaseloom.orientation.matching.starts import Starts
from phaseloom.orientation.refinement.likelihood import Pattern
from phaseloom.orientation.refinement.search import _zones_in_view
from phaseloom.orientation.refinement.solutions import FACTS, Solutions
from phaseloom.orientation.refinement.solving import solve


def solved(case: Case, **changes) -> Solutions:
    physics = case.physics._replace(**changes)
    return solve(case.patterns, case.starts, case.library, physics, solutions=6)


def test_solutions_are_within_a_tenth_of_a_degree(lfp_case: Case, gold_case: Case) -> None:
    for case, share, median in ((lfp_case, 0.97, 0.05), (gold_case, 0.8, 0.2)):
        found = solved(case)
        errors = case.errors(found.rotation[:, 0])
        assert (errors < 3.0).mean() >= share
        assert np.median(errors) < median
        some = np.nanmin(case.errors(found.rotation), axis=1)
        assert (some < 3.0).mean() >= max(share, 0.93), "the truth is among the solutions"


def test_likeliest_first_and_distinct(gold_case: Case) -> None:
    found = solved(gold_case)
    likelihood = found.fact("log_likelihood")
    steps = np.diff(likelihood, axis=1)
    assert (steps[np.isfinite(steps)] <= 0).all()
    assert ((found.crystal >= 0) == np.isfinite(likelihood)).all()
    assert ((found.crystal >= 0) == np.isfinite(found.rotation[..., 0])).all()
    for i in range(6):
        for j in range(i):
            angle = misorientation_angles(
                found.rotation[:, i], found.rotation[:, j], gold_case.crystal.laue_rotations
            )
            assert np.nanmin(angle, initial=180.0) > 1.9


def test_facts_are_those_of_the_reference(lfp_case: Case) -> None:
    found, physics = solved(lfp_case), lfp_case.physics
    fact = {name: found.fact(name)[:, 0] for name in FACTS}
    for p in (0, 9, 30):
        pattern, q = pattern_of(lfp_case.patterns, p), found.rotation[p, 0]

        def shown(x: np.ndarray, q: np.ndarray = q, pattern: Pattern = pattern):
            return q, 0.001 * x[:2], np.exp(x[2]), pattern, lfp_case.library, physics

        # Direct beam and scale are not among the facts: they are found again.
        first = [0.0, 0.0, np.log(1e5)]
        best = minimize(
            lambda x: -likelihood_reference(*shown(x)), first, method="Nelder-Mead",
            options={"initial_simplex": first + np.vstack([np.zeros(3), np.eye(3)])},
        )  # fmt: skip
        assert fact["log_likelihood"][p] == pytest.approx(-best.fun, abs=1.0)
        spots = predict_reference(*shown(best.x))
        paired = np.unique(spots.peak[spots.peak >= 0])
        assert abs(fact["matched"][p] - paired.size) <= 1
        explained = pattern.intensity[paired].sum() / pattern.intensity.sum()
        assert fact["explained"][p] == pytest.approx(explained, abs=0.02)
        assert 0 < fact["correlation"][p] <= 1
        assert fact["residual"][p] < physics.reach


def test_half_a_turn_round_a_zone_is_questioned(gold_case: Case) -> None:
    found = solved(gold_case)
    second = found.fact("zone_share")[:, :3] > 0
    assert second.any(axis=1).mean() > 0.05
    close = np.abs(np.diff(found.fact("log_likelihood")[:, :2], axis=1)[:, 0]) < 0.5
    assert 0.02 < close.mean() < 0.5, "some patterns show one zone alone"


def test_fewer_than_three_peaks_have_no_solution(gold_case: Case) -> None:
    patterns = gold_case.patterns.part(0, 4)
    offset = np.array([0, 2, 2, 3, patterns.offset[4]])
    patterns = Patterns(offset, *patterns[1:])
    starts = Starts(*(part[:4] for part in gold_case.starts))
    found = solve(patterns, starts, gold_case.library, gold_case.physics, solutions=3)
    assert (found.crystal[:2] == -1).all()
    assert np.isnan(found.rotation[:2]).all()


def test_no_starts_no_solutions(gold_case: Case) -> None:
    patterns = gold_case.patterns.part(0, 2)
    starts = Starts(np.full((2, 1, 16, 4), np.nan), np.full((2, 1, 16), np.nan))
    found = solve(patterns, starts, gold_case.library, gold_case.physics, solutions=3)
    assert (found.crystal == -1).all()


def test_no_zone_is_in_view_where_no_peak_is_explained() -> None:
    pattern = SimpleNamespace(ky=np.zeros(3), intensity=np.ones(3))
    room = SimpleNamespace(best=np.full(3, -1), listed=np.zeros((3, 1)))
    q, axes = np.array([1.0, 0.0, 0.0, 0.0]), np.eye(3)
    zones = _zones_in_view.py_func(q, pattern, axes, room, np.empty(2, int), np.empty(2))
    assert zones == 0
