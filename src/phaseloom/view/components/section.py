"""Figures and report section of the components: captions, headline, key numbers."""

from __future__ import annotations

from functools import partial

import numpy as np
import xarray as xr

from phaseloom.view.components.checks import methods_figure, residual_figure
from phaseloom.view.components.data import METHOD_NAMES, METRICS, Components, components
from phaseloom.view.components.maps import maps_figure
from phaseloom.view.components.methods import methods_text
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
from phaseloom.view.parts import Contents, Draws, Figures, Section, Tables, percent
from phaseloom.view.results import field_text

NETWORK = "boundary_network"
"""Name of the table and of the figure of adjacent components."""

CAPTIONS = {
    "component_maps": "Label map: the component with the largest weight at every position (grey: "
    "background; hatched: no signal; lines: boundaries), in two colours where two components "
    "overlap; and for every component its weight map (1: this component alone) and its pattern, "
    "on a square-root scale up to the counts given above it. Grey pixels of patterns are masked.",
    "rank_evidence": "Choice of the number of components k (orange: the number chosen): relative "
    "error of the fit (of the scaled counts), relative error of held-out entries (error bars: one "
    "standard error), lowest cosine similarity between components fitted to the two halves of the "
    "scan, and highest cosine similarity between two components (weight map times pattern; "
    "dashed: limits). With the published criterion: the loss with its knee (shaded: range in "
    "which votes count), the votes of the four image quality measures, and their means.",
    "component_quality": "Similarity of every two components by four measures of image quality "
    "(bright: similar; framed: the most similar pair), and similarity of every component to the "
    "mean pattern of the positions with its label (up: similar; ringed: least similar).",
    "component_patterns": "Every component beside the mean pattern of the positions with its label "
    "and the pattern of the position with its largest weight; the three share one colour scale.",
    "component_residual": "Relative residual of the fit at every position, and sum of the weights. "
    "Patterns that no component describes have a high residual.",
    "overlap_evolution": "Positions at which two components overlap (black), for rising thresholds "
    "of the smaller weight over the larger (in the titles, with the fraction of all positions), or "
    "may overlap (grey: the patterns are too weak, or vary too much, to know); "
    "and measured patterns of such positions beside the patterns of their two components.",
    NETWORK: "Network of the components that touch, drawn at their largest regions; line width "
    "rises with the number of positions at which both overlap. The bars count these positions; "
    "the numbers beside them are boundary lengths.",
    "methods_agreement": "Label maps of other clustering methods for the same patterns, in the "
    "colours of the components with which they share most positions, and agreement of the "
    "partitions (adjusted Rand index: 1 identical, 0 chance level).",
    "components_truth": "Simulated grains, in the colours of the components with which they share "
    "most positions, beside the labels (background omitted); positions where the two differ; and "
    "overlaps that were found, missed or found wrongly, by the same threshold for the true "
    "fractions.",
}

CONTENTS = Contents(
    title="Components",
    captions=CAPTIONS,
    first=("Components of the scan", ("component_maps",)),
    chapters={
        "Number of components": ("rank_evidence",),
        "Quality of the components": (
            "component_quality",
            "component_patterns",
            "component_residual",
        ),
        "Overlaps and boundaries": ("overlap_evolution", NETWORK),
        "Comparison with other methods": ("methods_agreement",),
        "Comparison with the simulated ground truth": ("components_truth",),
    },
    further="Further components.",
)


PLACES = ("y", "x", "centroid_y", "centroid_x")
"""Columns of tables that hold coordinates of the scan."""

PREPARATIONS = {
    "raw": "as recorded",
    "mean": "means of 3 × 3 positions",
    "registered": "reconstructed from registered peaks",
    "peaks": "masked to pixels with registered peaks",
}


def present(tree: xr.DataTree) -> bool:
    """Whether the result holds components."""
    return "components" in tree.children and "pattern" in tree["components"]


def figures(tree: xr.DataTree, tables: Tables) -> Draws:
    """What draws each figure for which the groups under ``/components`` hold the data.

    Parameters
    ----------
    tables
        ``boundary_network`` gives the figure of that name.
    """
    result = components(tree)
    draws: Draws = {"component_maps": partial(maps_figure, result)}
    if has_sweep(result):
        draws["rank_evidence"] = partial(rank_figure, result)
    if has_similarity(result) or has_agreement(result):
        draws["component_quality"] = partial(quality_figure, result)
    if has_measured(result):
        for number, first in enumerate(range(0, result.k, PER_PAGE)):
            name = "component_patterns" + (f"_{number + 1}" if number else "")
            draws[name] = partial(patterns_figure, result, first)
    draws["component_residual"] = partial(residual_figure, result)
    if has_overlaps(result):
        draws["overlap_evolution"] = partial(overlap_figure, result)
    if NETWORK in tables and not tables[NETWORK].empty:
        draws[NETWORK] = partial(network_figure, result, tables[NETWORK])
    if result.others:
        draws["methods_agreement"] = partial(methods_figure, result)
    if has_truth(result):
        draws["components_truth"] = partial(truth_figure, result)
    return draws


def section(tree: xr.DataTree, figures: Figures, tables: Tables) -> Section:  # noqa: ARG001
    """The components' part of the report."""
    result = components(tree)
    units = str(result.data["x"].attrs.get("units", "px"))
    names = (f"{n}{' (background)' * (n == result.background)}" for n in range(result.k))
    return CONTENTS.section(
        figures,
        headline=headline(result),
        methods=methods_text(tree),
        numbers=numbers(result),
        legend=zip(names, result.colours, strict=True),
        units={
            NETWORK: {"length": "px", "width": "px"},
            "components": {"area": f"{units}²"} | dict.fromkeys(PLACES, units),
            "component_positions": dict.fromkeys(PLACES, units),
        },
    )


