"""The measured patterns are what their description says, whatever orientation mapping finds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from phaseloom.crystals import silver
from phaseloom.crystals.kinematic import rotation_matrices
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.orientation import index, make_library, match
from phaseloom.orientation.matching.patterns import direct_beam_radius, patterns_of


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


def off_zone(rotation: np.ndarray, uvw: tuple[int, int, int]) -> float:
    """Degrees between the beam and the nearest of the axes ⟨uvw⟩ of a cubic crystal."""
    beam = np.sort(np.abs(rotation_matrices(rotation)[0][:, 2]))
    axis = np.sort(np.abs(uvw)) / np.linalg.norm(uvw)
    return float(np.degrees(np.arccos(np.clip(beam @ axis, -1.0, 1.0))))


def test_templates_find_the_zone_axes(silver_peaks: Peaks) -> None:
    """Four domains along ⟨101⟩, number 2 along ⟨114⟩: all within 3°."""
    k_min = direct_beam_radius(silver_peaks)
    library = make_library([silver()], voltage=200.0, precession_angle=1.0, k_max=1.5)
    starts = match(patterns_of(silver_peaks, k_min=k_min, k_max=1.5), library)
    for number in range(5):
        axis = (1, 1, 4) if number == 2 else (1, 0, 1)
        assert off_zone(starts.rotation[number, 0, 0], axis) < 3.0


def test_refinement_brings_four_domains_onto_their_axis(silver_peaks: Peaks) -> None:
    """Number 2 is not asked: most of its peaks, weak ones, belong to a ⟨101⟩ grain under it."""
    found = index(silver_peaks, silver(), voltage=200.0, precession_angle=1.0)
    for number in (0, 1, 3, 4):
        assert off_zone(found["rotation"].to_numpy()[0, number], (1, 0, 1)) < 1.0
        assert float(found["probability"][0, number]) > 0.9
