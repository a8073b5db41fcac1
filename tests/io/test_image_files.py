"""Patterns in PNG and BMP images made by Pillow, one by one and as folders."""

from __future__ import annotations

import io
import pickle
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from phaseloom import InputError, read
from phaseloom.io import read_pattern, with_scan_shape
from phaseloom.io.description import describe

PATTERN = np.arange(1, 36, dtype=np.uint8).reshape(5, 7)


def _grey(pattern: np.ndarray = PATTERN) -> Image.Image:
    return Image.fromarray(pattern)


def _palette() -> Image.Image:
    """Indices that stand for other greys than themselves."""
    image = Image.fromarray(35 - PATTERN).convert("P")
    image.putpalette([35 - i if i < 36 else i for i in range(256) for _ in range(3)])
    return image


IMAGES: dict[str, Any] = {
    "a.png": _grey,
    "a.bmp": _grey,
    "upper.PNG": _grey,
    "rgb.png": lambda: _grey().convert("RGB"),
    "rgb.bmp": lambda: _grey().convert("RGB"),
    "rgba.png": lambda: _grey().convert("RGBA"),
    "la.png": lambda: _grey().convert("LA"),
    "palette.png": _palette,
    "palette.bmp": _palette,
}


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_is_one_pattern(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    IMAGES[name]().save(path)
    scan = read(path)
    assert scan["counts"].shape == (1, 1, 5, 7)
    assert scan["counts"].dtype == np.uint8
    np.testing.assert_array_equal(read_pattern(path), PATTERN)
    assert {axis.attrs["units"] for axis in scan.coords.values()} == {"px"}
    facts = describe(scan)
    assert (facts["kind"], facts["format"]) == ("scan", "grey images")


def test_16_bits_and_masks(tmp_path: Path) -> None:
    wide = PATTERN.astype(np.uint16) * 1800
    Image.fromarray(wide).save(tmp_path / "wide.png")
    found = read_pattern(tmp_path / "wide.png")
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, wide)
    Image.fromarray(PATTERN > 9).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_pattern(tmp_path / "mask.png"), PATTERN > 9)


def test_a_folder_is_a_series_in_counting_order(tmp_path: Path) -> None:
    series = [PATTERN + i for i in range(12)]
    for i, pattern in enumerate(series):
        Image.fromarray(pattern).save(tmp_path / f"frame_{i}.bmp")
    (tmp_path / ".hidden").write_text("")
    (tmp_path / "notes.txt").write_text("of the measurement")
    scan = read(tmp_path)
    counts = scan["counts"]
    assert counts.shape == (1, 12, 5, 7)
    np.testing.assert_array_equal(counts[0], series)
    np.testing.assert_array_equal(counts[0, 3:11:2, 1:, ::2], np.array(series)[3:11:2, 1:, ::2])
    np.testing.assert_array_equal(counts[0, 4, 2, [5, 1]], series[4][2, [5, 1]])
    np.testing.assert_array_equal(counts[:, [7, 2]], np.array([series])[:, [7, 2]])
    shaped = with_scan_shape(scan, (3, 4))["counts"]
    elsewhere = pickle.loads(pickle.dumps(shaped[2, 1].data))  # as to another process
    np.testing.assert_array_equal(elsewhere.compute(), series[9])
    (tmp_path / "frame_11.bmp").unlink()
    assert read(tmp_path).attrs["input_fingerprint"] != scan.attrs["input_fingerprint"]
    Image.fromarray(PATTERN.T).save(tmp_path / "frame_2.bmp")
    with pytest.raises(InputError, match=r"frame_2\.bmp: is another image than frame_0\.bmp"):
        read(tmp_path)


def test_what_is_no_grey_pattern_is_refused(tmp_path: Path) -> None:
    colours = np.stack([PATTERN, PATTERN, PATTERN[::-1]], axis=-1)
    Image.fromarray(colours).save(tmp_path / "colour.png")
    with pytest.raises(InputError, match="is a colour image; save it as grey"):
        read(tmp_path / "colour.png")
    first, second = _grey(), _grey(PATTERN[::-1])
    first.save(tmp_path / "moves.png", save_all=True, append_images=[second])
    with pytest.raises(InputError, match="is animated"):
        read(tmp_path / "moves.png")
    _png(tmp_path / "wide.png", bits=16, colour=2, line=bytes(42))
    with pytest.raises(InputError, match="colour image of 16 bits"):
        read(tmp_path / "wide.png")
    _png(tmp_path / "few.png", bits=4, colour=0, line=bytes(4))
    with pytest.raises(InputError, match="grey image of 4 bits"):
        read(tmp_path / "few.png")
    _png(tmp_path / "huge.png", bits=8, colour=0, line=bytes(7), size=(2**20, 2**20))
    with pytest.raises(InputError, match="huge"):
        read(tmp_path / "huge.png")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(InputError, match="not the content"):
        read(tmp_path / "text.png")


def _png(
    path: Path, *, bits: int, colour: int, line: bytes, size: tuple[int, int] = (7, 5)
) -> None:
    """A PNG file of five lines, byte by byte."""
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, 0),
        b"IDAT": zlib.compress((b"\0" + line) * 5),
        b"IEND": b"",
    }
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(content)) + kind + content
            + struct.pack(">I", zlib.crc32(kind + content))
            for kind, content in chunks.items()
        )
    )  # fmt: skip


def test_a_folder_of_two_kinds_of_images_is_refused(tmp_path: Path) -> None:
    for name in ("a.png", "a.bmp"):
        _grey().save(tmp_path / name)
    with pytest.raises(InputError, match="is a folder"):
        read(tmp_path)


def test_figures_of_results_are_no_patterns(tmp_path: Path) -> None:
    (tmp_path / "results.zarr").mkdir()
    _grey().save(tmp_path / "figure.png")
    with pytest.raises(InputError, match="is a folder"):
        read(tmp_path)


@pytest.mark.parametrize("kind", ["png", "bmp"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_gives_a_sentence_or_numbers(
    tmp_path: Path, damaged: Any, kind: str, data: st.DataObject
) -> None:
    buffer = io.BytesIO()
    _grey().save(buffer, kind)
    content, _ = damaged(data, buffer.getvalue())
    path = tmp_path / f"a.{kind}"
    path.write_bytes(content)
    try:
        assert read(path)["counts"].to_numpy().ndim == 4
    except InputError as fault:
        assert str(path) in str(fault)
