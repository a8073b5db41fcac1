"""Colour keys of the inverse pole figure colours, with the indices of the sector corners."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from phaseloom.view.orientation.data import Oriented
from phaseloom.view.orientation.sectors import (
    Sector,
    direction_name,
    from_stereographic,
    stereographic,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from phaseloom.crystals import Crystal

KEY_HEIGHT = 1.05
"""Height of a key with its name, in inches."""

_GRID = 240
"""Image pixels along the longer side of a key."""


def distinct_keys(result: Oriented) -> list[tuple[int, list[str]]]:
    """Phases whose colour keys differ: number of the first, names of all that share its key."""
    shared: dict[tuple[object, ...], tuple[int, list[str]]] = {}
    for number, (sector, crystal) in enumerate(zip(result.sectors, result.crystals, strict=True)):
        names = tuple(corner_names(sector, crystal))
        key = (sector.laue.name, names)
        shared.setdefault(key, (number, []))[1].append(crystal.name)
    return list(shared.values())


def corner_names(sector: Sector, crystal: Crystal) -> list[str]:
    """Indices of the directions at the corners of a sector, in the setting of the crystal."""
    return [direction_name(crystal, sector.setting.T @ corner) for corner in sector.corners]


def sector_outline(sector: Sector) -> NDArray[np.float64]:
    """Outline (n, 2) of the sector in stereographic projection."""
    angle = np.radians(np.arange(-180.0, 180.0, 0.5))
    middle = inner_point(sector)
    # Along every meridian from the middle, the farthest point that is still inside.
    across = np.linalg.svd(middle[None])[2][1:]
    rays = np.cos(angle)[:, None] * across[0] + np.sin(angle)[:, None] * across[1]
    reach = np.full(angle.size, np.pi / 2)
    for normal in sector.normals:
        # cos t · (n·m) + sin t · (n·r) = 0
        t = np.arctan2(normal @ middle, -(rays @ normal))
        reach = np.minimum(reach, np.where(t > 0, t, np.pi))
    edge = np.cos(reach)[:, None] * middle + np.sin(reach)[:, None] * rays
    corners = sector.corners[_on_edge(sector)]
    points = np.concatenate([edge, corners])
    turn = np.arctan2(points @ across[1], points @ across[0])
    edge = points[np.argsort(turn, kind="stable")]
    return stereographic(np.concatenate([edge, edge[:1]]))


def inner_point(sector: Sector) -> NDArray[np.float64]:
    """A unit direction well inside the sector."""
    middle = np.asarray(sector.corners.sum(axis=0) + 1e-3 * sector.normals.sum(axis=0))
    if not sector.holds(middle[None])[0] or (sector.normals @ middle).min() < 1e-3:
        middle = sector.normals.sum(axis=0)
    return np.asarray(middle / np.linalg.norm(middle))


def draw_key(axes: Axes, sector: Sector, crystal: Crystal, *, title: str) -> None:
    """Draw the colours of a sector with the names of its corners.

    Parameters
    ----------
    axes
        The key fills it, with room for the names.
    title
        Written under the key.
    """
    outline = sector_outline(sector)
    low, high = outline.min(axis=0), outline.max(axis=0)
    step = float((high - low).max()) / _GRID
    x, y = (np.arange(a - step, b + 2 * step, step) for a, b in zip(low, high, strict=True))
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    points = grid.reshape(-1, 2)
    rgba = np.zeros((len(points), 4))
    chosen = (points**2).sum(axis=1) < 1.2
    directions = from_stereographic(points[chosen])
    # The rim is cut by the outline, not by the pixels of the picture.
    rgba[chosen, :3] = sector.colours(directions @ sector.setting)
    rgba[chosen, 3] = 1.0
    image = axes.imshow(
        rgba.reshape(*grid.shape[:2], 4),
        origin="lower",
        extent=(x[0] - step / 2, x[-1] + step / 2, y[0] - step / 2, y[-1] + step / 2),
        interpolation="bilinear",
        aspect="equal",
    )
    (edge,) = axes.fill(*outline.T, facecolor="none", edgecolor="black", linewidth=0.6)
    image.set_clip_path(edge)
    frame_sector(axes, sector, crystal, title=title)


def frame_sector(
    axes: Axes, sector: Sector, crystal: Crystal, *, title: str, names: bool = True
) -> None:
    """Name the corners of a drawn sector, and leave room for the names.

    Parameters
    ----------
    axes
        Holds the sector in stereographic projection.
    title
        Written under the sector.
    names
        Whether corners are named.
    """
    outline = sector_outline(sector)
    low, high = outline.min(axis=0), outline.max(axis=0)
    middle = (low + high) / 2
    corners = stereographic(sector.corners)
    on_edge = _on_edge(sector)
    for corner, edge, name in zip(corners, on_edge, corner_names(sector, crystal), strict=True):
        if not name or not names:
            continue
        if not edge:
            axes.plot(*corner, ".", color="black", markersize=2)
        below = not edge or corner[1] < middle[1] - 1e-6 or corner[1] < low[1] + 1e-3
        left = corner[0] < low[0] + 0.25 * (high[0] - low[0])
        right = corner[0] > high[0] - 0.25 * (high[0] - low[0])
        axes.annotate(
            name,
            corner,
            xytext=(0, -2 if below else 2),
            textcoords="offset points",
            ha="left" if left else "right" if right else "center",
            va="top" if below else "bottom",
            fontsize=6,
            annotation_clip=False,
        )
    size = high - low
    room = 0.22 * max(size[1], 0.7 * size[0])
    axes.set_xlim(low[0] - 0.02 * size[0], high[0] + 0.02 * size[0])
    axes.set_ylim(low[1] - 2 * room, high[1] + room)
    axes.set_aspect("equal")
    axes.set_anchor("S")
    axes.axis("off")
    axes.annotate(
        title, (0.5, 0.0), xycoords="axes fraction", xytext=(0, 2), textcoords="offset points",
        ha="center", va="bottom", fontsize=7, annotation_clip=False,
    )  # fmt: skip


def _on_edge(sector: Sector) -> NDArray[np.bool_]:
    """Which corners lie on the sector's edge; the axis of a half sphere is inside it."""
    return np.asarray((np.abs(sector.corners @ sector.normals.T) < 1e-6).any(axis=1))
