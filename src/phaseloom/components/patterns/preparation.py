"""Preparation of a scan for factorisation: patterns resized, aligned, direct beam masked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.components.options import PatternOptions, Patterns
from phaseloom.components.patterns.matrix import Prepared
from phaseloom.components.patterns.pattern_blocks import (
    Canvas,
    canvas_of,
    count_blocks,
    detector_of,
    spot_blocks,
)
from phaseloom.compute.execution import Execution
from phaseloom.compute.keywords import takes_options
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from phaseloom.components.patterns.sample import Sample

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_FEWEST = 4
"""Positions of a scan."""

_SMALLEST = 11
"""Rows or columns of a pattern: the window of its structural similarity (SSIM)."""

_SIGMA = 1.5
"""Of a drawn spot in px of the resized pattern, at least."""

_ERRORS = 5.0
"""A drawn spot's sigma is at least so many standard errors of its position: two drawings of one
spot then share 1 − (σ_error/σ)² = 96 % of their energy."""

_BEAM = 3.0
"""Sigmas of the direct beam, or of its edge beyond the radius of a disc, that are masked."""

_HALF_WIDTH = math.sqrt(2 * math.log(2))
"""Radius at half maximum of a Gaussian, over its sigma."""

_DRIFT = 0.5
"""Px of the resized pattern by which the direct beam may move before patterns are aligned."""

_NEAR = 1.5
"""Px of the resized pattern around a peak, at least, that belong to it."""

_SHARE, _LEAST = 1 / 2000, 3
"""Share of the positions, and their number, that show a peak at a pixel at least."""


@takes_options(preparation=PatternOptions)
def prepare(
    source: Any,
    *,
    seed: int = 0,
    preparation: PatternOptions,
    execution: Execution,
) -> Prepared:
    """The matrix of a scan, one row per position, one column per pixel, loaded by blocks.

    ``raw`` patterns are the counts as measured. ``mean`` patterns are their mean over 3×3
    neighbouring positions, at the rim over those there are. ``peaks``: the counts as measured, but
    only of pixels where at least three positions (and 1 in 2000) have a registered peak.
    ``registered`` patterns are drawn from the registered peaks, each a Gaussian of at least 1.5 px
    that holds its integrated counts: no background, no noise between the spots. A scan is
    registered first, with the defaults of :func:`phaseloom.diffraction.register`.

    Parameters
    ----------
    source
        A scan, or whatever :func:`phaseloom.io.as_scan` makes one of; for "registered" also
        :class:`phaseloom.diffraction.Peaks` or a dataset of them (group ``/peaks``).
    seed
        Same seed, same result.
    **options
        Of the patterns, and how a registration is carried out. With a ``mask_radius`` of 0
        nothing is left out, and drawn patterns have their direct beam.

    Returns
    -------
    Prepared
        ``attrs``: ``patterns``, ``size`` (longer side), ``binning`` (detector px per pixel),
        ``mask_radius`` (detector px), ``centre`` (row, column of the direct beam, px),
        ``aligned`` (1: patterns were shifted to one place of the direct beam), ``length_units``,
        ``reciprocal_units``, and where known ``pixel_size`` (Å⁻¹ per pixel), ``voltage``,
        ``precession_angle``; ``sigma`` (px) of drawn spots. Coordinates ``ky``, ``kx`` are 0 at
        the direct beam, in Å⁻¹ or in px of the resized pattern.

    Raises
    ------
    InputError
        An option is out of bounds, the scan has fewer than four positions, its patterns are all
        empty, flat or the same, or nothing is left of them. Intensities that are negative or NaN
        are found when the blocks are loaded.

    Notes
    -----
    Pixels of the resized pattern are squares, ``binning`` detector px wide, whatever that number
    is: a detector pixel on an edge is shared by area. Sums stay counts, so their noise is still
    Poisson's. Nothing is enlarged, cropped or padded: the last row and column of the shorter side
    may see less than a whole pixel.

    Where the direct beam moves over the scan by more than half a resized pixel, measured patterns
    are shifted by the plane fitted to it, in the same step (a linear interpolation); pixels that
    leave the detector, or cross a gap, on the way are not used. By default the direct beam is left
    out as far as it has fallen to 1 % of its height (drawn patterns: to three sizes of a
    registered spot). Hot and dead pixels are replaced by the mean of their neighbours.
    """
    import xarray as xr

    if isinstance(source, xr.Dataset) and "offset" in source:
        source = Peaks(source)
    size, mask_radius = preparation.size, preparation.mask_radius
    default: Patterns = "registered" if isinstance(source, Peaks) else "raw"
    patterns = preparation.patterns or default
    if isinstance(source, Peaks):
        if patterns != "registered":
            raise InputError(
                f"{patterns} patterns cannot be made of peaks alone",
                "give the scan, or take registered patterns",
            )
        _check_shape(source.shape, source.detector_shape, size)
        return _drawn(source, size, mask_radius)
    from phaseloom.components.patterns.sample import sample_of, with_beam
    from phaseloom.io.scans import as_scan

    scan = as_scan(source)
    detector = scan.sizes["ky"], scan.sizes["kx"]
    _check_shape((scan.sizes["y"], scan.sizes["x"]), detector, size)
    sample = sample_of(scan)
    peaks = None
    if patterns in ("registered", "peaks"):
        from phaseloom.diffraction.registration import register

        data = register(scan, seed=seed, execution=execution)
        data.attrs |= _beam_attributes(scan)
        peaks = Peaks(data)
        if patterns == "registered":
            return _drawn(peaks, size, mask_radius)
    return _measured(scan, with_beam(sample, scan, peaks, seed), peaks, patterns, size, mask_radius)


def _check_shape(scan: tuple[int, int], detector: tuple[int, int], size: int) -> None:
    if scan[0] * scan[1] < _FEWEST:
        raise InputError(
            f"a scan of {scan[0]}×{scan[1]} positions is too small to find components in",
            f"give at least {_FEWEST} positions, better hundreds",
        )
    if min(detector) < _SMALLEST:
        raise InputError(
            f"patterns of {detector[0]}×{detector[1]} px are too small",
            "check whether the axes of scan and detector are in the right order",
        )
    rows, columns = canvas_of(detector, size).shape
    if min(rows, columns) < _SMALLEST:
        raise InputError(
            f"patterns of {detector[0]}×{detector[1]} px are too small when resized to "
            f"{rows}×{columns}",
            "give a larger size",
        )


def _beam_attributes(scan: xr.Dataset) -> dict[str, float]:
    """Voltage and precession angle, where they are known."""
    names = ("voltage", "precession_angle")
    return {name: float(scan.attrs[name]) for name in names if scan.attrs.get(name) is not None}


def _drawn(peaks: Peaks, size: int, mask_radius: float | None) -> Prepared:
    """Patterns drawn from the peaks that are no direct beam."""
    canvas = canvas_of(peaks.detector_shape, size)
    radius = _spot_extent(peaks) if mask_radius is None else float(mask_radius)
    centre = canvas.shape[0] // 2, canvas.shape[1] // 2
    pixels = _outside(canvas, centre, radius, np.ones(canvas.shape, dtype=bool))
    ky, kx, counts = (
        peaks.data[c].to_numpy().astype(np.float64) for c in ("ky", "kx", "intensity")
    )
    beside = np.isfinite(ky + kx + counts) & (counts > 0)
    if radius:
        beside &= np.hypot(ky, kx) > radius * peaks.pixel_size
    spots = peaks.select(beside)
    if not len(spots):
        raise InputError(
            "no pattern has a peak beside the direct beam",
            "check the peaks and their threshold, or take raw patterns",
        )
    sigma = max(_SIGMA, _ERRORS * _place_error(spots) / canvas.factor)
    calibrated = peaks.units != "px"
    return _prepared(
        spot_blocks(spots, canvas, pixels, sigma=sigma),
        peaks.data, canvas, pixels, centre, peaks.pixel_size if calibrated else None,
        scan_shape=peaks.shape,
        attrs={"patterns": "registered", "mask_radius": radius, "aligned": 1, "sigma": sigma},
    )  # fmt: skip


def _measured(
    scan: xr.Dataset,
    sample: Sample,
    peaks: Peaks | None,
    patterns: str,
    size: int,
    mask_radius: float | None,
) -> Prepared:
    """Patterns as measured; with `peaks`, only where there are peaks."""
    canvas = canvas_of((scan.sizes["ky"], scan.sizes["kx"]), size)
    detector = detector_of(sample.correction, canvas)
    middle = sample.centre.mean(axis=(0, 1))
    shift = sample.centre - middle
    moved = np.abs(shift).max(axis=(0, 1))
    aligned = bool((np.ptp(shift, axis=(0, 1)) > _DRIFT * canvas.factor).any())
    if not aligned:
        shift, moved = np.zeros_like(shift), np.zeros(2)
    radius = sample.beam_extent() if mask_radius is None else float(mask_radius)
    row, column = canvas.place(middle)
    centre = float(row), float(column)
    pixels = _outside(canvas, centre, radius, detector.constant(moved))
    if peaks is not None:
        pixels &= _peak_pixels(peaks, canvas, middle, radius)
    if not pixels.any():
        raise InputError(
            "no pixel of the patterns is left to use",
            "check the peaks and the radius of the mask, or take raw patterns",
        )
    units = {str(scan[axis].attrs.get("units", "px")) for axis in ("ky", "kx")}
    step = abs(float(scan["kx"][-1] - scan["kx"][0])) / (scan.sizes["kx"] - 1)
    return _prepared(
        count_blocks(scan, detector, pixels, shift - 0.5, mean=patterns == "mean"),
        scan, canvas, pixels, centre, None if "px" in units else step,
        scan_shape=(scan.sizes["y"], scan.sizes["x"]),
        attrs={"patterns": patterns, "mask_radius": radius, "aligned": int(aligned)},
    )  # fmt: skip


def _prepared(
    blocks: Any,
    scan: xr.Dataset,
    canvas: Canvas,
    pixels: Mask,
    centre: tuple[float, float],
    pixel_size: float | None,
    *,
    scan_shape: tuple[int, int],
    attrs: dict[str, Any],
) -> Prepared:
    """The matrix with its coordinates; `pixel_size` is in Å⁻¹ per detector px, if known."""
    scale = {} if pixel_size is None else {"pixel_size": pixel_size * canvas.factor}
    y, x = (
        scan[axis].to_numpy().astype(np.float64) if axis in scan.coords else np.arange(float(n))
        for axis, n in zip(("y", "x"), scan_shape, strict=True)
    )
    ky, kx = (
        (np.arange(n, dtype=np.float64) - at) * scale.get("pixel_size", 1.0)
        for n, at in zip(canvas.shape, centre, strict=True)
    )
    length = str(scan["y"].attrs.get("units", "px")) if "y" in scan.coords else "px"
    attrs |= {
        "size": max(canvas.shape),
        "binning": canvas.factor,
        "centre": centre,
        "length_units": length,
        "reciprocal_units": "Å⁻¹" if scale else "px",
    }
    return Prepared(
        blocks, scan_shape, pixels, y, x, ky, kx, attrs | scale | _beam_attributes(scan)
    )


def _outside(canvas: Canvas, centre: tuple[float, float], radius: float, pixels: Mask) -> Mask:
    """The pixels outside the mask around the direct beam."""
    if radius == 0:
        return pixels
    rows, columns = np.indices(canvas.shape)
    away = np.hypot(rows - centre[0], columns - centre[1])
    outside: Mask = pixels & (away > radius / canvas.factor + 0.5)
    if not outside.any():
        raise InputError(
            f"a mask of {radius:g} px leaves no pixel of the patterns", "give a smaller radius"
        )
    return outside


def _spot(peaks: Peaks) -> tuple[float, float]:
    """Radius of a spot's disc (0 of a Gaussian) and sigma of its edge, px of the detector."""
    attrs = peaks.data.attrs
    if "spot_radius" in attrs:
        return float(attrs["spot_radius"]), float(attrs.get("spot_edge", 1.0))
    return 0.0, float(attrs.get("spot_sigma", 2.0))


