"""Components from the command line, with registration and the chain made simple."""

from __future__ import annotations

import inspect
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from whole_runs import CALIBRATED, opened

from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.errors import InputError
from phaseloom.workflow.components.recipe import ComponentsRecipe, example
from phaseloom.workflow.recipe import read_recipe, to_toml

Call = Callable[..., Any]
Patterns = Any
Asked = list[dict[str, Any]]


def test_cluster_leaves_the_folder_of_the_contract(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Asked,
    simple_components: Asked,
) -> None:  # fmt: skip
    given = ("cluster", patterns.file, *CALIBRATED, "--patterns", "registered")
    ran = phaseloom(*given, "--out", tmp_path)
    assert (ran.status, ran.err) == (0, "")
    for text in ("30 (5×6)", "components", "background", "overlaps", "0.0184", "largest number"):
        assert text in ran.out
    tree = opened(tmp_path)
    assert set(tree.children) == {"peaks", "components"}
    attrs = tree["components"].attrs
    assert set(json.loads(attrs["inputs"])) == {"scan"}
    assert attrs["patterns_per_second"] > 0
    assert attrs["voltage"] == 200
    assert 'method = "cluster"' in attrs["recipe"]
    rank = pd.read_csv(tmp_path / "tables" / "rank.csv")
    assert rank["k"].tolist() == list(range(2, 21))
    assert {"loss", "held_out", "stability", "redundancy", "quality_ssim"} <= set(rank.columns)
    for name in ("components", "component_positions", "boundary_network", "registration"):
        assert (tmp_path / "tables" / f"{name}.csv").is_file()
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "omponents" in html
    assert not (tmp_path / "unfinished").exists()
    (asked,) = simple_components
    assert isinstance(asked["found"].patterns, Peaks)


