"""Few components in place of a scan's patterns: do what their recipe says."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from phaseloom.compute.checkpoints import Checkpoints, fingerprint
from phaseloom.compute.progress import SILENT, Progress
from phaseloom.crystals import to_json
from phaseloom.errors import InputError
from phaseloom.workflow.components.input import Source, source_of
from phaseloom.workflow.components.other_methods import other_methods
from phaseloom.workflow.components.recipe import ComponentsRecipe
from phaseloom.workflow.components.tables import components_tables
from phaseloom.workflow.orientation.crystal_input import crystals_of
from phaseloom.workflow.orientation.run import orientation_facts, true_orientations
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
from phaseloom.workflow.peaks.input import is_registered
from phaseloom.workflow.peaks.run import peaks_tables

if TYPE_CHECKING:
    import pandas as pd

    from phaseloom.crystals import Crystal

_GROUP = "components"
_PAINTED = "orientation"


def run_components(
    recipe: ComponentsRecipe,
    *,
    fresh: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    truth: xr.Dataset | None = None,
    progress: Progress = SILENT,
) -> Outcome:
    """Components of a recipe's scan: how many, where they are, where two overlap.

    Parameters
    ----------
    recipe
        What to do. Its scan is a file of patterns, which are taken as recorded or, where their
        preparation asks for it, registered first as :func:`phaseloom.workflow.peaks.run.run_peaks`
        does; or a folder that this left. With crystals the components are indexed.
    fresh
        Compute everything again, also what an earlier run finished; a folder's peaks stay.
    workers
        Blocks of the scan worked on at once; the number of cores by default.
    scheduler
        Address of a dask.distributed scheduler that works on the blocks.
    truth
        Of a simulated scan: ``grain``, ``grain_2`` (y, x; −1 none) and ``overlap``, kept beside
        the labels as ``true_…``; with crystals also its ``phase`` and ``rotation``, as
        :func:`phaseloom.workflow.orientation.run.run_orientation` keeps them.
    progress
        Where long work is reported.

    Returns
    -------
    Outcome
        Results as written to ``recipe.out``. Beside registered peaks the recipe is
        ``cluster.toml``: ``recipe.toml`` is that of the peaks.

    Raises
    ------
    InputError
        A file or a value is at fault.
    """
    folder = recipe.out
    make_folder(folder)
    beside = is_registered(recipe.scan.file) and folder.resolve() == recipe.scan.file.resolve()
    painted = _painted(folder)
    if recipe.crystal and painted is False:
        raise InputError(
            "holds the orientation map of phaseloom index, which that of the components would "
            "replace",
            "give another --out",
            source=folder,
        )
    how: dict[str, Any] = {"workers": workers, "scheduler": scheduler, "progress": progress}
    with collected() as notes:
        crystals = crystals_of(recipe.crystal)
        keep = Checkpoints(folder / "results.zarr", fresh=fresh and not beside)
        found = source_of(recipe, crystals, keep=keep, fresh=fresh, **how)
        if fresh and beside:
            for group in (_GROUP, *((_PAINTED,) if painted else ())):
                forget(folder, group)
        groups, told = _components(recipe, found, truth, keep=keep, fresh=fresh, **how)
        owned: tuple[str, ...] = (_GROUP,)
        inputs = dict(found.inputs)
        if crystals:
            groups |= _orientations(
                recipe, found, groups[f"/{_GROUP}"], crystals, truth, keep, progress
            )
            inputs |= {c.name: fingerprint(to_json([c])) for c in crystals}
        if crystals or painted:
            owned = (_GROUP, _PAINTED)
        facts = stated(recipe, inputs)
        said = {"": facts, _GROUP: told | facts} | ({_PAINTED: dict(facts)} if crystals else {})
        keep.finish(said, owned=owned)
        groups[f"/{_GROUP}"] = groups[f"/{_GROUP}"].assign_attrs(told | facts)
        results = xr.DataTree.from_dict(found.groups | groups)
        results.attrs.update(facts)
        made = _tables(results, crystals, recipe.seed)
        write_tables(folder / "tables", made)
        publish(recipe, results, made, notes, name="cluster.toml" if beside else "recipe.toml")
    return Outcome(folder, results, made, _facts(results, crystals), notes, keep.reused)


def _components(
    recipe: ComponentsRecipe,
    found: Source,
    truth: xr.Dataset | None,
    *,
    keep: Checkpoints,
    fresh: bool,
    **how: Any,
) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    """Groups ``/components…``, and how long they took."""
    continued = not fresh and any((recipe.out / "unfinished").glob(f"{_GROUP}-*"))
    begun = time.monotonic()
    data = _cluster(found, recipe, keep=keep, **how)
    seconds = time.monotonic() - begun
    told: dict[str, Any] = {}
    if any(stage.startswith(f"{_GROUP}: ") for stage in keep.reused):
        told = earlier(recipe.out, _GROUP, TIMES)
    elif not continued:
        told = {"seconds": seconds, "patterns_per_second": data["label"].size / seconds}
    told |= {name: value for name, value in found.instrument.items() if value is not None}
    # Stages of a group come before the groups below it, which writing them would remove.
    if truth is not None:
        known = _truth(data, truth)
        data = _merged(data, keep.stage(_GROUP, "truth", fingerprint(known), lambda: known))
    others: dict[str, xr.Dataset] = {}
    if recipe.compare or earlier(recipe.out, _GROUP, ("finished_agreement",)):
        agreement, others = other_methods(found, data, recipe, keep, **how)
        data = _merged(data, agreement)
    return {f"/{_GROUP}": data} | {f"/{_GROUP}/{n}": labels for n, labels in others.items()}, told


def _cluster(found: Source, recipe: ComponentsRecipe, **how: Any) -> xr.Dataset:
    """The one place where the recipe's words meet those of the chain."""
    from phaseloom.components.clustering import cluster

    try:
        return cluster(
            found.patterns,
            **recipe.preparation.model_dump(),
            **recipe.factorisation.model_dump(),
            **recipe.overlaps.model_dump(),
            seed=recipe.seed,
            device=recipe.device,
            **how,
        )
    except InputError as error:
        if error.source is not None:
            raise
        raise InputError(error.fault, error.remedy, source=recipe.scan.file) from error


