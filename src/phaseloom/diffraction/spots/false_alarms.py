"""Threshold of the search: the least score of a spot for a stated rate of false alarms.

On a flat background b the score of :func:`phaseloom.diffraction.spots.fitting.score` is a weighted
sum of Poisson counts. Two facts set its threshold:

* the field of scores has, per pattern, ``A λ (2π)^(−3/2) u exp(−u²/2)`` maxima above u were it
  Gaussian, with A the area and λ the second spectral moment, Σ(∂p)²/Σp² for a template p
  (R. J. Adler, *The Geometry of Random Fields*, 1981, ch. 6);
* at few counts the sum is skewed: the score whose tail probability is that of u in a Gaussian
  follows from the saddle point of its cumulant generating function (R. Lugannani, S. Rice,
  Adv. Appl. Probab. 12, 475 (1980); O. E. Barndorff-Nielsen, Biometrika 73, 307 (1986)).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError

LOWEST = -3.0
"""log10 of the lowest background of the table, in counts per px."""

PER_DECADE = 8
_DECADES = 8


def gaussian_level(template: NDArray[np.float64], area: float, false_alarms: float) -> float:
    """Level u that a Gaussian field of scores exceeds in ``false_alarms`` maxima per pattern.

    Parameters
    ----------
    template
        (rows, columns), the spot, its middle on the middle pixel.
    area
        Usable pixels of a pattern.
    false_alarms
        Expected false peaks per pattern.

    Raises
    ------
    InputError
        The rate is not positive, or more than such a field has maxima.
    """
    from scipy.optimize import brentq

    # By Fourier transform: differences of neighbours fall short where spots are small.
    power = np.abs(np.fft.fft2(template)) ** 2
    ky, kx = (2 * np.pi * np.fft.fftfreq(n) for n in template.shape)
    moment = float((power * (ky[:, None] ** 2 + kx**2)).sum() / 2 / power.sum())
    maxima = area * moment / (2 * np.pi) ** 1.5

    def rate(u: float) -> float:
        return float(maxima * u * np.exp(-u * u / 2))

    if not 0 < false_alarms < rate(1.0):
        raise InputError(
            f"{false_alarms:g} false peaks per pattern cannot be",
            f"state a rate above 0 and below {rate(1.0):.3g} for patterns of this size",
        )
    return float(brentq(lambda u: rate(u) - false_alarms, 1.0, 40.0))


def least_scores(template: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """Score whose tail probability on each background is that of ``level`` in a Gaussian.

    Parameters
    ----------
    template
        (rows, columns), the spot.
    level
        From :func:`gaussian_level`.

    Returns
    -------
    numpy.ndarray
        For backgrounds ``10 ** (LOWEST + i / PER_DECADE)`` counts per px.
    """
    from scipy.optimize import brentq

    weight = template.ravel()
    squares = float((weight**2).sum())

    def equivalent(tilt: float, background: float) -> float:
        """The Gaussian level with the tail probability of the sum at its saddle point."""
        growth = np.expm1(tilt * weight)
        mean = background * float((weight * growth).sum())
        cumulant = background * float((growth - tilt * weight).sum())
        variance = background * float((weight**2 * (growth + 1)).sum())
        root = np.sqrt(max(2 * (tilt * mean - cumulant), 1e-300))
        return float(root + np.log(tilt * np.sqrt(variance) / root) / root)

    scores = []
    for i in range(_DECADES * PER_DECADE + 1):
        background = 10 ** (LOWEST + i / PER_DECADE)
        high = 1e-3
        while equivalent(high, background) < level:
            high *= 2
        tilt = float(
            brentq(lambda t, b=background: equivalent(t, b) - level, 0.4 * high, high)
            if equivalent(0.4 * high, background) < level
            else high
        )
        mean = background * float((weight * np.expm1(tilt * weight)).sum())
        scores.append(mean / np.sqrt(background * squares))
    return np.asarray(scores)
