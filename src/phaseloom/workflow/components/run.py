"""Few components in place of a scan's patterns: do what their recipe says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from phaseloom.compute.checkpoints import fingerprint
from phaseloom.compute.execution import Execution
from phaseloom.crystals import to_json
from phaseloom.errors import InputError, fault_of
from phaseloom.workflow.components.input import Source, source_of
from phaseloom.workflow.components.other_methods import other_methods
from phaseloom.workflow.components.recipe import ComponentsRecipe
from phaseloom.workflow.method import Computed
from phaseloom.workflow.orientation.crystal_input import crystals_of
from phaseloom.workflow.orientation.run import GROUP as PAINTED
from phaseloom.workflow.orientation.run import of_components, true_orientations
from phaseloom.workflow.orientation.tables import THRESHOLD, grains_of
from phaseloom.workflow.outcome import earlier, timed

if TYPE_CHECKING:
    from phaseloom.crystals import Crystal

GROUP = "components"


def compute_components(
    recipe: ComponentsRecipe, execution: Execution, truth: xr.Dataset | None = None
) -> Computed:
    """Components of a recipe's scan, groups ``/components…``: how many, where, where two overlap.

    The scan is a file of patterns, which are taken as recorded or, where their preparation asks
    for it, registered first as for ``phaseloom peaks``; or a folder that this left. With crystals
    the components are indexed: groups ``/orientation…``, in place of no other orientation map.
    Of the truth ``grain``, ``grain_2`` (y, x; −1 none) and ``overlap`` are kept beside the labels
    as ``true_…``; with crystals also ``phase`` and ``rotation``.
    """
    painted = of_components(recipe.folder)
    if recipe.crystal and recipe.beside and painted is False:
        raise InputError(
            "holds the orientation map of phaseloom index, which that of the components would "
            "replace",
            "give another --out",
            source=recipe.folder,
        )
    crystals = crystals_of(recipe.crystal)
    source = source_of(recipe, crystals, execution)
    groups, attributes = _components(recipe, source, truth, execution)
    kept = f"{GROUP}: cluster" in execution.checkpoints.reused
    inputs = dict(source.inputs)
    if crystals:
        groups |= _orientations(recipe, source, groups[f"/{GROUP}"], crystals, truth, execution)
        inputs |= {c.name: fingerprint(to_json([c])) for c in crystals}
    return Computed(
        source.groups | groups,
        inputs,
        attributes={GROUP: attributes},
        stated=(GROUP, PAINTED) if crystals else (GROUP,),
        # A map of components that are not those of this run would be of nothing.
        owned=(GROUP, PAINTED) if crystals or (painted and not kept) else (GROUP,),
    )


def groups_made(folder: Path) -> Sequence[str]:
    """What ``--fresh`` computes again beside registered peaks."""
    return (GROUP, PAINTED) if of_components(folder) else (GROUP,)


def _components(
    recipe: ComponentsRecipe, source: Source, truth: xr.Dataset | None, execution: Execution
) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    """Groups ``/components…``, and what is to be said of them."""
    checkpoints = execution.checkpoints
    data, times = timed(
        lambda: _cluster(source, recipe, execution), GROUP, recipe.folder, execution
    )
    # Stages of a group come before the groups below it, which writing them would remove.
    if truth is not None:
        known = _truth(data, truth)
        data = _merged(data, checkpoints.stage(GROUP, "truth", fingerprint(known), lambda: known))
    others: dict[str, xr.Dataset] = {}
    if recipe.compare or earlier(recipe.folder, GROUP, ("finished_agreement",)):
        agreement, others = other_methods(source, data, recipe, execution)
        data = _merged(data, agreement)
    groups = {f"/{GROUP}": data} | {f"/{GROUP}/{n}": labels for n, labels in others.items()}
    return groups, times | source.instrument


def _cluster(source: Source, recipe: ComponentsRecipe, execution: Execution) -> xr.Dataset:
    """The one place where the recipe's words meet those of the chain."""
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
    source: Source,
    data: xr.Dataset,
    crystals: list[Crystal],
    truth: xr.Dataset | None,
    execution: Execution,
) -> dict[str, xr.Dataset]:
    """Groups ``/orientation…``: components indexed, and painted where they are."""
    from phaseloom.workflow.components.orientations import component_orientations

    checkpoints = execution.checkpoints
    key = fingerprint(
        data["pattern"].to_numpy(), data["label"].to_numpy(), to_json(crystals), source.voltage,
        source.precession, source.distortion, str(data["ky"].attrs.get("units")), recipe.seed,
    )  # fmt: skip
    computed: list[tuple[xr.Dataset, xr.Dataset]] = []

    def both() -> tuple[xr.Dataset, xr.Dataset]:
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

    painted = checkpoints.stage(PAINTED, "components", key, lambda: both()[0], first=True)
    groups = {f"/{PAINTED}": painted}
    if truth is not None:
        known = true_orientations(painted, truth)
        groups[f"/{PAINTED}"] = _merged(
            painted, checkpoints.stage(PAINTED, "truth", fingerprint(known), lambda: known)
        )
    if (painted["phase"] >= 0).any():
        groups[f"/{PAINTED}/sample"] = checkpoints.stage(
            f"{PAINTED}/sample", "sample", key, lambda: both()[1], first=True
        )
    groups[f"/{PAINTED}/grains"] = checkpoints.stage(
        f"{PAINTED}/grains", "grains", fingerprint(key, THRESHOLD),
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
