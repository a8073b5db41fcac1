"""Run of ``phaseloom cluster``: components of a scan, and their orientation map."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from phaseloom.compute.checkpoints import fingerprint
from phaseloom.compute.execution import Execution
from phaseloom.crystals import to_json
from phaseloom.errors import InputError, fault_of
from phaseloom.workflow.components.input import PatternSource, pattern_source
from phaseloom.workflow.components.other_methods import other_methods
from phaseloom.workflow.components.recipe import ComponentsRecipe
from phaseloom.workflow.method import Computed
from phaseloom.workflow.orientation.crystal_input import crystals_of
from phaseloom.workflow.orientation.run import GROUP as ORIENTATION
from phaseloom.workflow.orientation.run import is_map_of_components, true_orientations
from phaseloom.workflow.orientation.tables import THRESHOLD, grains_of
from phaseloom.workflow.outcome import stored_attributes, timed

if TYPE_CHECKING:
    from phaseloom.crystals import Crystal

GROUP = "components"


def compute_components(
    recipe: ComponentsRecipe, execution: Execution, truth: xr.Dataset | None = None
) -> Computed:
    """Compute the components of a recipe's scan: groups ``/components…``.

    The scan is a file of patterns, which are taken as recorded or, where their preparation asks
    for it, registered first as for ``phaseloom peaks``; or a folder of registered peaks. With
    crystals the components are indexed: groups ``/orientation…``. A map of ``phaseloom index`` is
    not replaced.
    Of the truth ``grain``, ``grain_2`` (y, x; −1 none) and ``overlap`` are kept beside the labels
    as ``true_…``; with crystals also ``phase`` and ``rotation``.
    """
    has_own_map = is_map_of_components(recipe.folder)
    if recipe.crystal and recipe.beside and has_own_map is False:
        raise InputError(
            "holds the orientation map of phaseloom index, which that of the components would "
            "replace",
            "give another --out",
            source=recipe.folder,
        )
    crystals = crystals_of(recipe.crystal)
    source = pattern_source(recipe, crystals, execution)
    groups, attributes = _components(recipe, source, truth, execution)
    reused = f"{GROUP}: cluster" in execution.checkpoints.reused
    inputs = dict(source.inputs)
    frame = source.frame
    if crystals:
        groups |= _orientations(recipe, source, groups[f"/{GROUP}"], crystals, truth, execution)
        inputs |= {c.name: fingerprint(to_json([c])) for c in crystals}
    return Computed(
        source.groups | groups,
        inputs,
        attributes={GROUP: attributes | frame} | ({ORIENTATION: frame} if crystals else {}),
        documented=(GROUP, ORIENTATION) if crystals else (GROUP,),
        # The map of components that are replaced is removed.
        owned=(GROUP, ORIENTATION) if crystals or (has_own_map and not reused) else (GROUP,),
    )


def groups_made(folder: Path) -> Sequence[str]:
    """Groups that ``--fresh`` computes again beside registered peaks."""
    return (GROUP, ORIENTATION) if is_map_of_components(folder) else (GROUP,)


def _components(
    recipe: ComponentsRecipe, source: PatternSource, truth: xr.Dataset | None, execution: Execution
) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    """Groups ``/components…``, and attributes of the first."""
    checkpoints = execution.checkpoints
    data, times = timed(
        lambda: _cluster(source, recipe, execution), GROUP, recipe.folder, execution
    )
    # Stages of a group come before the groups below it, which writing them would remove.
    if truth is not None:
        true_maps = _truth(data, truth)
        data = _merged(
            data, checkpoints.stage(GROUP, "truth", fingerprint(true_maps), lambda: true_maps)
        )
    others: dict[str, xr.Dataset] = {}
    if recipe.compare or stored_attributes(recipe.folder, GROUP, ("finished_agreement",)):
        agreement, others = other_methods(source, data, recipe, execution)
        data = _merged(data, agreement)
    groups = {f"/{GROUP}": data} | {f"/{GROUP}/{n}": labels for n, labels in others.items()}
    return groups, times | source.instrument


def _cluster(source: PatternSource, recipe: ComponentsRecipe, execution: Execution) -> xr.Dataset:
    """Call the chain with the options of the recipe."""
    from phaseloom.components.clustering import cluster

    with fault_of(recipe.scan.file):
        return cluster(
            source.patterns,
            preparation=recipe.preparation,
            factorisation=recipe.factorisation,
            overlaps=recipe.overlaps,
            seed=recipe.seed,
            execution=execution,
        )


def _orientations(
    recipe: ComponentsRecipe,
    source: PatternSource,
    data: xr.Dataset,
    crystals: list[Crystal],
    truth: xr.Dataset | None,
    execution: Execution,
) -> dict[str, xr.Dataset]:
    """Groups ``/orientation…``: the orientation map of the components."""
    from phaseloom.workflow.components.orientations import component_orientations

    checkpoints = execution.checkpoints
    key = fingerprint(
        data["pattern"].to_numpy(), data["label"].to_numpy(), to_json(crystals), source.voltage,
        source.precession, source.distortion, str(data["ky"].attrs.get("units")), recipe.seed,
    )  # fmt: skip
    computed: list[tuple[xr.Dataset, xr.Dataset]] = []

    def map_and_sample() -> tuple[xr.Dataset, xr.Dataset]:
        if not computed:
            for _ in execution.progress.track([None], "indexing components"):
                computed.append(
                    component_orientations(
                        data, crystals, voltage=source.voltage, precession_angle=source.precession,
                        distortion=source.distortion, seed=recipe.seed, device=execution.device,
                        source=recipe.scan.file,
                    )
                )  # fmt: skip
        return computed[0]

    orientation = checkpoints.stage(
        ORIENTATION, "components", key, lambda: map_and_sample()[0], first=True
    )
    groups = {f"/{ORIENTATION}": orientation}
    if truth is not None:
        true_maps = true_orientations(orientation, truth)
        groups[f"/{ORIENTATION}"] = _merged(
            orientation,
            checkpoints.stage(ORIENTATION, "truth", fingerprint(true_maps), lambda: true_maps),
        )
    if (orientation["phase"] >= 0).any():
        groups[f"/{ORIENTATION}/sample"] = checkpoints.stage(
            f"{ORIENTATION}/sample", "sample", key, lambda: map_and_sample()[1], first=True
        )
    groups[f"/{ORIENTATION}/grains"] = checkpoints.stage(
        f"{ORIENTATION}/grains", "grains", fingerprint(key, THRESHOLD),
        lambda: grains_of(orientation, crystals), first=True,
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


def _merged(data: xr.Dataset, others: xr.Dataset) -> xr.Dataset:
    return data.merge(others, combine_attrs="override")
