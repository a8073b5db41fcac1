"""What is read off the spectra of many pixels, each as a weighted sum of its readings.

The standard error is the root of Σ weight² · variance with each reading's own variance. For what is
no sum of readings (an energy at which something happens), the weights are those of its first-order
change with the readings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phaseloom.stxm.quantities.smoothing import smoothing_weights
from phaseloom.stxm.quantities.windows import Windows

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Estimate = tuple[Array, Array]
"""Values and standard errors, (pixel,) each; NaN where not determined."""

SIGNIFICANT = 3.0
"""An edge jump, or a white line, of less than this many standard errors is none."""

_PLACES = 10
"""Places per bandwidth at which a smoothed spectrum is worked out."""

_MISSING = 0.2
"""A place that missing readings would have this part of the weight at is not determined."""


@dataclass(frozen=True)
class Curve:
    """Evenly spaced places (place,) in eV, and weights (place, energy) of the smoothed spectrum."""

    place: Array
    weight: Array

    @property
    def step(self) -> float:
        """Distance of the places in eV."""
        return float(self.place[1] - self.place[0])

    @classmethod
    def of(cls, energy: Array, ends: tuple[float, float], bandwidth: float) -> Curve:
        """Places from one end to the other, close enough to be joined by straight lines."""
        number = 3 + int(np.ceil((ends[1] - ends[0]) / bandwidth * _PLACES))
        place = np.linspace(*ends, number)
        return cls(place, smoothing_weights(energy, place, bandwidth))


@dataclass(frozen=True)
class Readings:
    """Optical density (energy, pixel) with the gaps closed by straight lines, and its variance.

    Attributes
    ----------
    filled : (energy, pixel)
        Optical density; a missing reading lies on the line between its neighbours.
    variance : (energy, pixel)
        Zero where there is no reading.
    readable : (energy, pixel)
        Where there is one.
    left, right : (energy, pixel)
        Index of the nearest reading at or below, and at or above; the only one at an end.
    part : (energy, pixel)
        How far from the left one to the right one.
    """

    filled: Array
    variance: Array
    readable: Flags
    left: NDArray[np.intp]
    right: NDArray[np.intp]
    part: Array

    @classmethod
    def of(cls, energy: Array, density: Array, variance: Array) -> Readings:
        """Close the gaps of optical density (energy, pixel); what is not finite is missing."""
        readable = np.isfinite(density) & np.isfinite(variance)
        n = len(energy)
        index = np.arange(n)[:, None]
        left = np.maximum.accumulate(np.where(readable, index, -1), axis=0)
        right = np.minimum.accumulate(np.where(readable, index, n)[::-1], axis=0)[::-1]
        left, right = (
            np.where(left >= 0, left, np.minimum(right, n - 1)),
            np.where(right < n, right, np.maximum(left, 0)),
        )
        gap = energy[right] - energy[left]
        part = np.where(gap > 0, (energy[:, None] - energy[left]) / np.where(gap > 0, gap, 1), 0.0)
        known = np.where(readable, density, 0.0)
        low, high = (np.take_along_axis(known, side, axis=0) for side in (left, right))
        return cls(
            (1 - part) * low + part * high,
            np.where(readable, variance, 0.0),
            readable,
            left,
            right,
            part,
        )

    def error(self, weight: Array) -> Array:
        """Standard error (pixel,) of Σ weight · filled, for weights (energy, pixel)."""
        own = np.where(self.readable, weight, 0.0)
        for e in np.flatnonzero(~self.readable.all(axis=1)):
            pixel = np.flatnonzero(~self.readable[e])
            lent, part = weight[e, pixel], self.part[e, pixel]
            own[self.left[e, pixel], pixel] += (1 - part) * lent
            own[self.right[e, pixel], pixel] += part * lent
        return np.asarray(np.sqrt(np.einsum("ep,ep,ep->p", own, own, self.variance)))

    def supported(self, weight: Array) -> Flags:
        """Whether readings carry a value of these weights (energy, pixel), not the lines."""
        size = np.abs(weight)
        return np.asarray((size * ~self.readable).sum(axis=0) <= _MISSING * size.sum(axis=0))

    def mean_weight(self, part: Flags) -> Array:
        """Weights (energy, pixel) of the mean over a part's readings; NaN where it has none."""
        chosen = self.readable & part[:, None]
        number = chosen.sum(axis=0)
        return np.where(number > 0, chosen / np.maximum(number, 1), np.nan)


def weighted_sum(readings: Readings, weight: Array) -> Estimate:
    """Σ weight · reading, and its error."""
    return (weight * readings.filled).sum(axis=0), readings.error(weight)


