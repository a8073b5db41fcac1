"""Scans that instruments wrote, against an independent reading of the bytes."""

from __future__ import annotations

import shutil
import struct
import zipfile
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401 - the filters of Arina
import numpy as np
import pytest
import tifffile

from phaseloom import InputError, InputWarning, read
from phaseloom.io import read_pattern, read_scan, with_scan_shape


@pytest.fixture
def formats(measured: Path) -> Path:
    return measured / "4dstem_formats"


def steps(scan, axis: str) -> tuple[float, str]:
    return float(np.diff(scan[axis])[0]), scan[axis].attrs["units"]


@pytest.mark.parametrize(("name", "shape"), [("test1", (3, 2, 144, 144)), ("test2", (2, 3, 5, 5))])
def test_blo(formats: Path, name: str, shape: tuple[int, ...]) -> None:
    raw = (formats / "blo" / f"{name}.blo").read_bytes()
    (start,) = struct.unpack_from("<I", raw, 12)
    size = shape[2]
    frames = np.frombuffer(raw, "u1", offset=start).reshape(-1, 6 + size**2)[:, 6:]
    scan = read(formats / "blo" / f"{name}.blo")
    np.testing.assert_array_equal(scan["counts"], frames.reshape(shape))
    assert steps(scan, "x") == (pytest.approx(12.8 if name == "test1" else 64.0), "nm")
    # 62.26 px per cm at 200 mm and 200 kV (0.025079 Å)
    assert steps(scan, "kx") == (pytest.approx(10 / 62.26 / 200 / 0.0250793, rel=1e-4), "Å⁻¹")
    assert scan.attrs["voltage"] == 200
    assert scan.attrs["camera_length"] == 200
    assert scan.attrs["scan_rotation"] == 25
    assert "precession_angle" not in scan.attrs  # the field is there, empty


@pytest.mark.parametrize(("depth", "dtype"), [(1, ">u1"), (6, ">u1"), (12, ">u2"), (24, ">u4")])
@pytest.mark.parametrize("chip", ["Single", "Quad"])
@pytest.mark.parametrize("n", [1, 9])
def test_mib(formats: Path, tmp_path: Path, chip: str, n: int, depth: int, dtype: str) -> None:
    stem = f"{chip}_{n}_Frame_CounterDepth_{depth}_Rows_256"
    with zipfile.ZipFile(formats / "mib" / "Merlin_Single_Quad.zip") as archive:
        for suffix in (".mib", ".hdr"):
            archive.extract(stem + suffix, tmp_path)
    side, head = (256, 384) if chip == "Single" else (512, 768)
    raw = (tmp_path / f"{stem}.mib").read_bytes()
    frames = [
        np.frombuffer(part[head:], dtype).reshape(side, side)[::-1]
        for part in (raw[i * len(raw) // n : (i + 1) * len(raw) // n] for i in range(n))
    ]
    scan = read(tmp_path / f"{stem}.mib")
    np.testing.assert_array_equal(scan["counts"], np.array(frames)[None])
    assert scan["counts"].dtype == np.dtype(dtype).newbyteorder("=")
    # One bit counts the first electron and no other: nothing would be left if that were too many.
    assert scan.attrs.get("saturation") == (None if depth == 1 else 2**depth - 1)
    assert scan.attrs["exposure"] == 1e-3


@pytest.mark.parametrize(("stem", "rows"), [("001_4x2_6bit", 256), ("002_4x2_6bit_roi128", 128)])
def test_mib_scan(formats: Path, tmp_path: Path, stem: str, rows: int) -> None:
    archive = formats / "mib" / "Merlin_navigation4x2_ROI.zip"
    with pytest.raises(InputError, match="is a zip archive; unzip it"):
        read(archive)
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(tmp_path)
    frames = np.fromfile(tmp_path / f"{stem}.mib", "u1").reshape(8, 384 + rows * 256)[:, 384:]
    with pytest.warns(InputWarning, match="2×4 is taken from the pauses"):
        scan = read(tmp_path / f"{stem}.mib")
    np.testing.assert_array_equal(scan["counts"], frames.reshape(2, 4, rows, 256)[:, :, ::-1])


def test_raw_mib(formats: Path, tmp_path: Path) -> None:
    name = "Single_1_Frame_CounterDepth_1_Rows_256RAW.mib"
    with zipfile.ZipFile(formats / "mib" / "Merlin_Single_Quad.zip") as archive:
        archive.extract(name, tmp_path)
    with pytest.raises(InputError, match="raw counters"):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("2233_000", (4, 3, 3)), ("2345_000", (6, 4, 5)), ("2345_split_000", (6, 4, 5))],
)
def test_tvips(formats: Path, name: str, shape: tuple[int, ...]) -> None:
    path = formats / "tvips" / f"test_tvips_{name}.tvips"
    parts = sorted(path.parent.glob(path.name[:-9] + "???.tvips"))
    raw = b"".join(part.read_bytes()[256 if i == 0 else 0 :] for i, part in enumerate(parts))
    record = len(raw) // shape[0]
    frames = [
        np.frombuffer(raw[i * record : (i + 1) * record][-2 * shape[1] * shape[2] :], "<u2")
        for i in range(shape[0])
    ]
    scan = read(path)
    np.testing.assert_array_equal(scan["counts"][0], np.array(frames).reshape(shape))
    assert scan.attrs["voltage"] == 200
    if shape[0] == 6:
        shaped = with_scan_shape(scan, (2, 3))
        np.testing.assert_array_equal(shaped["counts"], np.array(frames).reshape(2, 3, *shape[1:]))


