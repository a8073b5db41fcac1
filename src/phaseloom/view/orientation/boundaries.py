"""Grain boundaries drawn over a map, and the misorientations of neighbouring pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.view.orientation.data import Oriented
from phaseloom.view.style import map_extent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SMALLEST = 5
"""Smallest grain in pixels that is outlined; smaller ones are mostly misindexed pixels."""

HIGH_ANGLE = 15.0
"""Smallest misorientation of a high-angle boundary, in degrees."""

WIDEST = 0.8
"""Largest line width in points; lines leave two thirds of every pixel visible."""

LINES = (
    ("high", "#000000", f"boundary ≥ {HIGH_ANGLE:g}°"),
    ("low", "#FFFFFF", f"boundary < {HIGH_ANGLE:g}°"),
)


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Pairs of pixels that share an edge.

    Parameters
    ----------
    first, second
        (n, 2) row and column of either; the second is right of the first or below it.
    angle
        (n,) misorientation in degrees; NaN between two phases.
    phase
        (n,) of both; −1 where the phases differ.
    parted
        (n,) whether they belong to different grains.
    outlined
        (n,) whether both of these grains have ``SMALLEST`` pixels or more.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    angle: NDArray[np.float64]
    phase: NDArray[np.int64]
    parted: NDArray[np.bool_]
    outlined: NDArray[np.bool_]


@lru_cache(maxsize=1)
def neighbours(result: Oriented) -> Neighbours:
    """All pairs of indexed neighbours with their misorientation; cached for the last map.

    Parameters
    ----------
    result
        With its grains, or those that :func:`phaseloom.maps.grains.find_grains` finds.
    """
    from phaseloom.maps.grains import find_grains
    from phaseloom.maps.misorientation import misorientation_angles

    phase, rotation, grain = result.phase, result.rotation, result.grain
    if grain is None:
        symmetries = [crystal.laue_rotations for crystal in result.crystals]
        grain = find_grains(phase, rotation, symmetries).astype(np.int64)
    place = np.moveaxis(np.indices(phase.shape, dtype=np.int64), 0, -1)
    first = np.concatenate([place[:, :-1].reshape(-1, 2), place[:-1].reshape(-1, 2)])
    second = np.concatenate([place[:, 1:].reshape(-1, 2), place[1:].reshape(-1, 2)])
    both_indexed = (phase[*first.T] >= 0) & (phase[*second.T] >= 0)
    first, second = first[both_indexed], second[both_indexed]
    one, other = phase[*first.T], phase[*second.T]
    both = np.where(one == other, one, -1)
    angle = np.full(len(both), np.nan)
    for number, crystal in enumerate(result.crystals):
        chosen = both == number
        if chosen.any():
            angle[chosen] = misorientation_angles(
                rotation[*first[chosen].T], rotation[*second[chosen].T], crystal.laue_rotations
            )
    one, other = grain[*first.T], grain[*second.T]
    parted = one != other
    # Pixels outside all grains, −1, count at the end.
    large = np.bincount(np.where(grain < 0, grain.max() + 1, grain).ravel()) >= SMALLEST
    outlined = parted & large[one] & large[other]
    return Neighbours(first, second, angle, both, parted, outlined)


def draw_boundaries(axes: Axes, result: Oriented) -> None:
    """Draw the boundaries of all but the smallest grains: high angles black, low ones white.

    Parameters
    ----------
    axes
        Holds a map of the scan.
    """
    from matplotlib.collections import LineCollection

    pairs = neighbours(result)
    if not pairs.outlined.any():
        return
    high = high_angle(pairs)
    segments = _segments(result, pairs)
    width = _line_width(axes, result)
    for high_angles, (name, colour, _) in zip((True, False), LINES, strict=True):
        lines = segments[pairs.outlined & (high == high_angles)]
        if len(lines):
            axes.add_collection(
                LineCollection(
                    list(lines), colors=colour, linewidths=width, capstyle="projecting",
                    gid=f"boundary-{name}",
                ),
                autolim=False,
            )  # fmt: skip


def high_angle(pairs: Neighbours) -> NDArray[np.bool_]:
    """Pairs of two phases, or with a high-angle misorientation."""
    return np.asarray((pairs.phase < 0) | (pairs.angle >= HIGH_ANGLE))


def line_handles(result: Oriented) -> list[Any]:
    """Legend entries of the boundaries in the map."""
    from matplotlib.lines import Line2D
    from matplotlib.patheffects import withStroke

    pairs = neighbours(result)
    high = high_angle(pairs)
    entries = []
    for high_angles, (_, colour, label) in zip((True, False), LINES, strict=True):
        if (pairs.outlined & (high == high_angles)).any():
            of_phases = ", or of two phases" if high_angles and (pairs.phase < 0).any() else ""
            line = Line2D([], [], color=colour, linewidth=1.2, label=label + of_phases)
            if colour == "#FFFFFF":
                line.set_path_effects([withStroke(linewidth=2.2, foreground="#999999")])
            entries.append(line)
    return entries


def _segments(result: Oriented, pairs: Neighbours) -> NDArray[np.float64]:
    """(n, 2, 2): start and end (x, y) of the edge between the pixels of every pair."""
    left, right, bottom, top = map_extent(result.data)["extent"]
    rows, columns = result.shape
    high, wide = (bottom - top) / rows, (right - left) / columns
    row, column = pairs.second.T
    # The left edge of the second when it is to the right of the first, else its upper one.
    beside = pairs.first[:, 0] == pairs.second[:, 0]
    start = np.stack([left + column * wide, top + row * high], axis=-1)
    along = np.where(beside[:, None], [0.0, high], [wide, 0.0])
    return np.stack([start, start + along], axis=1)


def _line_width(axes: Axes, result: Oriented) -> float:
    """Line width in points: a third of a pixel, within limits."""
    figure: Any = axes.get_figure(root=True)
    axes.apply_aspect()
    box = axes.get_position()
    rows, columns = result.shape
    pixel = 72 * min(
        box.width * figure.get_figwidth() / columns, box.height * figure.get_figheight() / rows
    )
    return float(np.clip(pixel / 3, 0.12, WIDEST))
