"""Maps as TIFF stacks and NeXus data."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import tifffile
import xarray as xr

from phaseloom.errors import InputError
from phaseloom.io.export.maps import write_map_stack
from phaseloom.io.export.nexus import write_nxdata

F = np.array([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 0, 0]])


def test_a_stack_keeps_rows_names_scale_and_missing_numbers(tmp_path):
    value = np.where(F == 1, 0.25, np.nan)
    file = write_map_stack(
        tmp_path / "maps.tif", {"phase": F, "value": value}, pixel_size=(0.5, 0.1), units="µm"
    )
    with tifffile.TiffFile(file) as tiff:
        pages = tiff.asarray()
        facts = tiff.imagej_metadata
        across, down = (tiff.pages[0].tags[f"{axis}Resolution"].value for axis in "XY")
    np.testing.assert_array_equal(pages, np.stack([F, value]).astype(np.float32))
    assert facts["Labels"] == ["phase", "value"]
    assert facts["unit"] == "micron"
    assert across[1] / across[0] == pytest.approx(0.1)
    assert down[1] / down[0] == pytest.approx(0.5)


def test_a_single_map_is_a_stack_of_one(tmp_path):
    file = write_map_stack(tmp_path / "map.tif", {"phase": F})
    np.testing.assert_array_equal(tifffile.imread(file), F)


def test_nexus_leaves_out_text_and_marks_dimensions_without_axis(tmp_path):
    data = xr.Dataset(
        {
            "phase": (("y", "x"), F, {"long_name": "Phase"}),
            "shift": (("quantity", "y", "x"), np.stack([F, -F]), {"units": "eV"}),
            "note": ("y", ["a", "b", "c", "d"]),
            "margin": ((), 0.5),
        },
        coords={"y": ("y", np.arange(4.0), {"units": "nm"})},
    )
    file = write_nxdata(tmp_path / "maps.nxs", data, default="phase", title="an F")
    with h5py.File(file) as found:
        entry = found["entry1"]
        assert entry["title"][()] == b"an F"
        assert set(entry) == {"title", "phase", "shift", "margin"}
        assert entry["shift"].attrs["axes"].tolist() == [b".", b"y", b"."]
        assert entry["shift"].attrs["y_indices"] == 1
        assert "._indices" not in entry["shift"].attrs
        assert entry["shift/data"].attrs["units"] == b"eV"
        assert entry["phase/data"].attrs["long_name"] == b"Phase"
        np.testing.assert_array_equal(entry["shift/data"], data["shift"])
        assert entry["margin/data"][()] == 0.5


def test_what_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(InputError, match="one shape"):
        write_map_stack(tmp_path / "maps.tif", {})
    with pytest.raises(InputError, match="one shape"):
        write_map_stack(tmp_path / "maps.tif", {"a": F, "b": F.T})
    with pytest.raises(InputError, match="folder does not exist"):
        write_map_stack(tmp_path / "no" / "maps.tif", {"a": F})
    with pytest.raises(InputError, match="has no phase"):
        write_nxdata(tmp_path / "maps.nxs", xr.Dataset(), default="phase")
    with pytest.raises(InputError, match="folder does not exist"):
        write_nxdata(tmp_path / "no" / "maps.nxs", xr.Dataset({"a": ("y", [1.0])}), default="a")
    assert not list(tmp_path.iterdir())
