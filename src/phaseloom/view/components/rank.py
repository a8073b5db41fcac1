"""Choice of the number of components k: criteria against k, and the reason for the choice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.view.components.data import METRICS, Components
from phaseloom.view.pages import equal_boxes, filled_page, grid
from phaseloom.view.style import PHASE_COLOURS, publication

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CHOSEN_COLOUR = "#D55E00"
LINE_COLOUR = "#0072B2"
LIMIT_COLOUR = "#777777"
WINDOW_COLOUR = "#EFE3C8"

KNEE_WINDOW = 4
"""Range around the knee in which Cao et al. (2025) search the number of components."""

CURVES = (
    ("loss", "Fit error", "Relative error"),
    ("held_out", "Error of held-out entries", "Relative error"),
    ("stability", "Stability between halves of the scan", "Lowest cosine similarity"),
    ("redundancy", "Redundancy", "Highest cosine similarity"),
)
"""Variable, title, label of its axis."""

LETTERS_PER_LINE = 118


def rank_figure(result: Components) -> Figure:
    """All criteria against the number of components k, and the reason for the choice.

    Parameters
    ----------
    result
        With ``loss`` (k) and others, or, by the published criterion, ``loss``, ``votes`` and
        ``quality``.

    Raises
    ------
    InputError
        When the number of components was given.
    """
    if not has_sweep(result):
        raise InputError("the number of components was given: there is no choice to draw")
    plots: list[Callable[[Axes], None]] = [
        partial(_draw_curve, result=result, name=name, title=title, label=label)
        for name, title, label in CURVES
        if result.has(name)
    ]
    if "votes" in result.data:
        plots.append(partial(_draw_votes, result=result))
    # What the measures say of every k decides only where they vote.
    if "votes" in result.data and result.has("quality"):
        plots += [
            partial(_draw_quality, result=result, name=name)
            for name in METRICS
            if name in result.metrics
        ]
    with publication():
        columns = 2 if len(plots) <= 4 else 3
        boxes = equal_boxes(columns, columns=columns, left=0.58, right=0.14, gap=0.62)
        reason = fill(result.text("reason"), LETTERS_PER_LINE)
        lines = reason.count("\n") + 1 if reason else 0
        rows = grid(len(plots), boxes, height=1.45, above=0.3, below=0.36)
        head = 0.06 + 0.14 * lines
        rows[0] = replace(rows[0], above=0.3 + head)
        figure = filled_page(rows, plots)
        figure.text(0.024, 1 - 0.06 / figure.get_figheight(), reason, va="top", fontsize=7.5)
        return figure


def has_sweep(result: Components) -> bool:
    """Whether the result holds the criteria of several numbers of components."""
    return "k" in result.data.dims and result.has("loss")


def _draw_curve(axes: Axes, *, result: Components, name: str, title: str, label: str) -> None:
    """One curve against k, with its standard errors where there are any."""
    k = result.data["k"].to_numpy()
    values = result.data[name].to_numpy().astype(float)
    published = name == "loss" and result.text("choose") == "published"
    if f"{name}_error" in result.data:
        error = result.data[f"{name}_error"].to_numpy().astype(float)
        axes.errorbar(
            k, values, yerr=error, fmt="o-", color=LINE_COLOUR, capsize=1.5, elinewidth=0.7
        )
    else:
        axes.plot(k, values, "o-", color=LINE_COLOUR)
    if published:
        label = "Mean |V − WH|"
        _draw_knee(axes, result, k, values)
    if name in ("stability", "redundancy"):
        axes.set_ylim(-0.03, 1.2)
    limit = result.number(f"{name}_limit")
    if np.isfinite(limit):
        axes.axhline(limit, color=LIMIT_COLOUR, linestyle="--", linewidth=0.8)
        axes.annotate(
            f"limit {limit:g}", (1.0, limit), xycoords=("axes fraction", "data"), xytext=(-2, -2.5),
            textcoords="offset points", ha="right", va="top", fontsize=6, color=LIMIT_COLOUR,
        )  # fmt: skip
    _finish(axes, result, title=title, label=label, values=values)


def _draw_knee(
    axes: Axes, result: Components, k: NDArray[np.int64], values: NDArray[np.float64]
) -> None:
    """The knee of the published loss and the window around it."""
    knee = result.number("knee")
    if not np.isfinite(knee):
        return
    low, high = max(knee - KNEE_WINDOW, k[0]), min(knee + KNEE_WINDOW, k[-1])
    axes.axvspan(low - 0.4, high + 0.4, color=WINDOW_COLOUR, linewidth=0, zorder=0)
    axes.plot(
        knee, float(np.interp(knee, k, values)), "D", color="black", markersize=4,
        label=f"knee, {knee:g} ± {KNEE_WINDOW}",
    )  # fmt: skip
    axes.legend(loc="upper right", fontsize=6, handlelength=1.0)


def _draw_votes(axes: Axes, *, result: Components) -> None:
    """Number of measures that voted for each k."""
    from matplotlib.ticker import MaxNLocator

    k = result.data["k"].to_numpy()
    votes = result.data["votes"].transpose("metric", "k").to_numpy().astype(float)
    below = np.zeros(k.size)
    for name, row, colour in zip(
        result.data["metric"].to_numpy(), votes, PHASE_COLOURS, strict=False
    ):
        label = METRICS.get(str(name), (str(name), "", True))[0]
        axes.bar(k, row, bottom=below, color=colour, width=0.8, label=label)
        below += row
    axes.set_ylim(0, max(1.0, below.max()) * 1.6)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.legend(
        loc="upper right", bbox_to_anchor=(1.0, 0.92), ncols=4, fontsize=6, handlelength=0.8,
        columnspacing=0.8,
    )  # fmt: skip
    _finish(axes, result, title="Votes of the similarity measures", label="Votes", values=None)


def _draw_quality(axes: Axes, *, result: Components, name: str) -> None:
    """Mean of a measure between component k and all components, by which it votes."""
    values = result.data["quality"].sel(metric=name).to_numpy().astype(float)
    short, unit, larger = METRICS[name]
    axes.plot(result.data["k"].to_numpy(), values, "o-", color=LINE_COLOUR)
    alike = "high: similar" if larger else "low: similar"
    label = f"Mean with all{f' ({unit})' if unit else ''}"
    _finish(axes, result, title=f"{short}, {alike}", label=label, values=values)


def _finish(
    axes: Axes,
    result: Components,
    *,
    title: str,
    label: str,
    values: NDArray[np.float64] | None,
) -> None:
    """Mark the chosen k; label the axes."""
    from matplotlib.ticker import MaxNLocator

    chosen = int(result.data.attrs.get("k", result.k))
    k = result.data["k"].to_numpy()
    axes.axvline(chosen, color=CHOSEN_COLOUR, linewidth=1.0, zorder=1)
    if values is not None and chosen in k:
        axes.plot(
            chosen, values[int(np.flatnonzero(k == chosen)[0])], "o", color=CHOSEN_COLOUR,
            markersize=4.5, zorder=4,
        )  # fmt: skip
    aside = -1 if chosen > (k[0] + 3 * k[-1]) / 4 else 1
    axes.annotate(
        f"k = {chosen}", (chosen, 1.0), xycoords=("data", "axes fraction"), xytext=(3 * aside, -1),
        textcoords="offset points", ha="left" if aside > 0 else "right", va="top", fontsize=6,
        color=CHOSEN_COLOUR, annotation_clip=False,
    )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 4, 5, 10]))
    axes.set_xlim(k[0] - 0.7, k[-1] + 0.7)
    axes.set_xlabel("Number of components k")
    axes.set_ylabel(label)
    axes.set_title(title, loc="left")
