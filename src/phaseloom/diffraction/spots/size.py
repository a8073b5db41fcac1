"""Size of the spots, and whether they are Gaussians or disks, from a sample of patterns.

Candidates come from :mod:`~phaseloom.diffraction.spots.scale_search`, are fitted each with its own
size (:mod:`~phaseloom.diffraction.spots.single_fits`), and the sizes' weighted median is taken.
"""

from __future__ import annotations

import math
import warnings
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.diffraction.detector.shapes import check_shapes
from phaseloom.diffraction.spots.noise_level import background_level, pixel_noise
from phaseloom.diffraction.spots.scale_search import Spots, find_blobs
from phaseloom.diffraction.spots.shape import SpotShape
from phaseloom.diffraction.spots.single_fits import SpotFits, fit_spots
from phaseloom.errors import InputError, InputWarning

Array = NDArray[np.float64]
Images = NDArray[np.float32]
Kind = Literal["auto", "gaussian", "disk"]

DEFAULT_SIGMA = 2.0
"""Of a Gaussian, in px, where the patterns show neither spots nor a direct beam."""

_ENOUGH = 5
"""Spots besides the direct beam that make it unneeded."""
_MOST_VALUES = 400_000
_WORTH = 10.0
"""Deviance by which disks must be the better model."""


def estimate_shape(
    patterns: ArrayLike,
    beam: ArrayLike,
    *,
    beam_radius: float = math.nan,
    kind: Kind = "auto",
) -> SpotShape:
    """Shape and size of the spots of a sample.

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

    Returns
    -------
    SpotShape

    Raises
    ------
    InputError
        Shapes do not fit, or an unknown kind.

    Warns
    -----
    InputWarning
        There are neither spots nor a direct beam.

    Notes
    -----
    First candidates are local maxima, over place and scale, of the differences of Gaussians of
    the patterns without their radial mean, in units of the noise. Spots are then found with that
    size and fitted with a free one on what their neighbours leave; the size is the weighted median.
    The direct beam counts where there are fewer than five other spots: it may be larger than they
    are, and saturated. Disks must be a better model than Gaussians by the sum of the deviances.
    """
    values = np.asarray(patterns, dtype=np.float32)
    centre = np.asarray(beam, dtype=np.float64)
    check_shapes(values, centre)
    if kind not in ("auto", "gaussian", "disk"):
        raise InputError(f"there are no spots of kind {kind!r}", "take auto, gaussian or disk")
    values = _without_clipped(values)
    noise = pixel_noise(values)
    fits, chosen, spots = _first_fits(values, centre, beam_radius, noise)
    if not chosen.any():
        return _fallback(beam_radius, kind)
    sigma = weighted_median(fits.size[chosen], fits.error[chosen])
    shape = _decided(values, spots.take(chosen), sigma, kind, noise)
    for _ in range(2):
        # What fills the pattern (a beam in a hollow of a subtracted background) is no spot.
        if 4 * shape.half > min(values.shape[1:]):
            return _fallback(beam_radius, kind)
        better = _refined(values, centre, shape, beam_radius, kind, noise)
        if better is None:
            break
        shape = better
    return shape


def weighted_median(size: Array, error: Array) -> float:
    """Median of sizes weighed by their information; no single one counts for much."""
    weight = 1 / (error**2 + 0.05**2)
    order = np.argsort(size)
    total = np.cumsum(weight[order])
    return float(np.interp(0.5 * total[-1], total - 0.5 * weight[order], size[order]))


def _fallback(beam_radius: float, kind: Kind) -> SpotShape:
    """The shape where patterns show no spots: from the direct beam, or the default."""
    beam_seen = math.isfinite(beam_radius) and beam_radius > 0
    sigma = min(max(beam_radius / 1.177, 0.7), 12.0) if beam_seen else DEFAULT_SIGMA
    warnings.warn(
        "no spot of the sampled patterns tells how large spots are; "
        + (f"the direct beam's sigma of {sigma:.2g} px" if beam_seen else f"{sigma:g} px")
        + " is taken: give sigma or radius if you know better",
        InputWarning,
        stacklevel=3,
    )
    if kind == "disk":
        radius = max(beam_radius if beam_seen else 2 * DEFAULT_SIGMA, 2.0)
        return SpotShape("disk", radius=radius, edge=max(0.5, 0.1 * radius))
    return SpotShape("gaussian", sigma=sigma)


def _without_clipped(values: Images) -> Images:
    """Missing where counts end at a ceiling: more pixels have the largest value than near it."""
    top = float(np.nanmax(values, initial=-np.inf, where=np.isfinite(values)))
    if not math.isfinite(top) or top <= 0:
        return values
    ceiling = np.count_nonzero(values == top)
    near = np.count_nonzero((values < top) & (values >= 0.8 * top))
    if ceiling < 8 or ceiling <= near or top < 30:
        return values
    return np.where(values == top, np.float32(np.nan), values)


