"""Scale, distortion and centre of simulated scans, wherever they lie within the range."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from phaseloom.crystals import gold, lithium_iron_phosphate, named_crystal
from phaseloom.diffraction.calibration.geometry import stretch
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.diffraction.registration import register
from phaseloom.errors import InputWarning
from phaseloom.io import calibrated as with_pixel_size
from phaseloom.io.scans import read_scan
from phaseloom.orientation import index
from phaseloom.orientation.calibration.calibrating import Instrument, calibrate_scan
from phaseloom.orientation.calibration.spots import calibration_spots
from phaseloom.orientation.options import Matching
from phaseloom.simulate import Beam, Camera, random_orientations, simulate_peaks


def gold_peaks(true, *, patterns=60, seed=0):
    """Patterns of gold as a file has them that does not know of (ln scale, a, b, centre)."""
    made = Peaks(simulate_peaks(
        random_orientations((1, patterns), seed=seed), [gold()], beam=Beam(dose=1e5),
        camera=Camera(pixel_size=0.013, shape=(256, 256), jitter=0.1), seed=seed,
    ))  # fmt: skip
    matrix = np.linalg.inv(np.exp(true[0]) * stretch(true[1], true[2]))
    vectors = matrix @ np.stack([made.data[name].to_numpy() for name in ("ky", "kx")])
    data = made.data.copy()
    for name, values, move in zip(("ky", "kx"), vectors, true[3:], strict=True):
        data[name] = ("peak", (values + move).astype(np.float32), made.data[name].attrs)
    data.attrs["pixel_size"] = made.pixel_size / np.exp(true[0])
    return Peaks(data)


def calibrated(peaks, crystals, **options):
    return calibrate_scan(peaks, Instrument(crystals, 200.0, 0.0), Matching(**options), seed=0)


@pytest.mark.parametrize(
    "true",
    [
        (-0.105, 0.002, -0.003, 0.004, -0.003),
        (-0.003, 0.0, 0.0, 0.0, 0.0),
        (0.11, -0.005, 0.001, -0.002, 0.006),
    ],
)
def test_what_is_true_is_found_with_right_errors(true):
    found = calibrated(gold_peaks(true), [gold()])
    assert found.fits
    correction = found.correction
    assert abs(correction.parameters[0] - true[0]) < 5e-4
    np.testing.assert_allclose(correction.parameters[1:3], true[1:3], atol=6e-4)
    np.testing.assert_allclose(correction.parameters[3:], true[3:], atol=1.5e-3)
    pull = (correction.parameters - true) / correction.error
    assert np.sqrt((pull**2).mean()) < 2.2
    assert found.peaks.pixel_size == pytest.approx(0.013, rel=5e-4)
    spots = calibration_spots(found, seed=0)
    assert spots.explained > 0.8
    assert np.sqrt((spots.residual**2).sum(axis=1).mean()) < 0.5 * 0.013


def test_a_scale_that_is_given_is_taken():
    found = calibrated(gold_peaks((0.05, 0, 0, 0, 0)), [gold()], scale=float(np.exp(0.05)))
    assert found.fits
    assert found.peaks.pixel_size == pytest.approx(0.013)
    assert np.isnan(found.correction.scale_error)


def test_a_wrong_crystal_indexes_nothing_and_one_sentence_says_so():
    peaks = gold_peaks((0.02, 0, 0, 0, 0), patterns=40)
    with pytest.warns(InputWarning, match="nothing is indexed") as told:
        maps = index(peaks, [lithium_iron_phosphate()], voltage=200, workers=1)
    assert len(told) == 1
    assert (maps["phase"] >= 0).mean() == 0
    assert maps.attrs["remarks"] == str(told[0].message)


def test_a_scale_far_off_is_said_to_depend_on_the_crystal():
    """Silver and gold are alike but for their size: the scale that is found says which it is."""
    peaks = gold_peaks((0.05, 0, 0, 0, 0), patterns=30)
    with pytest.warns(InputWarning, match=r"5\.1.* % larger.*a cell 5\.1 % larger.*--scale 1"):
        index(peaks, [gold()], voltage=200, workers=1)


def test_patterns_of_a_crystal_that_is_not_offered_are_not_indexed():
    """Half of a scan is of FePO4, the delithiated LiFePO4, whose cell is 5 % smaller."""
    camera = Camera(pixel_size=0.013, shape=(256, 256), jitter=0.1)
    both = [lithium_iron_phosphate(), named_crystal("FePO4")]
    phase = np.arange(60)[None] % 2
    orientations = random_orientations((1, 60), seed=3)
    orientations = orientations.assign(phase=(("y", "x"), phase), phase_2=(("y", "x"), phase))
    made = simulate_peaks(
        orientations, both, beam=Beam(dose=1e5), camera=camera,
        seed=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        maps = index(Peaks(made), both[:1], voltage=200, workers=1)
    indexed = maps["phase"].to_numpy() >= 0
    assert indexed[phase == 0].all()
    assert indexed[phase == 1].mean() <= 0.1


@pytest.mark.parametrize("off", [0.003, -0.05])
def test_what_near_phases_leave_open_is_in_the_error(cases: Path, tmp_path: Path, off: float):
    """Two phases 0.3 % apart: each alone at its own scale, or both at the true one."""
    folder = cases / "diffraction" / "near_phases"
    with np.load(folder / "scan.npz") as stored:
        np.save(tmp_path / "scan.npy", stored["arr_0"])
    scan = with_pixel_size(read_scan(tmp_path / "scan.npy"), pixel_size=0.0102459 * (1 + off))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        peaks = Peaks(register(scan, workers=1))
        crystals = [named_crystal(folder / name) for name in ("lfp.cif", "lfp_1003.cif")]
    found = calibrated(peaks, crystals)
    assert found.fits
    correction = found.correction
    error = np.hypot(correction.error[0], found.rivals.spread)
    assert abs(correction.parameters[0] + np.log1p(off)) < max(3 * error, 1e-3)


@pytest.mark.parametrize(
    ("name", "crystal", "right", "stated"),
    [
        ("lmo6.npz", "li2mno3.cif", 0.0102459, 0.0107582),
        ("ti8.npz", "ti_hm.cif", 0.0102459, 0.00993852),
    ],
)
def test_a_wrong_pixel_size_is_found(
    cases: Path, tmp_path: Path, name: str, crystal: str, right: float, stated: float
):
    folder = cases / "diffraction" / "pixel_size"
    with np.load(folder / name) as stored:
        np.save(tmp_path / "scan.npy", stored["arr_0"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        scan = with_pixel_size(read_scan(tmp_path / "scan.npy"), pixel_size=stated)
        found = calibrated(Peaks(register(scan, workers=1)), [named_crystal(folder / crystal)])
    assert found.fits
    assert found.peaks.pixel_size == pytest.approx(right, rel=1e-3)
