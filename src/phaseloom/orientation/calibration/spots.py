"""The spots that a calibration rests on: where they are predicted, and how far off they are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.orientation.calibration.calibrating import RARE, Calibrated
from phaseloom.orientation.calibration.joint_fit import paired_spots
from phaseloom.orientation.calibration.scale_search import sampled
from phaseloom.orientation.matching.matching import match
from phaseloom.orientation.refinement.model import SAMPLE
from phaseloom.orientation.refinement.solving import solve


class CalibrationSpots(NamedTuple):
    """Paired spots of a sample of patterns after a calibration.

    Parameters
    ----------
    place
        (n, 2): ky, kx predicted, Å⁻¹.
    residual
        (n, 2): measured less predicted, shift and turn of each pattern taken off, Å⁻¹.
    pattern
        (n,) which of the patterns.
    explained
        Part of the patterns asked that the crystals explain as a wrong one explains one of a
        hundred.
    """

    place: NDArray[np.float64]
    residual: NDArray[np.float64]
    pattern: NDArray[np.intp]
    explained: float


def calibration_spots(calibrated: Calibrated, *, seed: int) -> CalibrationSpots:
    """Index a sample of the patterns once more, and pair their spots.

    Parameters
    ----------
    calibrated
        From :func:`phaseloom.orientation.calibration.calibrating.calibrate_scan`.
    seed
        Which patterns are asked.
    """
    library, physics = calibrated.library, calibrated.physics
    sample = calibrated.patterns.take(sampled(calibrated.patterns, SAMPLE, seed))
    solved = solve(sample, match(sample, library), library, physics, solutions=1)
    rarity = calibrated.chance.rarity_of(solved, sample, physics)
    pairs = paired_spots(sample, solved, rarity < RARE, library, physics)
    residual = pairs.peak - pairs.place
    for number in np.unique(pairs.pattern):
        own = pairs.pattern == number
        residual[own] -= _common(pairs.place[own], residual[own])
    return CalibrationSpots(pairs.place, residual, pairs.pattern, float((rarity < RARE).mean()))


def _common(place: NDArray[np.float64], residual: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a small turn and a shift make of a pattern's residuals."""
    y, x = place.T
    zero, one = np.zeros_like(y), np.ones_like(y)
    slopes = np.stack([np.stack([x, one, zero], 1), np.stack([-y, zero, one], 1)], axis=1)
    flat = slopes.reshape(-1, 3)
    best, *_ = np.linalg.lstsq(flat, residual.ravel(), rcond=None)
    return np.asarray((flat @ best).reshape(-1, 2))
