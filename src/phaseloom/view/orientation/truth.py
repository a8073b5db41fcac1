"""Comparison of an orientation map with the simulated ground truth."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.view.orientation.data import Oriented, quaternions
from phaseloom.view.orientation.panels import class_panel, map_page, scalar_panel
from phaseloom.view.style import OUTSIDE_COLOUR, VALUE_MAP, luminance, phase_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

RIGHT_WITHIN = 3.0
"""Largest misorientation of a right orientation, in degrees."""

VERDICTS = (
    (0, f"right within {RIGHT_WITHIN:g}°", "#0072B2"),
    (1, "orientation wrong", "#E69F00"),
    (2, "phase wrong", "#D55E00"),
    (3, "indexed, no crystal there", "#332288"),
    (4, "crystal not indexed", "#AAAAAA"),
    (5, "no crystal, not indexed", OUTSIDE_COLOUR),
)


def truth_figure(result: Oriented) -> Figure:
    """Errors of the map of a simulated scan, and the calibration of its probability.

    Parameters
    ----------
    result
        With ``true_phase`` (y, x) and ``true_rotation`` (y, x, quaternion).

    Returns
    -------
    matplotlib.figure.Figure
        What is right, the misorientation, its distribution, the phases' confusion, and the share
        of right pixels against the probability.

    Raises
    ------
    InputError
        When there is no truth.
    """
    if not has_truth(result):
        raise InputError("the orientation map has no ground truth to compare with")
    angle, verdict = true_angles(result), verdicts(result)
    plots = [
        partial(_draw_angles, result=result, angle=angle),
        partial(_draw_confusion, result=result),
    ]
    if result.has("probability"):
        plots.append(partial(_draw_calibration, result=result, right=verdict == 0))
    return map_page(
        result,
        [
            class_panel(result, verdict, VERDICTS, title="Right and wrong pixels"),
            scalar_panel(
                result, angle, title="Misorientation to the truth", label="Degrees",
                cmap=VALUE_MAP, limits=(0.0, 5.0), extend="max",
            ),
        ],
        plots=plots,
    )  # fmt: skip


def has_truth(result: Oriented) -> bool:
    """Whether the map holds the ground truth of its simulation."""
    return result.has("true_phase", "true_rotation")


def true_angles(result: Oriented) -> Floats:
    """Misorientation to the truth (y, x) in degrees, NaN where the phase is not the true one."""
    from phaseloom.maps.misorientation import misorientation_angles

    phase, rotation = result.phase, result.rotation
    truth = quaternions(result.data["true_rotation"])
    right = phase == result.data["true_phase"].to_numpy()
    angle = np.full(phase.shape, np.nan)
    for number, crystal in enumerate(result.crystals):
        chosen = right & (phase == number)
        if chosen.any():
            angle[chosen] = misorientation_angles(
                rotation[chosen], truth[chosen], crystal.laue_rotations
            )
    return angle


def verdicts(result: Oriented) -> NDArray[np.int64]:
    """Class of every pixel (y, x), as numbered in ``VERDICTS``."""
    phase, truth = result.phase, result.data["true_phase"].to_numpy()
    verdict = np.where(true_angles(result) <= RIGHT_WITHIN, 0, 1)
    verdict[phase != truth] = 2
    verdict[(phase >= 0) & (truth < 0)] = 3
    verdict[(phase < 0) & (truth >= 0)] = 4
    verdict[(phase < 0) & (truth < 0)] = 5
    return verdict


def confusion(result: Oriented) -> NDArray[np.int64]:
    """Pixels by true (row) and mapped (column) phase; the last row and column: no crystal."""
    count = len(result.crystals) + 1
    truth = result.data["true_phase"].to_numpy().astype(np.int64)
    # −1 counts from the end.
    joint = (truth % count) * count + result.phase % count
    return np.bincount(joint.ravel(), minlength=count * count).reshape(count, count)


def _draw_angles(axes: Axes, *, result: Oriented, angle: Floats) -> None:
    """Cumulative distribution of the misorientation to the truth, pixels of right phase."""
    phase = result.phase
    for number, colour in enumerate(phase_colours(len(result.crystals))):
        some = np.sort(angle[(phase == number) & np.isfinite(angle)])
        if some.size:
            share = np.arange(1, some.size + 1) / some.size
            label = f"{result.names[number]}, median {np.median(some):.2g}°"
            axes.plot(
                np.maximum(some, 0.01), share, color=colour, label=label, drawstyle="steps-post"
            )
    axes.axvline(RIGHT_WITHIN, color="#999999", linewidth=0.6, linestyle=":")
    axes.set_xscale("log")
    axes.set_xlim(0.03, 100.0)
    axes.set_xticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
    axes.set_ylim(0.0, 1.02)
    axes.set_xlabel("Misorientation to the truth (°)")
    axes.set_ylabel("Cumulative fraction of pixels")
    axes.legend(loc="lower right", fontsize=6, handlelength=1.0, borderaxespad=0.1)


def _draw_confusion(axes: Axes, *, result: Oriented) -> None:
    """Confusion matrix of the phases: percent of each true phase, and pixels."""
    from matplotlib.colors import to_hex

    counts = confusion(result)
    labels = [*result.names, "none"]
    if counts[-1].sum() + counts[:, -1].sum() == 0:
        counts, labels = counts[:-1, :-1], labels[:-1]
    share = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    drawn = axes.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0, origin="upper", aspect="auto")
    for (row, column), value in np.ndenumerate(share):
        text = f"{100 * value:.1f} %" if value == 0 or value >= 5e-4 else "< 0.1 %"
        if len(labels) <= 4:
            text += f"\n{counts[row, column]:,}"
        dark = luminance(to_hex(drawn.cmap(value))) < 0.35
        axes.text(
            column, row, text, ha="center", va="center", fontsize=5,
            color="white" if dark else "black",
        )  # fmt: skip
    short = [label if len(label) <= 8 else f"{label[:7]}…" for label in labels]
    axes.set_xticks(range(len(labels)), short, fontsize=5)
    axes.set_yticks(range(len(labels)), short, fontsize=5)
    axes.tick_params(length=0)
    axes.set_xlabel("Mapped phase")
    axes.set_title("True phase (rows)", loc="left")


def _draw_calibration(axes: Axes, *, result: Oriented, right: NDArray[np.bool_]) -> None:
    """Fraction of right pixels against stated probability, in ten classes."""
    chosen = result.indexed & np.isfinite(result.values("probability"))
    probability, right = result.values("probability")[chosen], right[chosen]
    place = np.clip((10 * probability).astype(np.int64), 0, 9)
    count = np.bincount(place, minlength=10)
    filled = count > 0
    stated = np.bincount(place, weights=probability, minlength=10)[filled] / count[filled]
    share = np.bincount(place, weights=right, minlength=10)[filled] / count[filled]
    error = float((count[filled] * np.abs(stated - share)).sum() / max(1, count.sum()))
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.6, linestyle=":")
    axes.bar(
        (np.arange(10) + 0.5) / 10, count / max(1, count.max()) * 0.3, width=0.1,
        color="#DDDDDD", edgecolor="white", linewidth=0.4,
    )  # fmt: skip
    # Wilson's interval of one standard error: few pixels do not look sure.
    number = count[filled]
    middle = (share * number + 0.5) / (number + 1)
    half = np.sqrt(share * (1 - share) * number + 0.25) / (number + 1)
    axes.vlines(stated, middle - half, middle + half, color="#0072B2", linewidth=0.8)
    axes.plot(stated, share, "o-", color="#0072B2", markersize=3, linewidth=0.8)
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(0.0, 1.03)
    axes.set_xlabel("Stated probability")
    axes.set_ylabel("Fraction of right pixels")
    axes.set_title(f"Calibration error {error:.3f}", loc="left")
