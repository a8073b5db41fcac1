"""TIFF stacks: rows, energies from every source, pixel sizes, damage."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.choice import Choice
from phaseloom.io.description import describe
from phaseloom.io.readers import tiff
from phaseloom.io.stacking import stack_images
from phaseloom.stxm.preparation.preparation import prepare


def pictures(n: int = 3, height: int = 5, width: int = 4) -> np.ndarray:
    """Images without zeros, every pixel of its own value."""
    count = n * height * width
    return np.arange(1, count + 1, dtype=np.uint16).reshape(n, height, width)


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    path = tmp_path / "s.tif"
    tifffile.imwrite(path, pictures(), photometric="minisblack")
    return path


def test_first_row_is_the_top(tmp_path: Path) -> None:
    picture = np.ones((6, 7), np.uint8)
    picture[0, 5] = 9  # top of the picture, right of its middle
    path = tmp_path / "one_710.5_eV.tif"
    tifffile.imwrite(path, picture)
    with pytest.warns(InputWarning, match=r"710\.5 eV is taken from the file name"):
        measurement = tiff.read(path)
    assert measurement.attrs["kind"] == "image"
    bright = measurement["counts"].isel(energy=0)
    assert float(bright.sel(y=5, x=5)) == 9  # largest y
    assert measurement["counts"].dtype == np.uint8
    assert measurement["y"].attrs["units"] == "px"
    assert float(measurement["energy"][0]) == 710.5


@pytest.mark.parametrize("pattern", ["s.csv", "s.txt", "s_energies.txt", "s.energies"])
@pytest.mark.parametrize(
    "text",
    ["720\n700.5\n710\n", "energy,dwell\n720,1\n700.5,1\n710,1\n", "# eV\n720 1\n700.5 1\n710 1"],
)
def test_energies_beside_the_file(stack: Path, pattern: str, text: str) -> None:
    (stack.parent / pattern).write_text(text)
    measurement = tiff.read(stack)
    assert measurement.attrs["kind"] == "stack"
    np.testing.assert_array_equal(measurement["energy"], [700.5, 710, 720])
    np.testing.assert_array_equal(measurement["counts"], pictures()[[1, 2, 0], ::-1])
    assert measurement["counts"].dtype == np.uint16


def test_pages_without_energies_are_images_and_say_what_is_missing(stack: Path) -> None:
    with pytest.warns(InputWarning, match=r"put s_energies\.txt beside it.* each of its 3 pages"):
        images = tiff.read(stack)
    assert images.attrs["kind"] == "images_without_energy"
    assert images["counts"].dims == ("frame", "y", "x")
    assert images.chunks
    assert images["counts"].dtype == np.uint16
    np.testing.assert_array_equal(images["counts"], pictures()[:, ::-1])
    assert images["x"].attrs["units"] == "px"
    facts = describe(images)
    assert facts["quantities"]["counts"]["shape"] == [3, 5, 4]
    assert facts["quantities"]["counts"]["max"] == 60
    assert "energies" not in facts


def test_pages_without_energies_are_no_stack(stack: Path) -> None:
    with pytest.warns(InputWarning, match="nothing about photon energies"):
        images = tiff.read(stack)
    with pytest.raises(InputError, match="'images_without_energy', not an image at one energy"):
        stack_images([images])
    with pytest.raises(InputError, match="'images_without_energy', not a stack of images"):
        prepare(images)


def test_a_page_in_reciprocal_units_is_a_pattern(tmp_path: Path) -> None:
    path = tmp_path / "p.tif"
    pattern = pictures(1)[0]
    resolution = (1 / 0.02, 1 / 0.03)
    tifffile.imwrite(
        path, pattern, imagej=True, resolution=resolution, metadata={"unit": "1/angstrom"}
    )
    with pytest.warns(InputWarning, match="in eV per line for its page"):
        patterns = tiff.read(path)
    assert patterns.attrs["kind"] == "patterns"
    assert patterns["counts"].dims == ("frame", "ky", "kx")
    np.testing.assert_array_equal(patterns["counts"][0], pattern)
    assert patterns["kx"].attrs["units"] == "Å⁻¹"
    np.testing.assert_allclose(patterns["kx"][:3], [0, 0.02, 0.04], rtol=1e-6)
    np.testing.assert_allclose(patterns["ky"][:3], [0, 0.03, 0.06], rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("700\n701\n", "3 pages but s.txt lists 2 energies"),
        ("", "lists 0 energies"),
        ("700\nrubbish\n702\n", "line 2 starts with no number"),
        ("700\n-3\n702\n", "hold -3, which is no photon energy"),
        ("700\n1e999\n702\n", "line 2 starts with no number: '1e999'"),
        ("1\n2\n3\n", "its energies are 1 to 3, which are no energies of X-rays"),
        ("eV\n0.1\n0.7\n0.9\n", "0.1 to 0.9 eV, which are no energies of X-rays"),
        ("0\n1\n2\n", "hold 0, which is no photon energy"),
        ("700,5\n701,2\n703,5\n", "may have a decimal comma or two columns"),
    ],
)
def test_wrong_energy_lists(stack: Path, text: str, fault: str) -> None:
    stack.with_suffix(".txt").write_text(text)
    with pytest.raises(InputError, match=fault):
        tiff.read(stack)


@pytest.mark.parametrize(
    "text",
    [
        "720,5\n700,5\n700,75\n",
        "720,500\n700,500\n700,750\n",
        "720,5\n700,5\n700,75",
        "index,energy\n1,720.5\n2,700.5\n3,700.75\n",
        "1,720.5\n2,700.5\n3,700.75\n",
        "0;720,5\n1;700,5\n2;700,75\n",
        "frame\tdwell\tenergy\n0\t3\t720.5\n1\t3\t700.5\n2\t3\t700.75\n",
        "720.5 eV\n700.5 eV\n700.75 eV\n",
        "720.5eV\n700.5eV\n700.75eV\n",
        "a_000.tif 720.5\na_001.tif 700.5\na_002.tif 700.75\n",
        "! exported\n'720.5'\n'700.5'\n'700.75'\n".replace("'", '"'),
        "Energy (keV)\n0.7205\n0.7005\n0.70075\n",
        "0.7205 keV\n0.7005 keV\n0.70075 keV\n",
        "# 12 images in keV\n0.7205 3.5\n0.7005 3.5\n0.70075 3.5\n",
    ],
)
@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_energy_lists_as_programs_write_them(stack: Path, text: str, code: str) -> None:
    stack.with_suffix(".txt").write_text(text, encoding=code)
    energy = tiff.read(stack)["energy"]
    np.testing.assert_allclose(energy, [700.5, 700.75, 720.5], rtol=1e-12)


def test_energies_without_a_unit_that_are_kev_are_converted_and_said_once(stack: Path) -> None:
    stack.with_suffix(".txt").write_text("8.34\n8.33\n8.335\n")
    with pytest.warns(InputWarning) as said:
        energy = tiff.read(stack)["energy"]
    np.testing.assert_allclose(energy, [8330, 8335, 8340], rtol=1e-12)
    (warning,) = said
    assert "s.txt: its energies have no unit; 8.33 to 8.34 is taken as keV" in str(warning.message)


def test_imagej_labels_in_kev(tmp_path: Path) -> None:
    path = tmp_path / "ij.tif"
    metadata = {"axes": "ZYX", "Labels": ["0.7 keV", "a 0.7015keV", "0.70325_keV"]}
    tifffile.imwrite(path, pictures(), imagej=True, metadata=metadata)
    np.testing.assert_allclose(tiff.read(path)["energy"], [700, 701.5, 703.25], rtol=1e-12)


def test_imagej_labels_and_unit(tmp_path: Path) -> None:
    path = tmp_path / "ij.tif"
    tifffile.imwrite(
        path,
        pictures(),
        imagej=True,
        resolution=(1 / 0.04, 1 / 0.05),
        metadata={"unit": "um", "axes": "ZYX", "Labels": ["700 eV", "a 701.5eV", "703.25_eV"]},
    )
    measurement = tiff.read(path)
    np.testing.assert_array_equal(measurement["energy"], [700, 701.5, 703.25])
    np.testing.assert_array_equal(measurement["counts"], pictures()[:, ::-1])
    assert measurement["x"].attrs["units"] == "µm"
    np.testing.assert_allclose(np.diff(measurement["x"]), 0.04, rtol=1e-4)
    np.testing.assert_allclose(np.diff(measurement["y"]), 0.05, rtol=1e-4)


def test_ome_channels_and_physical_size(tmp_path: Path) -> None:
    path = tmp_path / "o.ome.tif"
    tifffile.imwrite(
        path,
        pictures(),
        photometric="minisblack",
        metadata={
            "axes": "CYX",
            "Channel": {"Name": ["520 eV", "517 eV", "530 eV"]},
            "PhysicalSizeX": 40.0,
            "PhysicalSizeXUnit": "nm",
            "PhysicalSizeY": 0.08,
        },
    )
    measurement = tiff.read(path)
    np.testing.assert_array_equal(measurement["energy"], [517, 520, 530])
    np.testing.assert_array_equal(measurement["counts"], pictures()[[1, 0, 2], ::-1])
    np.testing.assert_allclose(np.diff(measurement["x"]), 0.04)
    np.testing.assert_allclose(np.diff(measurement["y"]), 0.08)


def test_json_list_and_centimetres(tmp_path: Path) -> None:
    path = tmp_path / "j.tif"
    tifffile.imwrite(
        path,
        pictures().astype(np.float32),
        photometric="minisblack",
        metadata={"energy": [700, 701, 702]},
        resolution=(1e4 / 0.08, 1e4 / 0.08),
        resolutionunit="CENTIMETER",
    )
    measurement = tiff.read(path)
    np.testing.assert_array_equal(measurement["energy"], [700, 701, 702])
    assert measurement["counts"].dtype == np.float32
    np.testing.assert_allclose(np.diff(measurement["x"]), 0.08, rtol=1e-4)


def test_inches_are_no_pixel_size(tmp_path: Path) -> None:
    path = tmp_path / "i.tif"
    tifffile.imwrite(path, pictures(), photometric="minisblack", resolution=(300, 300))
    path.with_suffix(".csv").write_text("700\n701\n702\n")
    assert tiff.read(path)["x"].attrs["units"] == "px"


def test_big_endian_compressed_and_tiled(tmp_path: Path) -> None:
    images = pictures(2, 40, 50)
    for index, options in enumerate(
        ({"byteorder": ">"}, {"compression": "zlib"}, {"tile": (16, 32)}, {"bigtiff": True})
    ):
        path = tmp_path / f"{index}.tif"
        tifffile.imwrite(path, images, photometric="minisblack", **options)
        assert tiff.reads_this(path)
        path.with_suffix(".csv").write_text("700\n701\n")
        counts = tiff.read(path)["counts"]
        np.testing.assert_array_equal(counts, images[:, ::-1])
        assert counts.dtype.isnative


def test_colour_and_unequal_pages_are_refused(tmp_path: Path, refuses_rubbish: Any) -> None:
    colour = tmp_path / "c_700_eV.tif"
    tifffile.imwrite(colour, np.ones((5, 4, 3), np.uint8), photometric="rgb")
    with pytest.raises(InputError, match="no grey image"):
        tiff.read(colour)
    unequal = tmp_path / "u.tif"
    with tifffile.TiffWriter(unequal) as writer:
        writer.write(np.ones((5, 4), np.uint8))
        writer.write(np.ones((4, 4), np.uint8))
    with pytest.raises(InputError, match="page 2 has shape"):
        tiff.read(unequal)
    refuses_rubbish(tiff, ".tif")
    with pytest.raises(InputError, match="no detector"):
        tiff.read(colour, Choice(detector="x"))


def test_missing_strips_are_not_zeros(tmp_path: Path) -> None:
    images = pictures(3, 30, 20)
    path = tmp_path / "t.tif"
    with tifffile.TiffWriter(path) as writer:  # headers first: pages appended one by one
        for image in images:
            writer.write(image, contiguous=False, metadata=None)
    whole = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        last = file.pages[2].dataoffsets[0]
    path.write_bytes(whole[: last + 10])
    path.with_suffix(".csv").write_text("700\n701\n702\n")
    with pytest.raises(InputError, match="page 3 of 3 is not complete"):
        tiff.read(path)
    with pytest.warns(InputWarning, match="1 pages are dropped"):
        measurement = tiff.read(path, Choice(partial=True))
    np.testing.assert_array_equal(measurement["counts"], images[:2, ::-1])
    np.testing.assert_array_equal(measurement["energy"], [700, 701])


def test_sparse_tiff_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sparse_700_eV.tif"
    tifffile.imwrite(path, shape=(64, 64), dtype=np.uint16, tile=(32, 32))  # never written
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        tag = file.pages[0].tags["TileByteCounts"]
    data[tag.valueoffset : tag.valueoffset + tag.valuebytecount] = bytes(tag.valuebytecount)
    path.write_bytes(data)
    with pytest.raises(InputError, match="not complete"):
        tiff.read(path)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_damage_is_an_error_or_harmless(data: st.DataObject, damaged: Any) -> None:
    images = pictures(3, 12, 10)
    compression = data.draw(st.sampled_from([None, "zlib"]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "d.tif"
        tifffile.imwrite(path, images, photometric="minisblack", compression=compression)
        path.with_suffix(".csv").write_text("700\n701\n702\n")
        content, cut = damaged(data, path.read_bytes())
        path.write_bytes(content)
        tiff.reads_this(path)
        try:
            measurement = tiff.read(path)
        except InputError:
            return
    if cut:
        np.testing.assert_array_equal(measurement["counts"], images[:, ::-1])
        np.testing.assert_array_equal(measurement["energy"], [700, 701, 702])
    assert measurement["counts"].dims == ("energy", "y", "x")
    assert np.isfinite(measurement["energy"]).all()


def test_measured_image_against_a_plain_reader(measured: Path, tmp_path: Path) -> None:
    original = measured / "diffraction_single" / "au_xgrating_20cm.tif"
    with pytest.warns(InputWarning, match="nothing about photon energies"):
        tiff.read(original)
    copy = tmp_path / "g_710_eV.tif"
    copy.write_bytes(original.read_bytes())
    with pytest.warns(InputWarning, match="file name"):
        measurement = tiff.read(copy)
    stored = np.frombuffer(original.read_bytes()[453:], "<f4", 256 * 256).reshape(256, 256)
    np.testing.assert_array_equal(measurement["counts"][0], stored[::-1])
