"""Where the spots of a sample stand out of the noise: discs that measures of it leave out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from phaseloom.diffraction.spots.finder import Finder

Array = NDArray[np.float64]
Images = NDArray[np.float32]

_REACH = 0.05
"""Spots are masked to where they are lower than this part of the noise of a pixel."""


class SeenSpots(NamedTuple):
    """Spots of a sample and its direct beams, and how far they show above the noise.

    Parameters
    ----------
    size
        (n, ky, kx) of the sample.
    pattern, row, column
        Where they are, in px.
    radius
        To which they show, in px.
    ratio
        Height over the standard deviation of a pixel; infinite for the direct beam.
    """

    size: tuple[int, ...]
    pattern: NDArray[np.intp]
    row: Array
    column: Array
    radius: Array
    ratio: Array

    def masked(self, least: float = 0.0) -> NDArray[np.bool_]:
        """(n, ky, kx), True within discs about the spots that are as high as this ``ratio``."""
        chosen = self.ratio >= least
        inside = np.zeros(self.size, np.bool_)
        y, x = np.arange(self.size[1])[:, None], np.arange(self.size[2])
        columns = (self.pattern, self.row, self.column, self.radius)
        for n, row, column, reach in zip(*(values[chosen] for values in columns), strict=True):
            top, left = max(0, int(row - reach)), max(0, int(column - reach))
            box = np.s_[top : int(row + reach) + 2, left : int(column + reach) + 2]
            square = (y[box[0]] - row) ** 2 + (x[box[1]] - column) ** 2
            inside[n][box] |= square < reach**2
        return inside


def seen_spots(values: Images, beam: Array, finder: Finder) -> SeenSpots:
    """The spots of a sample.

    Parameters
    ----------
    values
        (n, ky, kx), corrected, NaN where unusable.
    beam
        (n, 2), where the direct beam should be, in px.
    finder
        Its guard is the disc about the direct beam.
    """
    from phaseloom.diffraction.detector.correction import Correction
    from phaseloom.diffraction.spots.finder import find_peaks

    shape = finder.shape
    found = find_peaks(values, finder, Correction(np.ones(values.shape[1:], np.bool_)), beam)
    column = found.columns
    pattern = np.repeat(np.arange(len(values)), np.maximum(found.number, 0))
    ground = np.maximum(column["background"], finder.background)
    noise = np.sqrt(finder.gain * ground + finder.floor)
    ratio = column["intensity"] / shape.volume / noise
    if shape.kind == "gaussian":
        shown = np.log(np.maximum(ratio / _REACH, 1.0))
        radius = np.clip(shape.sigma * np.sqrt(2 * shown), 2.5, 6 * shape.sigma)
    else:
        radius = np.full(ratio.size, shape.radius + 3 * shape.edge)
    return SeenSpots(
        values.shape,
        np.concatenate([pattern, np.arange(len(beam))]),
        np.concatenate([column["row"], beam[:, 0]]),
        np.concatenate([column["column"], beam[:, 1]]),
        np.concatenate([radius, np.full(len(beam), finder.guard_radius)]),
        np.concatenate([ratio, np.full(len(beam), np.inf)]),
    )
