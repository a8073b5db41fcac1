"""Calibration of a scan on its own spots: the scale is searched, then all is fitted jointly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phaseloom.crystals import Crystal
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.errors import InputError
from phaseloom.orientation.calibration.correction import Correction, corrected_peaks
from phaseloom.orientation.calibration.joint_fit import fit_correction
from phaseloom.orientation.calibration.scale_rivals import ScaleRivals, scale_rivals
from phaseloom.orientation.calibration.scale_search import (
    ScaleSearch,
    find_scale,
    sampled,
    widened,
)
from phaseloom.orientation.calibration.wholeness import explained_as_whole
from phaseloom.orientation.matching.library import Library, make_library
from phaseloom.orientation.matching.matching import match
from phaseloom.orientation.matching.patterns import Patterns, direct_beam_radius, patterns_of
from phaseloom.orientation.options import Matching
from phaseloom.orientation.refinement.chance import Chance, measure_chance
from phaseloom.orientation.refinement.likelihood import Physics
from phaseloom.orientation.refinement.model import SAMPLE, estimate, first_physics
from phaseloom.orientation.refinement.quality import quality
from phaseloom.orientation.refinement.solutions import Solutions
from phaseloom.orientation.refinement.solving import solve

_LARGEST_K = 6.0
"""Å⁻¹: no pattern shows peaks beyond; those that seem to have another pixel size."""

_ROUNDS = 3
"""Of indexing and fitting, until what is fitted stays."""

RARE = 0.01
"""A pattern is explained if a wrong crystal explains so few of its kind as well."""

_EXPLAINED = 0.05
"""Part of the patterns that must be explained at the best scale, or no scale is right."""

_CLOSE = 0.5
"""Gain per explained peak, of the largest possible, from which a pattern is explained closely."""

_MANY = 0.3
"""Part of the patterns that must be explained closely at a scale that was searched: there a wrong
crystal has the one at which it fits best."""

_SIGNIFICANT = 3.0
"""Standard errors."""

_SETTLED = 0.3
"""Standard errors: a fit that changes less is the last."""

_FEW = 60
"""Patterns of which scales are compared, and of which chance is measured for the fit."""

_FEW_DECOYS = 240
"""Strained patterns that tell, while fitting, which patterns are explained."""

_MOVED = 3e-4
"""ln of the change of scale from which a rival is taken up at once; the fit finds less."""


@dataclass(frozen=True)
class Calibrated:
    """Peaks as they are to be indexed, and with what.

    Parameters
    ----------
    peaks
        With the correction taken off.
    patterns
        Those of their peaks that count.
    library, physics
        Crystals and instrument.
    correction
        What was taken off; errors NaN where it is as given.
    rivals
        Scales that the crystals leave open, by the one taken off.
    chance
        How well a wrong crystal explains such patterns.
    fits
        Whether the scale, whichever it is, makes the crystals explain the patterns.
    close
        Part of the patterns that they explain closely.
    searched
        Whether it was searched, or given.
    """

    peaks: Peaks
    patterns: Patterns
    library: Library
    physics: Physics
    correction: Correction
    rivals: ScaleRivals
    chance: Chance
    fits: bool
    close: float
    searched: bool


@dataclass(frozen=True)
class Instrument:
    """What is known beforehand: crystals, voltage in kV, precession angle in degrees."""

    crystals: Sequence[Crystal]
    voltage: float
    precession_angle: float


def calibrate_scan(
    peaks: Peaks, instrument: Instrument, matching: Matching, *, seed: int
) -> Calibrated:
    """Find what is to be taken off the peaks' vectors, and take it off.

    Parameters
    ----------
    peaks
        In Å⁻¹, as the file's pixel size has them.
    instrument
        Crystals and beam.
    matching
        Options; with ``scale`` a number, the vectors are multiplied by it and nothing is fitted.
    seed
        Which patterns are asked.

    Raises
    ------
    InputError
        No pattern has three peaks.
    """
    if matching.scale != "auto":
        given = Correction.none(float(np.log(matching.scale)))
        return _finished(peaks, given, ScaleRivals.exact(), None, instrument, matching, seed)
    library, physics, patterns = _prepared(peaks, instrument, matching, None, widen=True)
    search = find_scale(patterns, library, physics, seed=seed)
    correction, rivals, known = _fitted(peaks, search, instrument, matching, seed)
    return _finished(peaks, correction, rivals, known, instrument, matching, seed)


def _prepared(
    peaks: Peaks,
    instrument: Instrument,
    matching: Matching,
    library: Library | None,
    *,
    widen: bool = False,
) -> tuple[Library, Physics, Patterns]:
    """The library (that given, where there is one), first physics and patterns of peaks."""
    k_min = direct_beam_radius(peaks)
    k_max = _extent(peaks, k_min) if matching.k_max is None else matching.k_max
    if library is None:
        library = make_library(
            instrument.crystals, voltage=instrument.voltage,
            precession_angle=instrument.precession_angle,
            k_max=widened(k_max) if widen else k_max,
            zone_step=matching.zone_step, in_plane_step=matching.in_plane_step,
        )  # fmt: skip
    patterns = patterns_of(peaks, k_min=k_min, k_max=k_max)
    most = int(np.diff(patterns.offset).max(initial=0))
    if most < 3:
        raise InputError(
            f"no pattern has three peaks beside the direct beam (the most is {most})",
            "an orientation needs three: look at the peaks, their threshold and --k-max",
        )
    physics = first_physics(peaks, library, k_min=k_min, thickness=matching.thickness)
    return library, physics, patterns


def _extent(peaks: Peaks, k_min: float) -> float:
    """Where the peaks end, with a little room, but not beyond the detector's corner."""
    radius = np.hypot(*(peaks.data[c].to_numpy().astype(np.float64) for c in ("ky", "kx")))
    radius = radius[(radius > k_min) & np.isfinite(radius)]
    corner = 0.5 * float(np.hypot(*peaks.detector_shape)) * peaks.pixel_size
    if radius.size == 0:
        return corner
    extent = float(min(np.round(1.03 * np.quantile(radius, 0.995), 3), corner))
    if not k_min < extent < _LARGEST_K:
        raise InputError(
            f"the peaks end at {extent:.3g} Å⁻¹, which is no extent of a diffraction pattern",
            f"check the pixel size ({peaks.pixel_size:.5g} Å⁻¹ per px), or give --match-k-max",
        )
    return extent


