"""Scans of the comparison on other materials: their cells, the other simulator, rebuilt images."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import gemmi
import numpy as np
import pytest

from phaseloom.crystals import read_crystal
from phaseloom.simulate import Beam, Camera, grain_map, simulate_scan

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import material_scans
import materials
import parameter_sweeps


def test_a_strained_copy_has_another_cell_and_the_same_atoms(tmp_path):
    original = material_scans.FOLDER / "nvpf.cif"
    copy = material_scans.strained(original, 0.02, tmp_path)
    one, other = (gemmi.read_small_structure(str(path)) for path in (original, copy))
    assert (other.cell.a, other.cell.b) == pytest.approx((0.98 * one.cell.a, 0.98 * one.cell.b))
    assert other.cell.c == pytest.approx(1.01 * one.cell.c, rel=1e-5)
    assert [s.fract.tolist() for s in other.sites] == [s.fract.tolist() for s in one.sites]


def test_both_simulators_put_the_same_spots_in_the_same_places():
    """Structure factors and rel-rods differ, frame and geometry must not."""
    path = material_scans.FOLDER / "batio3.cif"
    sample = grain_map((1, 4), [1.0], n_grains=4, seed=3)
    camera = Camera(background=0.0)
    beam = Beam(dose=1e6, precession_angle=1.0)
    mine, _ = simulate_scan(sample, [read_crystal(path)], beam=beam, camera=camera, seed=0)
    sources = [material_scans.source(path, 1.5)]
    counts = material_scans.independent_patterns(sample, sources, beam, camera, seed=0)
    for one, other in zip(mine["counts"].to_numpy()[0], counts[0], strict=True):
        roots = [np.sqrt(pattern.astype(float)).ravel() for pattern in (one, other)]
        assert np.corrcoef(*roots)[0, 1] > 0.8
        turned = np.sqrt(other[::-1, ::-1].astype(float)).ravel()
        assert np.corrcoef(roots[0], turned)[0, 1] < np.corrcoef(*roots)[0, 1]
        assert other.sum() == pytest.approx(1e6, rel=0.05)


def test_rebuilt_patterns_have_the_strongest_spot_in_the_middle():
    scan = SimpleNamespace(images=np.zeros((2, 64, 64)), sigma=2.0)
    position = np.array([[30.0, 35.0], [40.0, 50.0], [20.0, 20.0]])
    table = np.array([0, 2, 3]), position, np.array([9.0, 4.0, 1.0])
    images = materials.rebuilt(scan, table)
    assert [np.unravel_index(i.argmax(), i.shape) for i in images] == [(32, 32), (32, 32)]
    assert images[0][42, 47] == pytest.approx(images[0].max() * 4 / 9, rel=1e-3)


def test_of_several_strongest_spots_the_one_next_to_the_middle_is_the_direct_beam():
    scan = SimpleNamespace(images=np.zeros((1, 64, 64)), sigma=2.0)
    table = np.array([0, 2]), np.array([[10.0, 10.0], [31.0, 33.0]]), np.array([255.0, 255.0])
    image = materials.rebuilt(scan, table)[0]
    assert image[32, 32] == pytest.approx(image.max())
    assert image[11, 9] == pytest.approx(image.max(), rel=1e-3)


def test_answers_differ_by_phase_or_by_more_than_three_degrees():
    crystals = [SimpleNamespace(laue_rotations=np.eye(3)[None])] * 2
    none = np.array([1.0, 0.0, 0.0, 0.0])
    turns = [np.radians(angle) / 2 for angle in (0.0, 2.0, 4.0)]
    one = np.tile(none, (4, 1)), np.array([0, 0, 0, 1])
    rotation = np.array([[np.cos(t), np.sin(t), 0, 0] for t in turns] + [none])
    other = rotation, np.array([0, 0, 0, 0])
    phase, both = parameter_sweeps.apart(SimpleNamespace(crystals=crystals), one, other)
    assert phase.tolist() == [False, False, False, True]
    assert both.tolist() == [False, False, True, True]
