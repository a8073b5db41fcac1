"""Odds ratios of transition pixels near the boundary, with intervals over its segments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

Array = NDArray[np.float64]

_RESAMPLES = 2000
_ADDED = 2.0


@dataclass(frozen=True)
class Odds:
    """Odds ratios near against far, each with a 95 % interval (value, low, high).

    Attributes
    ----------
    observed
        Of the data.
    optics
        Of the null model: median and 95 % range of the simulations.
    ratio
        Observed over expected from the optics.
    """

    observed: tuple[float, float, float]
    optics: tuple[float, float, float]
    ratio: tuple[float, float, float]


def odds_ratio(near: Array, near_all: Array, far: Array, far_all: Array) -> Array:
    """Odds of transition pixels near over those far, from their numbers among all.

    Two pixels are added to every cell, as Agresti and Coull do (1998, *Am. Stat.* 52, 119): far
    from the boundary often none is found, and no ratio may hang on whether it is one or none.
    """
    yes_near, no_near = near + _ADDED, near_all - near + _ADDED
    yes_far, no_far = far + _ADDED, far_all - far + _ADDED
    return np.asarray(yes_near * no_far / (no_near * yes_far))


def compare(
    transition: NDArray[np.bool_],
    simulated: NDArray[np.bool_],
    near: NDArray[np.bool_],
    segment: NDArray[np.intp],
    *,
    seed: int,
) -> Odds:
    """Odds ratio of the data against that of the null model.

    Whole segments of the boundary are drawn with replacement, the same ones for data and null
    model; Student's interval of the logarithm. What the simulations scatter by (counting noise,
    uncertainty of the point-spread function) is added to the variance.

    Parameters
    ----------
    transition
        (pixel,) of the data.
    simulated
        (simulation, pixel) of the null model.
    near
        (pixel,), true for those near the boundary.
    segment
        (pixel,) number of the nearest segment of the boundary.
    seed
        Same seed, same intervals.
    """
    n = int(segment.max()) + 1
    cells = [_per_segment(where, segment, n) for where in (near, ~near)]
    data = [_per_segment(transition & where, segment, n) for where in (near, ~near)]
    mean = simulated.mean(axis=0)
    null = [_per_segment(mean * where, segment, n) for where in (near, ~near)]
    each = np.log(
        odds_ratio(
            (simulated & near).sum(axis=1),
            cells[0].sum(),
            (simulated & ~near).sum(axis=1),
            cells[1].sum(),
        )
    )
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=_RESAMPLES)

    def log_ratio(counts: list[Array], weight: NDArray[np.integer] | Array) -> Array:
        return np.log(
            odds_ratio(weight @ counts[0], weight @ cells[0], weight @ counts[1], weight @ cells[1])
        )

    once = np.ones(n)
    observed, expected = float(log_ratio(data, once)), float(log_ratio(null, once))
    drawn = log_ratio(data, times)
    apart = drawn - log_ratio(null, times)
    reach = float(student.ppf(0.975, n - 1)) * np.sqrt(n / (n - 1))
    noise = float(each.var(ddof=1))
    return Odds(
        observed=_around(observed, reach * float(drawn.std())),
        optics=tuple(np.exp(np.quantile(each, [0.5, 0.025, 0.975])).tolist()),
        ratio=_around(observed - expected, reach * float(np.sqrt(apart.var() + noise))),
    )


def shares(
    transition: NDArray[np.generic],
    member: NDArray[np.bool_],
    segment: NDArray[np.intp],
    *,
    seed: int,
) -> tuple[Array, Array, Array]:
    """Share of transition pixels in each class, with its 95 % interval over segments.

    Parameters
    ----------
    transition
        (pixel,).
    member
        (class, pixel).
    segment, seed
        As for :func:`compare`.

    Returns
    -------
    share, low, high : (class,)
        NaN for a class without pixels.
    """
    n = int(segment.max()) + 1
    count = np.stack([_per_segment(np.where(of, transition, 0), segment, n) for of in member])
    size = np.stack([_per_segment(of, segment, n) for of in member])
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=_RESAMPLES)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = (times @ count.T) / (times @ size.T)
        share = count.sum(axis=1) / size.sum(axis=1)
    low, high = np.full((2, len(member)), np.nan)
    for k in np.flatnonzero(size.sum(axis=1) > 0):
        low[k], high[k] = np.nanquantile(drawn[:, k], [0.025, 0.975])
    return share, low, high


def _around(log_value: float, reach: float) -> tuple[float, float, float]:
    return (
        float(np.exp(log_value)),
        float(np.exp(log_value - reach)),
        float(np.exp(log_value + reach)),
    )


def _per_segment(values: NDArray[np.generic], segment: NDArray[np.intp], n: int) -> Array:
    total = np.bincount(segment, weights=values.astype(np.float64), minlength=n)
    return np.asarray(total, dtype=np.float64)
