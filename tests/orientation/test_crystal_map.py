"""The result as a crystal map of orix."""

from __future__ import annotations

import numpy as np
import pytest

from phaseloom.errors import InputError
from phaseloom.orientation import to_crystal_map


def test_phases_places_and_measures_are_those_of_the_result(orientation_map):
    found = to_crystal_map(orientation_map)
    assert found.shape == (6, 8)
    assert found.scan_unit == "nm"
    assert (found.dy, found.dx) == (2.5, 2.0)
    phase = orientation_map["phase"].to_numpy()
    np.testing.assert_array_equal(found.get_map_data("phase_id"), phase)
    assert found.phases[0].name == "LiFePO4"
    assert found.phases[1].space_group.number == 225
    assert found.phases[-1].name == "not_indexed"
    assert len(found.phases[0].structure) == 28
    for name in ("correlation", "probability", "phase_reliability", "matched", "ambiguous"):
        np.testing.assert_array_equal(
            found.prop[name].reshape(phase.shape), orientation_map[name].to_numpy()
        )
    np.testing.assert_allclose(found.y.reshape(6, 8)[:, 0], orientation_map["y"] - 10)
    np.testing.assert_allclose(found.x.reshape(6, 8)[0], orientation_map["x"] - 4)


def test_the_first_rotation_is_the_map_s_and_the_others_follow(orientation_map):
    found = to_crystal_map(orientation_map)
    assert found.rotations_per_point == 2
    indexed = orientation_map["phase"].to_numpy().ravel() >= 0
    chosen = orientation_map["rotation"].to_numpy().reshape(-1, 4)
    rotations = found.rotations.data
    np.testing.assert_allclose(rotations[indexed, 0], chosen[indexed])
    np.testing.assert_array_equal(rotations[~indexed], np.tile([1, 0, 0, 0], (32, 2, 1)))
    solution = orientation_map["solution_rotation"].to_numpy().reshape(2, -1, 4)
    # Context chose the second solution of this pixel: the first comes after it.
    np.testing.assert_allclose(rotations[1], solution[::-1, 1])
    assert found.prop["solution_phase"][1].tolist() == [1, 0]
    assert found.phase_id[1] == 1
    # The others: as they are.
    np.testing.assert_allclose(rotations[0], solution[:, 0])
    assert found.prop["solution_phase"][0].tolist() == [0, 1]
    probability = orientation_map["solution_probability"].to_numpy().reshape(2, -1)
    np.testing.assert_array_equal(found.prop["solution_probability"][0], probability[:, 0])
    # This row has but one.
    row = found.prop["solution_phase"].reshape(6, 8, 2)[2]
    assert row[0].tolist() == [0, -1]


def test_an_orientation_that_is_no_solution_comes_before_all(orientation_map):
    orientation_map["rotation"][0, 0] = [0.5, 0.5, 0.5, 0.5]
    found = to_crystal_map(orientation_map)
    assert found.rotations_per_point == 3
    np.testing.assert_allclose(found.rotations.data[0, 0], 0.5)
    solution = orientation_map["solution_rotation"].to_numpy()[:, 0, 0]
    np.testing.assert_allclose(found.rotations.data[0, 1:], solution)
    assert found.prop["solution_phase"][0].tolist() == [0, 0, 1]
    # Where the map's is among the solutions, it is there once.
    assert found.prop["solution_phase"].reshape(6, 8, 3)[1, 0].tolist() == [0, 1, -1]


def test_orix_s_symmetry_brings_orientations_together(orientation_map):
    from orix.quaternion import Orientation

    found = to_crystal_map(orientation_map)["Au"]
    one = found.orientations
    assert isinstance(one, Orientation)
    assert one.symmetry.name == "m-3m"


def test_without_solutions_there_is_one_rotation(orientation_map):
    single = orientation_map.drop_vars([n for n in orientation_map if "solution" in n])
    found = to_crystal_map(single)
    assert found.rotations_per_point == 1
    assert "solution_phase" not in found.prop


def test_other_datasets_are_refused(orientation_map):
    with pytest.raises(InputError, match="no rotation"):
        to_crystal_map(orientation_map.drop_vars("rotation"))
    no_crystals = orientation_map.copy()
    no_crystals.attrs = {}
    with pytest.raises(InputError, match="no crystals"):
        to_crystal_map(no_crystals)
    orientation_map["phase"][0, 0] = 2
    with pytest.raises(InputError, match="phase 2 has no crystal"):
        to_crystal_map(orientation_map)