def _first_fits(
    values: Images, beam: Array, beam_radius: float, noise: tuple[float, float]
) -> tuple[SpotFits, NDArray[np.bool_], Spots]:
    """Candidates of any size, fitted as Gaussians; which of them tell the size."""
    spots = find_blobs(values, beam, beam_radius, noise)
    spots = spots.take(_isolated_first(spots))
    fits = _fit(values, spots, np.maximum(spots.sigma, 0.7), "gaussian", noise)
    good = (fits.signal > 5) & (fits.error < 0.3) & (fits.size > 0.62)
    good &= (fits.size > 0.3 * spots.sigma) & (fits.size < 2.0 * spots.sigma)
    return fits, _without_beam(good, spots, beam, beam_radius), spots


def _without_beam(
    good: NDArray[np.bool_], spots: Spots, beam: Array, beam_radius: float
) -> NDArray[np.bool_]:
    """Leave the direct beam out where other spots are enough."""
    near = max(3 * beam_radius, 4.0) if math.isfinite(beam_radius) else 4.0
    away = np.hypot(spots.row - beam[spots.pattern, 0], spots.column - beam[spots.pattern, 1])
    others = good & (away > near)
    return others if np.count_nonzero(others) >= _ENOUGH else good


def _isolated_first(spots: Spots) -> NDArray[np.intp]:
    """Those without a neighbour if there are enough of them; strongest first."""
    from scipy.spatial import cKDTree

    if spots.row.size < 2:
        return np.arange(spots.row.size)
    tree = cKDTree(np.stack([spots.pattern * 1e6, spots.row, spots.column], axis=1))
    distance, _ = tree.query(tree.data, k=2)
    alone = distance[:, 1] > 6 * spots.sigma
    index = np.flatnonzero(alone) if np.count_nonzero(alone) >= 20 else np.arange(alone.size)
    return np.asarray(index[np.argsort(-spots.score[index], kind="stable")][:1500])


