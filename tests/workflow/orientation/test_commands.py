"""Orientation maps from the command line, with registration and indexing made simple."""

from __future__ import annotations

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

from phaseloom.crystals import gold, iron_phosphate, lithium_iron_phosphate, read_crystal, to_json
from phaseloom.crystals.scattering import reflections
from phaseloom.diffraction.calibration.calibration import Calibration
from phaseloom.simulate import grain_map
from phaseloom.workflow.orientation.demo import calibration_error, score, write_cif
from phaseloom.workflow.orientation.recipe import OrientationRecipe, example
from phaseloom.workflow.recipe import read_recipe

Call = Callable[..., Any]
Patterns = Any
Asked = list[dict[str, Any]]


@pytest.fixture
def both(cifs: Path) -> tuple[str, ...]:
    """Arguments that name two crystals."""
    return ("-p", str(cifs / "Au.cif"), "-p", f"argentum={cifs / 'Ag.cif'}")


def test_index_leaves_the_folder_of_the_contract(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Asked, simple_index: Asked,
    both: tuple[str, ...],
) -> None:  # fmt: skip
    ran = phaseloom("index", patterns.file, *both, *CALIBRATED, "--out", tmp_path)
    assert (ran.status, ran.err) == (0, "")
    for text in (
        "30 (5×6)",
        "Au",
        "argentum",
        "40.0%",
        "unindexed",
        "3.3%",
        "patterns/s",
        "grains",
    ):
        assert text in ran.out
    tree = opened(tmp_path)
    assert set(tree.children) == {"peaks", "orientation"}
    assert set(tree["orientation"].children) == {"grains", "sample"}
    attrs = tree["orientation"].attrs
    assert set(json.loads(attrs["inputs"])) == {"scan", "Au", "argentum"}
    assert attrs["patterns_per_second"] > 0
    assert 'method = "index"' in attrs["recipe"]
    assert tree["orientation"]["phase_name"].to_numpy().tolist() == ["Au", "argentum"]
    grain = tree["orientation/grains"]["grain"].to_numpy()
    assert grain[0, 0] == -1
    # Rows are one grain each; the first has a pixel less.
    np.testing.assert_array_equal(grain[:, -1], [4, 0, 1, 2, 3])
    tables = tmp_path / "tables"
    grains = pd.read_csv(tables / "grains.csv")
    assert grains["phase"].tolist() == ["argentum", "Au", "argentum", "Au", "Au"]
    assert grains["area"].tolist() == [150.0] * 4 + [125.0]
    borders = pd.read_csv(tables / "boundaries.csv")
    assert len(borders) == 4
    assert borders["angle"].to_numpy() == pytest.approx([20.0] * 4, abs=1e-5)
    phases = pd.read_csv(tables / "phases.csv")
    assert phases["phase"].tolist() == ["Au", "argentum", "unindexed"]
    assert phases["pixels"].tolist() == [17, 12, 1]
    assert phases["grains"].tolist() == [3, 2, 0]
    assert phases["fraction"].sum() == pytest.approx(1.0)
    alike = pd.read_csv(tables / "pseudo_symmetry.csv")
    assert alike.iloc[0].to_dict() == {"phase": "Au", "angle": 60.0, "axis": "1 1 1", "count": 3}
    assert (tables / "registration.csv").is_file()
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Orientation map" in html
    assert "Boundaries" in html
    assert not (tmp_path / "unfinished").exists()


def test_the_diffraction_check_shows_every_phase_from_sure_to_unsure(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Asked, simple_index: Asked,
    both: tuple[str, ...],
) -> None:  # fmt: skip
    phaseloom("index", patterns.file, *both, *CALIBRATED, "--out", tmp_path, "--quiet")
    tree = opened(tmp_path)
    sample = tree["orientation/sample"].to_dataset(inherit=False)
    assert sample["crystal"].to_numpy().tolist() == [0, 0, 0, 1, 1, 1]
    probability = tree["orientation"]["probability"].to_numpy()
    shown = probability[sample["y"].to_numpy(), sample["x"].to_numpy()]
    assert (np.diff(shown[:3]) < 0).all()
    assert shown[0] == np.nanmax(probability)
    assert sample["zone"].to_numpy().tolist() == ["$[001]$"] * 6, "turned about the beam"
    for name in ("peak_ky", "spot_ky", "spot_hkl"):
        assert sample[name].sizes["sample"] == 6
    ky, kx = (sample[f"spot_{a}"].to_numpy() for a in ("ky", "kx"))
    known = np.isfinite(ky)
    hkl = sample["spot_hkl"].to_numpy()[known]
    lengths = np.linalg.norm(hkl, axis=1) / np.where(
        np.repeat(sample["crystal"].to_numpy(), known.sum(axis=1)) == 0, 4.0786, 4.0862
    )
    # In a zone across the beam, spots lie at their whole length.
    np.testing.assert_allclose(np.hypot(ky, kx)[known], lengths, rtol=1e-4)


