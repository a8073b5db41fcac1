"""Scans, folders and recipes that components cannot be found in: one clear sentence."""

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
def cluster(patterns: Patterns, tmp_path: Path, phaseloom: Call) -> Callable[..., Any]:
    """``phaseloom cluster`` of raw patterns by the real chain, quickly."""

    def call(file: object, *arguments: object) -> Any:
        return phaseloom(
            "cluster", file, "--patterns", "raw", "--size", "16", "-k", "2", "--seeds", "1",
            "--pixel-size", "0.03", "--quiet", "--out", tmp_path / "out", *arguments,
        )  # fmt: skip

    return call


def saved(path: Path, counts: np.ndarray) -> Path:
    np.save(path, counts)
    return path


@pytest.fixture
def counts(patterns: Patterns) -> np.ndarray:
    loaded: np.ndarray = np.load(patterns.file)
    return loaded


def test_negative_and_missing_intensities(
    cluster: Call, counts: np.ndarray, tmp_path: Path
) -> None:
    for wrong, said in ((-5.0, "negative"), (np.nan, "not a number")):
        values = counts.astype(np.float32)
        values[2, 3, 40, 12] = wrong
        fault = cluster(saved(tmp_path / "wrong.npy", values)).fault
        assert fault.startswith(str(tmp_path / "wrong.npy")), fault
        assert f"the pattern of position 15 holds an intensity that is {said}" in fault


def test_constant_frames(cluster: Call, counts: np.ndarray, tmp_path: Path) -> None:
    fault = cluster(saved(tmp_path / "flat.npy", np.full_like(counts, 7))).fault
    assert "flat.npy: the patterns are empty or flat" in fault
    same = np.broadcast_to(counts[:1, :1], counts.shape).copy()
    assert (
        "same.npy: the patterns are all the same"
        in cluster(saved(tmp_path / "same.npy", same)).fault
    )


def test_few_positions(cluster: Call, counts: np.ndarray, tmp_path: Path) -> None:
    fault = cluster(saved(tmp_path / "few.npy", counts[:1, :3])).fault
    assert "few.npy: a scan of 1×3 positions is too small" in fault


def test_more_components_than_the_scan_has(
    cluster: Call, counts: np.ndarray, tmp_path: Path
) -> None:
    fault = cluster(saved(tmp_path / "small.npy", counts[:2, :3]), "-k", "7").fault
    assert "small.npy: the patterns have 6 independent components, of which no 7 can be" in fault
    # Three patterns again and again.
    three = counts.reshape(-1, *counts.shape[2:])[:3]
    again = three[np.arange(30) % 3].reshape(counts.shape)
    fault = cluster(saved(tmp_path / "again.npy", again), "-k", "9").fault
    assert "again.npy: the patterns have 3 independent components, of which no 9 can be" in fault


def test_components_need_what_indexing_needs(
    phaseloom: Call, patterns: Patterns, cifs: Path, tmp_path: Path, simple_chain: Any,
    simple_components: Any,
) -> None:  # fmt: skip
    given = ("cluster", patterns.file, "--phase", cifs / "Au.cif", "--out", tmp_path, "--quiet")
    fault = phaseloom(*given, "--patterns", "registered").fault
    assert "gold.npy: does not say the voltage of the beam and the pixel size in Å⁻¹" in fault
    raw = phaseloom(*given, "--pixel-size", "0.03").fault
    assert "does not say the voltage of the beam; give --voltage KV" in raw
    known = ("--pixel-size", "0.003", "--voltage", "200")
    assert "no reflection of Au can be seen" in phaseloom(*given, *known).fault
    alone = phaseloom(*given, "--patterns", "peaks", *known).fault
    assert "components of pixels with peaks alone cannot be indexed" in alone
    twice = phaseloom(*given, "--phase", cifs / "Au.cif", *known).fault
    assert "two crystals are called 'Au': give them names (NAME=FILE.cif)" in twice
    assert simple_chain == simple_components == []


