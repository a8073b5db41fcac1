"""Components of a scan in figures and report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phaseloom.view.components.checks import methods_figure, residual_figure
from phaseloom.view.components.data import METHOD_NAMES, METRICS, Components, components
from phaseloom.view.components.maps import maps_figure
from phaseloom.view.components.methods import citations, methods_paragraph
from phaseloom.view.components.overlaps import has_overlaps, network_figure, overlap_figure
from phaseloom.view.components.patterns import PER_PAGE, has_measured, patterns_figure
from phaseloom.view.components.quality import (
    has_agreement,
    has_similarity,
    quality_figure,
    worst_pair,
)
from phaseloom.view.components.rank import has_sweep, rank_figure
from phaseloom.view.components.truth import has_truth, truth_figure
from phaseloom.view.parts import Chapter, Picture, Section, percent, picture
from phaseloom.view.results import field_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

NETWORK = "boundary_network"
"""Table and figure of the components that touch."""

CAPTIONS = {
    "component_maps": "The component with the largest weight at every position (grey: the "
    "background; hatched: nothing there; lines: boundaries), in two colours where two overlap; "
    "and of every component the map of its weight (1: fully that component) and its pattern, by "
    "the square root of its counts up to the number given. Grey pixels of patterns are not used.",
    "rank_evidence": "What decided the number of components k: the error of the fit (of counts as "
    "they were scaled for it), that of entries held out (with standard errors), how alike the "
    "components of the two halves of the scan are (the worst), and the largest cosine of two "
    "components' images, weight map times pattern (dashed: the limits); or, "
    "as published, the loss with its knee (shaded: where votes count), the votes of the four "
    "measures, and what they rest on. Orange: the number chosen.",
    "component_quality": "How alike every two components are by four measures of image quality "
    "(bright: alike; framed: the two most alike), and how well every component agrees with the "
    "mean pattern of the positions of its label (up: alike; ringed: least).",
    "component_patterns": "Every component beside the mean pattern of the positions of its label "
    "and the pattern of the position where it weighs most, on one scale.",
    "component_residual": "What the components leave of the pattern of every position, and the "
    "sum of the weights: patterns that no component describes stand out.",
    "overlap_evolution": "Positions that hold two components (black) when the smaller weight has "
    "to be at least the percentage of the larger that the title says, with their share of all "
    "positions; and patterns of such positions beside their two components.",
    NETWORK: "Which components touch, drawn at their largest regions; lines are wider the more "
    "positions hold both. The bars count these positions; numbers are lengths of boundaries.",
    "methods_agreement": "Labels of other methods on the same patterns, in the colours of the "
    "components that they share most positions with, and how far the partitions agree (adjusted "
    "Rand index: 1 the same, 0 by chance).",
    "components_truth": "The grains that were simulated, in the colours of the components that "
    "they share most positions with, beside the labels (background left out); where the two "
    "differ; and overlaps found, missed and found where there is none: by the same rule on the "
    "true shares.",
}

CHAPTERS = {
    "How many components": ("rank_evidence",),
    "How far the components can be trusted": (
        "component_quality",
        "component_patterns",
        "component_residual",
    ),
    "Overlaps and boundaries": ("overlap_evolution", NETWORK),
    "Other methods": ("methods_agreement",),
    "Against the simulated truth": ("components_truth",),
}

PLACES = ("y", "x", "centroid_y", "centroid_x")
"""Columns of tables that hold places on the scan."""

PREPARATIONS = {
    "raw": "as recorded",
    "mean": "means of 3 × 3 positions",
    "registered": "rebuilt from registered peaks",
    "peaks": "pixels with registered peaks",
}


def present(tree: xr.DataTree) -> bool:
    """Whether the result holds components."""
    return "components" in tree.children and "pattern" in tree["components"]


def figures(
    tree: xr.DataTree, tables: Mapping[str, pd.DataFrame]
) -> dict[str, Callable[[], Figure]]:
    """What draws each figure: ``component_maps``, ``rank_evidence`` and so on.

    Parameters
    ----------
    tree
        Figures whose data ``/components`` and the groups under it lack are left out.
    tables
        ``boundary_network`` gives the figure of that name.
    """
    found = components(tree)
    drawn: dict[str, Callable[[], Figure]] = {"component_maps": partial(maps_figure, tree)}
    if has_sweep(found):
        drawn["rank_evidence"] = partial(rank_figure, tree)
    if has_similarity(found) or has_agreement(found):
        drawn["component_quality"] = partial(quality_figure, tree)
    if has_measured(found):
        for number, first in enumerate(range(0, found.k, PER_PAGE)):
            name = "component_patterns" + (f"_{number + 1}" if number else "")
            drawn[name] = partial(patterns_figure, tree, first)
    drawn["component_residual"] = partial(residual_figure, tree)
    if has_overlaps(found):
        drawn["overlap_evolution"] = partial(overlap_figure, tree)
    if NETWORK in tables and not tables[NETWORK].empty:
        drawn[NETWORK] = partial(network_figure, tree, tables[NETWORK])
    if found.others:
        drawn["methods_agreement"] = partial(methods_figure, tree)
    if has_truth(found):
        drawn["components_truth"] = partial(truth_figure, tree)
    return drawn


def section(
    tree: xr.DataTree,
    figures: Mapping[str, Path | bytes],
    tables: Mapping[str, pd.DataFrame],  # noqa: ARG001
) -> Section:
    """The components' part of the report."""
    found = components(tree)
    chapters = [
        Chapter(heading, tuple(p for name in names for p in _pictures(name, figures)))
        for heading, names in CHAPTERS.items()
    ]
    units = str(found.data["x"].attrs.get("units", "px"))
    return Section(
        title="Components",
        headline=headline(found),
        methods=methods_paragraph(tree),
        citations=citations(tree),
        columns=("",),
        rows=tuple((label, (value,)) for label, value in numbers(found).items()),
        summary=Chapter("Components of the scan", _pictures("component_maps", figures)),
        chapters=tuple(chapter for chapter in chapters if chapter.pictures),
        legend=tuple(
            (f"{number}{_ground(found, number)}", colour)
            for number, colour in enumerate(found.colours)
        ),
        units={
            NETWORK: {"length": "px", "width": "px"},
            "components": {"area": f"{units}²"} | dict.fromkeys(PLACES, units),
            "component_positions": dict.fromkeys(PLACES, units),
        },
    )


