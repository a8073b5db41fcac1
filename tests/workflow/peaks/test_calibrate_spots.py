"""``phaseloom calibrate`` on the spots of a registered scan: number, file, figure, exit status."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from phaseloom.crystals import gold
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.simulate import Beam, Camera, random_orientations, simulate_peaks
from phaseloom.workflow.orientation.sample import check_patterns

Call = Callable[..., Any]


def gold_peaks() -> Peaks:
    """Patterns of gold, 0.013 Å⁻¹ per px, that are stated to have 5 % less."""
    table = simulate_peaks(
        random_orientations((4, 10), seed=2), [gold()], beam=Beam(dose=1e5), seed=2,
        camera=Camera(pixel_size=0.013, shape=(256, 256), jitter=0.1),
    )  # fmt: skip
    return Peaks(table).calibrated(0.013 / 1.05)


def stored(folder: Path, peaks: Peaks, **attrs: Any) -> Path:
    """A folder that looks as one that ``phaseloom peaks`` left."""
    data = peaks.data.assign_attrs(finished_register="", **attrs)
    data.to_zarr(folder / "results.zarr", group="peaks", consolidated=False)
    return folder


@pytest.mark.parametrize("known", [True, False])
def test_spots_of_gold_give_the_pixel_size(tmp_path: Path, phaseloom: Call, known: bool) -> None:
    peaks = gold_peaks() if known else gold_peaks().calibrated(1.0, units="px")
    folder = stored(tmp_path / "gold", peaks, voltage=200.0)
    target = tmp_path / "found.toml"
    ran = phaseloom("calibrate", folder, "-p", "Au", "--out", target, "--json")
    assert ran.status == 0, ran.err
    facts = json.loads(ran.out)
    assert facts["pixel_size"] == pytest.approx(0.013, rel=1e-3)
    assert abs(facts["pixel_size"] - 0.013) < 4 * facts["pixel_size_error"]
    assert facts["of"] == "spots" and facts["number"] > 200 and facts["residual"] < 1.0
    assert facts["files"] == [str(target), str(tmp_path / "found.png")]
    assert (tmp_path / "found.png").read_bytes().startswith(b"\x89PNG")


def test_a_crystal_that_does_not_fit_is_refused(tmp_path: Path, phaseloom: Call) -> None:
    folder = stored(tmp_path / "gold", gold_peaks(), voltage=200.0)
    target = tmp_path / "found.toml"
    ran = phaseloom("calibrate", folder, "-p", "LiFePO4", "--out", target)
    assert "the spots are not those of LiFePO4" in ran.fault
    assert not target.exists()


def test_the_voltage_is_asked_for(tmp_path: Path, phaseloom: Call) -> None:
    folder = stored(tmp_path / "gold", gold_peaks())
    assert "--voltage" in phaseloom("calibrate", folder, "-p", "Au").fault


def test_the_check_of_a_map_shows_corrected_peaks() -> None:
    peaks = gold_peaks()
    maps = xr.Dataset(
        {
            "phase": (("y", "x"), np.zeros(peaks.shape, np.int16)),
            "probability": (("y", "x"), np.ones(peaks.shape)),
            "correlation": (("y", "x"), np.ones(peaks.shape)),
            "rotation": (("y", "x", "quaternion"), np.tile([1.0, 0, 0, 0], (*peaks.shape, 1))),
        },
        attrs={
            "k_min": 0.05, "k_max": 1.5, "voltage": 200.0, "precession_angle": 0.0,
            "thickness": 100.0, "scale": 1.05, "ellipse": [0.0, 0.0], "centre_offset": [0.0, 0.0],
        },
    )  # fmt: skip
    shown = check_patterns(maps, peaks, [gold()])
    pixel = int(shown["y"][0]) * peaks.shape[1] + int(shown["x"][0])
    rows = slice(*peaks.offset[pixel : pixel + 2])
    length = np.hypot(peaks.data["ky"][rows], peaks.data["kx"][rows]).to_numpy() * 1.05
    seen = np.hypot(shown["peak_ky"][0], shown["peak_kx"][0]).to_numpy()
    np.testing.assert_allclose(seen[np.isfinite(seen)], length[length > 0.05], rtol=1e-4)
