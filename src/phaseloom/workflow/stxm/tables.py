"""Tables of phase maps: phase fractions, particles, interfaces, spectra per phase."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import xarray as xr

from phaseloom.io.export.spectra import write_spectra
from phaseloom.maps.boundaries import interface_lengths
from phaseloom.maps.regions import particle_table
from phaseloom.maps.statistics import phase_fractions, spectra_per_phase
from phaseloom.workflow.stxm.recipe import StxmRecipe


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
        stack's axes); where they were tested ``boundary_test`` (a row per stack) and
        ``boundary_distance`` (a row per stack and distance from the phase boundary, in px).
    """
    fractions, particles, interfaces = [], [], []
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
        if "boundary_class" in data.dims:
            tests.append(_with_stack(_boundary_test(data), name, data))
            distances.append(_with_stack(_boundary_distance(data), name, data))
    tables = {
        "phase_fractions": pd.concat(fractions, ignore_index=True),
        "particles": pd.concat(particles, ignore_index=True),
        "interfaces": pd.concat(interfaces, ignore_index=True),
    }
    if tests:
        tables["boundary_test"] = pd.concat(tests, ignore_index=True)
        tables["boundary_distance"] = pd.concat(distances, ignore_index=True)
    return tables


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
