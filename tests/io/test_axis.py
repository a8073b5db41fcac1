"""aXis2000 stacks, written here byte by byte without the readers' help."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.choice import Choice
from phaseloom.io.readers import axis_ncb, axis_stk

COLUMNS, ROWS = 4, 3
ENERGIES = [700.25, 701.5]
X = [10.0, 10.5, 11.0, 11.5]
Y = [-2.0, -1.75, -1.5]


def value(e: int, y: int, x: int) -> int:
    """No two pixels alike and no symmetry under exchange or reversal of axes."""
    return 1000 * (e + 1) + 100 * y + 7 * x + 1


def expected() -> np.ndarray:
    return np.array(
        [
            [[value(e, y, x) for x in range(COLUMNS)] for y in range(ROWS)]
            for e in range(len(ENERGIES))
        ]
    )


def write_stk(path: Path, *, x=X, y=Y, energies=ENERGIES, dwell=(1.5, 2.0), pixel=value) -> Path:
    data = struct.pack(">3i", len(x), len(y), len(energies))
    for numbers in (x, y, energies, dwell):
        data += struct.pack(f">{len(numbers)}f", *numbers)
    for e in range(len(energies)):
        for row in range(len(y)):
            for column in range(len(x)):
                data += struct.pack(">f", pixel(e, row, column))
    path.write_bytes(data)
    return path


def write_ncb(
    folder: Path, *, scale=1.0, x=(10.0, 11.5), y=(-2.0, -1.5), energies=ENERGIES, images=True
) -> Path:
    lines = [f"\t{COLUMNS}\t{ROWS}\t{scale:.6f}", f"  {x[0]} {x[1]}", f"  {y[0]} {y[1]}"]
    lines += [f"  {len(energies)}", *[f"  {energy:.4f}" for energy in energies]]
    if images:
        lines += [f"my map_a{k:03d}.xim {e:.2f} {1.5 + k / 2}" for k, e in enumerate(energies)]
    (folder / "map.dat").write_text("\r\n".join(lines) + "\r\n")
    form = "<f" if scale < 0 else "<h"
    with (folder / "map.ncb").open("wb") as file:
        for e in range(len(energies)):
            for row in range(ROWS):
                for column in range(COLUMNS):
                    number = value(e, row, column)
                    stored = number + 0.25 if scale < 0 else round(number * scale)
                    file.write(struct.pack(form, stored))
    return folder / "map.ncb"


def assert_places_every_pixel(measurement: xr.Dataset, *, rtol: float) -> None:
    """Counts and energies as written, positions within `rtol`."""
    np.testing.assert_array_equal(measurement["counts"], expected())
    np.testing.assert_allclose(measurement["x"], X, rtol=rtol)
    np.testing.assert_allclose(measurement["y"], Y, rtol=rtol)
    np.testing.assert_array_equal(measurement["energy"], ENERGIES)
    np.testing.assert_allclose(measurement["dwell"], [1.5e-3, 2e-3])


def test_stk_places_every_pixel(tmp_path: Path) -> None:
    measurement = axis_stk.read(write_stk(tmp_path / "map.stk"))
    assert measurement.attrs["kind"] == "stack"
    assert measurement["counts"].dtype == np.float32
    assert measurement["counts"].dtype.isnative
    assert_places_every_pixel(measurement, rtol=0)


def test_stk_turns_descending_axes_with_their_pixels(tmp_path: Path) -> None:
    path = write_stk(tmp_path / "map.stk", x=X[::-1], y=Y[::-1], energies=ENERGIES[::-1])
    measurement = axis_stk.read(path)
    np.testing.assert_array_equal(measurement["x"], X)
    np.testing.assert_array_equal(measurement["y"], Y)
    np.testing.assert_array_equal(measurement["energy"], ENERGIES)
    np.testing.assert_array_equal(measurement["counts"], expected()[::-1, ::-1, ::-1])
    np.testing.assert_allclose(measurement["dwell"], [2e-3, 1.5e-3])


@pytest.mark.parametrize("bad", [(1.5, 0.0), (1.5, float("nan"))])
def test_stk_without_dwell_times_has_none(tmp_path: Path, bad: tuple[float, float]) -> None:
    assert "dwell" not in axis_stk.read(write_stk(tmp_path / "map.stk", dwell=bad))


def test_stk_without_pixel_size_counts_pixels(tmp_path: Path) -> None:
    path = write_stk(tmp_path / "map.stk", x=[0.0] * COLUMNS)
    with pytest.warns(InputWarning, match="positions in x are equal"):
        measurement = axis_stk.read(path)
    np.testing.assert_array_equal(measurement["x"], range(COLUMNS))
    assert measurement["x"].attrs["units"] == "px"
    assert measurement["y"].attrs["units"] == "µm"


def test_stk_refuses_axes_that_turn_back(tmp_path: Path) -> None:
    path = write_stk(tmp_path / "map.stk", x=[10.0, 11.0, 10.5, 11.5])
    with pytest.raises(InputError, match="neither ascend nor descend"):
        axis_stk.read(path)


def test_stk_names_frames_without_data(tmp_path: Path) -> None:
    path = write_stk(tmp_path / "map.stk", pixel=lambda e, y, x: 0 if e else value(e, y, x))
    with pytest.raises(InputError, match=r"701\.5 eV"):
        axis_stk.read(path)
    with pytest.warns(InputWarning, match=r"701\.5 eV"):
        measurement = axis_stk.read(path, Choice(partial=True))
    np.testing.assert_array_equal(measurement["energy"], [700.25])
    np.testing.assert_array_equal(measurement["counts"], expected()[:1])


def test_sizes_are_held_against_the_length_of_the_file(tmp_path: Path) -> None:
    for path in (write_stk(tmp_path / "map.stk"), write_ncb(tmp_path)):
        reader = axis_stk if path.suffix == ".stk" else axis_ncb
        whole = path.read_bytes()
        path.write_bytes(whole + b"\0")
        with pytest.raises(InputError, match="is longer than 2 frames"):
            reader.read(path, Choice(partial=True))
        path.write_bytes(whole[:-1])
        with pytest.raises(InputError, match="1 of 2 frames are whole"):
            reader.read(path)
        with pytest.warns(InputWarning, match="1 of 2 frames are whole"):
            measurement = reader.read(path, Choice(partial=True))
        np.testing.assert_array_equal(measurement["counts"], expected()[:1])
        np.testing.assert_array_equal(measurement["energy"], ENERGIES[:1])


def test_stk_sniffs_sizes_not_the_name(tmp_path: Path) -> None:
    tiff = tmp_path / "light.stk"
    tiff.write_bytes(b"II*\0" + bytes(100))
    assert not axis_stk.reads_this(tiff)
    assert not axis_stk.reads_this(tmp_path / "absent.stk")
    assert axis_stk.reads_this(write_stk(tmp_path / "map.stk"))


@pytest.mark.parametrize("given_suffix", [".ncb", ".dat"])
def test_ncb_either_file_finds_the_other(tmp_path: Path, given_suffix: str) -> None:
    path = write_ncb(tmp_path).with_suffix(given_suffix)
    assert axis_ncb.reads_this(path)
    measurement = axis_ncb.read(path)
    assert measurement["counts"].dtype == np.int16
    assert_places_every_pixel(measurement, rtol=1e-7)


def test_ncb_divides_by_the_scale(tmp_path: Path) -> None:
    measurement = axis_ncb.read(write_ncb(tmp_path, scale=10.0))
    np.testing.assert_allclose(measurement["counts"], expected(), rtol=1e-6)


def test_ncb_negative_scale_means_float32(tmp_path: Path) -> None:
    measurement = axis_ncb.read(write_ncb(tmp_path, scale=-1.0))
    assert measurement["counts"].dtype == np.float32
    np.testing.assert_array_equal(measurement["counts"], expected() + 0.25)


def test_ncb_turns_reversed_axes_with_their_pixels(tmp_path: Path) -> None:
    path = write_ncb(tmp_path, x=(11.5, 10.0), y=(-1.5, -2.0), energies=ENERGIES[::-1])
    measurement = axis_ncb.read(path)
    np.testing.assert_allclose(measurement["x"], X)
    np.testing.assert_allclose(measurement["y"], Y)
    np.testing.assert_array_equal(measurement["counts"], expected()[::-1, ::-1, ::-1])
    np.testing.assert_allclose(measurement["dwell"], [2e-3, 1.5e-3])


def test_ncb_works_without_lines_on_the_images(tmp_path: Path) -> None:
    assert "dwell" not in axis_ncb.read(write_ncb(tmp_path, images=False))


def test_ncb_says_when_the_lines_on_the_images_disagree(tmp_path: Path) -> None:
    header = write_ncb(tmp_path).with_suffix(".dat")
    text = header.read_text()
    header.write_text(text.replace("701.50 ", "703.50 "))
    with pytest.warns(InputWarning, match="other energies"):
        measurement = axis_ncb.read(header)
    np.testing.assert_array_equal(measurement["energy"], ENERGIES)
    header.write_text(text.replace("xim 701.50 2.0", "xim"))
    with pytest.warns(InputWarning, match="no dwell times"):
        assert "dwell" not in axis_ncb.read(header)


def test_ncb_names_the_missing_half(tmp_path: Path) -> None:
    path = write_ncb(tmp_path)
    path.rename(tmp_path / "elsewhere.ncb")
    with pytest.raises(InputError, match=r"map\.ncb is missing"):
        axis_ncb.read(tmp_path / "map.dat")
    with pytest.raises(InputError, match=r"elsewhere\.dat is missing"):
        axis_ncb.read(tmp_path / "elsewhere.ncb")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("  2\n", "  3\n", "announces 3 energies"),
        ("  2\n", "  1\n", "lists more"),
        ("  700.2500\n", "", "announces 2 energies"),
        ("\t4\t", "\t4.5\t", "cannot be"),
        ("\t4\t", "\tfour\t", "does not begin"),
        ("1.000000", "0.000000", "cannot be"),
        ("  10.0 11.5\n", "  10.0 11_5\n", "does not begin"),
    ],
)
def test_ncb_refuses_a_damaged_header(tmp_path: Path, old: str, new: str, fault: str) -> None:
    header = write_ncb(tmp_path).with_suffix(".dat")
    text = header.read_text()
    assert old in text
    header.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=fault):
        axis_ncb.read(header, Choice(partial=True))


def test_two_column_dat_files_are_left_to_others(tmp_path: Path) -> None:
    spectrum = tmp_path / "spectrum.dat"
    spectrum.write_text("700.0 1.5\n701.0 1.6\n702.0 1.7\n703.0 1.8\n")
    assert not axis_ncb.reads_this(spectrum)


def test_only_the_detector_and_entry_that_exist(tmp_path: Path) -> None:
    path = write_stk(tmp_path / "map.stk")
    assert axis_stk.read(path, Choice(detector="counts", entry=1))["counts"].size
    with pytest.raises(InputError, match="no detector 'TEY'"):
        axis_stk.read(path, Choice(detector="TEY"))
    with pytest.raises(InputError, match="no entry 2"):
        axis_stk.read(path, Choice(entry=2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged")


@pytest.mark.filterwarnings("ignore::phaseloom.errors.InputWarning")
@given(length=st.integers(0, 200), partial=st.booleans())
def test_truncated_stk_gives_whole_frames_or_a_refusal(
    folder: Path, length: int, partial: bool
) -> None:
    path = write_stk(folder / "cut.stk")
    whole = path.read_bytes()
    path.write_bytes(whole[:length])
    try:
        measurement = axis_stk.read(path, Choice(partial=partial))
    except InputError:
        assert length < len(whole)
        return
    frames = measurement.sizes["energy"]
    assert frames == 2 or partial
    np.testing.assert_array_equal(measurement["counts"], expected()[:frames])
    np.testing.assert_array_equal(measurement["energy"], ENERGIES[:frames])


@pytest.mark.filterwarnings("ignore::phaseloom.errors.InputWarning")
@given(at=st.integers(0, 151), bits=st.integers(1, 255))
def test_stk_with_a_flipped_byte_is_refused_or_read_as_it_stands(
    folder: Path, at: int, bits: int
) -> None:
    path = write_stk(folder / "flipped.stk")
    raw = bytearray(path.read_bytes())
    raw[at] ^= bits
    path.write_bytes(raw)
    try:
        measurement = axis_stk.read(path)
    except InputError:
        return
    stored = np.frombuffer(bytes(raw[-4 * expected().size :]), dtype=">f4")
    order = np.argsort(np.frombuffer(bytes(raw[40:48]), dtype=">f4"), kind="stable")
    np.testing.assert_array_equal(
        measurement["counts"], stored.reshape(expected().shape)[order].astype("=f4")
    )


@pytest.mark.filterwarnings("ignore::phaseloom.errors.InputWarning")
@given(data=st.data())
def test_damaged_ncb_header_is_refused_or_read_as_it_stands(
    folder: Path, data: st.DataObject
) -> None:
    header = write_ncb(folder).with_suffix(".dat")
    text = header.read_bytes()
    at = data.draw(st.integers(0, len(text) - 1))
    how = data.draw(st.sampled_from(["cut", "drop", "flip"]))
    if how == "cut":
        text = text[:at]
    elif how == "drop":
        text = text[:at] + text[at + data.draw(st.integers(1, 8)) :]
    else:
        text = text[:at] + bytes([text[at] ^ data.draw(st.integers(1, 255))]) + text[at + 1 :]
    header.write_bytes(text)
    try:
        measurement = axis_ncb.read(header)
    except InputError:
        return
    assert measurement["counts"].shape in {expected().shape, (2, 4, 3), (2, 2, 6), (2, 6, 2)}
    stored = set((measurement["counts"].values.astype(float)).ravel())
    assert 0.0 not in stored
    if how == "cut":
        np.testing.assert_array_equal(measurement["counts"], expected())
        np.testing.assert_array_equal(measurement["energy"], ENERGIES)
        np.testing.assert_allclose(measurement["x"], X)
        if "dwell" in measurement:
            np.testing.assert_allclose(measurement["dwell"], [1.5e-3, 2e-3])
