"""What others script against: the group /components of results.zarr, from the real chain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from whole_runs import Whole, opened_without_warning, run_whole, write_simulated

from phaseloom.crystals import lithium_iron_phosphate
from phaseloom.simulate import Beam, Camera, grain_map
from phaseloom.workflow.components.demo import score
from phaseloom.workflow.orientation.demo import write_cif
from phaseloom.workflow.recipe import read_recipe

SHAPE = (14, 12)
GRAINS = 4
METRICS = ("psnr", "ssim", "gmsd", "mdsi")


@pytest.fixture(scope="session")
def clustered(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A scan of few grains, tall rather than square."""
    folder = tmp_path_factory.mktemp("clustered")
    crystal = lithium_iron_phosphate()
    sample = grain_map(SHAPE, (1.0,), n_grains=GRAINS, spread=0.1, overlap_width=1.5, seed=5)
    beam = Beam(dose=1e5, precession_angle=0.8)
    camera = Camera(shape=(128, 128), pixel_size=0.02, sigma=1.6, descan=((2.0, 0.5), (-1, 3.0)))
    truth = write_simulated(folder / "scan.npy", sample, [crystal], beam=beam, camera=camera)
    cif = write_cif(folder / "LiFePO4.cif", crystal)
    out = run_whole(
        folder, "cluster", str(folder / "scan.npy"), "-p", f"triphylite={cif}", "--compare",
        "kmeans", "--components-max", "7", "--seeds", "2", "--size", "64", "--pixel-size", "0.02",
        "--step", "5", "--voltage", "200", "--precession", "0.8", "--workers", "2",
    )  # fmt: skip
    return Whole(out, opened_without_warning(out), truth)


def test_components_and_maps(clustered: Whole) -> None:
    data = clustered.tree["components"].to_dataset()
    k = data.attrs["k"]
    for name in ("pattern", "mean_pattern", "brightest_pattern"):
        assert data[name].dims == ("component", "ky", "kx")
        assert data[name].shape == (k, 64, 64)
        assert data[name].dtype == np.float32
    assert data["weight"].dims == ("component", "y", "x")
    assert data["weight"].shape == (k, *SHAPE)
    assert data["weight"].dtype == data["residual"].dtype == np.float32
    assert float(data["weight"].min()) >= 0
    assert data["label"].dtype == data["partner"].dtype == np.int16
    assert data["overlap"].dims == ("threshold", "y", "x")
    assert data["overlap"].dtype == np.int8
    assert data["threshold"].to_numpy().tolist() == [0.75, 0.8, 0.85, 0.9, 0.95]
    for name, dims in (
        ("similarity", ("metric", "component", "component_2")),
        ("agreement", ("metric", "component")),
        ("loss", ("k",)),
        ("held_out", ("k",)),
        ("held_out_error", ("k",)),
        ("stability", ("k",)),
        ("redundancy", ("k",)),
        ("found", ("k",)),
    ):
        assert data[name].dims == dims, name
    assert tuple(data["metric"].to_numpy()) == METRICS
    assert int(data["k"].max()) == 7
    assert data["y"].attrs["units"] == "nm"
    assert data["ky"].attrs["units"] == "Å⁻¹"
    light = (data["weight"].sum(("y", "x")) * data["pattern"].sum(("ky", "kx"))).to_numpy()
    assert (np.diff(light) <= 1e-3 * light[:-1]).all(), "the one with most intensity first"


def test_attributes(clustered: Whole) -> None:
    attrs = clustered.tree["components"].attrs
    assert attrs["grains"] == attrs["k"] - (attrs["background"] >= 0)
    assert f"k = {attrs['k']} " in attrs["reason"]
    assert (attrs["choose"], attrs["patterns"]) == ("sound", "raw")
    assert (attrs["background_ratio"], attrs["overlap_ratio"]) == (0.65, 0.75)
    for name in ("error", "seconds", "patterns_per_second", "voltage"):
        assert attrs[name] > 0
    assert set(json.loads(attrs["inputs"])) == {"scan", "triphylite"}
    assert "scikit-learn" in json.loads(attrs["versions"])


def test_the_folder_holds_everything(clustered: Whole) -> None:
    names = {f.relative_to(clustered.folder).as_posix() for f in clustered.folder.rglob("*")}
    assert {"report.html", "recipe.toml"} <= names
    tables = ("components", "component_positions", "boundary_network", "rank", "phases", "grains")
    assert {f"tables/{name}.csv" for name in tables} <= names
    for figure in ("component_maps", "rank_evidence", "orientation_maps"):
        assert f"figures/{figure}.png" in names
    assert "unfinished" not in names
    assert set(clustered.tree["components"].children) == {"kmeans"}
    assert set(clustered.tree["orientation"].children) == {"grains", "sample"}
    recipe: Any = read_recipe(clustered.folder / "recipe.toml")
    assert [c.label for c in recipe.crystal] == ["triphylite"]
    rank = pd.read_csv(clustered.folder / "tables" / "rank.csv")
    assert rank["k"].max() == 7
    assert {"held_out_error", "stability", "redundancy", "found"} <= set(rank)


def test_grains_are_those_of_the_truth(clustered: Whole) -> None:
    found = score(clustered.tree["components"].to_dataset(), clustered.truth)
    assert found["grains"] == GRAINS
    assert found["worst_map_correlation"] > 0.95
    assert found["right_labels"] > 0.98
    assert found["overlap_f1"] > 0.6


def test_orientations_are_mapped_by_the_labels(clustered: Whole) -> None:
    data = clustered.tree["orientation"].to_dataset()
    label = clustered.tree["components"]["label"].to_numpy()
    assert data.attrs["of_components"] == clustered.tree["components"].attrs["grains"]
    for component in range(GRAINS):
        turns = data["rotation"].to_numpy()[label == component]
        np.testing.assert_array_equal(turns, np.broadcast_to(turns[:1], turns.shape))
    assert data["phase_name"].to_numpy().tolist() == ["triphylite"]


def test_orientations_can_be_exported(clustered: Whole, tmp_path: Path) -> None:
    from orix.io import load

    from phaseloom.workflow.export import export_results

    (file,) = export_results(clustered.folder, "ctf", tmp_path)
    assert load(str(file)).size == SHAPE[0] * SHAPE[1]
    maps = {f.name for f in export_results(clustered.folder, "tiff", tmp_path)}
    assert maps == {"orientation.tif", "components.tif", "component_patterns.tif"}
