"""The report: one self-contained HTML file with figures, key numbers, methods and versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from phaseloom.view.methods import methods_of
from phaseloom.view.parts import facts

__all__ = ["write_report"]

ROWS = 20
"""Largest number of rows of a table in the report; the CSV files hold all."""


def write_report(
    path: Path,
    tree: xr.DataTree,
    *,
    tables: Mapping[str, pd.DataFrame],
    figures: Mapping[str, Path | bytes],
    notes: Sequence[str] = (),
    recipe: str = "",
    title: str = "",
) -> None:
    """Write the report of a result as one self-contained HTML file.

    Parameters
    ----------
    path
        The file to write.
    tree
        Result with any of the groups ``/stxm``, ``/peaks``, ``/components`` and ``/orientation``;
        attributes ``versions`` and ``inputs`` (JSON) of the tree or of its groups.
    tables
        By name (the file name without ``.csv``); fractions are shown in percent.
    figures
        PNG files or their bytes by name, as :func:`phaseloom.view.write_figures` returns them.
    notes
        Warnings the run raised, shown at the top.
    recipe
        The resolved recipe (TOML).
    title
        Heading of the report; by default the titles of its sections.

    Raises
    ------
    InputError
        When the tree holds none of the groups.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    sections = [method.section(tree, figures, tables) for method in methods_of(tree)]
    environment = Environment(
        loader=PackageLoader("phaseloom.view"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    units = {
        table: of_columns for section in sections for table, of_columns in section.units.items()
    }
    html = environment.get_template("report.html.j2").render(
        title=title or " · ".join(section.title for section in sections),
        sections=sections,
        notes=list(notes),
        tables=[_table(name, table, units.get(name, {})) for name, table in tables.items()],
        recipe=recipe,
        versions=facts(tree, "versions"),
        inputs=facts(tree, "inputs"),
    )
    path.write_text(html, encoding="utf-8")


def _table(name: str, table: pd.DataFrame, units: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": name,
        "heading": name.replace("_", " ").capitalize(),
        "columns": [_column(str(column), units) for column in table.columns],
        "numeric": [pd.api.types.is_numeric_dtype(table[column]) for column in table.columns],
        "rows": [
            [_cell(column, value) for column, value in zip(table.columns, row, strict=True)]
            for row in table.head(ROWS).itertuples(index=False, name=None)
        ],
        "total": len(table),
    }


def _column(column: str, units: Mapping[str, str]) -> str:
    """Heading of a column, with its unit."""
    heading = column.replace("_", " ")
    return f"{heading} ({units[column]})" if column in units else heading


def _cell(column: object, value: object) -> str:
    """A cell of a table: fractions in percent, other numbers to four digits, a dash for NaN."""
    if isinstance(value, float | np.floating):
        if not np.isfinite(value):
            return "–"
        if "fraction" in str(column):
            return f"{100 * value:.2f} %"
        return f"{value:.4g}"
    return str(value)
