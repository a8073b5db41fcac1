"""Text on the console: descriptions of files, tables of numbers."""

from __future__ import annotations

from collections.abc import Iterable
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


def scan_table(numbers: dict[str, Any]) -> Table:
    """A table of facts about a scan, begun with its patterns."""
    rows, columns = numbers["scan_shape"]
    table = Table(show_header=False)
    table.add_row("patterns", f"{numbers['patterns']:,} ({rows}×{columns})")
    return table


def add_times(table: Table, numbers: dict[str, Any], label: str) -> None:
    """Add rows of the computing times, where they are known; ``label`` is for the method's."""
    if np.isfinite(numbers.get("registering_seconds", np.nan)):
        table.add_row("time to register", f"{numbers['registering_seconds']:.1f} s")
    if np.isfinite(numbers["seconds"]):
        speed = f"{numbers['patterns_per_second']:,.0f} patterns/s"
        table.add_row(label, f"{numbers['seconds']:.1f} s, {speed}")


def score_table(scores: dict[str, Any], rows: Iterable[tuple[str, str, str]]) -> Table:
    """A table of a demonstration's scores: name, label and format of each."""
    table = Table(show_header=False, title="against the simulated truth")
    for name, label, form in rows:
        table.add_row(label, format(scores[name], form))
    return table


def show_crystal(facts: dict[str, Any], console: Console) -> None:
    """Print what :func:`phaseloom.crystals.description.describe_crystal` found."""
    title = f"[bold]{escape(facts['source'])}[/]  {facts['kind']}, {facts['format']}"
    console.print(title, highlight=False)
    a, b, c, alpha, beta, gamma = facts["cell"]
    group = facts["space_group"]
    setting = group["setting"] or f"{group['name']} with other axes or another origin"
    atoms = ", ".join(f"{count} {element}" for element, count in facts["places"].items())
    lines = [
        f"formula: {facts['formula']} (Z = {facts['formula_units']})",
        f"cell: {a:.5f}, {b:.5f}, {c:.5f} Å; {alpha:.4g}, {beta:.5g}, {gamma:.5g}°",
        f"space group: {setting} ({group['number']}), from its {group['from']}; "
        f"point group {group['point_group']}",
        f"atoms in the cell: {facts['n_atoms']} ({atoms})",
        f"volume: {facts['volume']:.2f} Å³",
        f"density: {facts['density']:.3f} g/cm³",
    ]
    shortest = facts["shortest_distance"]
    if shortest:
        between = "–".join(shortest["elements"])
        lines.append(f"shortest distance: {shortest['distance']:.3f} Å ({between})")
    for line in lines:
        console.print(line, markup=False, highlight=False)
    rings = Table("d (Å)", "k (1/Å)", "h k l", "multiplicity", "intensity")
    for ring in facts["rings"]:
        hkl = " ".join(map(str, ring["hkl"]))
        numbers = f"{ring['d']:.4f}", f"{ring['k']:.4f}", hkl, str(ring["multiplicity"])
        rings.add_row(*numbers, f"{ring['intensity']:.1f}")
    console.print(rings)


def _show_instrument(facts: dict[str, Any], console: Console) -> None:
    """Print the settings of the microscope, and the options for those that the file lacks."""
    for name, unit in _INSTRUMENT:
        if name in facts:
            remark = " (taken out with --scan-rotation only)" if name == "scan_rotation" else ""
            line = f"{name.replace('_', ' ')}: {facts[name]:g}{unit}{remark}"
            console.print(line, highlight=False)
    axes = facts["axes"]
    missing = [
        option
        for option, stated in (
            (
                "--scan-shape",
                axes["x"]["units"] != "px" or axes["y"]["n"] > 1 or axes["x"]["n"] == 1,
            ),
            ("--pixel-size", axes["kx"]["units"] != "px"),
            ("--step", axes["x"]["units"] != "px"),
            ("--voltage", "voltage" in facts),
        )
        if not stated
    ]
    if missing:
        console.print(f"the file does not say: {', '.join(missing)}", highlight=False)
