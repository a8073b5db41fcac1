"""Results and descriptions as text on the console."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


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
    energies = facts.get("energies", [])
    if energies:
        shown = energies if len(energies) <= 30 else [*energies[:12], "…", *energies[-12:]]
        text = " ".join(f"{e:.8g}" if isinstance(e, float) else e for e in shown)
        console.print(f"energies (eV): {text}", highlight=False)


def show_summary(summary: dict[str, Any], console: Console) -> None:
    """Print the phase fractions of every stack, and what was done to get them."""
    stacks = summary["stacks"]
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


def show_scores(scores: dict[str, dict[str, float]], console: Console) -> None:
    """Print how the maps compare with the simulated truth."""
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
