"""Commands with flags of their own: info, export, run, new, demo."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from phaseloom.cli import options
from phaseloom.cli.built import takes_run_flags, with_folders
from phaseloom.cli.running import OUT, answer, closing, running, say
from phaseloom.errors import InputError

if TYPE_CHECKING:
    from phaseloom.workflow.recipe import Recipe


def info(
    file: options.File,
    detector: options.Detector = None,
    entry: options.Entry = None,
    partial: options.Partial = False,
    as_json: options.AsJson = False,
) -> None:
    """What is in a file: kind, shape, axes with units, detectors, energies; cell and atoms."""
    from phaseloom.workflow.console import show_crystal, show_description
    from phaseloom.workflow.outcome import collected_warnings

    flags = {"as_json": as_json, "quiet": False}
    if file.suffix.lower() in (".cif", ".mcif"):
        from phaseloom.crystals.description import describe_crystal

        if detector is not None or entry is not None:
            raise InputError("a crystal has no detector and no entry", "leave it out", source=file)
        with collected_warnings() as notes:
            crystal = describe_crystal(file)
        answer("info", crystal | {"notes": notes}, flags, lambda: show_crystal(crystal, OUT))
        return
    from phaseloom.io import read
    from phaseloom.io.description import describe

    if (file / "results.zarr").is_dir():
        raise InputError(
            "is a folder of results", "open its report.html, or export it (phaseloom export)",
            source=file,
        )  # fmt: skip
    with collected_warnings() as notes:
        facts = describe(read(file, detector=detector, entry=entry, partial=partial))
    answer("info", facts | {"notes": notes}, flags, lambda: show_description(facts, OUT))


def export(
    results: options.Results,
    to: options.Format,
    out: options.FilesOut = None,
    quiet: options.Quiet = False,
    as_json: options.AsJson = False,
) -> None:
    """Maps of a result for other programs: OIM, Channel 5, MTEX, orix, ImageJ, tables."""
    from phaseloom.workflow.export import export_results
    from phaseloom.workflow.folder import note_files

    files = export_results(results, to, out)
    note_files(results, files)
    facts = {"folder": str(results), "files": [str(file) for file in files]}

    def show() -> None:
        for file in files:
            say(f"→ {file}")

    answer("export", facts, {"as_json": as_json, "quiet": quiet}, show)


@takes_run_flags
def run(recipe: options.Recipes, **arguments: Any) -> None:
    """Do what recipes say, one after the other; a finished run's recipe repeats it."""
    from phaseloom.cli.runs import run_and_answer
    from phaseloom.workflow.recipe import read_recipe

    out = arguments["out"]
    given = {n: arguments[n] for n in ("device", "seed") if arguments[n] is not None}
    recipes: list[Recipe | InputError] = []
    for file in recipe:
        try:
            read = read_recipe(file)
        except InputError as error:
            if len(recipe) == 1:
                raise
            recipes.append(error)
            continue
        overrides = {
            name: value for name, value in given.items() if name in type(read).model_fields
        }
        if overrides != given and len(recipe) == 1:
            unknown = next(name for name in given if name not in overrides)
            raise InputError(f"a recipe for {read.method} knows no --{unknown}", "leave it out")
        recipes.append(read.model_copy(update=overrides | ({} if out is None else {"out": out})))
    run_and_answer("run", with_folders(recipes, out), arguments)


def new(method: options.Kind) -> None:
    """Print a commented recipe."""
    from phaseloom.workflow.recipe import example_recipe, to_toml

    sys.stdout.write(to_toml(example_recipe(method)))


@takes_run_flags
def demo(method: options.Kind = "stxm", size: options.Size = None, **arguments: Any) -> None:
    """Run a method on simulated data with known truth, and print its scores."""
    from phaseloom.workflow.method import method_of
    from phaseloom.workflow.recipe import recipe_class

    chosen = method_of(method)
    least, usual, most = chosen.demo.sizes
    if size is not None and not least <= size <= most:
        raise typer.BadParameter(
            f"{size} is not in the range {least} to {most}", param_hint="--size"
        )
    if arguments["scheduler"] is not None and not recipe_class(method).uses_scheduler:
        raise InputError("--scheduler is for scans of diffraction patterns", "leave it out")
    with running(arguments) as execution:
        outcome, scores = chosen.demo.run(
            arguments["out"] or Path(f"phaseloom-demo-{method}"),
            size=size or usual,
            seed=arguments["seed"] or 0,
            execution=execution,
            overwrite=arguments["overwrite"],
        )

    def show() -> None:
        chosen.summary.show(outcome.facts, OUT)
        chosen.summary.show_scores(scores, OUT)
        closing(outcome)

    answer("demo", {**outcome.summary(), "scores": scores}, arguments, show)
