"""Diffraction patterns of a scan: corrected, centred, calibrated, and every spot registered.

- a scan: :func:`register` finds every spot of every pattern → :class:`Peaks`
- the peak table: :func:`filter_peaks`, :func:`density`, :func:`radial_density`,
  :func:`virtual_dark_field`, :func:`hot_positions`, :func:`amorphous_ring`
- clean patterns from it: :func:`render`
- a known crystal: :func:`calibrate_rings`, :func:`read_calibration`
- single steps: :func:`sample_patterns`, :func:`make_correction`, :func:`corrected`,
  :func:`beam_of_sample`, :func:`make_finder`, :func:`find_peaks`

Its rooms, each of which knows only those below it:

- ``registration``: the chain, from a scan to its peak table
- ``survey``: what a sample of patterns tells before all are registered
- ``peaks``: the peak table: assembled, rounded, filtered, virtual images, clean patterns
- ``spots``: every spot of a pattern found and fitted
- ``calibration``: pixel size and ellipticity from a known crystal
- ``beam``: the direct beam, and its plane over the scan (descan)
- ``detector``: correction of counts, unusable pixels, sample of patterns
- ``options``: the options of registration
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from phaseloom.lazy import lazy_names

if TYPE_CHECKING:
    from phaseloom.diffraction.beam.centring import Beam, beam_of_sample
    from phaseloom.diffraction.calibration.calibration import (
        Calibration,
        calibrate_rings,
        read_calibration,
    )
    from phaseloom.diffraction.detector.correction import Correction, corrected, make_correction
    from phaseloom.diffraction.detector.sampling import sample_patterns
    from phaseloom.diffraction.peaks.filtering import amorphous_ring, filter_peaks, hot_positions
    from phaseloom.diffraction.peaks.rendering import Rendering, render
    from phaseloom.diffraction.peaks.table import Peaks
    from phaseloom.diffraction.peaks.virtual import density, radial_density, virtual_dark_field
    from phaseloom.diffraction.registration import register
    from phaseloom.diffraction.spots.estimation import make_finder
    from phaseloom.diffraction.spots.finder import Finder, find_peaks
    from phaseloom.diffraction.spots.shape import SpotShape

__all__ = [
    "Beam",
    "Calibration",
    "Correction",
    "Finder",
    "Peaks",
    "Rendering",
    "SpotShape",
    "amorphous_ring",
    "beam_of_sample",
    "calibrate_rings",
    "corrected",
    "density",
    "filter_peaks",
    "find_peaks",
    "hot_positions",
    "make_correction",
    "make_finder",
    "radial_density",
    "read_calibration",
    "register",
    "render",
    "sample_patterns",
    "virtual_dark_field",
]

_HOMES = {
    "Beam": "beam.centring",
    "Calibration": "calibration.calibration",
    "Correction": "detector.correction",
    "Finder": "spots.finder",
    "Peaks": "peaks.table",
    "Rendering": "peaks.rendering",
    "SpotShape": "spots.shape",
    "amorphous_ring": "peaks.filtering",
    "beam_of_sample": "beam.centring",
    "calibrate_rings": "calibration.calibration",
    "corrected": "detector.correction",
    "density": "peaks.virtual",
    "filter_peaks": "peaks.filtering",
    "find_peaks": "spots.finder",
    "hot_positions": "peaks.filtering",
    "make_correction": "detector.correction",
    "make_finder": "spots.estimation",
    "radial_density": "peaks.virtual",
    "read_calibration": "calibration.calibration",
    "register": "registration",
    "render": "peaks.rendering",
    "sample_patterns": "detector.sampling",
    "virtual_dark_field": "peaks.virtual",
}

__getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
