"""Calibration on powder rings: found without a guess, then measured sector by sector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phaseloom.diffraction.beam.blobs import binned, maxima
from phaseloom.diffraction.beam.friedel import symmetry
from phaseloom.diffraction.calibration.geometry import stretch

Array = NDArray[np.float64]

_SECTORS = 48
# axis ratios tried first; exp(2 e)
_STRETCHES = (0.0, 0.01, 0.02, 0.03)
# with more rings than that one may be hidden by the direct beam
_FEW_RINGS = 4


@dataclass(frozen=True, eq=False)
class Pixels:
    """The usable pixels of a pattern: rows, columns, values; and the pattern's shape."""

    row: Array
    column: Array
    value: Array
    shape: tuple[int, int]

    def polar(self, geometry: Array) -> tuple[Array, Array]:
        """Radius (corrected px) and azimuth (radian) for (row, column, a, b)."""
        offset = np.stack([self.row - geometry[0], self.column - geometry[1]])
        y, x = stretch(geometry[2], geometry[3]) @ offset
        return np.hypot(y, x), np.arctan2(y, x)


def flattened(pattern: Array, usable: NDArray[np.bool_]) -> Array:
    """Logarithm of the pattern over its surroundings: rings of like height; NaN if unusable."""
    from scipy import ndimage

    width = max(pattern.shape) / 32
    floor = max(float(np.quantile(pattern[usable], 0.05)), 0.0)
    raised = np.where(usable, np.maximum(pattern, 0), 0)
    weight = [ndimage.gaussian_filter(usable.astype(float), s) for s in (1.0, width)]
    near, far = (
        ndimage.gaussian_filter(raised, s) / np.maximum(w, 1e-3)
        for s, w in zip((1.0, width), weight, strict=True)
    )
    offset = 0.1 * floor + 1e-3 * float(raised.mean()) + 1e-30
    contrast = np.log((near + offset) / (far + offset))
    limit = 4 * 1.4826 * float(np.median(np.abs(contrast[usable])))
    # pixels next to unusable ones have lopsided surroundings
    good = usable & (weight[0] > 0.8)
    return np.where(good, np.clip(contrast, -limit, limit), np.nan)


def centre_of_symmetry(contrast: Array) -> tuple[float, float]:
    """Centre (row, column) of a flattened pattern, to half a pixel or so."""
    small, factor = binned(contrast[None].astype(np.float32), 160)
    place, _ = maxima(np.maximum(symmetry(small), 0), 1, 3)
    row, column = (place[0, 0] / 2 + 0.5) * factor - 0.5
    return float(row), float(column)


