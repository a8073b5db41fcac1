"""Run of ``phaseloom index``: phase and orientation maps of a scan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from phaseloom.compute.checkpoints import fingerprint
from phaseloom.compute.execution import Execution
from phaseloom.crystals import to_json
from phaseloom.errors import InputError, fault_of
from phaseloom.io.scan_axes import ROTATION_REMOVED
from phaseloom.io.scan_turning import turn_attributes
from phaseloom.workflow.export import export_results
from phaseloom.workflow.method import Computed
from phaseloom.workflow.orientation.crystal_input import crystals_of
from phaseloom.workflow.orientation.recipe import OrientationRecipe
from phaseloom.workflow.orientation.sample import check_patterns
from phaseloom.workflow.orientation.tables import THRESHOLD, grains_of
from phaseloom.workflow.outcome import stored_attributes, timed
from phaseloom.workflow.peaks.input import PeakSource, peaks_of_folder, peaks_of_scan
from phaseloom.workflow.peaks.recipe import is_registered

if TYPE_CHECKING:
    from phaseloom.crystals import Crystal

GROUP = "orientation"
_PHYSICS = ("voltage", "precession_angle", "thickness", "k_min", "k_max")


def compute_orientations(
    recipe: OrientationRecipe, execution: Execution, truth: xr.Dataset | None = None
) -> Computed:
    """Compute phase and orientation of every pixel of a recipe's scan: groups ``/orientation…``.

    The scan is a file of patterns, which are registered first as for ``phaseloom peaks``, or a
    folder of registered peaks. Of the truth ``phase`` (y, x; −1 none) and ``rotation`` (y, x,
    quaternion) are kept beside the map as ``true_phase`` and ``true_rotation``.
    """
    if recipe.beside and is_map_of_components(recipe.folder):
        raise InputError(
            "holds the orientation map of components by phaseloom cluster, which that of the "
            "patterns would replace",
            "give another --out",
            source=recipe.folder,
        )
    crystals = crystals_of(recipe.crystal)
    k_max = recipe.matching.k_max
    if is_registered(recipe.scan.file):
        source = peaks_of_folder(recipe, crystals, k_max=k_max)
    else:
        source = peaks_of_scan(recipe, crystals, k_max=k_max, execution=execution)
    removed = source.peaks.data.attrs.get(ROTATION_REMOVED)
    groups, times = _indexed(recipe, source, crystals, truth, execution)
    return Computed(
        source.groups | groups,
        source.inputs | {c.name: fingerprint(to_json([c])) for c in crystals},
        attributes={GROUP: times | turn_attributes(source.turn) | {ROTATION_REMOVED: removed}},
        documented=(GROUP,),
        owned=(GROUP,),
    )


def groups_made(folder: Path) -> Sequence[str]:
    """Groups that ``--fresh`` computes again beside registered peaks."""
    del folder
    return (GROUP,)


def write_exports(recipe: OrientationRecipe, results: xr.DataTree) -> Sequence[Path]:
    """Write the files for other programs that a recipe lists."""
    del results
    return [file for to in recipe.export for file in export_results(recipe.folder, to)]


def is_map_of_components(folder: Path) -> bool | None:
    """Whether an orientation map of the folder is one of components; None: there is no map."""
    if not (folder / "results.zarr" / GROUP / "zarr.json").is_file():
        return None
    return bool(stored_attributes(folder, GROUP, ("of_components",)))


def _indexed(
    recipe: OrientationRecipe,
    source: PeakSource,
    crystals: Sequence[Crystal],
    truth: xr.Dataset | None,
    execution: Execution,
) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    """Groups ``/orientation…``, and the computing time."""
    checkpoints = execution.checkpoints
    data, times = timed(
        lambda: _index(source, crystals, recipe, execution), GROUP, recipe.folder, execution
    )
    truth_beside = None
    if truth is not None:
        # Before the subgroups, which writing a stage of their parent would remove.
        true_maps = true_orientations(data, truth)
        truth_beside = checkpoints.stage(GROUP, "truth", fingerprint(true_maps), lambda: true_maps)
    # Stored attributes are read back as other types, arrays and numbers as the same.
    maps = [data[name].to_numpy() for name in ("phase", "rotation", "probability", "correlation")]
    key = fingerprint(maps, to_json(crystals), [float(data.attrs[n]) for n in _PHYSICS])
    grains = checkpoints.stage(
        f"{GROUP}/grains",
        "grains",
        fingerprint(key, THRESHOLD),
        lambda: grains_of(data, crystals),
        first=True,
    )
    groups = {f"/{GROUP}": data, f"/{GROUP}/grains": grains}
    if (data["phase"] >= 0).any():
        columns = [source.peaks.data[name].to_numpy() for name in ("ky", "kx", "offset")]
        groups[f"/{GROUP}/sample"] = checkpoints.stage(
            f"{GROUP}/sample",
            "sample",
            fingerprint(key, columns),
            lambda: check_patterns(data, source.peaks, crystals),
            first=True,
        )
    if truth_beside is not None:
        groups[f"/{GROUP}"] = data.merge(truth_beside, combine_attrs="override")
    return groups, times


def _index(
    source: PeakSource, crystals: Sequence[Crystal], recipe: OrientationRecipe, execution: Execution
) -> xr.Dataset:
    """Call the chain with the options of the recipe."""
    from phaseloom.orientation import index

    with fault_of(recipe.scan.file):
        return index(
            source.peaks,
            crystals,
            voltage=source.voltage,
            precession_angle=source.precession,
            matching=recipe.matching,
            seed=recipe.seed,
            execution=execution,
        )


def true_orientations(data: xr.Dataset, truth: xr.Dataset) -> xr.Dataset:
    """True maps of a simulated scan, ``true_phase`` and ``true_rotation``, for its result.

    Parameters
    ----------
    data
        Group ``/orientation``.
    truth
        ``phase`` (y, x; −1 none) and ``rotation`` (y, x, quaternion).
    """
    return xr.Dataset(
        {
            "true_phase": (("y", "x"), truth["phase"].to_numpy().astype(np.int16)),
            "true_rotation": (("y", "x", "quaternion"), truth["rotation"].to_numpy()),
        },
        coords={axis: data[axis] for axis in ("y", "x")},
    )
