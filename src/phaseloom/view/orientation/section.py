"""Orientation maps in figures and report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.view.orientation import maps as draw
from phaseloom.view.orientation.boundaries import HIGH_ANGLE, SMALLEST, neighbours
from phaseloom.view.orientation.data import SURE, Oriented, oriented
from phaseloom.view.orientation.methods import citations, methods_paragraph, pseudo_symmetry
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
from phaseloom.view.parts import Chapter, Section, percent, picture
from phaseloom.view.results import field_text
from phaseloom.view.style import phase_colours

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from phaseloom.crystals import Crystal

CAPTIONS = {
    "orientation_maps": "Phases, and inverse pole figure (IPF) colours of the crystal directions "
    "along x (to the right), y (downwards) and z (along the beam) of the scan, with the colour "
    "key of every phase. Lines are boundaries of grains of at least "
    f"{SMALLEST} pixels: black from {HIGH_ANGLE:g}° on and between phases, white below.",
    "orientation_patterns": "Observed peaks (circles, larger where brighter) of some pixels and "
    "the simulated spots of their solution (crosses) with the indices of the strongest: scan "
    "position, crystal, zone axis along the beam, probability.",
    "orientation_quality": "How far every pixel can be trusted: its certainty, the probability "
    "that phase and orientation are right, the correlation index, the reliabilities as ASTAR "
    "defines them, and how well the spots of the solution fit the peaks.",
    "orientation_solutions": "The solution that is next in probability, where there is one.",
    "orientation_overlaps": "The second crystal in the same pixel, where one was found, and its "
    "part of the diffracted intensity.",
    "orientation_poles": "Pole figures (equal area, x to the right, y downwards, seen along the "
    "beam; the half sphere the beam leaves through) and inverse pole figures along x, y and z, in "
    f"multiples of a random texture, smoothed by {WIDTH:g}°.",
    "orientation_statistics": "Distributions over the map by phase, misorientations of "
    "neighbouring pixels of one phase, probabilities of the solutions by their rank (median and "
    "quartiles), and diameters of circles of the grains' areas.",
    "orientation_truth": "The map against the simulated truth: what is right, how far orientations "
    "are off, what each true phase was found as, and the share of right pixels against the "
    "probability said (grey: how many pixels).",
}
FIRST = ("orientation_maps", "orientation_patterns")
"""Figures that stand before the numbers."""


def present(tree: xr.DataTree) -> bool:
    """Whether the result holds an orientation map."""
    return "orientation" in tree.children and "rotation" in tree["orientation"]


def figures(
    tree: xr.DataTree,
    tables: Mapping[str, pd.DataFrame],  # noqa: ARG001
) -> dict[str, Callable[[], Figure]]:
    """What draws each figure: ``orientation_maps``, ``orientation_quality`` and so on.

    Parameters
    ----------
    tree
        Figures whose data ``/orientation`` and the groups under it lack are left out.
    tables
        None is used.
    """
    found = oriented(tree)
    drawn: dict[str, Callable[[], Figure]] = {"orientation_maps": partial(draw.ipf_figure, tree)}
    if not found.indexed.any():
        return drawn
    if found.sample is not None and found.sample.sizes.get("sample", 0):
        drawn["orientation_patterns"] = partial(indexed_patterns_figure, tree)
    if found.has("probability") or any(found.has(name) for name, *_ in draw.QUALITY):
        drawn["orientation_quality"] = partial(draw.quality_figure, tree)
    if draw.has_second(found):
        drawn["orientation_solutions"] = partial(draw.solutions_figure, tree)
    if draw.has_overlaps(found):
        drawn["orientation_overlaps"] = partial(draw.overlap_figure, tree)
    drawn["orientation_poles"] = partial(poles_figure, tree)
    if distributions(found):
        drawn["orientation_statistics"] = partial(statistics_figure, tree)
    if has_truth(found):
        drawn["orientation_truth"] = partial(truth_figure, tree)
    return drawn


def section(
    tree: xr.DataTree,
    figures: Mapping[str, Path | bytes],
    tables: Mapping[str, pd.DataFrame],  # noqa: ARG001
) -> Section:
    """The orientation map's part of the report."""
    found = oriented(tree)
    pictures = {
        name: picture(figures[name], caption=caption, alternative=name.replace("_", " "))
        for name, caption in CAPTIONS.items()
        if name in figures
    }
    first = tuple(pictures.pop(name) for name in FIRST if name in pictures)
    truth = tuple(pictures.pop(name) for name in ("orientation_truth",) if name in pictures)
    chapters = [Chapter("How sure the orientations are", tuple(pictures.values()))] * bool(pictures)
    chapters += [Chapter("Against the simulated truth", truth)] * bool(truth)
    return Section(
        title="Orientation map",
        headline=headline(found),
        methods=methods_paragraph(tree),
        citations=citations(tree),
        columns=("All", *found.names),
        rows=tuple(numbers(found).items()),
        summary=Chapter("Phases and orientations", first) if first else None,
        chapters=tuple(chapters),
        legend=tuple(zip(found.names, phase_colours(len(found.names)), strict=True)),
    )


