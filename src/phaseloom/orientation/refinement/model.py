"""Estimation of the physics from a sample of patterns: thickness, spread, errors, rates."""

from __future__ import annotations

import numpy as np

from phaseloom.crystals import wavelength
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.orientation.matching.library import Library
from phaseloom.orientation.matching.matching import match
from phaseloom.orientation.matching.patterns import Patterns
from phaseloom.orientation.matching.starts import Starts
from phaseloom.orientation.refinement.chance import gains
from phaseloom.orientation.refinement.likelihood import Physics
from phaseloom.orientation.refinement.solutions import Solutions
from phaseloom.orientation.refinement.solving import solve

SAMPLE = 240
"""Patterns that errors and rates are learnt from."""

_TRIED = 60
"""Of those, how many the thickness and the profile are tried on."""

_THICKNESSES = (15.0, 30.0, 60.0, 120.0, 240.0, 480.0)
"""Å: first guesses; the likeliest is then refined by factors of √2 and 2^¼."""

_SHARPNESSES = (1.0, 3.0, 20.0)
"""Of the excitation profile: a wedge, between, nearly a Gaussian."""

_PRECESSES = 2e-3
"""Sine of the precession angle from which the profile is that of a wedge."""

_WHOLE = 0.75
"""Part of its peaks that is explained in a pattern that is explained as a whole."""

_ENOUGH_WHOLE = 0.1
"""Part of the patterns from which errors are learnt of these alone."""

_COMPARABLE = 0.65
"""Errors are learnt of patterns that gain so much per peak of what the best gain."""

_LN_RANGE = 6.0
"""Unexplained peaks are spread over so many units of ln intensity."""

_FIRST_SPREAD = 0.6

LEAST_SPREAD = 0.2
"""Of ln intensity about kinematic theory: it is no more exact."""

LEAST_POSITION = 0.05
"""Of the reach: places are no more exact."""

_MEAN_OF_T = 1.0
"""Mean deviation of Student's t with four degrees of freedom, in units of its scale."""


def first_physics(
    peaks: Peaks, library: Library, *, k_min: float, thickness: float | None
) -> Physics:
    """The physics before anything is fitted, from the peak table and the library.

    Parameters
    ----------
    peaks
        In Å⁻¹.
    library
        Voltage, precession and the largest 1/d.
    k_min
        Å⁻¹.
    thickness
        In Å, if known.
    """
    data = peaks.data
    size = peaks.pixel_size
    rows, columns = peaks.detector_shape
    # The distortion keeps the area: what it moves at the edge is within the margin of 1 %.
    y, x = (float(data[name].mean()) for name in ("centre_y", "centre_x"))
    if not (np.isfinite(y) and np.isfinite(x)):
        # The direct beam was found nowhere: the middle of the detector is as good as any place.
        y, x = 0.5 * (rows - 1), 0.5 * (columns - 1)
    bottom, top = -0.99 * y * size, 0.99 * (rows - 1 - y) * size
    left, right = -0.99 * x * size, 0.99 * (columns - 1 - x) * size
    scatter = float(data.attrs.get("beam_scatter", 0.5))
    scatter = scatter if np.isfinite(scatter) else 0.5
    return Physics(
        sphere=1.0 / wavelength(library.voltage),
        thickness=thickness or 120.0,
        sharpness=1.0,
        sweep=float(np.sin(np.radians(library.precession_angle))),
        reach=max(0.02, 2.5 * size),
        position=max(0.002, 0.2 * size),
        centre=max(scatter, 0.1) * size,
        spread=_FIRST_SPREAD,
        unexplained=density(1.0, (top - bottom) * (right - left)),
        missing=float(np.log(0.01)),
        k_min=k_min,
        k_max=library.k_max,
        bottom=bottom,
        top=top,
        left=left,
        right=right,
    )


def estimate(
    patterns: Patterns,
    library: Library,
    first: Physics,
    *,
    thickness: float | None,
    seed: int,
    known: Physics | None = None,
) -> Physics:
    """Fit the physics to a sample of patterns: the thickness and sharpness of greatest likelihood,
    the rest as the solutions show it.

    Parameters
    ----------
    patterns
        All of them; those with fewer than five peaks are not asked.
    library
        The crystals.
    first
        From :func:`first_physics`.
    thickness
        In Å, if known: then it stays.
    seed
        Which patterns are asked.
    known
        An earlier fit: its thickness and sharpness stay, errors and rates are learnt anew.
    """
    rich = np.flatnonzero(np.diff(patterns.offset) >= 5)
    if rich.size == 0:
        return first
    rng = np.random.default_rng(seed)
    if rich.size > SAMPLE:
        rich = np.sort(rng.choice(rich, SAMPLE, replace=False))
    sample = patterns.take(rich)
    starts = match(sample, library)
    if known is None:
        some = np.sort(rng.choice(rich.size, min(rich.size, _TRIED), replace=False))
        few = Starts(*(values[some] for values in starts))
        physics = _excitation(sample.take(some), few, library, first, thickness)
    else:
        physics = known._replace(
            bottom=first.bottom, top=first.top, left=first.left, right=first.right
        )
    for _ in range(2):
        solved = solve(sample, starts, library, physics, solutions=1)
        physics = _adjusted(solved, sample, physics)
    return physics


