"""Image quality metrics between patterns: PSNR, SSIM, GMSD and MDSI.

PSNR and SSIM are larger, GMSD and MDSI are smaller for more similar images. All four are defined
for images in [0, 1]; every pattern is scaled to that first. Each takes two images (row, column) of
one shape with at least 11 pixels a side, and refuses others with an ``InputError``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

METRICS = ("psnr", "ssim", "gmsd", "mdsi")

# The published constants of GMSD and MDSI are those of images in 0–255.
_GREY_LEVELS = 255.0
# SSIM's Gaussian window of sigma 1.5, cut off at 3.5 sigma.
_SMALLEST = 11
# Luminance and the two chromaticities of red, green and blue (Nafchi et al. 2016, eq. 6).
_LUMINANCE = 0.2989 + 0.5870 + 0.1140
_CHROMATICITIES = (0.30 + 0.04 - 0.35, 0.34 - 0.60 + 0.17)


def psnr(a: ArrayLike, b: ArrayLike) -> float:
    """Peak signal-to-noise ratio, 10 log10(1 / mean (a − b)²).

    In dB, larger for more similar images; infinite for equal images.
    """
    from skimage.metrics import peak_signal_noise_ratio

    first, second = _pair(a, b)
    with np.errstate(divide="ignore"):
        return float(peak_signal_noise_ratio(first, second, data_range=1.0))


def ssim(a: ArrayLike, b: ArrayLike) -> float:
    """Structural similarity, mean over the image (Wang et al. 2004, IEEE TIP 13, 600).

    In the authors' setting: a Gaussian window of sigma 1.5, K1 = 0.01, K2 = 0.03.

    −1 to 1, larger for more similar images; 1 for equal images.
    """
    from skimage.metrics import structural_similarity

    first, second = _pair(a, b)
    return float(
        structural_similarity(
            first,
            second,
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def gmsd(a: ArrayLike, b: ArrayLike) -> float:
    """Gradient magnitude similarity deviation (Xue et al. 2014, IEEE TIP 23, 684).

    Mean over squares of 2 × 2 pixels, Prewitt gradients g, similarity
    (2 g₁ g₂ + c) / (g₁² + g₂² + c) with c = 170 / 255², and its standard deviation over the
    image. Beyond its edge an image is 0, as in the authors' program.

    From 0, for equal images; smaller for more similar images.
    """
    first, second = (_gradient(_pooled(image, 2)) for image in _pair(a, b))
    return float(np.std(_similarity(first, second, 170.0)))


def mdsi(a: ArrayLike, b: ArrayLike) -> float:
    """Mean deviation similarity index (Nafchi et al. 2016, IEEE Access 4, 5579).

    Mean over squares of max(1, round(shorter side / 256)) pixels; with Prewitt gradients of a, b
    and their mean f, gradient similarity S(a, b; 140) + S(b, f; 55) − S(a, f; 55); chromaticity
    similarity with the constant 550; 0.6 times the first and 0.4 times the second; the mean
    absolute deviation of its power 1/4 (complex, where the sum is negative), to the power 1/4.

    A grey image is one with three equal channels. The chromaticities of the paper are then
    not 0 but −0.01 and −0.09 of the grey value, and count.

    From 0, for equal images; smaller for more similar images. ``a`` is the reference: exchanging
    the two changes the index, as the definition treats them differently.
    """
    pair = _pair(a, b)
    side = max(1, round(min(pair[0].shape) / 256))
    grey = [_pooled(image, side) for image in pair]
    reference, judged, fused = (
        _gradient(_LUMINANCE * image) for image in (*grey, (grey[0] + grey[1]) / 2)
    )
    gradients = (
        _similarity(reference, judged, 140.0)
        + _similarity(judged, fused, 55.0)
        - _similarity(reference, fused, 55.0)
    )
    # Both chromaticities of grey are multiples of the grey value: one similarity for the two.
    scale = float(np.hypot(*_CHROMATICITIES))
    colours = _similarity(scale * grey[0], scale * grey[1], 550.0)
    combined = (0.6 * gradients + 0.4 * colours).astype(np.complex128) ** 0.25
    return float(np.mean(np.abs(combined - combined.mean())) ** 0.25)


_FUNCTIONS: dict[str, Callable[[ArrayLike, ArrayLike], float]] = {
    "psnr": psnr,
    "ssim": ssim,
    "gmsd": gmsd,
    "mdsi": mdsi,
}


def similarity_matrices(patterns: ArrayLike) -> NDArray[np.float32]:
    """The four metrics between every two patterns.

    Parameters
    ----------
    patterns
        (component, ky, kx). Each is scaled to [0, 1], its minimum to its maximum, so that
        shapes are compared, not brightness. NaN is a pixel not used: 0 after scaling.

    Returns
    -------
    ndarray of float32
        (metric, component, component) in the order of `METRICS`; the second axis is the
        reference, which matters to MDSI only. NaN on the diagonal and for a pattern without
        any pixel.

    Raises
    ------
    InputError
        The patterns are not images of at least 11 pixels a side.
    """
    images = _stack(patterns)
    matrices = np.full((len(METRICS), len(images), len(images)), np.nan, dtype=np.float32)
    for i, first in enumerate(images):
        for j in range(i):
            matrices[:, i, j] = matrices[:, j, i] = _metrics(first, images[j])
            # The one metric that is not symmetric.
            matrices[METRICS.index("mdsi"), j, i] = _metrics(images[j], first, ("mdsi",))[0]
    return matrices


def agreement(patterns: ArrayLike, mean_patterns: ArrayLike) -> NDArray[np.float32]:
    """The four metrics between each pattern and its mean recorded pattern.

    Parameters
    ----------
    patterns, mean_patterns
        (component, ky, kx), scaled as in :func:`similarity_matrices`; a pixel missing (NaN) in
        one of two is not used in either. The mean patterns are the references.

    Returns
    -------
    ndarray of float32
        (metric, component) in the order of `METRICS`; NaN where a mean pattern has no pixel.

    Raises
    ------
    InputError
        The two differ in shape, or are not images of at least 11 pixels a side.
    """
    images, references = _stack(patterns), _stack(mean_patterns)
    if images.shape != references.shape:
        raise InputError(
            f"patterns of shape {images.shape} and mean patterns of shape {references.shape} "
            "cannot be compared",
            "give one mean pattern per pattern",
        )
    metrics = [
        _metrics(reference, image) for image, reference in zip(images, references, strict=True)
    ]
    return np.array(metrics, dtype=np.float32).reshape(-1, len(METRICS)).T


def _scaled(image: NDArray[np.float64], used: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The image from 0, its minimum, to 1, its maximum; 0 where not used or all the same."""
    values = image[used]
    lowest, highest = values.min(), values.max()
    result = np.zeros(image.shape)
    if highest > lowest:
        result[used] = (values - lowest) / (highest - lowest)
    return result


