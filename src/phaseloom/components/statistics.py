"""Tables of components: area, positions, regions, weights, residuals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def component_table(data: xr.Dataset) -> pd.DataFrame:
    """Table of components: area, place, regions, overlaps and residual of each.

    Parameters
    ----------
    data
        Group ``/components``: ``weight`` (component, y, x), ``label``, ``partner``, ``residual``
        (y, x), perhaps ``agreement`` (metric, component); attribute ``background``.

    Returns
    -------
    pandas.DataFrame
        A row per component: ``component``; ``background``, whether it is; ``positions`` with
        its label, ``share`` of all positions, ``area`` in the square of the unit of ``y`` and
        ``x``; ``mean_weight`` there; ``largest_weight`` of all positions and where it is
        (``row``, ``column``, ``y``, ``x``); ``centroid_y``, ``centroid_x`` of its positions;
        ``regions``, how many there are (connected by edges or corners), and positions of the
        ``largest_region``; ``overlap``, positions that hold it and another; ``residual``, mean
        relative residual of its positions; ``variation`` and ``shared_variation`` where the
        group has them; ``agreement_METRIC`` of its pattern with the mean recorded one. NaN where
        no position has its label.

    Raises
    ------
    InputError
        A map is missing.
    """
    import pandas as pd

    from phaseloom.maps.regions import label_particles

    weight, label = _maps(data, "partner", "residual")
    partner, residual = (data[name].transpose("y", "x") for name in ("partner", "residual"))
    y, x = (data[name].to_numpy().astype(np.float64) for name in "yx")
    n = len(weight)
    row, column = np.nonzero(label >= 0)
    labels = label[row, column]
    positions = np.bincount(labels, minlength=n)

    def mean(values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Mean over the positions of each label."""
        total = np.bincount(labels, weights=values.astype(np.float64), minlength=n)
        return np.asarray(total / np.where(positions > 0, positions, np.nan))

    brightest = np.unravel_index(weight.reshape(n, -1).argmax(axis=1), label.shape)
    sizes = [_region_sizes(label_particles(label == component)) for component in range(n)]
    second = partner.to_numpy()
    both = np.concatenate([label[second >= 0], second[second >= 0]])
    table = {
        "component": np.arange(n),
        "background": np.arange(n) == int(data.attrs["background"]),
        "positions": positions,
        "share": positions / label.size,
        "area": positions * _pixel_area(y, x),
        "mean_weight": mean(weight[labels, row, column]),
        "largest_weight": weight.max(axis=(1, 2)),
        "row": brightest[0],
        "column": brightest[1],
        "y": y[brightest[0]],
        "x": x[brightest[1]],
        "centroid_y": mean(y[row]),
        "centroid_x": mean(x[column]),
        "regions": np.array([size.size for size in sizes]),
        "largest_region": np.array([size.max(initial=0) for size in sizes]),
        "overlap": np.bincount(both, minlength=n),
        "residual": mean(residual.to_numpy()[row, column]),
    }
    table |= {
        name: data[name].to_numpy() for name in ("variation", "shared_variation") if name in data
    }
    if "agreement" in data:
        agreement = data["agreement"].transpose("metric", "component")
        for metric, values in zip(data["metric"].to_numpy(), agreement.to_numpy(), strict=True):
            table[f"agreement_{metric}"] = values
    return pd.DataFrame(table)


def positions_table(data: xr.Dataset) -> pd.DataFrame:
    """Table of the positions of every component.

    Parameters
    ----------
    data
        Group ``/components``: ``weight`` (component, y, x) and ``label`` (y, x).

    Returns
    -------
    pandas.DataFrame
        A row per position with a label: ``component``, ``y``, ``x`` (coordinates), and the
        ``weight`` of that component; by component, then in reading order.

    Raises
    ------
    InputError
        A map is missing.
    """
    import pandas as pd

    weight, label = _maps(data)
    row, column = np.nonzero(label >= 0)
    order = np.argsort(label[row, column], kind="stable")
    row, column = row[order], column[order]
    labels = label[row, column]
    return pd.DataFrame(
        {
            "component": labels,
            "y": data["y"].to_numpy()[row],
            "x": data["x"].to_numpy()[column],
            "weight": weight[labels, row, column],
        }
    )


def _maps(data: xr.Dataset, *others: str) -> tuple[NDArray[np.floating], NDArray[np.signedinteger]]:
    """Weights (component, y, x) and labels (y, x)."""
    missing = [name for name in ("weight", "label", *others) if name not in data]
    if missing:
        raise InputError(
            f"the result has no {' and no '.join(missing)}",
            "give what phaseloom.components.cluster returns",
        )
    weight = data["weight"].transpose("component", "y", "x").to_numpy()
    return weight, data["label"].transpose("y", "x").to_numpy()


def _region_sizes(region: NDArray[np.int32]) -> NDArray[np.intp]:
    return np.bincount(region[region >= 0])


def _pixel_area(y: NDArray[np.float64], x: NDArray[np.float64]) -> float:
    """Area of a position; a line of positions is as wide as its step."""
    steps = [float(np.ptp(axis)) / (axis.size - 1) for axis in (y, x) if axis.size > 1]
    return steps[0] * steps[-1] if steps else 1.0
