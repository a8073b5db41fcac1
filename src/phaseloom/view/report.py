"""The report: one HTML file that holds everything, readable without phaseloom or a network."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from phaseloom.errors import InputError
from phaseloom.view.figures import write_figures
from phaseloom.view.methods import citations, facts, methods_paragraph
from phaseloom.view.results import (
    numbers,
    phase_names,
    pixel_counts,
    resolution_method,
    state_of_charge,
    stxm_stacks,
)
from phaseloom.view.style import FIGURE_STYLE, PAGE_WIDTH, phase_colours

__all__ = ["citations", "headline", "methods_paragraph", "write_figures", "write_report"]

ROWS = 20
"""Rows of a table that the report shows; the files hold all."""

AREAS = ("area",)
LENGTHS = ("y", "x", "equivalent_diameter", "length")
"""Columns of the tables in the unit of the stacks' axes, squared and as it is."""

KINDS = ("workflow", "spectra", "quality", "i0", "drift", "energy_shift")

CAPTIONS = {
    "comparison": "Final phase maps and value maps of all stacks, each with its own scale bar; "
    "one value scale for all. Below, the shares of the particles' pixels.",
    "fractions": "Phase fractions of the stacks.",
    "spectra": "Mean spectrum of the pixels of every phase, with their standard deviation, and "
    "the reference as used, scaled and offset to the mean by least squares.",
    "quality": "Where the map can be trusted: fit residual, posterior probability of the "
    "likeliest phase, flagged pixels, and why pixels were left out.",
    "i0": "Outline of the particle pixels (orange) and, when the incident intensity comes from "
    "the field, the pixels it was taken from (blue); the incident spectrum.",
    "drift": "Displacement of the sample in every frame against the common frame; removed before "
    "the optical density was analysed.",
    "energy_shift": "Reduced χ² against a trial shift between the stack's and the references' "
    "energies; the line is the shift found, the band its standard error.",
}


@dataclass(frozen=True)
class Picture:
    """A figure in the report.

    Parameters
    ----------
    data
        PNG as base64.
    width
        In percent of the page, so that type has one size in all figures.
    caption, alternative
        What it shows; a text for those who cannot see it.
    """

    data: str
    width: int
    caption: str
    alternative: str


def write_report(
    path: Path,
    tree: xr.DataTree,
    *,
    tables: Mapping[str, pd.DataFrame],
    figures: Mapping[str, Path | bytes],
    notes: Sequence[str] = (),
    recipe: str = "",
    title: str = "Phase maps",
) -> None:
    """Write the report of a result as one self-contained HTML file.

    Parameters
    ----------
    path
        The file to write.
    tree
        Result with a group per stack under ``/stxm``; attributes ``versions`` and ``inputs``
        (JSON) of the tree or of that group.
    tables
        By name (the file name without ``.csv``); fractions are shown in percent.
    figures
        PNG files or their bytes by name, as :func:`write_figures` returns them.
    notes
        Warnings the run raised, shown at the top.
    recipe
        The resolved recipe (TOML).
    title
        Heading of the report.

    Raises
    ------
    InputError
        When the tree holds no stack.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    stacks = stxm_stacks(tree)
    if not stacks:
        raise InputError("the result holds no STXM phase map", "map at least one stack first")
    environment = Environment(
        loader=PackageLoader("phaseloom.view"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = phase_names(next(iter(stacks.values())))
    html = environment.get_template("report.html.j2").render(
        title=title,
        headline=headline(tree),
        notes=list(notes),
        phases=list(zip(names, phase_colours(len(names)), strict=True)),
        overview=_overview(stacks),
        together=[
            _picture(name, figures[name], next(iter(stacks.values())))
            for name in ("comparison", "fractions")
            if name in figures
        ],
        stacks=[_section(name, dataset, figures) for name, dataset in stacks.items()],
        tables=[_table(name, table, _length_unit(stacks)) for name, table in tables.items()],
        methods=methods_paragraph(tree),
        citations=citations(tree),
        recipe=recipe,
        versions=facts(tree, "versions"),
        inputs=facts(tree, "inputs"),
    )
    path.write_text(html, encoding="utf-8")


def headline(tree: xr.DataTree) -> str:
    """The result in one sentence: stacks, phases and their shares, ambiguous and unknown pixels."""
    stacks = stxm_stacks(tree)
    datasets = list(stacks.values())
    names = phase_names(datasets[0])
    counted = [pixel_counts(dataset) for dataset in datasets]
    counts = np.sum([count for count, _ in counted], axis=0)
    unknown = sum(lost for _, lost in counted)
    total = max(1, int(counts.sum()) + unknown)
    shares = ", ".join(
        f"{name} {percent(count / total, digits=0)}"
        for name, count in zip(names, counts, strict=True)
    )
    number = f"{len(stacks)} stack{'s' * (len(stacks) > 1)}"
    sentence = f"{number}, {len(names)} phases: {shares}"
    if all("ambiguous" in dataset for dataset in datasets):
        ambiguous = sum(int((d["ambiguous"] & d["mask"]).sum()) for d in datasets)
        how = {
            "gmvae": "resolved in the latent space",
            "likelihood": "resolved by their likelihood",
            "pearson": "given the better correlation",
        }.get(resolution_method(tree) or "", "each given a phase")
        sentence += f"; {percent(ambiguous / total)} of the pixels were ambiguous, {how}"
    return f"{sentence}; {percent(unknown / total)} unknown."


def percent(share: float, *, digits: int = 1) -> str:
    """A share as a percentage; a small one that is not zero does not read as zero."""
    smallest = 10.0**-digits
    if 0 < 100 * share < smallest / 2:
        return f"< {smallest:g} %"
    return f"{100 * share:.{digits}f} %"


def _overview(stacks: Mapping[str, xr.Dataset]) -> dict[str, Any]:
    """Numbers of all stacks in one table: a row per number, a column per stack."""
    columns = {name: numbers(dataset) for name, dataset in stacks.items()}
    labels = list(dict.fromkeys(label for column in columns.values() for label in column))
    return {
        "stacks": list(stacks),
        "rows": [
            (label, [column.get(label, "–") for column in columns.values()]) for label in labels
        ],
    }


def _heading(name: str, dataset: xr.Dataset) -> str:
    charge = state_of_charge(dataset)
    return name if charge is None else f"{name}, state of charge {charge:.4g}"


def _section(name: str, dataset: xr.Dataset, figures: Mapping[str, Path | bytes]) -> dict[str, Any]:
    pictures = [
        _picture(kind, figures[f"{name}_{kind}"], dataset)
        for kind in KINDS
        if f"{name}_{kind}" in figures
    ]
    return {"heading": _heading(name, dataset), "pictures": pictures}


def _picture(kind: str, figure: Path | bytes, dataset: xr.Dataset) -> Picture:
    data = figure if isinstance(figure, bytes) else Path(figure).read_bytes()
    caption = _workflow_caption(dataset) if kind == "workflow" else CAPTIONS[kind]
    return Picture(
        data=base64.b64encode(data).decode("ascii"),
        width=_width(data),
        caption=caption,
        alternative=f"{kind.replace('_', ' ')} figure",
    )


def _width(png: bytes) -> int:
    """Width in percent of a page figure's; the header of a PNG file holds its pixels."""
    full = PAGE_WIDTH * float(FIGURE_STYLE["savefig.dpi"])
    return min(100, round(100 * int.from_bytes(png[16:20], "big") / full))


