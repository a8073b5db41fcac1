"""Sample of the patterns of a scan: usable pixels, position and radius of the direct beam."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from phaseloom.diffraction.detector.correction import Correction
    from phaseloom.diffraction.peaks.table import Peaks

Array = NDArray[np.float64]

_FALLEN = 0.01
"""Part of its height above its surroundings at which the direct beam has ended."""

_WIDEST = 3.0
"""Radii at half maximum beyond which nothing is the direct beam: a Gaussian has ended at 2.6."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A sample of the patterns of a scan.

    Parameters
    ----------
    patterns
        (n, ky, kx), as stored.
    positions
        (n, 2) scan indices.
    correction
        Which pixels can be used.
    centre
        (y, x, 2) direct beam on the detector at every position of the scan, px.
    beam_radius
        Radius of the direct beam at half maximum, px; NaN where it is not seen.
    """

    patterns: NDArray[Any]
    positions: NDArray[np.intp]
    correction: Correction
    centre: Array
    beam_radius: float = math.nan

    def beam_extent(self) -> float:
        """Radius in px at which the mean direct beam has fallen to 1 % above its surroundings.

        0 where it is not seen.
        """
        if not math.isfinite(self.beam_radius):
            return 0.0
        from phaseloom.diffraction.beam.centre_of_mass import window_values
        from phaseloom.diffraction.beam.wide_beam import with_saturated

        values = with_saturated(self.patterns, self.correction)
        centres = self.centre[tuple(self.positions.T)]
        every = np.arange(len(values))
        reach = (_WIDEST + 1) * self.beam_radius + 3
        counts, rows, columns, weight = window_values(values, every, centres, reach)
        away = np.hypot(rows - centres[:, :1, None], columns - centres[:, 1:, None])
        ring = np.rint(away).astype(np.intp).ravel()
        number = np.bincount(ring, weight.ravel())
        profile = np.bincount(ring, (counts * weight).ravel()) / np.maximum(number, 1e-9)
        profile = profile[: int(reach)]
        over = profile - profile[number[: profile.size] > 0].min()
        radius = np.arange(profile.size)
        most = _WIDEST * self.beam_radius + 1
        ended = (radius > self.beam_radius) & ((over < _FALLEN * over.max()) | (radius > most))
        return float(radius[ended][0]) if ended.any() else float(most)


def sample_of(scan: xr.Dataset) -> Sample:
    """An evenly spread sample of the patterns of a scan, and its usable pixels.

    Raises
    ------
    InputError
        They are all empty, flat or the same.
    """
    from phaseloom.diffraction.detector.correction import corrected, make_correction
    from phaseloom.diffraction.detector.sampling import sample_patterns, sample_size

    patterns, positions = sample_patterns(scan, sample_size(scan))
    correction = make_correction(patterns)
    values = corrected(patterns, correction)
    # A pixel that is negative or NaN in all patterns measures nothing.
    mask = correction.mask & (values >= 0).any(axis=0)
    if not mask.any():
        raise InputError("no pixel of the patterns holds a count", "check how they were stored")
    seen = values[:, mask]
    if not (np.fmax.reduce(seen, axis=1) > np.fmin.reduce(seen, axis=1)).any():
        raise InputError("the patterns are empty or flat", "check whether the beam was on")
    if len(seen) > 1 and bool((seen == seen[0]).all()):
        raise InputError(
            "the patterns are all the same", "components need patterns that differ over the scan"
        )
    unknown = np.full((scan.sizes["y"], scan.sizes["x"], 2), np.nan)
    return Sample(patterns, positions, replace(correction, mask=mask), unknown)


def with_beam(sample: Sample, scan: xr.Dataset, peaks: Peaks | None, seed: int) -> Sample:
    """The sample with the direct beam, from the registration or found in the sample."""
    if peaks is not None:
        centre = [peaks.data[c].to_numpy().astype(np.float64) for c in ("centre_y", "centre_x")]
        radius = peaks.data.attrs.get("beam_radius")
        radius = (
            math.nan if radius is None or peaks.data.attrs.get("beam_hidden") else float(radius)
        )
        return replace(sample, centre=np.stack(centre, axis=-1), beam_radius=radius)
    from phaseloom.diffraction.beam.centring import beam_of_sample
    from phaseloom.diffraction.beam.wide_beam import with_saturated

    seen = with_saturated(sample.patterns, sample.correction)
    beam = beam_of_sample(seen, sample.positions, seed=seed)
    centre = list(beam.maps((scan.sizes["y"], scan.sizes["x"])))
    return replace(
        sample,
        centre=np.stack(centre, axis=-1),
        beam_radius=math.nan if beam.hidden else beam.radius,
    )
