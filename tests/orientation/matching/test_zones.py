"""Zone axes cover the part of the sphere that symmetry leaves, in every setting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phaseloom.crystals import Crystal, gold, lithium_iron_phosphate
from phaseloom.crystals.kinematic import rotation_matrices
from phaseloom.crystals.structure import Site, crystal_from_sites
from phaseloom.orientation.matching.zones import facing, zone_axes

SITE = [Site("Fe", (0.11, 0.23, 0.37))]
CRYSTALS = {
    "cubic m-3m": gold(),
    "orthorhombic mmm": lithium_iron_phosphate(),
    "monoclinic 2/m, unique axis b": crystal_from_sites("m", (5, 6, 7, 90, 110, 90), 14, SITE),
    "hexagonal 6/mmm": crystal_from_sites("h", (4, 4, 6, 90, 90, 120), 194, SITE),
    "trigonal -3m": crystal_from_sites("t", (4, 4, 9, 90, 90, 120), 167, SITE),
    "trigonal -3": crystal_from_sites("r", (4, 4, 9, 90, 90, 120), 148, SITE),
    "tetragonal 4/m": crystal_from_sites("q", (4, 4, 9, 90, 90, 90), 87, SITE),
    "triclinic -1": crystal_from_sites("a", (4, 5, 6, 80, 95, 105), 2, SITE),
}
ORDER = dict(zip(CRYSTALS, (24, 4, 2, 12, 6, 3, 4, 1), strict=True))


@pytest.mark.parametrize("name", CRYSTALS)
@pytest.mark.parametrize("step", [2.0, 4.0])
def test_as_many_as_the_sector_has_room_for(name: str, step: float) -> None:
    crystal = CRYSTALS[name]
    assert len(crystal.laue_rotations) == ORDER[name]
    zones = zone_axes(crystal, step)
    np.testing.assert_allclose(np.linalg.norm(zones, axis=1), 1.0)
    share = 4 * np.pi / np.radians(step) ** 2 / (2 * ORDER[name])
    # Half a step beyond the edge, which is a great circle at most.
    edge = 2 * np.pi / np.radians(step)
    assert share - 10 <= len(zones) <= share + 0.6 * edge + 10


def farthest(crystal: Crystal, step: float, directions: np.ndarray) -> float:
    """Degrees from the nearest zone axis, of all that symmetry makes equal."""
    turns = crystal.laue_rotations
    copies = np.einsum("sij,nj->nsi", np.concatenate([turns, -turns]), directions)
    cosine = (copies @ zone_axes(crystal, step).T).max(axis=(1, 2))
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).max())


@settings(max_examples=40)
@given(
    name=st.sampled_from(list(CRYSTALS)),
    step=st.sampled_from([2.0, 3.0, 5.0]),
    seed=st.integers(0, 10_000),
)
def test_no_direction_is_further_than_the_covering_radius(
    name: str, step: float, seed: int
) -> None:
    directions = np.random.default_rng(seed).normal(size=(200, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    # Half the diagonal of a square of this step, and a little at the edge.
    assert farthest(CRYSTALS[name], step, directions) < 0.8 * step


@pytest.mark.parametrize("name", CRYSTALS)
def test_symmetry_elements_are_covered_too(name: str) -> None:
    crystal = CRYSTALS[name]
    steps = np.arange(-3, 4)
    uvw = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    uvw = uvw[(uvw != 0).any(axis=1)] @ crystal.lattice
    directions = uvw / np.linalg.norm(uvw, axis=1, keepdims=True)
    assert farthest(crystal, 2.0, directions) < 1.6


def test_zones_face_the_beam() -> None:
    directions = np.concatenate([zone_axes(gold(), 3.0), [[0, 0, 1.0], [0, 0, -1.0], [1, 0, 0]]])
    matrices = rotation_matrices(facing(directions))
    np.testing.assert_allclose(matrices[:, :, 2], directions, atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(matrices), 1.0)