def crossing(readings: Readings, level: Array, curve: Curve, windows: Windows) -> Estimate:
    """Where the smoothed spectrum rises through a level, in eV.

    Of several such places the one nearest to that of the mean spectrum.

    Parameters
    ----------
    level
        Weights (energy, pixel) of the readings that make each pixel's level.
    """
    above = curve.weight @ readings.filled - (level * readings.filled).sum(axis=0)
    rises = (above[:-1] < 0) & (above[1:] >= 0)
    distance = np.abs(curve.place[:-1] + 0.5 * curve.step - windows.crossing)
    at = np.argmin(np.where(rises, distance[:, None], np.inf), axis=0)
    pixel = np.arange(at.size)
    low, high = above[at, pixel], above[at + 1, pixel]
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.where(rises.any(axis=0), -low / (high - low), np.nan)
        here = (1 - part) * curve.weight[at].T + part * curve.weight[at + 1].T
        error = readings.error(here - level) * curve.step / (high - low)
        good = readings.supported(here) & (error < windows.rise)
    return _where(good, curve.place[at] + part * curve.step, error)


def maximum(
    readings: Readings, before: Array, curve: Curve, windows: Windows
) -> tuple[Estimate, Estimate]:
    """Energy of the smoothed spectrum's maximum in eV, and its height above the pre-edge.

    Parameters
    ----------
    before
        Weights (energy, pixel) of the mean before the edge.
    """
    smooth = curve.weight @ readings.filled
    at = np.clip(np.argmax(smooth, axis=0), 1, len(curve.place) - 2)
    pixel = np.arange(at.size)
    left, top, right = (smooth[at + i, pixel] for i in (-1, 0, 1))
    low, here, high = (curve.weight[at + i].T for i in (-1, 0, 1))
    curvature = right - 2 * top + left
    with np.errstate(invalid="ignore", divide="ignore"):
        part = 0.5 * (left - right) / curvature
        of_slope = 0.5 * (high - low) + part * (high - 2 * here + low)
        error = curve.step * readings.error(of_slope) / -curvature
        of_height = here + 0.5 * part * (high - low)
        height, height_error = weighted_sum(readings, of_height - before)
        # At an end of the range there is no maximum, and the place of a flat top is not known.
        good = (np.abs(part) <= 1) & (curvature < 0) & (error < windows.breadth)
        good &= readings.supported(of_height) & (height > SIGNIFICANT * height_error)
        # Nor is it known which of two maxima as high as each other is the higher one.
        elsewhere = np.abs(curve.place[:, None] - curve.place[at]) > windows.breadth
        peaks = np.full(smooth.shape, -np.inf)
        peaks[1:-1] = np.where((smooth[1:-1] > smooth[:-2]) & (smooth[1:-1] > smooth[2:]),
                               smooth[1:-1], -np.inf)  # fmt: skip
        second = np.where(elsewhere, peaks, -np.inf).max(axis=0)
        alone = top - second > SIGNIFICANT * np.sqrt(2.0) * height_error
    place = curve.place[at] + part * curve.step
    return _where(good & alone, place, error), _where(good, height, height_error)


def centroid(readings: Readings, before: Array, energy: Array, windows: Windows) -> Estimate:
    """First moment of the optical density above the pre-edge, by the trapezium rule, in eV.

    Needs a reading at both ends and no two neighbouring ones missing: over a wider gap straight
    lines would invent a part of the edge.
    """
    between = windows.between
    readable = readings.readable[between]
    steps = np.zeros(len(energy))
    steps[between] = np.gradient(energy[between]) * np.r_[0.5, np.ones(between.sum() - 2), 0.5]
    of_area = steps[:, None] - steps.sum() * before
    area, area_error = weighted_sum(readings, of_area)
    with np.errstate(invalid="ignore", divide="ignore"):
        # About the mean energy of the edge: the difference of large numbers would lose digits.
        middle = float(energy[between].mean())
        lever = steps * (energy - middle)
        moment = ((lever[:, None] - lever.sum() * before) * readings.filled).sum(axis=0) / area
        pull = steps[:, None] * ((energy - middle)[:, None] - moment) / area
        error = readings.error(pull - pull.sum(axis=0) * before)
        good = readable[0] & readable[-1] & (readable[1:] | readable[:-1]).all(axis=0)
        good &= area > SIGNIFICANT * area_error
    return _where(good, middle + moment, error)


def _where(good: Flags, value: Array, error: Array) -> Estimate:
    return np.where(good, value, np.nan), np.where(good, error, np.nan)