def _orientations(
    recipe: ComponentsRecipe,
    found: Source,
    data: xr.Dataset,
    crystals: list[Crystal],
    truth: xr.Dataset | None,
    keep: Checkpoints,
    progress: Progress,
) -> dict[str, xr.Dataset]:
    """Groups ``/orientation…``: components indexed, and painted where they are."""
    from phaseloom.workflow.components.orientations import component_orientations

    key = fingerprint(
        data["pattern"].to_numpy(), data["label"].to_numpy(), to_json(crystals), found.voltage,
        found.precession, found.distortion, str(data["ky"].attrs.get("units")), recipe.seed,
    )  # fmt: skip
    made: list[tuple[xr.Dataset, xr.Dataset]] = []

    def both() -> tuple[xr.Dataset, xr.Dataset]:
        if not made:
            for _ in progress.track([None], "indexing components"):
                made.append(
                    component_orientations(
                        data, crystals, voltage=found.voltage, precession_angle=found.precession,
                        distortion=found.distortion, seed=recipe.seed, device=recipe.device,
                        source=recipe.scan.file,
                    )
                )  # fmt: skip
        return made[0]

    painted = keep.stage(_PAINTED, "components", key, lambda: both()[0], first=True)
    groups = {f"/{_PAINTED}": painted}
    if truth is not None:
        known = true_orientations(painted, truth)
        groups[f"/{_PAINTED}"] = _merged(
            painted, keep.stage(_PAINTED, "truth", fingerprint(known), lambda: known)
        )
    if (painted["phase"] >= 0).any():
        groups[f"/{_PAINTED}/sample"] = keep.stage(
            f"{_PAINTED}/sample", "sample", key, lambda: both()[1], first=True
        )
    groups[f"/{_PAINTED}/grains"] = keep.stage(
        f"{_PAINTED}/grains", "grains", fingerprint(key, THRESHOLD),
        lambda: grains_of(painted, crystals), first=True,
    )  # fmt: skip
    return groups


def _truth(data: xr.Dataset, truth: xr.Dataset) -> xr.Dataset:
    return xr.Dataset(
        {
            f"true_{name}": (("y", "x"), truth[name].to_numpy())
            for name in ("grain", "grain_2", "overlap")
        },
        coords={axis: data[axis] for axis in ("y", "x")},
    )


def _merged(data: xr.Dataset, more: xr.Dataset) -> xr.Dataset:
    return data.merge(more, combine_attrs="override")


def _painted(folder: Path) -> bool | None:
    """Whether an orientation map of the folder is one of components; None: there is no map."""
    if not (folder / "results.zarr" / _PAINTED / "zarr.json").is_file():
        return None
    return bool(earlier(folder, _PAINTED, ("of_components",)))


def _tables(results: xr.DataTree, crystals: list[Crystal], seed: int) -> dict[str, pd.DataFrame]:
    tables = components_tables(results[_GROUP].to_dataset())
    if crystals:
        data = results[_PAINTED].to_dataset()
        grains = results[f"{_PAINTED}/grains"].to_dataset()
        tables |= orientation_tables(data, grains, crystals, seed=seed)
    if "peaks" in results.children:
        tables |= peaks_tables(results["peaks"].to_dataset())
    return tables


def _facts(results: xr.DataTree, crystals: list[Crystal]) -> dict[str, Any]:
    """The answer in few numbers."""
    data = results[_GROUP].to_dataset()
    label, attrs = data["label"].to_numpy(), data.attrs
    background = int(attrs["background"])
    said: dict[str, Any] = {
        "patterns": int(label.size),
        "scan_shape": list(label.shape),
        "k": int(attrs["k"]),
        "grains": int(attrs["grains"]),
        "background": background,
        "reason": str(attrs["reason"]),
        "error": float(attrs["error"]),
        "noise_floor": float(attrs.get("noise_floor", np.nan)),
        "residual": float(np.nanmedian(data["residual"].to_numpy())),
        "fractions": [float((label == c).mean()) for c in range(int(attrs["k"]))],
        "nothing": float((label < 0).mean()),
        "overlaps": float((data["partner"].to_numpy() >= 0).mean()),
    }
    if "agreement_of_methods" in data:
        row = data["agreement_of_methods"].isel(method=0)
        said["agreement"] = {
            str(name): float(value)
            for name, value in zip(row["method_2"].to_numpy(), row.to_numpy(), strict=True)
            if str(name) != "nmf"
        }
    if "peaks" in results.children:
        said["registering_seconds"] = float(results["peaks"].attrs.get("seconds", np.nan))
    for name in TIMES:
        said[name] = float(attrs.get(name, np.nan))
    facts: dict[str, Any] = {"method": "cluster", "components": said}
    if crystals:
        facts["orientation"] = orientation_facts(results, crystals)["orientation"]
    return facts
