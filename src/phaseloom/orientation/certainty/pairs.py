"""Probabilities in patterns of two crystals: of the stronger one, of the second, of both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Pairs(NamedTuple):
    """Probabilities of the second crystals, (patterns,).

    Parameters
    ----------
    second
        That there is a second crystal, of this orientation.
    both
        That the pattern is of these two crystals.
    """

    second: NDArray[np.float64]
    both: NDArray[np.float64]


def with_pairs(
    probability: NDArray[np.float64],
    nothing: NDArray[np.float64],
    solved: Mapping[str, NDArray[Any]],
) -> tuple[NDArray[np.float64], Pairs]:
    """Probabilities of the solutions, each as the stronger crystal of its pattern.

    Parameters
    ----------
    probability
        (patterns, n) as if every pattern were of a single crystal.
    nothing
        (patterns,) that no crystal explains the pattern.
    solved
        What :class:`phaseloom.orientation.refinement.overlaps.SecondCrystals` calls its variables.

    Returns
    -------
    probability
        (patterns, n).
    pairs
        Of the second crystals.
    """
    single, first, second, both = solved["overlap_probability"].T
    stronger, turned = solved["overlap_stronger"], solved["overlap_turned"].astype(bool)
    something = 1.0 - nothing
    # A single crystal would have been another one there.
    alone = np.where(turned, 0.0, single * probability[:, 0])
    top = alone + something * first * (1.0 - stronger)
    others = probability[:, 1:].sum(axis=1)
    left = np.minimum(others, np.maximum(something - top, 0.0))
    rest = probability[:, 1:] * (left / np.maximum(others, 1e-300))[:, None]
    found = solved["overlap_crystal"] >= 0
    changed = np.concatenate([top[:, None], rest], axis=1)
    return (
        np.where(found[:, None], changed, probability),
        Pairs(np.where(found, something * second, 0.0), np.where(found, something * both, 0.0)),
    )
