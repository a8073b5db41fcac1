"""Rotation between scan and detector: its sign, what is taken out, what files and reports say.

The truth is drawn here, spot by spot: a crystal lies in the scan in a known way, and the camera is
rotated by a known angle. Nothing of the code under test makes the pattern.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
from orix.io import load
from orix.quaternion import Rotation
from whole_runs import opened

from phaseloom.compute.execution import Execution
from phaseloom.crystals import kinematic_spots, lithium_iron_phosphate
from phaseloom.diffraction import Peaks, register
from phaseloom.diffraction.calibration.calibration import Calibration
from phaseloom.io import as_scan, calibrated, oriented
from phaseloom.view.scans import ScanResult
from phaseloom.workflow.components.input import pattern_source
from phaseloom.workflow.components.recipe import ComponentsRecipe
from phaseloom.workflow.peaks.input import peaks_of_folder
from phaseloom.workflow.peaks.recipe import PeaksRecipe, Scan

Call = Callable[..., Any]
ANGLE = 25.0  # degrees counter-clockwise
SIDE, MIDDLE, SIGMA = 128, (61.0, 66.0), 1.5
PIXEL = 0.02


def drawn(spots: np.ndarray, counts: np.ndarray, degrees: float) -> np.ndarray:
    """Expected counts of spots (row, column) in the scan's axes, seen by a rotated camera.

    Right of the scan is seen ``degrees`` above right: column = r cos, row = −r sin.
    """
    angle = np.radians(degrees)
    right, up = spots[:, 1], -spots[:, 0]
    column = MIDDLE[1] + right * np.cos(angle) - up * np.sin(angle)
    row = MIDDLE[0] - (right * np.sin(angle) + up * np.cos(angle))
    y, x = np.mgrid[:SIDE, :SIDE]
    r2 = (y - row[:, None, None]) ** 2 + (x - column[:, None, None]) ** 2
    profile = np.exp(-r2 / (2 * SIGMA**2)) / (2 * np.pi * SIGMA**2)
    return np.asarray(0.05 + np.tensordot(counts, profile, 1))


@pytest.fixture(scope="module")
def asymmetric() -> tuple[np.ndarray, np.ndarray]:
    """Spots along the scan's right, up and one more, and 2 × 3 patterns of them."""
    spots = np.array([[0, 0], [0, 30], [-20, 0], [11, -35]])
    model = drawn(spots, np.array([4e4, 5e3, 3e3, 2e3]), ANGLE)
    return spots, np.random.default_rng(0).poisson(model, (2, 3, SIDE, SIDE)).astype(np.uint16)


def vectors(peaks: xr.Dataset) -> np.ndarray:
    """Mean vectors (row, column) of the spots that the fixture draws, by falling strength."""
    each = []
    table = Peaks(peaks)
    for i in range(table.offset.size - 1):
        rows = slice(table.offset[i], table.offset[i + 1])
        order = np.argsort(-peaks["intensity"].to_numpy()[rows])[:4]
        each.append(np.stack([peaks[c].to_numpy()[rows][order] for c in ("ky", "kx")], axis=1))
    return np.asarray(np.mean(each, axis=0))


def test_vectors_come_out_in_the_axes_of_the_scan(
    asymmetric: tuple[np.ndarray, np.ndarray],
) -> None:
    spots, counts = asymmetric
    scan = calibrated(as_scan(counts), pixel_size=PIXEL, scan_rotation=ANGLE)
    found = register(scan, workers=1)
    np.testing.assert_allclose(vectors(found) / PIXEL, spots, atol=0.1)
    assert found.attrs["scan_rotation_removed"] == ANGLE
    # On the detector the spots are where they were.
    row, column = Peaks(found).on_detector()
    plain = register(calibrated(as_scan(counts), pixel_size=PIXEL), workers=1)
    np.testing.assert_allclose(np.stack([row, column]), Peaks(plain).on_detector(), atol=1e-2)
    assert "scan_rotation_removed" not in plain.attrs
    # An ellipticity is of the detector's axes, before the rotation.
    stretch = np.array([[1.1, 0.0], [0.0, 1 / 1.1]])
    angle = np.radians(ANGLE)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    of_both = register(scan, distortion=stretch, workers=1)
    right = vectors(register(calibrated(as_scan(counts), pixel_size=PIXEL), workers=1))
    np.testing.assert_allclose(vectors(of_both), right @ (turn @ stretch).T, atol=2e-4)


def test_a_quarter_is_what_rotating_the_image_does(
    asymmetric: tuple[np.ndarray, np.ndarray],
) -> None:
    """An image rotated by 90° against the scan is put right by rotating it by 270° more."""
    _, counts = asymmetric
    scan = calibrated(as_scan(counts), pixel_size=PIXEL)
    removed = register(calibrated(scan, scan_rotation=90), workers=1)
    turned = register(oriented(scan, rotate=270), workers=1)
    np.testing.assert_allclose(vectors(removed), vectors(turned), atol=2e-4)


