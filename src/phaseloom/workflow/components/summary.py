"""Summary of components: few numbers for the console and ``--json``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from phaseloom.workflow.console import add_times, scan_table, score_table
from phaseloom.workflow.orientation.summary import facts as orientation_facts
from phaseloom.workflow.orientation.summary import show_orientation_scores, show_orientations
from phaseloom.workflow.outcome import run_times

if TYPE_CHECKING:
    import xarray as xr
    from rich.console import Console

_GROUP = "components"

_SCORES = (
    ("grains", "grains", ""),
    ("map_correlation", "correlation of the weight maps, mean", ".3f"),
    ("worst_map_correlation", "… worst", ".3f"),
    ("right_labels", "right labels within grains", ".1%"),
    ("overlap_f1", "overlaps, F1", ".3f"),
    ("overlap_recall", "… found", ".1%"),
    ("overlap_precision", "… right", ".1%"),
)
"""Scores of the demonstration: name, label, format."""


def facts(results: xr.DataTree) -> dict[str, Any]:
    """Facts ``components``, and ``orientation`` where they are indexed."""
    data = results[_GROUP].to_dataset()
    label, attrs = data["label"].to_numpy(), data.attrs
    background = int(attrs["background"])
    numbers: dict[str, Any] = {
        "patterns": int(label.size),
        "scan_shape": list(label.shape),
        "k": int(attrs["k"]),
        "grains": int(attrs["grains"]),
        "background": background,
        "reason": str(attrs["reason"]),
        "error": float(attrs["error"]),
        "noise_floor": float(attrs.get("noise_floor", np.nan)),
        "residual": float(np.nanmedian(data["residual"].to_numpy())),
        "fractions": [float((label == c).mean()) for c in range(int(attrs["k"]))],
        "nothing": float((label < 0).mean()),
        "overlaps": float((data["partner"].to_numpy() >= 0).mean()),
        "overlaps_unknown": float((data["overlap"][0].to_numpy() < 0).mean()),
        "varying": str(attrs.get("varying", "")),
    }
    # Results of earlier versions have none.
    numbers |= {
        name: data[name].to_numpy().astype(float).tolist()
        for name in ("variation", "shared_variation")
        if name in data
    }
    if "agreement_of_methods" in data:
        row = data["agreement_of_methods"].isel(method=0)
        numbers["agreement"] = {
            str(name): float(value)
            for name, value in zip(row["method_2"].to_numpy(), row.to_numpy(), strict=True)
            if str(name) != "nmf"
        }
    numbers |= run_times(results, _GROUP)
    indexed = orientation_facts(results) if "orientation" in results.children else {}
    return {"components": numbers} | indexed


def show_components(facts: dict[str, Any], console: Console) -> None:
    """Print number of components and its reason, overlaps, errors, times; orientations."""
    numbers = facts["components"]
    table = scan_table(numbers)
    table.add_row("components", f"{numbers['k']}")
    if numbers["background"] >= 0:
        table.add_row("… of them background", f"component {numbers['background']}")
    table.add_row("overlaps", f"{numbers['overlaps']:.1%}")
    if numbers["overlaps_unknown"]:
        table.add_row("… not known, too few counts", f"{numbers['overlaps_unknown']:.1%}")
    if numbers["nothing"]:
        table.add_row("nothing there", f"{numbers['nothing']:.1%}")
    noise = f", noise {numbers['noise_floor']:.4f}" if np.isfinite(numbers["noise_floor"]) else ""
    table.add_row("relative error", f"{numbers['error']:.4f}{noise}")
    for name, index in numbers.get("agreement", {}).items():
        table.add_row(f"agreement with {name}", f"{index:.3f}")
    add_times(table, numbers, "time for components")
    console.print(table)
    console.print(numbers["reason"], markup=False, highlight=False, soft_wrap=True)
    if "orientation" in facts:
        show_orientations(facts, console)


def show_component_scores(scores: dict[str, Any], console: Console) -> None:
    """Print how a demonstration compares with the simulated truth."""
    grains = f"{scores['grains']} found, {scores['true_grains']} are there"
    console.print(score_table(scores | {"grains": grains}, _SCORES))
    if "orientation" in scores:
        show_orientation_scores(scores["orientation"], console)
