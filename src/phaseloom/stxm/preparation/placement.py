"""Coarse image registration: shifts to a quarter of a pixel, without a starting value.

Many pairs of images are correlated and all offsets solved together by robust least squares, so
that a few wrong pairs do no harm. :mod:`phaseloom.stxm.preparation.registration` refines the
result.

Sign: ``shift[e]`` is where the content at (0, 0) of the common frame lies in image e.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Images = NDArray[np.float32]

# Gaussians (px) between which grains and edges show
COARSE_BAND = (1.0, 4.0)
# a correlation surface of pure noise peaks near 8 times its noise
_NOISE_PEAK = 8.0
# Images that lack more than the rest of this have gaps; shifts at which less than this part of the
# widest overlap is left are not looked at.
_WHOLE = 0.95
_OVERLAP = 0.4
# Distances (in images) between the images of a pair: neighbours look alike, far ones stop the
# errors of the neighbours from adding up.
_DISTANCES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)


def bin_image(image: Images, factor: int) -> Images:
    """Mean over blocks of ``factor`` × ``factor`` pixels; a remainder at the end is left out."""
    ny, nx = image.shape[0] // factor, image.shape[1] // factor
    if factor == 1:
        return image
    blocks = image[: ny * factor, : nx * factor].reshape(ny, factor, nx, factor)
    return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float32)


def without_spikes(image: Images, *, limit: float = 8.0) -> Images:
    """Replace pixels that stand out from their four neighbours by the neighbours' median.

    ``limit`` is in robust standard deviations of that difference over the image; the noise has to
    be alike over the image (counts: pass their square root).
    """
    padded = np.pad(image, 1, mode="reflect")
    up, down = padded[:-2, 1:-1], padded[2:, 1:-1]
    left, right = padded[1:-1, :-2], padded[1:-1, 2:]
    highest = np.maximum(np.maximum(up, down), np.maximum(left, right))
    lowest = np.minimum(np.minimum(up, down), np.minimum(left, right))
    middle = (up + down + left + right - highest - lowest) / 2
    deviation = np.abs(image - middle)
    scale = 1.4826 * float(np.median(deviation[::3, ::3]))
    return np.where(deviation > limit * scale, middle, image)


def coarse_shifts(images: Images, valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Shifts to about a quarter of a pixel from the correlation of pairs of images.

    Parameters
    ----------
    images
        (image, y, x), finite.
    valid
        (image, y, x), False where a pixel must not count.

    Returns
    -------
    ndarray
        (image, 2) shifts with mean 0. Images without structure follow their neighbours.

    Notes
    -----
    Two correlations per pair: of the band-passed images (taken by magnitude, a phase may go from
    bright to dark across an edge) and of the gradient magnitudes (the same whichever way the
    contrast goes). Each is divided by its own noise, then they are added. Where an image has gaps
    the correlations are normalised by what overlaps at each shift (D. Padfield, IEEE Trans. Image
    Process. 21 (2012) 2706): else the part that is left finds its like elsewhere.
    """
    n, ny, nx = images.shape
    spectra, plain, window = _features(images, valid)
    gapped = valid.mean(axis=(1, 2)) < _WHOLE
    first, second = (
        np.concatenate(side)
        for side in zip(
            *((np.arange(n - d), np.arange(d, n)) for d in _DISTANCES if d < n), strict=True
        )
    )
    offset = np.empty((first.size, 2))
    strength = np.empty(first.size)
    for pair, (i, j) in enumerate(zip(first, second, strict=True)):
        if gapped[i] or gapped[j]:
            surface = _gapped_surface([f[[i, j]] for f in plain], window[[i, j]])
        else:
            crosses = [feature[j] * np.conj(feature[i]) for feature in spectra]
            surface = _surface(crosses, (ny, nx))
        offset[pair], strength[pair] = _peak(surface)
    return _solve_graph(n, first, second, offset, strength)


def _surface(crosses: Sequence[NDArray[Any]], shape: tuple[int, int]) -> Images:
    """Sum of the correlations of both features, each in units of its noise."""
    image, steepness = (fft.irfft2(cross, s=shape) for cross in crosses)
    parts = (np.abs(image), steepness)
    noise = (1.4826 * float(np.median(np.abs(part))) for part in parts)
    return np.asarray(sum(part / max(by, 1e-12) for part, by in zip(parts, noise, strict=True)))


def _gapped_surface(features: Sequence[Images], window: Images) -> Images:
    """As :func:`_surface`, of two images (2, y, x) normalised by what overlaps, twice as wide."""
    ny, nx = window.shape[1:]
    shape = (2 * ny, 2 * nx)

    def correlated(second: Images, first: Images) -> Images:
        spectra = fft.rfft2(second, s=shape) * np.conj(fft.rfft2(first, s=shape))
        return np.asarray(fft.irfft2(spectra, s=shape))

    overlap = correlated(window[1], window[0])
    enough = overlap > _OVERLAP * float(overlap.max())
    total = np.zeros(shape, dtype=np.float32)
    for feature, either_sign in zip(features, (True, False), strict=True):
        middle = (feature * window).sum(axis=(1, 2), keepdims=True)
        values = feature - middle / np.maximum(window.sum(axis=(1, 2), keepdims=True), 1e-6)
        first, second = values * window
        of_first, of_second = correlated(window[1], first), correlated(second, window[0])
        both = correlated(second, first) - of_first * of_second / np.maximum(overlap, 1e-6)
        powers = [
            correlated(window[1], first * values[0]) - of_first**2 / np.maximum(overlap, 1e-6),
            correlated(second * values[1], window[0]) - of_second**2 / np.maximum(overlap, 1e-6),
        ]
        scale = np.sqrt(
            np.maximum(powers[0] * powers[1], 1e-12 * powers[0].max() * powers[1].max())
        )
        likeness = np.abs(both / scale) if either_sign else both / scale
        part = np.where(enough, likeness * np.sqrt(np.maximum(overlap, 0.0)), 0.0)
        total += part / max(1.4826 * float(np.median(np.abs(part[enough]))), 1e-12)
    return total


