"""One run and its answer, or several one after the other and a table of all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape
from rich.table import Table

from phaseloom.cli.running import ERR, OUT, answer, closing, fault_of, running, show_error
from phaseloom.errors import InputError
from phaseloom.io.image_sets import said
from phaseloom.workflow.method import method_of
from phaseloom.workflow.run import run_recipe

if TYPE_CHECKING:
    from phaseloom.compute.execution import Execution
    from phaseloom.workflow.recipe import Recipe


def run_and_answer(
    command: str, recipes: Sequence[Recipe | InputError], arguments: dict[str, Any]
) -> None:
    """Run one recipe, or several one after the other, and print the answer.

    Parameters
    ----------
    command
        Its name.
    recipes
        Of several, also the error of one that cannot be read.
    arguments
        The command's parameters of :mod:`phaseloom.cli.options`.

    Raises
    ------
    InputError
        The only recipe failed.
    typer.Exit
        One of several failed: status 1.
    """
    with running(arguments) as execution:
        if len(recipes) > 1:
            _run_batch(command, recipes, execution, arguments)
            return
        (recipe,) = recipes
        if isinstance(recipe, InputError):
            raise recipe
        outcome = run_recipe(recipe, execution, overwrite=arguments["overwrite"])
    answer(
        command,
        outcome.summary(),
        arguments,
        lambda: method_of(recipe.method).summary.show(outcome.facts, OUT),
    )
    if not arguments["as_json"] and not arguments["quiet"]:
        closing(outcome)


def _run_batch(
    command: str,
    recipes: Sequence[Recipe | InputError],
    execution: Execution,
    arguments: dict[str, Any],
) -> None:
    """Run several recipes, go on after one that fails, and print a table of all.

    Parameters
    ----------
    command
        Its name.
    recipes
        Or the error of a recipe that cannot be read.
    execution, arguments
        As for :func:`run_and_answer`.

    Raises
    ------
    InputError
        Two inputs have one folder of results; nothing has been done then.
    typer.Exit
        One failed: status 1.
    """
    _check_folders([recipe for recipe in recipes if not isinstance(recipe, InputError)])
    table = Table("input", "folder", "result", "seconds")
    runs: list[dict[str, Any]] = []
    for number, recipe in enumerate(recipes, start=1):
        name, folder = _input_and_folder(recipe)
        if not arguments["quiet"]:
            ERR.print(f"{number} of {len(recipes)}: {escape(name)}", highlight=False)
        begun = time.monotonic()
        run, result = _run(recipe, execution, overwrite=arguments["overwrite"])
        runs.append(run)
        seconds = f"{time.monotonic() - begun:.1f}"
        table.add_row(escape(name), escape(folder), result, seconds)
    failed = sum(run["error"] is not None for run in runs)
    facts = {
        "files": [file for run in runs for file in run["files"]],
        "notes": [note for run in runs for note in run["notes"]],
        "runs": runs,
        "failed": failed,
    }
    answer(command, facts, arguments, lambda: OUT.print(table))
    if failed:
        raise typer.Exit(1)


def _run(
    recipe: Recipe | InputError, execution: Execution, *, overwrite: bool
) -> tuple[dict[str, Any], str]:
    """Result of one run, as facts and as a cell of the table."""
    try:
        if isinstance(recipe, InputError):
            raise recipe
        outcome = run_recipe(recipe, execution, overwrite=overwrite)
    except (InputError, MemoryError, OSError) as error:
        sentence = fault_of(error)
        show_error(sentence)
        place = {} if isinstance(recipe, InputError) else {"folder": str(recipe.folder)}
        short = error.fault if isinstance(error, InputError) else sentence
        run = {"error": sentence, **place, "files": [], "notes": []}
        return run, f"[red]failed[/]: {escape(short)}"
    notes = f", warnings: {len(outcome.notes)}" if outcome.notes else ""
    return {"error": None, **outcome.summary()}, f"done{notes}"


def _input_and_folder(recipe: Recipe | InputError) -> tuple[str, str]:
    """Names of the inputs, and the folder of the results."""
    if isinstance(recipe, InputError):
        return str(recipe.source), ""
    inputs = recipe.inputs.values()
    names = [file.name if isinstance(file, Path) else said(file) for file in inputs]
    return ", ".join(names), str(recipe.folder)


def _check_folders(recipes: Sequence[Recipe]) -> None:
    """Refuse two runs into one folder, unless the second joins the peaks of the first."""
    folders = [recipe.folder.resolve() for recipe in recipes if not recipe.beside]
    for folder in folders:
        if folders.count(folder) > 1:
            raise InputError(
                f"several inputs have the folder of results {folder}",
                "run them one by one, with another --out each",
            )
