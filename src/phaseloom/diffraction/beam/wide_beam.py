"""The direct beam where it is larger than the spots: saturated, bloomed, or wider by its halo.

A template of the size of the spots finds some place on such a beam, not its middle. Its centre of
mass does, and a pixel that is saturated counts there as what it shows at least: without it the
beam would be a ring.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.diffraction.beam.centre_of_mass import measured_centres
from phaseloom.diffraction.detector.correction import Correction, corrected

if TYPE_CHECKING:
    from phaseloom.diffraction.spots.finder import Finder, Found

_WIDER = 1.5
_HALF_WIDTH = 1.1774100225154747
"""Radius at half maximum of a Gaussian, over its sigma."""
_AT_ONCE = 64


def with_saturated(patterns: NDArray[Any], correction: Correction) -> NDArray[np.float32]:
    """Corrected patterns where a saturated pixel has the value at which it saturates.

    Parameters
    ----------
    patterns
        (n, ky, kx), raw.
    correction
        Of the detector. The largest value of unsigned types of 32 bits and more marks a pixel
        without a value: it stays NaN.

    Returns
    -------
    ndarray
        (n, ky, kx) float32; NaN where unusable for another reason.
    """
    raw = np.asarray(patterns)
    if not np.isfinite(correction.saturation):
        return corrected(raw, correction)
    values = np.minimum(raw.astype(np.float32), np.float32(correction.saturation))
    if raw.dtype.kind == "u" and raw.dtype.itemsize >= 4:
        values[raw == np.iinfo(raw.dtype).max] = np.nan
    values[~np.isfinite(raw)] = np.nan
    return corrected(values, replace(correction, saturation=np.inf))


def is_wide(radius: float, finder: Finder) -> bool:
    """Whether a beam of that radius at half maximum (px) is no spot like the others."""
    spot = finder.shape
    half = spot.radius if spot.kind == "disk" else _HALF_WIDTH * spot.sigma
    return bool(radius > _WIDER * half)


def centred(
    found: Found,
    patterns: NDArray[Any],
    correction: Correction,
    predicted: NDArray[np.float64],
    *,
    radius: float,
    guard: float,
) -> Found:
    """What was found, with the direct beam at its centre of mass.

    Parameters
    ----------
    found
        Changed in place: the maps of the beam, and the peaks within ``guard`` of where it should
        be (there is no other than the beam), which get its place.
    patterns
        (n, ky, kx), raw.
    correction
        Of the detector.
    predicted
        (n, 2), where the beam should be (row, column), in px.
    radius
        Of the beam at half maximum, in px.
    guard
        Of the finder, in px.
    """
    centres = np.full((len(patterns), 2), np.nan)
    errors = np.full(len(patterns), np.nan)
    reach = 3 * (1.8 * radius + 1.5) + 3
    for first in range(0, len(patterns), _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        centres[some], errors[some] = _measured(
            patterns[some], correction, predicted[some], radius, reach
        )
    there = (found.number >= 0) & np.isfinite(centres).all(axis=1) & np.isfinite(errors)
    centres[~there], errors[~there] = np.nan, np.nan
    found.maps["beam_row"][:], found.maps["beam_column"][:] = centres.T
    found.maps["beam_error"][:] = errors
    at = np.repeat(np.arange(len(patterns)), np.maximum(found.number, 0))
    row, column = found.columns["row"], found.columns["column"]
    beam = there[at] & (np.hypot(row - predicted[at, 0], column - predicted[at, 1]) < guard)
    row[beam], column[beam] = centres[at[beam]].T
    for name in ("row_error", "column_error"):
        found.columns[name][beam] = errors[at[beam]]
    return found


def _measured(
    patterns: NDArray[Any],
    correction: Correction,
    predicted: NDArray[np.float64],
    radius: float,
    reach: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres of mass and errors, from the part of the detector on which the beam may be."""
    shape = patterns.shape[1:]
    low = np.clip(np.floor(predicted.min(axis=0) - reach), 0, np.array(shape) - 1).astype(int)
    high = np.clip(np.ceil(predicted.max(axis=0) + reach) + 1, low + 1, shape).astype(int)
    part = slice(low[0], high[0]), slice(low[1], high[1])
    cut = Correction(
        correction.mask[part],
        None if correction.dark is None else correction.dark[part],
        None if correction.gain is None else correction.gain[part],
        correction.saturation,
    )
    values = with_saturated(patterns[:, part[0], part[1]], cut)
    centres, errors = measured_centres(values, predicted - low, radius)
    return centres + low, errors
