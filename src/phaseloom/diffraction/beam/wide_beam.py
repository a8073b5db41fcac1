"""Position of a direct beam that is larger than the spots: saturated, bloomed, or with a halo.

A template of the size of the spots finds some place on such a beam, not its middle. Its centre of
mass does, and a pixel that is saturated counts there as what it shows at least: without it the
beam would be a ring.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.diffraction.beam.centre_of_mass import measured_centres
from phaseloom.diffraction.detector.correction import Correction, corrected

_WIDER = 1.5
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


def is_wide(radius: float, of_spots: float) -> bool:
    """Whether a beam is no spot like the others, by the radii at half maximum of both (px)."""
    return bool(radius > _WIDER * of_spots)


def wide_beam_centres(
    patterns: NDArray[Any],
    correction: Correction,
    predicted: NDArray[np.float64],
    *,
    radius: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres of mass of the direct beam, and their standard errors.

    Parameters
    ----------
    patterns
        (n, ky, kx), raw.
    correction
        Of the detector.
    predicted
        (n, 2), where the beam should be (row, column), in px.
    radius
        Of the beam at half maximum, in px.

    Returns
    -------
    centres, errors : ndarray
        (n, 2) and (n,), px; NaN where no beam stands out.
    """
    centres = np.full((len(patterns), 2), np.nan)
    errors = np.full(len(patterns), np.nan)
    reach = 3 * (1.8 * radius + 1.5) + 3
    for first in range(0, len(patterns), _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        centres[some], errors[some] = _measured(
            patterns[some], correction, predicted[some], radius, reach
        )
    return centres, errors


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
    of_part = Correction(
        correction.mask[part],
        None if correction.dark is None else correction.dark[part],
        None if correction.gain is None else correction.gain[part],
        correction.saturation,
    )
    values = with_saturated(patterns[:, part[0], part[1]], of_part)
    centres, errors = measured_centres(values, predicted - low, radius)
    return centres + low, errors
