"""Peaks of many patterns as plain arrays, with errors and limits of detection."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.diffraction.peaks.table import Peaks

_BEAM = 3.0
"""Peaks within so many sizes of a spot from the direct beam are its own."""

_DETECTED = 5.0
"""Standard errors that a spot needs to be found, where the table does not say."""

_LEAST_ERROR = 0.02
"""No intensity is better known than to this part."""

_FAINTEST = 1e-24
"""Intensities below, and those above its inverse, are left out as no counts."""


class Patterns(NamedTuple):
    """Peaks of several patterns, flat; pattern ``i`` owns ``offset[i]:offset[i + 1]``.

    Parameters
    ----------
    offset
        (patterns + 1,).
    ky, kx
        Å⁻¹, from the direct beam, down and right.
    intensity
        Counts.
    place, loose
        Variance of the place (Å⁻², per coordinate) and of the ln intensity.
    limit
        (patterns,): counts that half of the spots would need to be found.
    """

    offset: NDArray[np.int64]
    ky: NDArray[np.float64]
    kx: NDArray[np.float64]
    intensity: NDArray[np.float64]
    place: NDArray[np.float64]
    loose: NDArray[np.float64]
    limit: NDArray[np.float64]

    def __len__(self) -> int:
        """Number of patterns."""
        return self.limit.size

    def part(self, start: int, stop: int) -> Patterns:
        """Patterns ``start`` to ``stop``."""
        first, last = self.offset[start], self.offset[stop]
        offset = self.offset[start : stop + 1] - first
        return self.of(slice(first, last), offset, self.limit[start:stop])

    def take(self, chosen: NDArray[np.intp]) -> Patterns:
        """Some of the patterns."""
        counts = np.diff(self.offset)[chosen]
        offset = np.concatenate([[0], np.cumsum(counts)])
        rows = np.repeat(self.offset[chosen] - offset[:-1], counts) + np.arange(offset[-1])
        return self.of(rows, offset, self.limit[chosen])

    def of(
        self,
        rows: slice | NDArray[np.intp] | NDArray[np.bool_],
        offset: NDArray[np.int64],
        limit: NDArray[np.float64],
    ) -> Patterns:
        """Patterns of some of the peaks, with offsets and limits of their own."""
        columns = (self.ky, self.kx, self.intensity, self.place, self.loose)
        ky, kx, intensity, place, loose = (column[rows] for column in columns)
        return Patterns(offset, ky, kx, intensity, place, loose, limit)

    def moved(self, matrix: NDArray[np.float64], centre: NDArray[np.float64]) -> Patterns:
        """The same peaks at matrix · (k − centre), their errors scaled likewise.

        Parameters
        ----------
        matrix
            2×2, on (ky, kx).
        centre
            (ky, kx) of the direct beam in Å⁻¹.
        """
        ky, kx = matrix @ np.stack([self.ky - centre[0], self.kx - centre[1]])
        place = self.place * abs(float(np.linalg.det(matrix)))
        return Patterns(self.offset, ky, kx, self.intensity, place, self.loose, self.limit)


def direct_beam_radius(peaks: Peaks) -> float:
    """Å⁻¹ within which a peak is taken for the direct beam: three sizes of a spot.

    Parameters
    ----------
    peaks
        In Å⁻¹.
    """
    attrs = peaks.data.attrs
    size = attrs.get("spot_radius", attrs.get("spot_sigma", 2.0))
    return _BEAM * float(size) * peaks.pixel_size


def patterns_of(peaks: Peaks, *, k_min: float, k_max: float) -> Patterns:
    """Peaks that may be reflections, with what is known of their errors.

    Parameters
    ----------
    peaks
        In Å⁻¹.
    k_min, k_max
        Å⁻¹: others are left out.
    """
    ky, kx, intensity = (
        peaks.data[name].to_numpy().astype(np.float64) for name in ("ky", "kx", "intensity")
    )
    radius = np.hypot(ky, kx)
    kept = (radius > k_min) & (radius < k_max)
    # Powers of others leave the range of single precision.
    kept &= (intensity > _FAINTEST) & (intensity < 1.0 / _FAINTEST)
    position = peaks.position[kept]
    offset = np.concatenate([[0], np.cumsum(np.bincount(position, minlength=peaks.count.size))])
    ky, kx, intensity = ky[kept], kx[kept], intensity[kept]
    y_error, x_error, error = (
        _errors(peaks, name)[kept] for name in ("ky_error", "kx_error", "intensity_error")
    )
    return Patterns(
        offset=offset,
        ky=ky,
        kx=kx,
        intensity=intensity,
        place=0.5 * (y_error**2 + x_error**2),
        loose=np.minimum(np.maximum(error / intensity, _LEAST_ERROR), 1.0) ** 2,
        limit=_limits(peaks, offset, intensity, error),
    )


def _errors(peaks: Peaks, name: str) -> NDArray[np.float64]:
    """A column of errors, 0 where they are unknown."""
    if name not in peaks.data:
        return np.zeros(len(peaks))
    values = peaks.data[name].to_numpy().astype(np.float64)
    return np.where(np.isfinite(values), values, 0.0)


def _limits(
    peaks: Peaks,
    offset: NDArray[np.int64],
    intensity: NDArray[np.float64],
    error: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Limit of detection of every pattern.

    The search asks for so many standard errors, and those of the weakest peaks are hardly more
    than the background's. Without errors the weakest peak is the best that is known.
    """
    level = float(peaks.data.attrs.get("threshold", _DETECTED))
    weakest = np.where(error > 0, level * error, intensity)
    position = np.repeat(np.arange(offset.size - 1), np.diff(offset))
    order = np.lexsort((weakest, position))
    counts = np.diff(offset)
    # The lowest tenth, one at least: a single odd error shall not decide.
    at = offset[:-1] + (0.1 * np.maximum(counts - 1, 0)).astype(np.int64)
    limits = weakest[order][np.minimum(at, max(len(order) - 1, 0))] if len(order) else at * 1.0
    return np.where(counts > 0, limits, 1.0)