def _features(
    images: Images, valid: NDArray[np.bool_]
) -> tuple[list[NDArray[Any]], list[Images], Images]:
    """Half-whitened spectra of the band-passed images and of their gradient magnitudes.

    And both as they are (image, y, x), and the window (image, y, x) put on them.
    """
    _, ny, nx = images.shape
    window = np.hanning(ny + 2)[1:-1, None] * np.hanning(nx + 2)[None, 1:-1]
    weights: Images = (window * valid).astype(np.float32)
    transform = fft.rfft2(_centred(images))
    passed = fft.irfft2(transform * band_pass((ny, nx), *COARSE_BAND), s=(ny, nx))
    smooth = fft.irfft2(transform * low_pass((ny, nx), COARSE_BAND[0]), s=(ny, nx))
    steepness = np.hypot(*np.gradient(smooth, axis=(1, 2)))
    # the steepest pixels (spikes, dust) must not speak for all
    steepness = np.minimum(steepness, np.quantile(steepness, 0.995, axis=(1, 2), keepdims=True))
    features: list[NDArray[Any]] = []
    for feature in (passed, _centred(steepness)):
        spectrum = fft.rfft2(_centred(feature * weights))
        # between cross-correlation (blunt) and phase correlation (all noise): root whitening
        spectrum /= np.sqrt(np.abs(spectrum) + 1e-12)
        features.append(spectrum)
    return features, [passed, steepness], weights


def _centred(images: NDArray[Any]) -> Images:
    return np.asarray(images - images.mean(axis=(1, 2), keepdims=True), dtype=np.float32)


def _peak(surface: Images) -> tuple[tuple[float, float], float]:
    """Place of the highest point, to a part of a pixel (parabola), and its height."""
    top = np.unravel_index(int(np.argmax(surface)), surface.shape)
    height = float(surface[top])
    place = []
    for axis, size in enumerate(surface.shape):
        before, after = list(top), list(top)
        before[axis], after[axis] = (top[axis] - 1) % size, (top[axis] + 1) % size
        low, high = float(surface[tuple(before)]), float(surface[tuple(after)])
        curvature = low - 2 * height + high
        part = 0.5 * (low - high) / curvature if curvature < 0 else 0.0
        place.append((int(top[axis]) + size // 2) % size - size // 2 + part)
    return (place[0], place[1]), height


def _solve_graph(
    n: int,
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    offset: NDArray[np.float64],
    strength: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Shifts from offsets of pairs; iteratively re-weighted, a wrong pair loses its weight."""
    pairs = np.arange(first.size)
    difference = np.zeros((first.size + n, n))
    difference[pairs, second], difference[pairs, first] = 1.0, -1.0
    # weak ties between neighbours carry an image that no pair could place; last row: the gauge
    ties = np.arange(n - 1)
    difference[first.size + ties, ties + 1], difference[first.size + ties, ties] = 1.0, -1.0
    difference[-1] = 1.0
    target = np.concatenate([offset, np.zeros((n, 2))])
    prior_weight = np.concatenate(
        [np.maximum(strength - _NOISE_PEAK, 0.05) ** 2, np.full(n - 1, 1e-3), [1.0]]
    )
    weight = prior_weight
    shift = np.zeros((n, 2))
    for scale in (8.0, 4.0, 2.0, *[1.0] * 6, *[0.5] * 6):
        root = np.sqrt(weight)[:, None]
        shift = np.linalg.lstsq(difference * root, target * root, rcond=None)[0]
        residual = np.hypot(*(target - difference @ shift).T)
        weight = prior_weight / (1.0 + (residual / scale) ** 2) ** 2
        weight[-n:] = prior_weight[-n:]
    return np.asarray(shift - shift.mean(axis=0))


def frequencies(shape: tuple[int, int]) -> tuple[Images, Images]:
    """Angular frequencies (y, 1) and (1, x) of a real transform, radian per pixel."""
    wy = 2 * np.pi * fft.fftfreq(shape[0])[:, None]
    wx = 2 * np.pi * fft.rfftfreq(shape[1])[None, :]
    return wy.astype(np.float32), wx.astype(np.float32)


def low_pass(shape: tuple[int, int], sigma: float) -> Images:
    """Transfer (y, x) of a Gaussian with the standard deviation ``sigma`` in pixels."""
    wy, wx = frequencies(shape)
    return np.asarray(np.exp(-(wy**2 + wx**2) * sigma**2 / 2), dtype=np.float32)


def band_pass(shape: tuple[int, int], fine: float, wide: float) -> Images:
    """Transfer (y, x) of a difference of two Gaussians, given by their standard deviations (px).

    Both are local, so what the transform wraps round stays within a few σ of the rim.
    """
    return np.asarray(low_pass(shape, fine) - low_pass(shape, wide), dtype=np.float32)
