"""The finder for a scan, from a sample of its patterns.

Puts together what others estimate: :mod:`~phaseloom.diffraction.spots.size` the spots' shape,
:mod:`~phaseloom.diffraction.spots.noise_level` noise and background.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from phaseloom.compute.keywords import takes_options
from phaseloom.diffraction.detector.shapes import check_shapes
from phaseloom.diffraction.options import SpotSearch
from phaseloom.diffraction.spots.noise_level import background_level, estimate_noise
from phaseloom.diffraction.spots.shape import SpotShape
from phaseloom.diffraction.spots.size import estimate_shape

if TYPE_CHECKING:
    from phaseloom.diffraction.spots.finder import Finder


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
    patterns, beam, beam_radius
        The sample, where the direct beam should be in it, and its radius, as for
        :func:`phaseloom.diffraction.spots.size.estimate_shape`.
    **options

    Raises
    ------
    InputError
        Shapes do not fit, or an option is wrong.
    """
    from phaseloom.diffraction.spots.finder import Finder

    check_shapes(np.asarray(patterns), np.asarray(beam))
    level = background_level(patterns)
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
