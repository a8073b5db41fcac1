"""Filters of the peak table: weak peaks, regions, hot pixels, amorphous rings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from phaseloom.compute.keywords import takes_options
from phaseloom.diffraction.options import PeakSelection
from phaseloom.diffraction.peaks.virtual import inside, spot_count, spot_sum

if TYPE_CHECKING:
    import xarray as xr

    from phaseloom.diffraction.peaks.table import Peaks
    from phaseloom.diffraction.peaks.virtual import Region

_BEAM = 3.0
_FEWEST = 8
_SIGNIFICANT = 6.0
_STILL, _PERHAPS_STILL = 0.25, 0.5
_SHARP = 1.5
_SECTORS = 24
_RINGS = 64
_DENSE = 2.0
_UNEVEN = 0.1


@takes_options(selection=PeakSelection)
def filter_peaks(
    peaks: Peaks,
    *,
    keep: Region | None = None,
    remove: Region | None = None,
    hot: bool = False,
    selection: PeakSelection,
) -> Peaks:
    """The peaks that pass all conditions given; without any, all of them.

    Parameters
    ----------
    peaks
        The peak table.
    keep, remove
        Regions of reciprocal space, see :func:`phaseloom.diffraction.peaks.virtual.inside`: only
        peaks within the one, and none within the other.
    hot
        Remove the peaks of the hot pixels that :func:`hot_positions` is sure of.
    **options

    Returns
    -------
    Peaks
        The same scan; its maps ``spot_sum`` and ``spot_count`` are those of the peaks left.
    """
    data = peaks.data
    chosen = np.ones(len(peaks), dtype=bool)
    k = np.hypot(data["ky"].to_numpy(), data["kx"].to_numpy())
    with np.errstate(divide="ignore", invalid="ignore"):
        significance = data["intensity"].to_numpy() / data["intensity_error"].to_numpy()
    for values, least in (
        (k, selection.k_min),
        (data["intensity"].to_numpy(), selection.intensity_min),
        (data["peak_prominence"].to_numpy(), selection.prominence_min),
        (significance, selection.significance_min),
    ):
        if least is not None:
            chosen &= values >= least
    if selection.k_max is not None:
        chosen &= k <= selection.k_max
    if keep is not None:
        chosen &= inside(peaks, keep)
    if remove is not None:
        chosen &= ~inside(peaks, remove)
    if hot:
        pixels = hot_positions(peaks)
        pixels = pixels.isel(candidate=np.flatnonzero(pixels["verdict"].to_numpy() == "hot"))
        chosen &= _window(peaks, pixels["row"].to_numpy(), pixels["column"].to_numpy())[0] < 0
    left = peaks.select(chosen)
    for name, measure in (("spot_sum", spot_sum), ("spot_count", spot_count)):
        if name in left.data:
            old = left.data[name]
            new = measure(left).to_numpy()
            if old.dtype.kind == "i":
                new = np.where(np.isnan(new), -1, new)
            left.data[name] = (old.dims, new.astype(old.dtype), old.attrs)
    return left


def hot_positions(peaks: Peaks) -> xr.Dataset:
    """Detector positions with far more peaks than around them: hot pixels or reflections.

    Both a hot pixel and a reflection of a single crystal bring peaks at one place of the
    detector again and again. What tells them apart: a hot pixel stays on its pixel while the
    direct beam wanders (descan), a reflection follows the beam. Where the beam stands still,
    a hot pixel's peaks sit in the middle of a pixel, scatter far less than the standard errors of
    spots of that intensity say, and are sharper (more prominence per intensity) than spots
    are. Peaks within 3 px of the direct beam are never looked at.

    Parameters
    ----------
    peaks
        The peak table, as found (errors and prominence are needed).

    Returns
    -------
    xarray.Dataset
        On ``candidate``, most peaks first: ``row``, ``column`` (px); ``count`` peaks within one
        pixel and ``expected`` from the neighbourhood, per pixel; robust standard deviations in px
        of the place on the detector (``spread``), of the vector from the direct beam
        (``spread_from_beam``) and of the direct beam itself (``descan``); ``error``, the median
        standard error; ``sharpness``, prominence per intensity relative to all peaks; and
        ``verdict``: "hot", "reflection", or "undecided" where the two cannot be told apart.
    """
    import xarray as xr

    rows, columns, expected = _crowded(peaks)
    owner, y, x = _window(peaks, rows, columns)
    order = np.flatnonzero(owner >= 0)
    group, n = owner[order], rows.size
    beam = [
        peaks.data[c].to_numpy().ravel()[peaks.position[order]].astype(np.float64)
        for c in ("centre_y", "centre_x")
    ]
    place = [v[order] for v in (y, x)]
    data = {
        c: peaks.data[c].to_numpy().astype(np.float64)
        for c in peaks.data
        if "peak" in peaks.data[c].dims
    }
    with np.errstate(divide="ignore", invalid="ignore"):
        sharp = data["peak_prominence"] / data["intensity"]
    usual = np.nanmedian(sharp[_aside(peaks)]) if n else np.nan
    error = np.sqrt((data["ky_error"] ** 2 + data["kx_error"] ** 2) / 2) / peaks.pixel_size
    measures = {
        "count": np.bincount(group, minlength=n),
        "expected": expected,
        "spread": _spread(place, group, n),
        "spread_from_beam": _spread([p - b for p, b in zip(place, beam, strict=True)], group, n),
        "descan": _spread(beam, group, n),
        "error": _medians(error[order], group, n),
        "sharpness": _medians(sharp[order], group, n) / usual,
    }
    off = [_medians(p - at[group], group, n) for p, at in zip(place, (rows, columns), strict=True)]
    slack = 0.1 + 1.25 * measures["spread"] / np.sqrt(np.maximum(1, measures["count"]))
    central = np.maximum(*np.abs(off)) <= slack
    moves = measures["descan"] > 3 * np.maximum(measures["error"], 0.05)
    stays = measures["spread"] < 0.5 * measures["spread_from_beam"]
    follows = measures["spread_from_beam"] < 0.5 * measures["spread"]
    still = measures["spread"] < _STILL * measures["error"]
    perhaps = measures["spread"] < _PERHAPS_STILL * measures["error"]
    sharper = measures["sharpness"] > _SHARP
    verdict = np.select(
        [moves & stays, moves & follows, moves, central & (still | sharper), still | perhaps],
        ["hot", "reflection", "undecided", "hot", "undecided"],
        "reflection",
    )
    table = {"row": rows, "column": columns} | measures | {"verdict": verdict}
    result = xr.Dataset({c: ("candidate", v) for c, v in table.items()})
    return result.isel(candidate=np.argsort(-measures["count"], kind="stable"))


def amorphous_ring(peaks: Peaks) -> list[tuple[float, float]]:
    """Amorphous rings: annuli full of weak peaks at all azimuths alike; nothing is removed.

    Of the weaker half of the peaks, the density over annuli of the largest circle on the
    detector is compared with its median, and their counts over 24 sectors with each other: an
    annulus counts when its density is at least twice the median (and by six standard deviations
    of counting), and its sectors differ, beyond counting noise, by less than a variance of 0.1 of
    the squared mean. A powder of very many small crystals looks the same: which one it is, the
    table cannot tell.

    Parameters
    ----------
    peaks
        The peak table.

    Returns
    -------
    list of (float, float)
        (k_min, k_max) in the unit of the table, to be given as ``remove`` to
        :func:`filter_peaks`; empty when there is no such annulus.
    """
    data = peaks.data
    ky, kx, intensity = (data[c].to_numpy().astype(np.float64) for c in ("ky", "kx", "intensity"))
    radius = _largest_circle(peaks)
    aside = _aside(peaks) & np.isfinite(intensity)
    if not aside.any() or radius < 8:
        return []
    weak = aside & (intensity <= np.median(intensity[aside]))
    rings = int(min(_RINGS, radius / 2))
    width = radius * peaks.pixel_size / rings
    ring = (np.hypot(ky, kx)[weak] / width).astype(np.int64)
    sector = np.floor((np.arctan2(ky, kx)[weak] / (2 * np.pi) + 0.5) * _SECTORS).astype(np.int64)
    within = ring < rings
    flat = ring[within] * _SECTORS + np.minimum(sector[within], _SECTORS - 1)
    counts = np.bincount(flat, minlength=rings * _SECTORS).reshape(rings, _SECTORS)
    total = counts.sum(1)
    area = 2.0 * np.arange(rings) + 1
    usual = np.median(total / area) * area
    dense = (total > _DENSE * usual) & (total - usual > _SIGNIFICANT * np.sqrt(usual + 1))
    mean = total / _SECTORS
    with np.errstate(divide="ignore", invalid="ignore"):
        uneven = (counts.var(1, ddof=1) - mean) / mean**2
    full = dense & (mean >= 4) & (uneven < _UNEVEN)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], full, [False]])))
    return [(float(first * width), float(last * width)) for first, last in edges.reshape(-1, 2)]


def _aside(peaks: Peaks) -> NDArray[np.bool_]:
    """Peaks that are not the direct beam."""
    k = np.hypot(peaks.data["ky"].to_numpy(), peaks.data["kx"].to_numpy())
    return np.asarray(k > _BEAM * peaks.pixel_size, dtype=bool)


def _crowded(
    peaks: Peaks,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Pixels with far more peaks than the ring around them has, and what the ring has."""
    from scipy.ndimage import maximum_filter, uniform_filter

    height, width = peaks.detector_shape
    y, x = peaks.on_detector()
    on_detector = _aside(peaks) & (y > -0.5) & (y < height - 0.5) & (x > -0.5) & (x < width - 0.5)
    flat = np.rint(y[on_detector]).astype(np.int64) * width + np.rint(x[on_detector]).astype(
        np.int64
    )
    counts = np.bincount(flat, minlength=height * width).reshape(height, width).astype(np.float64)
    wide, narrow = (uniform_filter(counts, n, mode="nearest") for n in (7, 3))
    ring = np.maximum((49 * wide - 9 * narrow) / 40, 0)
    many = counts > ring + _SIGNIFICANT * np.sqrt(ring) + _FEWEST
    rows, columns = np.nonzero(many & (counts == maximum_filter(counts, 3)))
    return rows, columns, ring[rows, columns]


