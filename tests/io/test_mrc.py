"""MRC files written byte by byte here."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phaseloom import InputError, InputWarning, read
from phaseloom.io import read_pattern

SHAPE = (12, 5, 7)
MODES = {"i1": 0, "u1": 0, "i2": 1, "f4": 2, "u2": 6, "f2": 12}


def content(
    kind: str = "u2",
    shape: tuple[int, int, int] = SHAPE,
    *,
    order: str = "<",
    extended: int = 0,
    version: int = 0,
    imod: tuple[int, int] = (0, 0),
    mode: int | None = None,
) -> tuple[bytes, np.ndarray]:
    """A file and its numbers, no two of which are alike."""
    images, rows, columns = shape
    header = bytearray(1024)
    mode = MODES[kind] if mode is None else mode
    struct.pack_into(f"{order}4i", header, 0, columns, rows, images, mode)
    struct.pack_into(f"{order}3i3f", header, 28, columns, rows, images, 70.0, 50.0, 1.0)
    struct.pack_into(f"{order}i", header, 92, extended)
    struct.pack_into(f"{order}i", header, 108, version)
    struct.pack_into(f"{order}2i", header, 152, *imod)
    header[208:212] = b"MAP "
    first = -100 if kind == "i1" else 1
    numbers = np.arange(first, first + images * rows * columns).reshape(shape)
    numbers = (numbers % 100 if kind in ("i1", "u1") else numbers).astype(order + kind)
    return bytes(header) + b"\7" * extended + numbers.tobytes(), numbers


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", ["i2", "u2", "f4", "f2"])
@pytest.mark.parametrize("extended", [0, 768])
def test_images_are_a_series_as_stored(
    tmp_path: Path, kind: str, order: str, extended: int
) -> None:
    path = tmp_path / "a.mrc"
    whole, numbers = content(kind, order=order, extended=extended)
    path.write_bytes(whole)
    scan = read(path)
    assert scan["counts"].dtype == np.dtype(kind)
    assert scan["counts"].chunks is not None
    np.testing.assert_array_equal(scan["counts"][0], numbers)
    np.testing.assert_array_equal(scan["counts"][0, 4, 1:], numbers[4, 1:])
    assert {axis.attrs["units"] for axis in scan.coords.values()} == {"px"}


def test_one_image_is_a_pattern(tmp_path: Path) -> None:
    whole, numbers = content(shape=(1, 5, 7))
    (tmp_path / "dark.mrc").write_bytes(whole)
    np.testing.assert_array_equal(read_pattern(tmp_path / "dark.mrc"), numbers[0])


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({}, "u1"),
        ({"version": 20140}, "i1"),
        ({"version": 20141}, "i1"),
        ({"imod": (1146047817, 1)}, "i1"),
        ({"imod": (1146047817, 0), "version": 20140}, "u1"),
    ],
)
def test_bytes_are_signed_where_the_header_says_so(
    tmp_path: Path, said: dict[str, Any], kind: str
) -> None:
    whole, numbers = content(kind, **said)
    (tmp_path / "a.mrc").write_bytes(whole)
    np.testing.assert_array_equal(read(tmp_path / "a.mrc")["counts"][0], numbers)


def _movie(folder: Path, tags: str, name: str = "20260101_00042") -> tuple[Path, np.ndarray]:
    path = folder / f"{name}_movie.mrc"
    whole, numbers = content()
    path.write_bytes(whole)
    (folder / f"{name}_info.txt").write_text(tags)
    return path, numbers


RASTER = "Scan - Enable = Enable\nScan - Type = Raster\nScan - Size X = 4\nScan - Size Y = 3\n"
STEPS = "Specimen Pixel Size X (nanometers) = 2.5\nSpecimen Pixel Size Y (nanometers) = 5\n"


@pytest.mark.parametrize("name", ["20260101_00042", "20260101_00042_lamella_2"])
def test_a_movie_of_direct_electron_is_a_scan(tmp_path: Path, name: str) -> None:
    path, numbers = _movie(tmp_path, f"{RASTER}{STEPS}Frames Per Second = 1000\nno tag\n", name)
    scan = read(path)
    np.testing.assert_array_equal(scan["counts"], numbers.reshape(3, 4, 5, 7))
    np.testing.assert_allclose(np.diff(scan["x"]), 2.5)
    np.testing.assert_allclose(np.diff(scan["y"]), 5)
    assert scan["y"].attrs["units"] == "nm"
    assert scan["kx"].attrs["units"] == "px"
    assert scan.attrs["exposure"] == pytest.approx(1e-3)


def test_a_movie_with_a_region_or_unknown_steps(tmp_path: Path) -> None:
    region = "Scan - ROI Enable = Enable\nScan - ROI Size X = 6\nScan - ROI Size Y = 2\n"
    unknown = "Specimen Pixel Size X (nanometers) = -1\n"
    scan = read(_movie(tmp_path, RASTER + region + unknown)[0])
    assert scan["counts"].shape == (2, 6, 5, 7)
    assert scan["x"].attrs["units"] == "px"


@pytest.mark.parametrize(("old", "new"), [("Raster", "Spiral"), ("X = 4", "X = 5"), ("= 4", "= n")])
def test_a_scan_that_does_not_fit_is_a_series(tmp_path: Path, old: str, new: str) -> None:
    path, numbers = _movie(tmp_path, RASTER.replace(old, new))
    with pytest.warns(InputWarning, match="read as a series: give the scan shape"):
        scan = read(path)
    np.testing.assert_array_equal(scan["counts"][0], numbers)


def test_what_holds_no_numbers_or_too_few_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mrc"
    for mode, said in ((4, "complex numbers"), (101, "4 bits")):
        path.write_bytes(content(mode=mode)[0])
        with pytest.raises(InputError, match=said):
            read(path)
    whole, numbers = content()
    path.write_bytes(whole[:-71])
    with pytest.raises(InputError, match=r"holds 10 of the 12 patterns it promises .*--partial"):
        read(path)
    with pytest.warns(InputWarning, match="ends after 10 patterns"):
        scan = read(path, partial=True)
    np.testing.assert_array_equal(scan["counts"][0], numbers[:10])
    path.write_bytes(whole + bytes(70))
    with pytest.warns(InputWarning, match="70 bytes longer than 12 images of 5×7 pixels"):
        np.testing.assert_array_equal(read(path)["counts"][0], numbers)
    path.write_bytes(b"no map" * 300)
    with pytest.raises(InputError, match="not the content"):
        read(path)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), partial=st.booleans(), early=st.booleans())
@pytest.mark.filterwarnings("ignore::phaseloom.errors.InputWarning")
def test_damage_gives_a_sentence_or_numbers(
    tmp_path: Path, damaged: Any, data: st.DataObject, partial: bool, early: bool
) -> None:
    path = tmp_path / "a.mrc"
    whole = content()[0]
    head, tail = (whole[:1024], whole[1024:]) if early else (whole, b"")
    path.write_bytes(damaged(data, head)[0] + tail)
    try:
        assert read(path, partial=partial)["counts"][:1, :1].to_numpy().ndim == 4
    except InputError as fault:
        assert str(path) in str(fault)


@pytest.mark.parametrize("kind", ["i2", "u2", "f4"])
def test_the_same_as_rosettasciio(tmp_path: Path, kind: str) -> None:
    from rsciio import mrc

    path = tmp_path / "a.mrc"
    path.write_bytes(content(kind, extended=768)[0])
    np.testing.assert_array_equal(read(path)["counts"][0], mrc.file_reader(str(path))[0]["data"])
