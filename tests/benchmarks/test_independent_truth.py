"""The truth that orientations are scored on, against tables, gemmi and simple cases."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib import util
from pathlib import Path
from types import ModuleType

import gemmi
import numpy as np
import pytest
import xarray as xr
from scipy.spatial.transform import Rotation

from phaseloom.crystals import kinematic_spots, read_crystal

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
CRYSTALS = sorted((BENCHMARKS / "crystals").glob("*.cif"))


def loaded(name: str) -> ModuleType:
    """A file of the benchmarks, which are no package."""
    if name not in sys.modules:
        spec = util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = util.module_from_spec(spec)
        sys.modules[name] = module  # files import each other, dataclasses look themselves up
        spec.loader.exec_module(module)
    return sys.modules[name]


spots = loaded("independent_spots")
counting = loaded("independent_counting")
samples = loaded("independent_samples")
truths = loaded("independent_truth")
scoring = loaded("certainty_scoring")


@pytest.mark.parametrize(("element", "forward"), [("C", 2.509), ("Si", 5.828), ("Au", 10.573)])
def test_scattering_factors_are_those_of_the_tables(element, forward):
    """International Tables C, 4.3.1.1 at s = 0; further out, Mott and Bethe's formula."""
    atom = gemmi.Element(element)
    assert atom.c4322.calculate_sf(0.0) == pytest.approx(forward, rel=5e-3)
    for s in (0.3, 0.5, 0.7):
        of_rays = 0.0239337 * (atom.atomic_number - atom.it92.calculate_sf(s**2)) / s**2
        assert atom.c4322.calculate_sf(s**2) == pytest.approx(of_rays, rel=0.03)


@pytest.mark.parametrize("path", CRYSTALS, ids=lambda path: path.stem)
def test_structure_factors_are_those_of_gemmi(path):
    structure = gemmi.read_small_structure(str(path))
    hkl = np.array([[1, 0, 1], [2, -1, 3], [0, 2, 4], [1, 1, 1], [3, 0, 0]])
    mine = np.abs(spots.structure_factors(structure, hkl))
    structure.change_occupancies_to_crystallographic()
    calculator = gemmi.StructureFactorCalculatorE(structure.cell)
    theirs = [abs(calculator.calculate_sf_from_small_structure(structure, h)) for h in hkl.tolist()]
    np.testing.assert_allclose(mine, theirs, rtol=2e-3, atol=5e-3)


@pytest.mark.filterwarnings("ignore::phaseloom.errors.InputWarning")
@pytest.mark.parametrize("name", ["kyanite", "li2mno3", "linio2"])
def test_places_are_those_of_the_frame(name):
    """A crystal without right angles, turned at random: places and excitation errors."""
    path = BENCHMARKS / "crystals" / f"{name}.cif"
    rotation = Rotation.random(rng=3).as_quat(scalar_first=True)
    found = spots.spots(spots.source(path, 1.2), rotation, sigma=0.01)
    near = found.profile > 1e-3
    ours = kinematic_spots(
        read_crystal(path), rotation, voltage=200, thickness=20, k_max=1.2, minimum=1e-9
    )
    apart = np.hypot(found.ky[near, None] - ours.ky, found.kx[near, None] - ours.kx)
    # Cells of CIF files have four decimals, and both programs read the same one.
    assert apart.min(axis=1).max() < 1e-6
    s = ours.excitation_error[apart.argmin(axis=1)]
    np.testing.assert_allclose(found.profile[near], np.exp(-((s / 0.01) ** 2)), rtol=1e-6)
    mirrored = np.hypot(found.ky[near, None] + ours.ky, found.kx[near, None] - ours.kx)
    assert mirrored.min(axis=1).max() > 0.01


@pytest.mark.parametrize("shape", ["gaussian", "sinc2", "lorentz"])
def test_rel_rods_have_one_half_width(shape):
    assert spots._PROFILES[shape](np.array([0.0, 1.0])) == pytest.approx([1.0, 0.5], abs=1e-5)


def test_a_departure_leaves_the_orientations():
    exact, scaled = (truths.truth(name, n=4) for name in ("lfp", "lfp/scale+2"))
    np.testing.assert_array_equal(exact.rotation, scaled.rotation)
    ky = exact.peaks.data["ky"].to_numpy()
    np.testing.assert_allclose(scaled.peaks.data["ky"].to_numpy(), 1.02 * ky, rtol=1e-5)


def test_two_phases_of_a_mixture_are_offered_and_none_of_a_wrong_crystal():
    mixture = truths.truth("mix/titania", n=30)
    assert [path.stem for path in mixture.offered] == ["rutile", "anatase", "brookite"]
    assert np.bincount(mixture.phase).tolist() == [10, 10, 10]
    wrong = truths.truth("wrong/ti>au", n=3)
    assert [path.stem for path in wrong.offered] == ["au"]
    assert (wrong.phase == -1).all()


def test_departures_add_up():
    both = truths.truth("ti/sparse/precession/scale-2", n=3).departure
    assert (both.width, both.precession, both.scale) == (0.5, 0.5, -0.02)


def test_patterns_of_foreign_crystals_have_no_right_answer():
    made = truths.truth("foreign/lfp+au", n=20)
    assert [path.stem for path in made.offered] == ["lfp"]
    assert np.bincount(made.phase + 1).tolist() == [10, 10]


