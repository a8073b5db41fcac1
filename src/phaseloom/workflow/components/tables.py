"""Tables of components, positions, boundaries and ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phaseloom.workflow.orientation.tables import orientation_tables
from phaseloom.workflow.peaks.tables import peaks_tables

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from phaseloom.workflow.components.recipe import ComponentsRecipe

_BY_K = ("loss", "held_out", "held_out_error", "stability", "redundancy", "found")
_BY_METRIC = ("quality", "votes")


def components_tables(results: xr.DataTree, recipe: ComponentsRecipe) -> dict[str, pd.DataFrame]:
    """Tables of components, and of their orientations and peaks where these exist.

    Parameters
    ----------
    results
        With ``/components``.
    recipe
        Its seed is that of the bootstrap.
    """
    tables = group_tables(results["components"].to_dataset())
    if "orientation" in results.children:
        return tables | orientation_tables(results, recipe)
    return tables | peaks_tables(results)


def group_tables(data: xr.Dataset) -> dict[str, pd.DataFrame]:
    """Tables of components; lengths in the unit of the scan's axes.

    Parameters
    ----------
    data
        Group ``/components``.

    Returns
    -------
    dict of pandas.DataFrame
        ``components`` (:func:`phaseloom.components.statistics.component_table`),
        ``component_positions`` (:func:`phaseloom.components.statistics.positions_table`),
        ``boundary_network`` (:func:`phaseloom.components.overlap.boundary_network`), and ``rank``,
        a row per number of components that was tried, where it was not given.
    """
    from phaseloom.components.overlap import boundary_network
    from phaseloom.components.statistics import component_table, positions_table

    network = boundary_network(
        data["weight"].transpose("component", "y", "x").to_numpy(),
        data["label"].to_numpy(),
        data["partner"].to_numpy(),
        background=int(data.attrs["background"]),
    )
    tables = {
        "components": component_table(data),
        "component_positions": positions_table(data),
        "boundary_network": network,
    }
    return tables | ({"rank": rank_table(data)} if "k" in data.dims else {})


def rank_table(data: xr.Dataset) -> pd.DataFrame:
    """Table of the criteria for each number of components that was tried.

    Parameters
    ----------
    data
        Group ``/components`` with a dimension ``k``.

    Returns
    -------
    pandas.DataFrame
        ``k``, then as far as they exist ``loss``, ``held_out``, ``held_out_error``,
        ``stability``, ``redundancy``, ``found``, and ``quality_METRIC``, ``votes_METRIC`` of every
        metric.
    """
    import pandas as pd

    columns = {"k": data["k"].to_numpy()}
    columns |= {name: data[name].to_numpy() for name in _BY_K if name in data}
    for name in _BY_METRIC:
        if name in data:
            rows = data[name].transpose("metric", "k")
            metrics = [str(metric) for metric in data["metric"].to_numpy()]
            columns |= {f"{name}_{m}": v for m, v in zip(metrics, rows.to_numpy(), strict=True)}
    return pd.DataFrame(columns)
