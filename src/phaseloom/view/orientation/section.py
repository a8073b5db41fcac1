"""Figures and report section of the orientation map: captions, headline, key numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.view.orientation import maps as draw
from phaseloom.view.orientation.boundaries import HIGH_ANGLE, SMALLEST, neighbours
from phaseloom.view.orientation.calibration import calibration_texts
from phaseloom.view.orientation.data import SURE, Oriented, oriented
from phaseloom.view.orientation.methods import methods_text, pseudo_symmetry
from phaseloom.view.orientation.patterns import indexed_patterns_figure
from phaseloom.view.orientation.poles import WIDTH, poles_figure
from phaseloom.view.orientation.statistics import distributions, grain_sizes, statistics_figure
from phaseloom.view.orientation.truth import (
    RIGHT_WITHIN,
    has_truth,
    true_angles,
    truth_figure,
    verdicts,
)
from phaseloom.view.parts import Contents, Draws, Figures, Section, Tables, percent
from phaseloom.view.results import field_text
from phaseloom.view.style import phase_colours

if TYPE_CHECKING:
    from phaseloom.crystals import Crystal

MOSTLY = 0.5
"""Part of the pixels below which a map says first what stands against it."""

_NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}

_LISTED = 8
"""Grains with several possible orientations that are named, the largest."""

CAPTIONS = {
    "orientation_maps": "Phase map, and orientation maps in inverse pole figure (IPF) colours of "
    "the crystal directions along x (to the right), y (downwards) and z (along the beam) of the "
    "scan, with the colour key of every phase. Lines are boundaries of grains of at least "
    f"{SMALLEST} pixels: black for misorientations from {HIGH_ANGLE:g}° and between phases, white "
    f"below {HIGH_ANGLE:g}°.",
    "orientation_patterns": "Observed peaks (circles, area rising with intensity) of some pixels "
    "and simulated spots of their solution (crosses) with the Miller indices of the strongest. "
    "Titles: scan position, phase, zone axis along the beam, probability p.",
    "orientation_quality": "Reliability of every pixel: class of certainty, probability that "
    "phase and orientation are right, correlation index Q, the orientation and phase reliability "
    "as ASTAR defines them, the fraction of the peak intensity that the solution explains, the "
    "number of spots paired with peaks, and their rms distance from the peaks.",
    "orientation_solutions": "The solution second in probability, where there is one.",
    "orientation_overlaps": "The second, overlapping crystal of a pixel, where one was detected, "
    "and its fraction of the diffracted intensity.",
    "orientation_poles": "Pole figures (equal-area projection, x to the right, y downwards, viewed "
    "along the beam; exit hemisphere) and inverse pole figures along x, y and z, in multiples of a "
    f"random texture, smoothed by a Gaussian of {WIDTH:g}° standard deviation.",
    "orientation_statistics": "Histograms over the map by phase: scores, misorientation of "
    "neighbouring pixels of the same phase, probability of the solutions by rank (points: medians, "
    "error bars: quartiles), and diameter of the circle with the area of the grain.",
    "orientation_truth": "Comparison with the simulated ground truth: right and wrong pixels, "
    "misorientation to the truth, confusion matrix of the phases, and fraction of right pixels "
    "against the stated probability (points; error bars: Wilson intervals of one standard error; "
    "grey bars: number of pixels).",
}

CONTENTS = Contents(
    title="Orientation map",
    captions=CAPTIONS,
    first=("Phases and orientations", ("orientation_maps", "orientation_patterns")),
    chapters={
        "Reliability of the orientations": (
            "orientation_quality",
            "orientation_solutions",
            "orientation_overlaps",
            "orientation_poles",
            "orientation_statistics",
        ),
        "Comparison with the simulated ground truth": ("orientation_truth",),
    },
)


def present(tree: xr.DataTree) -> bool:
    """Whether the result holds an orientation map."""
    return "orientation" in tree.children and "rotation" in tree["orientation"]


def figures(tree: xr.DataTree, tables: Tables) -> Draws:  # noqa: ARG001
    """What draws each figure for which the groups under ``/orientation`` hold the data."""
    result = oriented(tree)
    draws: Draws = {"orientation_maps": partial(draw.ipf_figure, result)}
    if not result.indexed.any():
        return draws
    if result.sample is not None and result.sample.sizes.get("sample", 0):
        draws["orientation_patterns"] = partial(indexed_patterns_figure, result)
    if result.has("probability") or any(result.has(name) for name, *_ in draw.QUALITY):
        draws["orientation_quality"] = partial(draw.quality_figure, result)
    if draw.has_second(result):
        draws["orientation_solutions"] = partial(draw.solutions_figure, result)
    if draw.has_overlaps(result):
        draws["orientation_overlaps"] = partial(draw.overlap_figure, result)
    draws["orientation_poles"] = partial(poles_figure, result)
    if distributions(result):
        draws["orientation_statistics"] = partial(statistics_figure, result)
    if has_truth(result):
        draws["orientation_truth"] = partial(truth_figure, result)
    return draws


def section(tree: xr.DataTree, figures: Figures, tables: Tables) -> Section:  # noqa: ARG001
    """The orientation map's part of the report."""
    result = oriented(tree)
    return CONTENTS.section(
        figures,
        headline=headline(result),
        methods=methods_text(tree),
        numbers=numbers(result),
        columns=("All", *result.names),
        legend=zip(result.names, phase_colours(len(result.names)), strict=True),
    )


