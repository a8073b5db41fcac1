"""Diffraction patterns of a scan: corrected, centred, calibrated, and every spot registered.

- a scan: :func:`register` finds every spot of every pattern → :class:`Peaks`
- the peak table: :func:`filter_peaks`, :func:`density`, :func:`radial_density`,
  :func:`virtual_dark_field`, :func:`hot_positions`, :func:`amorphous_ring`
- clean patterns from it: :func:`render`
- a known crystal: :func:`calibrate_rings`, :func:`calibrate_spots`, :func:`read_calibration`
- single steps: :func:`sample_patterns`, :func:`make_correction`, :func:`corrected`,
  :func:`beam_of_sample`, :func:`make_finder`, :func:`find_peaks`
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phaseloom.diffraction.calibration import (
        Calibration,
        calibrate_rings,
        calibrate_spots,
        read_calibration,
    )
    from phaseloom.diffraction.centring import Beam, beam_of_sample
    from phaseloom.diffraction.correction import Correction, corrected, make_correction
    from phaseloom.diffraction.estimation import make_finder
    from phaseloom.diffraction.filtering import amorphous_ring, filter_peaks, hot_positions
    from phaseloom.diffraction.peaks import Finder, find_peaks
    from phaseloom.diffraction.registration import register
    from phaseloom.diffraction.rendering import Rendering, render
    from phaseloom.diffraction.sampling import sample_patterns
    from phaseloom.diffraction.shape import SpotShape
    from phaseloom.diffraction.table import Peaks
    from phaseloom.diffraction.virtual import density, radial_density, virtual_dark_field

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
    "calibrate_spots",
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
    "Beam": "centring",
    "Calibration": "calibration",
    "Correction": "correction",
    "Finder": "peaks",
    "Peaks": "table",
    "Rendering": "rendering",
    "SpotShape": "shape",
    "amorphous_ring": "filtering",
    "beam_of_sample": "centring",
    "calibrate_rings": "calibration",
    "calibrate_spots": "calibration",
    "corrected": "correction",
    "density": "virtual",
    "filter_peaks": "filtering",
    "find_peaks": "peaks",
    "hot_positions": "filtering",
    "make_correction": "correction",
    "make_finder": "estimation",
    "radial_density": "virtual",
    "read_calibration": "calibration",
    "register": "registration",
    "render": "rendering",
    "sample_patterns": "sampling",
    "virtual_dark_field": "virtual",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"phaseloom.diffraction.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'phaseloom.diffraction' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
