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
from phaseloom.diffraction.detector.sampling import sample_patterns, sample_size
from phaseloom.diffraction.options import Centring, DetectorCorrection, SpotSearch
from phaseloom.diffraction.spots.noise_level import estimate_noise
from phaseloom.diffraction.spots.subtracted import has_negative, subtracted_background
from phaseloom.errors import InputWarning

if TYPE_CHECKING:
    import xarray as xr

    from phaseloom.diffraction.spots.finder import Finder


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
