"""Grains of an orientation map; tables of phases, grains and boundaries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from phaseloom.crystals.records import crystals_from_json
from phaseloom.workflow.orientation.open_grains import (
    grain_orientations_of,
    open_grain_table,
    open_grains_of,
)
from phaseloom.workflow.peaks.tables import peaks_tables

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from phaseloom.crystals import Crystal
    from phaseloom.workflow.peaks.recipe import ScanRecipe

THRESHOLD = 5.0
"""Degrees between neighbours of one grain, at most."""

_SMALL = 4
"""Grains of fewer pixels are marked in the table."""


def grains_of(
    data: xr.Dataset, crystals: Sequence[Crystal], *, threshold: float = THRESHOLD
) -> xr.Dataset:
    """Compute the group ``/orientation/grains``: the number of the grain of every pixel.

    Parameters
    ----------
    data
        Group ``/orientation``.
    crystals
        In the order of their numbers.
    threshold
        Largest misorientation between neighbours of a grain, in degrees.

    Returns
    -------
    xarray.Dataset
        ``grain`` (y, x) int32, the largest grain first, −1 unindexed; attribute ``threshold``, and
        with context ``open_grains``: JSON list of the grains of which several orientations are
        possible, see :func:`phaseloom.workflow.orientation.open_grains.open_grains_of`. Such a
        grain is one, whichever of its orientations the map's pixels have.
    """
    import xarray as xr

    from phaseloom.maps.grains import find_grains

    phase, rotation = grain_orientations_of(data, crystals)
    grain = find_grains(phase, rotation, _symmetries(crystals), threshold=threshold)
    attrs: dict[str, Any] = {"threshold": threshold}
    if "open_grain" in data:
        attrs["open_grains"] = json.dumps(open_grains_of(data, grain))
    return xr.Dataset(
        {"grain": (("y", "x"), grain)},
        coords={axis: data[axis] for axis in ("y", "x")},
        attrs=attrs,
    )


def orientation_tables(results: xr.DataTree, recipe: ScanRecipe) -> dict[str, pd.DataFrame]:
    """Tables of an orientation map, and of its peaks where they are in the results.

    Parameters
    ----------
    results
        With ``/orientation`` and ``/orientation/grains``.
    recipe
        Its seed is that of the bootstrap.
    """
    data = results["orientation"].to_dataset()
    grains = results["orientation/grains"].to_dataset()
    crystals = crystals_from_json(str(data.attrs["crystals"]))
    tables = map_tables(data, grains, crystals, seed=recipe.seed)
    return tables | peaks_tables(results)


def map_tables(
    data: xr.Dataset, grains: xr.Dataset, crystals: Sequence[Crystal], *, seed: int = 0
) -> dict[str, pd.DataFrame]:
    """Tables of an orientation map; lengths in the unit of its axes.

    Parameters
    ----------
    data, grains
        Groups ``/orientation`` and ``/orientation/grains``.
    crystals
        In the order of their numbers.
    seed
        Of the bootstrap behind the confidence intervals.

    Returns
    -------
    dict of pandas.DataFrame
        ``phases``, a row per crystal and one for unindexed pixels: pixels, area, fraction of the
        map with 95 % interval, number of grains, and of its pixels the mean probability and the
        medians of the other measures. ``grains``
        (:func:`phaseloom.maps.grains.grain_table`) with the number of possible ``orientations`` and
        the ``orientation_probability`` of the one in the table, ``boundaries``
        (:func:`phaseloom.maps.grain_boundaries.boundary_table`), both with names of phases.
        ``open_grains``: a row per possible orientation of the grains that have several, and
        ``pseudo_symmetry``: frequent misorientations between the first two solutions, where there
        are any.
    """
    from phaseloom.maps.grain_boundaries import boundary_segments, boundary_table
    from phaseloom.maps.grains import grain_orientations, grain_table

    names = [crystal.name for crystal in crystals]
    phase, rotation = grain_orientations_of(data, crystals)
    symmetries = _symmetries(crystals)
    y, x = (data[axis].to_numpy().astype(np.float64) for axis in ("y", "x"))
    size = _pixel_size(y, x)
    grain = grains["grain"].to_numpy()
    means = grain_orientations(grain, phase, rotation, symmetries)
    sizes = grain_table(
        grain, phase, means, y=y, x=x, pixel_area=size[0] * size[1], minimum_pixels=_SMALL
    )
    listed = json.loads(str(grains.attrs.get("open_grains", "[]")))
    several = {entry["grain"]: entry["alternatives"] for entry in listed}
    sizes["orientations"] = [len(several.get(g, [None])) for g in sizes.index]
    sizes["orientation_probability"] = [
        several[g][0]["probability"] if g in several else np.nan for g in sizes.index
    ]
    segments = boundary_segments(grain, phase, rotation, symmetries, y=y, x=x)
    borders = boundary_table(grain, segments, means, symmetries, pixel_size=size)
    tables = {
        "phases": _phases(data, sizes, names, size[0] * size[1], seed),
        "grains": _named(sizes, ("phase",), names).reset_index(),
        "boundaries": _named(borders, ("first_phase", "second_phase"), names),
    }
    further = {
        "open_grains": open_grain_table(listed, names),
        "pseudo_symmetry": _pseudo_symmetry(data),
    }
    return tables | {name: table for name, table in further.items() if table is not None}


def _phases(
    data: xr.Dataset, grains: pd.DataFrame, names: Sequence[str], area: float, seed: int
) -> pd.DataFrame:
    import pandas as pd

    from phaseloom.maps.statistics import phase_fractions

    phase = data["phase"].to_numpy()
    # An unindexed pixel counts as one of unknown phase: shares are of the whole map.
    table = phase_fractions(
        np.where(phase < 0, -2, phase), names=names, pixel_area=area, seed=seed
    )  # fmt: skip
    table = table.rename(index={"unknown": "unindexed"}).rename_axis("phase").reset_index()
    labels = [*range(len(names)), -1]
    number = grains["phase"].value_counts()
    table["grains"] = [int(number.get(label, 0)) for label in labels]
    for name, reduce in (
        ("probability", np.mean), ("correlation", np.median),
        ("orientation_reliability", np.median), ("phase_reliability", np.median),
        ("matched", np.median), ("explained", np.median), ("residual", np.median),
    ):  # fmt: skip
        values = data[name].to_numpy().astype(np.float64)
        values_of = [values[(phase == label) & np.isfinite(values)] for label in labels]
        table[name] = [float(reduce(v)) if v.size and label >= 0 else np.nan
                       for v, label in zip(values_of, labels, strict=True)]  # fmt: skip
    return pd.DataFrame(table)


def _pseudo_symmetry(data: xr.Dataset) -> pd.DataFrame | None:
    """The attribute ``pseudo_symmetry`` as a table; None where the list is empty."""
    import pandas as pd

    entries: list[dict[str, Any]] = json.loads(str(data.attrs.get("pseudo_symmetry", "[]")))
    if not entries:
        return None
    rows = [
        {
            key: " ".join(f"{value:g}" for value in entry[key])
            if isinstance(entry[key], list)
            else entry[key]
            for key in entry
        }
        for entry in entries
    ]
    return pd.DataFrame(rows)


def _named(table: pd.DataFrame, columns: Sequence[str], names: Sequence[str]) -> pd.DataFrame:
    return table.assign(**{c: [names[int(number)] for number in table[c]] for c in columns})


def _symmetries(crystals: Sequence[Crystal]) -> list[np.ndarray]:
    return [crystal.laue_rotations for crystal in crystals]


def _pixel_size(y: np.ndarray, x: np.ndarray) -> tuple[float, float]:
    steps = [abs(float(axis[1] - axis[0])) if axis.size > 1 else None for axis in (y, x)]
    return steps[0] or steps[1] or 1.0, steps[1] or steps[0] or 1.0
