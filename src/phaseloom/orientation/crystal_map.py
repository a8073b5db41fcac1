"""Export of an orientation result as orix's ``CrystalMap``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.crystals.records import crystals_from_json
from phaseloom.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from orix.crystal_map import CrystalMap

_SOLUTION = ("phase", "correlation", "probability")
"""What is known of every solution."""


def to_crystal_map(data: xr.Dataset) -> CrystalMap:
    """The map with all its solutions, for orix and what reads its files.

    Parameters
    ----------
    data
        Group ``/orientation``: ``phase`` (y, x), ``rotation`` (y, x, quaternion) and, where there
        are several solutions, ``solution_phase``, ``solution_rotation`` and their measures;
        attribute ``crystals``.

    Returns
    -------
    orix.crystal_map.CrystalMap
        Phases bear the numbers of the crystals; unindexed pixels are −1, ``not_indexed``; orix
        leaves out phases that occur nowhere. The first rotation of a pixel is the map's, after
        it come its other solutions, most probable first; ``solution_phase`` (pixel, solution),
        ``solution_correlation`` and ``solution_probability`` in the same order tell what they
        are: −1 and NaN (the rotation is 1) where there are fewer. All other maps (y, x) are
        properties under their names. Positions count from the first pixel.

    Raises
    ------
    InputError
        The dataset is no orientation result, or a phase has no crystal.
    """
    from orix.crystal_map import CrystalMap, PhaseList
    from orix.quaternion import Rotation

    missing = [name for name in ("phase", "rotation") if name not in data]
    missing += [name for name in ("crystals",) if name not in data.attrs]
    if missing:
        raise InputError(
            f"the dataset has no {missing[0]}", "give the group /orientation of a result"
        )
    crystals = crystals_from_json(data.attrs["crystals"])
    phase = data["phase"].transpose("y", "x").to_numpy().ravel().astype(np.int64)
    if phase.max(initial=-1) >= len(crystals):
        raise InputError(f"phase {int(phase.max())} has no crystal in the attribute crystals")
    rotation = data["rotation"].transpose("y", "x", "quaternion").to_numpy().reshape(-1, 4)
    prop: dict[str, NDArray[Any]] = {
        str(name): data[name].transpose("y", "x").to_numpy().ravel()
        for name in data.data_vars
        if set(data[name].dims) == {"y", "x"} and name != "phase"
    }
    if "solution_rotation" in data:
        rotation, solutions = _layers(data, phase, rotation)
        prop |= solutions
    rotation = np.where(np.isfinite(rotation), rotation, np.array([1.0, 0.0, 0.0, 0.0]))
    # The point group of the operations, also where the number of the space group has another.
    phases = [crystal.phase for crystal in crystals]
    # orix takes rows and columns from position over step: a map has to begin at zero.
    axes = [data[name].to_numpy().astype(np.float64) for name in ("y", "x")]
    y, x = np.meshgrid(*(axis - axis[0] for axis in axes), indexing="ij")
    return CrystalMap(
        rotations=Rotation(rotation),
        phase_id=phase,
        x=x.ravel(),
        y=y.ravel(),
        phase_list=PhaseList(
            ids=list(range(len(crystals))),
            names=[crystal.name for crystal in crystals],
            space_groups=[phase.space_group for phase in phases],
            point_groups=[phase.point_group for phase in phases],
            structures=[phase.structure for phase in phases],
        ),
        prop=prop,
        scan_unit=str(data["x"].attrs.get("units", "px")),
    )


def _layers(
    data: xr.Dataset, phase: NDArray[np.int64], rotation: NDArray[np.float64]
) -> tuple[NDArray[np.float64], dict[str, NDArray[Any]]]:
    """The map's rotation and after it the other solutions: (pixel, solution, 4), and measures."""
    dims = ("y", "x", "solution")
    count = data.sizes["solution"]
    others = data["solution_rotation"].transpose(*dims, "quaternion").to_numpy()
    rotations = np.concatenate([rotation[:, None], others.reshape(-1, count, 4)], axis=1)
    solutions = {}
    for name in _SOLUTION:
        if f"solution_{name}" in data:
            measure = data[f"solution_{name}"].transpose(*dims).to_numpy().reshape(-1, count)
            own = data[name].transpose("y", "x").to_numpy().reshape(-1, 1)
            both = [own.astype(measure.dtype), measure]
            solutions[f"solution_{name}"] = np.concatenate(both, axis=1)
    # The map's own orientation is one of the solutions as well: it goes to the end there.
    alike = np.abs(np.einsum("nsq,nq->ns", rotations, rotation)) > 1 - 1e-9
    if "solution_phase" in solutions:
        alike &= solutions["solution_phase"] == phase[:, None]
    alike[:, 0] = False
    alike[np.cumsum(alike, axis=1) > 1] = False
    repeated = alike.any(axis=1) | (phase < 0)
    alike[phase < 0, -1] = True
    order = np.argsort(alike, axis=1, kind="stable")
    if repeated.all():
        order = order[:, :-1]
    spare = np.take_along_axis(alike, order, axis=1)
    rotations = np.take_along_axis(rotations, order[..., None], axis=1)
    rotations[spare] = np.nan
    for name, values in solutions.items():
        solutions[name] = np.take_along_axis(values, order, axis=1)
        solutions[name][spare] = -1 if name == "solution_phase" else np.nan
    return rotations, solutions