def test_a_map_of_phaseloom_index_is_not_replaced(
    phaseloom: Call, patterns: Patterns, cifs: Path, tmp_path: Path, simple_chain: Any,
    simple_components: Any, simple_index: Any,
) -> None:  # fmt: skip
    known = ("--pixel-size", "0.03", "--voltage", "200", "--quiet")
    run = tmp_path / "run"
    assert phaseloom("peaks", patterns.file, *known, "--out", run).status == 0
    assert phaseloom("index", run, "-p", cifs / "Au.cif", "--quiet").status == 0
    fault = phaseloom("cluster", run, "--phase", cifs / "Au.cif").fault
    assert "run: holds the orientation map of phaseloom index" in fault
    assert phaseloom("cluster", run, "--quiet").status == 0, "components alone are no harm"
    assert (run / "results.zarr" / "orientation" / "zarr.json").is_file()


def test_folders_and_files_at_fault(phaseloom: Call, beam: Any, tmp_path: Path) -> None:
    assert "gone.blo: no such file" in phaseloom("cluster", tmp_path / "gone.blo").fault
    stack = phaseloom("cluster", beam.file("a.hdf5"), "--out", tmp_path / "out")
    assert "holds no diffraction patterns" in stack.fault
    (tmp_path / "empty").mkdir()
    assert "empty: holds no registered peaks" in phaseloom("cluster", tmp_path / "empty").fault


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("-k", "0", "--k must be 'auto' or greater than or equal to 1, not '0'"),
        ("-k", "many", "--k must be 'auto' or a whole number"),
        ("--components-max", "2", "--components-max must be greater than or equal to 3"),
        ("--seeds", "0", "--seeds must be greater than or equal to 1"),
        ("--sparsity", "-1", "--sparsity must be greater than or equal to 0"),
        ("--size", "4", "--size must be greater than or equal to 11"),
        ("--mask-radius", "nan", "--mask-radius must be a finite number"),
        ("--background", "-2", "--background must be"),
        ("--background-ratio", "0", "--background-ratio must be greater than 0"),
        ("--overlap-ratio", "1.5", "--overlap-ratio must be less than or equal to 1"),
    ],
)
def test_numbers_that_cannot_be(
    phaseloom: Call, patterns: Patterns, tmp_path: Path, option: str, value: str, said: str
) -> None:
    ran = phaseloom("cluster", patterns.file, option, value, "--out", tmp_path / "out")
    assert said in ran.fault


def test_a_background_that_is_no_component(
    phaseloom: Call, patterns: Patterns, tmp_path: Path
) -> None:
    ran = phaseloom("cluster", patterns.file, "-k", "3", "--background", "3", "--out", tmp_path)
    assert "background component 3 is none of 3: they count from 0" in ran.fault


def test_wrong_usage(phaseloom: Call, patterns: Patterns) -> None:
    for wrong in (("--patterns", "best"), ("--loss", "l1"), ("--size", "big"), ("--bogus",)):
        assert phaseloom("cluster", patterns.file, *wrong).status == 2
    assert phaseloom("cluster").status == 2
    assert phaseloom("demo", "cluster", "--size", "3").status == 2


GOOD = 'method = "cluster"\n[scan]\nfile = "gold.npy"\npixel_size = 0.03\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + "[overlap]\n", "overlap is not a key of the recipe"),
        (GOOD + "[factorisation]\nk = 2.5\n", "--k must be"),
        (GOOD + "[preparation]\npatterns = 'best'\n", "--patterns must be 'raw'"),
        (GOOD + "[[crystal]]\nname = 'a'\n", "crystal 1.file is missing"),
        (GOOD.replace("[scan]", 'compare = ["guess"]\n[scan]'), "compare 1 must be 'kmeans'"),
        (
            GOOD.replace("[scan]", 'compare = "gmvae"\n[scan]'),
            "compare must be a list or",
        ),
    ],
)
def test_recipes_at_fault(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, text: str, said: str
) -> None:
    shutil.copy(patterns.file, tmp_path / "gold.npy")
    (tmp_path / "recipe.toml").write_text(text)
    assert said in phaseloom("run", tmp_path / "recipe.toml", "--out", tmp_path / "out").fault
