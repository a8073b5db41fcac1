"""Crystals, scans and recipes at fault: one clear sentence and exit status 1."""

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
def index(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Any, simple_index: Any,
    cifs: Path,
) -> Callable[..., Any]:  # fmt: skip
    """``phaseloom index gold.npy`` with more arguments."""

    def call(
        *arguments: object, file: object = patterns.file, phase: object = cifs / "Au.cif",
        calibrated: bool = True,
    ) -> Any:  # fmt: skip
        known = ("--pixel-size", "0.03", "--voltage", "200") if calibrated else ()
        return phaseloom("index", file, "-p", phase, *known, *arguments, "--quiet",
                         "--out", tmp_path / "out")  # fmt: skip

    return call


def test_what_the_file_does_not_say_is_asked_for_by_flag(index: Call) -> None:
    fault = index(calibrated=False).fault
    assert "gold.npy: does not say the voltage of the beam and the pixel size in Å⁻¹" in fault
    assert "--voltage" in fault
    assert "--pixel-size" in fault
    assert "--calibration" in fault
    fault = index("--pixel-size", "0.03", calibrated=False).fault
    assert "does not say the voltage of the beam; give --voltage KV" in fault
    fault = index("--voltage", "200", calibrated=False).fault
    assert "--voltage" not in fault
    assert "--pixel-size" in fault


def test_crystals_at_fault(index: Call, cifs: Path, tmp_path: Path) -> None:
    assert "gone.cif: no such file" in index(phase=tmp_path / "gone.cif").fault
    (tmp_path / "words.cif").write_text("only words")
    assert "words.cif: cannot be read as a CIF file" in index(phase=tmp_path / "words.cif").fault
    whole = (cifs / "Au.cif").read_text()
    (tmp_path / "empty.cif").write_text(whole[: whole.rindex("loop_")])
    fault = index(phase=tmp_path / "empty.cif").fault
    assert "empty.cif: the CIF file has no atoms; intensities need them" in fault
    fault = index("-p", cifs / "Au.cif").fault
    assert "two crystals are called 'Au': give them names (NAME=FILE.cif)" in fault
    assert index("-p", f"other={cifs / 'Au.cif'}").status == 0


def test_partly_occupied_sites_are_told_and_used(index: Call, cifs: Path, tmp_path: Path) -> None:
    text = (cifs / "Au.cif").read_text().splitlines()
    atom = text[-1].replace(" 1 ", " 0.5 ")
    (tmp_path / "mixed.cif").write_text("\n".join([*text[:-1], atom]) + "\n")
    ran = index(phase=tmp_path / "mixed.cif")
    assert ran.status == 0
    (said,) = ran.err.splitlines()
    assert said.startswith("warning mixed.cif: partly occupied sites (Au 0.5)")
    assert "weighted" in said
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "partly occupied" in html


def test_reflections_outside_the_detector_are_told_before_anything_is_registered(
    index: Call, simple_chain: Any
) -> None:
    fault = index("--pixel-size", "0.003").fault
    assert "no reflection of Au can be seen: the first, at 0.425 Å⁻¹" in fault
    assert "beyond the corner of the detector at 0.136 Å⁻¹" in fault
    assert "--pixel-size" in fault
    assert "beyond --match-k-max at 0.3 Å⁻¹" in index("--match-k-max", "0.3").fault
    assert simple_chain == []


def test_fewer_than_three_peaks(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Any, cifs: Path
) -> None:
    """The simple chain finds one peak, and the real indexing says so."""
    ran = phaseloom("index", patterns.file, "-p", cifs / "Au.cif", "--pixel-size", "0.03",
                    "--voltage", "200", "--out", tmp_path)  # fmt: skip
    assert "gold.npy: no pattern has three peaks beside the direct beam" in ran.fault


def test_scans_at_fault(index: Call, beam: Any, tmp_path: Path) -> None:
    assert "gone.blo: no such file" in index(file=tmp_path / "gone.blo").fault
    assert "holds no diffraction patterns" in index(file=beam.file("a.hdf5")).fault
    (tmp_path / "empty").mkdir()
    assert "empty: holds no registered peaks" in index(file=tmp_path / "empty").fault
    assert not (tmp_path / "out" / "report.html").exists()


def test_a_folder_of_peaks_is_not_registered_again(
    index: Call, patterns: Patterns, phaseloom: Call, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    phaseloom("peaks", patterns.file, "--out", run, "--quiet")
    for option, value in (
        ("--false-alarms", "0.5"), ("--centre", "30,30"), ("--scan-shape", "3,10"),
        ("--dark", "dark.npy"), ("--no-hot", None),
    ):  # fmt: skip
        given = (option,) if value is None else (option, value)
        name = option.replace("--no-", "--")
        assert (
            f"run: its peaks are registered: {name} comes too late" in index(*given, file=run).fault
        )
    (run / "results.zarr" / "peaks" / "zarr.json").unlink()
    assert "run: holds no registered peaks" in index(file=run).fault


def test_numbers_that_cannot_be(index: Call) -> None:
    for option, value, said in (
        ("--zone-step", "0", "--zone-step must be greater than or equal to 0.5"),
        ("--in-plane-step", "90", "--in-plane-step must be less than or equal to 10"),
        ("--match-k-max", "-1", "--match-k-max must be greater than 0"),
        ("--thickness", "nan", "--thickness must be a finite number"),
        ("--solutions", "0", "--solutions must be greater than or equal to 1"),
        ("--voltage", "1e9", "voltage (kV) of 1e+09"),
    ):
        assert said in index(option, value).fault


GOOD = (
    'method = "index"\n[scan]\nfile = "gold.npy"\npixel_size = 0.03\nvoltage = 200\n'
    '[[crystal]]\nfile = "Au.cif"\n'
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.partition("[[")[0], "crystal is missing"),
        (GOOD.replace("[[crystal]]", "[crystal]"), "crystal must be"),
        (GOOD.replace("Au.cif", "Cu.cif"), "Cu.cif: no such file"),
        (GOOD + "colour = 1\n", "crystal 1.colour is not a key of the recipe"),
        (GOOD + "name = ''\n", "crystal 1.name must"),
        (GOOD + '[[crystal]]\nfile = "sub/Au.cif"\n', "two crystals are called 'Au'"),
        (GOOD + "[matching]\nsolutions = 2.5\n", "matching.solutions must be a whole number"),
        (GOOD + "[matching]\noverlaps = 'maybe'\n", "matching.overlaps must be a boolean"),
        (GOOD.replace("[scan]", 'export = ["png"]\n[scan]'), "export 1 must be 'ang', 'ctf'"),
    ],
)  # fmt: skip
def test_recipes_at_fault(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Any, simple_index: Any,
    cifs: Path, text: str, said: str,
) -> None:  # fmt: skip
    shutil.copy(patterns.file, tmp_path / "gold.npy")
    shutil.copy(cifs / "Au.cif", tmp_path / "Au.cif")
    (tmp_path / "recipe.toml").write_text(text)
    assert said in phaseloom("run", tmp_path / "recipe.toml", "--out", tmp_path / "out").fault


def test_a_dark_pattern_is_left_unindexed_and_no_error(
    patterns: Patterns, tmp_path: Path, index: Call
) -> None:
    counts = np.load(patterns.file)
    counts[0] = 0
    np.save(tmp_path / "dark.npy", counts)
    assert index(file=tmp_path / "dark.npy").status == 0
