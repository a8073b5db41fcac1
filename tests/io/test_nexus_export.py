"""What is written as NXstxm is read back exactly, and damage to it never goes unnoticed."""

from __future__ import annotations

import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from phaseloom import InputError, InputWarning, read
from phaseloom.io.export.nexus import write_nxstxm


def measurement(counts: np.ndarray, energy: np.ndarray, y: np.ndarray, x: np.ndarray) -> xr.Dataset:
    return xr.Dataset(
        {"counts": (("energy", "y", "x"), counts)},
        coords={
            "energy": ("energy", energy, {"units": "eV"}),
            "y": ("y", y, {"units": "µm"}),
            "x": ("x", x, {"units": "µm"}),
        },
        attrs={"title": "Teilchen µ", "start_time": "2024-05-01T10:00:00+02:00"},
    )


def stack() -> xr.Dataset:
    counts = np.random.default_rng(1).poisson(900, (4, 5, 6)).astype(np.uint16)
    made = measurement(
        counts, np.array([515.0, 515.1, 517.3, 520.0]), 0.03 * np.arange(5), 7 + 0.03 * np.arange(6)
    )
    made["dwell"] = ("energy", np.array([1e-3, 1e-3, 2e-3, 2e-3]))
    made["ring_current"] = ("energy", np.array([400.0, 399.0, 398.5, 398.0]))
    made["optical_density"] = made["counts"] * 0.1
    return made


@st.composite
def measurements(draw: st.DrawFn) -> xr.Dataset:
    shape = draw(hnp.array_shapes(min_dims=3, max_dims=3, max_side=4))
    dtype = draw(st.sampled_from(["u1", "<u2", ">u2", "i4", "u8", "<f4", ">f8"]))
    numbers = st.integers(1, 120) if dtype[-2] in "ui" else st.floats(0.5, 1e6, width=32)
    counts = draw(hnp.arrays(dtype, shape, elements=numbers))

    def axis(n: int, low: float, high: float) -> np.ndarray:
        values = st.floats(low, high)
        return np.array(sorted(draw(st.lists(values, min_size=n, max_size=n, unique=True))))

    return measurement(
        counts, axis(shape[0], 50, 20000), axis(shape[1], -1e4, 1e4), axis(shape[2], -1e4, 1e4)
    )


@given(truth=measurements())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_property_round_trip_is_exact(truth: xr.Dataset, tmp_path: Path) -> None:
    back = read(write_nxstxm(tmp_path / "stack.hdf5", truth))
    assert back["counts"].dtype == truth["counts"].dtype.newbyteorder("=")
    for name in ("counts", "energy", "y", "x"):
        np.testing.assert_array_equal(back[name], truth[name])
    assert back.attrs["kind"] == ("stack" if truth.sizes["energy"] > 1 else "image")


def test_dwell_current_title_and_time_survive_and_nothing_else(tmp_path: Path) -> None:
    truth = stack()
    back = read(write_nxstxm(tmp_path / "stack.hdf5", truth.transpose("x", "energy", "y")))
    assert set(back.data_vars) == {"counts", "dwell", "ring_current"}
    for name in ("counts", "dwell", "ring_current"):
        np.testing.assert_array_equal(back[name], truth[name])
    assert back.attrs["title"] == "Teilchen µ"
    assert back.attrs["start_time"] == truth.attrs["start_time"]
    titled = read(write_nxstxm(tmp_path / "stack.hdf5", truth, title="other"))
    assert titled.attrs["title"] == "other"


def test_file_is_what_the_definition_asks_for(tmp_path: Path) -> None:
    with h5py.File(write_nxstxm(tmp_path / "stack.nxs", stack())) as file:
        entry = file["entry1"]
        assert entry["definition"][()] == b"NXstxm"
        classes = {
            ".": b"NXentry",
            "counter0": b"NXdata",
            "control": b"NXmonitor",
            "sample": b"NXsample",
            "instrument": b"NXinstrument",
            "instrument/source": b"NXsource",
            "instrument/monochromator": b"NXmonochromator",
            "instrument/counter0": b"NXdetector",
        }
        assert {name: entry[name].attrs["NX_class"] for name in classes} == classes
        data = entry["counter0"]
        assert list(data.attrs["axes"]) == [b"energy", b"sample_y", b"sample_x"]
        assert data.attrs["signal"] == b"data"
        assert data["stxm_scan_type"][()] == b"sample image stack"
        assert data["sample_x"].attrs["units"] == "µm".encode()
        assert {"title", "start_time", "end_time"} <= set(entry)
        assert entry["sample/rotation_angle"].attrs["units"] == b"deg"


def test_only_images_and_stacks_in_known_units_are_written(tmp_path: Path) -> None:
    path = tmp_path / "bad.hdf5"
    in_pixels = stack()
    in_pixels["x"].attrs["units"] = "px"
    for bad, fault in (
        (in_pixels, "coordinate x is not in µm"),
        (stack().drop_vars("counts"), "only counts with dimensions"),
        (stack().isel(y=0), "only counts with dimensions"),
        (stack().isel(x=slice(0)), "empty"),
        (stack().astype(complex), "no numbers"),
    ):
        with pytest.raises(InputError, match=fault):
            write_nxstxm(path, bad)
    with pytest.raises(InputError, match="folder does not exist"):
        write_nxstxm(tmp_path / "nowhere" / "bad.hdf5", stack())
    assert not list(tmp_path.iterdir())


def test_an_interrupted_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = write_nxstxm(tmp_path / "stack.hdf5", stack())
    before = path.read_bytes()
    truth = stack()

    class InterruptedWritingError(Exception):
        pass

    class Interrupting:
        """Counts that fail in their second frame, as a full disk or Ctrl-C would."""

        sizes, shape, dtype = (truth["counts"].sizes, truth["counts"].shape, np.dtype("u2"))

        def __getitem__(self, index: int) -> xr.DataArray:
            if index == 1:
                raise InterruptedWritingError
            return truth["counts"][index]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xr.DataArray, "transpose", lambda *_, **__: Interrupting())
        with pytest.raises(InterruptedWritingError):
            write_nxstxm(path, truth)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["stack.hdf5"]


@given(
    flips=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=3
    ),
    partial=st.booleans(),
)
@settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_property_damage_is_noticed_or_without_effect(
    flips: list[tuple[float, int]], partial: bool, tmp_path: Path
) -> None:
    truth = stack()
    path = write_nxstxm(tmp_path / "stack.hdf5", truth)
    content = bytearray(path.read_bytes())
    for place, mask in flips:
        content[int(place * len(content))] ^= mask
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        try:
            back = read(path, partial=partial)
        except InputError:
            return
    for name in ("counts", "energy", "y", "x"):
        np.testing.assert_array_equal(back[name], truth[name])
