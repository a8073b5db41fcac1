"""Files of 4D-STEM made byte by byte here, with an asymmetric pattern, and read back."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phaseloom import InputError, InputWarning, read
from phaseloom.io import read_pattern, read_scan
from phaseloom.io.description import describe

ROWS, COLUMNS, KY, KX = 3, 4, 5, 7


def numbers(dtype: str = "u2", shape: tuple[int, ...] = (ROWS, COLUMNS, KY, KX)) -> np.ndarray:
    """Every number another, as far as the type goes."""
    return np.arange(1, 1 + np.prod(shape)).reshape(shape).astype(dtype)


def make_blo(path: Path, data: np.ndarray | None = None, **header: Any) -> np.ndarray:
    data = numbers("u1", (ROWS, COLUMNS, 6, 6)) if data is None else data
    ny, nx, size, _ = data.shape
    said = {"step": 12.5, "voltage": 200_000, "ppcm": 6226, "length": 2000, "angle": 1.5} | header
    start = struct.pack(
        "<6sHIIIHHHHHddIHId", b"IMGBLO", 0x102, 4096, 4096 + nx * ny, 131141, size, 0, nx, ny,
        2500, said["step"], said["step"], said["voltage"], said["ppcm"], said["length"], 42339.65,
    ) + bytes(8 * 22)  # fmt: skip
    note = f"Precession angle : {said['angle']}\r\nCamera gamma : on".encode()
    frames = b"".join(
        b"\xaa\x55" + struct.pack("<I", i) + frame.tobytes()
        for i, frame in enumerate(data.reshape(-1, size, size))
    )
    path.write_bytes((start + note).ljust(4096, b"\0") + bytes(nx * ny) + frames)
    return data


def make_mib(
    path: Path, data: np.ndarray | None = None, pause: int = 50_000, hdr: str = ""
) -> np.ndarray:
    data = numbers() if data is None else data
    kind = {"u1": "U08", "u2": "U16", "u4": "U32"}[data.dtype.str[1:]]
    _, nx, ky, kx = data.shape
    parts, time = [], 123_456_000
    for i, frame in enumerate(data.reshape(-1, ky, kx)):
        head = (
            f"MQ1,{i + 1:06d},00384,01,{kx:04d},{ky:04d},{kind},   1x1,01,"
            f"2021-05-07 18:51:10.905800,0.001000,0,0,0,MQ1A,"
            f"2021-05-07T16:51:10.{time:09d}Z,1000000ns,12,"
        )
        parts += [head.encode().ljust(384), frame[::-1].astype(data.dtype.newbyteorder(">"))]
        time += 1_000_000 + (i % 3) * 10 + (pause if (i + 1) % nx == 0 else 0)
    path.write_bytes(b"".join(p if isinstance(p, bytes) else p.tobytes() for p in parts))
    if hdr:
        path.with_suffix(".hdr").write_text(f"HDR,\t\n{hdr}\nEnd\t", "latin-1")
    return data


def make_tvips(path: Path, data: np.ndarray | None = None) -> np.ndarray:
    """`path` without its number; patterns in two parts."""
    data = numbers() if data is None else data
    *_, ky, kx = data.shape
    head = struct.pack("<13I", 256, 2, kx, ky, 16, 0, 0, 1, 1, 15600, 200, 80, 60)
    frames = [
        struct.pack("<IIIIfII", i, 7, i, 0, 0.0, 80, 2).ljust(60, b"\0") + frame.tobytes()
        for i, frame in enumerate(data.reshape(-1, ky, kx))
    ]
    path.with_name(path.stem + "_000.tvips").write_bytes(
        head.ljust(256, b"T") + b"".join(frames[:5])
    )
    path.with_name(path.stem + "_001.tvips").write_bytes(b"".join(frames[5:]))
    return data.reshape(1, -1, ky, kx)


def make_empad(path: Path, more: str = "", shape: tuple[int, int] = (ROWS, COLUMNS)) -> np.ndarray:
    data = numbers("<f4", (*shape, 128, 128))
    raw = np.concatenate([data, np.full((*shape, 2, 128), -5, "<f4")], axis=2)
    path.with_name("scan_x4_y3.raw").write_bytes(raw.tobytes())
    path.write_text(
        f'<root name="a"><raw_file filename="scan_x4_y3.raw"/><pix_x>{shape[1]}</pix_x>'
        f"<pix_y>{shape[0]}</pix_y><exposure_time>1</exposure_time><iom_measurements>"
        "<optics.get_cameralength>0.7225</optics.get_cameralength>"
        "<source.get_voltage>300000.0</source.get_voltage>"
        "<optics.get_full_scan_field_of_view>[3e-8, 8e-8]</optics.get_full_scan_field_of_view>"
        f"{more}</iom_measurements></root>"
    )
    return data


def make_ser(path: Path, data: np.ndarray | None = None, step: float = 4e7) -> np.ndarray:
    """A scan with recorded positions, x fastest, rows from the bottom."""
    data = numbers("<i4") if data is None else data
    ny, nx, ky, kx = data.shape
    dims = b"".join(
        struct.pack("<IddII", n, 0.0, 2e-9, 0, 8) + b"Position" + struct.pack("<I", 6) + b"meters"
        for n in (nx, ny)
    )
    places_at = 34 + len(dims)
    size = 50 + data[0, 0].nbytes + 24
    first = places_at + 16 * nx * ny
    head = struct.pack(
        "<HHHIIIIQI", 0x4949, 0x197, 0x220, 0x4122, 0x4142, nx * ny, nx * ny, places_at, 2
    )
    places = struct.pack(f"<{nx * ny}Q", *(first + i * size for i in range(nx * ny)))
    frames = b"".join(
        struct.pack("<ddiddiHii", 0, step, 0, 0, step, 0, 6, kx, ky)
        + data[i // nx, i % nx, ::-1].tobytes()
        + struct.pack("<HHIdd", 0x4142, 0, 7, 1e-9 * (i % nx), 1e-9 * (i // nx))
        for i in range(nx * ny)
    )
    path.write_bytes(head + dims + places.ljust(16 * nx * ny, b"\0") + frames)
    return data


def make_hspy(path: Path, data: np.ndarray | None = None) -> np.ndarray:
    """With the axes of the detector first, as after a transpose in HyperSpy."""
    data = numbers() if data is None else data
    with h5py.File(path, "w") as file:
        file.attrs["file_format"] = "HyperSpy"
        group = file.create_group("Experiments/mine")
        group.attrs["package"] = "pyxem"
        group.create_dataset("data", data=data.transpose(2, 3, 0, 1), chunks=(KY, KX, 2, 2))
        for index, (name, scale, units, navigate) in enumerate(
            (
                ("ky", 0.2, "$nm^{-1}$", False),
                ("kx", 0.2, "$nm^{-1}$", False),
                ("y", 2e-3, "µm", True),
                ("x", 2e-3, "µm", True),
            )
        ):
            axis = group.create_group(f"axis-{index}")
            axis.attrs.update(name=name, scale=scale, offset=0.0, units=units, navigate=navigate)
        tem = group.create_group("metadata/Acquisition_instrument/TEM")
        tem.attrs.update(beam_energy=200.0, camera_length=20.0, rocking_angle=np.radians(1) * 1e3)
        group.create_group("metadata/General").attrs["title"] = "lamella"
    return data


def make_emd(path: Path) -> np.ndarray:
    """Berkeley, written as (x, y, kx, ky) by a program that calls them so."""
    data = numbers()
    with h5py.File(path, "w") as file:
        group = file.create_group("data/cube")
        group.attrs["emd_group_type"] = 1
        group["data"] = data.transpose(1, 0, 3, 2)
        for index, (name, n, step, units) in enumerate(
            (
                ("x", COLUMNS, 5.0, "[A]"),
                ("y", ROWS, 5.0, "[A]"),
                ("kx", KX, 0.3, "[n_m^-1]"),
                ("ky", KY, 0.3, "[n_m^-1]"),
            )
        ):
            group[f"dim{index + 1}"] = step * np.arange(n)
            group[f"dim{index + 1}"].attrs.update(name=name, units=np.bytes_(units))
    return data


def make_velox(path: Path, unit: str = "1/m") -> np.ndarray:
    data = numbers(shape=(ROWS, KY, KX))
    said = {
        "BinaryResult": {"PixelSize": {"height": "3e7", "width": "3e7"}, "PixelUnitX": unit},
        "Optics": {"AccelerationVoltage": "200000", "CameraLength": "0.3"},
    }
    text = np.frombuffer(json.dumps(said).encode().ljust(400, b"\0"), "u1")
    with h5py.File(path, "w") as file:
        group = file.create_group("Data/Image/0a1b")
        group.create_dataset("Data", data=data.transpose(1, 2, 0), chunks=(KY, KX, 1))
        group["Metadata"] = np.repeat(text[:, None], ROWS, axis=1)
    return data[None]


def make_arina(path: Path) -> np.ndarray:
    data = numbers("u4")
    flat = data.reshape(-1, KY, KX)
    with h5py.File(path, "w") as file:
        detector = file.create_group("entry/instrument/detector")
        detector.create_group("detectorSpecific").attrs["NX_class"] = "NXcollection"
        detector["count_time"], detector["saturation_value"] = 1e-4, 8352
        links = file.create_group("entry/data")
        for number, part in ((1, flat[:8]), (2, flat[8:])):
            name = path.name.replace("_master", f"_data_{number:06d}")
            links[f"data_{number:06d}"] = h5py.ExternalLink(name, "/entry/data/data")
            with h5py.File(path.with_name(name), "w") as beside:
                beside.create_dataset("entry/data/data", data=part, chunks=(1, KY, KX))
    with h5py.File(path.with_name(path.name.replace("_master", "")), "w") as file:
        file.create_group("STEM Metadata").attrs.update(
            {"NumPixelsX": COLUMNS, "NumPixelsY": ROWS, "Pixel Size": [0.5],
             "High Tension": [3e5], "Camera Length": [0.115], "Rotation": [3.0]}
        )  # fmt: skip
    return data


def make_h5(path: Path) -> np.ndarray:
    """Plain, with its axes named in another order."""
    data = numbers(">u2")
    with h5py.File(path, "w") as file:
        file["somewhere/patterns"] = data.transpose(2, 3, 1, 0)
        for index, name in enumerate(("ky", "kx", "x", "y")):
            file["somewhere/patterns"].dims[index].label = name
        file["somewhere/image"] = np.ones((ROWS, COLUMNS))
    return data


def make_zarr(path: Path) -> np.ndarray:
    data = numbers("f4")
    zarr.open_group(path, mode="w").create_array("a/cube", data=data, chunks=(2, 2, KY, KX))
    return data


def make_zspy(path: Path) -> np.ndarray:
    data = numbers()
    root = zarr.open_group(path, mode="w")
    group = root.create_group("Experiments/mine")
    group.create_array("data", data=data, chunks=(2, 2, KY, KX))
    for index, (name, units) in enumerate([("y", "nm"), ("x", "nm"), ("ky", "1/Å"), ("kx", "1/Å")]):
        group.create_group(f"axis-{index}").attrs.update(
            name=name, units=units, scale=0.1, offset=0.0, navigate=index < 2
        )
    group.create_group("metadata")
    return data


def make_npy(path: Path, dtype: str = ">u2") -> np.ndarray:
    data = numbers(dtype)
    np.save(path, data)
    return data


def make_npy_columns(path: Path) -> np.ndarray:
    data = numbers("f4")
    np.save(path, np.asfortranarray(data))
    return data


NM, PX = "nm", "px"
K = "Å⁻¹"
# name, maker, file to read, steps and their units (scan, detector), what else is known
FORMATS: list[tuple[str, Callable[[Path], np.ndarray], str, tuple, tuple, dict]] = [
    ("a.blo", make_blo, "a.blo", (12.5, NM), (0.0320217, K),
     {"voltage": 200, "camera_length": 200, "precession_angle": 1.5, "scan_rotation": 25}),
    ("a.tvips", make_tvips, "a_000.tvips", (1, PX), (1, PX), {"voltage": 200}),
    ("a.ser", make_ser, "a.ser", (2.0, NM), (0.004, K), {}),
    ("a.hspy", make_hspy, "a.hspy", (2.0, NM), (0.02, K),
     {"voltage": 200, "camera_length": 200, "precession_angle": 1.0, "title": "lamella"}),
    ("a.emd", make_emd, "a.emd", (0.5, NM), (0.03, K), {}),
    ("a.de5", make_emd, "a.de5", (0.5, NM), (0.03, K), {}),
    ("v.emd", make_velox, "v.emd", (1, PX), (0.003, K), {"voltage": 200, "camera_length": 300}),
    ("a_master.h5", make_arina, "a_master.h5", (0.5, NM), (1, PX),
     {"voltage": 300, "camera_length": 115, "scan_rotation": 3, "exposure": 1e-4,
      "saturation": 8352}),
    ("plain.h5", make_h5, "plain.h5", (1, PX), (1, PX), {}),
    ("plain.zarr", make_zarr, "plain.zarr", (1, PX), (1, PX), {}),
    ("a.zspy", make_zspy, "a.zspy", (0.1, NM), (0.1, K), {}),
    ("a.npy", make_npy, "a.npy", (1, PX), (1, PX), {}),
    ("f.npy", make_npy_columns, "f.npy", (1, PX), (1, PX), {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "make", "given", "scan", "detector", "known"), FORMATS, ids=[f[0] for f in FORMATS]
)
def test_every_format_gives_the_numbers_in_our_frame(
    tmp_path: Path, name: str, make: Any, given: str, scan: Any, detector: Any, known: Any
) -> None:
    data = make(tmp_path / name)
    measurement = read(tmp_path / given)
    counts = measurement["counts"]
    assert (measurement.attrs["kind"], counts.dims) == ("scan", ("y", "x", "ky", "kx"))
    assert measurement.attrs["source"] == given
    assert counts.dtype == data.dtype.newbyteorder("=")
    assert counts.dtype.isnative
    assert counts.chunks is not None
    np.testing.assert_array_equal(counts, data)
    np.testing.assert_array_equal(counts[-1:, 1:3, 1:, ::2], data[-1:, 1:3, 1:, ::2])
    np.testing.assert_array_equal(counts[0, [2, 0]], data[0, [2, 0]])
    for axis, (step, unit) in (("x", scan), ("ky", detector), ("kx", detector)):
        assert measurement[axis].attrs["units"] == unit
        np.testing.assert_allclose(np.diff(measurement[axis]), step, rtol=1e-5)
    for fact, value in known.items():
        assert measurement.attrs[fact] == (value if fact == "title" else pytest.approx(value))
    assert len(measurement.attrs["input_fingerprint"]) == 32
    assert (
        read(tmp_path / given).attrs["input_fingerprint"]
        == (measurement.attrs["input_fingerprint"])
    )
    elsewhere = pickle.loads(pickle.dumps(counts[1:, 2:].data))  # as to another process
    np.testing.assert_array_equal(elsewhere.compute(), data[1:, 2:])
    facts = json.loads(json.dumps(describe(measurement), allow_nan=False))
    assert facts["quantities"]["counts"]["max"] == data.max()
    for fact in known:
        assert fact in facts


def test_de5_as_rosettasciio_writes_and_reads_it(tmp_path: Path) -> None:
    from rsciio import emd

    data = numbers()
    axes = [
        {"name": name, "size": n, "scale": 0.2, "offset": 0.0, "units": units, "navigate": i < 2,
         "index_in_array": i, "_type": "UniformDataAxis", "is_binned": False}
        for i, (name, n, units) in enumerate(
            zip(("y", "x", "ky", "kx"), data.shape, ("nm", "nm", "1/nm", "1/nm"), strict=True)
        )
    ]  # fmt: skip
    signal = {
        "data": data, "axes": axes, "metadata": {"General": {"title": "gold"}, "Signal": {}},
        "original_metadata": {},
    }  # fmt: skip
    emd.file_writer(str(tmp_path / "a.de5"), signal)
    np.testing.assert_array_equal(emd.file_reader(str(tmp_path / "a.de5"))[0]["data"], data)
    scan = read(tmp_path / "a.de5")
    np.testing.assert_array_equal(scan["counts"], data)
    np.testing.assert_allclose(np.diff(scan["kx"]), 0.02)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4"])
def test_mib_takes_its_shape_from_pauses_between_rows(tmp_path: Path, dtype: str) -> None:
    data = make_mib(tmp_path / "a.mib", numbers(dtype))
    with pytest.warns(InputWarning, match="3×4 is taken from the pauses"):
        scan = read(tmp_path / "a.mib")
    np.testing.assert_array_equal(scan["counts"], data)
    assert scan.attrs["exposure"] == 1e-3
    assert scan.attrs["saturation"] == 4095


@pytest.mark.parametrize(
    "hdr",
    [
        "ScanX:\t4\nScanY:\t3",
        "Frames in Acquisition (Number):\t12\nFrames per Trigger (Number):\t4",
    ],
)
def test_mib_takes_its_shape_from_the_hdr(tmp_path: Path, hdr: str) -> None:
    data = make_mib(tmp_path / "a.mib", pause=0, hdr=hdr)
    np.testing.assert_array_equal(read(tmp_path / "a.mib")["counts"], data)


def test_mib_without_any_hint_is_a_series(tmp_path: Path) -> None:
    data = make_mib(tmp_path / "a.mib", pause=0)
    scan = read(tmp_path / "a.mib")
    np.testing.assert_array_equal(scan["counts"][0], data.reshape(-1, KY, KX))


def test_mib_that_is_raw_or_zipped_is_refused(tmp_path: Path) -> None:
    make_mib(tmp_path / "a.mib")
    raw = (tmp_path / "a.mib").read_bytes()
    (tmp_path / "a.mib").write_bytes(raw.replace(b"U16", b"R64"))
    with pytest.raises(InputError, match="raw counters"):
        read(tmp_path / "a.mib")
    for name in ("b.mib", "b.zip"):
        (tmp_path / name).write_bytes(b"PK\x03\x04" + bytes(100))
        with pytest.raises(InputError, match="is a zip archive; unzip it"):
            read(tmp_path / name)


def test_empad(tmp_path: Path) -> None:
    data = make_empad(
        tmp_path / "a.xml",
        "<calibrated_diffraction_angle>0.0004</calibrated_diffraction_angle>",
    )
    scan = read(tmp_path / "a.xml")
    np.testing.assert_array_equal(scan["counts"], data)
    assert float(scan["y"][1]) == pytest.approx(10.0)
    assert float(scan["x"][1]) == pytest.approx(20.0)
    # 0.4 mrad at 300 kV, 0.0196875 Å
    assert float(scan["kx"][1] - scan["kx"][0]) == pytest.approx(0.0004 / 0.0196875, rel=1e-4)
    assert scan.attrs["voltage"] == 300
    assert scan.attrs["camera_length"] == pytest.approx(722.5)


def test_empad_that_contradicts_itself_is_pointed_out(tmp_path: Path) -> None:
    make_empad(
        tmp_path / "a.xml",
        "<calibrated_diffraction_angle>0.000429</calibrated_diffraction_angle>"
        "<calibrated_pixelsize>1.8265e-10</calibrated_pixelsize>",
    )
    with pytest.warns(InputWarning, match=r"0\.01826 Å⁻¹ and its pixel angle, 0\.02179"):
        scan = read(tmp_path / "a.xml")
    assert float(np.diff(scan["kx"])[0]) == pytest.approx(0.018265)
    (tmp_path / "scan_x4_y3.raw").unlink()
    with pytest.raises(InputError, match=r"raw file scan_x4_y3\.raw is missing"):
        read(tmp_path / "a.xml")


@pytest.mark.filterwarnings("ignore:Reading `.npy`:UserWarning")
def test_an_array_saved_by_python_2(tmp_path: Path) -> None:
    data = numbers("<i8")
    header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (3L, 4L, 5L, 7L), }\n"
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    (tmp_path / "a.npy").write_bytes(start + data.tobytes())
    np.testing.assert_array_equal(read(tmp_path / "a.npy")["counts"], data)


@pytest.mark.parametrize(("name", "frame"), [("a.blo", 42), ("a.npy", 70), ("a.mib", 454)])
def test_integers_that_end_early_give_complete_rows(tmp_path: Path, name: str, frame: int) -> None:
    path = tmp_path / name
    hdr = {"hdr": "ScanX\t4\nScanY\t3"} if name == "a.mib" else {}
    data = {"a.blo": make_blo, "a.npy": make_npy, "a.mib": make_mib}[name](path, **hdr)
    whole = path.read_bytes()
    path.write_bytes(whole[: -5 * frame - 3])
    with pytest.raises(InputError, match=r"holds 6 of the 12 patterns it promises .*--partial"):
        read(path)
    with pytest.warns(InputWarning, match="ends after its 1 complete rows"):
        scan = read(path, partial=True)
    np.testing.assert_array_equal(scan["counts"], data[:1])


def test_floats_that_end_early_keep_their_shape(tmp_path: Path) -> None:
    data = make_empad(tmp_path / "a.xml")
    raw = tmp_path / "scan_x4_y3.raw"
    raw.write_bytes(raw.read_bytes()[: 6 * 130 * 128 * 4 + 99])
    with pytest.raises(InputError, match="holds 6 of the 12 patterns"):
        read(tmp_path / "a.xml")
    with pytest.warns(InputWarning, match="the missing patterns are NaN"):
        scan = read(tmp_path / "a.xml", partial=True)
    counts = scan["counts"].to_numpy().reshape(12, 128, 128)
    np.testing.assert_array_equal(counts[:6], data.reshape(12, 128, 128)[:6])
    assert np.isnan(counts[6:]).all()


def test_a_missing_arina_file(tmp_path: Path) -> None:
    data = make_arina(tmp_path / "a_master.h5")
    (tmp_path / "a_data_000002.h5").unlink()
    with pytest.raises(InputError, match=r"a_data_000002\.h5 is missing"):
        read(tmp_path / "a_master.h5")
    with pytest.warns(InputWarning):
        scan = read(tmp_path / "a_master.h5", partial=True)
    np.testing.assert_array_equal(scan["counts"], data[:2])


def test_unwritten_blocks_of_hdf5_are_noticed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        item = file.create_dataset("d", shape=(4, 4, 5, 5), dtype="u2", chunks=(1, 4, 5, 5))
        item[:2] = 7
    with pytest.raises(InputError, match="only 50 % of /d was written"):
        read(tmp_path / "a.h5")
    with pytest.warns(InputWarning, match="reads as zero"):
        assert int(read(tmp_path / "a.h5", partial=True)["counts"].sum()) == 7 * 2 * 100


def test_several_scans_in_a_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["one"], file["two"] = numbers("u1"), numbers("u2")
    with pytest.raises(InputError, match=r"holds 2 scans \(one, two\); choose one"):
        read(tmp_path / "a.h5")
    assert read(tmp_path / "a.h5", detector="two")["counts"].dtype == np.uint16
    with pytest.raises(InputError, match="no detector 'three'; there are one, two"):
        read(tmp_path / "a.h5", detector="three")


def test_images_and_spectra_are_refused_by_what_they_are(tmp_path: Path) -> None:
    make_velox(tmp_path / "v.emd", unit="m")
    with pytest.raises(InputError, match="images of the sample, not diffraction"):
        read(tmp_path / "v.emd")
    make_ser(tmp_path / "a.ser", step=1e-10)
    with pytest.raises(InputError, match="images of the sample, not diffraction"):
        read(tmp_path / "a.ser")
    with pytest.raises(InputError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(InputError, match=r"is not the first part .* a_000"):
        make_tvips(tmp_path / "a.tvips")
        read(tmp_path / "a_001.tvips")


def test_a_pixel_size_that_cannot_be_is_not_used(tmp_path: Path) -> None:
    make_blo(tmp_path / "a.blo", step=-3.0, length=1)
    with pytest.warns(InputWarning) as caught:
        scan = read(tmp_path / "a.blo")
    assert {str(w.message).split("cannot")[0][-30:] for w in caught}
    assert scan["kx"].attrs["units"] == scan["x"].attrs["units"] == "px"


@pytest.mark.parametrize("format_name", ["npy", "mib", "blo"])
def test_a_scan_of_30_gb_is_read_where_it_is_asked_for(tmp_path: Path, format_name: str) -> None:
    """A sparse file: opening and a few rows cost no more than they hold."""
    path = tmp_path / f"a.{format_name}"
    if format_name == "npy":
        n = 256
        with path.open("wb") as file:
            header = {"descr": "<u2", "fortran_order": False, "shape": (480, 480, n, n)}
            np.lib.format.write_array_header_1_0(file, header)
            file.truncate(file.tell() + 480 * 480 * n * n * 2)
    elif format_name == "mib":
        n = 256
        make_mib(path, np.ones((1, 1, n, n), "u2"), hdr="ScanX:\t480\nScanY:\t480")
        with path.open("r+b") as file:
            file.truncate(480 * 480 * (384 + n * n * 2))
    else:
        n = 360
        make_blo(path, np.ones((1, 1, n, n), "u1"))
        with path.open("r+b") as file:
            file.seek(24)  # columns and rows
            file.write(struct.pack("<HH", 480, 480))
            file.truncate(4097 + 480 * 480 * (6 + n * n))
    assert path.stat().st_size > 29e9
    scan = read(path)
    assert scan["counts"].shape == (480, 480, n, n)
    assert np.prod(scan["counts"].data.chunksize) * scan["counts"].dtype.itemsize <= 2**25
    assert int(scan["counts"][400:402, 5].sum()) == 0
    facts = describe(scan)["quantities"]["counts"]
    assert facts["sampled"] is True


def test_only_what_is_asked_for_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from phaseloom.io.readers import _lazy

    make_npy(tmp_path / "a.npy")
    scan = read(tmp_path / "a.npy")
    counts = scan["counts"]
    got: list[int] = []
    mapped = _lazy.MappedArray.__getitem__

    def counted(self: Any, key: Any) -> Any:
        part = mapped(self, key)
        got.append(part.size)
        return part

    monkeypatch.setattr(_lazy.MappedArray, "__getitem__", counted)
    counts[1, 2].compute()
    counts[1:2, 1:3].compute()
    assert got == [KY * KX, 2 * KY * KX]


MAKERS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a.blo": (make_blo, "a.blo"),
    "a.tvips": (make_tvips, "a_000.tvips"),
    "a.ser": (make_ser, "a.ser"),
    "a.hspy": (make_hspy, "a.hspy"),
    "a.emd": (make_emd, "a.emd"),
    "a.de5": (make_emd, "a.de5"),
    "v.emd": (make_velox, "v.emd"),
    "plain.h5": (make_h5, "plain.h5"),
    "a_master.h5": (make_arina, "a_master.h5"),
    "a.npy": (make_npy, "a.npy"),
    "a.mib": (make_mib, "a.mib"),
}


@pytest.mark.filterwarnings("ignore::phaseloom.errors.InputWarning")
@pytest.mark.parametrize("name", sorted(MAKERS))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cut=st.floats(0, 1) | st.just(1.0),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=3),
    partial=st.booleans(),
    early=st.booleans(),
)
def test_damage_gives_a_sentence_or_numbers(
    tmp_path: Path,
    name: str,
    cut: float,
    flips: list[tuple[float, int]],
    partial: bool,
    early: bool,
) -> None:
    """No exception but InputError, whatever byte is wrong and wherever the file ends."""
    make, given_name = MAKERS[name]
    whole = tmp_path / f"whole-{name}"
    path = tmp_path / given_name
    if not whole.exists():
        make(tmp_path / name)
        whole.write_bytes(path.read_bytes())
    content = bytearray(whole.read_bytes())
    # headers are where it hurts
    reach = min(len(content), 600) if early else len(content)
    for place, value in flips:
        content[min(int(place * reach), len(content) - 1)] = value
    path.write_bytes(bytes(content[: int(cut * len(content))]))
    try:
        scan = read_scan(path, partial=partial)
        scan["counts"][:1, :1].to_numpy()
        assert scan["counts"].ndim == 4
    except InputError as fault:
        assert str(path.parent) in str(fault)
    finally:
        path.unlink()


def test_series_and_single_patterns_in_hdf5(tmp_path: Path) -> None:
    path, data = tmp_path / "a.h5", numbers()[0]
    with h5py.File(path, "w") as file:
        file["series"], file["dark"] = data, data[2]
    scan = read(path)
    np.testing.assert_array_equal(scan["counts"], data[None])
    np.testing.assert_array_equal(scan["counts"][0, -1, 2:], data[-1, 2:])
    np.testing.assert_array_equal(read_pattern(path, detector="dark"), data[2])
