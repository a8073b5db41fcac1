"""A look at a sample of the scan: the detector's bad pixels, the direct beam, spots and noise."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from phaseloom.diffraction.beam.centring import Beam, beam_of_sample
from phaseloom.diffraction.beam.wide_beam import with_saturated
from phaseloom.diffraction.detector.correction import Correction, corrected, make_correction
from phaseloom.diffraction.detector.sampling import sample_patterns, sample_size

if TYPE_CHECKING:
    import xarray as xr

    from phaseloom.diffraction.spots.finder import Finder


def look(
    scan: xr.Dataset,
    images: dict[str, NDArray[Any] | None],
    *,
    saturation: float | None,
    hot: bool,
    beam_stop: bool,
    mean: bool,
    centre: Literal["auto"] | tuple[float, float],
    descan: Literal["plane", "each", "none"],
    seed: int,
    **search: Any,
) -> tuple[Correction, Beam, Finder]:
    """What a sample of the scan tells: bad pixels, direct beam, spots and noise.

    Parameters are those of :func:`register`; ``search`` goes to
    :func:`phaseloom.diffraction.spots.estimation.make_finder`.
    """
    from phaseloom.diffraction.spots.estimation import make_finder

    patterns, positions = sample_patterns(scan, sample_size(scan))
    correction = make_correction(
        patterns, **images, saturation=saturation, hot=hot, beam_stop=beam_stop
    )
    values = corrected(patterns, correction)
    if centre == "auto":
        # A saturated beam is still the beam: masked, it would look like something in its way.
        seen = values
        if np.isfinite(correction.saturation):
            seen = with_saturated(patterns, correction)
        beam = beam_of_sample(seen, positions, seed=seed)
    else:
        row, column = centre
        beam = Beam(row, column, ((0.0, 0.0), (0.0, 0.0)), math.nan, False, 0.0)
    if descan == "none":
        middle = beam.at((scan.sizes["y"] - 1) / 2, (scan.sizes["x"] - 1) / 2)
        beam = replace(
            beam, row=float(middle[0]), column=float(middle[1]), slopes=((0.0, 0.0), (0.0, 0.0))
        )
    if mean:
        values = _mean_sample(scan, positions, correction)
    places = np.stack(beam.at(positions[:, 0], positions[:, 1]), axis=1)
    finder = make_finder(values, places, beam_radius=beam.radius, **_renamed(search))
    return correction, beam, finder


def _renamed(search: dict[str, Any]) -> dict[str, Any]:
    return {("kind" if name == "shape" else name): value for name, value in search.items()}


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
