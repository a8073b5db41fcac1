"""A folder of results belongs to one input, one chain of methods, and one run at a time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

Call = Callable[..., Any]
CALIBRATED = ("--pixel-size", "0.03", "--voltage", "200", "--quiet")

pytestmark = pytest.mark.usefixtures("simple_chain", "simple_index", "simple_components")


@pytest.fixture
def other(patterns: Any, tmp_path: Path) -> Path:
    """Another scan."""
    file = tmp_path / "other.npy"
    np.save(file, np.load(patterns.file)[::-1])
    return file


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder but the lock and the log."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in (".lock", "run.log")
    }


def test_another_scan_is_refused_in_one_sentence_that_says_what_is_there(
    patterns: Any, other: Path, tmp_path: Path, phaseloom: Call
) -> None:
    out = tmp_path / "out"
    assert phaseloom("peaks", patterns.file, *CALIBRATED, "--out", out).status == 0
    before = content(out)
    fault = phaseloom("peaks", other, *CALIBRATED, "--out", out).fault
    assert f"{out}: holds the peaks of gold.npy; give another --out, or --overwrite" in fault
    assert content(out) == before


def test_a_file_whose_content_has_changed_is_another_scan(
    patterns: Any, other: Path, tmp_path: Path, phaseloom: Call
) -> None:
    file, out = tmp_path / "scan.npy", tmp_path / "out"
    shutil.copy(patterns.file, file)
    assert phaseloom("peaks", file, *CALIBRATED, "--out", out).status == 0
    shutil.copy(other, file)
    fault = phaseloom("peaks", file, *CALIBRATED, "--out", out).fault
    assert "holds the peaks of scan.npy (another file of that name, or its content has" in fault


def test_the_same_scan_under_another_name_continues(
    patterns: Any, tmp_path: Path, phaseloom: Call
) -> None:
    out = tmp_path / "out"
    assert phaseloom("peaks", patterns.file, *CALIBRATED, "--out", out).status == 0
    shutil.copy(patterns.file, tmp_path / "copy.npy")
    ran = phaseloom("peaks", tmp_path / "copy.npy", *CALIBRATED[:-1], "--out", out)
    assert "kept from an earlier run: 3 stages" in ran.out


def test_another_kind_of_method_is_refused(
    patterns: Any, beam: Any, tmp_path: Path, phaseloom: Call
) -> None:
    stxm = ("stxm", beam.file("b.hdf5"), *beam.references, "--resolve", "pearson", "--no-align",
            "--quiet", "--out")  # fmt: skip
    assert phaseloom("peaks", patterns.file, *CALIBRATED, "--out", tmp_path / "a").status == 0
    assert "holds the peaks of gold.npy" in phaseloom(*stxm, tmp_path / "a").fault
    assert phaseloom(*stxm, tmp_path / "b").status == 0
    fault = phaseloom("peaks", patterns.file, *CALIBRATED, "--out", tmp_path / "b").fault
    assert "holds phase maps of b.hdf5" in fault


def test_an_orientation_map_is_not_replaced_by_components_of_the_scan(
    patterns: Any, cifs: Path, tmp_path: Path, phaseloom: Call
) -> None:
    index = ("index", patterns.file, "-p", cifs / "Au.cif", *CALIBRATED, "--out", tmp_path)
    assert phaseloom(*index).status == 0
    fault = phaseloom("cluster", patterns.file, *CALIBRATED, "--out", tmp_path).fault
    assert "holds the orientation map of gold.npy; give another --out" in fault


def test_peaks_that_a_map_was_made_from_are_not_replaced_under_it(
    patterns: Any, cifs: Path, tmp_path: Path, phaseloom: Call
) -> None:
    peaks = ("peaks", patterns.file, *CALIBRATED, "--out", tmp_path)
    assert phaseloom(*peaks).status == 0
    assert phaseloom("index", tmp_path, "-p", cifs / "Au.cif", "--quiet").status == 0
    before = content(tmp_path / "results.zarr")
    assert phaseloom(*peaks).status == 0
    fault = phaseloom(*peaks, "--max-peaks", "9").fault
    assert "holds the orientation map of gold.npy, made from the peaks that these" in fault
    assert set(before) <= set(content(tmp_path / "results.zarr"))


def test_a_series_may_get_one_more_stack_and_loses_none(
    beam: Any, tmp_path: Path, phaseloom: Call
) -> None:
    def run(*names: str, more: tuple[str, ...] = ()) -> Any:
        stacks = [beam.file(f"{name}.hdf5") for name in names]
        return phaseloom("stxm", *stacks, *beam.references, "--resolve", "pearson", "--no-align",
                         "--out", tmp_path, *more)  # fmt: skip

    assert run("a").status == 0
    both = run("a", "b")
    assert "kept from an earlier run" in both.out
    assert "holds phase maps of a.hdf5, b.hdf5; give another --out" in run("b").fault
    assert run("b", more=("--overwrite",)).status == 0
    assert not (tmp_path / "tables" / "a_spectra.csv").exists()


def test_overwrite_removes_all_of_the_old_and_nothing_else(
    patterns: Any, other: Path, cifs: Path, tmp_path: Path, phaseloom: Call
) -> None:
    out = tmp_path / "out"
    index = ("index", patterns.file, "-p", cifs / "Au.cif", *CALIBRATED, "--to", "ang")
    assert phaseloom(*index, "--out", out).status == 0
    assert phaseloom("export", out, "--to", "tiff", "--quiet").status == 0
    notes = out / "figures" / "mine.txt"
    notes.parent.mkdir(exist_ok=True)
    notes.write_text("my notes")
    (out / "data.npy").write_bytes(b"mine")
    assert (out / "orientation.ang").is_file()
    ran = phaseloom("peaks", other, *CALIBRATED, "--out", out, "--overwrite")
    assert ran.status == 0, ran.err
    assert notes.read_text() == "my notes"
    assert (out / "data.npy").read_bytes() == b"mine"
    for gone in ("orientation.ang", "orientation.tif", "tables/grains.csv"):
        assert not (out / gone).exists()
    assert not (out / "results.zarr" / "orientation").exists()
    assert json.loads((out / "inputs.json").read_text())["methods"] == ["peaks"]


def test_overwrite_spares_an_input_that_lies_in_the_folder(
    patterns: Any, other: Path, tmp_path: Path, phaseloom: Call
) -> None:
    assert phaseloom("peaks", patterns.file, *CALIBRATED, "--out", tmp_path).status == 0
    record = json.loads((tmp_path / "inputs.json").read_text())
    record["files"] += ["other.npy", "../outside.txt"]
    (tmp_path / "inputs.json").write_text(json.dumps(record))
    outside = tmp_path.parent / "outside.txt"
    outside.write_text("mine")
    ran = phaseloom("peaks", other, *CALIBRATED, "--out", tmp_path, "--overwrite")
    assert ran.status == 0, ran.err
    assert other.is_file()
    assert outside.read_text() == "mine"


def test_results_of_an_earlier_version_are_known_by_what_they_say(
    patterns: Any, other: Path, tmp_path: Path, phaseloom: Call
) -> None:
    assert phaseloom("peaks", patterns.file, *CALIBRATED, "--out", tmp_path / "a").status == 0
    (tmp_path / "a" / "inputs.json").unlink()
    fault = phaseloom("peaks", other, *CALIBRATED, "--out", tmp_path / "a").fault
    assert "holds the peaks of scan" in fault
    again = phaseloom("peaks", patterns.file, *CALIBRATED[:-1], "--out", tmp_path / "a")
    assert "kept from an earlier run: 3 stages" in again.out


def test_a_damaged_record_is_refused_and_not_guessed(
    patterns: Any, other: Path, tmp_path: Path, phaseloom: Call
) -> None:
    assert phaseloom("peaks", patterns.file, *CALIBRATED, "--out", tmp_path).status == 0
    for text in ("", "[]", '{"inputs": {"scan": 1}, "methods": [], "files": []}'):
        (tmp_path / "inputs.json").write_text(text)
        assert "holds the peaks of" in phaseloom(
            "peaks", other, *CALIBRATED, "--out", tmp_path
        ).fault  # fmt: skip


def test_a_second_run_at_the_same_time_is_refused(
    patterns: Any, tmp_path: Path, phaseloom: Call
) -> None:
    with FileLock(tmp_path / ".lock"):
        fault = phaseloom("peaks", patterns.file, *CALIBRATED, "--out", tmp_path).fault
    assert f"{tmp_path}: another run is writing its results there" in fault
    assert phaseloom("peaks", patterns.file, *CALIBRATED, "--out", tmp_path).status == 0


def test_what_is_refused_binds_nobody(
    patterns: Any, other: Path, tmp_path: Path, phaseloom: Call
) -> None:
    """A run that fails before anything is computed leaves a folder that any input may have."""
    out = tmp_path / "out"
    wrong = phaseloom("peaks", patterns.file, "--dark", tmp_path / "gone.npy", "--out", out)
    assert "gone.npy: no such file" in wrong.fault
    assert phaseloom("peaks", other, *CALIBRATED, "--out", out).status == 0


def test_the_default_folder_carries_the_name_of_the_input(
    patterns: Any, cifs: Path, beam: Any, tmp_path: Path, phaseloom: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert phaseloom("peaks", patterns.file, *CALIBRATED).status == 0
    assert phaseloom("index", patterns.file, "-p", cifs / "Au.cif", *CALIBRATED).status == 0
    assert phaseloom("index", "gold-peaks", "-p", cifs / "Au.cif", "--quiet").status == 0
    stxm = ("stxm", beam.file("b.hdf5"), *beam.references, "--resolve", "pearson", "--no-align")
    assert phaseloom(*stxm, "--quiet").status == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b-stxm", "gold-index", "gold-peaks"]
    assert (tmp_path / "gold-peaks" / "index.toml").is_file()


def test_the_log_tells_every_run(patterns: Any, tmp_path: Path, phaseloom: Call) -> None:
    peaks = ("peaks", patterns.file, *CALIBRATED[:-1], "--out", tmp_path)
    assert phaseloom(*peaks).err == ""
    told = phaseloom(*peaks, "-v").err
    assert "peaks: register kept from an earlier run" in told
    log = (tmp_path / "run.log").read_text(encoding="utf-8")
    assert log.count("phaseloom peaks:") == 2
    assert "peaks: register computed in" in log
    assert "numpy" in log
    assert log.count("finished after") == 2
    phaseloom("peaks", patterns.file, "--dark", tmp_path / "gone.npy", "--out", tmp_path)
    assert "ERROR" in (tmp_path / "run.log").read_text(encoding="utf-8")


def test_overwriting_with_what_cannot_be_read_loses_nothing(
    patterns: Any, tmp_path: Path, phaseloom: Call
) -> None:
    out = tmp_path / "out"
    assert phaseloom("peaks", patterns.file, *CALIBRATED, "--out", out).status == 0
    before = content(out)
    (tmp_path / "words.npy").write_text("no array")
    for file in ("words.npy", "gone.npy"):
        ran = phaseloom("peaks", tmp_path / file, *CALIBRATED, "--out", out, "--overwrite")
        assert file in ran.fault
    assert content(out) == before


def test_a_finished_run_knows_its_files_and_spares_pictures_of_others(
    patterns: Any, other: Path, tmp_path: Path, phaseloom: Call
) -> None:
    out = tmp_path / "out"
    assert phaseloom("peaks", patterns.file, *CALIBRATED, "--out", out).status == 0
    (out / "figures").mkdir(exist_ok=True)
    mine = [out / "figures" / "mine.png", out / "tables" / "mine.csv"]
    for file in mine:
        file.write_text("mine")
    ran = phaseloom("peaks", other, *CALIBRATED, "--out", out, "--overwrite")
    assert ran.status == 0, ran.err
    assert all(file.read_text() == "mine" for file in mine)


def test_overwrite_leaves_no_empty_folders_and_nothing_outside_is_removed(
    patterns: Any, other: Path, tmp_path: Path, phaseloom: Call
) -> None:
    out, pictures = tmp_path / "out", tmp_path / "pictures"
    assert phaseloom("peaks", patterns.file, *CALIBRATED, "--out", out).status == 0
    assert phaseloom("reconstruct", out, "--to", "zspy", "--quiet").status == 0
    pictures.mkdir()
    (pictures / "mine.png").write_bytes(b"mine")
    (out / "tables" / "linked.csv").symlink_to(pictures / "mine.png")
    shutil.rmtree(out / "figures", ignore_errors=True)
    (out / "figures").symlink_to(pictures)
    record = json.loads((out / "inputs.json").read_text()) | {"finished": False}
    (out / "inputs.json").write_text(json.dumps(record))
    ran = phaseloom("peaks", other, *CALIBRATED, "--out", out, "--overwrite")
    assert ran.status == 0, ran.err
    assert not (out / "clean.zspy").exists()
    assert (pictures / "mine.png").read_bytes() == b"mine"


def test_overwrite_spares_an_input_that_is_a_folder_of_files(
    patterns: Any, tmp_path: Path, phaseloom: Call
) -> None:
    out = tmp_path / "out"
    assert phaseloom("peaks", patterns.file, *CALIBRATED, "--out", out).status == 0
    assert phaseloom("reconstruct", out, "--to", "zspy", "--quiet").status == 0
    before = content(out / "clean.zspy")
    ran = phaseloom("peaks", out / "clean.zspy", *CALIBRATED, "--out", out, "--overwrite")
    assert ran.status == 0, ran.err
    assert before and content(out / "clean.zspy") == before


def test_what_is_written_elsewhere_is_not_noted(
    patterns: Any, tmp_path: Path, phaseloom: Call
) -> None:
    out, file = tmp_path / "out", tmp_path / "clean.tif"
    assert phaseloom("peaks", patterns.file, *CALIBRATED, "--out", out).status == 0
    (out / "inputs.json").unlink()
    assert phaseloom("reconstruct", out, "--to", "tif", "--out", file).status == 0
    assert not (out / "inputs.json").exists()
    # Results of an earlier version get their record with the first file that joins them.
    assert phaseloom("reconstruct", out, "--to", "tif").status == 0
    record = json.loads((out / "inputs.json").read_text())
    assert (record["methods"], record["files"]) == (["peaks"], ["clean.tif"])


def test_maps_of_an_earlier_version_are_continued_with_their_scan(
    patterns: Any, cifs: Path, tmp_path: Path, phaseloom: Call
) -> None:
    index = ("index", patterns.file, "-p", cifs / "Au.cif", *CALIBRATED, "--out", tmp_path / "out")
    assert phaseloom(*index).status == 0
    (tmp_path / "out" / "inputs.json").unlink()
    ran = phaseloom(*index)
    assert ran.status == 0, ran.err


def test_no_folder_is_made_for_a_file_that_does_not_exist(tmp_path: Path, phaseloom: Call) -> None:
    ran = phaseloom("peaks", tmp_path / "none.npy", "--out", tmp_path / "out")
    assert ran.fault == f"{tmp_path / 'none.npy'}: no such file"
    assert not (tmp_path / "out").exists()


def test_an_overwriting_run_continues_the_same_input_and_is_continued(
    patterns: Any, other: Path, tmp_path: Path, phaseloom: Call
) -> None:
    """What was stopped after its first part is this run's own, with or without the flag."""
    from phaseloom.compute.checkpoints import Checkpoints

    out = tmp_path / "out"
    given = ("peaks", patterns.file, *CALIBRATED[:-1], "--out", out)
    assert phaseloom(*given).status == 0
    again = phaseloom(*given, "--overwrite")
    assert "kept from an earlier run: 3 stages" in again.out
    called: list[str] = []
    stages = Checkpoints(out / "results.zarr", before=lambda: called.append("cleared"))
    parts = stages.parts("peaks", "register", "key")
    assert parts.done() == []
    assert called == []
    import xarray as xr

    parts.save(0, xr.Dataset({"a": ("x", [1])}))
    assert called == ["cleared"]
    assert Checkpoints(out / "results.zarr").parts("peaks", "register", "key").done() == [0]


def test_a_map_of_components_is_not_replaced_by_one_of_patterns(
    patterns: Any, cifs: Path, tmp_path: Path, phaseloom: Call
) -> None:
    out = tmp_path / "run"
    assert phaseloom("peaks", patterns.file, *CALIBRATED, "--out", out).status == 0
    store = out / "results.zarr" / "orientation"
    assert phaseloom("index", out, "-p", cifs / "Au.cif", "--quiet").status == 0
    metadata = json.loads((store / "zarr.json").read_text())
    metadata["attributes"]["of_components"] = 3
    (store / "zarr.json").write_text(json.dumps(metadata))
    fault = phaseloom("index", out, "-p", cifs / "Au.cif").fault
    assert "holds the orientation map of components by phaseloom cluster, which" in fault
