"""Components for other programs, and their tables."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from component_maps import components
from tifffile import TiffFile

from phaseloom.compute.checkpoints import Checkpoints
from phaseloom.errors import InputError
from phaseloom.workflow.components.tables import group_tables
from phaseloom.workflow.export import export_results


@pytest.fixture
def data() -> xr.Dataset:
    return components((8, 10), 3, size=32, compared=False)["components"].to_dataset()


@pytest.fixture
def folder(tmp_path: Path, data: xr.Dataset) -> Path:
    """A result folder that holds the components as a finished stage."""
    keep = Checkpoints(tmp_path / "results.zarr")
    keep.stage("components", "made", "key", lambda: data.drop_attrs(deep=False), first=True)
    keep.finish({"components": dict(data.attrs)})
    return tmp_path


def test_maps_and_patterns_as_stacks_for_imagej(folder: Path, data: xr.Dataset) -> None:
    maps, patterns = export_results(folder, "tiff")
    assert (maps.name, patterns.name) == ("components.tif", "component_patterns.tif")
    with TiffFile(maps) as tiff:
        pages = dict(zip(tiff.imagej_metadata["Labels"], tiff.asarray(), strict=True))
    np.testing.assert_array_equal(pages["label"], data["label"])
    np.testing.assert_allclose(pages["weight 2"], data["weight"][2])
    assert {"partner", "residual", "overlap 0.75", "overlap 0.95"} <= set(pages)
    with TiffFile(patterns) as tiff:
        drawn = dict(zip(tiff.imagej_metadata["Labels"], tiff.asarray(), strict=True))
        resolution = tiff.pages[0].tags["XResolution"].value
        assert tiff.imagej_metadata["unit"] == "1/angstrom"
    np.testing.assert_allclose(drawn["component 1"], data["pattern"][1])
    assert resolution[1] / resolution[0] == pytest.approx(0.03)


def test_a_row_per_position(folder: Path, data: xr.Dataset) -> None:
    (file,) = export_results(folder, "csv")
    table = pd.read_csv(file)
    assert len(table) == 80
    assert {"y_nm", "x_nm", "label", "weight 0", "overlap 0.85"} <= set(table.columns)
    assert "phase_name" not in table
    np.testing.assert_allclose(table["weight 1"], data["weight"][1].to_numpy().ravel(), rtol=1e-6)


def test_nexus_holds_patterns_too(folder: Path, data: xr.Dataset) -> None:
    (file,) = export_results(folder, "nexus")
    with h5py.File(file) as found:
        entry = found[found.attrs["default"]]
        assert entry.attrs["default"] == b"label"
        assert entry["pattern"].attrs["axes"].tolist() == [b"component", b"ky", b"kx"]
        np.testing.assert_array_equal(entry["weight/data"], data["weight"])
        assert entry["similarity/metric"][0] == b"psnr"


def test_patterns_for_hyperspy_open_calibrated(folder: Path, data: xr.Dataset) -> None:
    from phaseloom.io import read

    (file,) = export_results(folder, "hspy", folder / "files")
    assert file.name == "component_patterns.hspy"
    scan = read(file)
    assert scan["counts"].shape == (1, 3, 32, 32)
    np.testing.assert_allclose(scan["counts"][0], np.nan_to_num(data["pattern"]))
    for axis in ("ky", "kx"):
        np.testing.assert_allclose(scan[axis], data[axis], atol=1e-9)


def test_components_are_no_orientations(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no finished orientation map"):
        export_results(folder, "ang")
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match="holds no finished components"):
        export_results(tmp_path / "other", "hspy")


@pytest.mark.parametrize("choose", ["sound", "published", "given"])
def test_tables(choose: str) -> None:
    data = components((8, 10), 4, size=32, choose=choose, compared=False)["components"]
    tables = group_tables(data.to_dataset())
    assert len(tables["components"]) == 4
    assert len(tables["component_positions"]) == int((data["label"] >= 0).sum())
    assert {"first", "second", "overlap"} <= set(tables["boundary_network"].columns)
    if choose == "given":
        assert "rank" not in tables
        return
    rank = tables["rank"]
    assert rank["k"].tolist() == data["k"].to_numpy().tolist()
    np.testing.assert_array_equal(rank["quality_mdsi"], data["quality"].sel(metric="mdsi"))
    assert ("votes_ssim" in rank) == (choose == "published")
