"""Scans in memory: units, calibration by hand, shapes, signals, fingerprints."""

from __future__ import annotations

import builtins
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import tifffile
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import phaseloom
from phaseloom import InputError, InputWarning
from phaseloom.io import as_scan, calibrated, read_pattern, read_scan, to_hyperspy, with_scan_shape
from phaseloom.io.chunking import chunks
from phaseloom.io.fingerprint import input_fingerprint
from phaseloom.io.readers import digitalmicrograph
from phaseloom.io.scan_axes import Axis, plain_axes, wavelength
from phaseloom.io.scan_making import make_scan


def numbers(*shape: int, dtype: str = "u2") -> np.ndarray:
    return np.arange(math.prod(shape)).reshape(shape).astype(dtype)


def scan_of(data: Any, *axes: Axis, **facts: float | None) -> xr.Dataset:
    return make_scan(
        data,
        axes or plain_axes(data.ndim),
        format_name="made",
        source="made",
        fingerprint="0",
        facts=facts,
    )


def steps(scan: xr.Dataset, axis: str) -> tuple[float, str]:
    return float(np.diff(scan[axis])[0]), scan[axis].attrs["units"]


@pytest.mark.parametrize(
    ("shape", "becomes"),
    [((5, 7), (1, 1, 5, 7)), ((3, 5, 7), (1, 3, 5, 7)), ((2, 3, 5, 7), (2, 3, 5, 7))],
)
@pytest.mark.parametrize("dtype", ["u1", ">u2", "<i4", ">f4", "f8"])
@pytest.mark.parametrize("lazy", [False, True])
def test_arrays(shape: Any, becomes: Any, dtype: str, lazy: bool) -> None:
    data = numbers(*shape, dtype=dtype)
    scan = as_scan(da.from_array(data, chunks=2) if lazy else data)
    counts = scan["counts"]
    assert (counts.dims, counts.shape) == (("y", "x", "ky", "kx"), becomes)
    assert counts.dtype == np.dtype(dtype).newbyteorder("=")
    assert counts.dtype.isnative
    assert counts.data.numblocks[2:] == (1, 1)
    np.testing.assert_array_equal(counts, data.reshape(becomes))
    assert as_scan(scan) is scan


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (np.zeros((2, 2, 2, 2, 2)), "has 5 axes"),
        (np.zeros(3), "has 1 axes"),
        (np.zeros((2, 2), complex), "complex128, not real numbers"),
        (np.zeros((0, 4, 4)), "holds no patterns"),
        ("a scan", "is a str"),
        (xr.Dataset(attrs={"kind": "stack"}), "another kind"),
        (xr.DataArray(np.zeros((2, 2)), dims=("y", "x")), "has the dims y, x"),
    ],
)
def test_what_is_no_scan(data: Any, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        as_scan(data)


def test_labelled_arrays_are_put_in_order() -> None:
    data = numbers(2, 3, 5, 7)
    array = xr.DataArray(
        data.transpose(3, 1, 0, 2),
        dims=("kx", "x", "y", "ky"),
        coords={
            "kx": ("kx", 0.01 * np.arange(7), {"units": "1/Å"}),
            "ky": ("ky", 0.01 * np.arange(5), {"units": "1/Å"}),
        },
    )
    scan = as_scan(array)
    np.testing.assert_array_equal(scan["counts"], data)
    assert steps(scan, "kx") == (pytest.approx(0.01), "Å⁻¹")
    pattern = as_scan(array.isel(y=1, x=2))
    np.testing.assert_array_equal(pattern["counts"][0, 0], data[1, 2])


@pytest.mark.parametrize(
    "units",
    ["1/nm", "nm^-1", "nm-1", "1 / nm", "$nm^{-1}$", "nm⁻¹", "[n_m^-1]", "1/nanometer", "nm**-1"],
)
def test_reciprocal_nanometres_however_spelt(units: str) -> None:
    scan = scan_of(numbers(5, 7), Axis(units=units, scale=0.2), Axis(units=units, scale=0.2))
    assert steps(scan, "kx") == (pytest.approx(0.02), "Å⁻¹")


@pytest.mark.parametrize(
    ("units", "factor"),
    [("1/Å", 1), ("A^-1", 1), ("$A^{-1}$", 1), ("1/Å", 1), ("Å⁻¹", 1), ("1/angstrom", 1),
     ("1/pm", 100), ("1/µm", 1e-4), ("1/m", 1e-10)],
)  # fmt: skip
def test_other_reciprocals(units: str, factor: float) -> None:
    axis = Axis(units=units, scale=0.01 / factor)
    assert steps(scan_of(numbers(5, 7), axis, axis), "ky") == (pytest.approx(0.01), "Å⁻¹")


@pytest.mark.parametrize(
    ("units", "factor"),
    [("nm", 1), ("Å", 0.1), ("µm", 1e3), ("um", 1e3), ("\\u00b5m", 1e3), ("pm", 1e-3), ("m", 1e9)],
)
def test_lengths(units: str, factor: float) -> None:
    axis = Axis(units=units, scale=2 / factor, navigate=True)
    scan = scan_of(numbers(3, 4, 5, 7), axis, axis, Axis(), Axis())
    assert steps(scan, "y") == (pytest.approx(2.0), "nm")


def test_angles_need_the_voltage() -> None:
    axis = Axis(units="mrad", scale=0.5)
    scan = scan_of(numbers(5, 7), axis, axis, voltage=200.0)
    # 0.025079 Å at 200 kV (Williams & Carter, table 1.2: 0.00251 nm)
    assert steps(scan, "kx") == (pytest.approx(5e-4 / 0.0250793, rel=1e-4), "Å⁻¹")
    with pytest.warns(InputWarning, match="the voltage is not known"):
        scan = scan_of(numbers(5, 7), axis, axis)
    assert scan["kx"].attrs["units"] == "px"


@pytest.mark.parametrize(
    ("voltage", "expected"), [(80, 0.0417572), (200, 0.0250793), (300, 0.0196875)]
)
def test_wavelength(voltage: float, expected: float) -> None:
    assert wavelength(voltage) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("units", ["", "px", "pixels", "<undefined>", "None", "1"])
def test_no_unit_is_uncalibrated(units: str) -> None:
    scan = scan_of(numbers(5, 7), Axis(units=units, scale=3.0), Axis(units=units, scale=3.0))
    np.testing.assert_array_equal(scan["kx"], np.arange(7))
    assert scan["kx"].attrs["units"] == "px"


@pytest.mark.parametrize(("scale", "units"), [(1e5, "1/nm"), (-0.01, "1/Å"), (1e-9, "1/nm")])
def test_what_cannot_be_is_pointed_out_and_not_used(scale: float, units: str) -> None:
    axis = Axis(units=units, scale=scale)
    with pytest.warns(InputWarning, match="pixel size .* cannot be right"):
        scan = scan_of(numbers(5, 7), axis, axis)
    assert scan["kx"].attrs["units"] == "px"
    with pytest.warns(InputWarning, match="voltage of 300000 cannot be right"):
        assert "voltage" not in scan_of(numbers(5, 7), voltage=300_000.0).attrs


def test_pixels_that_are_not_square() -> None:
    with pytest.warns(InputWarning, match="the width is taken for both"):
        scan = scan_of(numbers(5, 7), Axis(units="1/Å", scale=0.02), Axis(units="1/Å", scale=0.01))
    assert steps(scan, "ky") == steps(scan, "kx") == (pytest.approx(0.01), "Å⁻¹")


def test_spectra_volumes_and_images() -> None:
    nav = Axis(navigate=True)
    with pytest.raises(InputError, match="holds spectra"):
        scan_of(numbers(3, 4, 5), nav, nav, Axis(units="eV"))
    with pytest.raises(InputError, match="holds volumes"):
        scan_of(numbers(3, 4, 5), Axis(), Axis(), Axis())
    with pytest.raises(InputError, match="3 scan axes"):
        scan_of(numbers(2, 2, 2, 5, 7), nav, nav, nav, Axis(), Axis())
    with pytest.raises(InputError, match="images of the sample"):
        scan_of(numbers(3, 4, 5), nav, Axis(units="nm"), Axis(units="nm"))


def test_calibration_by_hand() -> None:
    scan = scan_of(numbers(3, 4, 5, 7))
    ready = calibrated(
        scan, pixel_size=0.02, step=1.5, voltage=200, precession=1.0, scan_rotation=-3.0
    )
    assert steps(ready, "ky") == steps(ready, "kx") == (pytest.approx(0.02), "Å⁻¹")
    assert steps(ready, "x") == (pytest.approx(1.5), "nm")
    assert (ready.attrs["voltage"], ready.attrs["precession_angle"]) == (200, 1.0)
    assert ready.attrs["scan_rotation"] == -3.0
    assert scan["kx"].attrs["units"] == "px"  # the one given is as it was
    assert "voltage" not in scan.attrs
    # the same again, within 1 %: nothing to say
    calibrated(ready, pixel_size=0.0201, voltage=201)


def test_calibration_by_hand_wins_and_says_so() -> None:
    axis = Axis(units="1/Å", scale=0.02, offset=-0.04)
    scan = scan_of(numbers(5, 7), axis, axis, voltage=200.0)
    with pytest.warns(InputWarning, match=r"is 0\.02, 0\.03 was given and is used"):
        other = calibrated(scan, pixel_size=0.03)
    np.testing.assert_allclose(other["kx"], 0.03 * np.arange(-2, 5))
    with pytest.warns(InputWarning, match="is 200, 300 was given"):
        assert calibrated(scan, voltage=300).attrs["voltage"] == 300


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pixel_size", 0),
        ("pixel_size", math.nan),
        ("step", -1),
        ("voltage", 2e5),
        ("precession", -1),
    ],
)
def test_calibration_that_cannot_be(name: str, value: float) -> None:
    with pytest.raises(InputError):
        calibrated(scan_of(numbers(5, 7)), **{name: value})