def headline(result: Oriented) -> str:
    """The result in one sentence: phase fractions, reliable and ambiguous pixels, grains."""
    shares = result.shares()
    parts = [f"{n} {percent(s, digits=0)}" for n, s in zip(result.names, shares, strict=True)]
    parts.append(f"unindexed {percent(1.0 - float(result.indexed.mean()))}")
    clauses = [f"{result.phase.size:,} pixels: {', '.join(parts)}"]
    if result.indexed.mean() < MOSTLY and (grave := result.remarks()):
        # What stands against the whole map comes first.
        clauses.insert(0, grave[0])
    if result.has("probability"):
        sure = float((result.values("probability") >= SURE).mean())
        clauses.append(f"{percent(sure)} of the pixels have a probability of {SURE:g} or more")
    if "ambiguous" in result.data:
        clauses.append(f"{percent(float(_ambiguous(result).mean()))} ambiguous")
    if result.grain is not None:
        count = len(np.unique(result.grain[result.grain >= 0]))
        clauses.append(f"{count:,} grain{'s' * (count != 1)}")
    if has_truth(result):
        right = verdicts(result)[result.data["true_phase"].to_numpy() >= 0] == 0
        if right.size:
            clauses.append(
                f"{percent(float(right.mean()))} of the simulated crystal indexed right within "
                f"{RIGHT_WITHIN:g}°"
            )
    text = "; ".join(clauses) + "."
    return text[0].upper() + text[1:]


def numbers(result: Oriented) -> dict[str, tuple[str, ...]]:
    """Key numbers by label: of the whole map and of every phase; a dash where not applicable."""
    phase = result.phase
    masks = [result.indexed, *(phase == number for number in range(len(result.crystals)))]
    rows, columns = result.shape
    texts = {
        "Scan": _whole(result, f"{columns} × {rows} positions{field_text(result.data)}"),
        "Handedness of the patterns": _whole(result, result.handedness()),
        "Axes of the orientations": _whole(result, result.axes()),
        "Cell": ("–", *(_cell(crystal) for crystal in result.crystals)),
        "Space group": ("–", *(_space_group(crystal) for crystal in result.crystals)),
        "Pixels": tuple(f"{int(mask.sum()):,}" for mask in masks),
        "Fraction of the map": tuple(percent(float(mask.mean())) for mask in masks),
        "Unindexed": _whole(result, percent(1.0 - float(result.indexed.mean()))),
        **{label: _whole(result, text) for label, text in calibration_texts(result).items()},
    }
    if result.has("probability"):
        probability = result.values("probability")
        texts["Mean probability"] = _per(masks, lambda m: f"{np.nanmean(probability[m]):.3f}")
        texts[f"Probability ≥ {SURE:g}"] = _per(
            masks, lambda m: percent(float((probability[m] >= SURE).mean()))
        )
    if "ambiguous" in result.data:
        ambiguous = _ambiguous(result)
        texts["Ambiguous"] = _per(masks, lambda m: percent(float(ambiguous[m].mean())))
    for name, label, form in (
        ("correlation", "Correlation index, median", ".3f"),
        ("orientation_reliability", "Orientation reliability, median", ".1f"),
        ("phase_reliability", "Phase reliability, median", ".1f"),
        ("matched", "Spots paired with peaks, median", ".0f"),
        ("explained", "Explained fraction of the intensity, median", ".2f"),
        ("residual", "Spot-to-peak distance (rms), median (Å⁻¹)", ".4f"),
    ):
        if result.has(name) and np.isfinite(result.values(name)).any():
            texts[label] = _medians(masks, result.values(name), form)
    for name, label in (
        ("context_changed", "Solution changed by spatial context"),
        ("overlap_phase", "With an overlapping second crystal"),
    ):
        if name in result.data:
            flagged = result.data[name].to_numpy()
            flagged = flagged if flagged.dtype == bool else flagged >= 0
            texts[label] = _per(masks, partial(_share, flagged))
    return (
        texts | _grains(result) | _pairs(result) | _pseudo_symmetry(result) | _truth(result, masks)
    )