def test_dm3(formats: Path) -> None:
    path = formats / "dm3_dm4" / "test_diffraction_pattern.dm3"
    scan = read(path)
    stored = np.frombuffer(path.read_bytes(), "<i4", count=87 * 87, offset=152664)
    np.testing.assert_array_equal(scan["counts"][0, 0], stored.reshape(87, 87))
    assert steps(scan, "ky") == (pytest.approx(0.0174433, rel=1e-5), "Å⁻¹")
    assert float(scan["ky"][0]) == pytest.approx(756 * 0.0174433, rel=1e-4)
    assert (scan.attrs["voltage"], scan.attrs["exposure"]) == (200, 0.2)
    np.testing.assert_array_equal(read_pattern(path), stored.reshape(87, 87))


def test_a_truncated_dm3(formats: Path, tmp_path: Path) -> None:
    raw = (formats / "dm3_dm4" / "test_diffraction_pattern.dm3").read_bytes()
    for size in (100, 5_000, 152_664 + 1000):
        (tmp_path / "a.dm3").write_bytes(raw[:size])
        with pytest.raises(InputError):
            read(tmp_path / "a.dm3")


def test_a_spectrum_image_is_no_scan(formats: Path) -> None:
    with pytest.raises(InputError, match="holds spectra, not diffraction patterns"):
        read(formats / "dm3_dm4" / "EELS_SI.dm4")


def test_py4dstem(formats: Path) -> None:
    path = formats / "emd" / "py4DSTEM_size2x3x4x5.h5"
    with h5py.File(path) as file:
        stored = file["datacube_root/datacube/data"][()]
    scan = read(path)
    np.testing.assert_array_equal(scan["counts"], stored)
    assert steps(scan, "y") == (pytest.approx(0.126796875), "nm")
    assert steps(scan, "kx") == (pytest.approx(0.0442515666), "Å⁻¹")


def test_prismatic(formats: Path) -> None:
    path = formats / "emd" / "Si100_4D.emd"
    with h5py.File(path) as file:
        both = [
            file[f"4DSTEM_simulation/data/datacubes/CBED_array_depth000{i}/datacube"][()]
            for i in range(2)
        ]
    with pytest.warns(InputWarning, match="holds 2 scans"):
        first = read(path)
    second = read(path, detector="CBED_array_depth0001")
    for scan, stored in zip((first, second), both, strict=True):
        np.testing.assert_array_equal(scan["counts"], stored)
        assert scan["counts"].shape == (11, 11, 8, 8)
    assert steps(first, "x") == (0.5, "nm")
    assert steps(first, "kx") == (pytest.approx(0.018416, rel=1e-4), "Å⁻¹")
    assert first.attrs["voltage"] == 100


