"""The matrix of a scan in memory."""

from __future__ import annotations

import numpy as np
import pytest

from phaseloom.components import matrix_of
from phaseloom.errors import InputError


def test_rows_are_positions_and_columns_the_pixels_in_use() -> None:
    patterns = np.arange(2 * 3 * 4 * 5, dtype=np.uint16).reshape(2, 3, 4, 5)
    pixels = np.ones((4, 5), bool)
    pixels[1, 2] = False
    prepared = matrix_of(patterns, pixels)
    rows = np.concatenate([block.load() for block in prepared.blocks])
    assert prepared.shape == rows.shape == (6, 19)
    np.testing.assert_array_equal(rows[4], patterns[1, 1][pixels])
    image = prepared.image(rows[4])
    assert np.isnan(image[1, 2]) and np.isnan(image).sum() == 1
    assert image[3, 4] == patterns[1, 1, 3, 4]
    np.testing.assert_array_equal(prepared.map(rows[:, 0])[1, 2], patterns[1, 2, 0, 0])


@pytest.mark.parametrize(("value", "message"), [(-1.0, "negative"), (np.nan, "not a number")])
def test_what_is_no_count_is_told(value: float, message: str) -> None:
    patterns = np.ones((2, 3, 4, 5))
    patterns[1, 0, 2, 2] = value
    with pytest.raises(InputError, match=f"position 3 holds an intensity that is {message}"):
        [block.load() for block in matrix_of(patterns).blocks]
