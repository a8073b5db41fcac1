"""Detector images flipped and rotated."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest

from phaseloom import InputError
from phaseloom.io import as_scan, calibrated, oriented
from phaseloom.io.scan_turning import shape_in_file, turn_attributes, turn_matrix, turn_of, turned

TURNS = [(f, r) for f in ("none", "rows", "columns") for r in (0, 90, 180, 270)]
PATTERN = np.arange(2 * 3 * 5 * 7).reshape(2, 3, 5, 7)


@pytest.mark.parametrize("turn", TURNS)
def test_an_asymmetric_pattern_and_its_coordinates(turn: Any) -> None:
    flip, rotate = turn
    scan = calibrated(as_scan(PATTERN), pixel_size=0.02, step=3.0, voltage=200)
    scan = scan.assign_coords(ky=scan["ky"] - 0.03, kx=scan["kx"] - 0.05)
    for axis in ("ky", "kx"):
        scan[axis].attrs["units"] = "Å⁻¹"
    result = oriented(scan, flip=flip, rotate=rotate)
    expected = PATTERN
    if flip != "none":
        expected = np.flip(expected, {"rows": 2, "columns": 3}[flip])
    expected = np.rot90(expected, rotate // 90, axes=(2, 3))
    np.testing.assert_array_equal(result["counts"], expected)
    assert isinstance(result["counts"].data, da.Array)
    assert result.attrs["voltage"] == 200
    assert turn_of(result.attrs) == turn
    assert shape_in_file(expected.shape[2:], turn) == PATTERN.shape[2:]
    assert list(result["x"].values) == list(scan["x"].values)
    assert result["ky"].attrs["units"] == "Å⁻¹"
    for axis in ("ky", "kx"):
        np.testing.assert_allclose(np.diff(result[axis]), 0.02)
    # every pixel is where the matrix takes its vector
    matrix = turn_matrix(turn)
    for row, column in ((0, 0), (4, 2), (1, 6)):
        vector = matrix @ (scan["ky"].values[row], scan["kx"].values[column])
        found = result["counts"].sel(ky=vector[0], kx=vector[1], method="nearest")
        np.testing.assert_array_equal(found, PATTERN[:, :, row, column])
    same = result.attrs["input_fingerprint"] == scan.attrs["input_fingerprint"]
    assert same == (turn == ("none", 0))
    assert np.shares_memory(turned(PATTERN, turn), PATTERN)


def test_coordinates_in_pixels_count_on() -> None:
    result = oriented(as_scan(PATTERN), flip="rows", rotate=90)
    np.testing.assert_array_equal(result["ky"], np.arange(7))
    np.testing.assert_array_equal(result["kx"], np.arange(5))


def test_nothing_to_do_and_what_cannot_be() -> None:
    scan = as_scan(PATTERN)
    assert oriented(scan) is scan
    assert turn_attributes(("none", 0)) == {"flip": None, "rotate": None}
    assert turn_attributes(("rows", 90)) == {"flip": "rows", "rotate": 90}
    with pytest.raises(InputError, match="0, 90, 180 or 270"):
        oriented(scan, rotate=45)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="already"):
        oriented(oriented(scan, flip="rows"), rotate=90)