def _workflow_caption(dataset: xr.Dataset) -> str:
    parts = [
        "From spectra to phases: optical density at the energy of strongest absorption",
        "references with the energies of the stack marked",
        "Pearson correlation with every reference on one colour scale",
        "phase of highest correlation",
    ]
    if "ambiguous" in dataset:
        margin = dataset.attrs.get("margin")
        limit = f" by no more than {margin:g}" if isinstance(margin, int | float) else " little"
        parts.append(f"pixels whose two highest correlations differ{limit}, in grey")
    if "latent" in dataset:
        parts.append(
            "latent space with the confident pixels alone, with the ambiguous ones, and after "
            "their assignment"
        )
    parts.append("final phases")
    if "value" in dataset and bool(np.isfinite(dataset["value"]).any()):
        parts.append("value map")
    if "posterior" in dataset:
        parts.append("posterior probability of the likeliest phase, if a place is left for it")
    return "; ".join(parts) + "."


def _length_unit(stacks: Mapping[str, xr.Dataset]) -> str:
    """Unit of the stacks' axes: µm, or px where the pixel size is unknown; both when mixed."""
    units = [str(d.attrs.get("length_unit", "px")) for d in stacks.values()]
    return " or ".join(dict.fromkeys(units))


def _column(column: str, unit: str) -> str:
    """Heading of a column, lengths and areas with their unit."""
    heading = column.replace("_", " ")
    if column in AREAS:
        return f"{heading} ({unit.replace(' or ', '² or ')}²)"
    return f"{heading} ({unit})" if column in LENGTHS else heading


def _table(name: str, table: pd.DataFrame, unit: str) -> dict[str, Any]:
    return {
        "name": name,
        "heading": name.replace("_", " ").capitalize(),
        "columns": [_column(str(column), unit) for column in table.columns],
        "numeric": [pd.api.types.is_numeric_dtype(table[column]) for column in table.columns],
        "rows": [
            [_cell(column, value) for column, value in zip(table.columns, row, strict=True)]
            for row in table.head(ROWS).itertuples(index=False, name=None)
        ],
        "total": len(table),
    }


def _cell(column: object, value: object) -> str:
    """A table's cell: shares in percent, four figures otherwise, a dash for what is missing."""
    if isinstance(value, float | np.floating):
        if not np.isfinite(value):
            return "–"
        if "fraction" in str(column):
            return f"{100 * value:.2f} %"
        return f"{value:.4g}"
    return str(value)
