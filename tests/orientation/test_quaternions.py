"""The compiled quaternion algebra against orix and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from orix.quaternion import Rotation as OrixRotation
from scipy.spatial.transform import Rotation

from phaseloom.crystals import gold, lithium_iron_phosphate
from phaseloom.maps.misorientation import as_quaternions, misorientation_angles
from phaseloom.orientation.quaternions import nearest_copy, product, to_matrix, turned


def random_pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    p, q = np.random.default_rng(seed).normal(size=(2, 4))
    return p / np.linalg.norm(p), q / np.linalg.norm(q)


@given(st.integers(0, 2**32 - 1))
def test_products_and_matrices_are_those_of_orix_and_scipy(seed: int) -> None:
    p, q = random_pair(seed)
    out, matrix = np.empty(4), np.empty((3, 3))
    product(p, q, out)
    expected = (OrixRotation(p) * OrixRotation(q)).data[0]
    assert abs(out @ expected) == pytest.approx(1.0)
    to_matrix(q, matrix)
    # orix's matrices and scipy's are those of active rotations.
    np.testing.assert_allclose(matrix, Rotation.from_quat(np.roll(q, -1)).as_matrix(), atol=1e-12)
    one, other = np.empty((3, 3)), np.empty((3, 3))
    to_matrix(p, one)
    to_matrix(out, other)
    np.testing.assert_allclose(other, one @ matrix, atol=1e-12)


@given(st.integers(0, 2**32 - 1))
def test_a_product_may_be_written_over_its_factor(seed: int) -> None:
    p, q = random_pair(seed)
    out = np.empty(4)
    product(p, q, out)
    product(p, q, q)
    np.testing.assert_array_equal(out, q)


@given(seed=st.integers(0, 2**32 - 1), cubic=st.booleans())
def test_the_nearest_copy_is_the_least_misorientation(seed: int, cubic: bool) -> None:
    p, q = random_pair(seed)
    crystal = gold() if cubic else lithium_iron_phosphate()
    symmetry = as_quaternions(crystal.laue_rotations)
    which, cosine = nearest_copy(p, q, symmetry)
    expected = misorientation_angles(p, q, symmetry)
    assert np.degrees(2 * np.arccos(min(cosine, 1.0))) == pytest.approx(float(expected), abs=1e-4)
    copy = np.empty(4)
    product(symmetry[which], q, copy)
    assert abs(copy @ p) == pytest.approx(cosine)


@given(seed=st.integers(0, 2**32 - 1), angle=st.floats(0.0, 0.3))
def test_turning_the_crystal_turns_its_spots(seed: int, angle: float) -> None:
    q, g = random_pair(seed)
    axis = g[1:] / np.linalg.norm(g[1:])
    out, before, after = np.empty(4), np.empty((3, 3)), np.empty((3, 3))
    turned(q, *(angle * axis), out)
    to_matrix(q, before)
    to_matrix(out, after)
    spin = Rotation.from_rotvec(angle * axis).as_matrix()
    # Reflections lie at Rᵀ g and are turned by ω.
    np.testing.assert_allclose(after.T @ g[:3], spin @ before.T @ g[:3], atol=1e-9)
