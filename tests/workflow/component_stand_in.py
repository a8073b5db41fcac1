"""Components by hand in place of the chain's, so that runs are short."""

from __future__ import annotations

import json

import numpy as np
import xarray as xr
from component_maps import components

from phaseloom.compute.checkpoints import fingerprint
from phaseloom.compute.execution import Execution
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.workflow.components.input import PatternSource
from phaseloom.workflow.components.recipe import ComponentsRecipe


def by_hand(source: PatternSource, recipe: ComponentsRecipe, execution: Execution) -> xr.Dataset:
    """Components whatever the patterns are, row of the scan by row, with finished rows kept."""
    patterns = source.patterns
    data = patterns.data if isinstance(patterns, Peaks) else patterns
    shape = int(data.sizes["y"]), int(data.sizes["x"])
    options = recipe.model_dump(
        mode="json", include={"preparation", "factorisation", "overlaps", "seed"}
    )
    key = fingerprint(source.inputs["scan"], json.dumps(options))
    given = recipe.factorisation.k

    def compute() -> xr.Dataset:
        parts = execution.checkpoints.parts("components", "cluster", key)
        for y in execution.progress.track(range(shape[0]), "factorising"):
            if y not in parts.done():
                parts.save(y, row(y))
        choose = "given" if isinstance(given, int) else recipe.factorisation.choose
        k = given if isinstance(given, int) else 3
        group = components(shape, k, size=64, choose=choose, compared=False)["components"]
        result = group.to_dataset().copy(deep=True)
        result.attrs = {n: v for n, v in group.attrs.items() if n not in ("versions", "inputs")}
        return result.assign_coords({axis: data[axis] for axis in ("y", "x")})

    return execution.checkpoints.stage("components", "cluster", key, compute, first=True)


def row(y: int) -> xr.Dataset:
    """What is kept of one row."""
    return xr.Dataset({"row": ("one", np.array([y]))})
