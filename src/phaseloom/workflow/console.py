"""Results and descriptions as text on the console."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

_INSTRUMENT = (
    ("voltage", " kV"),
    ("precession_angle", "°"),
    ("camera_length", " mm"),
    ("convergence_angle", " mrad"),
    ("exposure", " s"),
    ("scan_rotation", "°"),
    ("saturation", " counts"),
)


def show_description(facts: dict[str, Any], console: Console) -> None:
    """Print what :func:`phaseloom.io.description.describe` found."""
    title = f"[bold]{escape(str(facts['source']))}[/]  {facts['kind']}, {facts['format']}"
    console.print(title, highlight=False)
    for name in ("title", "start_time", "detector", "detectors"):
        if facts.get(name):
            value = facts[name]
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            console.print(f"{name.replace('_', ' ')}: {shown}", markup=False, highlight=False)
    quantities = Table("quantity", "dims", "shape", "type", "range")
    for name, q in facts["quantities"].items():
        span = f"{q['min']:g} to {q['max']:g} {q['units']}" if "min" in q else ""
        quantities.add_row(
            escape(name), ", ".join(q["dims"]), "×".join(map(str, q["shape"])), q["dtype"], span
        )
    console.print(quantities)
    axes = Table("axis", "n", "first", "last", "step", "units")
    for name, a in facts["axes"].items():
        if "labels" in a:
            first, last = escape(a["labels"][0]), escape(a["labels"][-1])
            axes.add_row(name, str(a["n"]), first, last, "", "")
            continue
        step = "not uniform" if a["step"] is None else f"{a['step']:.6g}"
        axes.add_row(
            name,
            str(a["n"]),
            f"{a['first']:.6g}",
            f"{a['last']:.6g}",
            step if a["n"] > 1 else "",
            a["units"],
        )
    console.print(axes)
    if facts["kind"] == "scan":
        _show_instrument(facts, console)
    energies = facts.get("energies", [])
    if energies:
        shown = energies if len(energies) <= 30 else [*energies[:12], "…", *energies[-12:]]
        text = " ".join(f"{e:.8g}" if isinstance(e, float) else e for e in shown)
        console.print(f"energies (eV): {text}", highlight=False)


def _show_instrument(facts: dict[str, Any], console: Console) -> None:
    """What the file says of the microscope, and what of it has to be given to go on."""
    for name, unit in _INSTRUMENT:
        if name in facts:
            console.print(f"{name.replace('_', ' ')}: {facts[name]:g}{unit}", highlight=False)
    missing = [
        option
        for option, known in (
            ("--pixel-size", facts["axes"]["kx"]["units"] != "px"),
            ("--step", facts["axes"]["x"]["units"] != "px"),
            ("--voltage", "voltage" in facts),
        )
        if not known
    ]
    if missing:
        console.print(f"the file does not say: {', '.join(missing)}", highlight=False)


def show_summary(summary: dict[str, Any], console: Console) -> None:
    """Print the answer of a run, whatever its method."""
    if summary["method"] == "stxm":
        _show_stacks(summary["stacks"], console)
    elif summary["method"] == "index":
        _show_orientations(summary["orientation"], console)
        for file in summary["exports"]:
            console.print(f"→ {file}", markup=False, highlight=False, soft_wrap=True)
    elif summary["method"] == "cluster":
        _show_components(summary["components"], console)
        if "orientation" in summary:
            _show_orientations(summary["orientation"], console)
    else:
        _show_peaks(summary["scan"], console)


def show_scores(kind: str, scores: dict[str, Any], console: Console) -> None:
    """Print how a demonstration's results compare with the simulated truth."""
    if kind == "stxm":
        _show_phase_scores(scores, console)
    elif kind == "index":
        _show_orientation_scores(scores, console)
    elif kind == "cluster":
        _show_component_scores(scores, console)
    else:
        _show_peak_scores(scores, console)


def _show_peaks(scan: dict[str, Any], console: Console) -> None:
    """How many peaks, how sure, how fast, how many bytes."""
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


def _show_orientations(said: dict[str, Any], console: Console) -> None:
    """Phases, how sure, how many grains, how fast."""
    rows, columns = said["scan_shape"]
    table = Table(show_header=False)
    table.add_row("patterns", f"{said['patterns']:,} ({rows}×{columns})")
    for name, share in said["fractions"].items():
        table.add_row(escape(name), f"{share:.1%}")
    table.add_row("unindexed", f"{said['unindexed']:.1%}")
    table.add_row("sure (probability 0.95 or more)", f"{said['sure']:.1%}")
    table.add_row("ambiguous", f"{said['ambiguous']:.1%}")
    if "overlaps" in said:
        table.add_row("with a second crystal", f"{said['overlaps']:.1%}")
    table.add_row("grains", f"{said['grains']:,}")
    for name, form in (("correlation", ".3f"), ("matched", ".0f"), ("explained", ".1%")):
        if np.isfinite(said[name]):
            table.add_row(f"{name}, median", format(said[name], form))
    if np.isfinite(said.get("registering_seconds", np.nan)):
        table.add_row("time to register", f"{said['registering_seconds']:.1f} s")
    if np.isfinite(said["seconds"]):
        speed = f"{said['patterns_per_second']:,.0f} patterns/s"
        table.add_row("time to index", f"{said['seconds']:.1f} s, {speed}")
    console.print(table)


