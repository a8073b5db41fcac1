"""Patterns from which a background was subtracted: their noise is that of what is not there.

Where a camera program or a script took a smooth background off, values are about zero and partly
negative, while their noise is still that of the background. Its variance is measured about the
direct beam, and that background is added again that has it: then counts have the noise of counts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.diffraction.spots.noise_level import (
    estimate_noise,
    spots_masked,
)
from phaseloom.diffraction.spots.shape import SpotShape

Array = NDArray[np.float64]
Images = NDArray[np.float32]

_LEAST_NEGATIVE = 0.01
"""Part of the pixels that have to be below zero."""
_AWAY = 1.25
"""Ratio of measured to expected variance, in some ring, from which noise is not that of counts."""
_RING = 3.0
_HOLLOW = 5e-4
"""Part of the pixels further below zero than noise goes, from which spots have hollows."""
_FEWEST = 400
"""Pixels of a ring."""
_ROUNDING = 1 / 12


class Subtracted(NamedTuple):
    """What was subtracted from patterns.

    Parameters
    ----------
    background
        (ky, kx), counts per px; None where the subtraction left hollows about the spots, so that
        no smooth background is what was subtracted.
    """

    background: NDArray[np.float32] | None


def has_negative(patterns: Images) -> bool:
    """Whether more than a few pixels are below zero."""
    seen = np.count_nonzero(np.isfinite(patterns))
    return bool(int(np.count_nonzero(patterns < 0)) > _LEAST_NEGATIVE * int(seen))


def subtracted_background(
    patterns: Images, beam: Array, shape: SpotShape, *, guard: float
) -> Subtracted | None:
    """The background that was subtracted from patterns, as their noise tells it.

    Parameters
    ----------
    patterns
        (n, ky, kx), corrected, NaN where unusable.
    beam
        (n, 2), where the direct beam should be, in px.
    shape
        Of the spots.
    guard
        Radius round the beam, in px, that is left out.

    Returns
    -------
    Subtracted
        None where variance = gain · counts + floor holds as it is.
    """
    gain, floor = estimate_noise(patterns, beam, shape, guard=guard, counted=False)
    centre = beam.mean(axis=0)
    y, x = np.indices(patterns.shape[1:])
    radius = np.hypot(y - centre[0], x - centre[1])
    rings = _rings(radius)
    spots = spots_masked(patterns, beam, shape, gain, floor, guard)
    usable = np.isfinite(patterns) & ~spots
    places, variances, bounds = [], [], []
    differs, low, number = False, 0, 0
    for ring in range(int(rings.max()) + 1):
        inside = rings == ring
        values = patterns[:, inside][usable[:, inside]].astype(np.float64)
        if values.size < _FEWEST:
            continue
        whole = values - np.median(values)
        rest = _clipped(whole, max(1.0, gain))
        low += int(np.count_nonzero(whole < 2 * rest.min()))
        number += whole.size
        variance = float(np.mean(rest**2))
        expected = gain * max(float(np.median(values)), 0.0) + floor
        differs |= variance > _AWAY * max(expected, _ROUNDING)
        places.append(float(radius[inside].mean()))
        variances.append(variance)
        if variance > 1:
            bounds.append(variance / max(-float(np.quantile(rest, 0.001)), 1e-9))
    if not differs:
        return None
    electron = min(bounds, default=1.0)
    if low > _HOLLOW * number:
        return Subtracted(None)
    profile = np.interp(radius, places, variances)
    return Subtracted(np.asarray(profile / electron, dtype=np.float32))


def _clipped(rest: Array, gain: float) -> Array:
    """The values without those that noise does not explain: spots, and hollows about them."""
    low, high = np.quantile(rest, (0.16, 0.84))
    return np.asarray(rest[np.abs(rest) < 2.5 * (high - low) + 3 * gain])


def _rings(radius: Array) -> NDArray[np.intp]:
    return np.asarray((radius / _RING).astype(np.intp))
