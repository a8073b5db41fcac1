"""Pixel sizes that the radii of spots leave possible, roughly: where to look for the right one."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.diffraction.calibration.rings import best_scales

Array = NDArray[np.float64]

_APART = 0.2
"""ln of the ratio of pixel sizes that are told apart."""

_SPOTS = 4000
"""That are looked at."""


def rough_pixel_sizes(radius: ArrayLike, rings_k: ArrayLike) -> Array:
    """Pixel sizes at which the radii of spots lie on rings of a crystal, the likeliest first.

    The likelihood of a pixel size is a mixture of narrow distributions, one per ring in reach, and
    a uniform one for spots of something else. A pixel size with many rings in reach has each of
    them less probable, so dense sequences do not win by being dense. Which of the sizes is right,
    if any, radii alone do not say.

    Parameters
    ----------
    radius
        (n,) of spots from the direct beam, px, without it.
    rings_k
        1/d of all reflections of the crystal up to the outermost spot, Å⁻¹.

    Returns
    -------
    ndarray
        Å⁻¹ per px, five at most and 20 % apart; empty where there are no spots.
    """
    spots, k = np.asarray(radius, dtype=np.float64), np.unique(np.asarray(rings_k, np.float64))
    spots = spots[np.isfinite(spots)]
    if spots.size == 0 or k.size < 2:
        return np.zeros(0)
    reach = float(spots.max())
    low, high = reach / k[-1], reach / k[0]
    scales = np.geomspace(low, high, int(np.log(high / low) / 0.002) + 2)
    some = spots[np.unique(np.linspace(0, spots.size - 1, _SPOTS).astype(np.intp))]
    tolerance = np.hypot(1.0, 0.012 * some)
    scores = np.array([_likelihood(some, tolerance, k * scale) for scale in scales])
    return 1.0 / best_scales(scales, scores, apart=_APART)[0]


def _likelihood(radius: Array, tolerance: Array, rings: Array) -> float:
    """Mean ln likelihood of the radii."""
    reach = float(radius.max())
    rings = rings[rings < reach + 3 * float(tolerance.max())]
    away = (radius[:, None] - rings) / tolerance[:, None]
    on = np.exp(-(away**2) / 2).sum(axis=1) / (np.sqrt(2 * np.pi) * tolerance * len(rings))
    return float(np.log(0.1 / reach + 0.9 * on).mean())
