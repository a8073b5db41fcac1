"""Detector images turned by --flip and --rotate, with what is given in the file's orientation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from orix.quaternion import Rotation
from whole_runs import opened

from phaseloom.crystals import gold
from phaseloom.diffraction.calibration.calibration import Calibration
from phaseloom.io.scan_turning import turned
from phaseloom.view.scans import ScanResult
from phaseloom.workflow.peaks.calibrate import Measured, calibration_for, write_calibration
from phaseloom.workflow.peaks.recipe import CalibrationRequest, Correction, Scan
from phaseloom.workflow.peaks.scan import detector_images, scan_of

Call = Callable[..., Any]
HALF_TURNS = [np.diag(d) for d in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))]
TURNS = [("rows", 0), ("none", 90), ("columns", 270), ("rows", 90)]


def inverse(images: np.ndarray, turn: tuple[Any, Any]) -> np.ndarray:
    """The file's images, of which the turn makes these."""
    back = np.rot90(images, -turn[1] // 90, axes=(-2, -1))
    return np.ascontiguousarray(turned(back, (turn[0], 0)))


@pytest.mark.parametrize("turn", TURNS)
def test_images_and_calibration_are_turned_with_the_patterns(turn: Any, tmp_path: Path) -> None:
    counts = np.random.default_rng(0).poisson(5, (2, 3, 32, 48)).astype(np.uint16)
    mask = np.tri(32, 48, dtype=np.uint8)
    np.save(tmp_path / "scan.npy", inverse(counts, turn))
    np.save(tmp_path / "mask.npy", inverse(mask, turn))
    np.save(tmp_path / "dark.npy", inverse(counts[0, 0], turn))
    # An ellipse whose long axis points down to the right, 30° from the columns' direction.
    right, calibration = calibrations(turn)
    calibration.to_toml(tmp_path / "calibration.toml")
    flip, rotate = turn
    scan, found = scan_of(
        Scan(
            file=tmp_path / "scan.npy",
            calibration=tmp_path / "calibration.toml",
            flip=flip,
            rotate=rotate,
        )
    )
    np.testing.assert_array_equal(scan["counts"], counts)
    assert scan.attrs["flip"] == flip
    assert scan.attrs["rotate"] == rotate
    images = detector_images(
        Correction(dark=tmp_path / "dark.npy", mask=tmp_path / "mask.npy"), scan
    )
    np.testing.assert_array_equal(images["mask"], mask != 0)
    np.testing.assert_array_equal(images["dark"], counts[0, 0])
    assert found is not None
    np.testing.assert_allclose(found.distortion, right.distortion, atol=1e-12)
    np.testing.assert_allclose(found.centre, right.centre)
    np.testing.assert_allclose(found.centre_error, right.centre_error)
    assert found.angle == pytest.approx(right.angle)


def calibrations(turn: Any) -> tuple[Calibration, Calibration]:
    """A calibration of patterns of 32×48 px, and the same for the file's image."""
    row, column = 10, 31
    spot = np.zeros((32, 48))
    spot[row, column] = 1
    ((file_row, file_column),) = np.argwhere(inverse(spot, turn))
    angle = np.radians(30.0)
    at = np.array([np.sin(angle), np.cos(angle)])
    # Rotations counter-clockwise take angles towards the rows back.
    degrees = 30.0 + turn[1]
    degrees = {"none": degrees, "rows": -degrees, "columns": 180 - degrees}[turn[0]]
    file_at = np.array([np.sin(np.radians(degrees)), np.cos(np.radians(degrees))])

    def one(centre: Any, at: np.ndarray, error: Any, angle: float) -> Calibration:
        away = np.array([at[1], -at[0]])
        stretch = np.outer(at, at) / 1.02 + 1.02 * np.outer(away, away)
        rows = tuple(tuple(map(float, line)) for line in stretch)
        return Calibration(0.01, 1e-5, rows, centre, error, 1.0404, 1e-4, angle % 180, 1e-3, 0.1, 9)  # type: ignore[arg-type]

    errors = (0.1, 0.2) if turn[1] in (0, 180) else (0.2, 0.1)
    return (
        one((10.0, 31.0), at, (0.1, 0.2), 30.0),
        one((float(file_row), float(file_column)), file_at, errors, degrees),
    )


def test_a_calibration_made_of_turned_peaks_is_for_the_file(
    tmp_path: Path, phaseloom: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, in_file = calibrations(("rows", 90))

    class Stored:
        detector_shape = (32, 48)
        data = xr.Dataset(attrs={"flip": "rows", "rotate": 90})

    where = "phaseloom.workflow.peaks.calibrate"
    monkeypatch.setattr(f"{where}.read_peaks", lambda _: Stored())
    monkeypatch.setattr(f"{where}.from_spots", lambda *_: Measured(right, "spots", Figure()))
    target = tmp_path / "calibration.toml"
    write_calibration(CalibrationRequest(pattern=tmp_path, crystal=gold().name, out=target))
    written = calibration_for(target, (48, 32))
    np.testing.assert_allclose(written.centre, in_file.centre)
    np.testing.assert_allclose(written.distortion, in_file.distortion, atol=1e-12)
    back = calibration_for(target, (48, 32), ("rows", 90))
    np.testing.assert_allclose(back.centre, right.centre)
    np.testing.assert_allclose(back.distortion, right.distortion, atol=1e-12)


def test_the_report_says_where_the_handedness_is_from() -> None:
    def handedness(**attrs: Any) -> str:
        return ScanResult(xr.Dataset(attrs=attrs)).handedness()

    assert handedness() == "taken from the file as it is"
    assert handedness(flip="none", rotate=90) == (
        "taken from the file as it is, rotated by 90° (--rotate)"
    )
    assert handedness(flip="rows", rotate=0) == "given by the user: rows reversed (--flip)"


def test_a_mirrored_camera(cases: Path, tmp_path: Path, phaseloom: Call) -> None:
    """Peaks with the flip, and orientations from the folder of them."""
    folder = cases / "diffraction" / "mirrored"
    with np.load(folder / "scan.npz") as stored:
        np.save(tmp_path / "scan.npy", stored["arr_0"][:2, :3])
    with np.load(folder / "truth.npz") as stored:
        truth = np.diag([1, -1, -1]) @ stored["U"][:2, :3]  # y down, z away from the viewer
    registered, out = tmp_path / "peaks", tmp_path / "map"
    given = ("--pixel-size", "0.0102459", "--voltage", "200")
    ran = phaseloom("peaks", tmp_path / "scan.npy", *given, "--flip", "rows", "--out", registered)
    assert ran.status == 0, ran.err
    late = phaseloom("index", registered, "-p", folder / "lfp.cif", "--flip", "rows")
    assert "--flip comes too late" in late.fault
    ran = phaseloom("index", registered, "-p", folder / "lfp.cif", "--out", out)
    assert ran.status == 0, ran.err
    result = opened(out)["orientation"]
    assert (result.attrs["flip"], result.attrs["rotate"]) == ("rows", 0)
    html = (out / "report.html").read_text(encoding="utf-8")
    assert "given by the user: rows reversed (--flip)" in html
    turns = Rotation(result["rotation"].to_numpy().reshape(-1, 4)).to_matrix()
    apart = np.stack([half @ turns @ truth.reshape(-1, 3, 3) for half in HALF_TURNS])
    cosine = (np.trace(apart, axis1=-2, axis2=-1) - 1) / 2
    assert np.degrees(np.arccos(np.clip(cosine.max(axis=0), -1, 1))).max() < 1