@settings(max_examples=25)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 40))
def test_scan_shape(rows: int, columns: int, other: int) -> None:
    data = numbers(rows * columns, 2, 3)
    series = as_scan(data)
    shaped = with_scan_shape(series, (rows, columns))
    np.testing.assert_array_equal(shaped["counts"], data.reshape(rows, columns, 2, 3))
    assert shaped.sizes["y"] == shaped["y"].size == rows
    back = with_scan_shape(shaped, (columns, rows))
    np.testing.assert_array_equal(back["counts"], data.reshape(columns, rows, 2, 3))
    if other != rows:
        with pytest.raises(InputError, match=f"holds {rows * columns} patterns, not {other}×"):
            with_scan_shape(series, (other, columns))


@dataclass
class SignalAxis:
    name: Any
    units: Any
    scale: float
    offset: float
    size: int
    index_in_array: int


@dataclass
class Tree:
    content: dict[str, Any]

    def as_dictionary(self) -> dict[str, Any]:
        return self.content


@dataclass
class Manager:
    navigation_axes: tuple[SignalAxis, ...]
    signal_axes: tuple[SignalAxis, ...]


@dataclass
class Signal:
    """What a HyperSpy signal has; its axes are listed x first."""

    data: Any
    axes_manager: Manager
    metadata: Tree = field(default_factory=lambda: Tree({}))