def _fit(
    values: Images,
    spots: Spots,
    size: Array,
    kind: Literal["gaussian", "disk"],
    noise: tuple[float, float],
    others: tuple[Spots, Array, SpotShape] | None = None,
) -> SpotFits:
    """Fit spots in windows that follow their size, groups of about the same size together."""
    group = np.round(2 * np.log2(np.maximum(size, 0.5))).astype(np.intp)
    m = size.size
    parts = [np.zeros((m, 2)), *(np.zeros(m) for _ in range(5))]
    parts[3][:] = np.inf
    for value in np.unique(group):
        index = np.flatnonzero(group == value)
        reach = 3.0 if kind == "gaussian" else 1.5
        half = max(4, math.ceil(reach * 2 ** (value / 2) + (3 if kind == "disk" else 0)))
        index = index[: max(20, _MOST_VALUES // (2 * half + 1) ** 2)]
        part = spots.take(index)
        windows, offset = _cut(values, part, half, others)
        fits = fit_spots(windows, offset, size[index], kind, noise)
        for whole, one in zip(parts, fits, strict=True):
            whole[index] = one
    return SpotFits(*parts)


def _windows(
    values: Images, pattern: NDArray[np.intp], middle: NDArray[np.intp], half: int
) -> Images:
    """(m, w, w) about whole pixels, NaN beyond the detector."""
    step = np.arange(-half, half + 1)
    rows = middle[:, 0, None, None] + step[:, None]
    columns = middle[:, 1, None, None] + step
    inside = (rows >= 0) & (rows < values.shape[1]) & (columns >= 0) & (columns < values.shape[2])
    rows, columns = (
        np.clip(a, 0, s - 1) for a, s in zip((rows, columns), values.shape[1:], strict=True)
    )
    return np.where(inside, values[pattern[:, None, None], rows, columns], np.float32(np.nan))


def _subtract_neighbours(
    windows: Images,
    spots: Spots,
    middle: NDArray[np.intp],
    half: int,
    every: Spots,
    height: Array,
    shape: SpotShape,
) -> None:
    """Take all other spots off, in place."""
    from scipy.spatial import cKDTree

    tree = cKDTree(np.stack([every.pattern * 1e6, every.row, every.column], axis=1))
    mine = np.stack([spots.pattern * 1e6, spots.row, spots.column], axis=1)
    reach = 1.5 * half + (4 * shape.sigma if shape.kind == "gaussian" else shape.radius)
    step = np.arange(-half, half + 1)
    for k, near in enumerate(tree.query_ball_point(mine, reach)):
        for j in near:
            dy = every.row[j] - spots.row[k]
            dx = every.column[j] - spots.column[k]
            if dy * dy + dx * dx < 1e-12:
                continue
            away = np.hypot(
                step[:, None] - (every.row[j] - middle[k, 0]),
                step - (every.column[j] - middle[k, 1]),
            )
            windows[k] -= (height[j] * shape.profile(away)).astype(np.float32)


def _decided(
    values: Images,
    spots: Spots,
    sigma: float,
    kind: Kind,
    noise: tuple[float, float],
    others: tuple[Spots, Array, SpotShape] | None = None,
) -> SpotShape:
    """Gaussians or disks: fit both in the same windows."""
    best = np.argsort(-spots.score, kind="stable")[:400]
    spots = spots.take(best)
    gaussian = disk = None
    if kind != "disk":
        gaussian = SpotShape("gaussian", sigma=min(max(sigma, 0.5), 20.0))
    if kind == "gaussian" and gaussian is not None:
        return gaussian
    radius = np.full(spots.row.size, max(1.9 * sigma, 1.5))
    fits = _fit(values, spots, radius, "disk", noise, others)
    good = (fits.signal > 5) & (fits.error < 0.2)
    if good.any():
        edge = weighted_median(fits.edge[good], fits.error[good])
        size = weighted_median(fits.size[good], fits.error[good])
        disk = SpotShape(
            "disk", radius=min(max(size, 2.0), 60.0), edge=min(max(edge, 0.2), max(size, 2.0))
        )
    if kind == "disk" or gaussian is None:
        if disk is None:
            return SpotShape("disk", radius=max(1.9 * sigma, 2.0), edge=max(0.5, 0.2 * sigma))
        return disk
    if disk is None or disk.edge > 0.45 * disk.radius or size < 2.0:
        return gaussian
    better = _better_as_disks(values, spots, gaussian, disk, noise, others)
    return disk if better else gaussian


def _better_as_disks(
    values: Images,
    spots: Spots,
    gaussian: SpotShape,
    disk: SpotShape,
    noise: tuple[float, float],
    others: tuple[Spots, Array, SpotShape] | None,
) -> bool:
    """Compare the likelihoods of two given shapes, height and place of every spot being free."""
    half = math.ceil(max(disk.radius + 3 * disk.edge, 3 * gaussian.sigma)) + 2
    part = spots.take(np.arange(min(spots.row.size, max(20, _MOST_VALUES // (2 * half + 1) ** 2))))
    windows, offset = _cut(values, part, half, others)
    size = np.ones(part.row.size)
    round_ones = fit_spots(windows, offset, gaussian.sigma * size, "gaussian", noise, fixed=0.0)
    disks = fit_spots(windows, offset, disk.radius * size, "disk", noise, fixed=disk.edge)
    both = (round_ones.signal > 0) & (disks.signal > 0)
    if not both.any():
        return False
    gain = (round_ones.deviance - disks.deviance)[both]
    # No few spots may decide for all.
    limit = max(5 * float(np.median(np.abs(gain))), 5.0)
    total = float(np.clip(gain, -limit, limit).sum())
    return total > _WORTH and bool(np.mean(gain > 0) > 0.5)


def _cut(
    values: Images,
    spots: Spots,
    half: int,
    others: tuple[Spots, Array, SpotShape] | None,
) -> tuple[Images, Array]:
    """Windows about spots without their neighbours, and where in them the spots are."""
    middle = np.stack([np.rint(spots.row), np.rint(spots.column)], axis=1).astype(np.intp)
    windows = _windows(values, spots.pattern, middle, half)
    if others is not None:
        _subtract_neighbours(windows, spots, middle, half, *others)
    return windows, np.stack([spots.row, spots.column], axis=1) - middle


def _refined(
    values: Images,
    beam: Array,
    shape: SpotShape,
    beam_radius: float,
    kind: Kind,
    noise: tuple[float, float],
) -> SpotShape | None:
    """The shape from spots found with a first one; None where too few are found."""
    from phaseloom.diffraction.detector.correction import Correction
    from phaseloom.diffraction.spots.finder import Finder, find_peaks

    gain, floor = noise
    level = max(background_level(values), 1e-3 * gain)
    finder = Finder(shape=shape, gain=gain, floor=floor, background=level)
    found = find_peaks(values, finder, Correction(np.ones(values.shape[1:], np.bool_)), beam)
    column = found.columns
    pattern = np.repeat(np.arange(len(values)), np.maximum(found.number, 0))
    width = np.full(pattern.size, shape.filter_sigma)
    every = Spots(pattern, column["row"], column["column"], width, column["score"])
    height = column["intensity"] / shape.volume
    strong = np.flatnonzero(every.score > 8)
    strong = strong[np.argsort(-every.score[strong], kind="stable")][:1500]
    spots = every.take(strong)
    inside = (np.minimum(spots.row, spots.column) > 2 * shape.half / 3) & (
        spots.row < values.shape[1] - 2 * shape.half / 3
    )
    inside &= spots.column < values.shape[2] - 2 * shape.half / 3
    chosen = _without_beam(inside, spots, beam, beam_radius)
    spots = spots.take(chosen)
    if spots.row.size == 0:
        return None
    others = (every, height, shape)
    fits = _fit(values, spots, width[: spots.row.size], "gaussian", noise, others)
    good = (fits.signal > 5) & (fits.error < 0.3) & (fits.size > 0.5)
    if not good.any():
        return None
    sigma = weighted_median(fits.size[good], fits.error[good])
    return _decided(values, spots.take(good), sigma, kind, noise, others)
