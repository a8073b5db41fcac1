"""Open grains of a map: one grain each in tables, with the orientations that are possible."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from phaseloom.crystals import Crystal

_NEAR = 5.0
"""Degrees: a solution so near to the mean orientation of an alternative is that alternative."""

_MOSTLY = 0.5
"""Part of the pixels of a grain that are of a patch, if the grain is this patch."""


def grain_orientations_of(
    data: xr.Dataset, crystals: Sequence[Crystal]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Phases and rotations by which pixels are joined to grains.

    Those of the map, but in a patch of which several orientations are possible all pixels have the
    likeliest one: it is one grain, whichever of them it has.

    Parameters
    ----------
    data
        Group ``/orientation``.
    crystals
        In the order of their numbers.

    Returns
    -------
    phase : ndarray of int64
        (y, x), −1 unindexed.
    rotation : ndarray of float64
        (y, x, 4).
    """
    from phaseloom.maps.misorientation import misorientation_angles

    phase = data["phase"].to_numpy().astype(np.int64)
    rotation = data["rotation"].transpose("y", "x", "quaternion").to_numpy().copy()
    if "open_grain" not in data:
        return phase, rotation
    number = data["open_grain"].to_numpy()
    solved = data["solution_phase"].transpose("y", "x", "solution").to_numpy()
    turned = data["solution_rotation"].transpose("y", "x", "solution", "quaternion").to_numpy()
    for patch, record in enumerate(_patches(data)):
        likeliest = record["alternatives"][0]
        crystal, mean = likeliest["phase"], np.asarray(likeliest["rotation"])
        y, x = np.nonzero(number == patch)
        angle = np.full(solved[y, x].shape, np.inf)
        same = solved[y, x] == crystal
        angle[same] = misorientation_angles(
            np.broadcast_to(mean, (int(same.sum()), 4)),
            turned[y, x][same],
            crystals[crystal].laue_rotations,
        )
        nearest = angle.argmin(axis=1)
        near = angle[np.arange(y.size), nearest] <= _NEAR
        own = turned[y, x, nearest]
        phase[y, x] = crystal
        rotation[y, x] = np.where(near[:, None], own, mean)
    return phase, rotation


def open_grains_of(data: xr.Dataset, grain: NDArray[np.int32]) -> list[dict[str, Any]]:
    """Grains that are patches of which several orientations are possible.

    Parameters
    ----------
    data
        Group ``/orientation``.
    grain
        (y, x) numbers of the grains, −1 unindexed.

    Returns
    -------
    list of dict
        ``grain``, and ``alternatives`` as in the attribute ``open_grains`` of the map; by grain.
    """
    if "open_grain" not in data:
        return []
    patches, number = _patches(data), data["open_grain"].to_numpy()
    inside = (grain >= 0) & (number >= 0)
    pixels = np.bincount(grain[grain >= 0])
    pairs, counts = np.unique(np.stack([grain[inside], number[inside]]), axis=1, return_counts=True)
    return [
        {"grain": int(g), "alternatives": patches[patch]["alternatives"]}
        for (g, patch), count in zip(pairs.T, counts, strict=True)
        if count > _MOSTLY * pixels[g]
    ]


def open_grain_table(listed: Sequence[dict[str, Any]], names: Sequence[str]) -> pd.DataFrame | None:
    """A row per alternative of every open grain; None where there is none.

    Parameters
    ----------
    listed
        From :func:`open_grains_of`.
    names
        Of the phases.
    """
    import pandas as pd

    rows = [
        {
            "grain": entry["grain"],
            "alternative": rank,
            "phase": names[alternative["phase"]],
            "probability": alternative["probability"],
            **{
                f"rotation_{axis}": value
                for axis, value in zip("abcd", alternative["rotation"], strict=True)
            },
        }
        for entry in listed
        for rank, alternative in enumerate(entry["alternatives"], start=1)
    ]
    return pd.DataFrame(rows) if rows else None


def _patches(data: xr.Dataset) -> list[dict[str, Any]]:
    return list(json.loads(str(data.attrs.get("open_grains", "[]"))))
