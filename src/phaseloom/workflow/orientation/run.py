"""Orientation maps of scans: do what their recipe says."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from phaseloom.compute.checkpoints import Checkpoints, fingerprint
from phaseloom.compute.progress import SILENT, Progress
from phaseloom.crystals import to_json
from phaseloom.errors import InputError
from phaseloom.workflow.export import export_results
from phaseloom.workflow.orientation.crystal_input import crystals_of
from phaseloom.workflow.orientation.recipe import OrientationRecipe
from phaseloom.workflow.orientation.sample import check_patterns
from phaseloom.workflow.orientation.tables import THRESHOLD, grains_of, orientation_tables
from phaseloom.workflow.outcome import (
    TIMES,
    Outcome,
    collected,
    earlier,
    forget,
    make_folder,
    publish,
    stated,
    write_tables,
)
from phaseloom.workflow.peaks.input import Found, is_registered, peaks_of_folder, peaks_of_scan
from phaseloom.workflow.peaks.run import peaks_tables

if TYPE_CHECKING:
    import pandas as pd

    from phaseloom.crystals import Crystal

_GROUP = "orientation"
_PHYSICS = ("voltage", "precession_angle", "thickness", "k_min", "k_max")
_SURE = 0.95
"""Pixels of at least this probability are called sure."""


def run_orientation(
    recipe: OrientationRecipe,
    *,
    fresh: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    truth: xr.Dataset | None = None,
    progress: Progress = SILENT,
) -> Outcome:
    """Phase and orientation of every pixel of a recipe's scan.

    Parameters
    ----------
    recipe
        What to do. Its scan is a file of patterns, which are registered first as
        :func:`phaseloom.workflow.peaks.run.run_peaks` does, or a folder that this left.
    fresh
        Compute everything again, also what an earlier run finished; a folder's peaks stay.
    workers
        Blocks of the scan worked on at once; the number of cores by default.
    scheduler
        Address of a dask.distributed scheduler that works on the blocks.
    truth
        Of a simulated scan: ``phase`` (y, x; −1 none) and ``rotation`` (y, x, quaternion), kept
        beside the map as ``true_phase`` and ``true_rotation``.
    progress
        Where long work is reported.

    Returns
    -------
    Outcome
        Results as written to ``recipe.out``. Beside registered peaks the recipe is ``index.toml``:
        ``recipe.toml`` is that of the peaks.

    Raises
    ------
    InputError
        A file or a value is at fault.
    """
    folder = recipe.out
    make_folder(folder)
    registered = is_registered(recipe.scan.file)
    beside = registered and folder.resolve() == recipe.scan.file.resolve()
    with collected() as notes:
        crystals = crystals_of(recipe.crystal)
        if registered:
            found = peaks_of_folder(recipe, crystals, k_max=recipe.matching.k_max)
            if fresh and beside:
                forget(folder, _GROUP)
            keep = Checkpoints(folder / "results.zarr", fresh=fresh and not beside)
        else:
            keep = Checkpoints(folder / "results.zarr", fresh=fresh)
            found = peaks_of_scan(
                recipe, crystals, k_max=recipe.matching.k_max,
                keep=keep, fresh=fresh, workers=workers, scheduler=scheduler, progress=progress,
            )  # fmt: skip
        groups, told = _indexed(
            recipe, found, crystals, truth,
            keep=keep, fresh=fresh, workers=workers, scheduler=scheduler, progress=progress,
        )  # fmt: skip
        inputs = found.inputs | {c.name: fingerprint(to_json([c])) for c in crystals}
        facts = stated(recipe, inputs)
        keep.finish({"": facts, _GROUP: told | facts}, owned=(_GROUP,))
        groups[f"/{_GROUP}"] = groups[f"/{_GROUP}"].assign_attrs(told | facts)
        results = xr.DataTree.from_dict(found.groups | groups)
        results.attrs.update(facts)
        made = _tables(results, crystals, recipe.seed)
        write_tables(folder / "tables", made)
        exported = [file for to in recipe.export for file in export_results(folder, to)]
        publish(recipe, results, made, notes, name="index.toml" if beside else "recipe.toml")
    said = orientation_facts(results, crystals) | {"exports": [str(file) for file in exported]}
    return Outcome(folder, results, made, said, notes, keep.reused)


def _indexed(
    recipe: OrientationRecipe,
    found: Found,
    crystals: Sequence[Crystal],
    truth: xr.Dataset | None,
    *,
    keep: Checkpoints,
    fresh: bool,
    **how: Any,
) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    """Groups ``/orientation…``, and how long they took."""
    continued = not fresh and any((recipe.out / "unfinished").glob(f"{_GROUP}-*"))
    begun = time.monotonic()
    data = _index(found, crystals, recipe, keep=keep, **how)
    seconds = time.monotonic() - begun
    told: dict[str, Any] = {}
    if any(stage.startswith(f"{_GROUP}: ") for stage in keep.reused):
        told = earlier(recipe.out, _GROUP, TIMES)
    elif not continued:
        told = {"seconds": seconds, "patterns_per_second": data["phase"].size / seconds}
    told_true = None
    if truth is not None:
        # Before the groups below, which writing a stage of their parent would remove.
        known = true_orientations(data, truth)
        told_true = keep.stage(_GROUP, "truth", fingerprint(known), lambda: known)
    # Stored attributes come back as other types: arrays and numbers are the same.
    maps = [data[name].to_numpy() for name in ("phase", "rotation", "probability", "correlation")]
    key = fingerprint(maps, to_json(crystals), [float(data.attrs[n]) for n in _PHYSICS])
    grains = keep.stage(
        f"{_GROUP}/grains",
        "grains",
        fingerprint(key, THRESHOLD),
        lambda: grains_of(data, crystals),
        first=True,
    )
    groups = {f"/{_GROUP}": data, f"/{_GROUP}/grains": grains}
    if (data["phase"] >= 0).any():
        columns = [found.peaks.data[name].to_numpy() for name in ("ky", "kx", "offset")]
        groups[f"/{_GROUP}/sample"] = keep.stage(
            f"{_GROUP}/sample",
            "sample",
            fingerprint(key, columns),
            lambda: check_patterns(data, found.peaks, crystals),
            first=True,
        )
    if told_true is not None:
        groups[f"/{_GROUP}"] = data.merge(told_true, combine_attrs="override")
    return groups, told


def _index(
    found: Found, crystals: Sequence[Crystal], recipe: OrientationRecipe, **how: Any
) -> xr.Dataset:
    """The one place where the recipe's words meet those of the chain."""
    from phaseloom.orientation import index

    try:
        return index(
            found.peaks,
            crystals,
            voltage=found.voltage,
            precession_angle=found.precession,
            **recipe.matching.model_dump(),
            seed=recipe.seed,
            device=recipe.device,
            **how,
        )
    except InputError as error:
        if error.source is not None:
            raise
        raise InputError(error.fault, error.remedy, source=recipe.scan.file) from error


