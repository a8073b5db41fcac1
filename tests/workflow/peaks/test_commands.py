"""Scans of diffraction patterns from the command line, with a registration made simple."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from whole_runs import CALIBRATED, opened

from phaseloom.crystals import gold, powder_rings
from phaseloom.diffraction.calibration.calibration import Calibration
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.errors import InputError
from phaseloom.io.scans import read_scan
from phaseloom.workflow.peaks.calibrate import calibration_for
from phaseloom.workflow.peaks.demo import score
from phaseloom.workflow.peaks.recipe import PeaksRecipe, example, is_registered
from phaseloom.workflow.peaks.reconstruct import read_peaks
from phaseloom.workflow.recipe import read_recipe, to_toml

Call = Callable[..., Any]
Patterns = Any
Asked = list[dict[str, Any]]


def test_peaks_leaves_the_folder_of_the_contract(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Asked
) -> None:
    ran = phaseloom("peaks", patterns.file, *CALIBRATED, "--out", tmp_path)
    assert (ran.status, ran.err) == (0, "")
    for text in ("30 (5×6)", "30, 1.0 per pattern", "0.03 Å⁻¹", "0.02 px", "1.50 px", "times less"):
        assert text in ran.out
    assert "patterns/s" in ran.out
    assert "report.html" in ran.out
    tree = opened(tmp_path)
    assert set(tree.children) == {"peaks"}
    assert set(tree["peaks"].children) == {"sample", "density"}
    assert tree["peaks"].attrs["bytes_in"] == 30 * 64 * 64 * 2
    assert tree["peaks"].attrs["patterns_per_second"] > 0
    assert json.loads(tree.attrs["inputs"])["scan"]
    assert "numba" in json.loads(tree.attrs["versions"])
    assert 'method = "peaks"' in tree.attrs["recipe"]
    assert "30 patterns" in (tmp_path / "report.html").read_text(encoding="utf-8")
    tables = tmp_path / "tables"
    assert (tables / "peaks_per_pattern.csv").read_text().split() == ["peaks,patterns", "1,30"]
    assert (tables / "registration.csv").read_text().startswith("quantity,unit,per,number")
    assert not (tmp_path / "unfinished").exists()


def test_the_figures_need_no_raw_data(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Asked
) -> None:
    assert phaseloom("peaks", patterns.file, *CALIBRATED, "--out", tmp_path, "--quiet").status == 0
    tree = opened(tmp_path)
    # y and x are the patterns' indices there, not the scan's coordinates.
    sample = tree["peaks/sample"].to_dataset(inherit=False)
    counts = patterns.scan["counts"].to_numpy()
    assert 0 < sample.sizes["sample"] <= 12
    for shown, y, x in zip(*(sample[n].to_numpy() for n in ("pattern", "y", "x")), strict=True):
        usable = np.isfinite(shown)
        assert usable.mean() > 0.99
        np.testing.assert_array_equal(shown[usable], counts[y, x][usable])
    density = tree["peaks/density"]
    assert int(density["density"].sum()) == 30
    assert int(density["radial"].sum()) == 30


def test_options_reach_the_chain(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Asked
) -> None:
    np.save(tmp_path / "dark.npy", np.full((3, 64, 64), [[[1]], [[2]], [[3]]], np.uint16))
    np.save(tmp_path / "mask.npy", np.eye(64, dtype=np.uint8))
    ran = phaseloom(
        "peaks", patterns.file, *CALIBRATED, "--precession", "0.8", "--scan-shape", "3,10",
        "--scan-rotation", "12", "--dark", tmp_path / "dark.npy", "--mask", tmp_path / "mask.npy",
        "--saturation", "9000", "--no-hot", "--beam-stop", "--scan-mean", "--centre", "30,31.5",
        "--descan", "each", "--threshold", "prominence", "--false-alarms", "0.2", "--shape",
        "disk", "--radius", "4", "--max-peaks", "99", "--k-min", "0.1", "--k-max", "0.9",
        "--intensity-min", "5", "--prominence-min", "2", "--significance-min", "6",
        "--out", tmp_path / "out", "--json",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    (asked,) = simple_chain
    scan, recipe, images = asked["scan"], asked["recipe"], asked["images"]
    assert scan["counts"].shape == (3, 10, 64, 64)
    assert scan["x"].attrs["units"] == "nm"
    assert float(scan["x"][1] - scan["x"][0]) == pytest.approx(5)
    assert float(scan["kx"][1] - scan["kx"][0]) == pytest.approx(0.03)
    known = {n: scan.attrs[n] for n in ("voltage", "precession_angle", "scan_rotation")}
    assert known == {"voltage": 200, "precession_angle": 0.8, "scan_rotation": 12}
    np.testing.assert_array_equal(images["dark"], np.full((64, 64), 2, np.float32))
    np.testing.assert_array_equal(images["mask"], np.eye(64, dtype=bool))
    assert images["gain"] is None
    assert recipe.correction.saturation == 9000
    assert not recipe.correction.hot
    assert recipe.correction.beam_stop
    assert recipe.correction.scan_mean
    assert recipe.centring.centre == (30, 31.5)
    assert recipe.centring.descan == "each"
    assert recipe.peaks.model_dump() == {
        "threshold": "prominence", "false_alarms": 0.2, "shape": "disk", "sigma": None,
        "radius": 4.0, "max_peaks": 99,
    }  # fmt: skip
    assert recipe.filter.model_dump() == {
        "k_min": 0.1, "k_max": 0.9, "intensity_min": 5.0, "prominence_min": 2.0,
        "significance_min": 6.0,
    }  # fmt: skip
    facts = json.loads(ran.out)
    assert facts["scan"]["scan_shape"] == [3, 10]
    assert facts["scan"]["compression"] == pytest.approx(
        facts["scan"]["bytes_in"] / facts["scan"]["bytes_out"]
    )


def test_without_a_pixel_size_peaks_are_in_px_and_a_line_says_so(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Asked
) -> None:
    ran = phaseloom("peaks", patterns.file, "--out", tmp_path, "--json")
    assert ran.status == 0
    said = [line for line in ran.err.splitlines() if "pixel size is not known" in line]
    assert len(said) == 1
    assert "--pixel-size" in said[0]
    assert json.loads(ran.out)["scan"]["pixel_size_units"] == "px"
    assert "pixel size is not known" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_calibration_file_gives_pixel_size_and_ellipticity(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Asked
) -> None:
    file = tmp_path / "calibration.toml"
    Calibration(
        0.02, 1e-5, ((1.01, 0.0), (0.0, 1 / 1.01)), (31.5, 31.5), (0.1, 0.1), 1.02, 0.001, 90.0,
        1.0, 0.1, 8,
    ).to_toml(file)  # fmt: skip
    ran = phaseloom("peaks", patterns.file, "--calibration", file, "--out", tmp_path / "out")
    assert (ran.status, ran.err) == (0, "")
    assert simple_chain[0]["calibration"].distortion[0] == (1.01, 0.0)
    assert float(np.diff(simple_chain[0]["scan"]["ky"][:2])[0]) == pytest.approx(0.02)
    with file.open("a") as more:
        more.write("detector_shape = [128, 128]\n")
    again = phaseloom("peaks", patterns.file, "--calibration", file, "--out", tmp_path / "out")
    assert "calibration.toml: is for patterns of 128×128 px, these are 64×64" in again.fault


def test_calibrate_on_rings(tmp_path: Path, phaseloom: Call) -> None:
    """Gold rings of known pixel size and ellipticity, from a file; the file is what peaks takes."""
    rings = powder_rings(gold(), 1.4)
    row, column = np.indices((256, 256), dtype=float) - np.array([126.0, 129.0])[:, None, None]
    k = 0.0105 * np.hypot(row / 1.01, column * 1.01)
    image = 200 * np.exp(-k / 0.4) + sum(
        i * 900 * np.exp(-0.5 * ((k - ring) / 0.012) ** 2)
        for ring, i in zip(rings.k, rings.intensity, strict=True)
    )
    np.save(tmp_path / "rings.npy", np.random.default_rng(0).poisson(image).astype(np.uint16))
    target = tmp_path / "gold.toml"
    ran = phaseloom(
        "calibrate", tmp_path / "rings.npy", "-p", "Au", "--out", target, "--json"
    )  # fmt: skip
    assert ran.status == 0, ran.err
    facts = json.loads(ran.out)
    assert facts["pixel_size"] == pytest.approx(0.0105, rel=2e-3)
    assert facts["ellipticity"] == pytest.approx(1.01**2, abs=3e-3)
    assert facts["centre"] == pytest.approx([126, 129], abs=0.3)
    assert calibration_for(target, (256, 256)).pixel_size == facts["pixel_size"]
    words = phaseloom("calibrate", tmp_path / "rings.npy", "-p", "Au", "--out", target)
    assert "Å⁻¹ per px" in words.out and "rings, residual" in words.out
    assert facts["files"] == [str(target), str(tmp_path / "gold.png")]
    assert (tmp_path / "gold.png").read_bytes().startswith(b"\x89PNG")
    cif = phaseloom("calibrate", tmp_path / "rings.npy", "-p", tmp_path / "none.cif")
    assert "none.cif" in cif.fault


def test_a_recipe_repeats_the_run_and_is_kept(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Asked
) -> None:
    first = phaseloom("peaks", patterns.file, *CALIBRATED, "--out", tmp_path / "one", "--json")
    again = phaseloom("run", tmp_path / "one" / "recipe.toml", "--json")
    assert again.status == 0, again.err
    facts = [json.loads(ran.out)["scan"] for ran in (first, again)]
    assert facts[0] == facts[1], "also the time that registering took"
    other = phaseloom("run", tmp_path / "one" / "recipe.toml", "--out", tmp_path / "two")
    assert other.status == 0
    a, b = opened(tmp_path / "one"), opened(tmp_path / "two")
    for group in a.groups:
        xr.testing.assert_equal(a[group].to_dataset(), b[group].to_dataset())
    kept = phaseloom("run", tmp_path / "one" / "recipe.toml")
    assert "kept from an earlier run: 3 stages" in kept.out
    fresh = phaseloom("run", tmp_path / "one" / "recipe.toml", "--fresh")
    assert "kept" not in fresh.out


def test_new_prints_a_recipe_that_is_valid(
    tmp_path: Path, phaseloom: Call, patterns: Patterns, simple_chain: Asked
) -> None:
    ran = phaseloom("new", "peaks")
    assert ran.status == 0
    assert PeaksRecipe.model_validate(tomllib.loads(ran.out)) == example()
    assert ran.out.count("#") > 30, "every line says what it is"
    shutil.copy(patterns.file, tmp_path / "scan.npy")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(ran.out.replace("scan.blo", "scan.npy"), encoding="utf-8")
    again = phaseloom("run", recipe, "--out", tmp_path / "out", "--seed", "3", "--quiet")
    assert again.status == 0
    assert simple_chain[0]["recipe"].seed == 3


def test_a_recipe_survives_writing(tmp_path: Path) -> None:
    recipe = PeaksRecipe.model_validate(
        {
            "out": tmp_path / "out",
            "scan": {"file": tmp_path / "a.mib", "scan_shape": "4×5", "step": 2.5},
            "centring": {"centre": "31.25, 30"},
            "correction": {"dark": tmp_path / "d.npy"},
        }
    )
    (tmp_path / "recipe.toml").write_text(to_toml(recipe), encoding="utf-8")
    assert read_recipe(tmp_path / "recipe.toml") == recipe
    assert "scan_shape = [4, 5]" in to_toml(recipe)


@pytest.mark.parametrize("kind", ["blo", "hspy", "zspy", "tif"])
def test_reconstruct_writes_what_can_be_read(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Asked, kind: str
) -> None:
    phaseloom("peaks", patterns.file, *CALIBRATED, "--out", tmp_path / "run", "--quiet")
    target = tmp_path / f"clean.{kind}"
    ran = phaseloom(
        "reconstruct", tmp_path / "run", "--to", kind, "--out", target, "--size", "32", "--json"
    )
    assert (ran.status, ran.err) == (0, "")
    facts = json.loads(ran.out)
    assert facts["patterns"] == 30
    assert facts["pattern_shape"] == [32, 32]
    assert facts["pixel_size"] == pytest.approx(0.06)
    assert facts["units"] == "Å⁻¹"
    read = read_scan(target)
    assert read["counts"].shape[2:] == (32, 32)
    assert read["counts"].sizes["y"] * read["counts"].sizes["x"] == 30


def test_a_folder_of_images_is_a_scan(patterns: Patterns, tmp_path: Path, phaseloom: Call) -> None:
    from PIL import Image

    for i, pattern in enumerate(np.clip(np.load(patterns.file).reshape(30, 64, 64), 0, 255)):
        Image.fromarray(pattern.astype(np.uint8)).save(tmp_path / f"{i}.png")
    told = phaseloom("info", tmp_path).out
    assert "does not say: --scan-shape, --pixel-size, --step, --voltage" in told
    assert not is_registered(tmp_path)
    (tmp_path / "results.zarr").mkdir()
    assert is_registered(tmp_path)


def test_info_of_a_scan(patterns: Patterns, phaseloom: Call) -> None:
    ran = phaseloom("info", patterns.file)
    assert ran.status == 0, ran.err
    for text in ("scan", "5×6×64×64", "uint16", "does not say: --pixel-size, --step, --voltage"):
        assert text in ran.out


def test_info_of_a_scan_with_an_instrument(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Asked
) -> None:
    phaseloom("peaks", patterns.file, *CALIBRATED, "--out", tmp_path / "run", "--quiet")
    phaseloom("reconstruct", tmp_path / "run", "--to", "blo", "--quiet")
    told = phaseloom("info", tmp_path / "run" / "clean.blo").out
    assert "voltage: 200 kV" in told
    assert "does not say" not in told


def test_the_peaks_are_read_back_as_a_table(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Asked
) -> None:
    phaseloom("peaks", patterns.file, *CALIBRATED, "--out", tmp_path, "--quiet")
    peaks = read_peaks(tmp_path)
    assert isinstance(peaks, Peaks)
    assert peaks.shape == (5, 6)
    assert peaks.units == "Å⁻¹"


def test_peaks_that_were_not_written_completely_are_not_read(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Asked
) -> None:
    phaseloom("peaks", patterns.file, *CALIBRATED, "--out", tmp_path, "--quiet")
    metadata = tmp_path / "results.zarr" / "peaks" / "zarr.json"
    group = json.loads(metadata.read_text("utf-8"))
    del group["attributes"]["finished_register"]
    metadata.write_text(json.dumps(group), "utf-8")
    with pytest.raises(InputError, match="its registration was not finished"):
        read_peaks(tmp_path)


def test_the_score_of_the_truth_itself_is_perfect(patterns: Patterns) -> None:
    truth = patterns.truth
    rng = np.random.default_rng(0)
    visible = truth["visible"].to_numpy()
    position = np.repeat(np.arange(30), np.diff(truth["offset"].to_numpy()))[visible]
    n = position.size
    sigma = 0.05
    centre = [truth[f"centre_{a}"].to_numpy() for a in "yx"]
    px = [
        truth[axis].to_numpy()[visible] - c.ravel()[position] + rng.normal(0, sigma, n)
        for axis, c in zip(("row", "column"), centre, strict=True)
    ]
    error = truth["counting_error"].to_numpy()[visible]
    data = xr.Dataset(
        {
            "ky": ("peak", px[0] * 0.03, {"units": "Å⁻¹"}),
            "kx": ("peak", px[1] * 0.03, {"units": "Å⁻¹"}),
            "ky_error": ("peak", np.full(n, sigma * 0.03)),
            "kx_error": ("peak", np.full(n, sigma * 0.03)),
            "intensity": ("peak", truth["counts"].to_numpy()[visible] + error * rng.normal(size=n)),
            "intensity_error": ("peak", error),
            "offset": ("edge", np.concatenate([[0], np.cumsum(np.bincount(position))])),
            "centre_y": (("y", "x"), centre[0]),
            "centre_x": (("y", "x"), centre[1] + 0.1),
        },
        attrs={"pixel_size": 0.03, "pixel_size_units": "Å⁻¹", "distortion": [1.0, 0, 0, 1.0]},
    )
    data["kx"] -= 0.1 * 0.03
    found = score(data, truth)
    assert found["recall"] == found["precision"] == 1.0
    assert found["false_per_pattern"] == 0
    assert found["rms_px"] == pytest.approx(sigma * np.sqrt(2), rel=0.1)
    assert found["pull_sigma"] == pytest.approx(1, abs=0.1)
    assert found["intensity_pull_sigma"] == pytest.approx(1, abs=0.15)
    assert found["centre_error_px"] == pytest.approx(0.1)
    moved = data.copy()
    moved["ky"] = moved["ky"] + 30 * 0.03
    assert score(moved, truth)["recall"] < 0.2


def test_the_demonstration_goes_the_whole_way(
    tmp_path: Path, phaseloom: Call, simple_chain: Asked
) -> None:
    """From a simulated file; the brightest pixels alone are hot ones, and the score is poor."""
    arguments = ("demo", "peaks", "--size", "4", "--out", tmp_path)
    ran = phaseloom(*arguments)
    assert (ran.status, ran.err) == (0, "")
    for text in ("recall", "precision", "rms px", "pull sigma", "centre error px", "16 (4×4)"):
        assert text in ran.out
    assert np.load(tmp_path / "scan.npy", mmap_mode="r").shape == (4, 4, 256, 256)
    assert simple_chain[0]["scan"].attrs["precession_angle"] == 0.8
    again = phaseloom(*arguments, "--json")
    scores = json.loads(again.out)["scores"]
    assert scores["false_per_pattern"] == 1 - scores["precision"]
    assert 0 <= scores["recall"] < 0.2
    assert "--scheduler is for" in phaseloom("demo", "stxm", "--scheduler", "tcp://a:1").fault
