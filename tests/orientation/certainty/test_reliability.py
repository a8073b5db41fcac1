"""Probabilities and reliabilities on solutions made by hand."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orientation_cases import Case

from phaseloom.crystals import gold, lithium_iron_phosphate
from phaseloom.orientation.calibration.scale_rivals import ScaleRivals
from phaseloom.orientation.certainty.reliability import angles_to_first, posterior, reliability
from phaseloom.orientation.matching.library import Library, make_library
from phaseloom.orientation.refinement.solutions import FACTS, Solutions


@cache
def two_phases() -> Library:
    crystals = [gold(), lithium_iron_phosphate()]
    return make_library(crystals, voltage=200.0, zone_step=8.0, in_plane_step=4.0)


def turned_by(degrees: float) -> list[float]:
    """About a direction that no symmetry shares."""
    axis = np.array([0.31, 0.17, 0.93]) / np.linalg.norm([0.31, 0.17, 0.93])
    half = np.radians(degrees) / 2
    return [float(np.cos(half)), *(np.sin(half) * axis)]


def solutions(*patterns: list[tuple[int, float, float, float]]) -> Solutions:
    """Of (crystal, degrees from the first, ln likelihood, correlation) each."""
    n = max(map(len, patterns))
    rotation = np.full((len(patterns), n, 4), np.nan)
    crystal = np.full((len(patterns), n), -1)
    facts = np.full((len(patterns), n, len(FACTS)), np.nan)
    for p, pattern in enumerate(patterns):
        for i, (c, degrees, likelihood, correlation) in enumerate(pattern):
            rotation[p, i], crystal[p, i] = turned_by(degrees), c
            facts[p, i, FACTS.index("log_likelihood")] = likelihood
            facts[p, i, FACTS.index("correlation")] = correlation
    return Solutions(rotation, crystal, facts)


def summed(found: Solutions, library: Library | None = None, nothing: float = 0.0):
    missing = np.full(len(found.crystal), nothing)
    share = posterior(found, ScaleRivals.exact()) * (1.0 - missing)[:, None]
    return reliability(found, share, missing, library or two_phases())


def test_probabilities_are_the_shares_of_the_likelihood() -> None:
    found = solutions([(0, 0, 100, 0.9), (0, 20, 99, 0.8), (1, 0, 98, 0.7)])
    sure = summed(found)
    share = np.exp([0.0, -1.0, -2.0]) / np.exp([0.0, -1.0, -2.0]).sum()
    np.testing.assert_allclose(sure.posterior[0], share, rtol=1e-6)
    assert sure.probability[0] == pytest.approx(share[0])
    assert sure.phase_probability[0] == pytest.approx(share[:2].sum())


def test_reliabilities_are_those_of_astar() -> None:
    found = solutions(
        [(0, 0, 100, 0.8), (0, 20, 90, 0.6), (1, 0, 80, 0.2)],
        # Within five degrees is the same solution; the next one counts.
        [(0, 0, 100, 0.8), (0, 4, 90, 0.7), (0, 30, 80, 0.4)],
        # Another solution that correlates better: no reliability, not a negative one.
        [(1, 0, 100, 0.5), (1, 25, 90, 0.6), (0, 0, 80, 0.7)],
        # No rival.
        [(1, 0, 100, 0.5)],
        [],
    )
    sure = summed(found)
    np.testing.assert_allclose(
        sure.orientation_reliability, [25.0, 50.0, 0.0, 100.0, np.nan], rtol=1e-6
    )
    np.testing.assert_allclose(sure.phase_reliability, [75.0, 100.0, 0.0, 100.0, np.nan])
    # Within three degrees both solutions are right.
    assert sure.probability[1] < 1.0 - 1e-6
    near = solutions([(0, 0, 100, 0.8), (0, 2.5, 100, 0.8), (0, 3.5, 100, 0.8)])
    assert summed(near).probability[0] == pytest.approx(2 / 3)


def test_one_crystal_is_always_the_right_phase(gold_case: Case) -> None:
    found = solutions([(0, 0, 100, 0.8), (0, 20, 99, 0.6)])
    sure = summed(found, gold_case.library)
    assert sure.phase_reliability[0] == 100.0
    assert sure.phase_probability[0] == pytest.approx(1.0)


def test_symmetry_makes_solutions_one() -> None:
    found = solutions([(0, 0, 100, 0.8), (0, 0, 99, 0.6)])
    found.rotation[0, 1] = [np.sqrt(0.5), 0, 0, np.sqrt(0.5)]
    assert angles_to_first(found, two_phases())[0, 1] == pytest.approx(0.0, abs=1e-5)
    assert summed(found).probability[0] == pytest.approx(1.0)


def test_scales_that_are_open_are_each_taken_with_their_probability() -> None:
    """Equal crystals but for their size: which one depends on the scale."""
    found = solutions([(0, 0, 100, 0.9), (1, 0, 70, 0.9)])
    for i, own in enumerate((0.0, 0.003)):
        found.facts[0, i, FACTS.index("dilation")] = own
        found.facts[0, i, FACTS.index("dilation_information")] = 2 * 8.0 / 0.003**2
    assert posterior(found, ScaleRivals.exact())[0, 0] > 0.999
    found.facts[0, 1, FACTS.index("log_likelihood")] = 100 - 8.0
    rivals = ScaleRivals(np.array([0.0, 0.003]), np.array([0.6, 0.4]))
    np.testing.assert_allclose(posterior(found, rivals)[0], [0.6, 0.4], atol=0.01)


@settings(max_examples=50)
@given(
    values=st.lists(
        st.tuples(st.integers(0, 1), st.floats(0, 180), st.floats(-800, 800), st.floats(0.01, 1)),
        max_size=6,
    ),
    nothing=st.floats(0.0, 0.99),
)
def test_probabilities_sum_to_one(
    values: list[tuple[int, float, float, float]], nothing: float
) -> None:
    values = sorted(values, key=lambda v: -v[2])
    sure = summed(solutions(values, [(0, 0, 0.0, 0.5)]), nothing=nothing)
    some = np.array([bool(values), True])
    np.testing.assert_allclose((sure.posterior.sum(axis=1) + sure.nothing)[some], 1.0)
    assert (sure.posterior >= 0).all()
    if values:
        assert 0 <= sure.probability[0] <= sure.phase_probability[0] + 1e-12 <= 1 + 1e-9
        assert 0 <= sure.orientation_reliability[0] <= 100
        assert 0 <= sure.phase_reliability[0] <= 100
