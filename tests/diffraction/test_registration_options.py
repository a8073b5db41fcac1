from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from phaseloom.diffraction import register
from phaseloom.errors import InputError
from phaseloom.io import as_scan


@pytest.fixture(scope="module")
def patterns():
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:64, :64]
    model = 2 + 300 * np.exp(-((y - 31) ** 2 + (x - 33) ** 2) / 4)
    for dy, dx in ((0, 15), (15, 2), (-14, 9)):
        model += 80 * np.exp(-((y - 31 - dy) ** 2 + (x - 33 - dx) ** 2) / 4)
    return rng.poisson(model, (2, 3, 64, 64)).astype(np.uint16)


def test_arrays_and_signals_are_scans_too(patterns):
    def axis(index, navigate):
        return SimpleNamespace(
            name="", units="", scale=1.0, offset=0.0, index_in_array=index, navigate=navigate
        )

    signal = SimpleNamespace(
        data=patterns,
        axes_manager=SimpleNamespace(
            navigation_axes=[axis(1, True), axis(0, True)],
            signal_axes=[axis(3, False), axis(2, False)],
        ),
        metadata=SimpleNamespace(),
    )
    of_scan = register(as_scan(patterns), workers=1)
    for measurement in (patterns, signal):
        found = register(measurement, workers=1)
        assert found.sizes == of_scan.sizes
        np.testing.assert_array_equal(found["ky"], of_scan["ky"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"descan": "line"}, "descan must be 'plane', 'each' or 'none', not 'line'"),
        ({"threshold": "best"}, "threshold must be 'counts' or 'prominence', not 'best'"),
        ({"shape": "square"}, "shape must be 'auto', 'gaussian' or 'disk', not 'square'"),
        ({"workers": 0}, "workers must be greater than or equal to 1, not 0"),
        ({"max_peaks": 0}, "max_peaks must be greater than or equal to 1, not 0"),
        ({"sigma": 2.0, "radius": 6.0}, "sigma is of a Gaussian spot"),
        ({"k_min": 0.5, "k_max": 0.5}, "no spot lies between k_min 0.5 and k_max 0.5"),
        ({"centre": (70.0, 30.0)}, "not on the detector of 64×64 px"),
        ({"distortion": [1, 0, 0, 1]}, "no 2×2 matrix"),
        ({"distortion": np.zeros((2, 2))}, "no 2×2 matrix"),
    ],
)
def test_what_cannot_be_is_told(patterns, options, message):
    with pytest.raises(InputError, match=message):
        register(as_scan(patterns), **options)


def test_the_published_search_goes_all_the_way(patterns):
    found = register(patterns, threshold="prominence", workers=1)
    assert np.abs(found["centre_y"] - 31).max() < 0.4
    assert np.abs(found["centre_x"] - 33).max() < 0.4
    for ky, kx in ((0, 15), (15, 2), (-14, 9)):
        assert (np.hypot(found["ky"] - ky, found["kx"] - kx) < 0.5).sum() >= 5
