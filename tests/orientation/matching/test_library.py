"""The template library: what it holds, against independent sources, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from orientation_cases import Case

from phaseloom.crystals import gold, iron_phosphate, kinematic_spots, lithium_iron_phosphate
from phaseloom.crystals.structure import Site, crystal_from_sites
from phaseloom.errors import InputError
from phaseloom.maps.misorientation import as_quaternions
from phaseloom.orientation.matching import library as module
from phaseloom.orientation.matching.library import make_library


def test_weights_have_unit_norm_and_spots_rise(lfp_case: Case, gold_case: Case) -> None:
    for library in (lfp_case.library, gold_case.library):
        templates = library.templates
        zone = np.repeat(np.arange(library.n_zones), np.diff(templates.offset))
        norm = np.bincount(zone, templates.weight.astype(float) ** 2, library.n_zones)
        np.testing.assert_allclose(norm[np.diff(templates.offset) > 0], 1.0, rtol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(templates.signature, axis=0), 1.0, rtol=1e-4)
        rising = np.diff(templates.radius) >= 0
        assert rising[zone[1:] == zone[:-1]].all()
        assert (templates.angle >= 0).all() and (templates.angle <= library.n_angles).all()
        assert templates.radius.max() <= library.k_max
        np.testing.assert_allclose(np.linalg.norm(templates.rotation, axis=1), 1.0)


def test_a_template_shows_what_kinematic_theory_says(lfp_case: Case) -> None:
    templates = lfp_case.library.templates
    zone = 400
    own = slice(templates.offset[zone], templates.offset[zone + 1])
    spots = kinematic_spots(
        lfp_case.crystal, templates.rotation[zone], voltage=200.0, thickness=120.0, k_max=1.5,
        precession_angle=1.5,
    )  # fmt: skip
    angle = np.radians(2.0 * templates.angle[own])
    places = templates.radius[own][:, None] * np.column_stack([np.sin(angle), np.cos(angle)])
    apart = np.linalg.norm(places[:, None] - np.column_stack([spots.ky, spots.kx]), axis=-1)
    assert apart.min(axis=1).max() < 1e-5
    at = apart.argmin(axis=1)
    weight = spots.intensity[at] ** 0.25 * np.sqrt(np.hypot(spots.ky, spots.kx)[at])
    np.testing.assert_allclose(templates.weight[own], weight / np.linalg.norm(weight), rtol=1e-4)


@pytest.mark.parametrize("crystal", [gold(), lithium_iron_phosphate()], ids=lambda c: c.name)
def test_strengths_are_in_the_ratio_of_diffsims(crystal) -> None:
    """|F|² with diffsims' scattering factors (Lobato and Van Dyck)."""
    from diffsims.utils.sim_utils import get_kinematical_intensities

    structure = crystal.phase.structure
    lattices = make_library([crystal], voltage=200.0).lattices
    strongest = np.argsort(-lattices.strength)[:40]
    hkl = lattices.vector[strongest] @ crystal.lattice.T
    k = lattices.length[strongest]
    u = dict(zip(crystal.elements, crystal.displacements, strict=True))
    intensity = get_kinematical_intensities(
        structure, hkl, k, {element: 8 * np.pi**2 * value for element, value in u.items()}
    )
    ratio = lattices.strength[strongest] / intensity
    np.testing.assert_allclose(ratio / np.median(ratio), 1.0, atol=0.05)


def test_lattices_hold_symmetry_and_low_index_axes() -> None:
    crystals = [gold(), lithium_iron_phosphate()]
    lattices = make_library(crystals, voltage=200.0).lattices
    assert np.diff(lattices.symmetry_offset).tolist() == [24, 4]
    np.testing.assert_allclose(lattices.length, np.linalg.norm(lattices.vector, axis=1))
    for c, crystal in enumerate(crystals):
        own = slice(lattices.symmetry_offset[c], lattices.symmetry_offset[c + 1])
        cosines = np.abs(lattices.symmetry[own] @ as_quaternions(crystal.laue_rotations).T)
        np.testing.assert_allclose(cosines.max(axis=1), 1.0)
        axes = lattices.axis[lattices.axis_offset[c] : lattices.axis_offset[c + 1]]
        for uvw in np.eye(3) @ crystal.lattice:
            assert np.abs(axes @ (uvw / np.linalg.norm(uvw))).max() > 1 - 1e-9
        twice = np.abs(axes @ axes.T) > 1 - 1e-9
        assert twice.sum() == len(axes), "each axis once"
        refl = slice(lattices.offset[c], lattices.offset[c + 1])
        assert lattices.strength[refl].max() == 1.0


def test_several_phases_lie_one_behind_the_other() -> None:
    crystals = [lithium_iron_phosphate(), gold(), iron_phosphate()]
    together = make_library(crystals, voltage=200.0, zone_step=4.0)
    alone = [make_library([c], voltage=200.0, zone_step=4.0) for c in crystals]
    assert together.n_zones == sum(library.n_zones for library in alone)
    edges = together.templates.crystal_offset
    for c, library in enumerate(alone):
        zones = slice(edges[c], edges[c + 1])
        np.testing.assert_array_equal(
            together.templates.signature[:, zones], library.templates.signature
        )
        np.testing.assert_array_equal(
            together.templates.rotation[zones], library.templates.rotation
        )


def test_the_same_again_is_the_same() -> None:
    one, other = (make_library([gold()], voltage=200.0, zone_step=3.0) for _ in range(2))
    for name, values in one.templates._asdict().items():
        np.testing.assert_array_equal(values, getattr(other.templates, name))
    for name, values in one.lattices._asdict().items():
        np.testing.assert_array_equal(values, getattr(other.lattices, name))


def test_large_cells_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    sites = [Site("Fe", tuple(xyz)) for xyz in rng.random((6, 3))]
    crystal = crystal_from_sites("large", (24, 26, 29, 90, 90, 90), 16, sites)
    monkeypatch.setattr(module, "_MOST_REFLECTIONS", 3000)
    library = make_library([crystal], voltage=200.0, zone_step=8.0, k_max=1.2)
    assert len(library.lattices.vector) <= 3000
    assert np.diff(library.templates.offset).max() <= 250
    # The strongest are kept.
    more = make_library([crystal], voltage=200.0, zone_step=8.0, k_max=0.5)
    assert set(np.round(more.lattices.length[:50], 6)) <= set(np.round(library.lattices.length, 6))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="all reflections of Au lie outside the patterns"):
        make_library([gold()], voltage=200.0, k_max=0.3)
    with pytest.raises(InputError, match="no crystal"):
        make_library([], voltage=200.0)
    with pytest.raises(InputError, match=r"zone step of 0\.01° cannot be"):
        make_library([gold()], voltage=200.0, zone_step=0.01)
    with pytest.raises(InputError, match="does not divide the circle"):
        make_library([gold()], voltage=200.0, in_plane_step=7.0)