def _fitted(
    peaks: Peaks, search: ScaleSearch, instrument: Instrument, matching: Matching, seed: int
) -> tuple[Correction, ScaleRivals, Physics | None]:
    """Scale, distortion and centre by indexing a sample and fitting it in turns."""
    total = Correction.none(search.best)
    rivals = ScaleRivals.exact()
    library: Library | None = None
    chance: Chance | None = None
    known: Physics | None = None
    for _ in range(_ROUNDS):
        library, physics, sample = _sample(peaks, total, instrument, matching, library, seed)
        if len(instrument.crystals) > 1:
            few = sample.take(sampled(sample, _FEW, seed))
            rivals = scale_rivals(few, library, physics, applied=float(total.parameters[0]))
            if abs(rivals.best) > _MOVED:
                total = total.then(Correction.none(rivals.best))
                library, physics, sample = _sample(
                    peaks, total, instrument, matching, library, seed
                )
        physics = known = estimate(
            sample, library, physics, thickness=matching.thickness, seed=seed, known=known
        )
        solved = solve(sample, match(sample, library), library, physics, solutions=1)
        if chance is None:
            few = sample.take(sampled(sample, _FEW, seed))
            chance = measure_chance(few, library, physics, seed=seed, decoys=_FEW_DECOYS)
        rarity = chance.rarity_of(solved, sample, physics)
        fit = fit_correction(sample, solved, rarity < RARE, library, physics)
        if fit is None or (rarity < RARE).mean() < _EXPLAINED:
            return Correction.none(), ScaleRivals.exact(), None
        settled = (np.abs(fit.parameters) < _SETTLED * fit.error).all()
        total = total.then(fit)
        if settled:
            break
    return _significant(total), rivals, known


def _sample(
    peaks: Peaks,
    correction: Correction,
    instrument: Instrument,
    matching: Matching,
    library: Library | None,
    seed: int,
) -> tuple[Library, Physics, Patterns]:
    """Library, first physics and a sample of patterns with a correction taken off."""
    moved = corrected_peaks(peaks, correction)
    library, physics, patterns = _prepared(moved, instrument, matching, library)
    return library, physics, patterns.take(sampled(patterns, SAMPLE, seed))


def _significant(fit: Correction) -> Correction:
    """The fit without the parts that are not significantly there."""
    pull = np.abs(fit.parameters) / fit.error
    kept = np.array([
        pull[0] > _SIGNIFICANT,
        *[np.hypot(*pull[1:3]) > _SIGNIFICANT] * 2,
        *[np.hypot(*pull[3:]) > _SIGNIFICANT] * 2,
    ])  # fmt: skip
    return fit._replace(parameters=np.where(kept, fit.parameters, 0.0))


def _closely(
    sample: Patterns, solved: Solutions, chance: Chance, physics: Physics
) -> NDArray[np.bool_]:
    """(patterns,): explained better than by chance, peaks and intensities where they should be.

    Related crystals (close packings, common sublattices) explain so a fifth of the patterns, those
    of few spots that show what they share.
    """
    rarity = chance.rarity_of(solved, sample, physics)
    return (rarity < RARE) & (quality(solved, sample, physics) >= _CLOSE)


def _finished(
    peaks: Peaks,
    correction: Correction,
    rivals: ScaleRivals,
    known: Physics | None,
    instrument: Instrument,
    matching: Matching,
    seed: int,
) -> Calibrated:
    """Everything as it is to be indexed, with a correction taken off."""
    moved = corrected_peaks(peaks, correction) if correction.parameters.any() else peaks
    library, physics, patterns = _prepared(moved, instrument, matching, None)
    physics = estimate(
        patterns, library, physics, thickness=matching.thickness, seed=seed, known=known
    )
    sample = patterns.take(sampled(patterns, SAMPLE, seed))
    chance = measure_chance(sample, library, physics, seed=seed)
    solved = solve(sample, match(sample, library), library, physics, solutions=6)
    searched = matching.scale == "auto"
    close = _closely(sample, solved, chance, physics)
    fits = bool(close.mean() >= (_MANY if searched else _EXPLAINED))
    fits = fits and explained_as_whole(sample, solved, close, library, physics)
    if not fits and correction.parameters.any() and searched:
        # What was found is no scale of these patterns.
        correction, rivals, moved = Correction.none(), ScaleRivals.exact(), peaks
    return Calibrated(
        moved,
        patterns,
        library,
        physics,
        correction,
        rivals,
        chance,
        fits,
        float(close.mean()),
        searched,
    )