def _spot_extent(peaks: Peaks) -> float:
    """Radius that the direct beam fills, px of the detector; 0 where a beam stop hides it."""
    attrs = peaks.data.attrs
    if attrs.get("beam_hidden"):
        return 0.0
    radius, sigma = _spot(peaks)
    half = float(attrs.get("beam_radius") or math.nan)
    if math.isfinite(half):
        # It may be wider than the spots.
        radius, sigma = (
            (max(radius, half), sigma) if radius else (0.0, max(sigma, half / _HALF_WIDTH))
        )
    return radius + _BEAM * sigma


def _place_error(peaks: Peaks) -> float:
    """Standard error of a spot's coordinate that half of the spots stay under, px; 0 if unknown."""
    if "ky_error" not in peaks.data:
        return 0.0
    errors = np.hypot(*(peaks.data[c].to_numpy() for c in ("ky_error", "kx_error")))
    errors = errors[np.isfinite(errors)] / (math.sqrt(2) * peaks.pixel_size)
    return float(np.median(errors)) if errors.size else 0.0


def _peak_pixels(peaks: Peaks, canvas: Canvas, middle: Array, radius: float) -> Mask:
    """Pixels at which enough positions of the scan have a peak beside the direct beam."""
    from scipy.ndimage import convolve

    centre = np.stack([peaks.data[c].to_numpy().ravel() for c in ("centre_y", "centre_x")])
    away = np.stack(peaks.on_detector()) - centre[:, peaks.position]
    beside = away[:, np.hypot(*away) > radius]
    rows, columns = np.rint(canvas.place(middle[:, None] + beside)).astype(np.intp)
    number, shape = np.zeros(canvas.shape, dtype=np.int64), canvas.shape
    inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    np.add.at(number, (rows[inside], columns[inside]), 1)
    disc, sigma = _spot(peaks)
    reach = max(_NEAR, (disc or 1.5 * sigma) / canvas.factor)
    steps = np.arange(-int(reach), int(reach) + 1)
    near = np.hypot(*np.meshgrid(steps, steps)) <= reach
    positions = peaks.offset.size - 1
    enough = max(_LEAST, math.ceil(_SHARE * positions))
    return np.asarray(convolve(number, near.astype(np.int64), mode="constant") >= enough)
