from __future__ import annotations

import numpy as np
import pytest

from phaseloom.diffraction.beam.wide_beam import with_saturated
from phaseloom.diffraction.detector.correction import Correction
from phaseloom.diffraction.registration import register
from phaseloom.io import as_scan

K = [(36.3, 0.4), (-7.6, 38.1), (-36.3, -0.4), (7.6, -38.1), (26.7, 32.5), (-26.7, -32.5)]


def _scan(*, ceiling, width=5.0):
    """A broad beam cut off at ``ceiling`` that moves over the scan, and narrow spots about it."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:128, :128]
    truth, patterns = [], []
    for position in range(12):
        row, column = 62.3 + 0.15 * (position % 4), 65.1 - 0.2 * (position // 4)
        truth.append((row, column))
        model = 3 + 2000 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * width**2))
        for dy, dx in K:
            model += 120 * np.exp(-((y - row - dy) ** 2 + (x - column - dx) ** 2) / (2 * 1.4**2))
        patterns.append(np.minimum(rng.poisson(model), ceiling))
    counts = np.array(patterns, np.uint16).reshape(3, 4, 128, 128)
    return as_scan(counts), np.array(truth).reshape(3, 4, 2)


@pytest.mark.parametrize("saturation", [None, 255.0])
def test_a_broad_saturated_beam_is_where_its_middle_is(saturation):
    scan, truth = _scan(ceiling=255)
    data = register(scan, saturation=saturation, descan="each", workers=1)
    measured = np.stack([data["beam_y"], data["beam_x"]], axis=-1)
    assert np.abs(measured - truth).max() < 0.25
    centre = np.stack([data["centre_y"], data["centre_x"]], axis=-1)
    assert np.abs(centre - truth).max() < 0.25
    k = np.stack([data["ky"], data["kx"]], axis=-1)
    for vector in K:
        assert (np.hypot(*(k - vector).T) < 0.6).sum() >= 10


def test_a_saturated_pixel_counts_as_much_as_it_shows():
    raw = np.array([[[5, 63, 62], [1, 0, 63]]], np.uint8)
    mask = np.ones((2, 3), bool)
    mask[1, 0] = False
    gain = np.full((2, 3), 2, np.float32)
    values = with_saturated(raw, Correction(mask, None, gain, 63.0))
    np.testing.assert_array_equal(values, [[[10, 126, 124], [np.nan, 0, 126]]])


def test_a_mark_for_unusable_pixels_is_no_saturation():
    raw = np.array([[[2**32 - 1, 9000, 8352]]], np.uint32)
    values = with_saturated(raw, Correction(np.ones((1, 3), bool), saturation=8352.0))
    np.testing.assert_array_equal(values, [[[np.nan, 8352, 8352]]])
