"""Noise of the counts: variance of a pixel = gain · counts + floor, from a sample of patterns.

Two estimates. From differences of neighbouring pixels, before anything is known of the spots
(:func:`pixel_noise`). Then, where pixels are independent, from frequencies that spots do not reach
(:mod:`phaseloom.diffraction.spots.white_noise`); else from what the spots and a smooth background
leave: there, noise that neighbouring pixels share is told from unresolved reflections by its
shorter correlation length, and counts as much as it does for a spot (:func:`estimate_noise`). How
noise becomes a threshold says :mod:`phaseloom.diffraction.spots.false_alarms`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.diffraction.spots.seen_spots import SeenSpots, seen_spots
from phaseloom.diffraction.spots.shape import SpotShape
from phaseloom.diffraction.spots.white_noise import leak, white_noise

Array = NDArray[np.float64]
Images = NDArray[np.float32]

_BLOCK = 16
_BINS = 12
_SYSTEMATIC = 0.03
"""Relative error of a variance that its counting error does not hold."""
_FALSE_ALARMS = 0.05
_LEAK = 0.1
"""What a filter may leave of a spot, in standard deviations of the noise."""
_LEAST_SHARED = 0.5
"""Part of the variance of single pixels that is noise at least."""
_SHARED_FOR_SURE = 30.0
"""Decrease of chi² from which noise is taken to be shared by neighbouring pixels."""
_PIXELS = 2_500_000


def pixel_noise(patterns: ArrayLike) -> tuple[float, float]:
    """Gain and floor from second differences of neighbouring pixels, spots and all.

    Parameters
    ----------
    patterns
        (n, ky, kx), corrected, NaN where unusable.

    Returns
    -------
    gain, floor : float
        1 and 0 if the patterns hold no noise at all.

    Notes
    -----
    The difference d = a − b − c + e of a 2 × 2 square knows no plane; E d² / 4 is the variance.
    Medians over blocks of 16 px of about the same counts, which spots in fewer than half of them
    do not change.
    """
    values = np.asarray(patterns, dtype=np.float32)
    d = values[:, :-1, :-1] - values[:, :-1, 1:] - values[:, 1:, :-1] + values[:, 1:, 1:]
    square = _blocks(d * d)
    mean = _blocks(values[:, :-1, :-1])
    n = np.isfinite(square).sum(axis=2)
    full = n > 0.5 * _BLOCK**2
    if not full.any():
        return 1.0, 0.0
    variance = np.nanmean(square[full], axis=1) / 4
    counts = np.nanmean(mean[full], axis=1)
    return _line(*_binned(counts, variance))


def estimate_noise(
    patterns: ArrayLike,
    beam: ArrayLike,
    shape: SpotShape,
    *,
    guard: float = np.nan,
    counted: bool = True,
) -> tuple[float, float]:
    """Gain and floor that hold for spots of this shape.

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
    counted
        False where something was subtracted: the noise then goes with no count, and that of
        single pixels against their counts tells nothing.

    Returns
    -------
    gain, floor : float
        Variance of a pixel is ``gain · counts + floor``; 1 and 0 where there is no noise.
        Where neighbouring pixels share noise (camera point spread, interpolation) both are larger
        than for a single pixel, so that the score of a spot has the variance it should have.

    Notes
    -----
    With r what is left on pixels without spots, the covariance C(d) = ⟨r(x) r(x + d)⟩ over that of
    independent pixels is a sum, with coefficients ≥ 0, of the covariances of white noise, of noise
    behind point spreads narrower than the spots, of unresolved spots, and of errors of the
    background. The first two make the gain; each is weighed with the autocorrelation of the spot's
    shape.
    """
    values = np.asarray(patterns, dtype=np.float32)
    values = values[: max(1, _PIXELS // max(values[0].size, 1))] if values.size else values
    expected = np.asarray(beam, dtype=np.float64)[: len(values)]
    if not np.isfinite(values).any():
        return 1.0, 0.0
    gain, floor = pixel_noise(values)
    for _ in range(2):
        if not counted:
            break
        seen = _spots_seen(values, expected, shape, gain, floor, guard)
        hidden, from_lines = (
            seen.masked(_LEAK / leak(shape, lines=lines)) for lines in (False, True)
        )
        groups = white_noise(values, hidden, from_lines, gain, floor)
        if groups is None:
            break
        gain, floor = _line(*groups)
    else:
        return gain, floor
    for _ in range(2):
        spots = spots_masked(values, expected, shape, gain, floor, guard)
        rest, ground, usable, transfer = without_background(values, spots, expected, shape)
        usable &= rest < 8 * np.sqrt(gain * np.maximum(ground, 0) + floor) + 6 * gain
        if usable.sum() < 500:
            break
        gain, floor = _pixel_variance(rest, ground, usable, transfer)
        gain, floor = (
            value * shared_variance(rest, ground, usable, transfer, shape, gain, floor)
            for value in (gain, floor)
        )
    return gain, floor


def spots_masked(
    values: Images, beam: Array, shape: SpotShape, gain: float, floor: float, guard: float
) -> NDArray[np.bool_]:
    """Where spots stand out: discs as wide as they show above the noise."""
    return _spots_seen(values, beam, shape, gain, floor, guard).masked()


def _spots_seen(
    values: Images, beam: Array, shape: SpotShape, gain: float, floor: float, guard: float
) -> SeenSpots:
    from phaseloom.diffraction.spots.finder import Finder

    level = max(background_level(values), 1e-3 * gain)
    finder = Finder(
        shape=shape, gain=gain, floor=floor, false_alarms=_FALSE_ALARMS, background=level,
        guard=guard,
    )  # fmt: skip
    return seen_spots(values, beam, finder)


def without_background(
    values: Images, spots: NDArray[np.bool_], beam: Array, shape: SpotShape
) -> tuple[Array, Array, NDArray[np.bool_], Array]:
    """Rest, background and usable pixels (n, ky, kx); power the subtraction leaves (ky, kx)."""
    from scipy import ndimage

    usable = np.isfinite(values) & ~spots
    width = 5 * shape.filter_sigma
    counts = np.where(usable, values, 0).astype(np.float64)
    ground = radial_mean(counts, usable, beam)
    sigma = (0, width, width)
    weight = ndimage.gaussian_filter(usable.astype(np.float64), sigma, mode="constant")
    change = ndimage.gaussian_filter(np.where(usable, counts - ground, 0), sigma, mode="constant")
    ground = ground + change / np.maximum(weight, 1e-3)
    usable &= weight > 0.1
    frequency = np.hypot(
        *np.meshgrid(*(np.fft.fftfreq(s) for s in values.shape[1:]), indexing="ij")
    )
    passed = (1 - np.exp(-2 * (np.pi * frequency * width) ** 2)) ** 2
    return np.where(usable, counts - ground, 0), ground, usable, passed


def radial_mean(
    counts: NDArray[np.floating[Any]], usable: NDArray[np.bool_], beam: Array, inner: float = 0.0
) -> Array:
    """Mean over circles about the beam, interpolated to the pixels, constant within ``inner``."""
    y, x = np.indices(counts.shape[1:])
    out = np.empty(counts.shape)
    for n, (row, column) in enumerate(beam):
        r = np.hypot(y - row, x - column) / 3
        ring = r.astype(np.intp)
        number = np.bincount(ring.ravel(), usable[n].ravel())
        total = np.bincount(ring.ravel(), (counts[n] * usable[n]).ravel())
        filled = np.flatnonzero((number > 0) & (3 * np.arange(number.size) >= inner))
        if filled.size == 0:
            out[n] = 0
            continue
        out[n] = np.interp(r, filled + 0.5, total[filled] / number[filled])
    return out


def _pixel_variance(
    rest: Array, ground: Array, usable: NDArray[np.bool_], transfer: Array
) -> tuple[float, float]:
    """Gain and floor of single pixels."""
    counts = ground[usable]
    square = rest[usable] ** 2 / transfer.mean()
    edges = np.unique(np.quantile(counts, np.linspace(0, 1, _BINS + 1)))
    place = np.clip(np.searchsorted(edges, counts, side="right") - 1, 0, max(edges.size - 2, 0))
    number = np.bincount(place).astype(np.float64)
    variance = np.bincount(place, square) / np.maximum(number, 1)
    mean = np.bincount(place, counts) / np.maximum(number, 1)
    fourth = np.bincount(place, square**2) / np.maximum(number, 1)
    error = np.sqrt(np.maximum(fourth - variance**2, 0) / np.maximum(number, 1))
    enough = number > 100
    return _line(mean[enough], variance[enough], error[enough])


def shared_variance(
    rest: Array,
    ground: Array,
    usable: NDArray[np.bool_],
    transfer: Array,
    shape: SpotShape,
    gain: float,
    floor: float,
) -> float:
    """Variance of a spot's score over that from pixels with independent noise.

    Parameters
    ----------
    rest, ground, usable, transfer
        From :func:`without_background`.
    shape
        Of the spots.
    gain, floor
        Of single pixels.
    """
    from scipy.optimize import nnls

    sigma = shape.filter_sigma
    reach = int(np.ceil(3 * sigma))
    deviation = np.where(usable, np.sqrt(gain * np.maximum(ground, 0) + floor), 0)
    seen = _covariance(np.where(usable, rest, 0), reach) / np.maximum(
        _covariance(deviation, reach), 1e-30
    )
    spot = np.abs(np.fft.fft2(_rolled(shape, transfer.shape))) ** 2
    frequency = np.hypot(*np.meshgrid(*(np.fft.fftfreq(s) for s in transfer.shape), indexing="ij"))
    spreads = [w for w in (0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0) if w <= 0.6 * sigma]
    noise = [np.ones_like(spot)]
    noise += [np.exp(-4 * (np.pi * frequency * w) ** 2) for w in spreads]
    other = [spot, spot * np.exp(-4 * (np.pi * frequency * 1.5 * sigma) ** 2)]
    powers = [power / power.mean() for power in (*noise, *other)]
    lags = _lags(reach)
    lines = np.stack([_at_lags(power * transfer, reach)[lags] for power in powers], axis=1)
    share, misfit = nnls(lines, seen[lags])
    if not share.any():
        return 1.0
    # Every covariance has a variance of one over the number of pixels: is the noise shared at all?
    alone = np.r_[0, len(noise) : len(powers)]
    simple, more = nnls(lines[:, alone], seen[lags])
    if (more**2 - misfit**2) * np.count_nonzero(usable) < _SHARED_FOR_SURE:
        share = np.zeros(len(powers))
        share[alone] = simple
    weigh = spot / spot.mean()
    each = np.array([(power * weigh).mean() for power in powers[: len(noise)]])
    # Not all can be unresolved spots, and sharing does no more than the widest spread.
    return float(np.clip(share[: len(noise)] @ each, _LEAST_SHARED, each.max()))


def _rolled(shape: SpotShape, size: tuple[int, ...]) -> Array:
    """The template with its middle on pixel (0, 0) of an image."""
    y, x = (np.minimum(np.arange(s), s - np.arange(s)).astype(np.float64) for s in size)
    return np.asarray(shape.profile(np.hypot(y[:, None], x)))


def _covariance(images: Array, reach: int) -> Array:
    """Σ a(x) a(x + d) over images for |d| ≤ reach, (2·reach + 1, 2·reach + 1)."""
    from scipy import fft

    size = [fft.next_fast_len(s + reach, real=True) for s in images.shape[1:]]
    power = np.zeros((size[0], size[1] // 2 + 1))
    for image in images:
        power += np.abs(fft.rfft2(image, size)) ** 2
    return _centred(fft.irfft2(power, size), reach)


def _at_lags(power: Array, reach: int) -> Array:
    return _centred(np.fft.ifft2(power).real * 1.0, reach)


def _centred(wrapped: Array, reach: int) -> Array:
    index = np.arange(-reach, reach + 1)
    return np.asarray(wrapped[np.ix_(index % wrapped.shape[0], index % wrapped.shape[1])])


def _lags(reach: int) -> NDArray[np.bool_]:
    """Half of the lags within a circle: the other half is the same."""
    y, x = np.indices((2 * reach + 1, 2 * reach + 1)) - reach
    return np.asarray(((y > 0) | ((y == 0) & (x >= 0))) & (y**2 + x**2 <= reach**2))


def _line(counts: Array, variance: Array, error: Array) -> tuple[float, float]:
    """Gain and floor through variances against counts; a floor only where one is needed."""
    from scipy.optimize import nnls

    # Rounding of constant values is no noise.
    if counts.size == 0 or not (variance > 1e-10 * np.max(counts**2, initial=1e-20)).any():
        return 1.0, 0.0
    error = np.hypot(error, _SYSTEMATIC * variance)
    error = np.maximum(error, 1e-3 * float(variance.max()) * _SYSTEMATIC)
    for _ in range(8):
        both, misfit = nnls(
            np.stack([counts, np.ones_like(counts)], axis=1) / error[:, None], variance / error
        )
        only = max(float((counts * variance / error**2).sum()), 0) / float(
            (counts**2 / error**2).sum()
        )
        gain, floor = (float(both[0]), float(both[1]))
        scale = max(misfit**2 / max(counts.size - 2, 1), 1.0)
        if only > 0 and (((only * counts - variance) / error) ** 2).sum() - misfit**2 < 9 * scale:
            gain, floor = only, 0.0
        away = np.abs(gain * counts + floor - variance) / error
        doubt = away > 4
        if not doubt.any():
            break
        # Spots, or a background that is not smooth, in these bins.
        error = np.where(doubt, error * np.maximum(away / 3, 1.2), error)
    if not gain > 0:
        gain = 1e-3 * floor if floor > 0 else 1.0
    return gain, floor


def _binned(counts: Array, variance: Array) -> tuple[Array, Array, Array]:
    """Medians of blocks of about the same counts, with their errors."""
    order = np.argsort(counts)
    groups = [g for g in np.array_split(order, min(_BINS, counts.size)) if g.size]
    mean = np.array([np.median(counts[g]) for g in groups])
    middle = np.array([np.median(variance[g]) for g in groups])
    error = np.array(
        [
            1.5 * np.median(np.abs(variance[g] - v)) / np.sqrt(g.size) * 1.3
            for g, v in zip(groups, middle, strict=True)
        ]
    )
    return mean, middle, np.maximum(error, 1e-12)


def _blocks(images: Images) -> Images:
    """(n, blocks, pixels): squares of 16 px, or what a smaller pattern has."""
    n, rows, columns = images.shape
    side = min(_BLOCK, rows, columns)
    y, x = rows // side, columns // side
    squares = images[:, : y * side, : x * side].reshape(n, y, side, x, side)
    return squares.transpose(0, 1, 3, 2, 4).reshape(n, y * x, side * side)


def background_level(patterns: ArrayLike) -> float:
    """Background where it is low, in counts per px: what the smoothing has to be wide enough for.

    Low quartile of the means over squares of 16 px of ``patterns`` as of :func:`pixel_noise` (spots
    are elsewhere, or in the upper half); 0 where there is nothing, or less.
    """
    values = np.asarray(patterns, dtype=np.float32)
    squares = _blocks(values)
    full = np.isfinite(squares).sum(axis=2) > 0.3 * squares.shape[2]
    if not full.any():
        return 0.0
    level = float(np.quantile(np.nanmean(squares[full], axis=1), 0.25))
    return max(level, 0.0)
