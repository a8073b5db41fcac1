"""Patterns from which a background was subtracted: their noise is that of what is not there.

Where a camera program or a script took a background off, values are about zero and partly negative,
while their noise is still that of the background. Nothing of the count tells it: variance and third
cumulant of what is between the spots do, in rings about the direct beam. The background that has
them, were it counted electrons, is added again: then counts have the noise of counts.

Subtracted patterns have hollows as well, beside spots (a blurred copy was taken off) or where a
reflection is missing (the mean of the scan was). What is further below the background than noise
goes is no measurement and does not count.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.diffraction.spots.noise_level import shared_variance, without_background
from phaseloom.diffraction.spots.shape import SpotShape

Array = NDArray[np.float64]
Images = NDArray[np.float32]
Mask = NDArray[np.bool_]

_LEAST_NEGATIVE = 0.01
"""Part of the pixels that have to be below zero."""
_AWAY = 1.25
"""Ratio of measured to expected variance, in some ring, from which noise is not that of counts."""
_RING = 3.0
_FEWEST = 400
"""Pixels of a ring."""
_STANDS_OUT = 4.5
"""Standard deviations of the filtered patterns, up or down, that are no noise."""
_REACH = ((_STANDS_OUT, 2.5), (20.0, 3.5), (100.0, 4.5))
"""From so many standard deviations on a spot, or hollow, shows as far as so many of its sigmas."""
_BELOW = 5.5
"""Standard deviations of a pixel below the background that are no noise."""
_HOLLOW = 5e-4
"""Part of the pixels in hollows from which the subtracted background was not smooth."""
_COVERED = 0.5
"""Part of a spot's window, at least, on usable pixels."""
_ROUNDS = 3


class Subtracted(NamedTuple):
    """What was subtracted from patterns, and the noise that stayed.

    Parameters
    ----------
    background
        (ky, kx), counts per px; with it variance = gain · counts.
    lowest
        (ky, kx), counts per px of the patterns as they are: what is lower is a hollow.
    gain
        Of the noise.
    hollows
        Whether more lies below the background than noise does: what is subtracted was not smooth.
    """

    background: NDArray[np.float32]
    lowest: NDArray[np.float32]
    gain: float
    hollows: bool


class _Rings(NamedTuple):
    """Of every ring with enough pixels: place; mean, variance and third cumulant; pixels."""

    place: Array
    mean: Array
    variance: Array
    third: Array
    number: Array


def has_negative(patterns: Images) -> bool:
    """Whether more than a few pixels are below zero."""
    seen = np.count_nonzero(np.isfinite(patterns))
    return bool(int(np.count_nonzero(patterns < 0)) > _LEAST_NEGATIVE * int(seen))


def subtracted_background(
    patterns: Images, beam: Array, shape: SpotShape, *, guard: float
) -> Subtracted | None:
    """The background that was subtracted from patterns, as their noise tells it.

    Parameters
    ----------
    patterns
        (n, ky, kx), corrected, NaN where unusable.
    beam
        (n, 2), where the direct beam should be, in px.
    shape
        Of the spots.
    guard
        Radius round the beam, in px, that is left out.

    Returns
    -------
    Subtracted
        None where variance = gain · counts + floor holds as it is.

    Notes
    -----
    Poisson counts with mean λ and gain g have variance g² λ and third cumulant g³ λ: their ratio is
    the gain, whatever was subtracted.
    """
    centre = beam.mean(axis=0)
    y, x = np.indices(patterns.shape[1:])
    radius = np.hypot(y - centre[0], x - centre[1])
    masked = _masked(patterns, beam, radius, shape, guard)
    rest, ground, usable, passed = without_background(patterns, masked, beam, shape)
    rings = _measured(rest, ground, usable, radius, float(passed.mean()))
    if rings is None or _of_counts(rings):
        return None
    gain = _gain(rings)
    added = rings.variance / gain - rings.mean
    lowest = rings.mean - _BELOW * np.sqrt(rings.variance)
    background, lowest = (np.interp(radius, rings.place, values) for values in (added, lowest))
    shared = shared_variance(rest, ground + background, usable, passed, shape, gain, 0.0)
    return Subtracted(
        background.astype(np.float32),
        lowest.astype(np.float32),
        gain * shared,
        bool(np.mean(patterns < lowest) > _HOLLOW),
    )


