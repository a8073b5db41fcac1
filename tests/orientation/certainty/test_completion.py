"""What neighbours have found is tried in a pattern that lacks it."""

from __future__ import annotations

import numpy as np
import pytest
from orientation_cases import K_MAX, Case

from phaseloom.crystals import gold
from phaseloom.maps.misorientation import misorientation_angles
from phaseloom.orientation.certainty.completion import completed
from phaseloom.orientation.matching.library import make_library
from phaseloom.orientation.refinement.solutions import Solutions
from phaseloom.orientation.refinement.solving import solve
from phaseloom.simulate import Beam, Camera, random_orientations, simulate_peaks

SHAPE = 4, 5


@pytest.fixture(scope="module")
def grain() -> Case:
    """Twenty patterns of one grain of gold."""
    sample = random_orientations(SHAPE, seed=5)
    sample["rotation"][:] = sample["rotation"].to_numpy()[2, 1]
    beam, camera = Beam(dose=3e5, intensity_spread=0.3), Camera(jitter=0.3)
    table = simulate_peaks(sample, [gold()], beam=beam, camera=camera, seed=5)
    library = make_library([gold()], voltage=200.0, k_max=K_MAX)
    return Case(gold(), sample["rotation"].to_numpy().reshape(-1, 4), table, library)


def spoiled(solved: Solutions, patterns: list[int]) -> Solutions:
    """The same, but some patterns have only an unlikely solution that is far off."""
    rotation, crystal, facts = (values.copy() for values in solved)
    for p in patterns:
        rotation[p, 0] = [0.8, 0.1, 0.5, 0.3] / np.linalg.norm([0.8, 0.1, 0.5, 0.3])
        facts[p, 0, 0] -= 30.0
        crystal[p, 1:], rotation[p, 1:], facts[p, 1:] = -1, np.nan, np.nan
    return Solutions(rotation, crystal, facts)


def test_neighbours_help_out(grain: Case) -> None:
    patterns, library, physics = grain.patterns, grain.library, grain.physics
    solved = solve(patterns, grain.starts, library, physics, solutions=4)
    assert np.median(grain.errors(solved.rotation[:, 0])) < 0.5
    lost = spoiled(solved, [0, 7, 8, 19])
    shows, takes = np.ones(20, dtype=bool), np.ones(20, dtype=bool)
    takes[19] = False
    found = completed(lost, shows, takes, patterns, library, physics, SHAPE)
    likelihood = found.fact("log_likelihood")[:, 0]
    assert (likelihood >= lost.fact("log_likelihood")[:, 0] - 0.11).all()
    assert grain.errors(found.rotation[:, 0])[[0, 7, 8]].max() < 1.0
    np.testing.assert_array_equal(found.rotation[19], lost.rotation[19])
    # Who has what neighbours have keeps the list as it is.
    angle = misorientation_angles(
        solved.rotation[:, 0], found.rotation[:, 0], grain.crystal.laue_rotations
    )
    assert np.delete(angle, [0, 7, 8, 19]).max() < 2.0


def test_patterns_that_show_nothing_neither_give_nor_take(grain: Case) -> None:
    patterns, library, physics = grain.patterns, grain.library, grain.physics
    solved = solve(patterns, grain.starts, library, physics, solutions=4)
    lost = spoiled(solved, [7])
    everywhere = np.ones(20, dtype=bool)
    alone = everywhere.copy()
    alone[[2, 6, 8, 12]] = False
    for shows in (alone, ~np.isin(np.arange(20), [7])):
        found = completed(lost, shows, everywhere, patterns, library, physics, SHAPE)
        np.testing.assert_array_equal(found.rotation[7], lost.rotation[7])
