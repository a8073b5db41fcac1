from __future__ import annotations

import numpy as np
import pytest
from rsciio import blockfile, hspy, tiff, zspy

from phaseloom.errors import InputError, InputWarning
from phaseloom.io import read_scan
from phaseloom.io.export.patterns import write_patterns
from phaseloom.io.scan_axes import wavelength

READERS = {".blo": blockfile, ".hspy": hspy, ".zspy": zspy, ".tif": tiff}
SCAN, PATTERN = (4, 3), (16, 16)
CALIBRATION = {
    "pixel_size": 0.01234567,
    "units": "Å⁻¹",
    "step": (5.0, 2.5),
    "step_units": "nm",
    "voltage": 200.0,
}


@pytest.fixture
def patterns():
    """No two pixels of the asymmetric scan are alike by turning or mirroring it."""
    rng = np.random.default_rng(0)
    scan = rng.integers(0, 20, (*SCAN, *PATTERN)).astype(np.uint8)
    scan[..., 2, 9] = 200
    scan[1, 2, 12, 3] = 255
    return scan


def _blocks(scan, size=5):
    flat = scan.reshape(-1, *scan.shape[2:])
    for first in range(0, len(flat), size):
        last = min(first + size, len(flat))
        yield slice(first, last), flat[first:last]


def _write(path, scan, **options):
    shapes = {"scan_shape": scan.shape[:2], "pattern_shape": scan.shape[2:]}
    return write_patterns(path, _blocks(scan), **shapes | CALIBRATION | options)


@pytest.mark.parametrize(
    ("extension", "dtype"),
    [(".blo", "uint8")]
    + [(e, d) for e in (".hspy", ".zspy", ".tif") for d in ("uint8", "uint16", "float32")],
)
def test_patterns_come_back_unturned(tmp_path, patterns, extension, dtype):
    scan = patterns.astype(dtype)
    path = _write(tmp_path / f"scan{extension}", scan)
    (found,) = READERS[extension].file_reader(str(path))
    np.testing.assert_array_equal(np.asarray(found["data"]).squeeze(), scan)
    assert found["data"].dtype == dtype
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("extension", [".hspy", ".zspy"])
def test_hyperspy_axes(tmp_path, patterns, extension):
    path = _write(tmp_path / f"scan{extension}", patterns, title="a/b")
    (found,) = READERS[extension].file_reader(str(path))
    axes = found["axes"]
    assert [a["name"] for a in axes] == ["y", "x", "ky", "kx"]
    assert [a["scale"] for a in axes] == [5.0, 2.5, 0.01234567, 0.01234567]
    assert [a["units"] for a in axes] == ["nm", "nm", "$A^{-1}$", "$A^{-1}$"]
    assert [a["offset"] for a in axes[2:]] == [-8 * 0.01234567] * 2
    assert [bool(a["navigate"]) for a in axes] == [True, True, False, False]
    assert found["metadata"]["General"]["title"] == "a/b"
    assert found["metadata"]["Signal"]["signal_type"] == "electron_diffraction"
    assert found["metadata"]["Acquisition_instrument"]["TEM"]["beam_energy"] == 200


def test_blockfile_header(tmp_path, patterns):
    path = _write(tmp_path / "scan.blo", patterns, title="silver")
    (found,) = blockfile.file_reader(str(path))
    assert [a["scale"] for a in found["axes"][:2]] == [5.0, 2.5]
    header = found["original_metadata"]["blockfile_header"]
    assert header["Beam_energy"] == 200_000
    metres, length = found["axes"][2]["scale"] / 100, header["Camera_length"] * 1e-4
    assert metres / (length * wavelength(200)) == pytest.approx(0.01234567, rel=1e-6)
    assert "silver" in header["Note"]
    assert "Pixel size : 0.01234567 1/angstrom" in header["Note"]
    lazy = blockfile.file_reader(str(path), lazy=True)[0]["data"]
    np.testing.assert_array_equal(lazy.compute(), patterns)


@pytest.mark.parametrize("voltage", [200.0, 60.0, 300.0])
@pytest.mark.parametrize("pixel_size", [0.00312345, 0.0123, 0.09])
def test_the_pixel_size_of_a_blockfile_comes_back(tmp_path, patterns, voltage, pixel_size):
    path = tmp_path / "scan.blo"
    scaling = "values are 3.1 × the square root of the counts of each spot"
    _write(
        path, patterns, voltage=voltage, pixel_size=pixel_size, scaling=scaling, title="a\nb" * 9
    )
    with pytest.warns(InputWarning, match="its values are square roots of counts"):
        scan = read_scan(path)
    assert {scan[a].attrs["units"] for a in ("ky", "kx")} == {"Å⁻¹"}
    np.testing.assert_allclose(np.diff(scan["kx"]), pixel_size, rtol=1e-5)
    assert scan.attrs["voltage"] == voltage
    note = blockfile.file_reader(str(path))[0]["original_metadata"]["blockfile_header"]["Note"]
    assert f"Intensity : {scaling}" in note


def test_without_a_voltage_the_pixel_size_comes_back_from_the_note(tmp_path, patterns):
    with pytest.warns(InputWarning, match="in the note alone"):
        path = _write(tmp_path / "scan.blo", patterns, voltage=None)
    scan = read_scan(path)
    np.testing.assert_allclose(np.diff(scan["kx"]), 0.01234567, rtol=1e-8)
    assert "voltage" not in scan.attrs
    np.testing.assert_allclose(np.diff(scan["x"]), 2.5)
    path = _write(
        tmp_path / "scan.blo", patterns, units="px", pixel_size=1, step=1, step_units="px"
    )
    assert {a.attrs["units"] for a in read_scan(path).coords.values()} == {"px"}