def true_orientations(data: xr.Dataset, truth: xr.Dataset) -> xr.Dataset:
    """``true_phase`` and ``true_rotation`` of a simulated scan, to lie beside a map of it.

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


def _tables(
    results: xr.DataTree, crystals: Sequence[Crystal], seed: int
) -> dict[str, pd.DataFrame]:
    data = results[_GROUP].to_dataset()
    grains = results[f"{_GROUP}/grains"].to_dataset()
    tables = orientation_tables(data, grains, crystals, seed=seed)
    if "peaks" in results.children:
        tables |= peaks_tables(results["peaks"].to_dataset())
    return tables


def orientation_facts(results: xr.DataTree, crystals: Sequence[Crystal]) -> dict[str, Any]:
    """The answer in few numbers.

    Parameters
    ----------
    results
        With ``/orientation`` and ``/orientation/grains``.
    crystals
        In the order of their numbers.
    """
    data = results[_GROUP].to_dataset()
    phase = data["phase"].to_numpy()
    indexed = phase >= 0
    said: dict[str, Any] = {
        "patterns": int(phase.size),
        "scan_shape": list(phase.shape),
        "fractions": {c.name: float((phase == n).mean()) for n, c in enumerate(crystals)},
        "unindexed": float((~indexed).mean()),
        "sure": float((data["probability"].to_numpy() >= _SURE).mean()),
        "ambiguous": float(data["ambiguous"].to_numpy().mean()),
        "grains": int(results[f"{_GROUP}/grains"]["grain"].max()) + 1,
    }
    for name in ("correlation", "matched", "explained", "residual"):
        said[name] = _median(data[name].to_numpy()[indexed])
    if "overlap_phase" in data:
        said["overlaps"] = float((data["overlap_phase"].to_numpy() >= 0).mean())
    if "peaks" in results.children:
        said["registering_seconds"] = float(results["peaks"].attrs.get("seconds", np.nan))
    for name in TIMES:
        said[name] = float(data.attrs.get(name, np.nan))
    return {"method": "index", "orientation": said}


def _median(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")