def headline(found: Oriented) -> str:
    """The result in one sentence: phases and their shares, sure and ambiguous pixels, grains."""
    shares = found.shares()
    parts = [f"{n} {percent(s, digits=0)}" for n, s in zip(found.names, shares, strict=True)]
    parts.append(f"unindexed {percent(1.0 - float(found.indexed.mean()))}")
    said = [f"{found.phase.size:,} pixels: {', '.join(parts)}"]
    if found.has("probability"):
        sure = float((found.values("probability") >= SURE).mean())
        said.append(f"{percent(sure)} of the pixels are sure (probability of {SURE:g} or more)")
    if "ambiguous" in found.data:
        said.append(f"{percent(float(_ambiguous(found).mean()))} ambiguous")
    if found.grain is not None:
        count = len(np.unique(found.grain[found.grain >= 0]))
        said.append(f"{count:,} grain{'s' * (count != 1)}")
    if has_truth(found):
        right = verdicts(found)[found.data["true_phase"].to_numpy() >= 0] == 0
        if right.size:
            said.append(
                f"{percent(float(right.mean()))} of the simulated crystal right within "
                f"{RIGHT_WITHIN:g}°"
            )
    return "; ".join(said) + "."


def numbers(found: Oriented) -> dict[str, tuple[str, ...]]:
    """The numbers that matter, per label: of the whole map and of every phase.

    Parameters
    ----------
    found
        What it does not hold is left out; a dash is what means nothing in its column.
    """
    phase = found.phase
    masks = [found.indexed, *(phase == number for number in range(len(found.crystals)))]
    rows, columns = found.shape
    said = {
        "Scan": _whole(found, f"{columns} × {rows} positions{field_text(found.data)}"),
        "Cell": ("–", *(_cell(crystal) for crystal in found.crystals)),
        "Space group": ("–", *(_space_group(crystal) for crystal in found.crystals)),
        "Pixels": tuple(f"{int(mask.sum()):,}" for mask in masks),
        "Share of the map": tuple(percent(float(mask.mean())) for mask in masks),
        "Unindexed": _whole(found, percent(1.0 - float(found.indexed.mean()))),
    }
    if found.has("probability"):
        probability = found.values("probability")
        said["Mean probability"] = _per(masks, lambda m: f"{np.nanmean(probability[m]):.3f}")
        said[f"Sure (probability ≥ {SURE:g})"] = _per(
            masks, lambda m: percent(float((probability[m] >= SURE).mean()))
        )
    if "ambiguous" in found.data:
        ambiguous = _ambiguous(found)
        said["Ambiguous"] = _per(masks, lambda m: percent(float(ambiguous[m].mean())))
    for name, label, form in (
        ("correlation", "Correlation index, median", ".3f"),
        ("orientation_reliability", "Orientation reliability, median", ".1f"),
        ("phase_reliability", "Phase reliability, median", ".1f"),
        ("matched", "Spots paired, median", ".0f"),
        ("explained", "Explained intensity, median", ".2f"),
        ("residual", "Distance of the pairs, median (Å⁻¹)", ".4f"),
    ):
        if found.has(name) and np.isfinite(found.values(name)).any():
            said[label] = _medians(masks, found.values(name), form)
    for name, label in (
        ("context_changed", "Chosen by the neighbours"),
        ("overlap_phase", "With a second crystal"),
    ):
        if name in found.data:
            flagged = found.data[name].to_numpy()
            flagged = flagged if flagged.dtype == bool else flagged >= 0
            said[label] = _per(masks, partial(_share, flagged))
    return said | _grains(found) | _pairs(found) | _pseudo_symmetry(found) | _truth(found, masks)


