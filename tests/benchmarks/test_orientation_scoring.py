"""The figures the orientation benchmark reports, on cases that can be worked out by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from phaseloom.crystals import gold, lithium_iron_phosphate, read_crystal
from phaseloom.simulate.grains import random_quaternions

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import orientation_scoring as scoring
import orientation_workloads as workloads


def quaternions(rotation: Rotation) -> np.ndarray:
    return rotation.as_quat(scalar_first=True)


def test_product_is_that_of_rotations():
    a, b = Rotation.random(5, rng=0), Rotation.random(5, rng=1)
    expected = quaternions(a * b)
    found = scoring.product(quaternions(a), quaternions(b))
    assert np.abs((found * expected).sum(axis=1)) == pytest.approx(1.0)


@pytest.mark.parametrize("crystal", [gold(), lithium_iron_phosphate()], ids=["au", "lfp"])
def test_misorientation_knows_the_crystals_symmetry_on_the_crystals_side(crystal):
    true = random_quaternions(20, np.random.default_rng(2))
    tilt = quaternions(Rotation.from_rotvec(np.radians(1.5) * np.array([0.6, 0.0, 0.8])))
    for symmetry in quaternions(Rotation.from_matrix(crystal.laue_rotations)):
        found = scoring.product(symmetry, scoring.product(true, tilt))
        angle = scoring.misorientation(-found, true, crystal.laue_rotations)
        assert angle == pytest.approx(1.5, abs=1e-9)
    # The same turns on the sample's side are other orientations.
    other = scoring.product(true, quaternions(Rotation.from_euler("z", 90, degrees=True)))
    assert np.median(scoring.misorientation(other, true, crystal.laue_rotations)) > 10


def test_misorientation_is_exact_near_zero_and_infinite_without_an_orientation():
    true = random_quaternions(2, np.random.default_rng(3))
    found = scoring.product(true, quaternions(Rotation.from_rotvec([0.0, 1e-6, 0.0])))
    found[1] = np.nan
    angle = scoring.misorientation(found, true, gold().laue_rotations)
    assert angle[0] == pytest.approx(np.degrees(1e-6), rel=1e-4)
    assert angle[1] == np.inf


def test_auc_counts_pairs_in_order_and_ties_as_half():
    right = np.array([True, True, False, False])
    assert scoring.auc(np.array([4.0, 3.0, 2.0, 1.0]), right) == 1.0
    assert scoring.auc(np.array([1.0, 1.0, 1.0, 1.0]), right) == 0.5
    assert scoring.auc(np.array([4.0, 1.0, 2.0, np.nan]), right) == 0.75
    assert np.isnan(scoring.auc(np.arange(4.0), np.ones(4, bool)))


def test_calibration_errors_of_known_probabilities():
    # Half the patterns at 0.9, all right; half at 0.3, all wrong.
    probability = np.repeat([0.9, 0.3], 50)
    right = np.repeat([True, False], 50)
    assert scoring.calibration_errors(probability, right) == pytest.approx((0.2, 0.2))
    # Equal widths put 0.31 … 0.39 into one bin, where errors of both signs cancel; counts do not.
    probability, right = np.repeat([0.31, 0.39], 50), np.repeat([True, False], 50)
    by_count, by_width = scoring.calibration_errors(probability, right)
    assert by_count == pytest.approx((0.69 + 0.39) / 2)
    assert by_width == pytest.approx(0.15)


def test_calibrated_probabilities_have_a_small_error():
    rng = np.random.default_rng(4)
    probability = rng.uniform(size=20_000)
    right = rng.uniform(size=20_000) < probability
    assert max(scoring.calibration_errors(probability, right)) < 0.02
    assert min(scoring.calibration_errors(np.sqrt(probability), right)) > 0.1


def test_score_counts_the_phase_the_half_turn_and_the_unindexed():
    true = random_quaternions(5, np.random.default_rng(5))
    found = true.copy()
    found[1] = scoring.product(true[1], scoring.HALF_TURN)
    found[2] = np.nan
    phase = np.array([0, 0, 0, 1, 1])
    found_phase = np.array([0, 0, -1, 0, 1])
    laue = [lithium_iron_phosphate().laue_rotations] * 2
    nothing = np.full(5, np.nan)
    strength = np.array([5.0, 4.0, np.nan, 6.0, 7.0])
    figures, right = scoring.score(true, phase, laue, found, found_phase, strength, nothing)
    assert right.tolist() == [True, False, False, False, True]
    assert figures.right == 0.4
    assert figures.close == 0.4
    assert figures.twins == 0.2
    assert figures.phase == 0.6
    assert figures.median == 0.0
    assert figures.auc_score == pytest.approx(5 / 6)
    assert np.isnan(figures.auc_reliability)


@pytest.mark.parametrize("kind", ["au", "lfp", "fp"])
def test_what_is_listed_for_other_programs_is_the_crystal_of_the_file(kind, tmp_path):
    (path,) = workloads.write_crystals((kind,), tmp_path)
    (crystal,) = workloads.read_crystals((kind,))
    assert read_crystal(path).cell == crystal.cell
    listed = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    named = {"Li": 3, "O": 8, "P": 15, "Fe": 26, "Au": 79}
    assert listed["numbers"] == [named[element] for element in crystal.elements]
    assert listed["positions"] == crystal.positions.tolist()
    # The zone's corners span the part of the sphere that symmetry leaves, Friedel's law with it.
    corners = np.array(listed["zone_axes"], dtype=float)
    corners /= np.linalg.norm(corners, axis=1, keepdims=True)
    edges = [corners[i] @ corners[(i + 1) % 3] for i in range(3)]
    solid = 2 * np.arctan2(abs(np.linalg.det(corners)), 1 + sum(edges))
    assert 4 * np.pi / solid == pytest.approx(2 * len(crystal.laue_rotations))


def test_independent_patterns_keep_within_the_reach_of_all_programs():
    made = workloads.independent(("au", "lfp"), 6, 0)
    assert len(made) == 6
    assert sorted(made.phase) == [0, 0, 0, 1, 1, 1]
    assert made.peaks["offset"][-1] == len(made.peaks["kx"])
    assert np.hypot(made.peaks["kx"], made.peaks["ky"]).max() <= workloads.K_MAX
    assert (np.diff(made.peaks["offset"]) > 1).all()


def test_joined_tables_keep_every_patterns_peaks_together():
    rng = np.random.default_rng(6)
    parts = []
    for numbers in ([2, 0, 3], [1, 4]):
        columns = {name: rng.uniform(size=sum(numbers)) for name in workloads.COLUMNS}
        parts.append({"offset": np.cumsum([0, *numbers]), **columns})
    order = np.array([4, 1, 0, 3, 2])
    whole = workloads.joined(parts, order)
    patterns = [
        part["kx"][part["offset"][i] : part["offset"][i + 1]]
        for part in parts
        for i in range(len(part["offset"]) - 1)
    ]
    for place, number in enumerate(order):
        rows = slice(*whole["offset"][place : place + 2])
        assert np.array_equal(whole["kx"][rows], patterns[number])
