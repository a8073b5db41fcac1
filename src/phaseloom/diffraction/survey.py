"""Survey of a sample of patterns: unusable pixels, direct beam, spot size, noise."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.diffraction.beam.centring import Beam, beam_beside_gap, beam_of_sample
from phaseloom.diffraction.beam.wide_beam import with_saturated
from phaseloom.diffraction.detector.correction import (
    Correction,
    corrected,
    make_correction,
    with_background,
)
from phaseloom.diffraction.detector.neighbours import (
    Likeness,
    added,
    alike,
    cells,
    flat_background,
)
from phaseloom.diffraction.detector.sampling import sample_patterns, sample_size
from phaseloom.diffraction.options import Centring, DetectorCorrection, SpotSearch
from phaseloom.diffraction.spots.noise_level import estimate_noise
from phaseloom.diffraction.spots.subtracted import has_negative, subtracted_background
from phaseloom.errors import InputWarning

if TYPE_CHECKING:
    import xarray as xr

    from phaseloom.diffraction.spots.finder import Finder

_CELL = 2.5
"""Side of the cells in which patterns are compared, in sigmas of the spots."""


def survey_sample(
    scan: xr.Dataset,
    images: dict[str, NDArray[Any] | None],
    *,
    correction: DetectorCorrection,
    centring: Centring,
    search: SpotSearch,
    seed: int,
) -> tuple[Correction, Beam, Finder]:
    """Detector correction, direct beam and finder of a scan, from a sample of its patterns.

    Parameters
    ----------
    scan
        ``counts`` (y, x, ky, kx).
    images
        ``dark``, ``gain`` and ``mask`` (ky, kx), where there is one.
    correction, centring, search, seed
        As for :func:`phaseloom.diffraction.registration.register`.
    """
    from phaseloom.diffraction.spots.estimation import make_finder

    patterns, positions = sample_patterns(scan, sample_size(scan))
    detector = make_correction(
        patterns,
        **images,
        saturation=correction.saturation,
        hot=correction.hot,
        beam_stop=correction.beam_stop,
    )
    values = corrected(patterns, detector)
    if centring.centre == "auto":
        # A saturated beam is still the beam: masked, it would look like something in its way.
        seen = values
        if np.isfinite(detector.saturation):
            seen = with_saturated(patterns, detector)
        beam = beam_of_sample(seen, positions, seed=seed)
    else:
        row, column = centring.centre
        beam = Beam(row, column, ((0.0, 0.0), (0.0, 0.0)), math.nan, False, 0.0)
        fitted = beam_beside_gap(values, positions.astype(np.float64), beam)
        if fitted is not None:
            beam = replace(beam, radius=fitted.radius, profile=fitted.profile)
    if centring.descan == "none":
        middle = beam.at((scan.sizes["y"] - 1) / 2, (scan.sizes["x"] - 1) / 2)
        beam = replace(
            beam, row=float(middle[0]), column=float(middle[1]), slopes=((0.0, 0.0), (0.0, 0.0))
        )
    if correction.scan_mean:
        values = _mean_sample(scan, positions, detector)
    places = np.stack(beam.at(positions[:, 0], positions[:, 1]), axis=1)
    finder = make_finder(values, places, beam_radius=beam.radius, search=search)
    if search.threshold == "counts" and has_negative(values):
        subtracted = subtracted_background(values, places, finder.shape, guard=finder.guard_radius)
        if subtracted is not None:
            _warn_of_subtraction(smooth=subtracted.background is not None)
            if subtracted.background is not None:
                detector = with_background(detector, subtracted.background)
                added = values + subtracted.background
                finder = make_finder(added, places, beam_radius=beam.radius, search=search)
                gain, floor = estimate_noise(
                    added, places, finder.shape, guard=finder.guard_radius, counted=False
                )
                finder = replace(finder, gain=gain, floor=floor)
    return detector, beam, finder


def survey_neighbours(
    scan: xr.Dataset,
    radius: int,
    detector: Correction,
    beam: Beam,
    finder: Finder,
    search: SpotSearch,
) -> tuple[Finder, Likeness]:
    """How patterns of neighbouring positions are compared, and the finder for their sums.

    Parameters
    ----------
    scan
        ``counts`` (y, x, ky, kx).
    radius
        Scan positions up to which neighbours are added.
    detector, beam, finder
        From :func:`survey_sample`, for single patterns.
    search
        Options of the finder.

    Returns
    -------
    finder : Finder
        With the spots' shape as the sums of the sample show it; gain and floor, and the
        background, are those of single patterns.
    likeness : Likeness
        For :func:`phaseloom.diffraction.detector.neighbours.alike`.
    """
    from phaseloom.diffraction.spots.estimation import make_finder

    patterns, positions = sample_patterns(scan, sample_size(scan))
    likeness = _likeness(scan, radius, corrected(patterns, detector), detector, beam, finder)
    sums = []
    for position in positions:
        around, inner = _surroundings(scan, position, radius)
        values = corrected(around.reshape(-1, *around.shape[2:]), detector).reshape(around.shape)
        chosen = alike(cells(values, likeness.cell, likeness.used), likeness, inner)
        sums.append(added(values, chosen, likeness, inner)[0][0, 0])
    places = np.stack(beam.at(positions[:, 0], positions[:, 1]), axis=1)
    of_sums = make_finder(np.stack(sums), places, beam_radius=beam.radius, search=search)
    return replace(finder, shape=of_sums.shape, guard=of_sums.guard), likeness


def _likeness(
    scan: xr.Dataset,
    radius: int,
    values: NDArray[np.float32],
    detector: Correction,
    beam: Beam,
    finder: Finder,
) -> Likeness:
    """Likeness for cells of the size of a spot, outside of the beam wherever it is on the scan."""
    shape = values.shape[1:]
    cell = max(1, min(round(_CELL * finder.shape.filter_sigma), min(shape) // 8))
    y, x = np.meshgrid((0, scan.sizes["y"] - 1), (0, scan.sizes["x"] - 1))
    corners = np.stack(beam.at(y.ravel(), x.ravel()))
    centre = corners.mean(axis=1)
    moved = float(np.hypot(*(corners - centre[:, None])).max())
    row, column = np.indices(shape)
    outside = np.hypot(row - centre[0], column - centre[1]) > finder.guard_radius + cell + moved
    used = detector.mask & outside
    mean = cells(values, cell, used).mean(axis=0, dtype=np.float64)
    background = flat_background(mean, cell, used, (float(centre[0]), float(centre[1])))
    return Likeness(radius, cell, used, background, gain=finder.gain, floor=finder.floor)


def _surroundings(
    scan: xr.Dataset, position: NDArray[np.intp], reach: int
) -> tuple[NDArray[Any], tuple[slice, slice]]:
    """Patterns (y, x, ky, kx) about a position, and where it is among them."""
    y, x = (int(place) for place in position)
    top, left = max(0, y - reach), max(0, x - reach)
    near = scan["counts"].data[top : y + reach + 1, left : x + reach + 1]
    if hasattr(near, "dask"):
        near = near.compute(scheduler="synchronous")
    return np.asarray(near), (slice(y - top, y - top + 1), slice(x - left, x - left + 1))


def _warn_of_subtraction(*, smooth: bool) -> None:
    """Warn that the noise is not that of counts."""
    what_follows = (
        "it is measured about the direct beam instead, and the threshold with it"
        if smooth
        else "the subtraction left hollows about spots, and there may be many more false spots "
        "than stated: give the patterns as recorded"
    )
    warnings.warn(
        "a background was subtracted from these patterns: their noise is not that of counts; "
        + what_follows,
        InputWarning,
        stacklevel=3,
    )


def _mean_sample(
    scan: xr.Dataset, positions: NDArray[np.intp], correction: Correction
) -> NDArray[np.float32]:
    """Means over 3×3 positions round the sample's."""
    counts = scan["counts"].data
    means = []
    for y, x in positions:
        near = counts[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        if hasattr(near, "dask"):
            near = near.compute(scheduler="synchronous")
        raw = np.asarray(near)
        with warnings.catch_warnings():
            # A pixel that is unusable in all nine is so in their mean.
            warnings.simplefilter("ignore", RuntimeWarning)
            means.append(np.nanmean(corrected(raw.reshape(-1, *raw.shape[2:]), correction), axis=0))
    return np.stack(means).astype(np.float32)
