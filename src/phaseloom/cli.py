"""The command line: ``phaseloom --help``.

Every command turns its arguments into a recipe or a call of one function; nothing is imported
before it is needed. Exit status: 0 done, 1 the input is at fault, 2 wrong usage,
130 interrupted (run again to continue).
"""

from __future__ import annotations

import io
import json
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape

from phaseloom.compute.interrupts import insisting_interrupts
from phaseloom.errors import InputError, InputWarning
from phaseloom.workflow import options

if TYPE_CHECKING:
    from phaseloom.compute.progress import Progress
    from phaseloom.workflow.run import Outcome

app = typer.Typer(
    help="Which phase and which orientation is each pixel, and how sure are we?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_INTERRUPTED = 130
_out = Console()
_err = Console(stderr=True)

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

    facts = describe(read(file, detector=detector, region=region, partial=partial))
    if as_json:
        _print_json(facts)
    else:
        show_description(facts, _out)


@app.command()
def stxm(
    stacks: options.Stacks,
    reference: options.References,
    value: options.Values = None,
    value_name: options.ValueName = "value",
    state_of_charge: options.StatesOfCharge = None,
    resolve: options.Resolve = "gmvae",
    margin: options.Margin = "0.005",
    shift: options.Shift = "auto",
    smooth: options.Smooth = 0.0,
    latent_dims: options.LatentDims = 3,
    covariance: options.Covariance = "noise",
    i0: options.Incident = "auto",
    align: options.Align = True,
    despike: options.Despike = True,
    baseline: options.Baseline = True,
    dark: options.Dark = 0.0,
    thin: options.Thin = 0.1,
    thick: options.Thick = 3.0,
    detector: options.Detector = None,
    region: options.FileRegion = None,
    quantity: options.Quantity = None,
    partial: options.Partial = False,
    out: options.Out = Path("phaseloom-stxm"),
    workers: options.Workers = None,
    device: options.Device = "auto",
    seed: options.Seed = 0,
    fresh: options.Fresh = False,
    quiet: options.Quiet = False,
    as_json: options.AsJson = False,
) -> None:
    """Phase maps from spectra: several stacks share one latent space."""
    from phaseloom.workflow.recipe import StxmRecipe, validated

    charges = _numbers(state_of_charge, "--state-of-charge")
    common = {"i0": i0, "detector": detector, "region": region, "partial": partial}
    common["quantity"] = quantity
    entries = [_named(text, "name") | common for text in stacks]
    for entry in entries:
        name = entry.setdefault("name", Path(entry["file"]).stem)
        entry["state_of_charge"] = charges.pop(name, None)
    _none_left(charges, "--state-of-charge", "stack")
    recipe = validated(
        StxmRecipe,
        {
            "out": out,
            "seed": seed,
            "device": device,
            "preparation": {
                "dark": dark,
                "despike": despike,
                "align": align,
                "baseline": baseline,
                "thin": thin,
                "thick": thick,
            },
            "mapping": {
                "shift": _number_or("auto", shift, "--shift"),
                "margin": _number_or("noise", margin, "--margin"),
                "resolve": resolve,
                "latent_dims": latent_dims,
                "covariance": covariance,
                "smooth": smooth,
                "value_name": value_name,
            },
            "stack": entries,
            "reference": [_named(text, "label") for text in reference],
            "values": _numbers(value, "--value"),
        },
    )
    _run(recipe, workers=workers, fresh=fresh, quiet=quiet, as_json=as_json)


@app.command()
def spectra(
    stack: options.DenseStack,
    region: options.Area = None,
    label: options.Label = None,
    value: options.Value = None,
    out: options.OutFile = None,
    i0: options.Incident = "auto",
    dark: options.Dark = 0.0,
    align: options.Align = True,
    detector: options.Detector = None,
    quantity: options.Quantity = None,
    partial: options.Partial = False,
    quiet: options.Quiet = False,
    as_json: options.AsJson = False,
) -> None:
    """Mean optical density, and its spread, of particles or of a region: a file for -r."""
    from phaseloom.workflow.recipe import Stack, validated
    from phaseloom.workflow.references import reference_from_stack

    entry = {"file": stack, "i0": i0, "detector": detector, "quantity": quantity}
    with _bars(quiet) as progress:
        facts = reference_from_stack(
            validated(Stack, entry | {"partial": partial}),
            out or Path(f"{label or stack.stem + '_spectrum'}.csv"),
            region=region,
            label=label,
            value=value,
            dark=dark,
            align=align,
            progress=progress,
        )
    if as_json:
        _print_json(facts)
    elif not quiet:
        _say(
            f"{facts['label']}: mean of {facts['pixels']} pixels at {facts['energies']} energies "
            f"→ {facts['file']}"
        )


@app.command()
def run(
    recipe: options.Recipe,
    out: options.OtherOut = None,
    workers: options.Workers = None,
    device: options.OtherDevice = None,
    seed: options.OtherSeed = None,
    fresh: options.Fresh = False,
    quiet: options.Quiet = False,
    as_json: options.AsJson = False,
) -> None:
    """Do what a recipe says; a finished run's recipe repeats it."""
    from phaseloom.workflow.recipe import read_recipe

    others = {"out": out, "device": device, "seed": seed}
    todo = read_recipe(recipe).model_copy(
        update={name: value for name, value in others.items() if value is not None}
    )
    _run(todo, workers=workers, fresh=fresh, quiet=quiet, as_json=as_json)


@app.command()
def new(kind: options.Kind) -> None:
    """Print a commented recipe."""
    from phaseloom.workflow.recipe import example, to_toml

    sys.stdout.write(to_toml({"stxm": example}[kind]()))


@app.command()
def demo(
    kind: options.Kind = "stxm",
    out: options.Out = Path("phaseloom-demo"),
    size: options.Size = 256,
    workers: options.Workers = None,
    device: options.Device = "auto",
    seed: options.Seed = 0,
    fresh: options.Fresh = False,
    quiet: options.Quiet = False,
    as_json: options.AsJson = False,
) -> None:
    """The whole thing on simulated data with known truth; prints how well it did."""
    from phaseloom.workflow.console import show_scores
    from phaseloom.workflow.demo import demo_stxm

    with _threads(workers), _bars(quiet) as progress:
        outcome, scores = {"stxm": demo_stxm}[kind](
            out, size=size, seed=seed, device=device, fresh=fresh, progress=progress
        )
    if as_json:
        _print_json({**outcome.summary(), "scores": scores})
    elif not quiet:
        show_scores(scores, _out)
        _closing(outcome)


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
        _err.print("interrupted: what is finished is kept; run the same again to continue")
    sys.exit(status or 0)


def _fault(sentence: str) -> int:
    _err.print(f"[bold red]error[/] {escape(sentence)}", soft_wrap=True, highlight=False)
    return 1


def _run(recipe: Any, *, workers: int | None, fresh: bool, quiet: bool, as_json: bool) -> None:
    from phaseloom.workflow.console import show_summary
    from phaseloom.workflow.run import run_stxm

    with _threads(workers), _bars(quiet) as progress:
        outcome = run_stxm(recipe, fresh=fresh, progress=progress)
    if as_json:
        _print_json(outcome.summary())
    elif not quiet:
        show_summary(outcome.summary(), _out)
        _closing(outcome)


def _closing(outcome: Outcome) -> None:
    if outcome.reused:
        _say(
            f"kept from an earlier run: {len(outcome.reused)} stages (--fresh computes them again)"
        )
    _say(f"report: {outcome.folder / 'report.html'}")


def _say(text: str) -> None:
    _out.print(text, soft_wrap=True, markup=False, highlight=False)


@contextmanager
def _bars(quiet: bool) -> Iterator[Progress]:
    from phaseloom.compute.progress import SILENT, Bars

    if quiet or not _err.is_terminal:
        yield SILENT
        return
    with Bars(_err).shown() as bars:
        yield bars


@contextmanager
def _threads(workers: int | None) -> Iterator[None]:
    """Let Fourier transforms use that many threads; all else gains nothing from more than one."""
    from scipy import fft

    with fft.set_workers(workers or os.cpu_count() or 1):
        yield


def _named(text: str, key: str) -> dict[str, Any]:
    """``KEY=FILE`` or ``FILE``; a file whose own name holds "=" is taken as it is."""
    name, equals, file = text.partition("=")
    if not equals or Path(text).exists():
        return {"file": text}
    return {key: name, "file": file}


def _numbers(texts: list[str] | None, option: str) -> dict[str, float]:
    numbers = {}
    for text in texts or []:
        label, equals, number = text.rpartition("=")
        try:
            numbers[label] = float(number)
        except ValueError:
            equals = ""
        if not equals:
            raise typer.BadParameter(f"{text!r} is not LABEL=NUMBER", param_hint=option)
    return numbers


def _none_left(left: dict[str, float], option: str, what: str) -> None:
    if left:
        raise InputError(f"{option} names {', '.join(left)}, but there is no such {what}")


def _number_or(word: str, text: str, option: str) -> float | str:
    try:
        return text if text == word else float(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no number, nor {word!r}", param_hint=option
        ) from None


def _print_json(facts: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(_finite(facts), indent=2, ensure_ascii=False) + "\n")


def _finite(fact: Any) -> Any:
    """JSON has no word for what is not a number: null."""
    if isinstance(fact, dict):
        return {key: _finite(value) for key, value in fact.items()}
    if isinstance(fact, list):
        return [_finite(value) for value in fact]
    return None if isinstance(fact, float) and not math.isfinite(fact) else fact


def _warning_shower() -> Callable[..., None]:
    said: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        text = str(message)
        if issubclass(category, InputWarning) and text not in said:
            said.add(text)
            _err.print(f"[yellow]warning[/] {escape(text)}", soft_wrap=True, highlight=False)

    return show
