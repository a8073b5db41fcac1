"""Pole figures and inverse pole figures: densities of directions, and their drawing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.errors import InputError
from phaseloom.view.orientation.data import Oriented
from phaseloom.view.orientation.keys import frame_sector, sector_outline
from phaseloom.view.orientation.sectors import (
    Sector,
    from_stereographic,
    indices_text,
    rotated,
)
from phaseloom.view.pages import Row, page, panel_letter
from phaseloom.view.style import OUTSIDE_COLOUR, PAGE_WIDTH, publication

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from phaseloom.crystals import Crystal

Floats = NDArray[np.float64]

WIDTH = 3.0
"""Standard deviation of the Gaussian smoothing, in degrees."""

LEAST = 0.5
"""Lower end of the colour scale, in multiples of a random texture."""

CELLS = 256
"""Cells across the equal-area projection of the hemisphere."""

_CUBIC = ((0, 0, 1), (0, 1, 1), (1, 1, 1))
_UNIAXIAL = ((0, 0, 1), (1, 0, 0), (1, 1, 0))
_OTHER = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


def poles_figure(result: Oriented) -> Figure:
    """Pole figures and inverse pole figures of every phase, in multiples of a random texture.

    Returns
    -------
    matplotlib.figure.Figure
        Per phase the poles of three families of planes over the sample's hemisphere along the
        beam (equal area; x to the right, y down, z into the page), and the crystal directions
        along x, y and z.

    Raises
    ------
    InputError
        When no pixel is indexed.
    """
    mapped = [n for n in range(len(result.crystals)) if (result.phase == n).any()]
    if not mapped:
        raise InputError("no pixel is indexed: there are no pole figures to draw")
    wide, gap, left = 0.98, 0.09, 0.15
    boxes = tuple((left + i * (wide + gap), wide) for i in range(6))
    with publication():
        figure, axes = page(
            [Row(boxes=boxes, height=wide + 0.06, above=0.4, below=0.04) for _ in mapped]
        )
        for index, (row, number) in enumerate(zip(axes, mapped, strict=True)):
            _draw_phase(row, result, number, panel_letter(index))
        return figure


def families(laue: str) -> tuple[tuple[int, int, int], ...]:
    """Three families of planes that show the texture of crystals of this Laue class."""
    if laue in ("m-3", "m-3m"):
        return _CUBIC
    return _OTHER if laue in ("-1", "2/m", "mmm") else _UNIAXIAL


def poles(crystal: Crystal, indices: ArrayLike, rotations: ArrayLike) -> Floats:
    """Unit normals of all planes of a family in the sample, on the hemisphere z ≥ 0.

    Parameters
    ----------
    indices
        (3,) of one plane.
    rotations
        (n, 4) unit quaternions, v_crystal = R v_sample.

    Returns
    -------
    numpy.ndarray
        (n · m, 3): x (right), y (down), z (along the beam).
    """
    normal = np.asarray(indices, dtype=np.float64) @ crystal.reciprocal
    copies = crystal.laue_rotations @ (normal / np.linalg.norm(normal))
    # One of every pair of opposite normals, each once.
    alike = np.abs(copies @ copies.T) > 1 - 1e-6
    copies = copies[alike.argmax(axis=1) == np.arange(len(copies))]
    columns = np.stack([rotated(rotations, axis) for axis in range(3)], axis=-1)
    # Rᵀ g for each of them.
    normals = np.einsum("nij,mi->nmj", columns, copies, optimize=True).reshape(-1, 3)
    return np.asarray(np.where(normals[:, 2:] < 0, -normals, normals))


def equal_area(directions: ArrayLike) -> Floats:
    """Lambert's projection (n, 2) of unit directions with z ≥ 0 into a circle of radius 1."""
    v = np.asarray(directions, dtype=np.float64)
    return np.asarray(v[:, :2] / np.sqrt(1.0 + v[:, 2:]))


def from_equal_area(points: ArrayLike) -> Floats:
    """Unit directions (n, 3) of points (n, 2) of Lambert's projection."""
    p = np.asarray(points, dtype=np.float64)
    square = np.minimum((p**2).sum(axis=1, keepdims=True), 1.0)
    return np.concatenate([p * np.sqrt(2.0 - square), 1.0 - square], axis=1)