def test_blockfile_virtual_image(tmp_path, patterns):
    raw = _write(tmp_path / "scan.blo", patterns).read_bytes()
    image = np.frombuffer(raw[0x1000 : 0x1000 + 12], np.uint8).reshape(SCAN)
    total = patterns.sum((2, 3), dtype=float)
    np.testing.assert_array_equal(image, np.rint(255 * total / total.max()))


@pytest.mark.parametrize("unknown", [{"voltage": None}, {"units": "px", "pixel_size": 1.0}])
def test_blockfile_leaves_out_what_is_not_known(tmp_path, patterns, unknown):
    if "voltage" in unknown:
        with pytest.warns(InputWarning, match="voltage"):
            path = _write(tmp_path / "scan.blo", patterns, **unknown)
    else:
        path = _write(tmp_path / "scan.blo", patterns, **unknown)
    header = blockfile.file_reader(str(path))[0]["original_metadata"]["blockfile_header"]
    assert header["SDP"] == header["Camera_length"] == 0


@pytest.mark.parametrize("large", [False, True])
def test_tiff_is_an_imagej_stack(tmp_path, patterns, monkeypatch, large):
    from tifffile import TiffFile

    if large:
        monkeypatch.setattr("phaseloom.io.export.patterns.PatternHeader.nbytes", 2**32)
    path = _write(tmp_path / "scan.tif", patterns)
    with TiffFile(path) as file:
        assert file.is_bigtiff == large
        assert file.is_imagej
        assert len(file.pages) == 12
        info = file.imagej_metadata
        assert (info["frames"], info["slices"], info["unit"]) == (4, 3, "1/angstrom")
        assert (info["xorigin"], info["yorigin"]) == (8, 8)
        up, down = file.pages[0].tags["XResolution"].value
        assert down / up == pytest.approx(0.01234567, rel=1e-6)
        assert file.series[0].shape == patterns.shape
    axes = tiff.file_reader(str(path))[0]["axes"]
    assert axes[-1]["scale"] == pytest.approx(0.01234567, rel=1e-6)
    assert axes[-1]["units"] == "1/angstrom"
    assert axes[-1]["offset"] == axes[-2]["offset"] == -8 * 0.01234567


@pytest.mark.parametrize("extension", READERS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 5)])
def test_lines_and_single_patterns(tmp_path, extension, shape):
    scan = np.arange(np.prod(shape) * 64).reshape(*shape, 8, 8).astype(np.uint8)
    path = _write(tmp_path / f"scan{extension}", scan)
    (found,) = READERS[extension].file_reader(str(path))
    np.testing.assert_array_equal(np.asarray(found["data"]).squeeze(), scan.squeeze())


@pytest.mark.parametrize("extension", READERS)
def test_what_is_there_is_replaced_when_the_new_is_complete(tmp_path, patterns, extension):
    path = _write(tmp_path / f"scan{extension}", patterns)

    def failing():
        yield from list(_blocks(patterns))[:2]
        raise RuntimeError

    shapes = {"scan_shape": SCAN, "pattern_shape": PATTERN}
    with pytest.raises(RuntimeError):
        write_patterns(path, failing(), **shapes)
    kept = READERS[extension].file_reader(str(path))[0]["data"]
    np.testing.assert_array_equal(np.asarray(kept).squeeze(), patterns)
    _write(path, patterns + 1)
    new = READERS[extension].file_reader(str(path))[0]["data"]
    np.testing.assert_array_equal(np.asarray(new).squeeze(), patterns + 1)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_patterns_are_written_as_they_come(tmp_path):
    written = []

    def blocks():
        for first in range(0, 12, 3):
            written.append([p.stat().st_size for p in tmp_path.glob(".*")])
            yield slice(first, first + 3), np.ones((3, 256, 256), np.uint8)

    path = tmp_path / "scan.blo"
    write_patterns(path, blocks(), scan_shape=(4, 3), pattern_shape=(256, 256))
    assert written[-1][0] > 2 * 3 * 256**2


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("scan.mib", {}, r"\.blo \.hspy \.zspy \.tif"),
        ("scan", {}, "without extension"),
        ("absent/scan.tif", {}, "folder does not exist"),
        ("scan.tif", {"scan_shape": (5, 3)}, "12 patterns for 15"),
        ("scan.tif", {"scan_shape": (3, 3)}, "does not follow"),
        ("scan.tif", {"pattern_shape": (16, 8)}, "among those of shape"),
        ("scan.tif", {"units": "1/nm"}, "unit '1/nm' of the pixel size"),
        ("scan.tif", {"step_units": "µm"}, "of the step"),
        ("scan.tif", {"pixel_size": 0}, "pixel size of 0"),
        ("scan.hspy", {"voltage": np.nan}, "voltage of nan"),
    ],
)
def test_what_cannot_be_written_is_one_sentence(tmp_path, patterns, name, options, said):
    with pytest.raises(InputError, match=said):
        _write(tmp_path / name, patterns, **options)
    assert not list(tmp_path.iterdir())


def test_block_files_are_square_and_of_8_bits(tmp_path, patterns):
    with pytest.raises(InputError, match="uint8"):
        _write(tmp_path / "scan.blo", patterns.astype(np.float32))
    with pytest.raises(InputError, match="square"):
        _write(tmp_path / "scan.blo", patterns[..., :12])
    with pytest.raises(InputError, match="uint16"):
        _write(tmp_path / "scan.tif", patterns.astype(np.float64))
    with pytest.raises(InputError, match="no patterns"):
        write_patterns(tmp_path / "scan.tif", [], scan_shape=SCAN, pattern_shape=PATTERN)


def test_other_folders_are_not_replaced(tmp_path, patterns):
    (tmp_path / "scan.zspy").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        _write(tmp_path / "scan.zspy", patterns)