def _window(
    peaks: Peaks, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """For every peak the pixel of the list that it lies within one px of, or −1; its place."""
    height, width = peaks.detector_shape
    y, x = peaks.on_detector()
    owners = np.full((height + 4, width + 4), -1, dtype=np.int64)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            owners[rows + 2 + dy, columns + 2 + dx] = np.arange(rows.size)
    # The pixel itself goes to its own candidate, whoever else claims it.
    owners[rows + 2, columns + 2] = np.arange(rows.size)
    placed = _aside(peaks) & np.isfinite(y) & np.isfinite(x)
    i = np.clip(np.rint(np.where(placed, y, -2)) + 2, 0, height + 3).astype(np.int64)
    j = np.clip(np.rint(np.where(placed, x, -2)) + 2, 0, width + 3).astype(np.int64)
    owner = np.where(placed, owners[i, j], -1)
    if rows.size:
        far = (y - rows[owner]) ** 2 + (x - columns[owner]) ** 2 > 1
        owner[far | (owner < 0)] = -1
    return owner, y, x


def _medians(values: NDArray[np.float64], group: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """Median of the values of every group; NaN for a group without any."""
    order = np.lexsort((values, group))
    counts = np.bincount(group, minlength=n)
    first = np.cumsum(counts) - counts
    medians = np.full(n, np.nan)
    some = counts > 0
    low = values[order][(first + (counts - 1) // 2)[some]]
    high = values[order][(first + counts // 2)[some]]
    medians[some] = (low + high) / 2
    return medians


def _spread(
    places: list[NDArray[np.float64]], group: NDArray[np.int64], n: int
) -> NDArray[np.float64]:
    """Robust standard deviation per axis (1.4826 median deviations, root mean square of both)."""
    squares = [
        (1.4826 * _medians(np.abs(p - _medians(p, group, n)[group]), group, n)) ** 2 for p in places
    ]
    spread: NDArray[np.float64] = np.sqrt(np.mean(squares, axis=0))
    return spread


def _largest_circle(peaks: Peaks) -> float:
    """Radius in px of the largest circle around the direct beam that stays on the detector."""
    centre = [peaks.data[c].to_numpy() for c in ("centre_y", "centre_x")]
    if not np.isfinite(centre[0]).any():
        return 0.0
    sides = [
        s
        for at, n in zip(centre, peaks.detector_shape, strict=True)
        for s in (np.nanmedian(at), n - 1 - np.nanmedian(at))
    ]
    return float(min(sides))