def _grains(found: Oriented) -> dict[str, tuple[str, ...]]:
    if found.grain is None:
        return {}
    diameter, phase, units = grain_sizes(found, found.grain)
    masks = [phase >= 0, *(phase == number for number in range(len(found.crystals)))]
    return {
        "Grains": tuple(f"{int(mask.sum()):,}" for mask in masks),
        f"Diameter of the grains, median ({units})": _medians(masks, diameter, ".3g"),
    }


def _pairs(found: Oriented) -> dict[str, tuple[str, ...]]:
    """Angles between neighbours inside grains: how smooth the map is."""
    pairs = neighbours(found)
    inside = np.where(pairs.parted, np.nan, pairs.angle)
    if not np.isfinite(inside).any():
        return {}
    masks = [pairs.phase >= 0, *(pairs.phase == n for n in range(len(found.crystals)))]
    return {"Neighbours within a grain, median angle": _medians(masks, inside, ".2f", "°")}


def _pseudo_symmetry(found: Oriented) -> dict[str, tuple[str, ...]]:
    """Pixels whose first two solutions differ by a frequent rotation."""
    said = {}
    for entry in pseudo_symmetry(found):
        counts = ["–"] * len(found.crystals)
        if entry.crystal is not None:
            counts[entry.crystal] = f"{entry.pixels:,} pixels"
        said[f"Mistaken for each other: {entry.text}"] = (f"{entry.pixels:,} pixels", *counts)
    return said


def _truth(found: Oriented, masks: list[NDArray[np.bool_]]) -> dict[str, tuple[str, ...]]:
    """Shares of what was found that are right, against the simulated truth."""
    if not has_truth(found):
        return {}
    right = verdicts(found) == 0
    same = found.phase == found.data["true_phase"].to_numpy()
    return {
        "Phase right (simulated truth)": _per(masks, partial(_share, same)),
        f"Right within {RIGHT_WITHIN:g}° (simulated truth)": _per(masks, partial(_share, right)),
        "Misorientation to the truth, median": _medians(masks, true_angles(found), ".2f", "°"),
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
    known = [values[mask & np.isfinite(values)] for mask in masks]
    return tuple(f"{np.median(some):{form}}{unit}" if some.size else "–" for some in known)


def _whole(found: Oriented, text: str) -> tuple[str, ...]:
    return (text, *["–"] * len(found.crystals))


def _ambiguous(found: Oriented) -> NDArray[np.bool_]:
    return np.asarray(found.data["ambiguous"].to_numpy().astype(bool) & found.indexed)


def _cell(crystal: Crystal) -> str:
    a, b, c, alpha, beta, gamma = crystal.cell
    return f"{a:.5g}, {b:.5g}, {c:.5g} Å; {alpha:.4g}, {beta:.4g}, {gamma:.4g}°"


def _space_group(crystal: Crystal) -> str:
    return f"{crystal.phase.space_group.short_name} ({crystal.space_group})"
