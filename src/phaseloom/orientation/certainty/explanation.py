"""Does any of the crystals explain a pattern? Local false discovery rate over the scan."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

_ROUNDS = 300
_SETTLED = 1e-6

_RAREST = 1e-12
"""Rarer is no stronger evidence: the law of chance was not measured there."""

_LEAST_MEAN = 3.0
"""Of −ln rarity of explained patterns: rarities of a twentieth."""

_RARE = 0.01
"""Patterns that are explained, by which is judged how closely others are."""

_COMPARABLE = 0.6
"""Patterns explained less closely than this part of these are none of the crystals': a crystal's
own peaks are where they should be, beside those of another grain, too."""

_PRIOR = np.array([1.0, 1.0, 0.3])
"""Patterns of each part of the mixture, beside those of the scan."""

_SHAPE = 2.0, 60.0
"""Least and largest of the gamma law."""


class Explanation(NamedTuple):
    """Which patterns a crystal explains.

    Parameters
    ----------
    nothing
        (patterns,) probability that none of the crystals explains a pattern's peaks.
    share
        Estimated part of the patterns asked that a crystal explains.
    """

    nothing: NDArray[np.float64]
    share: float


def explanation(rarity: NDArray[np.float64], quality: NDArray[np.float64]) -> Explanation:
    """Probability that a fit came about by chance, from how rare it would be then.

    −ln of the rarities is a mixture, fitted to all patterns of the scan: exponential with mean 1,
    which is chance; a gamma law, of the patterns that are explained, most of which are alike; and
    an exponential one of any mean, of those that are explained in part, beside another crystal or
    with few peaks (with chance alone this is the mixture of S. Pounds and S. W. Morris,
    Bioinformatics 19, 1236 (2003)). What the last has in common with chance is taken for chance:
    where rarities are uniform, as with a wrong crystal, that is all of it. A crystal that is like
    one of the library explains more than chance would, but not as closely as that explains its
    own: such patterns are taken for chance, too.

    Parameters
    ----------
    rarity
        (patterns,) from :meth:`phaseloom.orientation.refinement.chance.Chance.rarity`; NaN where a
        pattern has too few peaks to be asked.
    quality
        (patterns,) from :func:`phaseloom.orientation.refinement.quality.quality`.
    """
    asked = np.isfinite(rarity)
    nothing = np.ones(rarity.size)
    if not asked.any():
        return Explanation(nothing, 0.0)
    usual = quality[asked][rarity[asked] < _RARE]
    least = _COMPARABLE * float(np.nanmedian(usual)) if usual.size else 0.0
    alike = np.where(quality[asked] >= least, rarity[asked], 1.0)
    rare = -np.log(np.clip(alike, _RAREST, 1.0))
    shares = np.array([0.4, 0.4, 0.2])
    mean, shape, broad = max(float(np.quantile(rare, 0.9)), _LEAST_MEAN), 4.0, 4.0
    density = np.empty((3, rare.size))
    for _ in range(_ROUNDS):
        density[0] = np.exp(-rare)
        density[1] = _gamma(rare, mean, shape)
        density[2] = np.exp(-rare / broad) / broad
        held = shares[:, None] * density
        held /= held.sum(axis=0)
        before = shares
        # Few patterns are no law: a little of the first guess stays.
        shares = (held.sum(axis=1) + _PRIOR) / (rare.size + _PRIOR.sum())
        mean = max(float(held[1] @ rare / max(held[1].sum(), 1e-12)), _LEAST_MEAN)
        variance = float((held[1] @ (rare - mean) ** 2 + 1.0) / (held[1].sum() + 1.0))
        shape = float(np.clip(mean**2 / variance, *_SHAPE))
        broad = max(float((held[2] @ rare + 4.0) / (held[2].sum() + 1.0)), _LEAST_MEAN)
        if np.abs(shares - before).max() < _SETTLED:
            break
    chance = float(shares[0] + shares[2] / broad)
    nothing[asked] = np.minimum(chance * density[0] / (shares @ density), 1.0)
    return Explanation(nothing, float(1.0 - nothing[asked].mean()))


def _gamma(rare: NDArray[np.float64], mean: float, shape: float) -> NDArray[np.float64]:
    """Density of a gamma law with a mean and a shape."""
    x = np.maximum(rare, 1e-12) * shape / mean
    log_density = (shape - 1.0) * np.log(x) - x - gammaln(shape)
    return np.asarray(np.exp(log_density) * shape / mean)
