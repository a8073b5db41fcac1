"""Tables of phase maps: fractions, particles, interfaces, edge, combinations, spectra."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from phaseloom.io.export.spectra import write_spectra
from phaseloom.maps.boundaries import interface_lengths
from phaseloom.maps.regions import particle_table
from phaseloom.maps.statistics import phase_fractions, spectra_per_phase
from phaseloom.stxm.quantities.edge import QUANTITIES
from phaseloom.stxm.quantities.linear_combination import particle_combinations
from phaseloom.workflow.stxm.recipe import StxmRecipe

_COMBINATION = ["pixels", "weight", "weight_error", "sum_of_weights", "r_factor", "chi2"]
"""Columns of the table of linear combinations."""


def stxm_tables(results: xr.DataTree, recipe: StxmRecipe) -> dict[str, pd.DataFrame]:
    """Tables of all stacks.

    Parameters
    ----------
    results
        From :func:`phaseloom.stxm.map_phases`.
    recipe
        Its seed is that of the bootstrap behind the confidence intervals.

    Returns
    -------
    dict of pandas.DataFrame
        ``phase_fractions`` (a row per stack and phase), ``particles`` (a row per stack and
        particle), ``interfaces`` (a row per stack and pair of phases; length in the unit of the
        stack's axes), ``edge`` (a row per stack, phase and quantity of the edge),
        ``linear_combination`` (a row per stack, particle, constraint and phase);
        ``incident_intensity`` (a row per stack) where I0 was scaled: dwells (s), ring currents
        (mA) and the factors that I0 was multiplied by; where they were tested ``boundary_test`` (a
        row per stack) and ``boundary_distance`` (a row per stack and distance from the phase
        boundary, in px).
    """
    fractions, particles, interfaces, edges, combinations = [], [], [], [], []
    tests, distances = [], []
    for name, node in results["stxm"].children.items():
        data = node.to_dataset()
        names = [str(n) for n in data["reference"].to_numpy()]
        phase = data["phase"].to_numpy()
        area = float(data.attrs["pixel_area"])
        table = phase_fractions(
            phase,
            names=names,
            pixel_area=area,
            posterior=data["posterior"].to_numpy(),
            ambiguous=data["ambiguous"].to_numpy(),
            mask=data["mask"].to_numpy(),
            seed=recipe.seed,
        )
        fractions.append(_with_stack(table.rename_axis("phase").reset_index(), name, data))
        table = particle_table(
            data["particle"].to_numpy(),
            phase,
            names=names,
            y=data["y"].to_numpy(),
            x=data["x"].to_numpy(),
            pixel_area=area,
            value=data["value_mean"].to_numpy(),
            posterior=data["posterior"].to_numpy(),
        )
        particles.append(_with_stack(table.reset_index(), name, data))
        steps = [abs(float(data[a][1] - data[a][0])) for a in ("y", "x")]
        lengths = interface_lengths(phase, names=names, pixel_size=(steps[0], steps[1]))
        rows = [
            {"phase": a, "other": b, "length": lengths.loc[a, b]}
            for i, a in enumerate(names)
            for b in names[i + 1 :]
        ]
        interfaces.append(_with_stack(pd.DataFrame(rows), name, data))
        edges.append(_with_stack(_edge_table(data, names), name, data))
        combinations.append(_with_stack(_combination_table(data), name, data))
        if "boundary_class" in data.dims:
            tests.append(_with_stack(_boundary_test(data), name, data))
            distances.append(_with_stack(_boundary_distance(data), name, data))
    tables = {
        "phase_fractions": pd.concat(fractions, ignore_index=True),
        "particles": pd.concat(particles, ignore_index=True),
        "interfaces": pd.concat(interfaces, ignore_index=True),
        "edge": pd.concat(edges, ignore_index=True),
        "linear_combination": pd.concat(combinations, ignore_index=True),
    }
    scaled = [_scaling(name, node.to_dataset().attrs) for name, node in
              results["stxm"].children.items()]  # fmt: skip
    if any(len(row) > 3 for row in scaled):
        tables["incident_intensity"] = pd.DataFrame(scaled)
    if tests:
        tables["boundary_test"] = pd.concat(tests, ignore_index=True)
        tables["boundary_distance"] = pd.concat(distances, ignore_index=True)
    return tables


def _scaling(name: str, attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Where the I0 of a stack came from and what it was multiplied by, as a row."""
    columns = (
        "i0_kind",
        "i0_channel",
        "dwell",
        "i0_dwell",
        "dwell_factor",
        "ring_current",
        "i0_ring_current",
        "ring_factor",
        "field_factor",
    )
    return {"stack": name, "quantity": attrs.get("quantity", "")} | {
        column: attrs[column] for column in columns if column in attrs
    }


def _edge_table(data: xr.Dataset, names: list[str]) -> pd.DataFrame:
    """Mean of each quantity of the edge over a phase's pixels, its counting error, their spread.

    The mean is over the pixels in which the quantity is determined (``pixels`` of them);
    ``pixel_error`` is the median standard error of one pixel, to hold the spread against.
    """
    rows = []
    for quantity in QUANTITIES:
        values, errors = data[quantity].to_numpy(), data[f"{quantity}_error"].to_numpy()
        for p, label in enumerate(names):
            chosen = (data["phase"].to_numpy() == p) & np.isfinite(values)
            of_phase, error = values[chosen].astype(float), errors[chosen].astype(float)
            n = of_phase.size
            rows.append(
                {
                    "phase": label,
                    "quantity": quantity,
                    "unit": data[quantity].attrs["units"],
                    "pixels": n,
                    "mean": of_phase.mean() if n else np.nan,
                    "standard_error": np.sqrt(np.square(error).sum()) / n if n else np.nan,
                    "spread": of_phase.std() if n else np.nan,
                    "pixel_error": np.median(error) if n else np.nan,
                }
            )
    return pd.DataFrame(rows)


def _combination_table(data: xr.Dataset) -> pd.DataFrame:
    """Linear-combination fits of the particles: weights with errors, their sum, quality."""
    fits = particle_combinations(data)
    fits["sum_of_weights"] = fits["weight"].sum("reference", skipna=False)
    table = fits[_COMBINATION].to_dataframe(dim_order=["particle", "constraint", "reference"])
    return table[_COMBINATION].reset_index().rename(columns={"reference": "phase"})


def _boundary_test(data: xr.Dataset) -> pd.DataFrame:
    """Odds ratios of a stack with their intervals, counts, the optics, the sentence."""
    names = [
        *(
            f"{name}{end}"
            for name in ("odds_ratio", "odds_ratio_optics", "odds_ratio_relative")
            for end in ("", "_low", "_high")
        ),
        "boundary_near",
        "boundary_segments",
        "boundary_transitions",
        "boundary_transitions_optics",
        "boundary_transitions_beyond",
        "point_spread_width",
        "point_spread_error",
        "point_spread_tails",
        "boundary_verdict",
    ]
    return pd.DataFrame([{name: data.attrs.get(name, float("nan")) for name in names}])


def _boundary_distance(data: xr.Dataset) -> pd.DataFrame:
    """Share of transition pixels by distance, measured and expected from the optics alone."""
    names = ["boundary_pixels"] + [
        f"{name}{end}"
        for name in ("boundary_share", "optics_share")
        for end in ("", "_low", "_high")
    ]
    distance = data["boundary_class"].to_numpy()
    last = distance.max()
    labels = [f"{d} and more" if d == last else str(d) for d in distance]
    columns = {name: data[name].to_numpy() for name in names}
    return pd.DataFrame({"distance_px": labels, **columns})


def write_phase_spectra(recipe: StxmRecipe, results: xr.DataTree) -> list[Path]:
    """Write each stack's spectra per phase in the form that -r reads; the files written."""
    files = []
    for name, node in results["stxm"].children.items():
        data = node.to_dataset()
        names = [str(n) for n in data["reference"].to_numpy()]
        means = spectra_per_phase(data["optical_density"], data["phase"].to_numpy(), names=names)
        present = means.isel(reference=means["pixels"].to_numpy() > 0)
        spectra = xr.Dataset(
            {
                "absorption": (("spectrum", "energy"), present["mean"].to_numpy()),
                "spread": (("spectrum", "energy"), present["sd"].to_numpy()),
            },
            coords={
                "spectrum": [str(n) for n in present["reference"].to_numpy()],
                "energy": data["energy"],
                "value": (
                    "spectrum",
                    data["phase_value"].to_numpy()[means["pixels"].to_numpy() > 0],
                ),
            },
        )
        if spectra.sizes["spectrum"]:
            files.append(recipe.folder / "tables" / f"{name}_spectra.csv")
            write_spectra(files[-1], spectra)
    return files


def _with_stack(table: pd.DataFrame, name: str, data: xr.Dataset) -> pd.DataFrame:
    table.insert(0, "stack", name)
    if "state_of_charge" in data.attrs:
        table.insert(1, "state_of_charge", data.attrs["state_of_charge"])
    return table
