"""Correction of the peaks' vectors: scale, elliptic distortion and centre, with their errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.diffraction.calibration.geometry import stretch
from phaseloom.diffraction.peaks.table import Peaks


class Correction(NamedTuple):
    """True vectors are exp(ln scale) · D · (k − centre), D = stretch(a, b).

    Parameters
    ----------
    parameters
        (5,): ln scale; a and b of :func:`phaseloom.diffraction.calibration.geometry.stretch`;
        centre ky and kx in Å⁻¹, in the frame of the vectors before.
    error
        (5,) standard errors of the parameters, NaN where they were not fitted.
    residual
        Rms distance of the paired peaks from their reflections after it, Å⁻¹; NaN where nothing
        was fitted.
    patterns, spots
        How many patterns and paired peaks it was fitted to.
    """

    parameters: NDArray[np.float64]
    error: NDArray[np.float64]
    residual: float = float("nan")
    patterns: int = 0
    spots: int = 0

    @classmethod
    def none(cls, ln_scale: float = 0.0) -> Correction:
        """No correction but that of the scale, as given."""
        return cls(np.array([ln_scale, 0.0, 0.0, 0.0, 0.0]), np.full(5, np.nan))

    @classmethod
    def of_map(cls, attrs: Mapping[str, Any]) -> Correction:
        """That of an orientation map, by its attributes; none where they are not there."""
        if "scale" not in attrs:
            return cls.none()
        parts = [np.log(attrs["scale"]), *attrs["ellipse"], *attrs["centre_offset"]]
        return cls(np.array(parts, dtype=np.float64), np.full(5, np.nan))

    def then(self, later: Correction) -> Correction:
        """Both in turn, a small later one after this one; its errors are those of both.

        Parameters
        ----------
        later
            Fitted to the vectors with this correction taken off.
        """
        parameters = self.parameters + later.parameters
        parameters[3:] = self.centre + np.linalg.solve(self.matrix, later.centre)
        return later._replace(parameters=parameters)

    @property
    def scale(self) -> float:
        """By what the pixel size of the file is to be multiplied."""
        return float(np.exp(self.parameters[0]))

    @property
    def scale_error(self) -> float:
        """Its standard error."""
        return self.scale * float(self.error[0])

    @property
    def distortion(self) -> NDArray[np.float64]:
        """2×2, symmetric, of unit determinant."""
        return stretch(float(self.parameters[1]), float(self.parameters[2]))

    @property
    def matrix(self) -> NDArray[np.float64]:
        """2×2: from vectors before, centre taken off, to true ones."""
        return self.scale * self.distortion

    @property
    def centre(self) -> NDArray[np.float64]:
        """(ky, kx) of the true direct beam among the vectors before, Å⁻¹."""
        return self.parameters[3:]

    @property
    def ellipticity(self) -> float:
        """Ratio of the axes of a ring before the correction, 1 or more."""
        return float(np.exp(2.0 * np.hypot(*self.parameters[1:3])))

    @property
    def ellipticity_error(self) -> float:
        """Its standard error."""
        size = float(np.hypot(*self.parameters[1:3]))
        share = self.parameters[1:3] / size if size > 0 else np.sqrt([0.5, 0.5])
        return 2.0 * self.ellipticity * float(np.hypot(*(share * self.error[1:3])))


def corrected_peaks(peaks: Peaks, correction: Correction) -> Peaks:
    """The peaks with a correction applied to their vectors, pixel size and centre.

    Parameters
    ----------
    peaks
        In Å⁻¹.
    correction
        To be taken off.
    """
    shift = np.linalg.solve(peaks.distortion, correction.centre / peaks.pixel_size)
    data = peaks.data.copy()
    for axis, move, size in zip("yx", shift, correction.centre, strict=True):
        column, centre = f"k{axis}", f"centre_{axis}"
        data[column] = (data[column] - np.float32(size)).assign_attrs(data[column].attrs)
        data[centre] = (data[centre] + move).assign_attrs(data[centre].attrs)
    distortion = correction.distortion @ peaks.distortion
    return Peaks(data).calibrated(peaks.pixel_size * correction.scale, distortion=distortion)
