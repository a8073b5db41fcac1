"""Xradia files: written here sector by sector, and measured ones against plain olefile."""

from __future__ import annotations

import struct
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import olefile
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.choice import Choice
from phaseloom.io.images import energy_in_name
from phaseloom.io.readers import xradia

END, FREE, FAT_SECTOR, NONE = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD, 0xFFFFFFFF


def compound_file(streams: dict[str, bytes]) -> bytes:
    """An OLE2 compound file (version 3, 512-byte sectors) of one level of storages."""
    entries: list[dict[str, object]] = [{"name": "Root Entry", "type": 5}]
    tree: dict[str, list[int]] = {"": []}
    for path, data in sorted(streams.items()):
        storage, _, name = path.rpartition("/")
        if storage and storage not in tree:
            tree[""].append(len(entries))
            entries.append({"name": storage, "type": 1})
            tree[storage] = []
        tree[storage].append(len(entries))
        entries.append({"name": name, "type": 2, "data": data})
    for storage, children in tree.items():
        owner = next(e for e in entries if storage in ("", e["name"]) and e["type"] != 2)
        owner["child"] = children[0]
        for child, following in pairwise(children):
            entries[child]["right"] = following

    sectors: list[bytes] = []
    fat: list[int] = []

    def store(data: bytes) -> int:
        n = -(-len(data) // 512)
        first = len(sectors)
        sectors.extend(data[i * 512 : (i + 1) * 512].ljust(512, b"\0") for i in range(n))
        fat.extend([*range(first + 1, first + n), END])
        return first

    mini, mini_fat = b"", []
    for entry in entries:
        data = entry.get("data")
        if not isinstance(data, bytes):
            continue
        entry["size"] = len(data)
        if len(data) >= 4096:
            entry["start"] = store(data)
        else:
            n = -(-len(data) // 64)
            entry["start"] = len(mini_fat)
            mini_fat.extend([*range(len(mini_fat) + 1, len(mini_fat) + n), END])
            mini += data.ljust(n * 64, b"\0")
    entries[0]["start"], entries[0]["size"] = store(mini), len(mini)
    table = struct.pack(f"<{len(mini_fat)}I", *mini_fat)
    table = table.ljust(-(-len(table) // 512) * 512, b"\xff")
    mini_fat_start = store(table)
    directory = b"".join(
        str(e["name"]).encode("utf-16-le").ljust(64, b"\0")
        + struct.pack("<HBB", 2 * len(str(e["name"])) + 2, e["type"], 1)
        + struct.pack("<III", NONE, e.get("right", NONE), e.get("child", NONE))
        + bytes(36)
        + struct.pack("<IQ", e.get("start", 0), e.get("size", 0))
        for e in entries
    )
    directory_start = store(directory.ljust(-(-len(directory) // 512) * 512, b"\0"))
    n_fat = 1
    while n_fat * 128 < len(fat) + n_fat:
        n_fat += 1
    fat_start = len(sectors)
    fat += [FAT_SECTOR] * n_fat
    fat += [FREE] * (n_fat * 128 - len(fat))
    header = xradia._MAGIC + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    header += struct.pack("<IIIII", 0, n_fat, directory_start, 0, 4096)
    header += struct.pack("<IIII", mini_fat_start, len(table) // 512, END, 0)
    header += struct.pack("<109I", *range(fat_start, fat_start + n_fat), *[FREE] * (109 - n_fat))
    return header + b"".join(sectors) + struct.pack(f"<{len(fat)}I", *fat)


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def series(
    images: np.ndarray, energies: list[float], angles: list[float] | None = None, **other: bytes
) -> bytes:
    """An Xradia file of these images; ``other`` replaces streams of ImageInfo."""
    n, height, width = images.shape
    info = {
        "ImagesTaken": struct.pack("<i", n),
        "NoOfImages": struct.pack("<i", n),
        "ImageHeight": struct.pack("<i", height),
        "ImageWidth": struct.pack("<i", width),
        "DataType": struct.pack("<i", 5 if images.dtype == np.uint16 else 10),
        "Energy": floats(*energies),
        "Angles": floats(*(angles or [0.0] * n)),
        "ExpTimes": floats(*(1.0 + i for i in range(n))),
        "PixelSize": floats(0.25),
        "XPosition": floats(*[100.0] * n),
        "YPosition": floats(*[-50.0] * n),
        "Date": b"07/02/16 22:21:26" + bytes(23),
    } | other
    streams = {f"ImageInfo/{name}": data for name, data in info.items() if data}
    for index, image in enumerate(images):
        streams[f"ImageData{index // 100 + 1}/Image{index + 1}"] = image.tobytes()
    return compound_file(streams)


def pictures(n: int, height: int = 48, width: int = 50) -> np.ndarray:
    """Images without zeros, every pixel of its own value."""
    count = n * height * width
    return np.arange(1, count + 1, dtype=np.uint16).reshape(n, height, width)


def write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_image_keeps_rows_in_order_and_is_centred_on_the_stage(tmp_path: Path) -> None:
    images = pictures(1)
    path = write(tmp_path, "a.xrm", series(images, [8250.0]))
    assert xradia.reads_this(path)
    measurement = xradia.read(path)
    assert measurement.attrs["kind"] == "image"
    assert measurement.attrs["start_time"] == "2016-07-02T22:21:26"
    np.testing.assert_array_equal(measurement["counts"].values, images)
    assert measurement["counts"].dtype == np.uint16
    assert measurement["counts"].dtype.isnative
    # First stored row at the bottom; 48 pixels of 0.25 µm around -50 µm.
    assert measurement["y"].values[0] == -50 - 23.5 * 0.25
    assert measurement["x"].values[-1] == 100 + 24.5 * 0.25
    assert measurement["x"].attrs["units"] == "µm"


def test_stack_is_sorted_by_energy_with_its_exposures(tmp_path: Path) -> None:
    images = pictures(3).astype(np.float32)
    measurement = xradia.read(write(tmp_path, "a.txrm", series(images, [8353.0, 8250.0, 8300.0])))
    assert measurement.attrs["kind"] == "stack"
    np.testing.assert_array_equal(measurement["energy"], [8250, 8300, 8353])
    np.testing.assert_array_equal(measurement["counts"], images[[1, 2, 0]])
    np.testing.assert_array_equal(measurement["dwell"], [2, 3, 1])
    assert measurement["counts"].dtype == np.float32


def test_more_than_a_hundred_images_lie_in_several_storages(tmp_path: Path) -> None:
    images = pictures(103, 8, 9)
    energies = [8000.0 + i for i in range(103)]
    measurement = xradia.read(write(tmp_path, "a.txrm", series(images, energies)))
    np.testing.assert_array_equal(measurement["counts"], images)


@pytest.mark.parametrize("angles", [[-30.0, 0.0, 30.0], [0.0, 0.01, 0.02]])
def test_one_energy_makes_no_stack(tmp_path: Path, angles: list[float]) -> None:
    images = pictures(3)
    measurement = xradia.read(write(tmp_path, "a.txrm", series(images, [9200.0] * 3, angles)))
    assert measurement.attrs["kind"] == "image_series"
    assert measurement["counts"].dims == ("frame", "y", "x")
    np.testing.assert_array_equal(measurement["counts"], images)
    np.testing.assert_allclose(measurement["angle"], angles, atol=1e-6)
    np.testing.assert_array_equal(measurement["energy"], [9200] * 3)


@pytest.mark.parametrize(
    ("name", "energy"),
    [
        ("s_01_8324.0_eV_003.xrm", 8324.0),
        ("fov07_xanessoc01_8250_0eV.xrm", 8250.0),
        ("s_0250.52eV_1.xrm", 250.52),
        ("fov07_8250eV.xrm", 8250.0),
        ("run_01_710_eV.xrm", 710.0),
        ("8324_eV_8353_eV.xrm", None),
        ("7eVolution.xrm", None),
        ("8.25keV.xrm", 8250.0),
        ("scan_8.333keV_2.xrm", 8333.0),
        ("scan_0700.5_.xrm", 700.5),
        ("0700.5.xrm", 700.5),
        ("scan_0700.xrm", None),
        ("v1.25_scan.xrm", None),
        ("700.5_701.5.xrm", None),
        ("no_energy.xrm", None),
    ],
)
def test_energy_in_name(name: str, energy: float | None) -> None:
    assert energy_in_name(Path(name)) == energy


@pytest.mark.parametrize("header", [b"", floats(0.0), floats(np.nan)])
def test_energy_from_the_name_where_the_header_has_none(tmp_path: Path, header: bytes) -> None:
    data = series(pictures(1), [], Energy=header)
    with pytest.warns(InputWarning, match="8324 eV is taken from the file name"):
        measurement = xradia.read(write(tmp_path, "s_8324.0_eV_1.xrm", data))
    assert float(measurement["energy"][0]) == 8324.0
    with pytest.raises(InputError, match="no energy"):
        xradia.read(write(tmp_path, "s.xrm", data))


def test_contradiction_of_header_and_name_is_told(tmp_path: Path) -> None:
    with pytest.warns(InputWarning, match="the header is taken"):
        measurement = xradia.read(
            write(tmp_path, "s_8324.0_eV_.xrm", series(pictures(1), [8300.0]))
        )
    assert float(measurement["energy"][0]) == 8300.0


def test_missing_energies_of_a_stack_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txrm", series(pictures(3), [8250.0, 0.0, 0.0]))
    with pytest.raises(InputError, match="no energy for 2 of 3"):
        xradia.read(path)


def test_unknown_pixel_size_and_position(tmp_path: Path) -> None:
    data = series(pictures(1), [8250.0], PixelSize=b"", XPosition=b"", YPosition=b"")
    measurement = xradia.read(write(tmp_path, "a.xrm", data))
    np.testing.assert_array_equal(measurement["x"], np.arange(50))
    assert measurement["y"].attrs["units"] == "px"
    data = series(pictures(1), [8250.0], XPosition=b"")
    measurement = xradia.read(write(tmp_path, "a.xrm", data))
    assert measurement["x"].values[0] == 0
    assert measurement["x"].values[1] == 0.25


def test_aborted_series_needs_partial(tmp_path: Path) -> None:
    images = pictures(3)
    data = series(images, [8250.0, 8251, 8252, 8253], ImagesTaken=struct.pack("<i", 4))
    path = write(tmp_path, "a.txrm", data)
    with pytest.raises(InputError, match=r"3 of the 4 images.*missing is image 4"):
        xradia.read(path)
    with pytest.warns(InputWarning, match="3 of the 4 images"):
        measurement = xradia.read(path, Choice(partial=True))
    np.testing.assert_array_equal(measurement["counts"], images)
    np.testing.assert_array_equal(measurement["energy"], [8250, 8251, 8252])


def test_data_types_and_choices_that_do_not_exist(tmp_path: Path) -> None:
    path = write(tmp_path, "a.xrm", series(pictures(1), [8250.0], DataType=struct.pack("<i", 11)))
    with pytest.raises(InputError, match="data type 11"):
        xradia.read(path)
    path = write(tmp_path, "b.xrm", series(pictures(1), [8250.0]))
    with pytest.raises(InputError, match="no detector 'apd'"):
        xradia.read(path, Choice(detector="apd"))
    with pytest.raises(InputError, match="no entry 2"):
        xradia.read(path, Choice(entry=2))
    with pytest.raises(InputError, match="no such file"):
        xradia.read(tmp_path / "c.xrm")
    assert not xradia.reads_this(tmp_path / "c.xrm")


def overwrite_words(data: st.DataObject, content: bytearray) -> None:
    """Sectors or words of 0xFF, which is no number in the file and no zero."""
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        length = data.draw(st.sampled_from([1, 4, 512]))
        content[at : at + length] = b"\xff" * len(content[at : at + length])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_damage_is_an_error_or_harmless(data: st.DataObject, damaged: Any) -> None:
    images = pictures(2)
    content, cut = damaged(data, series(images, [8250.0, 8353.0]), overwrite_words)
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), "a_8250.0_eV.txrm", content)
        xradia.reads_this(path)
        try:
            measurement = xradia.read(path)
        except InputError:
            return
        except InputWarning:
            return
    if cut:
        np.testing.assert_array_equal(measurement["counts"], images)
        np.testing.assert_array_equal(measurement["energy"], [8250, 8353])
    assert measurement["counts"].values.all()
    assert np.isfinite(measurement["energy"]).all()


def plain(path: Path, stream: str, dtype: str) -> np.ndarray:
    with olefile.OleFileIO(path) as container:
        return np.frombuffer(container.openstream(stream).read(), dtype)


@pytest.mark.parametrize(
    ("name", "energy", "pixel_size", "exposure"),
    [
        ("fov07_xanessoc01_8250_0eV.xrm", 8249.9365234375, 0.0389474, 35.0),
        ("fov07_xanessoc01_8353_0eV.xrm", 8353.0322265625, 0.0389474, 35.0),
        ("ref_xanessoc01_8250_0eV.xrm", 8249.9365234375, 0.0389474, 35.0),
        ("ref_xanessoc01_8353_0eV.xrm", 8353.0322265625, 0.0389474, 35.0),
        ("test_chip00.xrm", 7191.0464, 0.0778947, 39.884727),
    ],
)
def test_measured_images(
    measured: Path, name: str, energy: float, pixel_size: float, exposure: float
) -> None:
    path = measured / "txm_aps_ncx" / name
    measurement = xradia.read(path)
    assert measurement.attrs["kind"] == "image"
    size = measurement.sizes["y"]
    stored = plain(path, "ImageData1/Image1", "<u2").reshape(size, size)
    np.testing.assert_array_equal(measurement["counts"][0], stored)
    assert float(measurement["energy"][0]) == pytest.approx(energy, rel=1e-7)
    assert float(measurement["dwell"][0]) == pytest.approx(exposure, rel=1e-6)
    np.testing.assert_allclose(np.diff(measurement["x"]), pixel_size, rtol=1e-5)
    centre = float(plain(path, "ImageInfo/YPosition", "<f4")[0])
    assert float(measurement["y"].mean()) == pytest.approx(centre, rel=1e-6)
    with olefile.OleFileIO(path) as container:
        has_reference = container.exists("ReferenceData/Image")
    assert ("reference_counts" in measurement) == has_reference
    if has_reference:
        stored = plain(path, "ReferenceData/Image", "<u2").reshape(size, size)
        np.testing.assert_array_equal(measurement["reference_counts"], stored)


def test_measured_nickel_edge_jump(measured: Path) -> None:
    # Over the Ni K edge (8333 eV) the optical density of the particles rises.
    folder = measured / "txm_aps_ncx"
    density = {}
    for energy in (8250, 8353):
        sample, reference = (
            xradia.read(folder / f"{kind}_xanessoc01_{energy}_0eV.xrm")["counts"].values[0]
            for kind in ("fov07", "ref")
        )
        density[energy] = -np.log(np.maximum(sample, 1.0) / np.maximum(reference, 1.0))
    middle = np.s_[300:700, 300:700]
    assert np.percentile(density[8353][middle], 90) > np.percentile(density[8250][middle], 90) + 0.1


def test_measured_tilt_series_is_no_stack(measured: Path) -> None:
    path = measured / "txm_aps_ncx" / "txrm_test_chip_tomo.txrm"
    with pytest.warns(InputWarning, match="recorded for one of 7 images"):
        measurement = xradia.read(path)
    assert measurement.attrs["kind"] == "image_series"
    assert measurement["counts"].dims == ("frame", "y", "x")
    for frame in range(7):
        stored = plain(path, f"ImageData1/Image{frame + 1}", "<u2").reshape(256, 256)
        np.testing.assert_array_equal(measurement["counts"][frame], stored)
    np.testing.assert_array_equal(measurement["angle"], plain(path, "ImageInfo/Angles", "<f4"))
    np.testing.assert_allclose(np.diff(measurement["angle"]), 15, atol=0.01)
    np.testing.assert_allclose(measurement["energy"], 9200.0166015625)
    np.testing.assert_allclose(measurement["dwell"], 5)


def test_measured_file_cut_off(measured: Path, tmp_path: Path) -> None:
    whole = (measured / "txm_aps_ncx" / "test_chip00.xrm").read_bytes()
    path = write(tmp_path, "cut.xrm", whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged or truncated"):
        xradia.read(path)
