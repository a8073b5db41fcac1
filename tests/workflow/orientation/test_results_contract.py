"""What others script against: the group /orientation of results.zarr, from the real chain."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from whole_runs import Whole, opened_without_warning, run_whole, write_simulated

from phaseloom.crystals import crystals_from_json, iron_phosphate, lithium_iron_phosphate
from phaseloom.simulate import Beam, Camera, grain_map
from phaseloom.workflow.orientation.demo import score, write_cif
from phaseloom.workflow.recipe import read_recipe

FLOATS = ("correlation", "orientation_reliability", "phase_reliability", "probability",
          "phase_probability", "explained", "residual")  # fmt: skip
SHAPE = (10, 8)


@pytest.fixture(scope="session")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A scan of few grains of two phases, tall rather than square."""
    folder = tmp_path_factory.mktemp("indexed")
    crystals = [lithium_iron_phosphate(), iron_phosphate()]
    sample = grain_map(SHAPE, (0.5, 0.5), n_grains=4, step=5.0, seed=2)
    beam = Beam(dose=2e5, precession_angle=0.8)
    camera = Camera(shape=(192, 192), pixel_size=0.016, sigma=1.8, descan=((2.0, 0.5), (-1, 3.0)))
    truth = write_simulated(folder / "scan.npy", sample, crystals, beam=beam, camera=camera)
    files = [str(write_cif(folder / f"{c.name}.cif", c)) for c in crystals]
    out = run_whole(
        folder, "index", str(folder / "scan.npy"), "-p", files[0], "-p", f"heterosite={files[1]}",
        "--pixel-size", "0.016", "--step", "5", "--voltage", "200", "--precession", "0.8",
        "--to", "ang", "--to", "ctf", "--to", "h5", "--workers", "2",
    )  # fmt: skip
    return Whole(out, opened_without_warning(out), truth)


def test_maps_and_solutions(indexed: Whole) -> None:
    data = indexed.tree["orientation"].to_dataset()
    for name in FLOATS:
        assert data[name].dims == ("y", "x")
        assert data[name].dtype == np.float32
    assert data["phase"].dtype == data["matched"].dtype == np.int16
    assert data["ambiguous"].dtype == bool
    assert data["rotation"].dims == ("y", "x", "quaternion")
    assert data["rotation"].dtype == np.float64
    assert data["rotation"].shape == (*SHAPE, 4)
    for name in ("phase", "correlation", "probability"):
        assert data[f"solution_{name}"].dims == ("solution", "y", "x")
    assert data["solution_rotation"].dims == ("solution", "y", "x", "quaternion")
    assert data.sizes["solution"] <= 5
    assert data["phase_name"].to_numpy().tolist() == ["LiFePO4", "heterosite"]
    assert data["y"].attrs["units"] == "nm"
    unindexed = data["phase"].to_numpy() < 0
    assert (np.isnan(data["rotation"].to_numpy()).all(axis=-1) == unindexed).all()


def test_attributes(indexed: Whole) -> None:
    attrs = indexed.tree["orientation"].attrs
    assert [c.name for c in crystals_from_json(attrs["crystals"])] == ["LiFePO4", "heterosite"]
    assert (attrs["voltage"], attrs["precession_angle"]) == (200, 0.8)
    for name in ("thickness", "k_min", "k_max", "seconds", "patterns_per_second"):
        assert attrs[name] > 0
    assert isinstance(json.loads(attrs["pseudo_symmetry"]), list)
    assert set(json.loads(attrs["inputs"])) == {"scan", "LiFePO4", "heterosite"}
    assert "numba" in json.loads(attrs["versions"])
    assert indexed.tree["orientation/grains"].attrs["threshold"] == 5.0


def test_the_folder_holds_everything(indexed: Whole) -> None:
    names = {f.relative_to(indexed.folder).as_posix() for f in indexed.folder.rglob("*")}
    assert {"report.html", "recipe.toml"} <= names
    assert {f"orientation.{kind}" for kind in ("ang", "ctf", "h5")} <= names
    tables = ("phases", "grains", "boundaries", "registration", "peaks_per_pattern")
    assert {f"tables/{name}.csv" for name in tables} <= names
    figures = ("maps", "patterns", "quality", "poles", "statistics")
    assert {f"figures/orientation_{name}.png" for name in figures} <= names
    assert "figures/peaks_maps.png" in names
    assert "unfinished" not in names
    recipe: Any = read_recipe(indexed.folder / "recipe.toml")
    assert [c.label for c in recipe.crystal] == ["LiFePO4", "heterosite"]
    assert all(c.file.is_file() for c in recipe.crystal)


def test_orientations_are_those_of_the_truth(indexed: Whole) -> None:
    truth = indexed.truth
    data = indexed.tree["orientation"].to_dataset().assign(
        true_phase=truth["phase"].variable, true_rotation=truth["rotation"].variable
    )  # fmt: skip
    found = score(xr.DataTree.from_dict({"/orientation": data}), truth)
    every = found["pixels"]["all"]
    assert every["within_3_degrees"] > 0.98
    assert every["median_misorientation"] < 0.12
    assert every["calibration_error"] < 0.03
    assert found["confusion"]["LiFePO4"][1] <= 1


def test_grains_are_those_of_the_truth(indexed: Whole) -> None:
    grain = indexed.tree["orientation/grains"]["grain"].to_numpy()
    true = indexed.truth["grain"].to_numpy().ravel()
    sizes = np.sort(np.bincount(grain[grain >= 0]))[::-1][:4]
    np.testing.assert_allclose(sizes, np.sort(np.bincount(true))[::-1][:4], atol=2)
    table = pd.read_csv(indexed.folder / "tables" / "grains.csv")
    assert table["area"].sum() == pytest.approx(25.0 * (grain >= 0).sum())
    assert table["spread"].iloc[0] == pytest.approx(0.8, abs=0.3), "half a degree about each axis"


def test_simulated_spots_lie_on_the_peaks(indexed: Whole) -> None:
    sample = indexed.tree["orientation/sample"].to_dataset(inherit=False)
    best = sample.isel(sample=0)
    spots = np.stack([best[f"spot_{a}"].to_numpy()[:15] for a in ("ky", "kx")], axis=-1)
    peaks = np.stack([best[f"peak_{a}"].to_numpy() for a in ("ky", "kx")], axis=-1)
    nearest = np.nanmin(np.linalg.norm(spots[:, None] - peaks[None], axis=-1), axis=1)
    assert np.median(nearest) < 0.01


def test_exports_read_back_with_orix(indexed: Whole) -> None:
    from orix.io import load

    data = indexed.tree["orientation"].to_dataset()
    read = load(indexed.folder / "orientation.h5")
    assert read.shape == SHAPE
    np.testing.assert_array_equal(read.phase_id.reshape(SHAPE), data["phase"].to_numpy())
