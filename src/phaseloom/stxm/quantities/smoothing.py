"""Spectra smoothed by local cubics, as weights on the readings.

Source: W. S. Cleveland, Robust locally weighted regression and smoothing scatterplots, J. Am. Stat.
Assoc. 74 (1979) 829; here with a Gaussian kernel and without the robust weights. The smoothed value
at a place is a weighted sum of readings, so that whatever is read off the curve has, to first
order, a standard error that follows from theirs without a further assumption.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_DEGREE = 3
"""A rise bends both ways about its middle, and a white line is not symmetric."""

_OF_STEP = 0.7
"""Least bandwidth in steps between the readings: four of them then count."""


def smoothing_weights(energy: Array, place: Array, bandwidth: float) -> Array:
    """Weights (place, energy) that smooth a spectrum.

    All readings of one distance weigh the same. Weights by variance would follow the noise of the
    readings themselves (a high reading has few counts) and pull the curve.

    Parameters
    ----------
    energy
        (energy,) of the readings, four or more, in eV, rising.
    place
        (place,) where the curve is wanted, in eV.
    bandwidth
        Standard deviation of the kernel in eV; where readings lie far apart it is widened.
    """
    steps = np.diff(energy)
    widest = np.maximum(np.append(steps, 0.0), np.append(0.0, steps))
    width = np.maximum(bandwidth, _OF_STEP * np.interp(place, energy, widest))
    u = (energy - place[:, None]) / width[:, None]
    # Beyond six deviations a reading would only take part where there is none nearer.
    kernel = np.exp(-0.5 * np.minimum(np.square(u), 36.0))
    columns = u[:, :, None] ** np.arange(_DEGREE + 1)
    normal = np.einsum("kej,ke,kei->kji", columns, kernel, columns)
    first = np.linalg.inv(normal)[:, 0]
    return np.asarray(np.einsum("kj,kej,ke->ke", first, columns, kernel))
