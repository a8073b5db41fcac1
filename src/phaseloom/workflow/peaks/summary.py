"""Registered peaks in few numbers, for console and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from phaseloom.workflow.outcome import TIMES

if TYPE_CHECKING:
    import xarray as xr
    from rich.console import Console


def facts(results: xr.DataTree) -> dict[str, Any]:
    """``scan``: patterns, peaks, how fast, how sure, how many bytes."""
    data = results["peaks"].to_dataset()
    patterns, peaks = int(data.sizes["y"] * data.sizes["x"]), int(data.sizes["peak"])
    attrs = data.attrs
    numbers: dict[str, Any] = {
        "patterns": patterns,
        "scan_shape": [int(data.sizes["y"]), int(data.sizes["x"])],
        "peaks": peaks,
        "peaks_per_pattern": peaks / patterns,
        "pixel_size": float(attrs["pixel_size"]),
        "pixel_size_units": str(attrs["pixel_size_units"]),
    }
    for name in ("beam_scatter", "gain", "threshold", "false_alarms"):
        numbers[name] = float(attrs.get(name, np.nan))
    numbers["spot_shape"] = str(attrs.get("spot_shape", "gaussian"))
    size = "spot_radius" if numbers["spot_shape"] == "disk" else "spot_sigma"
    numbers[size] = float(attrs.get(size, np.nan))
    numbers |= {"bytes_in": int(attrs["bytes_in"]), "bytes_out": int(attrs["bytes_out"])}
    numbers["compression"] = numbers["bytes_in"] / max(1, numbers["bytes_out"])
    for name in TIMES:
        numbers[name] = float(attrs.get(name, np.nan))
    return {"scan": numbers}


def show_peaks(facts: dict[str, Any], console: Console) -> None:
    """Print how many peaks, how sure, how fast, how many bytes."""
    scan = facts["scan"]
    rows, columns = scan["scan_shape"]
    table = Table(show_header=False)
    table.add_row("patterns", f"{scan['patterns']:,} ({rows}×{columns})")
    table.add_row("peaks", f"{scan['peaks']:,}, {scan['peaks_per_pattern']:.1f} per pattern")
    if scan["pixel_size_units"] != "px":
        table.add_row("pixel size", f"{scan['pixel_size']:.5g} {scan['pixel_size_units']}")
    table.add_row("direct beam scatter", _px(scan["beam_scatter"]))
    size = "spot_radius" if "spot_radius" in scan else "spot_sigma"
    table.add_row(f"{size.replace('_', ' ')} ({scan['spot_shape']})", _px(scan[size]))
    if np.isfinite(scan["gain"]):
        table.add_row("gain", f"{scan['gain']:.3g} counts per electron")
    table.add_row(
        "bytes",
        f"{_bytes(scan['bytes_in'])} in, {_bytes(scan['bytes_out'])} out: "
        f"{scan['compression']:,.0f} times less",
    )
    if np.isfinite(scan["seconds"]):
        speed = f"{scan['patterns_per_second']:,.0f} patterns/s"
        table.add_row("time", f"{scan['seconds']:.1f} s, {speed}")
    console.print(table)


def show_peak_scores(scores: dict[str, float], console: Console) -> None:
    """Print how a demonstration compares with the simulated truth."""
    table = Table(show_header=False, title="against the simulated truth")
    for name, form in (
        ("recall", ".3f"),
        ("precision", ".3f"),
        ("false_per_pattern", ".2f"),
        ("rms_px", ".3f"),
        ("pull_sigma", ".2f"),
        ("intensity_pull_sigma", ".2f"),
        ("centre_error_px", ".3f"),
    ):
        table.add_row(name.replace("_", " "), format(scores[name], form))
    console.print(table)


def _px(number: float) -> str:
    return f"{number:.2f} px" if np.isfinite(number) else "not known"


def _bytes(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"
