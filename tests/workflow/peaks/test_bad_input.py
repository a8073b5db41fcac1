"""Scans, images and recipes at fault: one clear sentence and exit status 1."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Call = Callable[..., Any]
Patterns = Any


@pytest.fixture
def peaks(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Any
) -> Callable[..., Any]:
    """``phaseloom peaks gold.npy`` with more arguments."""

    def call(*arguments: object, file: object = patterns.file) -> Any:
        return phaseloom("peaks", file, "--pixel-size", "0.03", *arguments, "--quiet",
                         "--out", tmp_path / "out")  # fmt: skip

    return call


def test_files_that_are_no_scan(peaks: Call, beam: Any, tmp_path: Path) -> None:
    assert "gone.blo: no such file" in peaks(file=tmp_path / "gone.blo").fault
    assert "holds no diffraction patterns" in peaks(file=beam.file("a.hdf5")).fault
    (tmp_path / "words.blo").write_text("these are only words")
    assert "words.blo" in peaks(file=tmp_path / "words.blo").fault
    (tmp_path / "odd.xyz").write_text("?")
    assert "unknown format .xyz" in peaks(file=tmp_path / "odd.xyz").fault
    assert not (tmp_path / "out" / "report.html").exists()


def test_a_truncated_scan(peaks: Call, patterns: Patterns, tmp_path: Path) -> None:
    whole = patterns.file.read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[: len(whole) // 2])
    fault = peaks(file=tmp_path / "cut.npy").fault
    assert "cut.npy" in fault


def test_a_scan_shape_that_does_not_fit(peaks: Call) -> None:
    fault = peaks("--scan-shape", "4,8").fault
    assert "holds 30 patterns, not 4×8 = 32" in fault
    assert "product of 30" in fault
    for text in ("4", "4,x", "4,8,2"):
        assert f"'{text}' is not of the form ROWS,COLUMNS" in peaks("--scan-shape", text).fault
    assert "--scan-shape must be a whole number" in peaks("--scan-shape", "2.5,12").fault


@pytest.mark.parametrize("name", ["dark", "gain", "mask"])
def test_images_of_another_shape(peaks: Call, tmp_path: Path, name: str) -> None:
    np.save(tmp_path / "other.npy", np.ones((32, 64), np.uint16))
    fault = peaks(f"--{name}", tmp_path / "other.npy").fault
    assert "other.npy: is an image of 32×64 px, the patterns have 64×64" in fault
    assert "gone.npy: no such file" in peaks(f"--{name}", tmp_path / "gone.npy").fault


def test_numbers_that_cannot_be(peaks: Call) -> None:
    for option, value, said in (
        ("--step", "-1", "--step must be greater than 0"),
        ("--voltage", "1e9", "voltage (kV) of 1e+09"),
        ("--precession", "99", "precession angle (°) of 99"),
        ("--false-alarms", "0", "--false-alarms must be greater than 0"),
        ("--false-alarms", "nan", "--false-alarms must be a finite number"),
        ("--max-peaks", "0", "--max-peaks must be greater than or equal to 1"),
        ("--saturation", "0", "--saturation must be greater than 0"),
        ("--centre", "here", "'here' is not of the form ROWS,COLUMNS"),
        ("--k-max", "0", "--k-max must be greater than 0"),
    ):
        assert said in peaks(option, value).fault
    assert (
        "no spot lies between k_min 0.9 and k_max 0.5"
        in peaks("--k-min", "0.9", "--k-max", "0.5").fault
    )
    assert "sigma is of a Gaussian spot" in peaks("--sigma", "2", "--shape", "disk").fault
    assert "radius is of a disk" in peaks("--radius", "2", "--shape", "gaussian").fault


def test_calibrations_at_fault(peaks: Call, tmp_path: Path) -> None:
    file = tmp_path / "calibration.toml"
    assert "both given" in peaks("--calibration", file).fault


def test_a_calibration_file_that_is_none(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Any
) -> None:
    file = tmp_path / "calibration.toml"
    for text in (None, "not toml at all", "pixel_size = 'wide'"):
        if text is not None:
            file.write_text(text)
        ran = phaseloom("peaks", patterns.file, "--calibration", file, "--out", tmp_path / "out")
        assert "calibration.toml" in ran.fault


def test_an_address_where_nobody_answers(
    peaks: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("phaseloom.compute.blocks._TIMEOUT", 0.3)
    fault = peaks("--scheduler", "tcp://127.0.0.1:9").fault
    assert "no scheduler answers at 'tcp://127.0.0.1:9'" in fault


def test_schedulers_are_for_scans(beam: Any, tmp_path: Path, phaseloom: Call) -> None:
    (tmp_path / "recipe.toml").write_text(
        f'[[stack]]\nfile = "{beam.file("b.hdf5")}"\n[[reference]]\nfile = "x.csv"\n'
    )
    ran = phaseloom("run", tmp_path / "recipe.toml", "--scheduler", "tcp://127.0.0.1:9")
    assert "--scheduler is for scans" in ran.fault


def test_reconstruct(peaks: Call, patterns: Patterns, tmp_path: Path, phaseloom: Call) -> None:
    def fault(folder: object, *arguments: object) -> str:
        return str(phaseloom("reconstruct", folder, *arguments).fault)

    to = ("--to", "blo", "--out", tmp_path / "clean.blo")
    assert "no such folder" in fault(tmp_path / "gone", *to)
    (tmp_path / "empty").mkdir()
    assert "holds no registered peaks" in fault(tmp_path / "empty", *to)
    assert peaks().status == 0
    out = tmp_path / "out"
    assert "clean.xyz" in fault(out, "--to", "blo", "--out", tmp_path / "clean.xyz")
    assert "its folder does not exist" in fault(
        out, "--to", "blo", "--out", tmp_path / "gone" / "clean.blo"
    )
    assert "sigma or radius" in fault(out, *to, "--sigma", "2", "--radius", "3")
    assert "k_max" in fault(out, *to, "--k-max", "0")
    assert not (tmp_path / "clean.blo").exists()


def test_calibrate(patterns: Patterns, tmp_path: Path, phaseloom: Call) -> None:
    def fault(*arguments: object) -> str:
        return str(phaseloom("calibrate", *arguments).fault)

    assert "gone.npy: no such file" in fault(tmp_path / "gone.npy", "-p", "Au")
    assert "gone.cif" in fault(patterns.file, "-p", tmp_path / "gone.cif")
    noise = np.random.default_rng(0).poisson(9, (64, 64)).astype(np.uint16)
    np.save(tmp_path / "flat.npy", noise)
    target = tmp_path / "c.toml"
    assert "flat.npy" in fault(tmp_path / "flat.npy", "-p", "Ag", "--out", target)
    assert not target.exists()
    assert "its folder does not exist" in fault(
        patterns.file, "-p", "Au", "--out", tmp_path / "none" / "c.toml"
    )


GOOD = 'method = "peaks"\n[scan]\nfile = "gold.npy"\npixel_size = 0.03\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('method = "peaks"\n', "scan is missing"),
        ('method = "maps"\n', "method must be 'stxm', 'peaks', 'cluster' or 'index', not 'maps'"),
        ('method = ["peaks"]\n', "method must be 'stxm', 'peaks', 'cluster' or 'index'"),
        (GOOD.replace("gold", "gone"), "gone.npy: no such file"),
        (GOOD + "colour = 1\n", "scan.colour is not a key of the recipe"),
        (GOOD + "scan_shape = '4'\n", "ROWS,COLUMNS"),
        (GOOD + "scan_shape = [0, 30]\n", "scan.scan_shape"),
        (GOOD + "scan_shape = [1, 2, 3]\n", "scan.scan_shape"),
        (GOOD + "pixel_size = 0.02\n", "is not a recipe in TOML"),
        (GOOD + "calibration = 'a.toml'\n", "both given"),
        (GOOD + "[peaks]\nthreshold = 'high'\n", "peaks.threshold must be 'counts' or 'promin"),
        (GOOD + "[peaks]\nsigma = 0\n", "peaks.sigma must be greater than 0"),
        (GOOD + "[peaks]\nmax_peaks = 2.5\n", "peaks.max_peaks must be a whole number"),
        (GOOD + "[centring]\ncentre = [1, 2, 3]\n", "centring.centre"),
        (GOOD + "[centring]\ndescan = 'wild'\n", "centring.descan must be 'plane', 'each'"),
        (GOOD + "[correction]\nhot = 'maybe'\n", "correction.hot must be a boolean"),
        (GOOD + "[filter]\nk_min = 2\nk_max = 1\n", "no spot lies between"),
        (GOOD + "[mapping]\nmargin = 1\n", "mapping is not a key of the recipe"),
        ("scan = 'gold.npy'\n" + GOOD.partition("[")[0], "scan must be a table"),
    ],
)
def test_recipes_at_fault(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Any, text: str, said: str
) -> None:
    shutil.copy(patterns.file, tmp_path / "gold.npy")
    (tmp_path / "recipe.toml").write_text(text)
    assert said in phaseloom("run", tmp_path / "recipe.toml", "--out", tmp_path / "out").fault


def test_options_a_recipe_does_not_know(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Any
) -> None:
    shutil.copy(patterns.file, tmp_path / "gold.npy")
    (tmp_path / "recipe.toml").write_text(GOOD)
    ran = phaseloom("run", tmp_path / "recipe.toml", "--device", "cpu")
    assert "a recipe for peaks knows no --device" in ran.fault
