"""All figures of a result, written to files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import xarray as xr

from phaseloom.view.results import has_energy_shift_curve, phase_names, stxm_stacks
from phaseloom.view.style import publication

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def write_figures(
    folder: Path, tree: xr.DataTree, *, tables: Mapping[str, pd.DataFrame] | None = None
) -> dict[str, Path]:
    """Draw every figure the result has the data for, and write it as PNG (300 dpi).

    Parameters
    ----------
    folder
        Made when it does not exist.
    tree
        Result with a group per stack under ``/stxm``; the references on their own grids are
        taken from ``/references/NAME`` (variable ``absorption``), the components of the latent
        space from ``/latent``, where there are such groups.
    tables
        ``phase_fractions`` gives the fractions figure its error bars: see
        :func:`phaseloom.view.stxm.fractions_figure`.

    Returns
    -------
    dict of str to pathlib.Path
        ``NAME_workflow``, ``NAME_spectra``, ``NAME_quality``, ``NAME_i0``, ``NAME_drift``,
        ``NAME_energy_shift`` (when a shift was fitted) per stack; ``comparison`` and ``fractions``
        when there are several.
    """
    from phaseloom.view import stxm as draw

    folder.mkdir(parents=True, exist_ok=True)
    latent = tree["latent"].to_dataset() if "latent" in tree.children else None
    stacks = stxm_stacks(tree)
    figures: dict[str, Callable[[], Figure]] = {}
    if len(stacks) > 1:
        fractions = (tables or {}).get("phase_fractions")
        figures["comparison"] = partial(draw.comparison_figure, tree)
        figures["fractions"] = partial(draw.fractions_figure, tree, fractions)
    for name, dataset in stacks.items():
        references = _references(tree, phase_names(dataset))
        figures[f"{name}_workflow"] = partial(
            draw.workflow_figure, dataset, latent, references=references
        )
        figures[f"{name}_spectra"] = partial(draw.spectra_figure, dataset)
        figures[f"{name}_quality"] = partial(draw.quality_figure, dataset)
        if "i0" in dataset and bool(dataset["i0"].notnull().any()):
            figures[f"{name}_i0"] = partial(draw.i0_figure, dataset)
        if "shift_y" in dataset:
            figures[f"{name}_drift"] = partial(draw.drift_figure, dataset)
        if has_energy_shift_curve(dataset):
            figures[f"{name}_energy_shift"] = partial(draw.energy_shift_figure, dataset)
    written = {}
    for name, make in figures.items():
        path = folder / f"{name}.png"
        with publication():
            make().savefig(path)
        written[name] = path
    return written


def _references(tree: xr.DataTree, names: list[str]) -> list[xr.DataArray]:
    """The references on their own grids in the order of the phases; none if one is absent."""
    group = tree.children.get("references")
    if group is None:
        return []
    # A name cannot hold a slash in a tree: it is kept with an underscore there.
    keys = [name.replace("/", "_") for name in names]
    if not all(key in group.children and "absorption" in group[key] for key in keys):
        return []
    return [group[key].to_dataset()["absorption"] for key in keys]