def sharpest(contrast: Array, centre: tuple[float, float], inner: float) -> Array:
    """Centre and ellipse (row, column, a, b) that make the radial profile sharpest.

    Parameters
    ----------
    contrast
        Flattened pattern, NaN where unusable.
    centre
        To start from.
    inner
        Radius, px, inside which nothing counts (direct beam).
    """
    from scipy.optimize import minimize

    row, column = np.nonzero(np.isfinite(contrast))
    far = np.hypot(row - centre[0], column - centre[1]) > inner
    step = max(1, int(far.sum()) // 80_000)
    row, column = (axis[far][::step].astype(float) for axis in (row, column))
    pixels = Pixels(row, column, contrast[row.astype(int), column.astype(int)], contrast.shape)

    def blur(geometry: Array) -> float:
        radius, _ = pixels.polar(geometry)
        bins = radius.astype(np.intp)
        number = np.bincount(bins)
        total = np.bincount(bins, pixels.value)
        return -float((total[number > 0] ** 2 / number[number > 0]).sum() / len(radius))

    starts = [
        np.array([*centre, e * np.cos(t), e * np.sin(t)])
        for e in _STRETCHES
        for t in (np.linspace(0, 2 * np.pi, 8, endpoint=False) if e else (0.0,))
    ]
    start = min(starts, key=blur)
    simplex = start + np.vstack([np.zeros(4), np.diag([1.5, 1.5, 0.008, 0.008])])
    optimum = minimize(
        blur,
        start,
        method="Nelder-Mead",
        options={"initial_simplex": simplex, "xatol": 5e-4, "fatol": 1e-7, "maxfev": 400},
    )
    return np.asarray(optimum.x)


def radial_profile(
    pixels: Pixels, geometry: Array, span: tuple[float, float] = (0.0, np.inf)
) -> tuple[Array, Array, Array]:
    """Mean radius, mean value and number of pixels in rings one pixel wide; all with pixels.

    Only radii within ``span``.
    """
    radius, _ = pixels.polar(geometry)
    bins = radius.astype(np.intp)
    number = np.bincount(bins)
    filled = number > 0
    mean_radius = np.bincount(bins, radius)[filled] / number[filled]
    mean = np.bincount(bins, pixels.value)[filled] / number[filled]
    inside = (mean_radius > span[0]) & (mean_radius < span[1])
    return mean_radius[inside], mean[inside], number[filled][inside].astype(np.float64)


def beam_edge(pixels: Pixels, geometry: Array) -> float:
    """Radius, px, beyond which the direct beam (or its stop) no longer counts."""
    radius, profile, _ = radial_profile(pixels, geometry)
    if radius[0] > 2:
        return float(radius[0] + 3)
    half = (profile[radius < radius[0] + 2].mean() + np.median(profile)) / 2
    under = np.flatnonzero(profile < half)
    edge = radius[under[0]] if under.size else radius[0]
    # where there is no beam, the background alone falls slowly
    return float(max(radius[0] + 3, min(2.5 * edge + 3, 0.15 * max(pixels.shape))))


def outer_radius(pixels: Pixels, geometry: Array) -> float:
    """Radius, px, up to which at least a third of each circle is on usable pixels."""
    radius, _, number = radial_profile(pixels, geometry)
    full = number > 2 * np.pi * radius / 3
    return float(radius[full].max() if full.any() else radius.max())


def scales_tried(radius: Array, k: Array) -> Array:
    """Px per Å⁻¹ at which rings may lie in a radial profile.

    From the second of many rings (the first of few, which cannot be spared) at the inner edge to
    the third (or last) at the outer.

    Parameters
    ----------
    radius
        Of the profile, px.
    k
        1/d of the rings, ascending.
    """
    low, high = radius[0] / k[int(len(k) > _FEW_RINGS)], radius[-1] / k[min(2, len(k) - 1)]
    if not high > low:
        return np.zeros(0)
    return np.geomspace(low, high, max(int(np.log(high / low) / 0.002), 2))


def recognised(
    profile: tuple[Array, Array, Array], k: Array, height: Array, width: float, scales: Array
) -> Array:
    """How well the sequence of rings fits at every scale.

    Parameters
    ----------
    profile
        Radius, flattened pattern and pixels of :func:`radial_profile` outside the direct beam.
    k, height
        1/d of the rings, and how high they stand out, at most 1.
    width
        σ of a ring, px.
    scales
        Px per Å⁻¹.

    Returns
    -------
    ndarray
        Weighted correlation coefficient of profile and expected rings: missing rings and rings too
        many lower it alike.
    """
    from scipy.ndimage import gaussian_filter1d

    radius, contrast, number = profile
    # where nothing stands out, the absence of a ring says little
    envelope = gaussian_filter1d(np.abs(contrast), 0.1 * len(contrast))
    weight = np.sqrt(number) * (envelope + 0.1 * envelope.max())
    weight = weight / weight.sum()
    signal = contrast - weight @ contrast
    away = radius[None, :, None] - scales[:, None, None] * k
    expected = (height * np.exp(-(away**2) / (2 * width**2))).sum(axis=2)
    # two rings in one place look like one
    expected = np.minimum(expected, 1.0)
    expected -= (expected @ weight)[:, None]
    spread = np.sqrt((expected**2 @ weight) * (signal**2 @ weight))
    return np.asarray((expected * signal) @ weight / np.maximum(spread, 1e-30))


def best_scales(scales: Array, scores: Array, *, apart: float) -> tuple[Array, Array]:
    """Local maxima of the scores, best first, none within ``apart`` (relative) of a better one."""
    chosen: list[int] = []
    for i in np.argsort(-scores):
        if all(abs(np.log(scales[i] / scales[j])) > apart for j in chosen):
            chosen.append(int(i))
        if len(chosen) == 5:
            break
    return scales[chosen], scores[chosen]


def ring_width(
    pixels: Pixels, geometry: Array, rings: Array, span: tuple[float, float]
) -> tuple[float, NDArray[np.bool_]]:
    """σ of the rings, common to all, that fits the radial profile best, and where it fits.

    Returns
    -------
    width : float
        Px.
    fits : ndarray
        (radius in px,) False at radii where something else stands out: another material's ring.
    """
    radius, profile, number = radial_profile(pixels, geometry, span)
    weight = np.sqrt(number / np.maximum(profile, 1e-3 * profile.max()))
    widths = np.geomspace(0.8, max(span) / 15, 24)
    bins = radius.astype(np.intp)
    fits = np.ones(int(span[1]) + 2, dtype=bool)
    width = 0.0
    for _ in range(3):
        use = weight * fits[bins]
        designs = [_design(radius, rings, w, span) for w in widths]
        solved = [_solve(design, profile, use) for design in designs]
        best = int(np.argmin([misfit for _, misfit, _ in solved]))
        width = float(widths[best])
        left = (profile - designs[best] @ solved[best][0]) * weight
        scatter = 1.4826 * float(np.median(np.abs(left[fits[bins]])))
        # what belongs to the rings may be misfitted by their shape, and is not strange
        own = (np.abs(radius[:, None] - rings) < 1.5 * width).any(axis=1)
        strange = bins[(left > 6 * scatter) & ~own]
        if not fits[strange].any():
            break
        for step in (-1, 0, 1):
            fits[np.clip(strange + step, 0, len(fits) - 1)] = False
    return width, fits


def measure_sectors(
    pixels: Pixels,
    geometry: Array,
    rings: Array,
    share: Array,
    width: float,
    span: tuple[float, float],
    fits: NDArray[np.bool_],
) -> tuple[Array, NDArray[np.intp], Array]:
    """Where each ring lies in each sector, near where it is expected.

    Parameters
    ----------
    pixels, geometry
        The pattern; expected centre and ellipse (row, column, a, b).
    rings
        Expected radii, corrected px.
    share
        (rings, groups): of the intensity of a group of rings that are measured as one, that of each
        ring, with sum 1.
    width
        σ of the rings, px.
    span
        Radii between which the profile is fitted.
    fits
        False at radii (px) that are left out.

    Returns
    -------
    points : ndarray
        (n, 2) detector positions.
    ring : ndarray
        (n,) which group of rings, in the middle of their intensity.
    error : ndarray
        (n,) radial standard errors, px.

    Notes
    -----
    Per sector one linear fit: a smooth background (cubic splines), each group's profile and its
    derivative; the ratio of the last two is the shift, to first order.
    """
    radius, azimuth = pixels.polar(geometry)
    inside = (
        (radius > span[0])
        & (radius < span[1])
        & fits[np.minimum(radius.astype(np.intp), len(fits) - 1)]
    )
    radius, azimuth, value = radius[inside], azimuth[inside], pixels.value[inside]
    sector = np.minimum(((azimuth + np.pi) / (2 * np.pi) * _SECTORS).astype(np.intp), _SECTORS - 1)
    back = np.linalg.inv(stretch(geometry[2], geometry[3]))
    # Variances of counts by the mean of all directions: those of the few counts themselves would
    # weigh down what happens to be high, and shift rings on a slope.
    number_of = np.bincount(radius.astype(np.intp))
    level = np.bincount(radius.astype(np.intp), value) / np.maximum(number_of, 1)
    middle = rings @ share
    points, which, errors = [], [], []
    for number in range(_SECTORS):
        own = sector == number
        bins = radius[own].astype(np.intp)
        count = np.bincount(bins)
        filled = count > 0
        if filled.sum() < 0.3 * (span[1] - span[0]):
            continue
        mean_radius = np.bincount(bins, radius[own])[filled] / count[filled]
        profile = np.bincount(bins, value[own])[filled] / count[filled]
        # rings that lose their pixels to the rim or a mask must not be extrapolated
        covered = np.array([(np.abs(mean_radius - r) < 1.5 * width).sum() for r in middle])
        seen = np.flatnonzero(covered >= 2 * width)
        if seen.size == 0:
            continue
        mean = level[: count.size][filled]
        floor = max(float(np.median(mean)) * 0.05, 1e-12)
        weight = np.sqrt(count[filled] / np.maximum(mean, floor))
        design = _design(mean_radius, rings, width, span, share=share[:, seen])
        coefficients, misfit, covariance = _solve(design, profile, weight)
        height, slope = coefficients[: seen.size], coefficients[seen.size : 2 * seen.size]
        variance = np.diag(covariance) * misfit
        height_error = np.sqrt(variance[: seen.size])
        with np.errstate(divide="ignore", invalid="ignore"):
            shift = -slope / height
            error = np.sqrt(variance[seen.size : 2 * seen.size]) / height
        clear = (height > 5 * height_error) & (np.abs(shift) < 1.2 * width) & (error < 0.5 * width)
        angle = (number + 0.5) / _SECTORS * 2 * np.pi - np.pi
        away = (middle[seen] + shift)[clear, None] * np.array([np.sin(angle), np.cos(angle)])
        points.append(away @ back + geometry[:2])
        which.append(seen[clear])
        errors.append(np.maximum(error[clear], 1e-3))
    if not points:
        return np.zeros((0, 2)), np.zeros(0, dtype=np.intp), np.zeros(0)
    return np.concatenate(points), np.concatenate(which), np.concatenate(errors)


def _design(
    radius: Array,
    rings: Array,
    width: float,
    span: tuple[float, float],
    *,
    share: Array | None = None,
) -> Array:
    """Columns: each ring, or each group and its derivative; cubic splines much wider than a ring.

    ``share`` says how rings make groups, see :func:`measure_sectors`.
    """
    from scipy.interpolate import BSpline

    pieces = int(np.clip((span[1] - span[0]) / (8 * width), 1, 8))
    inner = np.linspace(span[0], span[1], pieces + 1)
    knots = np.concatenate([[inner[0]] * 3, inner, [inner[-1]] * 3])
    splines = BSpline.design_matrix(np.clip(radius, *span), knots, 3).toarray()
    away = (radius[:, None] - rings) / width
    gauss = np.exp(-(away**2) / 2)
    if share is None:
        return np.concatenate([gauss, splines], axis=1)
    parts = [gauss @ share, (-gauss * away / width) @ share, splines]
    return np.concatenate(parts, axis=1)


def _solve(design: Array, profile: Array, weight: Array) -> tuple[Array, float, Array]:
    """Weighted least squares: coefficients, χ² per degree of freedom, covariance for χ² = 1."""
    weighed = design * weight[:, None]
    inverse = np.linalg.pinv(weighed, rcond=1e-8)
    coefficients = inverse @ (profile * weight)
    left = profile * weight - weighed @ coefficients
    freedom = max(len(profile) - design.shape[1], 1)
    return coefficients, float(left @ left) / freedom, inverse @ inverse.T