def _grains(result: Oriented) -> dict[str, tuple[str, ...]]:
    if result.grain is None:
        return {}
    diameter, phase, units = grain_sizes(result, result.grain)
    masks = [phase >= 0, *(phase == number for number in range(len(result.crystals)))]
    return {
        "Grains": tuple(f"{int(mask.sum()):,}" for mask in masks),
        f"Equivalent grain diameter, median ({units})": _medians(masks, diameter, ".3g"),
    } | _open_grains(result)


def _open_grains(result: Oriented) -> dict[str, tuple[str, ...]]:
    """Grains of which several orientations are possible, with the probabilities of these."""
    attrs = {} if result.grains is None else result.grains.attrs
    listed = json.loads(str(attrs.get("open_grains", "[]")))
    texts = [open_grain_text(entry) for entry in listed[:_LISTED]]
    if not texts:
        return {}
    more = f" … and {len(listed) - len(texts):,} more" * (len(listed) > len(texts))
    return {"Grains with several possible orientations": _whole(result, "; ".join(texts) + more)}


def open_grain_text(entry: Mapping[str, Any]) -> str:
    """As "grain 7: two orientations, .52 / .48".

    Parameters
    ----------
    entry
        Of the attribute ``open_grains`` of the group of the grains.
    """
    chances = [alternative["probability"] for alternative in entry["alternatives"]]
    number = _NUMBERS.get(len(chances), str(len(chances)))
    shares = " / ".join(f"{chance:.2f}".removeprefix("0") for chance in chances)
    return f"grain {entry['grain']}: {number} orientations, {shares}"


def _pairs(result: Oriented) -> dict[str, tuple[str, ...]]:
    """Misorientation of neighbouring pixels within grains: a measure of the angular noise."""
    pairs = neighbours(result)
    inside = np.where(pairs.parted, np.nan, pairs.angle)
    if not np.isfinite(inside).any():
        return {}
    masks = [pairs.phase >= 0, *(pairs.phase == n for n in range(len(result.crystals)))]
    return {
        "Misorientation of neighbours within a grain, median": _medians(masks, inside, ".2f", "°")
    }


def _pseudo_symmetry(result: Oriented) -> dict[str, tuple[str, ...]]:
    """Pixels whose first two solutions differ by a pseudo-symmetry rotation."""
    texts = {}
    for entry in pseudo_symmetry(result):
        counts = ["–"] * len(result.crystals)
        if entry.crystal is not None:
            counts[entry.crystal] = f"{entry.pixels:,} pixels"
        texts[f"Pseudo-symmetry, {entry.text}"] = (f"{entry.pixels:,} pixels", *counts)
    return texts


def _truth(result: Oriented, masks: list[NDArray[np.bool_]]) -> dict[str, tuple[str, ...]]:
    """Fractions of right pixels, by the simulated ground truth."""
    if not has_truth(result):
        return {}
    right = verdicts(result) == 0
    same = result.phase == result.data["true_phase"].to_numpy()
    return {
        "Phase right (simulated truth)": _per(masks, partial(_share, same)),
        f"Right within {RIGHT_WITHIN:g}° (simulated truth)": _per(masks, partial(_share, right)),
        "Misorientation to the truth, median": _medians(masks, true_angles(result), ".2f", "°"),
    }


def _per(
    masks: list[NDArray[np.bool_]], say: Callable[[NDArray[np.bool_]], str]
) -> tuple[str, ...]:
    return tuple(say(mask) if mask.any() else "–" for mask in masks)


def _share(flagged: NDArray[np.bool_], mask: NDArray[np.bool_]) -> str:
    return percent(float(flagged[mask].mean()))


def _medians(
    masks: list[NDArray[np.bool_]], values: NDArray[np.float64], form: str, unit: str = ""
) -> tuple[str, ...]:
    finite = [values[mask & np.isfinite(values)] for mask in masks]
    return tuple(f"{np.median(some):{form}}{unit}" if some.size else "–" for some in finite)


def _whole(result: Oriented, text: str) -> tuple[str, ...]:
    return (text, *["–"] * len(result.crystals))


def _ambiguous(result: Oriented) -> NDArray[np.bool_]:
    return np.asarray(result.data["ambiguous"].to_numpy().astype(bool) & result.indexed)


def _cell(crystal: Crystal) -> str:
    a, b, c, alpha, beta, gamma = crystal.cell
    return f"{a:.5g}, {b:.5g}, {c:.5g} Å; {alpha:.4g}, {beta:.4g}, {gamma:.4g}°"


def _space_group(crystal: Crystal) -> str:
    group = crystal.phase.space_group
    if group is None:
        return f"point group {crystal.point_group}"
    return f"{group.short_name} ({crystal.space_group})"
