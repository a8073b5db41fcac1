from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseloom.crystals import gold
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.orientation.calibration.correction import Correction, corrected_peaks
from phaseloom.simulate import random_orientations, simulate_peaks

small = st.floats(-0.02, 0.02)


def correction(ln_scale, a, b, y, x):
    return Correction(np.array([ln_scale, a, b, y, x]), np.full(5, 1e-4))


@given(st.floats(-0.1, 0.1), small, small, small, small)
def test_two_in_turn_are_one(ln_scale, a, b, y, x):
    first = correction(ln_scale, a, b, y, x)
    later = correction(1e-3, 2e-4, -1e-4, 1e-3, -5e-4)
    both = first.then(later)
    k = np.array([[0.3, 1.2], [-0.8, 0.1]])
    one = (k - first.centre) @ first.matrix.T
    two = (one - later.centre) @ later.matrix.T
    # Stretches add up but for the product of both.
    np.testing.assert_allclose((k - both.centre) @ both.matrix.T, two, atol=3e-5)


def test_peaks_are_corrected_with_their_pixel_size_and_centre():
    peaks = Peaks(simulate_peaks(random_orientations((1, 4), seed=1), [gold()], seed=1))
    given = correction(0.05, 0.004, -0.002, 0.01, -0.02)
    found = corrected_peaks(peaks, given)
    before, after = (
        np.stack([p.data[name].to_numpy() for name in ("ky", "kx")], axis=1) for p in (peaks, found)
    )
    np.testing.assert_allclose(after, (before - given.centre) @ given.matrix.T, atol=1e-5)
    assert found.pixel_size == pytest.approx(peaks.pixel_size * np.exp(0.05))
    # On the detector the peaks stay where they are.
    for one, two in zip(peaks.on_detector(), found.on_detector(), strict=True):
        np.testing.assert_allclose(one, two, atol=2e-3)


def test_the_correction_of_a_map_is_read_from_its_attributes():
    given = correction(0.05, 0.004, -0.002, 0.01, -0.02)
    attrs = {
        "scale": given.scale, "ellipse": list(given.parameters[1:3]),
        "centre_offset": list(given.centre),
    }  # fmt: skip
    np.testing.assert_allclose(Correction.of_map(attrs).parameters, given.parameters)
    assert not Correction.of_map({}).parameters.any()


def test_ellipticity_and_its_error():
    given = correction(0.0, 0.003, 0.004, 0.0, 0.0)
    assert given.ellipticity == pytest.approx(np.exp(0.01))
    assert given.ellipticity_error == pytest.approx(2e-4, rel=0.02)
