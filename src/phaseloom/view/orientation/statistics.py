"""Histograms over an orientation map: probability, scores, misorientations, grain sizes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.view.orientation.boundaries import HIGH_ANGLE, neighbours
from phaseloom.view.orientation.data import Oriented
from phaseloom.view.orientation.panels import map_page
from phaseloom.view.style import field_of_view, phase_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

SCORES = (
    ("probability", "Probability", 1.0),
    ("correlation", "Correlation index Q", 1.0),
    ("orientation_reliability", "Orientation reliability", 100.0),
)
"""Variable, label, largest value."""


def statistics_figure(result: Oriented) -> Figure:
    """Histograms by phase, and the probability of the solutions by rank.

    Raises
    ------
    InputError
        When it holds nothing to count.
    """
    plots = distributions(result)
    if not plots:
        raise InputError(
            "the orientation map holds no values for histograms", "index the scan again"
        )
    figure = map_page(result, [], plots=plots)
    if len(result.crystals) > 1:
        figure.axes[0].legend(loc="upper left", handlelength=1.0, fontsize=6, borderaxespad=0.2)
    return figure


def distributions(result: Oriented) -> list[Callable[[Axes], None]]:
    """Functions that draw the distributions for which the map holds data."""
    plots: list[Callable[[Axes], None]] = [
        partial(_draw_score, result=result, name=name, label=label, most=most)
        for name, label, most in SCORES
        if result.has(name)
    ]
    pairs = neighbours(result)
    if np.isfinite(pairs.angle).any():
        plots.append(partial(_draw_angles, result=result, angle=pairs.angle, phase=pairs.phase))
    if result.grain is not None and (result.grain >= 0).any():
        plots.append(partial(_draw_sizes, result=result, grain=result.grain))
    if result.has("solution_probability") and result.data.sizes["solution"] > 1:
        plots.append(partial(_draw_ranks, result=result))
    return plots


def grain_sizes(
    result: Oriented, grain: NDArray[np.int64]
) -> tuple[Floats, NDArray[np.int64], str]:
    """Equivalent circle diameters of the grains, their phases, and the unit of length.

    Parameters
    ----------
    grain
        (y, x) numbers, −1 unindexed.
    """
    inside = grain >= 0
    _, first, pixels = np.unique(grain[inside], return_index=True, return_counts=True)
    left, right, bottom, top = field_of_view(result.data)
    area = (right - left) * (top - bottom) / grain.size
    units = str(result.data["x"].attrs.get("units", "px"))
    diameter = np.sqrt(4 * pixels * area / np.pi)
    return diameter, result.phase[inside][first], units


def _draw_score(axes: Axes, *, result: Oriented, name: str, label: str, most: float) -> None:
    edges = np.linspace(0.0, most, 51)
    pixels = result.phase.size
    _histograms(axes, result, result.values(name), result.phase, edges, share_of=pixels)
    axes.set_xlim(0.0, most)
    axes.set_xlabel(label)
    _percent_axis(axes, "Pixels per bin (%)")


def _draw_angles(axes: Axes, *, result: Oriented, angle: Floats, phase: NDArray[np.int64]) -> None:
    """Misorientations of neighbours; logarithmic, as few pairs lie across boundaries."""
    highest = max(62.0, float(np.nanmax(angle)) + 1.0)
    edges = np.arange(0.0, highest + 1.0)
    _histograms(axes, result, angle, phase, edges)
    axes.axvline(HIGH_ANGLE, color="#999999", linewidth=0.6, linestyle=":")
    axes.set_yscale("symlog", linthresh=1.0)
    axes.set_ylim(0.0, None)
    axes.set_yticks([0, *(10.0**p for p in range(int(np.log10(max(10, axes.get_ylim()[1]))) + 1))])
    axes.minorticks_off()
    axes.set_xlim(0.0, edges[-1])
    axes.set_xlabel("Misorientation of neighbours (°)")
    axes.set_ylabel("Pairs per degree")


def _draw_ranks(axes: Axes, *, result: Oriented) -> None:
    """Median and quartiles of the probability by rank, for ambiguous and other pixels."""
    chances = result.data["solution_probability"].transpose("solution", "y", "x").to_numpy()
    chances = np.where(result.indexed, np.nan_to_num(chances.astype(np.float64)), np.nan)
    ambiguous = (
        result.data["ambiguous"].to_numpy().astype(bool) & result.indexed
        if "ambiguous" in result.data
        else np.zeros(result.shape, dtype=bool)
    )
    ranks = np.arange(1, len(chances) + 1)
    for chosen, label, colour, shift in (
        (result.indexed & ~ambiguous, "others", "#0072B2", -0.06),
        (ambiguous, "ambiguous", "#D55E00", 0.06),
    ):
        if not chosen.any():
            continue
        low, middle, high = np.percentile(chances[:, chosen], [25, 50, 75], axis=1)
        axes.errorbar(
            ranks + shift, middle, yerr=[middle - low, high - middle], fmt="o-", color=colour,
            markersize=3, linewidth=0.8, elinewidth=0.8, capsize=1.5,
            label=f"{label}, {chosen.sum():,}",
        )  # fmt: skip
    axes.set_xticks(ranks)
    axes.set_xlim(0.6, ranks[-1] + 0.4)
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("Rank of the solution")
    axes.set_ylabel("Probability")
    axes.legend(loc="upper right", handlelength=1.0, fontsize=6, borderaxespad=0.1)


def _draw_sizes(axes: Axes, *, result: Oriented, grain: NDArray[np.int64]) -> None:
    from matplotlib.ticker import MaxNLocator

    diameter, phase, units = grain_sizes(result, grain)
    edges = np.linspace(0.0, 1.02 * float(diameter.max()), 21)
    _histograms(axes, result, diameter, phase, edges)
    axes.set_xlim(0.0, edges[-1])
    axes.set_ylim(0.0, None)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_xlabel(f"Equivalent grain diameter ({units})")
    axes.set_ylabel("Grains")


def _histograms(
    axes: Axes,
    result: Oriented,
    values: Floats,
    phase: NDArray[np.int64],
    edges: Floats,
    *,
    share_of: int = 1,
) -> None:
    """Histogram of the finite values of every phase; counts, or shares of a number."""
    for number, colour in enumerate(phase_colours(len(result.crystals))):
        chosen = values[(phase == number) & np.isfinite(values)]
        if chosen.size:
            counts = np.histogram(chosen, bins=edges)[0] / share_of
            axes.stairs(counts, edges, color=colour, fill=True, alpha=0.18)
            axes.stairs(counts, edges, color=colour, linewidth=0.9, label=result.names[number])


def _percent_axis(axes: Axes, label: str) -> None:
    axes.set_ylim(0.0, None)
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}")
    axes.set_ylabel(label)
