"""Frame of every run: folder, log, computation, tables, figures, report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from phaseloom.compute.execution import Execution
from phaseloom.errors import InputError
from phaseloom.workflow.folder import Clear, add_files, protected_groups, results_folder
from phaseloom.workflow.log import logged
from phaseloom.workflow.method import Computed, Method, method_of
from phaseloom.workflow.outcome import Outcome, collected_warnings, provenance, write_tables
from phaseloom.workflow.recipe import Recipe, write_recipe

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def run_recipe(
    recipe: Recipe,
    execution: Execution | None = None,
    *,
    overwrite: bool = False,
    truth: xr.Dataset | None = None,
) -> Outcome:
    """Run a recipe: results, tables, figures and a report in its folder.

    Parameters
    ----------
    recipe
        Of any method.
    execution
        Workers, cluster, progress, whether everything is computed again. Its checkpoints are
        replaced by those of the folder, its device by the recipe's.
    overwrite
        Remove the results of another input or method that the folder holds.
    truth
        Of a simulated measurement: kept beside the result as ``true_…``.

    Raises
    ------
    InputError
        A file or a value is at fault, the folder holds other results, or another run works there.
    """
    method = method_of(recipe.method)
    execution = execution or Execution()
    if execution.scheduler is not None and not recipe.uses_scheduler:
        raise InputError(
            "--scheduler is for scans of diffraction patterns",
            "phase maps of stacks are made in this process: leave it out",
        )
    folder = recipe.folder
    recipe = recipe.model_copy(update={"out": folder})
    with (
        results_folder(recipe, overwrite=overwrite) as clear,
        logged(folder, recipe, execution),
        collected_warnings() as notes,
    ):
        execution = _in_folder(execution, recipe, method, clear)
        computed = method.compute(recipe, execution, truth)
        results = _finished(computed, recipe, execution)
        tables = method.tables(results, recipe)
        files = write_tables(folder / "tables", tables)
        more = method.write_more(recipe, results)
        files += [*more, *publish(recipe, results, tables, notes)]
        add_files(folder, files, finished=True)
        facts = {"method": recipe.method} | method.summary.facts(results)
        if "export" in type(recipe).model_fields:
            facts["exports"] = [str(file) for file in more]
        reused = execution.checkpoints.reused
        return Outcome(folder, results, tables, facts, files, notes, reused)


def _in_folder(execution: Execution, recipe: Recipe, method: Method, clear: Clear) -> Execution:
    """The execution with the folder's checkpoints; peaks that are the input are not computed."""
    from phaseloom.compute.checkpoints import Checkpoints

    return replace(
        execution,
        checkpoints=Checkpoints(
            recipe.folder / "results.zarr",
            fresh=execution.fresh,
            groups=method.groups_made(recipe.folder) if recipe.beside else None,
            protected={} if clear else protected_groups(recipe.folder, recipe),
            before=clear,
        ),
        device=getattr(recipe, "device", execution.device),
    )


def _finished(computed: Computed, recipe: Recipe, execution: Execution) -> xr.DataTree:
    """The results as one tree, with provenance in the attributes, also in the store."""
    import xarray as xr

    facts = provenance(recipe, computed.inputs)
    attributes = {
        group: computed.attributes.get(group, {}) | (facts if group in computed.documented else {})
        for group in {*computed.attributes, *computed.documented}
    }
    execution.checkpoints.finish({"": facts, **attributes}, owned=computed.owned)
    groups = dict(computed.groups)
    for group, values in attributes.items():
        if f"/{group}" in groups:
            set_values = {name: value for name, value in values.items() if value is not None}
            groups[f"/{group}"] = groups[f"/{group}"].assign_attrs(set_values)
    results = xr.DataTree.from_dict(groups)
    results.attrs.update(facts)
    return results


def publish(
    recipe: Recipe, results: xr.DataTree, tables: dict[str, pd.DataFrame], notes: list[str]
) -> list[Path]:
    """Write recipe, figures and report beside the results; with all warnings so far.

    Beside registered peaks, which have ``recipe.toml``, the recipe is named after its method.
    """
    from phaseloom.view.figures import write_figures
    from phaseloom.view.report import write_report

    folder = recipe.folder
    text = folder / (f"{recipe.method}.toml" if recipe.beside else "recipe.toml")
    write_recipe(recipe, text)
    figures = write_figures(folder / "figures", results, tables=tables)
    report = folder / "report.html"
    write_report(
        report,
        results,
        tables=tables,
        figures=figures,
        notes=notes,
        recipe=text.read_text(encoding="utf-8"),
    )
    return [report, text, *figures.values()]
