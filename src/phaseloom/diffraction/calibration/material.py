"""The rings of a material: which there are, which lie in one, and whether they were measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.errors import InputError

Array = NDArray[np.float64]

ENOUGH_RINGS = 3
"""That must be measured to be sure of a material."""

_DOUBT = 0.4
"""Relative error of the intensities of rings that lie in one."""

_STRONG, _SEEN = 0.25, 0.7
"""Height, by the highest, of strong rings, and the part of them that must be measured."""


def known_rings(rings_k: ArrayLike, intensities: ArrayLike | None) -> tuple[Array, Array]:
    """1/d of the rings, ascending, and their intensities, at most 1."""
    k = np.asarray(rings_k, dtype=np.float64).ravel()
    strong = np.ones(k.size)
    if intensities is not None:
        strong = np.asarray(intensities, dtype=np.float64).ravel()
        if strong.size != k.size:
            raise InputError(
                f"{k.size} rings have {strong.size} intensities", "give one for each ring"
            )
    use = np.isfinite(k) & (k > 0) & (strong >= 0.01 * strong.max(initial=0))
    k, strong = k[use], strong[use]
    order = np.argsort(k)
    k, strong = k[order], strong[order]
    # rings of equal d are one
    first = np.concatenate([[True], np.diff(k) > 1e-4 * k[1:]]) if k.size else use[:0]
    if first.sum() < 2:
        raise InputError("fewer than two rings are known", "give 1/d of all of them, in Å⁻¹")
    total = np.bincount(np.cumsum(first) - 1, strong)
    return k[first], total / total.max()


def grouped(k: Array, strong: Array, apart: float) -> tuple[Array, Array]:
    """Shares of the rings in groups of neighbours nearer than ``apart``, and doubts of the groups.

    A group lies in the middle of its intensities, which is in doubt (1/d, one standard deviation)
    as these are by texture and dynamical scattering.
    """
    group = np.concatenate([[0], np.cumsum(np.diff(k) > apart)])
    share = np.zeros((k.size, group[-1] + 1))
    share[np.arange(k.size), group] = strong / np.bincount(group, strong)[group]
    away = k[:, None] - k @ share
    return share, _DOUBT * np.sqrt(((share * away) ** 2).sum(axis=0))


def check_rings(
    middle: Array,
    height: Array,
    seen: NDArray[np.bool_],
    scale: float,
    span: tuple[float, float],
    width: float,
) -> None:
    """Refuse a material of whose rings in reach the strong ones are not there.

    Parameters
    ----------
    middle, height
        1/d of groups of rings, and what is expected of their heights.
    seen
        Which were measured.
    scale, span, width
        Px per Å⁻¹; radii that are in reach, and σ of a ring, px.
    """
    reach = (middle * scale > span[0] + width) & (middle * scale < span[1] - width)
    strong = reach & (height > _STRONG * height[reach].max(initial=0.0))
    share = float(height[strong & seen].sum() / max(height[strong].sum(), 1e-30))
    if seen.sum() < ENOUGH_RINGS or share < _SEEN:
        raise InputError(
            f"{int(seen.sum())} rings of the material were measured, {share:.0%} of its strong "
            f"ones: at least {ENOUGH_RINGS} and {_SEEN:.0%} are needed to be sure of it",
            "check the material, or give a pattern with more counts",
        )