def test_options_reach_the_chain(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Asked,
    simple_components: Asked,
) -> None:  # fmt: skip
    ran = phaseloom(
        "cluster", patterns.file, *CALIBRATED, "--precession", "0.8", "--scan-shape", "3,10",
        "--no-hot", "--centre", "30,31.5", "--descan", "each", "--max-peaks", "99",
        "--patterns", "registered", "-k", "4", "--components-max", "12", "--choose", "published",
        "--size", "64",
        "--mask-radius", "3", "--scaling", "none", "--loss", "frobenius", "--start", "nndsvd",
        "--sparsity", "0.1", "--smoothness", "0.2", "--seeds", "2", "--background", "1",
        "--background-ratio", "0.6", "--overlap-ratio", "0.8", "--seed", "4", "--device", "cpu",
        "--out", tmp_path, "--json",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    (registered,), (asked,) = simple_chain, simple_components
    assert registered["recipe"].centring.centre == (30, 31.5)
    assert not registered["recipe"].correction.hot
    assert (asked["found"].voltage, asked["found"].precession) == (200, 0.8)
    recipe = asked["recipe"]
    assert (recipe.seed, recipe.device) == (4, "cpu")
    assert recipe.preparation.model_dump() == {
        "patterns": "registered", "size": 64, "mask_radius": 3.0, "scaling": "none",
    }  # fmt: skip
    assert recipe.factorisation.model_dump() == {
        "k": 4, "components_max": 12, "choose": "published", "loss": "frobenius", "start": "nndsvd",
        "sparsity": 0.1, "smoothness": 0.2, "seeds": 2,
    }  # fmt: skip
    assert recipe.overlaps.model_dump() == {
        "background": 1, "background_ratio": 0.6, "overlap_ratio": 0.8,
    }  # fmt: skip
    facts = json.loads(ran.out)
    assert facts["method"] == "cluster"
    assert facts["components"]["scan_shape"] == [3, 10]
    assert facts["components"]["k"] == 4
    assert sum(facts["components"]["fractions"]) + facts["components"]["nothing"] == (
        pytest.approx(1.0)
    )
    assert not (tmp_path / "tables" / "rank.csv").exists(), "k was given"


def test_the_one_place_where_words_of_recipe_and_chain_meet(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Asked,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from phaseloom.components import clustering

    known = inspect.signature(clustering.cluster)

    def cluster(*positional: Any, **named: Any) -> None:
        known.bind(*positional, **named)
        raise InputError("this is far enough")

    monkeypatch.setattr(clustering, "cluster", cluster)
    ran = phaseloom("cluster", patterns.file, *CALIBRATED, "--out", tmp_path)
    assert "gold.npy: this is far enough" in ran.fault


def test_patterns_as_measured_are_not_registered(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Asked,
    simple_components: Asked,
) -> None:  # fmt: skip
    for kind in ("raw", "mean", "peaks", None):
        asked = ("--patterns", kind) if kind else ()
        given = ("cluster", patterns.file, *CALIBRATED, *asked, "--out", tmp_path)
        ran = phaseloom(*given, "--quiet")
        assert ran.status == 0, ran.err
        fault = phaseloom(*given, "--no-hot").fault
        said = f"{kind or 'raw'} patterns are taken as measured: --hot is for registered ones"
        assert f"{said}; leave it out, or give --patterns registered" in fault
    assert simple_chain == []
    found = simple_components[0]["found"]
    assert found.patterns["counts"].sizes["ky"] == 64
    assert set(opened(tmp_path).children) == {"components"}


def test_a_folder_of_peaks_gets_the_components_beside_them(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Asked,
    simple_components: Asked,
) -> None:  # fmt: skip
    folder = tmp_path / "run"
    phaseloom("peaks", patterns.file, *CALIBRATED, "--out", folder, "--quiet")
    before = opened(folder)["peaks"]
    ran = phaseloom("cluster", folder)
    assert (ran.status, ran.err) == (0, "")
    assert len(simple_chain) == 1, "registered once"
    tree = opened(folder)
    assert set(tree.children) == {"peaks", "components"}
    xr.testing.assert_identical(tree["peaks"].to_dataset(), before.to_dataset())
    assert 'method = "peaks"' in (folder / "recipe.toml").read_text("utf-8")
    assert 'method = "cluster"' in (folder / "cluster.toml").read_text("utf-8")
    kept = phaseloom("run", folder / "cluster.toml")
    assert "kept from an earlier run: 1 stage " in kept.out
    fresh = phaseloom("cluster", folder, "--fresh")
    assert "kept" not in fresh.out
    xr.testing.assert_identical(opened(folder)["peaks"].to_dataset(), before.to_dataset())
    fault = phaseloom("cluster", folder, "--patterns", "raw").fault
    assert "run: holds peaks, and raw patterns are made of the scan; give the scan's file" in fault
    fault = phaseloom("cluster", folder, "--no-hot").fault
    assert "its peaks are registered: --hot comes too late" in fault


def test_peaks_of_an_earlier_run_are_shared_and_nothing_is_done_twice(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Asked,
    simple_components: Asked,
) -> None:  # fmt: skip
    phaseloom("peaks", patterns.file, *CALIBRATED, "--out", tmp_path, "--quiet")
    arguments = (
        "cluster", patterns.file, *CALIBRATED, "--patterns", "registered", "--out", tmp_path
    )  # fmt: skip
    first = phaseloom(*arguments)
    assert "kept from an earlier run: 3 stages" in first.out
    again = phaseloom(*arguments, "--json")
    assert len(json.loads(again.out)["notes"]) == 0
    facts = [json.loads(phaseloom(*arguments, "--json").out)["components"] for _ in range(2)]
    assert facts[0] == facts[1], "also the time that it took"
    other = phaseloom(*arguments, "--overlap-ratio", "0.9")
    assert "kept from an earlier run: 3 stages" in other.out


def test_other_methods_are_kept_beside(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Asked,
    simple_components: Asked,
) -> None:  # fmt: skip
    arguments = ("cluster", patterns.file, *CALIBRATED, "--patterns", "raw", "--size", "32",
                 "-k", "3", "--out", tmp_path)  # fmt: skip
    ran = phaseloom(*arguments, "--compare", "kmeans", "--compare", "mixture", "--json")
    assert ran.status == 0, ran.err
    facts = json.loads(ran.out)["components"]["agreement"]
    assert set(facts) == {"kmeans", "mixture"}
    tree = opened(tmp_path)["components"]
    assert set(tree.children) == {"kmeans", "mixture"}
    assert tree["kmeans"]["label"].shape == (5, 6)
    assert tree["kmeans"]["label"].dtype == np.int16
    assert tree["method"].to_numpy().tolist() == ["nmf", "kmeans", "mixture"]
    assert tree["agreement_of_methods"].dims == ("method", "method_2")
    fewer = phaseloom(*arguments, "--compare", "kmeans")
    assert "agreement with kmeans" in fewer.out
    assert "kept from an earlier run: 1 stage " in fewer.out, "the components"
    assert set(opened(tmp_path)["components"].children) == {"kmeans"}
    phaseloom(*arguments, "--quiet")
    alone = opened(tmp_path)["components"]
    assert not alone.children
    assert "agreement_of_methods" not in alone
    assert phaseloom(*arguments, "--compare", "guess").status == 2


def test_new_prints_a_recipe_that_is_valid(
    tmp_path: Path, phaseloom: Call, patterns: Patterns, simple_chain: Asked,
    simple_components: Asked,
) -> None:  # fmt: skip
    ran = phaseloom("new", "cluster")
    assert ran.status == 0
    assert ComponentsRecipe.model_validate(tomllib.loads(ran.out)) == example()
    plain = example().model_copy(update={"crystal": ()})
    assert ComponentsRecipe.model_validate(tomllib.loads(to_toml(plain))) == plain
    text = ran.out.partition("[[crystal]]")[0].replace("scan.blo", patterns.file.as_posix())
    text = text.replace("# pixel_size =", "pixel_size = 0.03 #")
    (tmp_path / "recipe.toml").write_text(text, encoding="utf-8")
    again = phaseloom("run", tmp_path / "recipe.toml", "--seed", "3", "--quiet")
    assert again.status == 0, again.err
    assert simple_components[0]["recipe"].seed == 3
    kept = read_recipe(tmp_path / "results" / "recipe.toml")
    assert kept.method == "cluster"


def test_patterns_in_px_are_told(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Asked,
    simple_components: Asked,
) -> None:  # fmt: skip
    ran = phaseloom("cluster", patterns.file, "--out", tmp_path)
    assert ran.status == 0
    assert "the pixel size is not known, so patterns are in px" in ran.err
    assert np.isnan(simple_components[0]["found"].voltage)
