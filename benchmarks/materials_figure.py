"""Figure of the comparison on other materials: wrong answers, phases, and what Q says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from comparison_outcome import Outcome
from phaseloom.view.style import PAGE_WIDTH, publication

COLOURS = {
    "raw": "#BBBBBB",
    "3 × 3 mean": "#777777",
    "background off": "#56B4E9",
    "registered, rebuilt": "#009E73",
    "ePattern's defaults, rebuilt": "#F0B58F",
    "ePattern's README, rebuilt": "#D55E00",
    "py4DSTEM, rebuilt": "#E69F00",
    "peaks, matching": "#CC79A7",
    "peaks, refined": "#0072B2",
}


def draw(scans: list[tuple[str, list[Outcome], Any]], path: Path) -> None:
    """Wrong answers and wrong phases (%) and phase reliability, by scan and way."""
    import matplotlib.pyplot as plt

    with publication():
        figure, axes = plt.subplots(
            1, 3, figsize=(PAGE_WIDTH, 0.6 + 0.72 * len(scans)), layout="constrained", sharey=True
        )
        for axis, letter, title, value in (
            (axes[0], "a", "wrong, orientation or phase (%)", _wrong),
            (axes[1], "b", "wrong phase (%)", _wrong_phase),
            (axes[2], "c", "phase reliability, median", _reliability),
        ):
            _bars(axis, scans, value)
            axis.set_xlabel(title)
            axis.set_title(letter, loc="left", fontweight="bold")
        axes[0].set_yticks(
            range(len(scans)), [name.replace("; ", "\n").replace(", ", "\n") for name, *_ in scans]
        )
        axes[0].set_ylim(len(scans) - 0.5, -0.5)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=6)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=220)
        plt.close(figure)


def _bars(axis: Any, scans: list[tuple[str, list[Outcome], Any]], value: Any) -> None:
    for number, (name, colour) in enumerate(COLOURS.items()):
        chosen = [
            (place, value(o))
            for place, (_, outcomes, _) in enumerate(scans)
            for o in outcomes
            if o.name == name
        ]
        height = 0.86 / len(COLOURS)
        places = np.array([place for place, _ in chosen]) + (number + 0.5) * height - 0.43
        axis.barh(places, [v for _, v in chosen], height, color=colour, label=name)
    for place in range(len(scans) - 1):
        axis.axhline(place + 0.5, color="0.7", linewidth=0.4)
    axis.tick_params(axis="y", length=0)
    axis.margins(x=0.02)
    axis.set_xlim(left=0)


def _wrong(outcome: Outcome) -> float:
    return 100 * float((~outcome.right).mean())


def _wrong_phase(outcome: Outcome) -> float:
    return 100 * float((~outcome.phase_right).mean())


def _reliability(outcome: Outcome) -> float:
    return float(np.nanmedian(outcome.phase_reliability))
