"""Spots of single crystals: intensities against multislice, positions against orix and diffsims."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orix.quaternion import Rotation
from orix.vector import Vector3d

from phaseloom.crystals import gold, kinematic_spots, lithium_iron_phosphate, wavelength
from phaseloom.crystals.kinematic import (
    _averaged_slab,
    _averaged_wedge,
    excitation_errors,
    rotation_matrices,
)
from phaseloom.crystals.structure import Site, crystal_from_sites
from phaseloom.errors import InputError
from phaseloom.simulate.grains import random_quaternions

# abTEM 1.0.11 multislice (Lobato, finite projections, slices of 0.25 Å, no displacements): part of
# a 200 kV plane wave after one cell of LiFePO4. benchmarks/abtem_check.py makes them anew.
ALONG_C = {
    (0, 2, 0): 2.4425e-4,
    (0, 4, 0): 2.1929e-4,
    (2, 0, 0): 6.8543e-6,
    (2, 1, 0): 5.8436e-5,
    (4, 1, 0): 5.3680e-5,
    (4, 3, 0): 7.4465e-5,
}
ALONG_B = {
    (1, 0, 1): 9.4095e-5,
    (2, 0, 1): 4.9647e-5,
    (3, 0, 1): 1.3987e-4,
    (4, 0, 1): 1.1972e-4,
    (1, 0, 2): 7.5132e-5,
    (0, 0, 4): 7.2022e-5,
    (2, 0, 0): 1.1826e-5,
}
# Sample x, y, z along c, a, b of the crystal: the columns of R are a's, b's and c's images.
TO_B = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])


@pytest.mark.parametrize(
    ("matrix", "thickness", "expected"),
    [(np.eye(3), 4.692, ALONG_C), (TO_B, 6.010, ALONG_B)],
)
def test_a_thin_crystal_diffracts_as_multislice_says(
    matrix: np.ndarray, thickness: float, expected: dict[tuple[int, int, int], float]
) -> None:
    crystal = lithium_iron_phosphate()
    crystal = replace(crystal, displacements=np.zeros_like(crystal.displacements))
    spots = kinematic_spots(
        crystal,
        Rotation.from_matrix(matrix).data,
        voltage=200,
        thickness=thickness,
        k_max=1.2,
        profile="slab",
    )
    ours = {tuple(map(int, h)): i for h, i in zip(spots.hkl, spots.intensity, strict=True)}
    # Absolute, nothing fitted: what is left is scattering twice, and the tails that surfaces give
    # the rods of neighbouring Laue zones.
    np.testing.assert_allclose([ours[h] for h in expected], list(expected.values()), rtol=0.04)


def lopsided() -> tuple[object, float, float, float]:
    """A crystal whose a, b and c all differ, so that no view of it looks like another."""
    cell = (4.0, 5.0, 6.5, 90.0, 90.0, 90.0)
    return crystal_from_sites("lopsided", cell, 16, [Site("Fe", (0.0, 0.0, 0.0))]), *cell[:3]


def test_unturned_crystal_has_a_to_the_right_and_b_downwards() -> None:
    crystal, a, b, _ = lopsided()
    spots = kinematic_spots(crystal, [1, 0, 0, 0], voltage=200, k_max=0.6)
    at = {tuple(map(int, h)): (y, x) for h, y, x in zip(spots.hkl, spots.ky, spots.kx, strict=True)}
    np.testing.assert_allclose(at[(1, 0, 0)], (0, 1 / a), atol=1e-12)
    np.testing.assert_allclose(at[(0, 1, 0)], (1 / b, 0), atol=1e-12)
    for h, (y, x) in at.items():
        np.testing.assert_allclose(at[tuple(-i for i in h)], (-y, -x), atol=1e-12)


def test_a_rotation_maps_sample_to_crystal_as_in_orix() -> None:
    crystal, a, _, c = lopsided()
    # The crystal's c lies along the sample's x (right), its a along −y (up).
    rows = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
    rotation = Rotation.from_matrix(rows)
    np.testing.assert_allclose((rotation * Vector3d.xvector()).data[0], [0, 0, 1], atol=1e-12)
    spots = kinematic_spots(crystal, rotation.data, voltage=200, k_max=0.6)
    at = {tuple(map(int, h)): (y, x) for h, y, x in zip(spots.hkl, spots.ky, spots.kx, strict=True)}
    np.testing.assert_allclose(at[(0, 0, 1)], (0, 1 / c), atol=1e-12)
    np.testing.assert_allclose(at[(1, 0, 0)], (-1 / a, 0), atol=1e-12)
    # Right and up: h and l positive.
    np.testing.assert_allclose(at[(1, 0, 2)], (-1 / a, 2 / c), atol=1e-12)


def test_matrices_of_quaternions_are_those_of_orix() -> None:
    q = random_quaternions(20, np.random.default_rng(0))
    np.testing.assert_allclose(rotation_matrices(q), Rotation(q).to_matrix(), atol=1e-12)
    v = np.array([0.3, -0.2, 0.9])
    np.testing.assert_allclose(
        rotation_matrices(q) @ v, (Rotation(q) * Vector3d(v)).data, atol=1e-12
    )
    with pytest.raises(InputError, match="unit quaternions"):
        rotation_matrices([[1.0, 2.0, 3.0]])


def test_spots_lie_where_diffsims_has_them_seen_from_the_same_side() -> None:
    """diffsims has y up and the beam along −z: our sample frame turned by 180° about x."""
    from diffsims.generators.simulation_generator import SimulationGenerator

    crystal = lithium_iron_phosphate()
    theirs = SimulationGenerator(200, shape_factor_model=lambda s, _: np.ones_like(s))
    about_x = Rotation([0, 1, 0, 0])
    for turn in random_quaternions(4, np.random.default_rng(3)):
        rotation = Rotation(turn)
        simulated = theirs.calculate_diffraction2d(
            crystal.phase,
            rotation,
            reciprocal_radius=1.2,
            max_excitation_error=0.01,
            with_direct_beam=False,
            debye_waller_factors={"Fe": 0.5, "P": 0.5, "O": 0.5, "Li": 1.2},
        )
        spots = kinematic_spots(
            crystal,
            (rotation * about_x).data,
            voltage=200,
            thickness=20,
            k_max=1.2,
            minimum=1e-7,
        )
        index = {tuple(map(int, h)): i for i, h in enumerate(spots.hkl)}
        vectors = simulated.coordinates
        strong = vectors.intensity > 1e-3 * vectors.intensity.max()
        hkl = np.rint(vectors.hkl).astype(int)[strong]
        assert len(hkl) > 10
        ours = np.array([index[tuple(map(int, h))] for h in hkl])
        x, y, _ = vectors.data[strong].T
        np.testing.assert_allclose(spots.kx[ours], x, atol=1e-9)
        np.testing.assert_allclose(spots.ky[ours], -y, atol=1e-9)
        assert np.abs(spots.excitation_error[ours]).max() < 0.01


@settings(max_examples=50)
@given(st.floats(-0.03, 0.03), st.floats(0.0, 0.03), st.floats(10.0, 200.0))
def test_precession_is_the_mean_over_the_cone(s: float, sweep: float, thickness: float) -> None:
    phi = np.pi * (np.arange(4000) + 0.5) / 4000
    error = s + sweep * np.cos(phi)
    for average, profile in (
        (_averaged_wedge, 1 / (1 + (2 * np.pi * thickness * error) ** 2)),
        (_averaged_slab, np.sinc(thickness * error) ** 2),
    ):
        found = average(np.array([s]), np.array([sweep]), thickness)[0]
        assert found == pytest.approx(profile.mean(), rel=1e-3, abs=1e-5)


def test_precession_adds_spots_and_evens_them_out() -> None:
    crystal = gold()
    turns = random_quaternions(400, np.random.default_rng(0))
    still, moving = (
        kinematic_spots(crystal, turns, voltage=200, thickness=300, precession_angle=a)
        for a in (0.0, 1.0)
    )
    assert moving.hkl.shape[0] > 1.3 * still.hkl.shape[0]
    # All intensity of a reflection is swept through: the mean over orientations stays.
    assert moving.intensity.sum() == pytest.approx(still.intensity.sum(), rel=0.1)
    assert moving.intensity.max() < still.intensity.max()


def test_excitation_error_is_the_distance_to_the_sphere() -> None:
    radius = 1 / wavelength(200)
    assert excitation_errors(np.array([0.0, 0.0, -0.01]), 200) == pytest.approx(0.01)
    g = np.array([0.6, -0.8, 0.02])
    s = float(excitation_errors(g, 200))
    on_sphere = np.array([0, 0, radius]) + g + np.array([0, 0, s])
    assert np.linalg.norm(on_sphere) == pytest.approx(radius, rel=1e-12)


def test_patterns_do_not_depend_on_their_company() -> None:
    turns = random_quaternions(5, np.random.default_rng(2))
    together = kinematic_spots(gold(), turns, voltage=200)
    for i, turn in enumerate(turns):
        alone = kinematic_spots(gold(), turn, voltage=200)
        rows = slice(together.offset[i], together.offset[i + 1])
        np.testing.assert_array_equal(together.hkl[rows], alone.hkl)
        np.testing.assert_allclose(together.intensity[rows], alone.intensity)
    with pytest.raises(InputError, match="thickness"):
        kinematic_spots(gold(), turns, voltage=200, thickness=0)
