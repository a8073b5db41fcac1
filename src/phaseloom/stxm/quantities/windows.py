"""Which energies lie before the edge, after it, and about its maximum.

They are the same for all pixels of a stack: what is found in one pixel is then comparable with
what is found in the next.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phaseloom.stxm.options import EdgeWindows
from phaseloom.stxm.preparation.absorption import pre_edge

Array = NDArray[np.float64]

_OF_RISE, _OF_BREADTH = 0.33, 0.42
"""Bandwidth of the smoothing about edge position and white line: wide enough to average readings,
narrow enough to leave what is averaged where it is."""

_FOOT = 3.0
"""A stack that begins nearer to the edge position than this many widths of the rise begins on it:
its first reading is no level before the edge."""

_POST = 0.8
"""After the edge, where nobody says: from this part of the way from the edge to the end."""


@dataclass(frozen=True)
class Windows:
    """Energies of a stack by their place at the edge.

    Attributes
    ----------
    before, after : (energy,) of bool
        Before and after the edge.
    between : (energy,) of bool
        From the last energy before the edge to the first one after it.
    crossing : float
        Where the mean spectrum reaches half of the edge jump, in eV.
    rise : float
        From there to where it has four fifths of the edge jump, or came from one fifth, in eV.
    breadth : float
        How far from the white line it stays within a fifth of its height, in eV.
    about_edge, about_line : tuple of float
        Between which energies a pixel's edge position, and its white line, are looked for.
    """

    before: NDArray[np.bool_]
    after: NDArray[np.bool_]
    between: NDArray[np.bool_]
    crossing: float
    rise: float
    breadth: float
    about_edge: tuple[float, float]
    about_line: tuple[float, float]

    @property
    def edge_bandwidth(self) -> float:
        """Of the smoothing about the edge position, in eV."""
        return _OF_RISE * self.rise

    @property
    def line_bandwidth(self) -> float:
        """Of the smoothing about the white line, in eV."""
        return _OF_BREADTH * self.breadth


def find_windows(energy: Array, mean: Array, options: EdgeWindows) -> Windows | str:
    """The windows of a stack from its mean spectrum (energy,), or why there are none.

    Parameters
    ----------
    energy
        In eV, rising.
    mean
        Mean optical density of the particles, finite.
    options
        Ranges that were given are taken; "auto" are found: before the edge as for the baseline,
        after the edge the last fifth of the way from there to the last energy, the white line at
        the maximum between.
    """
    before = _chosen(energy, options.pre_edge, pre_edge(mean))
    if not before.any():
        return "no energy lies before the edge"
    last_before = float(energy[before].max())
    beyond = last_before + _POST * (float(energy[-1]) - last_before)
    after = _chosen(energy, options.post_edge, energy >= beyond)
    if not after.any():
        return "no energy lies after the edge"
    first_after = float(energy[after].min())
    if first_after <= last_before:
        return "the energies after the edge do not lie above those before it"
    between = (energy >= last_before) & (energy <= first_after)
    if np.unique(energy[between]).size < 5:
        return "fewer than three energies lie on the edge"
    level = mean - mean[before].mean()
    jump = float(level[after].mean())
    if jump <= 0:
        return "the optical density after the edge is no higher than before it"
    place, height = energy[between], level[between]
    crossing = _first_crossing(place, height, 0.5 * jump)
    rise = _first_crossing(place, height, 0.8 * jump) - _first_crossing(place, height, 0.2 * jump)
    if options.pre_edge == "auto" and crossing - float(energy[0]) < _FOOT * 0.5 * rise:
        return "the energies begin on the edge"
    peaked = _chosen(energy, options.white_line, between & (energy > crossing) & ~after)
    if np.unique(energy[peaked]).size < 3:
        return "fewer than three energies lie about the white line"
    peak = int(np.argmax(np.where(peaked, level, -np.inf)))
    steps = np.diff(place)
    smallest = float(steps[steps > 0].min())
    reach = max(4 * rise, 2 * smallest)
    return Windows(
        before,
        after,
        between,
        crossing,
        max(0.5 * rise, smallest),
        max(_breadth(energy, level, peak), smallest),
        (max(last_before, crossing - reach), min(first_after, crossing + reach)),
        (float(energy[peaked].min()), float(energy[peaked].max())),
    )


def _chosen(
    energy: Array, given: tuple[float, float] | str, otherwise: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    if isinstance(given, str):
        return otherwise
    return np.asarray((energy >= given[0]) & (energy <= given[1]))


def _first_crossing(energy: Array, height: Array, level: float) -> float:
    """Where straight lines between the readings first reach a level, in eV."""
    above = np.flatnonzero(height >= level)
    i = int(above[0]) if above.size else len(energy) - 1
    if i == 0:
        return float(energy[0])
    step = height[i] - height[i - 1]
    part = (level - height[i - 1]) / step if step > 0 else 1.0
    return float(energy[i - 1] + min(part, 1.0) * (energy[i] - energy[i - 1]))


def _breadth(energy: Array, level: Array, peak: int) -> float:
    """Mean distance from the maximum at which the spectrum falls by a fifth of its height."""
    low = level < 0.8 * level[peak]
    ends = [
        side[np.argmax(fallen)] if fallen.any() else side[-1]
        for side, fallen in (
            (energy[peak::-1], low[peak::-1]),
            (energy[peak:], low[peak:]),
        )
    ]
    return float(0.5 * (ends[1] - ends[0]))
