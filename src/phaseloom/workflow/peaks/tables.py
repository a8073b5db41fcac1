"""Tables of registered peaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def peaks_tables(results: xr.DataTree, recipe: Any = None) -> dict[str, pd.DataFrame]:
    """Tables of a registered scan: few rows, however many peaks.

    Parameters
    ----------
    results
        With or without the group ``/peaks``: without it there are none.
    recipe
        Not needed.

    Returns
    -------
    dict of pandas.DataFrame
        ``registration`` (a row per quantity: its quartiles over all peaks or patterns),
        ``peaks_per_pattern`` (how many patterns have so many peaks).
    """
    import pandas as pd

    del recipe
    if "peaks" not in results.children:
        return {}
    data = results["peaks"].to_dataset()
    columns = ("intensity", "intensity_error", "ky_error", "kx_error", "peak_prominence")
    maps = ("spot_count", "spot_sum", "bright_field", "noise", "prominence", "centre_y", "centre_x")
    rows = []
    for name in (*columns, "background", *maps, "averaged"):
        if name not in data:
            continue
        values = data[name].to_numpy().astype(np.float64).ravel()
        values = values[np.isfinite(values)]
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75]) if values.size else [np.nan] * 3
        rows.append(
            {
                "quantity": name,
                "unit": data[name].attrs.get("units", ""),
                "per": "peak" if data[name].dims == ("peak",) else "pattern",
                "number": values.size,
                "first_quartile": low,
                "median": middle,
                "third_quartile": high,
            }
        )
    numbers, patterns = np.unique(np.diff(data["offset"].to_numpy()), return_counts=True)
    return {
        "registration": pd.DataFrame(rows),
        "peaks_per_pattern": pd.DataFrame({"peaks": numbers, "patterns": patterns}),
    }
