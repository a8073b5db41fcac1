"""Observed peaks of single pixels overlaid with the simulated spots of their solutions."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.view.orientation.data import Oriented
from phaseloom.view.orientation.sectors import indices_text
from phaseloom.view.pages import equal_boxes, filled_page, grid
from phaseloom.view.panels import frame_image
from phaseloom.view.style import draw_bar, publication

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from phaseloom.crystals import Crystal

MOST = 6
"""Largest number of patterns in the figure."""

LABELS = 12
"""Largest number of spots with Miller indices in a pattern; the strongest are labelled."""

PEAK_COLOUR = "#0072B2"
SPOT_COLOUR = "#D55E00"


def indexed_patterns_figure(result: Oriented) -> Figure:
    """Observed peaks as circles, simulated spots as crosses, indices at the strongest.

    Parameters
    ----------
    result
        Its ``sample`` holds ``peak_ky``, ``peak_kx``,
        ``peak_intensity`` (sample, peak) and ``spot_ky``, ``spot_kx``, ``spot_intensity`` (sample,
        spot), NaN where there are fewer; ``spot_hkl`` (sample, spot, 3); indices ``y``, ``x`` of
        the scan position, ``zone`` and ``crystal`` (sample).

    Returns
    -------
    matplotlib.figure.Figure
        ky grows downwards, as in the patterns; one scale for all.

    Raises
    ------
    InputError
        When the result holds no such sample.
    """
    sample = result.sample
    if sample is None or sample.sizes.get("sample", 0) == 0:
        raise InputError(
            "the result holds no sample patterns of the orientation map", "index it again"
        )
    count = min(MOST, sample.sizes["sample"])
    columns = 2 if count in (1, 2, 4) else 3
    boxes = equal_boxes(columns, columns=columns)
    reach = 1.06 * max(
        float(np.nanmax(np.abs(sample[name].to_numpy()), initial=1e-3))
        for name in ("peak_ky", "peak_kx", "spot_ky", "spot_kx")
    )
    with publication():
        draws = [
            partial(_draw_pattern, result=result, pattern=sample.isel(sample=index), reach=reach)
            for index in range(count)
        ]
        figure = filled_page(grid(count, boxes, height=boxes[0][1]), draws, below=0.2)
        figure.legend(
            handles=_handles(), loc="lower center", ncols=3, bbox_to_anchor=(0.5, 0.0),
            borderaxespad=0.2, columnspacing=1.6, handletextpad=0.3,
        )  # fmt: skip
        return figure


def _draw_pattern(axes: Axes, *, result: Oriented, pattern: xr.Dataset, reach: float) -> None:
    peaks = _columns(pattern, "peak")
    spots = _columns(pattern, "spot")
    y, x, number = (int(pattern[name]) for name in ("y", "x", "crystal"))
    axes.scatter(
        peaks[1], peaks[0], s=_areas(peaks[2], 7.0, 90.0), facecolors="none",
        edgecolors=PEAK_COLOUR, linewidths=0.8, gid="peaks",
    )  # fmt: skip
    axes.scatter(
        spots[1], spots[0], s=_areas(spots[2], 3.0, 28.0), marker="x", color=SPOT_COLOUR,
        linewidths=0.7, gid="spots",
    )  # fmt: skip
    axes.plot([0], [0], "+", color="black", markersize=5, markeredgewidth=0.7, gid="direct-beam")
    axes.set_xlim(-reach, reach)
    axes.set_ylim(reach, -reach)
    axes.set_aspect("equal")
    probability = ""
    if result.has("probability"):
        value = float(result.data["probability"][y, x])
        probability = ", p > 0.99" if value >= 0.995 else f", p = {value:.2f}"
    name = result.names[number] if 0 <= number < len(result.crystals) else "unindexed"
    zone = str(pattern["zone"].item()) if number >= 0 else ""
    frame_image(axes, title=f"y {y}, x {x}: {name} {zone}{probability}")
    draw_bar(axes, (-reach, reach), units=str(pattern["peak_kx"].attrs.get("units", "Å⁻¹")))
    if number >= 0 and "spot_hkl" in pattern:
        hkl = pattern["spot_hkl"].to_numpy()[np.isfinite(pattern["spot_ky"].to_numpy())]
        _name_spots(axes, result.crystals[number], spots, hkl, reach)


def _name_spots(
    axes: Axes,
    crystal: Crystal,
    spots: NDArray[np.float64],
    hkl: NDArray[np.float64],
    reach: float,
) -> None:
    """Write Miller indices beside the strongest spots, where they do not overlap others."""
    from matplotlib.patheffects import withStroke

    figure: Any = axes.get_figure(root=True)
    inches = axes.get_position().width * figure.get_figwidth()
    step = 2 * reach / (72 * inches)  # of a point
    taken = [(-reach, reach - 17 * step, -reach + 0.45 * 2 * reach, reach)]  # the scale bar
    order = np.argsort(-spots[2], kind="stable")
    named = 0
    for spot in order:
        if named == LABELS:
            break
        ky, kx, _ = spots[:, spot]
        length = sum(len(str(abs(int(i)))) for i in hkl[spot]) + 1.0
        wide, high = 3.9 * length * step, 7.5 * step
        for low in (ky - 4.5 * step - high, ky + 4.5 * step):
            box = (kx - wide / 2, low, kx + wide / 2, low + high)
            if max(abs(box[0]), abs(box[2]), abs(box[1]), abs(box[3])) > 0.99 * reach:
                continue
            if any(_meet(box, other) for other in taken):
                continue
            others = np.delete(np.arange(spots.shape[1]), spot)
            if _inside(box, spots[1, others], spots[0, others]) or _inside(
                box, np.zeros(1), np.zeros(1)
            ):
                continue
            taken.append(box)
            axes.text(
                kx, low + high / 2, indices_text(crystal, hkl[spot], "  "), fontsize=5.5,
                ha="center", va="center", gid="hkl",
                path_effects=[withStroke(linewidth=1.2, foreground="white")],
            )  # fmt: skip
            named += 1
            break


def _meet(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return (
        min(one[2], other[2]) > max(one[0], other[0])
        and min(one[3], other[3]) > max(one[1], other[1])
    )  # fmt: skip


def _inside(box: tuple[float, ...], x: NDArray[np.float64], y: NDArray[np.float64]) -> bool:
    return bool(((x > box[0]) & (x < box[2]) & (y > box[1]) & (y < box[3])).any())


def _columns(pattern: xr.Dataset, kind: str) -> NDArray[np.float64]:
    """(3, n): ky, kx, intensity of the rows that are not NaN."""
    table = np.stack(
        [
            pattern[f"{kind}_{name}"].to_numpy().astype(np.float64)
            for name in ("ky", "kx", "intensity")
        ]
    )
    return np.asarray(table[:, np.isfinite(table[0])])


def _areas(intensity: NDArray[np.float64], least: float, most: float) -> NDArray[np.float64]:
    """Marker areas in square points, linear in the amplitude (square root of intensity)."""
    amplitude = np.sqrt(np.clip(np.nan_to_num(intensity), 0.0, None))
    return np.asarray(least + (most - least) * amplitude / (amplitude.max(initial=0.0) or 1.0))


def _handles() -> list[Any]:
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], marker="o", linestyle="", markerfacecolor="none",
               markeredgecolor=PEAK_COLOUR, markeredgewidth=0.8, markersize=6,
               label="observed peak"),
        Line2D([], [], marker="x", linestyle="", color=SPOT_COLOUR, markeredgewidth=0.7,
               markersize=4, label="simulated spot of the solution"),
        Line2D([], [], marker="+", linestyle="", color="black", markeredgewidth=0.7,
               markersize=5, label="direct beam"),
    ]  # fmt: skip
