"""What the peak finder must know, from a sample of patterns: spots, noise, background."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike

from phaseloom.diffraction.spots.noise_level import background_level, estimate_noise
from phaseloom.diffraction.spots.shape import SpotShape
from phaseloom.diffraction.spots.size import estimate_shape
from phaseloom.errors import InputError

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
    if values.ndim != 3 or np.shape(beam) != (len(values), 2):
        raise InputError(
            f"patterns {values.shape} and beam {np.shape(beam)} do not belong together",
            "pass (n, rows, columns) and (n, 2)",
        )
    return background_level(values)


def make_finder(
    patterns: ArrayLike,
    beam: ArrayLike,
    *,
    beam_radius: float = math.nan,
    kind: Literal["auto", "gaussian", "disk"] = "auto",
    sigma: float | None = None,
    radius: float | None = None,
    false_alarms: float = 0.01,
    max_peaks: int = 500,
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
    kind
        "gaussian", "disk", or "auto" to let the spots decide.
    sigma, radius
        Of the spots, in px, where known: they are Gaussians with ``sigma``, disks with ``radius``.
    false_alarms, max_peaks
        As in :class:`phaseloom.diffraction.spots.finder.Finder`.

    Raises
    ------
    InputError
        Shapes do not fit, or both or the wrong one of ``sigma`` and ``radius`` are given.
    """
    from phaseloom.diffraction.spots.finder import Finder

    level = estimate_background(patterns, beam)
    shape = _known_shape(patterns, beam, beam_radius, kind, sigma, radius)
    guard = 1.2 * shape.half
    if math.isfinite(beam_radius):
        # A beam with a flat or a clipped top ends as steeply as a spot does.
        guard = max(guard, 1.2 * beam_radius + 2 * shape.filter_sigma)
    gain, floor = estimate_noise(patterns, beam, shape, guard=guard)
    return Finder(
        shape=shape,
        gain=gain,
        floor=floor,
        false_alarms=false_alarms,
        background=level,
        guard=guard,
        max_peaks=max_peaks,
    )


def _known_shape(
    patterns: ArrayLike,
    beam: ArrayLike,
    beam_radius: float,
    kind: Literal["auto", "gaussian", "disk"],
    sigma: float | None,
    radius: float | None,
) -> SpotShape:
    """The shape as far as it is given, the rest from the spots."""
    if (sigma is not None and (radius is not None or kind == "disk")) or (
        radius is not None and kind == "gaussian"
    ):
        raise InputError(
            "spots are either Gaussians with a sigma or disks with a radius",
            "give only one of --sigma and --radius, and the --shape it belongs to",
        )
    if sigma is not None:
        return SpotShape("gaussian", sigma=sigma)
    if radius is not None:
        edge = estimate_shape(patterns, beam, beam_radius=radius, kind="disk").edge
        return SpotShape("disk", radius=radius, edge=min(edge, 0.5 * radius))
    return estimate_shape(patterns, beam, beam_radius=beam_radius, kind=kind)
