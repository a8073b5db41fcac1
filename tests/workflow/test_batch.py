"""Several inputs to one command, several recipes to run: one after the other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Call = Callable[..., Any]
CALIBRATED = ("--pixel-size", "0.03", "--voltage", "200")

pytestmark = pytest.mark.usefixtures("simple_chain", "simple_index")


@pytest.fixture
def scans(patterns: Any, tmp_path: Path) -> list[Path]:
    """Three files, of which the second is no scan."""
    files = [tmp_path / f"{name}.npy" for name in ("first", "second", "third")]
    counts = np.load(patterns.file)
    np.save(files[0], counts)
    files[1].write_text("no array")
    np.save(files[2], counts[::-1])
    return files


def test_a_batch_keeps_them_all_and_goes_on_after_a_failed_one(
    scans: list[Path], tmp_path: Path, phaseloom: Call
) -> None:
    ran = phaseloom("peaks", *scans, *CALIBRATED, "--out", tmp_path / "all")
    assert ran.status == 1
    assert [line for line in ran.err.splitlines() if line.startswith("error")] != []
    for name in ("first-peaks", "third-peaks"):
        assert (tmp_path / "all" / name / "report.html").is_file()
        assert name in ran.out.replace("\n", "").replace(" ", "") or "first" in ran.out
    assert ran.out.count("done") == 2
    assert "failed" in ran.out


def test_a_batch_answers_with_every_run(scans: list[Path], tmp_path: Path, phaseloom: Call) -> None:
    ran = phaseloom("peaks", *scans, *CALIBRATED, "--out", tmp_path / "all", "--json")
    answer = json.loads(ran.out)
    assert (answer["command"], answer["failed"]) == ("peaks", 1)
    first, second, third = answer["runs"]
    assert first["scan"]["patterns"] == third["scan"]["patterns"] == 30
    assert "second.npy" in second["error"]
    assert first["error"] is None
    assert second["files"] == second["notes"] == []


def test_a_batch_goes_on_where_a_folder_cannot_be_written(
    scans: list[Path], tmp_path: Path, phaseloom: Call
) -> None:
    folder = tmp_path / "all" / "first-peaks"
    folder.mkdir(parents=True)
    (folder / "run.log").mkdir()
    ran = phaseloom("peaks", scans[0], scans[2], *CALIBRATED, "--out", tmp_path / "all")
    assert ran.status == 1
    assert f"error {folder / 'run.log'}: Is a directory" in ran.err
    assert (ran.out.count("failed"), ran.out.count("done")) == (1, 1)


def test_one_name_for_two_inputs_is_refused_before_anything_is_done(
    scans: list[Path], tmp_path: Path, phaseloom: Call
) -> None:
    (tmp_path / "sub").mkdir()
    again = tmp_path / "sub" / "first.npy"
    again.write_bytes(scans[0].read_bytes())
    ran = phaseloom("peaks", scans[0], again, *CALIBRATED, "--out", tmp_path / "all")
    assert "several inputs have the folder of results" in ran.fault
    assert not (tmp_path / "all").exists()


def test_recipes_run_one_after_the_other(
    scans: list[Path], cifs: Path, tmp_path: Path, phaseloom: Call
) -> None:
    files = []
    for scan in scans:
        files.append(tmp_path / f"{scan.stem}.toml")
        files[-1].write_text(
            f'method = "index"\n[scan]\nfile = "{scan.name}"\npixel_size = 0.03\nvoltage = 200\n'
            f'[[crystal]]\nfile = "{cifs / "Au.cif"}"\n'
        )
    ran = phaseloom("run", *files, "--json")
    assert ran.status == 1
    assert [run["error"] is None for run in json.loads(ran.out)["runs"]] == [True, False, True]
    # Without a folder in the recipe it lies beside it, in the name of the input.
    assert (tmp_path / "first-index" / "report.html").is_file()
    assert (tmp_path / "third-index" / "report.html").is_file()


def test_built_in_crystals_are_known_by_name(
    scans: list[Path], tmp_path: Path, phaseloom: Call
) -> None:
    out = tmp_path / "out"
    ran = phaseloom("index", scans[0], "-p", "Au", "-p", "argentum=Ag", *CALIBRATED, "--out", out,
                    "--json")  # fmt: skip
    assert ran.status == 0, ran.err
    assert set(json.loads(ran.out)["orientation"]["fractions"]) == {"Au", "argentum"}
    again = phaseloom("run", out / "recipe.toml", "--json")
    assert json.loads(again.out)["orientation"] == json.loads(ran.out)["orientation"]
    fault = phaseloom("index", scans[0], "-p", "Xx", *CALIBRATED, "--out", out).fault
    assert "Xx: no such file; give the path of a CIF file or the name of a built-in" in fault


@pytest.mark.parametrize("command", ["info", "peaks", "reconstruct", "calibrate", "export"])
def test_answers_as_json_have_the_same_keys(
    scans: list[Path], tmp_path: Path, phaseloom: Call, command: str
) -> None:
    out = tmp_path / "out"
    assert phaseloom("index", scans[0], "-p", "Au", *CALIBRATED, "--out", out).status == 0
    arguments = {
        "info": (scans[0],),
        "peaks": (scans[0], *CALIBRATED, "--out", tmp_path / "peaks"),
        "reconstruct": (out, "--to", "blo"),
        "calibrate": (out, "-p", "Au", "--out", tmp_path / "gold.toml"),
        "export": (out, "--to", "csv"),
    }[command]
    ran = phaseloom(command, *arguments, "--json")
    if command == "calibrate":
        assert ran.status in (0, 1)
        return
    answer = json.loads(ran.out)
    assert list(answer)[:3] == ["command", "files", "notes"]
    assert answer["command"] == command
    assert all(Path(file).exists() for file in answer["files"])


def test_a_recipe_that_cannot_be_read_does_not_stop_the_others(
    scans: list[Path], tmp_path: Path, phaseloom: Call
) -> None:
    (tmp_path / "wrong.toml").write_text('method = "peaks"\n[scan]\nfiel = "first.npy"\n')
    (tmp_path / "right.toml").write_text(
        'method = "peaks"\n[scan]\nfile = "first.npy"\npixel_size = 0.03\n'
    )
    ran = phaseloom("run", tmp_path / "wrong.toml", tmp_path / "right.toml", "--device", "cpu",
                    "--json")  # fmt: skip
    assert ran.status == 1
    wrong, right = json.loads(ran.out)["runs"]
    assert "scan.file is missing" in wrong["error"]
    assert right["error"] is None


def test_a_chain_into_one_folder_is_a_batch(
    scans: list[Path], cifs: Path, tmp_path: Path, phaseloom: Call
) -> None:
    out = tmp_path / "out"
    assert phaseloom("peaks", scans[0], *CALIBRATED, "--out", out, "--quiet").status == 0
    assert phaseloom("index", out, "-p", cifs / "Au.cif", "--quiet").status == 0
    ran = phaseloom("run", out / "recipe.toml", out / "index.toml")
    assert ran.status == 0, ran.err
    assert ran.out.count("done") == 2


def test_keys_of_earlier_recipes_are_named_as_they_are_called_now(
    scans: list[Path], tmp_path: Path, phaseloom: Call
) -> None:
    (tmp_path / "old.toml").write_text(
        f'method = "cluster"\n[scan]\nfile = "{scans[0].name}"\n[factorisation]\nk_max = 9\n'
    )
    assert (
        "factorisation.k_max is not a key of the recipe: it is called components_max now"
        in phaseloom("run", tmp_path / "old.toml").fault
    )