def headline(result: Components) -> str:
    """The result in one sentence: number of components, relative error, overlaps."""
    grains = int(result.data.attrs.get("grains", result.k - (result.background >= 0)))
    parts = f"{grains} grain{'s' * (grains != 1)}" + " and a background" * (result.background >= 0)
    clauses = [
        f"{result.label.size:,} patterns from {result.k} component{'s' * (result.k != 1)} ({parts})"
    ]
    error = result.number("error")
    if np.isfinite(error):
        floor = result.number("noise_floor")
        noise = f" (noise alone: {floor:.3g})" if np.isfinite(floor) else ""
        clauses.append(f"relative error {error:.3g}{noise}")
    clauses.append(
        f"{percent(float((result.partner >= 0).mean()))} of the positions hold two components"
    )
    unknown = float(result.unknown_overlap.mean())
    if unknown:
        clauses[-1] += f" ({percent(unknown)} more may)"
    if result.text("varying"):
        clauses.append(result.text("varying"))
    return "; ".join(clauses) + "."


def numbers(result: Components) -> dict[str, str]:
    """Key numbers of the components, as text by their label."""
    rows, columns = result.shape
    texts = {"Scan": f"{columns} × {rows} positions{field_text(result.data)}"}
    used = int(np.isfinite(result.pattern("pattern", 0)).sum())
    high, wide = result.data.sizes["ky"], result.data.sizes["kx"]
    kind = PREPARATIONS.get(result.text("patterns"))
    texts["Patterns"] = f"{f'{kind}, ' if kind else ''}{wide} × {high} px, {used:,} of them used"
    texts["Components"] = str(result.k)
    texts["Background"] = f"component {result.background}" if result.background >= 0 else "none"
    if result.text("reason"):
        texts["Reason for this number"] = result.text("reason")
    if np.isfinite(result.number("error")):
        texts["Relative error"] = f"{result.number('error'):.4g}"
    if np.isfinite(result.number("noise_floor")):
        texts["Relative error expected of noise alone"] = f"{result.number('noise_floor'):.4g}"
    if "residual" in result.data and bool(np.isfinite(result.data["residual"]).any()):
        low, middle, top = np.nanpercentile(result.data["residual"].to_numpy(), [5, 50, 95])
        texts["Relative residual of the positions"] = (
            f"median {middle:.3g}, 5 to 95 %: {low:.3g} to {top:.3g}"
        )
    if "overlap" in result.data:
        shares = (result.data["overlap"] > 0).mean(("y", "x")).to_numpy()
        texts["Overlaps by ratio of the weights"] = ", ".join(
            f"≥ {100 * float(s):.0f} %: {percent(float(share))}"
            for s, share in zip(result.data["threshold"].to_numpy(), shares, strict=True)
        )
        unknown = float(result.unknown_overlap.mean())
        if unknown:
            texts["Positions at which an overlap is not known"] = percent(unknown)
    texts |= _variations(result)
    nothing = float((result.label < 0).mean())
    if nothing:
        texts["Positions without signal"] = percent(nothing)
    return texts | _similarities(result) | _agreement(result) | result.run_time()


def _variations(result: Components) -> dict[str, str]:
    """How far patterns vary within the components, beyond counting."""
    names = {
        "variation": "Variation of single patterns within a component, beyond counting",
        "shared_variation": "Variation shared by neighbouring positions (bending, or more grains)",
    }
    texts = {}
    for name, title in names.items():
        if name not in result.data:
            continue
        values = result.data[name].to_numpy()
        if np.isfinite(values).any():
            low, top = 100 * np.nanmin(values), 100 * np.nanmax(values)
            limit = 100 * result.number(f"{name}_limit")
            worst = int(np.nanargmax(values))
            texts[title] = (
                f"{low:.0f} to {top:.0f} %, most in component {worst} (warned of from "
                f"{limit:.0f} % on)"
            )
    return texts


def _similarities(result: Components) -> dict[str, str]:
    """The most similar components, and the one least similar to the measured patterns."""
    texts = {}
    if has_similarity(result):
        pairs = {METRICS[n][0]: worst_pair(result, n) for n in METRICS if n in result.metrics}
        texts["Most similar components"] = ", ".join(
            f"{name}: {pair[0]} and {pair[1]} ({pair[2]:.3g})"
            for name, pair in pairs.items()
            if pair is not None
        )
    if has_agreement(result) and "ssim" in result.metrics:
        values = result.data["agreement"].sel(metric="ssim").to_numpy().astype(float)
        if np.isfinite(values).any():
            texts["Least similar to the mean pattern of its label"] = (
                f"component {int(np.nanargmin(values))} (SSIM {np.nanmin(values):.3g})"
            )
    return texts


def _agreement(result: Components) -> dict[str, str]:
    """Agreement with other clustering methods."""
    if "agreement_of_methods" not in result.data:
        return {}
    row = result.data["agreement_of_methods"].isel(method=0)
    parts = [
        f"{METHOD_NAMES.get(str(name), str(name))} {float(value):.3f}"
        for name, value in zip(row["method_2"].to_numpy(), row.to_numpy(), strict=True)
        if str(name) != "nmf" and np.isfinite(value)
    ]
    return {"Agreement with other methods (adjusted Rand index)": ", ".join(parts)}
