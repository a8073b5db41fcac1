"""The command line: ``phaseloom --help``.

Every command turns its arguments into a recipe or a call of one function; nothing is imported
before it is needed. Exit status: 0 done, 1 the input is at fault, 2 wrong usage,
130 interrupted (run again to continue).
"""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
from rich.markup import escape

from phaseloom.cli import (
    cluster_commands,
    export_commands,
    index_commands,
    options,
    peaks_commands,
    stxm_commands,
)
from phaseloom.cli.shared import ERR, OUT, bars, closing, print_json, run_and_tell, threads
from phaseloom.compute.interrupts import insisting_interrupts
from phaseloom.errors import InputError, InputWarning

app = typer.Typer(
    help="Which phase and which orientation is each pixel, and how sure are we?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_INTERRUPTED = 130

# click's exception in older typer, typer's own copy of it in newer.
_UsageError: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


@app.command()
def info(
    file: options.File,
    detector: options.Detector = None,
    region: options.FileRegion = None,
    partial: options.Partial = False,
    as_json: options.AsJson = False,
) -> None:
    """What is in a file: kind, shape, axes with units, detectors, energies."""
    from phaseloom.io import read
    from phaseloom.io.description import describe
    from phaseloom.workflow.console import show_description

    facts = describe(read(file, detector=detector, entry=region, partial=partial))
    if as_json:
        print_json(facts)
    else:
        show_description(facts, OUT)


app.command()(stxm_commands.stxm)
app.command()(stxm_commands.spectra)
app.command()(peaks_commands.peaks)
app.command()(index_commands.index)
app.command()(cluster_commands.cluster)
app.command()(peaks_commands.reconstruct)
app.command()(peaks_commands.calibrate)
app.command()(export_commands.export)


@app.command()
def run(
    recipe: options.Recipe,
    out: options.OtherOut = None,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    device: options.OtherDevice = None,
    seed: options.OtherSeed = None,
    fresh: options.Fresh = False,
    quiet: options.Quiet = False,
    as_json: options.AsJson = False,
) -> None:
    """Do what a recipe says; a finished run's recipe repeats it."""
    from phaseloom.workflow.recipe import read_recipe

    todo = read_recipe(recipe)
    others = {"out": out, "device": device, "seed": seed}
    given = {name: value for name, value in others.items() if value is not None}
    unknown = sorted(set(given) - set(type(todo).model_fields))
    if unknown:
        raise InputError(f"a recipe for {todo.method} knows no --{unknown[0]}", "leave it out")
    run_and_tell(
        todo.model_copy(update=given),
        workers=workers,
        scheduler=scheduler,
        fresh=fresh,
        quiet=quiet,
        as_json=as_json,
    )


@app.command()
def new(kind: options.Kind) -> None:
    """Print a commented recipe."""
    from phaseloom.workflow.recipe import example_recipe, to_toml

    sys.stdout.write(to_toml(example_recipe(kind)))


@app.command()
def demo(
    kind: options.Kind = "stxm",
    out: options.Out = Path("phaseloom-demo"),
    size: options.Size = None,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    device: options.Device = "auto",
    seed: options.Seed = 0,
    fresh: options.Fresh = False,
    quiet: options.Quiet = False,
    as_json: options.AsJson = False,
) -> None:
    """The whole thing on simulated data with known truth; prints how well it did."""
    from phaseloom.workflow.console import show_scores, show_summary
    from phaseloom.workflow.demo import run_demo

    ranges = {"stxm": (160, 2048), "peaks": (4, 256), "index": (12, 256), "cluster": (24, 256)}
    least, most = ranges[kind]
    if size is not None and not least <= size <= most:
        raise typer.BadParameter(
            f"{size} is not in the range {least} to {most}", param_hint="--size"
        )
    with threads(workers), bars(quiet) as progress:
        outcome, scores = run_demo(
            kind,
            out,
            size=size,
            seed=seed,
            device=device,
            workers=workers,
            scheduler=scheduler,
            fresh=fresh,
            progress=progress,
        )
    if as_json:
        print_json({**outcome.summary(), "scores": scores})
    elif not quiet:
        if kind != "stxm":
            show_summary(outcome.summary(), OUT)
        show_scores(kind, scores, OUT)
        closing(outcome)


def main() -> None:
    """Entry point: errors of the input become one line and exit status 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A console that has no µ shows an escape, and does not fail.
            stream.reconfigure(errors="backslashreplace")
    with warnings.catch_warnings():
        warnings.simplefilter("always", InputWarning)
        warnings.showwarning = _warning_shower()
        try:
            with insisting_interrupts():
                status = app(standalone_mode=False)
        except InputError as error:
            status = _fault(str(error))
        except UnicodeEncodeError as error:
            status = _fault(
                f"a name holds {error.object[error.start]!a}, not UTF-8 text; rename it"
            )
        except MemoryError as error:
            status = _fault(f"not enough memory ({error})")
        except OSError as error:
            place = "" if error.filename is None else f"{error.filename}: "
            status = _fault(f"{place}{error.strerror or error}")
        except (KeyboardInterrupt, typer.Abort):
            status = _INTERRUPTED
        except _UsageError as error:
            error.show()
            status = 2
    # Newer typer turns Ctrl-C into this status itself.
    if status == _INTERRUPTED:
        ERR.print("interrupted: what is finished is kept; run the same again to continue")
    sys.exit(status or 0)


def _fault(sentence: str) -> int:
    ERR.print(f"[bold red]error[/] {escape(sentence)}", soft_wrap=True, highlight=False)
    return 1


def _warning_shower() -> Callable[..., None]:
    said: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        text = str(message)
        if issubclass(category, InputWarning) and text not in said:
            said.add(text)
            ERR.print(f"[yellow]warning[/] {escape(text)}", soft_wrap=True, highlight=False)

    return show