def test_options_reach_the_chain(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Asked, simple_index: Asked,
    both: tuple[str, ...],
) -> None:  # fmt: skip
    ran = phaseloom(
        "index", patterns.file, *both, *CALIBRATED, "--precession", "0.8", "--scan-shape", "3,10",
        "--no-hot", "--centre", "30,31.5", "--descan", "each", "--false-alarms", "0.2",
        "--sigma", "2", "--max-peaks", "99", "--zone-step", "1.5", "--in-plane-step", "1",
        "--match-k-max", "0.8", "--scale", "1.02", "--thickness", "300", "--solutions", "3",
        "--overlaps", "--context",
        "--to", "ang", "--to", "ctf", "--to", "ang", "--seed", "4", "--device", "cpu",
        "--out", tmp_path, "--json",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    (registered,), (indexed,) = simple_chain, simple_index
    assert not registered["recipe"].correction.hot
    assert registered["recipe"].centring.centre == (30, 31.5)
    assert registered["recipe"].peaks.max_peaks == 99
    assert indexed["found"].voltage == 200
    assert indexed["found"].precession == 0.8
    assert indexed["recipe"].seed == 4
    assert indexed["recipe"].device == "cpu"
    assert indexed["recipe"].matching.model_dump() == {
        "zone_step": 1.5, "in_plane_step": 1.0, "k_max": 0.8, "thickness": 300.0, "solutions": 3,
        "overlaps": True, "context": True, "scale": 1.02,
    }  # fmt: skip
    facts = json.loads(ran.out)
    assert facts["exports"] == [str(tmp_path / f"orientation.{kind}") for kind in ("ang", "ctf")]
    assert (tmp_path / "orientation.ang").is_file()
    assert facts["orientation"]["scan_shape"] == [3, 10]
    assert facts["orientation"]["fractions"]["Au"] == pytest.approx(19 / 30)


def test_the_one_place_where_words_of_recipe_and_chain_meet(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Asked, both: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    import inspect

    from phaseloom.errors import InputError
    from phaseloom.orientation import indexing

    known = inspect.signature(indexing.index)

    def index(*positional: Any, **named: Any) -> None:
        bound = known.bind(*positional, **named)
        assert bound.arguments["source"].units == "Å⁻¹"
        raise InputError("this is far enough")

    monkeypatch.setattr(indexing, "index", index)
    ran = phaseloom("index", patterns.file, *both, *CALIBRATED, "--out", tmp_path)
    assert "gold.npy: this is far enough" in ran.fault


def test_peaks_of_an_earlier_run_are_shared(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Asked, simple_index: Asked,
    both: tuple[str, ...],
) -> None:  # fmt: skip
    assert phaseloom("peaks", patterns.file, *CALIBRATED, "--out", tmp_path, "--quiet").status == 0
    ran = phaseloom("index", patterns.file, *both, *CALIBRATED, "--out", tmp_path)
    assert "kept from an earlier run: 3 stages" in ran.out
    again = phaseloom("index", patterns.file, *both, *CALIBRATED, "--out", tmp_path)
    assert "kept from an earlier run: 6 stages" in again.out
    other = phaseloom("index", patterns.file, *both[:2], *CALIBRATED, "--out", tmp_path)
    assert "kept from an earlier run: 3 stages" in other.out
    peaks = phaseloom("peaks", patterns.file, *CALIBRATED, "--out", tmp_path)
    assert "kept from an earlier run: 3 stages" in peaks.out
    assert "orientation" in opened(tmp_path).children


def test_a_folder_of_peaks_gets_the_map_beside_them(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Asked, simple_index: Asked,
    both: tuple[str, ...],
) -> None:  # fmt: skip
    folder = tmp_path / "run"
    phaseloom("peaks", patterns.file, *CALIBRATED, "--out", folder, "--quiet")
    before = opened(folder)["peaks"]
    ran = phaseloom("index", folder, *both)
    assert (ran.status, ran.err) == (0, "")
    assert len(simple_chain) == 1, "registered once"
    tree = opened(folder)
    assert set(tree.children) == {"peaks", "orientation"}
    xr.testing.assert_identical(tree["peaks"].to_dataset(), before.to_dataset())
    assert set(tree["peaks"].children) == {"sample", "density"}
    assert 'method = "peaks"' in (folder / "recipe.toml").read_text("utf-8")
    assert 'method = "index"' in (folder / "index.toml").read_text("utf-8")
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert "Orientation map" in html
    assert "4D-STEM" in html or "peaks" in html
    kept = phaseloom("run", folder / "index.toml")
    assert "kept from an earlier run: 3 stages" in kept.out
    fresh = phaseloom("index", folder, *both, "--fresh")
    assert "kept" not in fresh.out
    xr.testing.assert_identical(opened(folder)["peaks"].to_dataset(), before.to_dataset())
    from_scan = phaseloom("index", patterns.file, *both, *CALIBRATED, "--out", folder)
    assert "kept from an earlier run: 6 stages" in from_scan.out, "also what DIR had made"


def test_a_folder_of_peaks_and_another_for_the_map(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Asked, simple_index: Asked,
    both: tuple[str, ...],
) -> None:  # fmt: skip
    phaseloom("peaks", patterns.file, "--out", tmp_path / "run", "--quiet")
    ran = phaseloom("index", tmp_path / "run", *both, *CALIBRATED, "--precession", "0.5",
                    "--out", tmp_path / "map", "--quiet")  # fmt: skip
    assert ran.status == 0, ran.err
    found = simple_index[0]["found"]
    assert found.peaks.units == "Å⁻¹", "the folder's are in px"
    assert found.peaks.pixel_size == 0.03
    assert float(found.peaks.data["x"][1]) == 5.0
    assert (found.voltage, found.precession) == (200.0, 0.5)
    tree = opened(tmp_path / "map")
    assert set(tree.children) == {"orientation"}
    assert tree["orientation"]["x"].attrs["units"] == "nm"
    assert set(opened(tmp_path / "run").children) == {"peaks"}
    recipe = read_recipe(tmp_path / "map" / "recipe.toml")
    assert recipe.scan.file.resolve() == (tmp_path / "run").resolve()
    file = tmp_path / "calibration.toml"
    Calibration(
        0.02, 1e-5, ((1.01, 0.0), (0.0, 1 / 1.01)), (31.5, 31.5), (0.1, 0.1), 1.02, 0.001, 90.0,
        1.0, 0.1, 8,
    ).to_toml(file)  # fmt: skip
    again = phaseloom("index", tmp_path / "run", *both, "--voltage", "200", "--calibration", file,
                      "--out", tmp_path / "map", "--quiet")  # fmt: skip
    assert again.status == 0, again.err
    peaks = simple_index[1]["found"].peaks
    assert peaks.pixel_size == 0.02
    assert peaks.distortion[0, 0] == 1.01


def test_a_map_in_which_nothing_is_indexed(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Asked, both: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch, simple_index: Asked,
) -> None:  # fmt: skip
    import phaseloom.workflow.orientation.run as module

    usual = module._index

    def nothing(*arguments: Any, **how: Any) -> xr.Dataset:
        data = usual(*arguments, **how)
        gone = {name: data[name] * np.nan for name in ("rotation", "probability")}
        return data.assign(phase=data["phase"] * 0 - 1, **gone)

    monkeypatch.setattr(module, "_index", nothing)
    ran = phaseloom("index", patterns.file, *both, *CALIBRATED, "--out", tmp_path, "--json")
    assert ran.status == 0, ran.err
    facts = json.loads(ran.out)["orientation"]
    assert facts["unindexed"] == 1.0
    assert facts["grains"] == 0
    assert facts["correlation"] is None


def test_new_prints_a_recipe_that_is_valid(
    tmp_path: Path, phaseloom: Call, patterns: Patterns, simple_chain: Asked, simple_index: Asked,
    cifs: Path,
) -> None:  # fmt: skip
    ran = phaseloom("new", "index")
    assert ran.status == 0
    assert OrientationRecipe.model_validate(tomllib.loads(ran.out)) == example()
    assert ran.out.count("#") > 40, "every line says what it is"
    text = ran.out.replace("scan.blo", patterns.file.as_posix())
    text = text.replace("# voltage =", "voltage = 200 #").replace(
        "# pixel_size =", "pixel_size = 0.03 #"
    )
    text = text.replace("LiFePO4.cif", (cifs / "Au.cif").as_posix())
    text = text.replace("FePO4.cif", (cifs / "Ag.cif").as_posix())
    (tmp_path / "recipe.toml").write_text(text, encoding="utf-8")
    again = phaseloom("run", tmp_path / "recipe.toml", "--seed", "3", "--quiet")
    assert again.status == 0, again.err
    assert simple_index[0]["recipe"].seed == 3
    assert (tmp_path / "results" / "report.html").is_file()


def test_a_recipe_repeats_the_run(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Asked, simple_index: Asked,
    both: tuple[str, ...],
) -> None:  # fmt: skip
    first = phaseloom("index", patterns.file, *both, *CALIBRATED, "--to", "ctf",
                      "--out", tmp_path / "one", "--json")  # fmt: skip
    again = phaseloom("run", tmp_path / "one" / "recipe.toml", "--json")
    assert again.status == 0, again.err
    facts = [json.loads(ran.out)["orientation"] for ran in (first, again)]
    assert facts[0] == facts[1], "also the time that it took"
    phaseloom("run", tmp_path / "one" / "recipe.toml", "--out", tmp_path / "two", "--quiet")
    assert (tmp_path / "two" / "orientation.ctf").is_file()
    a, b = opened(tmp_path / "one"), opened(tmp_path / "two")
    for group in a.groups:
        xr.testing.assert_equal(a[group].to_dataset(False), b[group].to_dataset(False))


@pytest.mark.parametrize("crystal", [gold(), lithium_iron_phosphate(), iron_phosphate()])
def test_the_demonstrations_cifs_hold_the_crystals(tmp_path: Path, crystal: Any) -> None:
    read = read_crystal(write_cif(tmp_path / f"{crystal.name}.cif", crystal))
    assert read.name == crystal.name
    assert read.space_group == crystal.space_group
    assert len(read.elements) == len(crystal.elements)
    ours, theirs = (reflections(c, 1.0) for c in (crystal, read))
    np.testing.assert_allclose(
        np.abs(theirs.structure_factor), np.abs(ours.structure_factor), rtol=1e-4
    )


def test_the_score_of_the_truth_itself_is_perfect_and_falls_as_it_should() -> None:
    crystals = [lithium_iron_phosphate(), iron_phosphate()]
    truth = grain_map((12, 10), (0.5, 0.5), n_grains=6, overlap_width=1.0, empty=0.2, seed=3)
    phase, rotation = truth["phase"].to_numpy().copy(), truth["rotation"].to_numpy().copy()
    there = phase >= 0
    maps = ("y", "x")
    turns = (*maps, "quaternion")

    def scored(phase: Any, rotation: Any, said: float) -> dict[str, Any]:
        indexed = phase >= 0
        data = xr.Dataset(
            {
                "phase": (maps, phase),
                "rotation": (turns, np.where(indexed[..., None], rotation, np.nan)),
                "probability": (maps, np.where(indexed, said, np.nan)),
                "true_phase": (maps, truth["phase"].to_numpy()),
                "true_rotation": (turns, truth["rotation"].to_numpy()),
            },
            coords={axis: truth[axis] for axis in maps} | {"phase_name": ("crystal", ["a", "b"])},
            attrs={"crystals": to_json(crystals)},
        )  # fmt: skip
        return score(xr.DataTree.from_dict({"/orientation": data}), truth)

    best = scored(phase, rotation, 1.0)
    for group in best["pixels"].values():
        assert group["within_3_degrees"] == group["either"] == group["phase"] == 1.0
        assert group["median_misorientation"] == pytest.approx(0.0, abs=1e-4)
        assert group["calibration_error"] == 0.0
    assert best["pixels"]["all"]["pixels"] == there.sum()
    assert best["confusion"]["none"][-1] == (~there).sum()
    half = there & (np.arange(there.size).reshape(there.shape) % 2 == 0)
    wrong = scored(np.where(half, 1 - phase, phase), rotation, 1.0)
    share = 1 - half.sum() / there.sum()
    assert wrong["pixels"]["all"]["within_3_degrees"] == pytest.approx(share)
    assert wrong["pixels"]["all"]["calibration_error"] == pytest.approx(1 - share)
    second = truth["overlap"].to_numpy() > 0
    swapped = scored(
        np.where(second, truth["phase_2"].to_numpy(), phase),
        np.where(second[..., None], truth["rotation_2"].to_numpy(), rotation),
        1.0,
    )
    assert swapped["pixels"]["at boundaries"]["either"] == 1.0
    assert swapped["pixels"]["at boundaries"]["within_3_degrees"] < 0.5


def test_calibration_error() -> None:
    said = np.array([0.05, 0.05, 0.95, 0.95])
    assert calibration_error(said, np.array([False, False, True, True])) == pytest.approx(0.05)
    assert calibration_error(said, np.array([True, True, False, False])) == pytest.approx(0.95)
    assert np.isnan(calibration_error(np.empty(0), np.empty(0, bool)))
