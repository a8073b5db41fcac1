"""Summary of phase maps: few numbers for the console and ``--json``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    import xarray as xr
    from rich.console import Console


def facts(results: xr.DataTree) -> dict[str, Any]:
    """Facts ``stacks``: by name, fractions of the phases, energy shift, residual, boundary test."""
    stacks = {}
    for name, node in results["stxm"].children.items():
        data = node.to_dataset()
        phase = data["phase"].to_numpy()
        inside = data["mask"].to_numpy()
        stacks[name] = {
            "fractions": {
                str(label): float((phase[inside] == p).mean())
                for p, label in enumerate(data["reference"].to_numpy())
            },
            "unknown": float((phase[inside] == -2).mean()),
            "ambiguous": float(data["ambiguous"].to_numpy()[inside].mean()),
            "energy_shift": data.attrs["energy_shift"],
            "energy_shift_fitted": data.attrs["energy_shift_fitted"],
            "energy_shift_error": data.attrs["energy_shift_error"],
            "residual": data.attrs["residual"],
        }
        if "boundary_verdict" in data.attrs:
            stacks[name]["boundary_odds_ratio"] = data.attrs["odds_ratio"]
            stacks[name]["boundary_beyond_optics"] = [
                data.attrs[f"odds_ratio_relative{end}"] for end in ("", "_low", "_high")
            ]
            stacks[name]["boundary_verdict"] = data.attrs["boundary_verdict"]
    return {"stacks": stacks}


def show_stacks(facts: dict[str, Any], console: Console) -> None:
    """Print phase fractions, residual and energy shift of every stack."""
    stacks = facts["stacks"]
    # A column per stack: names of phases are long, and there are more of them than stacks.
    table = Table("", *(escape(name) for name in stacks))
    shown = list(stacks.values())
    for label in shown[0]["fractions"]:
        table.add_row(escape(label), *(f"{s['fractions'][label]:.1%}" for s in shown))
    table.add_section()
    for name, form in (("unknown", ".1%"), ("ambiguous", ".1%"), ("residual", ".4f")):
        table.add_row(name, *(format(s[name], form) for s in shown))
    shifts = (f"{s['energy_shift_fitted']:+.3f} ± {s['energy_shift_error']:.3f}" for s in shown)
    table.add_row("energy shift found (eV)", *shifts)
    table.add_row("… taken off (eV)", *(f"{s['energy_shift']:+.3f}" for s in shown))
    console.print(table)
    for name, stack in stacks.items():
        if "boundary_verdict" in stack:
            console.print(f"{escape(name)}: {stack['boundary_verdict']}", highlight=False)


def show_phase_scores(scores: dict[str, dict[str, float]], console: Console) -> None:
    """Print how a demonstration compares with the simulated truth."""
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
