"""Summary of orientation maps: few numbers for the console and ``--json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.markup import escape
from rich.table import Table

from phaseloom.workflow.console import add_times, scan_table
from phaseloom.workflow.outcome import run_times

if TYPE_CHECKING:
    import xarray as xr
    from rich.console import Console

_GROUP = "orientation"

_SURE = 0.95
"""Least probability of a sure pixel."""


def facts(results: xr.DataTree) -> dict[str, Any]:
    """Facts ``orientation``: shares of phases, certainty, grains, quality, calibration, times.

    Parameters
    ----------
    results
        With ``/orientation`` and ``/orientation/grains``.
    """
    data = results[_GROUP].to_dataset()
    phase = data["phase"].to_numpy()
    indexed = phase >= 0
    numbers: dict[str, Any] = {
        "patterns": int(phase.size),
        "scan_shape": list(phase.shape),
        "fractions": {
            str(name): float((phase == number).mean())
            for number, name in enumerate(data["phase_name"].to_numpy())
        },
        "unindexed": float((~indexed).mean()),
        "sure": float((data["probability"].to_numpy() >= _SURE).mean()),
        "ambiguous": float(data["ambiguous"].to_numpy().mean()),
        "grains": int(results[f"{_GROUP}/grains"]["grain"].max()) + 1,
    }
    for name in ("correlation", "matched", "explained", "residual"):
        numbers[name] = _median(data[name].to_numpy()[indexed])
    if "overlap_phase" in data:
        numbers["overlaps"] = float((data["overlap_phase"].to_numpy() >= 0).mean())
    numbers |= _calibration(data.attrs) | run_times(results, _GROUP)
    return {"orientation": numbers}


def show_orientations(facts: dict[str, Any], console: Console) -> None:
    """Print shares of phases, certainty, grains, quality, times."""
    numbers = facts["orientation"]
    table = scan_table(numbers)
    for name, share in numbers["fractions"].items():
        table.add_row(escape(name), f"{share:.1%}")
    table.add_row("unindexed", f"{numbers['unindexed']:.1%}")
    table.add_row("sure (probability 0.95 or more)", f"{numbers['sure']:.1%}")
    table.add_row("ambiguous", f"{numbers['ambiguous']:.1%}")
    if "overlaps" in numbers:
        table.add_row("with a second crystal", f"{numbers['overlaps']:.1%}")
    table.add_row("grains", f"{numbers['grains']:,}")
    for name, form in (("correlation", ".3f"), ("matched", ".0f"), ("explained", ".1%")):
        if np.isfinite(numbers[name]):
            table.add_row(f"{name}, median", format(numbers[name], form))
    if "pixel_size" in numbers:
        table.add_row("patterns explained, estimated", f"{numbers['explained_share']:.1%}")
        size = f"{numbers['pixel_size']:.6g} Å⁻¹ per px"
        table.add_row("pixel size", f"{size}: {numbers['scale_found']}")
        table.add_row("distortion, centre", distortion_text(numbers))
    add_times(table, numbers, "time to index")
    console.print(table)


def distortion_text(numbers: Mapping[str, Any]) -> str:
    """What was taken off of elliptic distortion and centre, in words.

    Parameters
    ----------
    numbers
        Attributes of the map or facts of its summary.
    """
    if not np.isfinite(numbers["scale_error"]):
        return "taken as given"
    ratio, offset = numbers["ellipticity"], np.hypot(*numbers["centre_offset"])
    parts = [
        f"axes of rings in the ratio {ratio:.4f} ± {numbers['ellipticity_error']:.4f}"
        if ratio != 1.0
        else "round",
        f"centre {offset / numbers['pixel_size']:.2f} px off" if offset else "centre right",
    ]
    return ", ".join(parts)


def _calibration(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """What was found of pixel size, distortion and centre; nothing where the map does not say."""
    if "scale" not in attrs:
        return {}
    names = (
        "pixel_size", "scale", "scale_error", "ellipticity", "ellipticity_error",
        "calibration_residual", "explained_share",
    )  # fmt: skip
    lists = ("centre_offset", "centre_offset_error", "rival_scales")
    sentences = [line for line in str(attrs["remarks"]).split("\n") if line]
    return (
        {name: float(attrs[name]) for name in names}
        | {name: [float(v) for v in np.atleast_1d(attrs[name])] for name in lists}
        | {"scale_found": str(attrs["scale_found"]), "remarks": sentences}
    )


def show_orientation_scores(scores: dict[str, Any], console: Console) -> None:
    """Print how a demonstration compares with the simulated truth."""
    table = Table("", *scores["pixels"], title="against the simulated truth")
    shown = list(scores["pixels"].values())
    for name, label, form in (
        ("pixels", "pixels", ",d"),
        ("within_3_degrees", "right within 3°", ".1%"),
        ("either", "… or the second crystal's", ".1%"),
        ("both", "both crystals", ".1%"),
        ("median_misorientation", "misorientation, median", ".3f"),
        ("phase", "right phase", ".1%"),
        ("probability", "mean probability", ".3f"),
        ("calibration_error", "calibration error", ".3f"),
        ("calibration_error_either", "… either crystal is right", ".3f"),
    ):
        table.add_row(label, *("–" if np.isnan(s[name]) else format(s[name], form) for s in shown))
    console.print(table)
    confusion = Table("true phase", *(escape(f"found {n}") for n in scores["found"]))
    for name, counts in scores["confusion"].items():
        confusion.add_row(escape(name), *(f"{n:,}" for n in counts))
    console.print(confusion)


def _median(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")