def density(directions: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Density of directions over the hemisphere z ≥ 0, in multiples of a random one.

    Parameters
    ----------
    directions
        (n, 3) unit vectors with z ≥ 0; a direction and its opposite are one.
    weights
        (n,).

    Returns
    -------
    numpy.ndarray
        (CELLS, CELLS) over y and x of Lambert's projection, from −1 to 1, smoothed by ``WIDTH``;
        NaN outside its circle.
    """
    from scipy.ndimage import gaussian_filter

    # Beyond the rim lie the opposites of what is inside it: with them the rim is no edge.
    at = equal_area(directions)
    square = (at**2).sum(axis=1)
    near = square > 0.6
    beyond = -at[near] * np.sqrt(2.0 / square[near] - 1.0)[:, None]
    mass = np.ones(len(at)) if weights is None else np.asarray(weights, dtype=np.float64)
    edge = CELLS // 8
    reach = 1.0 + 2.0 * edge / CELLS
    cells = CELLS + 2 * edge
    counts = _counted(
        np.concatenate([at, beyond]), np.concatenate([mass, mass[near]]), reach, cells
    )
    # Near the centre a radian is √½ of the projection's radius.
    sigma = np.radians(WIDTH) / np.sqrt(2.0) * CELLS / 2.0
    middle = slice(edge, edge + CELLS)
    smooth = gaussian_filter(counts, sigma, mode="constant")[middle, middle]
    expected = mass.sum() / (np.pi * (CELLS / 2.0) ** 2)
    places = (np.arange(CELLS) + 0.5) * 2.0 / CELLS - 1.0
    outside = places[:, None] ** 2 + places**2 > 1.0
    return np.where(outside, np.nan, np.maximum(smooth / expected, 1e-6))


def sector_density(sector: Sector, directions: ArrayLike) -> Floats:
    """Density of crystal directions over the hemisphere, with the crystal's symmetry.

    Parameters
    ----------
    directions
        As for :meth:`~phaseloom.view.orientation.sectors.Sector.colours`.

    Returns
    -------
    numpy.ndarray
        As :func:`density`, in the axes of the sector.
    """
    at = equal_area(sector.folded(directions))
    counts = _counted(at, np.ones(len(at)), 1.0, 2 * CELLS)
    row, column = np.nonzero(counts)
    filled = from_equal_area((np.stack([column, row], axis=-1) + 0.5) / CELLS - 1.0)
    copies = np.einsum("sij,nj->sni", sector.operations, filled, optimize=True).reshape(-1, 3)
    weights = np.tile(counts[row, column], len(sector.operations))
    upper = copies[:, 2] >= 0
    return density(copies[upper], weights[upper])


def _counted(points: Floats, weights: Floats, reach: float, cells: int) -> Floats:
    """(cells, cells) sums of weights over y and x, from −reach to reach."""
    column, row = np.clip((points + reach) / (2 * reach) * cells, 0, cells - 1).astype(np.int64).T
    counts = np.bincount(row * cells + column, weights=weights, minlength=cells * cells)
    return np.asarray(counts.reshape(cells, cells), dtype=np.float64)


def _draw_phase(axes: list[Axes], result: Oriented, number: int, name: str) -> None:
    """One row: three pole figures and three inverse pole figures on one colour scale."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm

    crystal, sector = result.crystals[number], result.sectors[number]
    rotations = result.rotation[result.phase == number]
    planes = families(sector.laue.name)
    spread = [density(poles(crystal, hkl, rotations)) for hkl in planes]
    inverse = [sector_density(sector, rotated(rotations, axis)) for axis in range(3)]
    most = max(float(np.nanmax(values)) for values in (*spread, *inverse))
    most = max(most, 4 * LEAST)
    norm = LogNorm(LEAST, most)
    for place, hkl, values in zip(axes, planes, spread, strict=False):
        _draw_poles(place, values, norm)
        place.set_title(indices_text(crystal, hkl, "{}"), loc="center")
    for axis, (place, values) in enumerate(zip(axes[3:], inverse, strict=True)):
        _draw_inverse(place, values, sector, crystal, norm, "xyz"[axis])
    heading = f"{crystal.name}, {len(rotations):,} pixels"
    for text, across, size, weight in ((name, 0, 8, "bold"), (heading, 9, 7, "normal")):
        axes[0].annotate(
            text, (0.0, 1.0), xycoords="axes fraction", xytext=(across, 14),
            textcoords="offset points", fontsize=size, fontweight=weight, annotation_clip=False,
        )  # fmt: skip
    figure: Any = axes[0].get_figure(root=True)
    box = axes[5].get_position()
    bar = figure.add_axes(
        (1 - 0.44 / PAGE_WIDTH, box.y0 + 0.2 * box.height, 0.07 / PAGE_WIDTH, 0.75 * box.height)
    )
    figure.colorbar(ScalarMappable(norm, _colours()), cax=bar, label="× random", extend="min")
    bar.minorticks_off()
    ticks = [t for t in (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500) if LEAST <= t <= most]
    ticks = ticks if len(ticks) <= 5 else ticks[:: -(-len(ticks) // 5)]
    bar.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    bar.tick_params(length=1.5, pad=1)


def _colours() -> Any:
    import matplotlib as mpl

    return mpl.colormaps["magma_r"].with_extremes(bad="#FFFFFF00", under=OUTSIDE_COLOUR)


def _draw_poles(axes: Axes, values: Floats, norm: Any) -> None:
    """One pole figure: x to the right and y down, as the scan is drawn."""
    from matplotlib.patches import Circle

    image = axes.imshow(
        values, cmap=_colours(), norm=norm, origin="upper", extent=(-1, 1, 1, -1),
        interpolation="bilinear", aspect="equal",
    )  # fmt: skip
    rim = Circle((0, 0), 1.0, facecolor="none", edgecolor="black", linewidth=0.6)
    axes.add_patch(rim)
    image.set_clip_path(rim)
    axes.plot([0], [0], "+", color="#777777", markersize=3, markeredgewidth=0.5)
    for name, at, align in (("x", (1.03, 0.0), "left"), ("y", (0.0, 1.03), "center")):
        axes.annotate(
            name, at, ha=align, va="center" if align == "left" else "top", fontsize=6,
            annotation_clip=False,
        )  # fmt: skip
    axes.set_xlim(-1.02, 1.12)
    axes.set_ylim(1.2, -1.02)
    axes.set_anchor("N")
    axes.axis("off")


def _draw_inverse(
    axes: Axes, values: Floats, sector: Sector, crystal: Crystal, norm: Any, axis: str
) -> None:
    """One inverse pole figure, in the projection of the colour keys."""
    from scipy.ndimage import map_coordinates

    outline = sector_outline(sector)
    low, high = outline.min(axis=0), outline.max(axis=0)
    step = float((high - low).max()) / 200
    x, y = (np.arange(a - step, b + 2 * step, step) for a, b in zip(low, high, strict=True))
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    points = grid.reshape(-1, 2)
    radius = np.sqrt((points**2).sum(axis=1, keepdims=True))
    points = points / np.maximum(1.0, radius * 1.004)
    at = (equal_area(from_stereographic(points)) + 1.0) / 2.0 * CELLS - 0.5
    known = np.nan_to_num(values, nan=float(np.nanmedian(values)))
    drawn = map_coordinates(known, [at[:, 1], at[:, 0]], order=1, mode="nearest")
    image = axes.imshow(
        drawn.reshape(grid.shape[:2]), cmap=_colours(), norm=norm, origin="lower",
        extent=(x[0] - step / 2, x[-1] + step / 2, y[0] - step / 2, y[-1] + step / 2),
        interpolation="bilinear", aspect="equal",
    )  # fmt: skip
    (edge,) = axes.fill(*outline.T, facecolor="none", edgecolor="black", linewidth=0.6)
    image.set_clip_path(edge)
    frame_sector(axes, sector, crystal, title="")
    axes.set_title(f"along {axis}", loc="center")
    axes.set_anchor("N")
