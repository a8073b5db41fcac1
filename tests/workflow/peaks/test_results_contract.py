"""What others script against: the group /peaks of results.zarr, from the real chain."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from whole_runs import CALIBRATED, opened_without_warning, run_whole

from phaseloom.diffraction.peaks.table import COLUMNS
from phaseloom.workflow.peaks.demo import score
from phaseloom.workflow.peaks.recipe import PeaksRecipe
from phaseloom.workflow.peaks.reconstruct import read_peaks

Patterns = Any

MAPS = ("centre_y", "centre_x", "bright_field", "spot_sum", "spot_count", "noise", "prominence")


@pytest.fixture(scope="module")
def folder(patterns: Patterns, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one whole run, figures and all."""
    whole = tmp_path_factory.mktemp("whole")
    return run_whole(whole, "peaks", str(patterns.file), *CALIBRATED, "--workers", "2")


@pytest.fixture(scope="module")
def tree(folder: Path) -> xr.DataTree:
    return opened_without_warning(folder)


def test_columns_and_maps(tree: xr.DataTree) -> None:
    peaks = tree["peaks"].to_dataset()
    for name in COLUMNS:
        assert peaks[name].dims == ("peak",)
        assert peaks[name].dtype == np.float32
    for name in MAPS:
        assert peaks[name].dims == ("y", "x")
    assert peaks["offset"].dtype == np.int64
    assert peaks["offset"].shape == (5 * 6 + 1,)
    assert peaks["offset"][-1] == peaks.sizes["peak"]
    np.testing.assert_array_equal(
        np.diff(peaks["offset"]).reshape(5, 6), peaks["spot_count"].to_numpy()
    )
    assert peaks["ky"].attrs["units"] == "Å⁻¹"
    assert peaks["y"].attrs["units"] == "nm"


def test_attributes(tree: xr.DataTree) -> None:
    attrs = tree["peaks"].attrs
    assert attrs["pixel_size"] == pytest.approx(0.03)
    assert list(attrs["detector_shape"]) == [64, 64]
    assert attrs["voltage"] == 200
    assert attrs["bytes_in"] == 30 * 64 * 64 * 2
    assert attrs["bytes_out"] > 0
    for name in ("seconds", "patterns_per_second", "gain", "false_alarms", "spot_sigma"):
        assert attrs[name] > 0
    assert attrs["spot_sigma"] == pytest.approx(1.5, abs=0.2)


def test_the_folder_holds_everything(folder: Path, tree: xr.DataTree) -> None:
    names = {file.relative_to(folder).as_posix() for file in folder.rglob("*")}
    assert {"report.html", "recipe.toml", "tables/registration.csv"} <= names
    assert {f"figures/peaks_{n}.png" for n in ("pattern", "density", "maps", "beam")} <= names
    assert "unfinished" not in names
    recipe = PeaksRecipe.model_validate(tomllib.loads((folder / "recipe.toml").read_text("utf-8")))
    assert recipe.scan.pixel_size == 0.03
    assert set(json.loads(tree.attrs["versions"])) >= {"phaseloom", "numpy", "numba"}


def test_peaks_are_those_of_the_truth(folder: Path, patterns: Patterns) -> None:
    found = score(read_peaks(folder).data, patterns.truth)
    assert found["recall"] > 0.9
    assert found["precision"] > 0.95
    assert found["rms_px"] < 0.3
    assert found["centre_error_px"] < 0.2


def test_threads_and_cluster_agree(
    folder: Path, patterns: Patterns, tmp_path: Path, phaseloom: Callable[..., Any]
) -> None:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=2, dashboard_address=":0"
    ) as cluster:  # other processes: everything is sent
        ran = phaseloom("run", folder / "recipe.toml", "--out", tmp_path, "--quiet",
                        "--scheduler", cluster.scheduler_address)  # fmt: skip
    assert (ran.status, ran.err) == (0, "")
    a, b = read_peaks(folder).data, read_peaks(tmp_path).data
    for name in (*COLUMNS, *MAPS, "offset"):
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
