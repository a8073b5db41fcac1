"""Position of a direct beam that lies in or beside a gap of the detector.

What is seen of it beside the gap has its centre of mass, and its maxima, beside it. A profile that
is fitted to what is seen has its centre where the beam's is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.diffraction.beam.centre_of_mass import window_values
from phaseloom.diffraction.detector.correction import Correction, corrected

Array = NDArray[np.float64]
Images = NDArray[np.float32]

_STEPS = 12
_AT_ONCE = 256
# weight of pixels whose opposite is not usable
_ALONE = 0.2
# px by which the windows are wider than gap and beam
_RIM = 3.0


@dataclass(frozen=True)
class BeamProfile:
    """Profile of a beam: a · exp(−(r² / 2σ²)^p) + b + c / (1 + (r / 3σ)²).

    Parameters
    ----------
    sigma, power
        σ in px, and p: 1 of a Gaussian, larger of a disc.
    gap
        Half the width of the gap, px.
    """

    sigma: float
    power: float
    gap: float

    @property
    def half_maximum(self) -> float:
        """Radius at half maximum, px."""
        return float(self.sigma * np.sqrt(2 * np.log(2) ** (1 / self.power)))

    @property
    def reach(self) -> float:
        """Radius of the window, px."""
        return 1.5 * self.gap + 2.2 * self.half_maximum + _RIM


def fit_profile(patterns: Images, start: Array, gap: float) -> tuple[BeamProfile, Array] | None:
    """Profile of the beam in the mean of patterns, and its (row, column) relative to the start.

    Parameters
    ----------
    patterns
        (n, ky, kx), corrected, NaN where unusable.
    start
        (n, 2), where it should be, to some px.
    gap
        Half the width of the gap, px.

    Returns
    -------
    profile, offset
        None where nothing stands out.
    """
    from scipy.optimize import least_squares

    corner = np.rint(start).astype(np.intp)
    reach = 1.5 * gap + max(12.0, min(max(patterns.shape[1:]) / 16, 40.0))
    values, _, _, weight = window_values(
        patterns, np.arange(len(patterns)), corner.astype(np.float64), reach
    )
    number = weight.sum(axis=0)
    mean = (values * weight).sum(axis=0) / np.maximum(number, 1e-9)
    half = mean.shape[0] // 2
    y, x = (axis[number > 0.5] for axis in np.indices(mean.shape) - half)
    level = mean[number > 0.5]
    if level.size < 20:
        return None
    low, high = float(np.quantile(level, 0.2)), float(level.max())
    if not high > low:
        return None
    error = np.sqrt(np.maximum(level, max(0.02 * high, 1e-6)))

    def misfit(p: Array) -> Array:
        square = (y - p[0]) ** 2 + (x - p[1]) ** 2
        basis = np.stack(_terms(square, float(np.exp(p[2])), p[3]), axis=-1) / error[:, None]
        return np.asarray(
            basis @ np.linalg.lstsq(basis, level / error, rcond=None)[0] - level / error
        )

    aside = (-gap - 1, 0.0, gap + 1)
    bounds = [-reach, -reach, np.log(0.5), 1.0], [reach, reach, np.log(reach), 8.0]
    fits = []
    for row, column in ((a, b) for a in aside for b in aside):
        for sigma in (1.5, 4.0):
            guess = [row, column, np.log(sigma), 1.2]
            fits.append(least_squares(misfit, guess, bounds=bounds, max_nfev=40))
    best = min(fits, key=lambda fit: fit.cost)
    flat = (((level - np.average(level, weights=error**-2)) / error) ** 2).sum()
    if 2 * best.cost > 0.5 * flat:
        return None
    shift = (corner - start).mean(axis=0)
    return BeamProfile(float(np.exp(best.x[2])), float(best.x[3]), gap), best.x[:2] + shift


def fitted_centres(patterns: Images, predicted: Array, profile: BeamProfile) -> tuple[Array, Array]:
    """Centres of the profile in each pattern, and their standard errors.

    Parameters
    ----------
    patterns
        (n, ky, kx), corrected, NaN where unusable.
    predicted
        (n, 2), where they should be, to a px or two.
    profile
        From :func:`fit_profile`.

    Returns
    -------
    centres, errors : ndarray
        (n, 2) and (n,), px; NaN where no beam stands out.

    Notes
    -----
    Pixels count most where those opposite to them about the centre are usable as well: there,
    errors of the profile move the centre to no side.
    """
    every = np.arange(len(patterns))
    values, rows, columns, weight = window_values(patterns, every, predicted, profile.reach)
    usable = weight > 0
    top, left = rows[:, :1, :1], columns[:, :1, :1]
    side = values.shape[1]
    p = profile.power
    centre = predicted.copy()
    errors = np.full(len(centre), np.nan)
    ground = np.where(usable, values, 0).sum(axis=(1, 2)) / np.maximum(usable.sum(axis=(1, 2)), 1)
    model = np.maximum(values, ground[:, None, None])
    for _ in range(_STEPS):
        y, x = rows - centre[:, 0, None, None], columns - centre[:, 1, None, None]
        opposite = [
            np.rint(2 * c[:, None, None] - axis - first).astype(np.intp)
            for c, axis, first in ((centre[:, 0], rows, top), (centre[:, 1], columns, left))
        ]
        inside = [(o >= 0) & (o < side) for o in opposite]
        both = usable & inside[0] & inside[1]
        both &= usable[every[:, None, None], *(np.clip(o, 0, side - 1) for o in opposite)]
        square = np.maximum((y * y + x * x) / (2 * profile.sigma**2), 1e-12)
        terms = _terms(2 * profile.sigma**2 * square, profile.sigma, p)
        slope = terms[0] * p * square ** (p - 1) / profile.sigma**2
        floor = np.maximum(0.02 * model.max(axis=(1, 2)), 1e-3)[:, None, None]
        w = np.where(both, 1.0, _ALONE * usable) / np.maximum(model, floor)
        # heights of the terms, then the step of the centre, by linear least squares
        basis = np.stack(terms, axis=-1)
        amplitude = _solved(basis, w, values)
        model = np.maximum((basis * amplitude[:, None, None]).sum(axis=-1), 0)
        tilt = amplitude[:, 0, None, None] * slope
        basis = np.stack([tilt * y, tilt * x, *np.moveaxis(basis, -1, 0)], axis=-1)
        step = _solved(basis, w, values - model)[:, :2]
        length = np.hypot(*step.T)[:, None]
        step *= np.minimum(1, 1.0 / np.maximum(length, 1e-9))
        lost = ~np.isfinite(step).all(axis=1) | (amplitude[:, 0] <= 0)
        centre = np.where(lost[:, None], centre, centre + step)
    normal = np.einsum("nija,nij,nijb->nab", basis, w, basis)
    freedom = np.maximum((w > 0).sum(axis=(1, 2)) - 5, 1)
    scale = ((values - model) ** 2 * w).sum(axis=(1, 2)) / freedom
    variance = np.linalg.pinv(normal, hermitian=True) * scale[:, None, None]
    spread = np.sqrt(np.maximum(variance[:, 0, 0] + variance[:, 1, 1], 0) / 2)
    sure = amplitude[:, 0] > 4 * np.sqrt(np.maximum(variance[:, 2, 2], 1e-12))
    near = np.hypot(*(centre - predicted).T) < profile.gap + profile.half_maximum + 1
    good = ~lost & sure & near & (usable.sum(axis=(1, 2)) >= 12) & (spread > 0)
    errors[good] = spread[good]
    return np.where(good[:, None], centre, np.nan), errors


def centres_beside_gap(
    patterns: NDArray[Any], correction: Correction, predicted: Array, profile: BeamProfile
) -> tuple[Array, Array]:
    """:func:`fitted_centres` of raw patterns.

    Parameters
    ----------
    patterns
        (n, ky, kx), raw.
    correction
        Of the detector.
    predicted, profile
        As for :func:`fitted_centres`.
    """
    parts = [
        fitted_centres(corrected(patterns[some], correction), predicted[some], profile)
        for some in (slice(i, i + _AT_ONCE) for i in range(0, len(patterns), _AT_ONCE))
    ]
    return np.concatenate([c for c, _ in parts]), np.concatenate([e for _, e in parts])


def _terms(square: Array, sigma: float, power: float) -> tuple[Array, Array, Array]:
    """Beam, ground, and what is diffuse about the beam, at squared distances from its centre."""
    beam = np.exp(-((square / (2 * sigma**2)) ** power))
    return beam, np.ones_like(beam), 1 / (1 + square / (9 * sigma**2))


def _solved(basis: Array, weight: Array, values: Array) -> Array:
    """Weighted linear least squares, pattern by pattern: (n, parameters)."""
    weighed = basis * weight[..., None]
    normal = np.einsum("nija,nijb->nab", weighed, basis)
    right = np.einsum("nija,nij->na", weighed, values)
    return np.asarray(np.einsum("nab,nb->na", np.linalg.pinv(normal, hermitian=True), right))