@pytest.fixture(scope="module")
def lying(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A map of two grains of LiFePO4, left and right, and its orientations in the scan's axes.

    The right grain is the left one turned by 40° counter-clockwise in the plane of the scan, as
    one looks on the map.
    """
    crystal = lithium_iron_phosphate()
    tilt = Rotation.from_axes_angles([1, 2, 3], 40, degrees=True)
    # Sample axes are x right, y down: counter-clockwise on the map is −40° about z. The rotation
    # takes sample to crystal: R' v = R (turn⁻¹ v).
    turn = Rotation.from_axes_angles([0, 0, 1], -40, degrees=True)
    turns = [tilt.data[0], (tilt * ~turn).data[0]]
    models = []
    for quaternion in turns:
        spots = kinematic_spots(crystal, quaternion, voltage=200, k_max=1.1)
        places = np.stack([spots.ky, spots.kx], axis=1) / PIXEL
        counts = 2e4 * spots.intensity / spots.intensity.sum()
        everything = np.concatenate([[[0.0, 0.0]], places]), np.concatenate([[2e4], counts])
        models.append(drawn(*everything, ANGLE))
    left = np.indices((4, 6))[1] < 3
    counts = np.random.default_rng(1).poisson(np.where(left[..., None, None], *models))
    folder = tmp_path_factory.mktemp("lying")
    np.save(folder / "scan.npy", counts.astype(np.uint16))
    return folder / "scan.npy", np.where(left[..., None], *turns)


def off(found: np.ndarray, true: np.ndarray) -> float:
    """Largest angle, in degrees, between orientations of an orthorhombic crystal."""
    half = Rotation([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    apart = half.outer(Rotation(found.reshape(-1, 4))).data
    cosine = np.abs((apart * true.reshape(-1, 4)).sum(axis=-1)).max(axis=0)
    return float(np.degrees(2 * np.arccos(np.clip(cosine, 0, 1))).max())


def test_orientations_and_their_files_are_in_the_axes_of_the_scan(
    lying: tuple[Path, np.ndarray], tmp_path: Path, phaseloom: Call
) -> None:
    file, true = lying
    given = ("--pixel-size", str(PIXEL), "--voltage", "200", "--step", "5", "--quiet")
    ran = phaseloom("index", file, "-p", "LiFePO4", *given, "--scan-rotation", str(ANGLE),
                    "--out", tmp_path / "map")  # fmt: skip
    assert ran.status == 0, ran.err
    for ending in ("ang", "ctf", "h5"):
        assert phaseloom("export", tmp_path / "map", "--to", ending).status == 0
    result = opened(tmp_path / "map")["orientation"]
    assert off(result["rotation"].to_numpy(), true) < 1
    assert result.attrs["scan_rotation_removed"] == ANGLE
    said = f"scan rotation of {ANGLE:g} deg taken out"
    for ending in ("ang", "ctf"):
        (text,) = (tmp_path / "map").rglob(f"*.{ending}")
        assert said in text.read_text(encoding="utf-8")
        assert off(load(str(text)).rotations.data, true) < 1
    (stored,) = (tmp_path / "map").rglob("orientation.h5")
    with h5py.File(stored) as orix_file:
        assert said in orix_file.attrs["title"]
    html = (tmp_path / "map" / "report.html").read_text(encoding="utf-8")
    assert "25° by which the patterns are rotated against it are taken out" in html
    # Without the option the map is in the axes of the camera: off by the whole angle.
    ran = phaseloom("index", file, "-p", "LiFePO4", *given, "--out", tmp_path / "camera")
    assert ran.status == 0, ran.err
    camera = opened(tmp_path / "camera")["orientation"]
    assert off(camera["rotation"].to_numpy(), true) == pytest.approx(ANGLE, abs=1)
    assert "scan_rotation_removed" not in camera.attrs
    # A folder of registered peaks holds it already, also under another calibration.
    late = phaseloom("index", tmp_path / "map", "-p", "LiFePO4", "--scan-rotation", "5")
    assert "--scan-rotation comes too late" in late.fault


def test_another_calibration_and_raw_patterns_keep_the_rotation(
    asymmetric: tuple[np.ndarray, np.ndarray], tmp_path: Path, phaseloom: Call
) -> None:
    spots, counts = asymmetric
    np.save(tmp_path / "scan.npy", counts)
    ran = phaseloom("peaks", tmp_path / "scan.npy", "--pixel-size", "0.03", "--scan-rotation",
                    str(ANGLE), "--out", tmp_path / "peaks", "--quiet")  # fmt: skip
    assert ran.status == 0, ran.err
    unit = ((1.0, 0.0), (0.0, 1.0))
    Calibration(
        PIXEL, 1e-5, unit, MIDDLE, (0.1, 0.1), 1.0, 1e-4, 0.0, 90.0, 0.1, 9
    ).to_toml(tmp_path / "calibration.toml")  # fmt: skip
    entry = Scan(file=tmp_path / "peaks", calibration=tmp_path / "calibration.toml")
    again = peaks_of_folder(PeaksRecipe(scan=entry), [])
    np.testing.assert_allclose(vectors(again.peaks.data) / PIXEL, spots, atol=0.1)
    # The images of components stay as the camera saw them; what is indexed of them is turned.
    raw = Scan(file=tmp_path / "scan.npy", pixel_size=PIXEL, scan_rotation=ANGLE)
    source = pattern_source(ComponentsRecipe(scan=raw), [], Execution())
    np.testing.assert_array_equal(source.patterns["counts"], counts)
    seen = np.array([-np.sin(np.radians(ANGLE)), np.cos(np.radians(ANGLE))])
    np.testing.assert_allclose(np.reshape(source.distortion, (2, 2)) @ seen, [0, 1], atol=1e-9)
    assert source.frame["scan_rotation_removed"] == ANGLE


def test_the_report_tells_axes_and_what_the_file_says() -> None:
    def axes(**attrs: Any) -> str:
        return ScanResult(xr.Dataset(attrs=attrs)).axes()

    assert axes() == "those of the detector: no scan rotation is taken out"
    assert "the file's scan rotation, 25°, is not taken out" in axes(scan_rotation=25.0)
    assert axes(scan_rotation=25.0, scan_rotation_removed=-3.0).startswith("those of the scan: -3°")
