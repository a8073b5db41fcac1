"""Labels of the same scan by other clustering methods, and their agreement."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import xarray as xr

from phaseloom.compute.checkpoints import Checkpoints, fingerprint
from phaseloom.compute.execution import Execution
from phaseloom.workflow.components.input import PatternSource
from phaseloom.workflow.components.recipe import ComponentsRecipe

_GROUP = "components"

_DEPENDS_ON = {"seed", "compare", "preparation", "correction", "centring", "peaks", "filter"}
"""Fields of a recipe that the labels by other methods depend on."""


def other_methods(
    source: PatternSource, data: xr.Dataset, recipe: ComponentsRecipe, execution: Execution
) -> tuple[xr.Dataset, dict[str, xr.Dataset]]:
    """Cluster the scan by the methods that a recipe compares with.

    Parameters
    ----------
    source
        The patterns that were factorised.
    data
        Group ``/components``.
    recipe, execution
        As for :func:`phaseloom.workflow.components.run.compute_components`.

    Returns
    -------
    agreement : xarray.Dataset
        ``agreement_of_methods`` (method, method_2): adjusted Rand index, ``nmf`` first; empty
        without methods.
    labels : dict of xarray.Dataset
        ``label`` (y, x) by method.
    """
    label = data["label"]
    computed: dict[str, np.ndarray] = {}

    def labels() -> dict[str, np.ndarray]:
        # Computed only when they are not kept from an earlier run, and once for all methods.
        if recipe.compare and not computed:
            computed.update(_other_labels(source, int(data.attrs["k"]), recipe, execution))
        return computed

    def agreement() -> xr.Dataset:
        from phaseloom.components.choice.alternatives import agreement_matrix

        if not labels():
            return xr.Dataset()
        names = ["nmf", *labels()]
        matrix = agreement_matrix({"nmf": label.to_numpy().ravel()} | labels())
        return xr.Dataset(
            {"agreement_of_methods": (("method", "method_2"), matrix)},
            coords={"method": ("method", names), "method_2": ("method_2", names)},
        )

    def labelled(name: str) -> xr.Dataset:
        return xr.Dataset(
            {"label": (("y", "x"), labels()[name].reshape(label.shape))},
            coords={axis: data[axis] for axis in ("y", "x")},
        )

    key = fingerprint(
        source.inputs, recipe.model_dump(mode="json", include=_DEPENDS_ON), label.to_numpy()
    )
    agreement_maps = execution.checkpoints.stage(_GROUP, "agreement", key, agreement)
    names = (
        [str(n) for n in agreement_maps["method"].to_numpy()[1:]]
        if "method" in agreement_maps.dims
        else []
    )
    return agreement_maps, {
        name: execution.checkpoints.stage(
            f"{_GROUP}/{name}", "label", key, partial(labelled, name), first=True
        )
        for name in names
    }


def _other_labels(
    source: PatternSource, k: int, recipe: ComponentsRecipe, execution: Execution
) -> dict[str, np.ndarray]:
    from phaseloom.components.choice.alternatives import other_labels
    from phaseloom.components.factors.compression import compress
    from phaseloom.components.patterns.preparation import prepare

    preparation = recipe.preparation
    options = preparation.model_dump(exclude={"scaling"})
    # Stages that this run has computed are reused, also with --fresh.
    reusing = replace(execution, checkpoints=Checkpoints(execution.checkpoints.store))
    prepared = prepare(source.patterns, **options, seed=recipe.seed, execution=reusing)
    compressed = compress(
        prepared, scaling=preparation.scaling, seed=recipe.seed, execution=execution
    )
    return dict(
        other_labels(
            compressed.scores, k, methods=recipe.compare, seed=recipe.seed, device=recipe.device
        )
    )