@pytest.mark.parametrize("lazy", [False, True])
def test_signals_of_hyperspy(lazy: bool) -> None:
    data = numbers(3, 4, 5, 7)
    made = Signal(
        da.from_array(data, chunks=(1, 4, 5, 7)) if lazy else data,
        Manager(
            (SignalAxis("x", "nm", 2.0, 0.0, 4, 1), SignalAxis("y", "nm", 3.0, 0.0, 3, 0)),
            (SignalAxis("kx", "1/nm", 0.1, -0.3, 7, 3), SignalAxis("ky", "1/nm", 0.1, 0.0, 5, 2)),
        ),
        Tree({"General": {"title": "t"}, "Acquisition_instrument": {"TEM": {"beam_energy": 120}}}),
    )
    scan = as_scan(made)
    np.testing.assert_array_equal(scan["counts"], data)
    assert (steps(scan, "y")[0], steps(scan, "x")[0]) == (3.0, 2.0)
    assert float(scan["kx"][0]) == pytest.approx(-0.03)
    assert (scan.attrs["title"], scan.attrs["voltage"]) == ("t", 120)
    assert isinstance(scan["counts"].data, da.Array)


def test_without_hyperspy(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("hyperspy"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(InputError, match="pip install hyperspy pyxem"):
        to_hyperspy(as_scan(numbers(5, 7)))


def test_to_hyperspy_and_back() -> None:
    pytest.importorskip("hyperspy", reason="HYPERSPY ABSENT: the way there is not tested")
    axis = Axis(units="1/Å", scale=0.02, offset=-0.04)
    step = Axis(units="nm", scale=5.0, navigate=True)
    scan = scan_of(numbers(3, 4, 5, 7), step, step, axis, axis, voltage=200.0, precession_angle=1.0)
    signal = to_hyperspy(scan)
    assert signal._lazy
    back = as_scan(signal)
    xr.testing.assert_allclose(back, scan)
    for name in ("voltage", "precession_angle"):
        assert back.attrs[name] == pytest.approx(scan.attrs[name])


@given(st.tuples(*[st.integers(1, 600)] * 4), st.sampled_from([1, 2, 4, 8]))
def test_chunks_are_whole_patterns_in_scan_order(shape: Any, itemsize: int) -> None:
    rows, columns, ky, kx = chunks(shape, itemsize)
    assert (ky, kx) == shape[2:]
    assert rows == 1 or columns == shape[1]
    assert rows * columns * ky * kx * itemsize <= max(2**25, ky * kx * itemsize)


def test_fingerprints(tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"abc")
    first = input_fingerprint(small)
    assert input_fingerprint([small]) == first
    small.write_bytes(b"abd")
    assert input_fingerprint(small) != first
    assert input_fingerprint([small, small]) != input_fingerprint(small)
    with large.open("wb") as file:
        file.truncate(2**33)
    before = input_fingerprint(large)  # 8 GB, of which 4 MB are read
    with large.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")
    assert input_fingerprint(large) != before


def test_fingerprint_of_arrays_follows_their_content() -> None:
    data = numbers(2, 3, 5, 7)
    prints = {as_scan(a).attrs["input_fingerprint"] for a in (data, data + 1, data[:, :2])}
    assert len(prints) == 3
    again = as_scan(np.asfortranarray(data)).attrs["input_fingerprint"]
    assert again in prints


def test_patterns(tmp_path: Path) -> None:
    mask = np.eye(6, dtype=bool)
    np.save(tmp_path / "mask.npy", mask)
    np.testing.assert_array_equal(read_pattern(tmp_path / "mask.npy"), mask)
    np.save(tmp_path / "dark.npy", numbers(5, 7, dtype=">f4"))
    dark = read_pattern(tmp_path / "dark.npy")
    np.testing.assert_array_equal(dark, numbers(5, 7))
    assert dark.dtype == np.float32
    np.save(tmp_path / "two.npy", numbers(2, 5, 7))
    with pytest.raises(InputError, match="holds 2 patterns"):
        read_pattern(tmp_path / "two.npy")


def test_pages_of_tiff_are_a_series(tmp_path: Path) -> None:
    pages = numbers(6, 5, 7)
    tifffile.imwrite(tmp_path / "s.tif", pages, photometric="minisblack", byteorder=">")
    scan = read_scan(tmp_path / "s.tif")
    np.testing.assert_array_equal(scan["counts"][0], pages)
    np.testing.assert_array_equal(with_scan_shape(scan, (2, 3))["counts"][1, 2, 3:], pages[5, 3:])
    assert scan["counts"].dtype.isnative


def test_x_ray_files_are_no_scans(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("energy,a\n700,1\n701,2\n702,3\n")
    with pytest.raises(InputError, match="X-ray data"):
        read_scan(tmp_path / "a.csv")


@pytest.mark.parametrize("order", ["detector last", "detector first", "swapped tag"])
def test_either_order_of_digitalmicrograph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    """Tags as RosettaSciIO gives them, beside an array of either order."""
    import rsciio.digitalmicrograph as dm

    data = numbers(3, 4, 5, 7)
    kinds = [("y", "nm", 2.0), ("x", "nm", 2.0), ("ky", "mrad", 0.5), ("kx", "mrad", 0.5)]
    if order == "swapped tag":
        kinds = [(name, "", 1.0) for name, *_ in kinds]
    places = [2, 3, 0, 1] if order == "detector first" else [0, 1, 2, 3]
    stored = data.transpose(places)
    path = tmp_path / "a.dm4"
    path.write_bytes(b"\0\0\0\4" + bytes(96) + stored.tobytes())
    image = {
        "data": da.zeros(stored.shape, dtype="u2"),
        "axes": [
            {"name": n, "units": u, "scale": s, "offset": 0.0, "navigate": i < 2}
            for i, (n, u, s) in enumerate(kinds[p] for p in places)
        ],
        "metadata": {"General": {"title": "4D"}},
        "original_metadata": {
            "ImageList": {
                "TagGroup0": {
                    "ImageData": {"Data": {"offset": 100}},
                    "ImageTags": {
                        "Microscope Info": {"Voltage": 200_000.0},
                        "Meta Data": {"Data Order Swapped": True},
                    },
                }
            }
        },
    }
    monkeypatch.setattr(dm, "file_reader", lambda *_, **__: [image])
    scan = digitalmicrograph.read(path)
    np.testing.assert_array_equal(scan["counts"], data)
    np.testing.assert_array_equal(scan["counts"][1:, 2], data[1:, 2])
    if order != "swapped tag":
        assert steps(scan, "kx") == (pytest.approx(5e-4 / 0.0250793, rel=1e-4), "Å⁻¹")
        assert steps(scan, "x") == (2.0, "nm")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="holds"):
        digitalmicrograph.read(path)


def test_read_is_public() -> None:
    assert phaseloom.io.read_scan is read_scan