def headline(found: Components) -> str:
    """The result in one sentence: how many components, why, how well they describe the scan."""
    grains = int(found.data.attrs.get("grains", found.k - (found.background >= 0)))
    parts = f"{grains} grain{'s' * (grains != 1)}" + " and a background" * (found.background >= 0)
    said = [
        f"{found.label.size:,} patterns from {found.k} component{'s' * (found.k != 1)} ({parts})"
    ]
    error = found.number("error")
    if np.isfinite(error):
        floor = found.number("noise_floor")
        noise = f" (noise alone: {floor:.3g})" if np.isfinite(floor) else ""
        said.append(f"relative error {error:.3g}{noise}")
    said.append(f"{percent(float((found.partner >= 0).mean()))} of the positions hold two")
    return "; ".join(said) + "."


def numbers(found: Components) -> dict[str, str]:
    """The numbers that tell how far the components can be trusted, as text by their label.

    Parameters
    ----------
    found
        What it does not hold is left out.
    """
    rows, columns = found.shape
    said = {"Scan": f"{columns} × {rows} positions{field_text(found.data)}"}
    used = int(np.isfinite(found.pattern("pattern", 0)).sum())
    high, wide = found.data.sizes["ky"], found.data.sizes["kx"]
    kind = PREPARATIONS.get(found.text("patterns"))
    said["Patterns"] = f"{f'{kind}, ' if kind else ''}{wide} × {high} px, {used:,} of them used"
    said["Components"] = str(found.k)
    said["Background"] = f"component {found.background}" if found.background >= 0 else "none"
    if found.text("reason"):
        said["Why so many"] = found.text("reason")
    if np.isfinite(found.number("error")):
        said["Relative error"] = f"{found.number('error'):.4g}"
    if np.isfinite(found.number("noise_floor")):
        said["Relative error of noise alone"] = f"{found.number('noise_floor'):.4g}"
    if "residual" in found.data and bool(np.isfinite(found.data["residual"]).any()):
        low, middle, top = np.nanpercentile(found.data["residual"].to_numpy(), [5, 50, 95])
        said["Residual of the positions"] = (
            f"median {middle:.3g}, 5 to 95 %: {low:.3g} to {top:.3g}"
        )
    if "overlap" in found.data:
        shares = found.data["overlap"].mean(("y", "x")).to_numpy()
        said["Overlaps by the ratio of weights"] = ", ".join(
            f"≥ {100 * float(s):.0f} %: {percent(float(share))}"
            for s, share in zip(found.data["threshold"].to_numpy(), shares, strict=True)
        )
    nothing = float((found.label < 0).mean())
    if nothing:
        said["Positions with nothing"] = percent(nothing)
    return said | _likeness(found) | _others(found) | _times(found)


def _likeness(found: Components) -> dict[str, str]:
    """The two components most alike, and the one least like the scan."""
    said = {}
    if has_similarity(found):
        held = {str(name) for name in found.data["metric"].to_numpy()}
        pairs = {METRICS[n][0]: worst_pair(found, n) for n in METRICS if n in held}
        said["Two components most alike"] = ", ".join(
            f"{name}: {pair[0]} and {pair[1]} ({pair[2]:.3g})"
            for name, pair in pairs.items()
            if pair is not None
        )
    if has_agreement(found) and "ssim" in found.data["metric"].to_numpy():
        values = found.data["agreement"].sel(metric="ssim").to_numpy().astype(float)
        if np.isfinite(values).any():
            said["Least like the mean pattern of its label"] = (
                f"component {int(np.nanargmin(values))} (SSIM {np.nanmin(values):.3g})"
            )
    return said


def _others(found: Components) -> dict[str, str]:
    """How far other methods agree."""
    if "agreement_of_methods" not in found.data:
        return {}
    row = found.data["agreement_of_methods"].isel(method=0)
    parts = [
        f"{METHOD_NAMES.get(str(name), str(name))} {float(value):.3f}"
        for name, value in zip(row["method_2"].to_numpy(), row.to_numpy(), strict=True)
        if str(name) != "nmf" and np.isfinite(value)
    ]
    return {"Agreement with other methods (adjusted Rand index)": ", ".join(parts)}


def _times(found: Components) -> dict[str, str]:
    said = {}
    if np.isfinite(found.number("seconds")):
        said["Time"] = f"{found.number('seconds'):.3g} s"
    if np.isfinite(found.number("patterns_per_second")):
        said["Speed"] = f"{found.number('patterns_per_second'):,.0f} patterns per second"
    return said


def _pictures(name: str, figures: Mapping[str, Path | bytes]) -> tuple[Picture, ...]:
    """A figure, and its further pages."""
    pages = [n for n in figures if n == name or n.removeprefix(f"{name}_").isdigit()]
    return tuple(
        picture(
            figures[page],
            caption=CAPTIONS[name] if page == name else "Further components.",
            alternative=page.replace("_", " "),
        )
        for page in pages
    )


def _ground(found: Components, number: int) -> str:
    return " (background)" * (number == found.background)
