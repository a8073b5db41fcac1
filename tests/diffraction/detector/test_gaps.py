"""Gaps between the modules of a detector."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from phaseloom.diffraction.detector.correction import make_correction
from phaseloom.diffraction.detector.gaps import find_gaps, gap_half_width


def dim(level: float = 0.05) -> np.ndarray:
    """Patterns of few counts, zero in the corners."""
    y, x = np.indices((96, 128)) - np.array([48, 64])[:, None, None]
    away = np.hypot(y, x)
    mean = 30 * np.exp(-((away / 10) ** 2)) + level * np.exp(-away / 60)
    return np.random.default_rng(1).poisson(mean, (20, 96, 128)).astype(np.float32)


@pytest.mark.parametrize("width", [1, 2, 4, 6])
def test_a_cross_in_dim_patterns_is_unusable_and_nothing_else(width: int) -> None:
    patterns = dim()
    right = np.zeros((96, 128), bool)
    right[44 : 44 + width] = right[:, 62 : 62 + width] = True
    patterns[:, right] = 0
    np.testing.assert_array_equal(find_gaps(patterns), right)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        correction = make_correction(patterns.astype(np.uint16))
    np.testing.assert_array_equal(correction.mask, ~right)
    assert make_correction(patterns.astype(np.uint16), hot=False).mask.all()


def test_rows_alone_and_a_dead_module() -> None:
    patterns = dim(0.2)
    patterns[:, 30:34] = 0
    right = np.zeros((96, 128), bool)
    right[30:34] = True
    np.testing.assert_array_equal(find_gaps(patterns), right)
    patterns[:, :, 70:72] = 0
    patterns[:, :30, 72:] = 0
    right[:, 70:72] = right[:30, 72:] = True
    np.testing.assert_array_equal(find_gaps(patterns), right)


def test_what_is_no_gap() -> None:
    assert not find_gaps(dim()).any()
    # beyond the image at the rim, a dark half, nothing between rows of hardly any counts
    patterns = dim()
    patterns[:, :5] = patterns[:, :, -40:] = 0
    assert not find_gaps(patterns).any()
    patterns = dim()
    patterns[:, 10:60] = 0
    assert not find_gaps(patterns).any()
    sparse = np.zeros((20, 64, 64), np.float32)
    sparse[:, 32, 32] = 9
    sparse[3, 10, 10] = sparse[5, 20, 50] = 1
    assert not find_gaps(sparse).any()


def test_width_of_the_gap_near_a_place() -> None:
    mask = np.ones((64, 64), bool)
    assert gap_half_width(mask, np.array([32.0, 32.0]), 8) == 0
    mask[30:34] = False
    mask[:, 60:] = False
    assert gap_half_width(mask, np.array([32.0, 32.0]), 8) == 2
    assert gap_half_width(mask, np.array([41.0, 58.0]), 8) == 2
    assert gap_half_width(mask, np.array([42.0, 58.0]), 8) == 0
