"""Figure of the comparison of images and peaks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from comparison_outcome import Outcome
from phaseloom.view.style import PAGE_WIDTH, publication

RIGHT_COLOUR, WRONG_COLOUR = "#0072B2", "#D55E00"
FEW = 5
"""Fewer values have no median worth drawing."""


def draw(outcomes: list[Outcome], inside: Any, path: Path) -> None:
    """Q and reliabilities of right and wrong answers, errors, and how well Q ranks them.

    ``inside``: which patterns have all their neighbours in the same grain.
    """
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    with publication():
        figure, axes = plt.subplots(2, 3, figsize=(PAGE_WIDTH, 5.2), layout="constrained")
        panels = axes.ravel()
        names = [o.name for o in outcomes]
        for axis, values, title in (
            (panels[0], [o.quality for o in outcomes], "correlation index Q"),
            (panels[1], [o.orientation_reliability for o in outcomes], "orientation reliability"),
            (panels[2], [o.phase_reliability for o in outcomes], "phase reliability"),
        ):
            _violins(axis, values, outcomes)
            axis.set_xlabel(title)
        _errors(panels[3], outcomes, inside)
        _angles(panels[4], outcomes)
        _sorted(panels[5], outcomes)
        for axis in (panels[0], panels[3]):
            axis.set_yticks(range(len(names)), names)
        for axis in (panels[1], panels[2]):
            axis.set_yticks(range(len(names)), [""] * len(names))
        for axis, letter in zip(panels, "abcdef", strict=True):
            axis.set_title(letter, loc="left", fontweight="bold")
        sides = [
            Patch(color=colour, label=label)
            for colour, label in ((RIGHT_COLOUR, "right"), (WRONG_COLOUR, "wrong"))
        ]
        panels[0].legend(handles=sides, loc="upper left", fontsize=6, handlelength=1.0)
        lines = panels[4].get_legend_handles_labels()[0]
        figure.legend(handles=lines, loc="outside lower center", ncols=len(lines) // 2)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=220)
        plt.close(figure)


def _violins(axis: Any, values: list[Any], outcomes: list[Outcome]) -> None:
    """Right answers above the line of each way, wrong ones below, areas by their numbers."""
    for place, (v, o) in enumerate(zip(values, outcomes, strict=True)):
        ends = np.nanmin(v), np.nanmax(v)
        grid = np.linspace(*ends, 80)
        width = 0.06 * max(ends[1] - ends[0], 1e-9)
        for chosen, colour, sign in ((o.right, RIGHT_COLOUR, -1.0), (~o.right, WRONG_COLOUR, 1.0)):
            these = v[chosen & np.isfinite(v)]
            if these.size == 0:
                continue
            height = np.exp(-0.5 * ((grid[:, None] - these) / width) ** 2).sum(axis=1)
            full = np.exp(-0.5 * ((grid[:, None] - v[np.isfinite(v)]) / width) ** 2).sum(axis=1)
            axis.fill_between(
                grid, place, place + sign * 0.42 * height / full.max(), color=colour, linewidth=0
            )
            if these.size < FEW:
                continue
            side = place + sign * 0.2
            axis.plot(np.median(these), side, "o", color="white", markersize=2.6, zorder=4)
            axis.plot(np.median(these), side, "o", color="black", markersize=1.4, zorder=5)
        axis.axhline(place, color="0.6", linewidth=0.4, zorder=0)
    axis.set_ylim(len(outcomes) - 0.45, -0.55)
    axis.tick_params(axis="y", length=0)


def _errors(axis: Any, outcomes: list[Outcome], inside: Any) -> None:
    places = np.arange(len(outcomes))
    wrong = [100 * float((~o.right).mean()) for o in outcomes]
    within = [100 * float((~o.right[inside]).mean()) for o in outcomes]
    phase = [100 * float((~o.phase_right).mean()) for o in outcomes]
    for shift, shares, colour, label in (
        (-0.27, wrong, WRONG_COLOUR, "orientation or phase"),
        (0.0, within, "#F0B58F", "the same, inside grains"),
        (0.27, phase, "#56B4E9", "phase"),
    ):
        axis.barh(places + shift, shares, 0.25, color=colour, label=label)
        for place, share in zip(places + shift, shares, strict=True):
            axis.annotate(
                f"{share:.1f}", (share, place), (2, 0), textcoords="offset points",
                va="center", fontsize=4.5,
            )  # fmt: skip
    axis.set_ylim(len(outcomes) - 0.45, -0.55)
    axis.set_xlim(0, 1.2 * max([*wrong, *phase, 1.0]))
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel("wrong (%)")
    axis.legend(loc="lower right", fontsize=6, handlelength=1.0)


def _colours(outcomes: list[Outcome]) -> list[str]:
    shades = (
        "#C9B8A8",
        "#BBBBBB",
        "#777777",
        "#56B4E9",
        "#009E73",
        "#E69F00",
        "#CC79A7",
        "#0072B2",
    )
    return list(shades[: len(outcomes)])


def _angles(axis: Any, outcomes: list[Outcome]) -> None:
    """Cumulative distribution of the error of the orientation."""
    for o, colour in zip(outcomes, _colours(outcomes), strict=True):
        angle = np.sort(np.maximum(o.angle, 1e-3))
        share = 100 * (np.arange(angle.size) + 1) / angle.size
        axis.step(angle, share, where="post", color=colour, label=o.name)
    axis.axvline(3.0, color="0.6", linewidth=0.5, linestyle="--")
    axis.set_xscale("log")
    axis.set_xlim(0.01, 120)
    axis.set_xticks([0.01, 0.1, 1, 10, 100], ["0.01", "0.1", "1", "10", "100"])
    axis.set_ylim(0, 101)
    axis.set_xlabel("error of the orientation (°)")
    axis.set_ylabel("patterns (%)")


def _sorted(axis: Any, outcomes: list[Outcome]) -> None:
    """Share of wrong answers among the surest, by Q (thin), reliability and probability."""
    for o, colour in zip(outcomes, _colours(outcomes), strict=True):
        scores = [(o.quality, "-")] if o.probability is None else [
            (o.quality, ":"), (o.probability, "-")
        ]  # fmt: skip
        for score, style in scores:
            order = np.argsort(-np.nan_to_num(score, nan=-1.0), kind="stable")
            wrong = np.cumsum(~o.right[order]) / (np.arange(order.size) + 1)
            kept = 100 * (np.arange(order.size) + 1) / order.size
            first = order.size // 20
            axis.plot(kept[first:], 100 * wrong[first:], style, color=colour)
    axis.set_xlim(0, 100)
    axis.set_ylim(bottom=-1)
    axis.set_xlabel("patterns kept, highest Q first (%)")
    axis.set_ylabel("wrong among them (%)")