def _show_components(said: dict[str, Any], console: Console) -> None:
    """How many components and why, where they are, how fast."""
    rows, columns = said["scan_shape"]
    table = Table(show_header=False)
    table.add_row("patterns", f"{said['patterns']:,} ({rows}×{columns})")
    table.add_row("components", f"{said['k']}")
    if said["background"] >= 0:
        table.add_row("… of them background", f"component {said['background']}")
    table.add_row("overlaps", f"{said['overlaps']:.1%}")
    if said["nothing"]:
        table.add_row("nothing there", f"{said['nothing']:.1%}")
    noise = f", noise {said['noise_floor']:.4f}" if np.isfinite(said["noise_floor"]) else ""
    table.add_row("relative error", f"{said['error']:.4f}{noise}")
    for name, index in said.get("agreement", {}).items():
        table.add_row(f"agreement with {name}", f"{index:.3f}")
    if np.isfinite(said.get("registering_seconds", np.nan)):
        table.add_row("time to register", f"{said['registering_seconds']:.1f} s")
    if np.isfinite(said["seconds"]):
        speed = f"{said['patterns_per_second']:,.0f} patterns/s"
        table.add_row("time for components", f"{said['seconds']:.1f} s, {speed}")
    console.print(table)
    console.print(said["reason"], markup=False, highlight=False, soft_wrap=True)


def _px(number: float) -> str:
    return f"{number:.2f} px" if np.isfinite(number) else "not known"


def _bytes(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"


def _show_peak_scores(scores: dict[str, float], console: Console) -> None:
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


def _show_orientation_scores(scores: dict[str, Any], console: Console) -> None:
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
    found = Table("true phase", *(escape(f"found {n}") for n in scores["found"]))
    for name, counts in scores["confusion"].items():
        found.add_row(escape(name), *(f"{n:,}" for n in counts))
    console.print(found)


def _show_component_scores(scores: dict[str, Any], console: Console) -> None:
    table = Table(show_header=False, title="against the simulated truth")
    table.add_row("grains", f"{scores['grains']} found, {scores['true_grains']} are there")
    for name, label, form in (
        ("map_correlation", "correlation of the weight maps, mean", ".3f"),
        ("worst_map_correlation", "… worst", ".3f"),
        ("right_labels", "right labels within grains", ".1%"),
        ("overlap_f1", "overlaps, F1", ".3f"),
        ("overlap_recall", "… found", ".1%"),
        ("overlap_precision", "… right", ".1%"),
    ):
        table.add_row(label, format(scores[name], form))
    console.print(table)
    if "orientation" in scores:
        _show_orientation_scores(scores["orientation"], console)


def _show_stacks(stacks: dict[str, Any], console: Console) -> None:
    """The phase fractions of every stack, and what was done to get them."""
    # A column per stack: names of phases are long, and there are more of them than stacks.
    table = Table("", *(escape(name) for name in stacks))
    shown = list(stacks.values())
    for label in shown[0]["fractions"]:
        table.add_row(escape(label), *(f"{s['fractions'][label]:.1%}" for s in shown))
    table.add_section()
    for name, form in (("unknown", ".1%"), ("ambiguous", ".1%"), ("residual", ".4f")):
        table.add_row(name, *(format(s[name], form) for s in shown))
    found = (f"{s['energy_shift_fitted']:+.3f} ± {s['energy_shift_error']:.3f}" for s in shown)
    table.add_row("energy shift found (eV)", *found)
    table.add_row("… taken off (eV)", *(f"{s['energy_shift']:+.3f}" for s in shown))
    console.print(table)


def _show_phase_scores(scores: dict[str, dict[str, float]], console: Console) -> None:
    table = Table(
        "stack",
        "all pixels",
        "ambiguous",
        "mixed",
        "shift error",
        "drift rms",
        title="right phases, in brackets Pearson's alone",
    )
    for name, s in scores.items():
        table.add_row(
            name,
            *(f"{s[g]:.3f} ({s['pearson_' + g]:.3f})" for g in ("all", "ambiguous", "mixed")),
            f"{s['energy_shift_error']:+.3f} eV",
            f"{s['drift_rms']:.3f} px",
        )
    console.print(table)
