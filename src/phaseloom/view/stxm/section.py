"""Report section of phase maps: figures, captions, numbers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import xarray as xr

from phaseloom.view.parts import Contents, Draws, Figures, Section, Tables, percent
from phaseloom.view.results import (
    has_edge,
    has_energy_shift_curve,
    numbers,
    phase_names,
    pixel_counts,
    resolution_method,
    state_of_charge,
    stxm_stacks,
)
from phaseloom.view.stxm import maps as draw
from phaseloom.view.stxm.boundaries import boundary_figure, has_boundary_test
from phaseloom.view.stxm.methods import methods_text
from phaseloom.view.style import phase_colours

KINDS = (
    "workflow", "spectra", "edge", "quality", "boundaries", "i0", "drift", "energy_shift",
)  # fmt: skip

CAPTIONS = {
    "comparison": "Final phase maps and value maps of all stacks, each with its own scale bar; "
    "one value scale for all. Below, the shares of the particles' pixels.",
    "fractions": "Phase fractions of the stacks.",
    "spectra": "Mean spectrum of the pixels of every phase, with their standard deviation, and "
    "the reference as used, scaled and offset to the mean by least squares.",
    "edge": "Quantities of every pixel's own spectrum that need no references, where they are "
    "determined; in the headings the median standard error of a pixel. Edge position: where half "
    "of the edge jump is reached; white line: maximum after it; centroid: first moment in energy.",
    "quality": "Where the map can be trusted: fit residual, posterior probability of the "
    "likeliest phase, flagged pixels, and why pixels were left out.",
    "boundaries": "Left: share of transition pixels by distance from the boundary between two "
    "phases (1: the pixels at it). Points: data, with 95 % intervals by a bootstrap over segments "
    "of the boundary; line and band: mean and 95 % range of simulated stacks in which the optics "
    "alone mix neighbours (the map's pure grains, blurred with the point-spread function, with "
    "the measured noise, decided by the same fits). Right: transition pixels that the optics "
    "explain, and those beyond them; white was not tested.",
    "i0": "Outline of the particle pixels (orange) and, when the incident intensity comes from "
    "the field, the pixels it was taken from (blue); the incident spectrum.",
    "drift": "Displacement of the sample in every frame against the common frame; removed before "
    "the optical density was analysed.",
    "energy_shift": "Reduced χ² against a trial shift between the stack's and the references' "
    "energies; the line is the shift found, the band its standard error. Beside it what the pixels "
    "of each phase ask for by themselves: where they disagree, it is not one shift.",
}

TABLES = ("particles", "interfaces")
"""Tables with lengths in the unit of the stacks' axes, or areas in its square."""


def present(tree: xr.DataTree) -> bool:
    """Whether the result holds a phase map."""
    return "stxm" in tree.children and bool(stxm_stacks(tree))


def figures(tree: xr.DataTree, tables: Tables) -> Draws:
    """What draws each figure: ``NAME_KIND`` per stack, ``comparison`` and ``fractions`` of several.

    Parameters
    ----------
    tree
        The references on their own grids are taken from ``/references/NAME`` (variable
        ``absorption``), the components of the latent space from ``/latent``.
    tables
        ``phase_fractions`` gives the fractions figure its error bars: see
        :func:`phaseloom.view.stxm.maps.fractions_figure`.
    """
    latent = tree["latent"].to_dataset() if "latent" in tree.children else None
    stacks = stxm_stacks(tree)
    drawn: Draws = {}
    if len(stacks) > 1:
        drawn["comparison"] = partial(draw.comparison_figure, tree)
        drawn["fractions"] = partial(draw.fractions_figure, tree, tables.get("phase_fractions"))
    for name, dataset in stacks.items():
        references = _references(tree, phase_names(dataset))
        drawn[f"{name}_workflow"] = partial(
            draw.workflow_figure, dataset, latent, references=references
        )
        drawn[f"{name}_spectra"] = partial(draw.spectra_figure, dataset)
        if has_edge(dataset):
            drawn[f"{name}_edge"] = partial(draw.edge_figure, dataset)
        drawn[f"{name}_quality"] = partial(draw.quality_figure, dataset)
        if has_boundary_test(dataset):
            drawn[f"{name}_boundaries"] = partial(boundary_figure, dataset)
        if "i0" in dataset and bool(dataset["i0"].notnull().any()):
            drawn[f"{name}_i0"] = partial(draw.i0_figure, dataset)
        if "shift_y" in dataset:
            drawn[f"{name}_drift"] = partial(draw.drift_figure, dataset)
        if has_energy_shift_curve(dataset):
            drawn[f"{name}_energy_shift"] = partial(draw.energy_shift_figure, dataset)
    return drawn


def section(tree: xr.DataTree, figures: Figures, tables: Tables) -> Section:
    """The phase maps' part of the report."""
    stacks = stxm_stacks(tree)
    names = phase_names(next(iter(stacks.values())))
    columns = {name: numbers(dataset) for name, dataset in stacks.items()}
    labels = dict.fromkeys(label for column in columns.values() for label in column)
    return _contents(stacks).section(
        figures,
        headline=headline(tree),
        methods=methods_text(tree),
        columns=tuple(stacks),
        numbers={
            label: tuple(column.get(label, "–") for column in columns.values()) for label in labels
        },
        legend=zip(names, phase_colours(len(names)), strict=True),
        units={name: _units(stacks) for name in TABLES if name in tables},
    )


def _contents(stacks: Mapping[str, xr.Dataset]) -> Contents:
    """All stacks together, then a chapter for each."""
    together = "comparison", "fractions"
    captions = {name: CAPTIONS[name] for name in together}
    for name, dataset in stacks.items():
        own = {**CAPTIONS, "workflow": _workflow_caption(dataset)}
        captions |= {f"{name}_{kind}": own[kind] for kind in KINDS}
    return Contents(
        title="Phase maps",
        captions=captions,
        first=("All stacks", together),
        chapters={
            _heading(name, dataset): tuple(f"{name}_{kind}" for kind in KINDS)
            for name, dataset in stacks.items()
        },
    )


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
        treatment = {
            "gmvae": "resolved in the latent space",
            "likelihood": "resolved by their likelihood",
            "pearson": "given the better correlation",
        }.get(resolution_method(tree) or "", "each given a phase")
        sentence += f"; {percent(ambiguous / total)} of the pixels were ambiguous, {treatment}"
    return f"{sentence}; {percent(unknown / total)} unknown."


def _heading(name: str, dataset: xr.Dataset) -> str:
    charge = state_of_charge(dataset)
    return name if charge is None else f"{name}, state of charge {charge:.4g}"


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


def _units(stacks: Mapping[str, xr.Dataset]) -> dict[str, str]:
    """Units of the tables' columns: µm, or px where the pixel size is unknown; both when mixed."""
    units = list(dict.fromkeys(str(d.attrs.get("length_unit", "px")) for d in stacks.values()))
    length = " or ".join(units)
    lengths = dict.fromkeys(("y", "x", "equivalent_diameter", "length"), length)
    return lengths | {"area": " or ".join(f"{unit}²" for unit in units)}


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
