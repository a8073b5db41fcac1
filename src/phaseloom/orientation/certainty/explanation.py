"""Does any of the crystals explain a pattern? Local false discovery rate over the scan."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 200
_SETTLED = 1e-6

_RAREST = 1e-12
"""Rarer is no stronger evidence: the law of chance was not measured there."""


class Explanation(NamedTuple):
    """Which patterns a crystal explains.

    Parameters
    ----------
    nothing
        (patterns,) probability that none of the crystals explains a pattern's peaks.
    share
        Estimated part of the patterns that a crystal explains, at least.
    """

    nothing: NDArray[np.float64]
    share: float


def explanation(rarity: NDArray[np.float64]) -> Explanation:
    """Probability that a fit came about by chance, from how rare it would be then.

    Rarities are a mixture of a uniform distribution (chance) and of Beta(a, 1), a < 1 (S. Pounds
    and S. W. Morris, Bioinformatics 19, 1236 (2003)), fitted to all patterns of the scan. As much
    as possible of the mixture is taken for chance: where rarities are uniform, as with a wrong
    crystal, that is all of it.

    Parameters
    ----------
    rarity
        (patterns,) from :meth:`phaseloom.orientation.refinement.chance.Chance.rarity`; NaN where a
        pattern has too few peaks to be asked.
    """
    asked = np.isfinite(rarity)
    nothing = np.ones(rarity.size)
    if not asked.any():
        return Explanation(nothing, 0.0)
    logs = np.log(np.clip(rarity[asked], _RAREST, 1.0))
    share, power = 0.5, 0.2
    for _ in range(_ROUNDS):
        density = power * np.exp((power - 1.0) * logs)
        held = share * density / (share * density + 1.0 - share)
        before = share, power
        share = float(held.mean())
        power = float(np.clip(held.sum() / max(-(held @ logs), 1e-12), 1e-3, 1.0))
        if abs(share - before[0]) + abs(power - before[1]) < _SETTLED:
            break
    chance = 1.0 - share + share * power
    density = 1.0 - share + share * power * np.exp((power - 1.0) * logs)
    nothing[asked] = np.minimum(chance / density, 1.0)
    return Explanation(nothing, 1.0 - chance)
