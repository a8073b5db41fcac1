"""``phaseloom export``: what lies in a folder, as files of other programs."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from orix.io import load
from orix.quaternion import Rotation
from tifffile import TiffFile

from phaseloom.compute.checkpoints import Checkpoints
from phaseloom.errors import InputError
from phaseloom.workflow.export import export_results


def kept(folder: Path, group: str, data: xr.Dataset) -> Path:
    """A result folder that holds the dataset as a finished stage."""
    folder.mkdir(exist_ok=True)
    keep = Checkpoints(folder / "results.zarr")
    keep.stage(group, "made", "key", lambda: data.drop_attrs(deep=False), first=True)
    keep.finish({group: dict(data.attrs)})
    return folder


@pytest.fixture
def orientations(tmp_path, orientation_map):
    return kept(tmp_path / "run", "orientation", orientation_map)


@pytest.fixture
def stack():
    """Three phases on a map that no turn or mirror leaves as it is; y upwards."""
    phase = np.array([[0, 1, 1, -1], [0, -2, 2, -1], [0, -1, -1, -1]], dtype=np.int16)
    posterior = np.random.default_rng(0).random((3, 3, 4)).astype(np.float32)
    return xr.Dataset(
        {
            "phase": (("y", "x"), phase),
            "mask": (("y", "x"), phase != -1),
            "posterior": (("reference", "y", "x"), posterior),
            "optical_density": (("energy", "y", "x"), np.ones((2, 3, 4))),
        },
        coords={
            "energy": ("energy", [510.0, 520.0], {"units": "eV"}),
            "y": ("y", [1.0, 1.5, 2.0], {"units": "µm"}),
            "x": ("x", [0.0, 0.25, 0.5, 0.75], {"units": "µm"}),
            "reference": ["a", "b", "c"],
        },
    )


@pytest.mark.parametrize("to", ["ang", "ctf", "h5"])
def test_orientations_are_written_beside_the_results(orientations, orientation_map, to):
    (file,) = export_results(orientations, to)
    assert file == orientations / f"orientation.{to}"
    found = load(str(file))
    phase = orientation_map["phase"].to_numpy().ravel()
    numbered = phase if to == "h5" else np.where(phase >= 0, phase + 1, -1)
    np.testing.assert_array_equal(found.phase_id, numbered)
    rotations = found.rotations.data
    first = rotations[:, 0] if rotations.ndim == 3 else rotations
    given = orientation_map["rotation"].to_numpy().reshape(-1, 4)
    apart = (~Rotation(given[phase >= 0]) * Rotation(first[phase >= 0])).angle
    assert np.degrees(apart).max() < 1e-4
    if to == "ctf":
        assert "KV\t200" in file.read_text(encoding="utf-8")


def test_a_row_per_pixel(orientations, orientation_map):
    (file,) = export_results(orientations, "csv")
    table = pd.read_csv(file)
    assert len(table) == 48
    y, x = np.meshgrid(orientation_map["y"], orientation_map["x"], indexing="ij")
    np.testing.assert_array_equal(table["y_nm"], y.ravel())
    np.testing.assert_array_equal(table["x_nm"], x.ravel())
    phase = orientation_map["phase"].to_numpy().ravel()
    np.testing.assert_array_equal(table["phase"], phase)
    assert table["phase_name"].fillna("").tolist() == [["LiFePO4", "Au", ""][p] for p in phase]
    np.testing.assert_allclose(
        table["correlation"], orientation_map["correlation"].to_numpy().ravel(), rtol=1e-6
    )
    rotation = orientation_map["rotation"].to_numpy().reshape(-1, 4)
    np.testing.assert_allclose(table[[f"rotation_{c}" for c in "abcd"]], rotation)
    indexed = phase >= 0
    euler = table.loc[indexed, ["phi1", "Phi", "phi2"]].to_numpy()
    again = Rotation.from_euler(euler, degrees=True)
    assert np.degrees((~Rotation(rotation[indexed]) * again).angle).max() < 1e-4
    assert table.loc[~indexed, ["phi1", "correlation"]].isna().all(axis=None)


def test_maps_as_a_stack_for_imagej(orientations, orientation_map):
    (file,) = export_results(orientations, "tiff")
    with TiffFile(file) as tiff:
        assert tiff.is_imagej
        facts = tiff.imagej_metadata
        pages = dict(zip(facts["Labels"], tiff.asarray(), strict=True))
        resolution = tiff.pages[0].tags["XResolution"].value
    assert facts["unit"] == "nm"
    assert resolution[1] / resolution[0] == pytest.approx(2.0)
    np.testing.assert_array_equal(pages["phase"], orientation_map["phase"])
    np.testing.assert_allclose(pages["rotation_b"], orientation_map["rotation"][..., 1], rtol=1e-6)
    assert not any("solution" in name for name in pages)
    assert pages["probability"].dtype == np.float32


def test_maps_of_a_stack_are_seen_with_y_upwards(tmp_path, stack):
    folder = kept(tmp_path / "run", "stxm/charged", stack)
    (file,) = export_results(folder, "tiff", tmp_path / "files")
    assert file == tmp_path / "files" / "charged.tif"
    with TiffFile(file) as tiff:
        pages = dict(zip(tiff.imagej_metadata["Labels"], tiff.asarray(), strict=True))
    assert set(pages) == {"phase", "mask", "posterior a", "posterior b", "posterior c"}
    np.testing.assert_array_equal(pages["phase"], stack["phase"][::-1])
    np.testing.assert_array_equal(pages["posterior b"], stack["posterior"][1, ::-1])


def test_nexus_holds_every_map_with_its_axes(tmp_path, stack):
    folder = kept(tmp_path / "run", "stxm/charged", stack)
    (file,) = export_results(folder, "nexus")
    with h5py.File(file) as found:
        entry = found[found.attrs["default"]]
        assert entry[entry.attrs["default"]].attrs["signal"] == b"data"
        np.testing.assert_array_equal(entry["phase/data"], stack["phase"])
        assert entry["phase"].attrs["axes"].tolist() == [b"y", b"x"]
        np.testing.assert_array_equal(entry["phase/y"], stack["y"])
        assert entry["phase/y"].attrs["units"].decode() == "µm"
        assert entry["posterior/reference"][:].tolist() == [b"a", b"b", b"c"]
        np.testing.assert_array_equal(entry["posterior/data"], stack["posterior"])
        np.testing.assert_array_equal(entry["optical_density/energy"], [510, 520])
        np.testing.assert_array_equal(entry["mask/data"], stack["mask"])


def test_a_folder_with_both_gives_both(orientations, stack, tmp_path):
    kept(orientations, "stxm/charged", stack)
    files = export_results(orientations, "csv", tmp_path / "files")
    assert sorted(f.name for f in files) == ["charged.csv", "orientation.csv"]
    table = pd.read_csv(tmp_path / "files" / "charged.csv")
    assert table["phase_name"].fillna("").tolist()[:6] == ["a", "b", "b", "", "a", ""]
    assert {"y_um", "x_um", "posterior c"} <= set(table.columns)


def test_a_folder_without_such_maps_is_refused(tmp_path, stack, orientation_map):
    with pytest.raises(InputError, match="no such folder"):
        export_results(tmp_path / "nowhere", "csv")
    with pytest.raises(InputError, match="holds no finished maps"):
        export_results(tmp_path, "csv")
    folder = kept(tmp_path / "run", "stxm/charged", stack)
    with pytest.raises(InputError, match="holds no finished orientation map"):
        export_results(folder, "ctf")
    earlier = stack.assign_coords(phase_name=("reference", stack["reference"].to_numpy()))
    folder_before = kept(tmp_path / "before", "stxm/charged", earlier.drop_vars("phase"))
    with pytest.raises(InputError, match=r"earlier version .* run .*recipe\.toml --overwrite"):
        export_results(folder_before, "csv")
    with pytest.raises(InputError, match="take one of ang ctf"):
        export_results(folder, "png")  # type: ignore[arg-type]
    taken = tmp_path / "file"
    taken.touch()
    with pytest.raises(InputError, match="cannot be the folder"):
        export_results(folder, "csv", taken)
    # Arrays without a mark: the run was killed.
    orientation_map.to_zarr(tmp_path / "killed" / "results.zarr", group="orientation")
    with pytest.raises(InputError, match="holds no finished orientation map"):
        export_results(tmp_path / "killed", "ang")


def test_the_command(phaseloom, orientations, tmp_path):
    ran = phaseloom("export", orientations, "--to", "ctf", "--out", tmp_path / "files", "--json")
    assert ran.status == 0
    (file,) = json.loads(ran.out)["files"]
    assert Path(file) == tmp_path / "files" / "orientation.ctf"
    assert Path(file).is_file()
    said = phaseloom("export", orientations, "--to", "ang")
    assert said.out.strip().endswith("orientation.ang")
    assert phaseloom("export", tmp_path, "--to", "ang").fault.startswith(str(tmp_path))
    assert phaseloom("export", orientations, "--to", "png").status == 2
