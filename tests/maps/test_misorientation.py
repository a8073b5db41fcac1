"""Misorientations: against orix, and what symmetry demands."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orix.quaternion import Orientation, Rotation, symmetry

from phaseloom.crystals import gold, lithium_iron_phosphate
from phaseloom.errors import InputError
from phaseloom.maps.misorientation import (
    as_quaternions,
    joint_operations,
    misorientation,
    misorientation_angles,
    multiply,
)

GROUPS = {
    "cubic": symmetry.Oh,
    "orthorhombic": symmetry.D2h,
    "hexagonal": symmetry.D6h,
    "trigonal": symmetry.D3d,
    "triclinic": symmetry.Ci,
}


def proper(group):
    return group[~group.improper].data


def random_rotations(number, seed=0):
    found = np.random.default_rng(seed).normal(size=(number, 4))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.mark.parametrize("name", GROUPS)
def test_angles_are_those_of_orix(name):
    group = GROUPS[name]
    first, second = random_rotations(200, 1), random_rotations(200, 2)
    expected = Orientation(first, symmetry=group).angle_with(
        Orientation(second, symmetry=group), degrees=True
    )
    found = misorientation_angles(first, second, proper(group))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@given(st.sampled_from(sorted(GROUPS)), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_equivalent_orientations_and_a_turned_sample_change_nothing(name, seed):
    rng = np.random.default_rng(seed)
    operations = as_quaternions(proper(GROUPS[name]))
    first, second, turn = random_rotations(3, seed)[:, None]
    angle, axis = misorientation(first, second, operations)
    s1, s2 = operations[rng.integers(len(operations), size=2)]
    again = misorientation(
        multiply(multiply(s1[None], first), turn), multiply(multiply(s2[None], second), turn),
        operations,
    )  # fmt: skip
    assert again.angle == pytest.approx(angle, abs=1e-9)
    np.testing.assert_allclose(again.axis, axis, atol=1e-6)
    swapped = misorientation(second, first, operations)
    assert swapped.angle == pytest.approx(angle, abs=1e-9)
    np.testing.assert_allclose(swapped.axis, axis, atol=1e-6)


def test_a_cubic_twin_is_60_degrees_about_111():
    crystal = gold()
    first = random_rotations(50)
    twin = Rotation.from_axes_angles([-1, 1, 1], 60, degrees=True).data
    angle, axis = misorientation(first, multiply(twin, first), crystal.laue_rotations)
    np.testing.assert_allclose(angle, 60, atol=1e-9)
    np.testing.assert_allclose(axis, np.full((50, 3), 3**-0.5), atol=1e-9)


def test_no_misorientation_of_cubic_crystals_is_larger_than_62_8_degrees():
    angle, axis = misorientation(
        random_rotations(20_000, 1), random_rotations(20_000, 2), gold().laue_rotations
    )
    assert 61 < angle.max() < 62.80
    assert (np.diff(axis, axis=1) <= 1e-9).all()
    assert (axis >= -1e-9).all()


def test_a_small_rotation_keeps_angle_and_axis():
    crystal = lithium_iron_phosphate()
    first = random_rotations(20)
    axis = np.array([0.6, 0.0, 0.8])
    for degrees in (1e-4, 1e-2, 3.0):
        turn = Rotation.from_axes_angles(axis, degrees, degrees=True).data
        found = misorientation(first, multiply(turn, first), crystal.laue_rotations)
        np.testing.assert_allclose(found.angle, degrees, rtol=1e-5)
        np.testing.assert_allclose(found.axis, np.tile(axis, (20, 1)), atol=1e-4)


def test_identical_and_missing_orientations():
    first = random_rotations(3)
    first[1] = np.nan
    angle, axis = misorientation(first, first, gold().laue_rotations)
    assert angle[0] == pytest.approx(0, abs=1e-6)
    assert np.isnan(angle[1])
    assert np.isnan(axis[1]).all()


def test_shapes_broadcast():
    first, second = random_rotations(6).reshape(2, 3, 4), random_rotations(1, 5)[0]
    assert misorientation_angles(first, second, gold().laue_rotations).shape == (2, 3)
    assert misorientation(first, second, gold().laue_rotations).axis.shape == (2, 3, 3)


def test_between_two_kinds_of_crystals_both_symmetries_count():
    cubic, other = symmetry.Oh, symmetry.D3d
    first, second = random_rotations(50, 1), random_rotations(50, 2)
    joint = joint_operations(proper(cubic), proper(other))
    one, two = as_quaternions(proper(cubic)), as_quaternions(proper(other))
    between = multiply(second, first * [1, -1, -1, -1])
    all_ways = multiply(multiply(two[:, None, None], between), one[:, None] * [1, -1, -1, -1])
    expected = np.degrees(2 * np.arccos(np.abs(all_ways[..., 0]).max(axis=(0, 1)).clip(max=1)))
    np.testing.assert_allclose(misorientation_angles(first, second, joint), expected, atol=1e-5)
    assert len(joint_operations(proper(cubic), proper(cubic))) == 24


@pytest.mark.parametrize(
    ("rotation", "operations"),
    [
        (np.ones((2, 3)), np.eye(3)[None]),
        (np.ones((2, 4)), np.eye(3)),
        (np.ones((2, 4)), -np.eye(3)[None]),
        (np.ones((2, 4)), np.empty((0, 4))),
    ],
)
def test_arrays_that_are_no_rotations_are_refused(rotation, operations):
    with pytest.raises(InputError):
        misorientation_angles(rotation, rotation, operations)