def _excitation(
    sample: Patterns, starts: Starts, library: Library, first: Physics, thickness: float | None
) -> Physics:
    """The physics with the likeliest thickness and sharpness of the excitation profile."""
    tried: dict[tuple[float, float], float] = {}

    def score(thickness: float, sharpness: float) -> float:
        key = thickness, sharpness
        if key not in tried:
            trial = first._replace(thickness=thickness, sharpness=sharpness)
            solved = solve(sample, starts, library, trial, solutions=1)
            # Patterns that no orientation explains say nothing of the thickness; else the best one
            # would be that at which the least is expected of them.
            tried[key] = float(np.maximum(gains(solved, sample, trial), 0.0).sum())
        return tried[key]

    for sharpness in _SHARPNESSES if first.sweep < _PRECESSES else _SHARPNESSES[:1]:
        guesses = _THICKNESSES if thickness is None else (thickness,)
        best = max(guesses, key=lambda t: score(t, sharpness))
        for factor in (2**0.5, 2**0.25) if thickness is None else ():
            best = max((best / factor, best, best * factor), key=lambda t: score(t, sharpness))
    best, sharpness = max(tried, key=lambda key: tried[key])
    return first._replace(thickness=best, sharpness=sharpness)


def _adjusted(refined: Solutions, sample: Patterns, physics: Physics) -> Physics:
    """Errors and rates as all but the worst quarter of the solutions show them."""
    likelihood = refined.fact("log_likelihood")[:, 0]
    peaks = np.diff(sample.offset)
    per_peak = np.where(np.isfinite(likelihood), likelihood, -np.inf) / peaks
    good = np.isfinite(per_peak) & (per_peak >= np.quantile(per_peak, 0.25, method="lower"))
    # Patterns that are explained far worse than others are none of the crystals'.
    most = np.quantile((gains(refined, sample, physics) / peaks)[good], 0.9) if good.any() else 0.0
    good &= gains(refined, sample, physics) >= _COMPARABLE * most * peaks
    # What a crystal explains in part, beside another or none of these, says little of errors.
    whole = np.isfinite(per_peak) & (refined.fact("matched")[:, 0] >= _WHOLE * peaks)
    if whole.mean() >= _ENOUGH_WHOLE:
        good &= whole
    if not good.any():
        return physics

    def total(name: str) -> float:
        return float(refined.fact(name)[good, 0].sum())

    paired = total("matched")
    if paired == 0.0:
        # No peak is explained: nothing is learnt of errors and rates.
        return physics
    own = float(np.median(sample.loose))
    matched = refined.fact("matched")[:, 0]
    good_pairs = good & (matched > 0)
    deviation = float((refined.fact("deviation")[:, 0] * matched)[good_pairs].sum())
    # Two tilts and the scale were fitted to these intensities.
    deviation /= max(paired - 3.0 * good.sum(), 0.3 * paired) * _MEAN_OF_T
    square = float((refined.fact("residual")[:, 0] ** 2 * matched)[good_pairs].sum())
    place = 0.5 * square / paired - float(np.median(sample.place))
    lost = (total("missed") + 1.0) / (total("expected") + 20.0)
    unexplained = (peaks[good].sum() - paired + 0.1 * good.sum()) / good.sum()
    area = (physics.top - physics.bottom) * (physics.right - physics.left)
    return physics._replace(
        spread=float(np.clip(np.sqrt(max(deviation**2 - own, 0.0)), LEAST_SPREAD, 1.5)),
        position=float(
            np.clip(np.sqrt(max(place, 0.0)), LEAST_POSITION * physics.reach, 0.5 * physics.reach)
        ),
        missing=float(np.log(np.clip(lost, 1e-3, 0.3))),
        unexplained=density(unexplained, area),
    )


def density(peaks: float, area: float) -> float:
    """Ln of peaks per Å⁻² and unit of ln intensity.

    Parameters
    ----------
    peaks
        That no reflection explains, per pattern.
    area
        Of the detector, Å⁻².
    """
    return float(np.log(max(peaks, 0.05) / (area * _LN_RANGE)))