def _metrics(
    reference: NDArray[np.float64], image: NDArray[np.float64], names: tuple[str, ...] = METRICS
) -> list[float]:
    used = np.isfinite(reference) & np.isfinite(image)
    if not used.any():
        return [np.nan] * len(names)
    pair = _scaled(reference, used), _scaled(image, used)
    return [_FUNCTIONS[name](*pair) for name in names]


def _stack(patterns: ArrayLike) -> NDArray[np.float64]:
    images = np.asarray(patterns, dtype=np.float64)
    if images.ndim != 3:
        raise InputError(
            f"an array of shape {images.shape} is no stack of patterns",
            "give (component, ky, kx)",
        )
    return images


def _pair(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 2 or min(first.shape) < _SMALLEST:
        raise InputError(
            f"images of shapes {first.shape} and {second.shape} cannot be compared",
            f"give two images of one shape with at least {_SMALLEST} pixels a side",
        )
    return first, second


def _pooled(image: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Means over squares in grey levels; the first and last may reach over the edge, into 0."""
    before = (side - 1) // 2
    padding = [(before, -(n + before) % side) for n in image.shape]
    # A square begins at every multiple of the side that has its own pixel in the image.
    kept = tuple(-(-n // side) for n in image.shape)
    squares = np.pad(_GREY_LEVELS * image, padding)
    rows, columns = (n // side for n in squares.shape)
    means = squares.reshape(rows, side, columns, side).mean(axis=(1, 3))
    return np.asarray(means[: kept[0], : kept[1]])


def _gradient(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Magnitude of the Prewitt gradient, divided by 3; 0 beyond the edge."""
    from scipy.ndimage import prewitt

    along = [prewitt(image, axis=axis, mode="constant") / 3.0 for axis in (0, 1)]
    return np.asarray(np.hypot(*along))


def _similarity(
    a: NDArray[np.float64], b: NDArray[np.float64], constant: float
) -> NDArray[np.float64]:
    return (2.0 * a * b + constant) / (a**2 + b**2 + constant)
