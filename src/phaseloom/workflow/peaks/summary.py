"""Summary of registered peaks: few numbers for the console and ``--json``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from phaseloom.workflow.console import add_times, scan_table, score_table
from phaseloom.workflow.outcome import run_times

if TYPE_CHECKING:
    import xarray as xr
    from rich.console import Console

_SCORES = {
    "recall": ".3f",
    "precision": ".3f",
    "false_per_pattern": ".2f",
    "rms_px": ".3f",
    "pull_sigma": ".2f",
    "intensity_pull_sigma": ".2f",
    "centre_error_px": ".3f",
}
"""Scores of the demonstration, and their formats."""


def facts(results: xr.DataTree) -> dict[str, Any]:
    """Facts ``scan``: patterns, peaks, thresholds, spot size, bytes, times."""
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
    if "averaged_median" in attrs:
        numbers["averaged_median"] = float(attrs["averaged_median"])
    for name in ("beam_scatter", "gain", "threshold", "false_alarms"):
        numbers[name] = float(attrs.get(name, np.nan))
    numbers["spot_shape"] = str(attrs.get("spot_shape", "gaussian"))
    size = "spot_radius" if numbers["spot_shape"] == "disk" else "spot_sigma"
    numbers[size] = float(attrs.get(size, np.nan))
    numbers |= {"bytes_in": int(attrs["bytes_in"]), "bytes_out": int(attrs["bytes_out"])}
    numbers["compression"] = numbers["bytes_in"] / max(1, numbers["bytes_out"])
    numbers |= run_times(results, "peaks")
    return {"scan": numbers}


def show_peaks(facts: dict[str, Any], console: Console) -> None:
    """Print number of peaks, spot size, gain, bytes, times."""
    from phaseloom.view.parts import bytes_text

    scan = facts["scan"]
    table = scan_table(scan)
    table.add_row("peaks", f"{scan['peaks']:,}, {scan['peaks_per_pattern']:.1f} per pattern")
    if "averaged_median" in scan:
        several = f"{scan['averaged_median']:.0f} per position (median), of the same grain"
        table.add_row("patterns averaged", several)
    if scan["pixel_size_units"] != "px":
        table.add_row("pixel size", f"{scan['pixel_size']:.5g} {scan['pixel_size_units']}")
    table.add_row("direct beam scatter", _px(scan["beam_scatter"]))
    size = "spot_radius" if "spot_radius" in scan else "spot_sigma"
    table.add_row(f"{size.replace('_', ' ')} ({scan['spot_shape']})", _px(scan[size]))
    if np.isfinite(scan["gain"]):
        table.add_row("gain", f"{scan['gain']:.3g} counts per electron")
    table.add_row(
        "bytes",
        f"{bytes_text(scan['bytes_in'])} in, {bytes_text(scan['bytes_out'])} out: "
        f"{scan['compression']:,.0f} times less",
    )
    add_times(table, scan, "time")
    console.print(table)


def show_peak_scores(scores: dict[str, float], console: Console) -> None:
    """Print how a demonstration compares with the simulated truth."""
    rows = ((name, name.replace("_", " "), form) for name, form in _SCORES.items())
    console.print(score_table(scores, rows))


def _px(number: float) -> str:
    return f"{number:.2f} px" if np.isfinite(number) else "not known"