@pytest.mark.parametrize("suffix", [".emi", "_1.ser"])
def test_tia(formats: Path, suffix: str, tmp_path: Path) -> None:
    folder, stem = formats / "emi", "128x128x5-diffraction_preview"
    raw = (folder / f"{stem}_1.ser").read_bytes()
    places = struct.unpack_from("<5Q", raw, 72)
    frames = [
        np.frombuffer(raw, "<i4", count=128 * 128, offset=p + 50).reshape(128, 128)[::-1]
        for p in places
    ]
    scan = read(folder / f"{stem}{suffix}")
    np.testing.assert_array_equal(scan["counts"][0], frames)
    assert steps(scan, "kx") == (pytest.approx(0.00424641, rel=1e-5), "Å⁻¹")
    assert (scan.attrs["voltage"], scan.attrs["camera_length"]) == (200, 1100)
    # without what describes it: the same numbers and calibration
    shutil.copy(folder / f"{stem}_1.ser", tmp_path)
    alone = read(tmp_path / f"{stem}_1.ser")
    np.testing.assert_array_equal(alone["counts"][0], frames)
    assert steps(alone, "kx") == steps(scan, "kx")


def test_arina(formats: Path) -> None:
    with h5py.File(formats / "arina" / "test_00_data_000001.h5") as file:
        stored = file["entry/data/data"][()]
    scan = read(formats / "arina" / "test_00_master.h5")
    np.testing.assert_array_equal(scan["counts"], stored.reshape(4, 4, 192, 192))
    assert scan["counts"].dtype == np.uint32
    assert steps(scan, "x") == (pytest.approx(0.13915206), "nm")
    assert scan.attrs["voltage"] == 300
    assert scan.attrs["saturation"] == 8352
    assert scan.attrs["exposure"] == pytest.approx(9.95e-5)


@pytest.mark.parametrize(
    ("name", "raw", "shape", "step"),
    [
        ("map4x4.xml", "scan_x4_y4.raw", (4, 4), 1141.5857),
        ("EMPAD_v1.2.2_x32_y64_size0.8.xml", "scan_x32_y64.raw", (64, 32), 27.6131),
        ("stack_images.xml", "series_x10.raw", (1, 10), None),
    ],
)
def test_empad(
    formats: Path, tmp_path: Path, name: str, raw: str, shape: tuple[int, int], step: float | None
) -> None:
    """The descriptions are real; the patterns are not, they are too large to pass around."""
    shutil.copy(formats / "empad" / name, tmp_path)
    with (tmp_path / raw).open("wb") as file:
        file.truncate(shape[0] * shape[1] * 130 * 128 * 4)
        file.seek(130 * 128 * 4 * (shape[1] - 1))  # the last pattern of the first row
        file.write(np.arange(128 * 128, dtype="<f4").tobytes())
    if name == "map4x4.xml":
        with pytest.warns(InputWarning, match="disagree"):
            scan = read(tmp_path / name)
        assert steps(scan, "kx") == (pytest.approx(0.0182654, rel=1e-4), "Å⁻¹")
    else:
        scan = read(tmp_path / name)
        assert steps(scan, "kx") == (1, "px")
    assert scan["counts"].shape == (*shape, 128, 128)
    np.testing.assert_array_equal(scan["counts"][0, -1], np.arange(128 * 128).reshape(128, 128))
    if step:
        assert steps(scan, "y") == (pytest.approx(step, rel=1e-4), "nm")
        assert scan.attrs["voltage"] == 300


def test_hspy_of_pyxem(measured: Path) -> None:
    path = measured / "4dstem_sped_ag" / "SPED_Ag_labels_sum_signal.hspy"
    with h5py.File(path) as file:
        stored = file["Experiments/__unnamed__/data"][()]
    scan = read(path)
    np.testing.assert_array_equal(scan["counts"], stored[None])
    assert steps(scan, "kx") == (pytest.approx(0.0267283, rel=1e-5), "Å⁻¹")
    assert float(scan["kx"][56]) == pytest.approx(0, abs=1e-9)


def test_hspy_of_images_is_no_scan(measured: Path) -> None:
    with pytest.raises(InputError, match="images of the sample, not diffraction patterns"):
        read(measured / "4dstem_sped_ag" / "SPED_Ag_labels.hspy")


def test_tiff_pattern(measured: Path) -> None:
    path = measured / "diffraction_single" / "au_xgrating_20cm.tif"
    with pytest.warns(InputWarning, match="taken as they are by peaks, index"):
        assert read(path).attrs["kind"] == "images_without_energy"
    scan = read_scan(path)
    assert scan["counts"].shape == (1, 1, 256, 256)
    np.testing.assert_array_equal(scan["counts"][0, 0], tifffile.imread(path))
    np.testing.assert_array_equal(read_pattern(path), tifffile.imread(path))
