"""Do what a recipe says, whatever its method."""

from __future__ import annotations

from phaseloom.compute.progress import SILENT, Progress
from phaseloom.errors import InputError
from phaseloom.workflow.outcome import Outcome
from phaseloom.workflow.recipe import Recipe


def run_recipe(
    recipe: Recipe,
    *,
    fresh: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Progress = SILENT,
) -> Outcome:
    """Results, tables, figures and a report in ``recipe.out``.

    Parameters
    ----------
    recipe
        What to do.
    fresh
        Compute everything again, also what an earlier run finished.
    workers
        Blocks of a scan worked on at once; the number of cores by default.
    scheduler
        Address of a dask.distributed scheduler that works on the blocks.
    progress
        Where long work is reported.

    Raises
    ------
    InputError
        A file or a value is at fault.
    """
    if recipe.method == "peaks":
        from phaseloom.workflow.peaks.recipe import PeaksRecipe
        from phaseloom.workflow.peaks.run import run_peaks

        assert isinstance(recipe, PeaksRecipe)
        return run_peaks(
            recipe, fresh=fresh, workers=workers, scheduler=scheduler, progress=progress
        )
    if recipe.method == "index":
        from phaseloom.workflow.orientation.recipe import OrientationRecipe
        from phaseloom.workflow.orientation.run import run_orientation

        assert isinstance(recipe, OrientationRecipe)
        return run_orientation(
            recipe, fresh=fresh, workers=workers, scheduler=scheduler, progress=progress
        )
    if recipe.method == "cluster":
        from phaseloom.workflow.components.recipe import ComponentsRecipe
        from phaseloom.workflow.components.run import run_components

        assert isinstance(recipe, ComponentsRecipe)
        return run_components(
            recipe, fresh=fresh, workers=workers, scheduler=scheduler, progress=progress
        )
    from phaseloom.workflow.stxm.recipe import StxmRecipe
    from phaseloom.workflow.stxm.run import run_stxm

    assert isinstance(recipe, StxmRecipe)
    if scheduler is not None:
        raise InputError(
            "--scheduler is for scans of diffraction patterns",
            "phase maps of stacks are made in this process: leave it out",
        )
    return run_stxm(recipe, fresh=fresh, progress=progress)