def test_near_phases_are_told_apart_by_their_places():
    """One spot at 1 Å⁻¹, 0.003 Å⁻¹ apart with an error of 0.0015: d = 2, right in Φ(1)."""
    made = truths.truth("near/0.3", n=1)
    assert made.difference == pytest.approx(0.003)
    ratio = made.offered[1].stem, read_crystal(made.offered[1]).cell[0]
    assert ratio == ("lfp_larger", pytest.approx(1.003 * 10.332))
    one = {name: ("peak", np.array([value])) for name, value in
           (("ky", 0.6), ("kx", 0.8), ("ky_error", 0.0015))}  # fmt: skip
    table = made.peaks.data.drop_dims("peak").assign(one).assign(offset=("edge", [0, 1]))
    single = replace(made, peaks=type(made.peaks)(table))
    assert scoring.phase_bound(single) == pytest.approx(0.8413, abs=1e-4)


def test_multislice_patterns_are_those_of_their_thickness(tmp_path):
    rotation = Rotation.random(2, rng=1).as_quat(scalar_first=True)
    ky = np.array([0.3, -0.4, 0.5, 0.6])
    np.savez(
        tmp_path / "multislice_au.npz", ky=ky, kx=np.zeros(4), intensity=np.full(4, 0.1),
        offset=np.arange(5), rotation=rotation, thickness=np.array([150.0, 400.0]),
    )  # fmt: skip
    made = truths.truth("multislice/au/400", folder=tmp_path)
    np.testing.assert_array_equal(made.rotation, rotation)
    found = made.peaks.data
    strong = (found["intensity"] > 1e3) & (found["intensity"] < 1e5)
    np.testing.assert_allclose(found["ky"][strong], [-0.4, 0.6], atol=0.01)


def test_close_spots_are_one():
    place = np.array([[0.0, 10.0], [0.0, 11.0], [5.0, 20.0], [9.0, 9.0]])
    where, counts = counting.resolved(place, np.array([300.0, 100.0, 50.0, 3.0]), 1.5)
    assert counts.tolist() == [400.0, 50.0]
    np.testing.assert_allclose(where, [[0.0, 10.25], [5.0, 20.0]])


def test_places_err_as_stated():
    rng = np.random.default_rng(0)
    place = np.array([[0.0, 40.0], [30.0, 0.0]])
    tables = [counting.detected(place, np.array([100.0, 3000.0]), rng) for _ in range(400)]
    moved = np.array([t["place"][np.hypot(*(t["place"] - place[1]).T).argmin()] for t in tables])
    assert (moved - place[1]).std(axis=0) == pytest.approx([0.1, 0.1], rel=0.15)


def test_maps_have_small_grains_and_lamellae():
    sample = samples.sample("map", 0, 2, np.random.default_rng(0))
    small = [(sample.grain == grain).sum() for grain in np.unique(sample.grain) if grain > 11]
    assert small == [4, 5, 6, 8, 9]
    lamella = (sample.kind == samples.KINDS["lamella"]).reshape(sample.shape)
    assert lamella.sum() > 12
    assert (sample.share[sample.kind == samples.KINDS["grain"]] == 0).all()
    assert sample.share.max() <= 0.5


def test_misorientation_knows_the_symmetry():
    turns = spots.source(BENCHMARKS / "crystals" / "ti.cif", 0.6).turns
    assert len(turns) == 12
    true = Rotation.random(5, rng=0)
    bent = Rotation.from_rotvec(np.radians([0, 2.0, 0]))
    equal = Rotation.from_matrix(turns[7]) * true * bent
    angle = scoring.misorientation(
        equal.as_quat(scalar_first=True), true.as_quat(scalar_first=True), turns
    )
    np.testing.assert_allclose(angle, 2.0, atol=1e-9)


def test_calibration_error_is_the_excess():
    probability = np.repeat([0.9, 0.5], 50)
    right = np.tile([True, False], 50)
    assert scoring.calibration_errors(probability, right) == pytest.approx((0.2, 0.2))


def test_exact_probabilities_err_by_chance_alone():
    rng = np.random.default_rng(1)
    probability = rng.uniform(0.3, 1.0, 400)
    errors = [
        scoring.calibration_errors(probability, rng.random(400) < probability)[0] for _ in range(50)
    ]
    assert scoring.chance_error(probability) == pytest.approx(np.mean(errors), rel=0.1)


def test_second_crystals_of_pairs_count_either_way_round():
    made = truths.truth("pair/ti", n=2)
    first, second = made.rotation, made.second_rotation
    named = np.stack([first[0], second[1]])[None], np.stack([second[0], first[1]])[None]
    maps = xr.Dataset({
        "phase": (("y", "x"), [[0, 0]]), "overlap_phase": (("y", "x"), [[0, 0]]),
        "rotation": (("y", "x", "q"), named[0]), "overlap_rotation": (("y", "x", "q"), named[1]),
        "probability": (("y", "x"), [[0.9, 0.9]]),
        "overlap_probability": (("y", "x"), [[0.9, 0.8]]),
        "overlap_weight": (("y", "x"), [[0.3, 0.7]]),
    })  # fmt: skip
    figures = scoring.score(made, maps)
    assert (figures["right"], figures["either"], figures["second"]) == (0.5, 1.0, 1.0)
    assert figures["stronger"] == 1.0
    assert figures["second_ece"] == pytest.approx(0.15)
