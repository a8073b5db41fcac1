"""What the peak finder must know, from a sample of patterns: spots, noise, background."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from phaseloom.diffraction.detector.shapes import check_shapes
from phaseloom.diffraction.options import SpotSearch
from phaseloom.diffraction.spots.noise_level import background_level, estimate_noise
from phaseloom.diffraction.spots.shape import SpotShape
from phaseloom.diffraction.spots.size import estimate_shape
from phaseloom.options import takes_options

if TYPE_CHECKING:
    from phaseloom.diffraction.spots.finder import Finder

__all__ = ["estimate_background", "estimate_noise", "estimate_shape", "make_finder"]


def estimate_background(patterns: ArrayLike, beam: ArrayLike) -> float:
    """Background where it is low, in counts per px: what the smoothing has to be wide enough for.

    Parameters
    ----------
    patterns
        (n, ky, kx), corrected, NaN where unusable.
    beam
        (n, 2), where the direct beam should be, in px.

    Returns
    -------
    float
        Low quartile of the means over squares of 16 px (spots are elsewhere, or in the upper
        half); 0 where there is nothing, or less.
    """
    values = np.asarray(patterns, dtype=np.float32)
    check_shapes(values, np.asarray(beam))
    return background_level(values)


@takes_options(search=SpotSearch)
def make_finder(
    patterns: ArrayLike,
    beam: ArrayLike,
    *,
    beam_radius: float = math.nan,
    search: SpotSearch,
) -> Finder:
    """The finder for a scan, from a sample of it.

    Parameters
    ----------
    patterns
        (n, ky, kx), corrected, NaN where unusable.
    beam
        (n, 2), where the direct beam should be (row, column), in px.
    beam_radius
        Radius at half maximum of the direct beam, in px; NaN where it is hidden.
    **options

    Raises
    ------
    InputError
        Shapes do not fit, or an option is wrong.
    """
    from phaseloom.diffraction.spots.finder import Finder

    level = estimate_background(patterns, beam)
    shape = _shape(patterns, beam, beam_radius, search)
    guard = 1.2 * shape.half
    if math.isfinite(beam_radius):
        # A beam with a flat or a clipped top ends as steeply as a spot does.
        guard = max(guard, 1.2 * beam_radius + 2 * shape.filter_sigma)
    gain, floor = estimate_noise(patterns, beam, shape, guard=guard)
    return Finder(
        shape=shape,
        gain=gain,
        floor=floor,
        false_alarms=search.false_alarms,
        background=level,
        guard=guard,
        max_peaks=search.max_peaks,
    )


def _shape(
    patterns: ArrayLike, beam: ArrayLike, beam_radius: float, search: SpotSearch
) -> SpotShape:
    """The shape as far as it is given, the rest from the spots."""
    if search.sigma is not None:
        return SpotShape("gaussian", sigma=search.sigma)
    if search.radius is not None:
        edge = estimate_shape(patterns, beam, beam_radius=search.radius, kind="disk").edge
        return SpotShape("disk", radius=search.radius, edge=min(edge, 0.5 * search.radius))
    return estimate_shape(patterns, beam, beam_radius=beam_radius, kind=search.shape)