def _masked(patterns: Images, beam: Array, radius: Array, shape: SpotShape, guard: float) -> Mask:
    """Beam, spots and hollows."""
    from scipy import ndimage

    sigma = shape.filter_sigma
    ring = (radius / _RING).astype(np.intp)
    y, x = np.indices(radius.shape)
    near = np.stack([np.hypot(y - row, x - column) < guard for row, column in beam])
    masked = near
    for _ in range(_ROUNDS):
        rest, _, usable, _ = without_background(patterns, masked, beam, shape)
        response = ndimage.gaussian_filter(rest, (0, sigma, sigma), mode="constant")
        width = sigma / np.sqrt(2)
        covered = ndimage.gaussian_filter(
            usable.astype(np.float64), (0, width, width), mode="constant"
        )
        inside = usable & (covered > _COVERED)
        score = np.where(inside, response / np.sqrt(np.maximum(covered, 1e-12)), 0)
        level = score / _spread(score, inside, ring)[ring]
        masked = near | _standing_out(np.abs(level), sigma)
    return masked


def _measured(
    rest: Array, ground: Array, usable: Mask, radius: Array, passed: float
) -> _Rings | None:
    """Statistics of what is between the spots, and between the hollows; None: too few pixels."""
    ring = (radius / _RING).astype(np.intp)
    rows = []
    for k in range(int(ring.max()) + 1):
        of_ring = ring == k
        inside = usable[:, of_ring]
        if inside.sum() < _FEWEST:
            continue
        values = rest[:, of_ring][inside]
        # rounding of constant values is no noise
        variance = max(float((values**2).mean()) / passed, 1e-12)
        third = float((values**3).mean())
        mean = float(ground[:, of_ring][inside].mean())
        rows.append((float(radius[of_ring].mean()), mean, variance, third, values.size))
    return _Rings(*np.array(rows).T) if rows else None


def _standing_out(level: Array, sigma: float) -> Mask:
    """Spots and hollows, by their heights in standard deviations, as far as they show."""
    from scipy import ndimage

    masked = np.zeros(level.shape, np.bool_)
    for least, reach in _REACH:
        r = int(np.ceil(reach * sigma))
        disc = np.hypot(*np.mgrid[-r : r + 1, -r : r + 1]) <= r
        for i, image in enumerate(level > least):
            if image.any():
                masked[i] |= ndimage.binary_dilation(image, disc)
    return masked


def _spread(score: Array, inside: Mask, ring: NDArray[np.intp]) -> Array:
    """Standard deviation in every ring, spots or not, from its quantiles."""
    spread = np.full(int(ring.max()) + 1, np.inf)
    for k in range(spread.size):
        values = score[:, ring == k][inside[:, ring == k]]
        if values.size > 20:
            low, high = np.quantile(values, (0.16, 0.84))
            spread[k] = (high - low) / 2
    return spread


def _of_counts(rings: _Rings) -> bool:
    """Whether variance = gain · counts + floor in all rings."""
    from scipy.optimize import nnls

    lines = np.stack([np.maximum(rings.mean, 0), np.ones_like(rings.mean)], axis=1)
    both, _ = nnls(lines / rings.variance[:, None], np.ones_like(rings.variance))
    ratio = rings.variance / np.maximum(lines @ both, 1e-30)
    return bool((np.abs(np.log(ratio)) < np.log(_AWAY)).all())


def _gain(rings: _Rings) -> float:
    """Third cumulant over variance, in the middle of all rings: in some are spots, or hollows."""
    gain = rings.third / rings.variance
    order = np.argsort(gain)
    total = np.cumsum(rings.number[order])
    middle = float(np.interp(0.5 * total[-1], total - 0.5 * rings.number[order], gain[order]))
    # where the noise is not skewed, by much, it does not matter: less than its error it is not
    error = math.sqrt(15 * float(np.median(rings.variance)) / float(rings.number.sum()))
    return max(middle, 2 * error)
