"""The background component: support, vacuum, diffuse scattering; it has no Bragg spots."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.errors import InputError

_SMOOTH = 0.1
"""A pattern with less than this part of its intensity in spots has none (measured: purely diffuse
patterns −0.05 to 0.05, crystals 0.16 to 0.9)."""

_DIRECT_BEAM = 0.06
"""Radius about the direct beam that is left out, in parts of the pattern's width."""

_PRESENT = 0.2
"""A component of at least this weight, of 1, takes part in a pattern."""

_NEARLY_ALL = 0.75
"""Part of the other components that one has to take part in to be everywhere."""


def find_background(
    weight: ArrayLike, pattern: ArrayLike, *, centre: tuple[float, float] | None = None
) -> int:
    """Find the background component: support, vacuum, diffuse scattering.

    It has no Bragg spots. The azimuthal median of a pattern holds all that is isotropic about the
    direct beam, rings too; the intensity beyond it is in spots. Background is the component without
    (less than 0.1 of the intensity in spots), or, as factors are not unique and may have kept
    some of the crystals' spots, the one that lies under at least three quarters of the others;
    always with less than half as much in spots as is usual in the others. A grain is no
    background, however large: it has spots. Of several the one with the largest part of all
    intensity is taken.

    Parameters
    ----------
    weight
        (component, y, x), 1: fully that component.
    pattern
        (component, ky, kx), NaN where a pixel is not used.
    centre
        Row and column of the direct beam in px; the middle by default. Where it is wrong by some
        pixels, rings look like spots and background is not found.

    Returns
    -------
    int
        Number of the component; −1 if there is none, also if no component has spots or there
        is only one.
    """
    weights = checked_weight(weight)
    patterns = np.asarray(pattern, dtype=np.float64)
    if patterns.ndim != 3 or len(patterns) != len(weights):
        raise InputError(
            f"patterns {patterns.shape} do not belong to weights {weights.shape}",
            "give one pattern (ky, kx) for each component",
        )
    spots = spot_shares(patterns, centre=centre)
    with_spots = spots >= _SMOOTH
    if len(weights) < 2 or not with_spots.any():
        return -1
    few = spots < 0.5 * np.median(spots[with_spots])
    candidates = few & (~with_spots | (_presence(weights) >= _NEARLY_ALL))
    if not candidates.any():
        return -1
    intensity = weights.mean(axis=(1, 2)) * np.nansum(patterns, axis=(1, 2))
    return int(np.argmax(np.where(candidates, intensity, -1.0)))


def spot_shares(
    pattern: ArrayLike, *, centre: tuple[float, float] | None = None
) -> NDArray[np.float64]:
    """Share of each pattern's intensity in spots, beyond its azimuthal median.

    Patterns are smoothed a little before (Gaussian of 1 px), else the median of few counts is
    below their mean without any spot; the direct beam is left out.

    Parameters
    ----------
    pattern
        (component, ky, kx), NaN where a pixel is not used.
    centre
        Row and column of the direct beam in px; the middle by default.

    Returns
    -------
    ndarray of float64
        (component,), at most 1; about 0 without spots, and where there is no intensity.
    """
    from scipy import ndimage

    patterns = np.asarray(pattern, dtype=np.float64)
    shape = patterns.shape[1:]
    middle = [(size - 1) / 2 for size in shape] if centre is None else centre
    row, column = np.indices(shape)
    radius = np.hypot(row - middle[0], column - middle[1])
    outside = radius > max(3.0, _DIRECT_BEAM * min(shape))
    shares = np.zeros(len(patterns))
    for number, image in enumerate(patterns):
        used = np.isfinite(image) & outside
        if not used.any():
            continue
        cover = ndimage.gaussian_filter(used.astype(float), 1.0)
        smooth = ndimage.gaussian_filter(np.where(used, image, 0.0), 1.0)[used] / cover[used]
        ring = np.rint(radius[used]).astype(np.intp)
        median = ndimage.median(smooth, ring, np.arange(ring.max() + 1))
        total = smooth.sum()
        shares[number] = 1.0 - median[ring].sum() / total if total > 0 else 0.0
    return shares


def checked_weight(weight: ArrayLike) -> NDArray[np.float64]:
    """Weights (component, y, x) as numbers.

    Raises
    ------
    InputError
        They have other axes, or are negative or not finite somewhere.
    """
    weights = np.asarray(weight, dtype=np.float64)
    if weights.ndim != 3 or not weights.size:
        raise InputError(f"weights of shape {weights.shape} are no maps", "give (component, y, x)")
    if not (weights.min() >= 0 and np.isfinite(weights.max())):
        raise InputError("some weights are negative or not finite", "factors are never negative")
    return weights


def _presence(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the other components in whose typical pattern each takes part."""
    n = len(weights)
    flat = weights.reshape(n, -1)
    largest = flat.argmax(axis=0)
    typical = [np.median(flat[:, largest == j], axis=1) for j in range(n) if (largest == j).any()]
    at = np.array([j for j in range(n) if (largest == j).any()])
    present = (np.stack(typical, axis=1) >= _PRESENT) & (at[None, :] != np.arange(n)[:, None])
    others = (at[None, :] != np.arange(n)[:, None]).sum(axis=1)
    return np.asarray(present.sum(axis=1) / np.maximum(others, 1))
