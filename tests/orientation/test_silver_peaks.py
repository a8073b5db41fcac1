"""The measured patterns are what their description says, whatever orientation mapping finds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from phaseloom.diffraction.table import Peaks


def test_closest_spots_are_those_of_the_zone_axes(silver_peaks: Peaks) -> None:
    offset, data = silver_peaks.offset, silver_peaks.data
    assert silver_peaks.shape == (1, 5)
    assert (silver_peaks.count > 40).all()
    for number, (first, last) in enumerate(pairwise(offset)):
        pattern = data.isel(peak=slice(first, last))
        brightest = np.argsort(-pattern["intensity"].to_numpy())[: 3 if number == 2 else 7]
        k = np.sort(np.hypot(pattern["ky"], pattern["kx"]).to_numpy()[brightest])
        # The direct beam, then four 111 and two 200, or two 220.
        squares = [8, 8] if number == 2 else [3, 3, 3, 3, 4, 4]
        np.testing.assert_allclose(k[0], 0.0, atol=0.005)
        np.testing.assert_allclose(k[1:], np.sqrt(squares) / 4.0862, rtol=0.02)
