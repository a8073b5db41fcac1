"""The command line: ``phaseloom --help``.

Every command turns its arguments into a recipe or a call of one function; nothing is imported
before it is needed. Exit status: 0 done, 1 the input is at fault, 2 wrong usage,
130 interrupted (run again to continue).
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from phaseloom.errors import InputError, InputWarning

if TYPE_CHECKING:
    from phaseloom.compute.progress import Progress
    from phaseloom.workflow.run import Outcome

app = typer.Typer(
    help="Which phase and which orientation is each pixel, and how sure are we?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_out = Console()
_err = Console(stderr=True)

# click's exception in older typer, typer's own copy of it in newer.
_UsageError: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")

OutFolder = Annotated[Path, typer.Option("--out", help="folder of the results")]
Quiet = Annotated[bool, typer.Option("--quiet", help="no progress, no summary")]
AsJson = Annotated[bool, typer.Option("--json", help="print the summary as JSON")]
Fresh = Annotated[bool, typer.Option("--fresh", help="compute everything again")]
Seed = Annotated[int, typer.Option("--seed", help="same seed, same result", min=0)]
Workers = Annotated[
    int | None, typer.Option("--workers", help="threads to compute with (all cores)", min=1)
]
Device = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option("--device", help="where torch computes")
]


@app.command()
def info(
    file: Annotated[Path, typer.Argument(help="a stack, image, scan or spectra")],
    detector: Annotated[str | None, typer.Option(help="detector channel")] = None,
    region: Annotated[int | None, typer.Option(help="spatial region, from 1")] = None,
    partial: Annotated[bool, typer.Option("--partial", help="use an aborted scan")] = False,
    as_json: AsJson = False,
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
    stacks: Annotated[list[str], typer.Argument(help="FILE or NAME=FILE, one or more")],
    reference: Annotated[
        list[str],
        typer.Option("-r", "--reference", help="FILE or LABEL=FILE: spectra, or a dense stack"),
    ],
    value: Annotated[
        list[str] | None,
        typer.Option(help="LABEL=NUMBER: the phase's number, such as its sodium content"),
    ] = None,
    value_name: Annotated[str, typer.Option(help="what the numbers are")] = "value",
    state_of_charge: Annotated[
        list[str] | None, typer.Option(help="NAME=NUMBER: the stack's state of charge")
    ] = None,
    i0: Annotated[str, typer.Option(help='"auto", FILE or y0:y1,x0:x1')] = "auto",
    resolve: Annotated[str, typer.Option(help="gmvae, likelihood or pearson")] = "gmvae",
    margin: Annotated[
        str, typer.Option(help='ambiguous when the two best correlations are closer; or "noise"')
    ] = "0.005",
    shift: Annotated[
        str, typer.Option(help='eV the stacks read too high; "auto": fitted')
    ] = "auto",
    align: Annotated[bool, typer.Option("--align/--no-align", help="remove drift")] = True,
    smooth: Annotated[float, typer.Option(help="strength of the spatial prior", min=0)] = 0.0,
    latent_dims: Annotated[int, typer.Option(help="dimensions of the latent space")] = 3,
    covariance: Annotated[str, typer.Option(help="noise or pooled")] = "noise",
    dark: Annotated[float, typer.Option(help="detector counts without beam")] = 0.0,
    despike: Annotated[bool, typer.Option("--despike/--no-despike", help="wild readings")] = True,
    baseline: Annotated[
        bool, typer.Option("--baseline/--no-baseline", help="take the pre-edge off")
    ] = True,
    thin: Annotated[float, typer.Option(help="least relative thickness of a mapped pixel")] = 0.1,
    thick: Annotated[float, typer.Option(help="largest optical density of a mapped pixel")] = 3.0,
    detector: Annotated[str | None, typer.Option(help="detector channel")] = None,
    region: Annotated[int | None, typer.Option(help="spatial region of the file, from 1")] = None,
    quantity: Annotated[
        str | None,
        typer.Option(help="counts, transmission or optical_density, where a file does not say"),
    ] = None,
    partial: Annotated[bool, typer.Option("--partial", help="use aborted scans")] = False,
    out: OutFolder = Path("phaseloom-stxm"),
    workers: Workers = None,
    device: Device = "auto",
    seed: Seed = 0,
    fresh: Fresh = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Phase maps from spectra: several stacks share one latent space."""
    from phaseloom.workflow.recipe import StxmRecipe, validated

    values = _numbers(value, "--value")
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
                "shift": _number_or_word(shift),
                "margin": _number_or_word(margin),
                "resolve": resolve,
                "latent_dims": latent_dims,
                "covariance": covariance,
                "smooth": smooth,
                "value_name": value_name,
            },
            "stack": entries,
            "reference": [_named(text, "label") for text in reference],
            "values": values,
        },
    )
    _run(recipe, workers=workers, fresh=fresh, quiet=quiet, as_json=as_json)


@app.command()
def spectra(
    stack: Annotated[Path, typer.Argument(help="a stack, usually dense in energy")],
    region: Annotated[
        str | None, typer.Option(help="y0:y1,x0:x1 in pixels as read; else the particles")
    ] = None,
    label: Annotated[str | None, typer.Option(help="name of the spectrum")] = None,
    value: Annotated[float | None, typer.Option(help="its number (sodium content)")] = None,
    out: Annotated[Path | None, typer.Option(help="FILE.csv")] = None,
    i0: Annotated[str, typer.Option(help='"auto", FILE or y0:y1,x0:x1')] = "auto",
    align: Annotated[bool, typer.Option("--align/--no-align", help="remove drift")] = True,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Mean optical density, and its spread, of particles or of a region: a file for -r."""
    from phaseloom.workflow.references import reference_from_stack

    target = out or Path(f"{label or stack.stem}.csv")
    with _bars(quiet) as progress:
        facts = reference_from_stack(
            stack,
            target,
            region=region,
            label=label,
            value=value,
            i0=i0,
            align=align,
            progress=progress,
        )
    if as_json:
        _print_json(facts)
    elif not quiet:
        _out.print(
            f"{facts['label']}: mean of {facts['pixels']} pixels at {facts['energies']} energies "
            f"→ {facts['file']}"
        )


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(help="a recipe (phaseloom new prints one)")],
    out: Annotated[Path | None, typer.Option(help="folder of the results")] = None,
    workers: Workers = None,
    fresh: Fresh = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Do what a recipe says; a finished run's recipe repeats it."""
    from phaseloom.workflow.recipe import read_recipe

    todo = read_recipe(recipe)
    if out is not None:
        todo = todo.model_copy(update={"out": out})
    _run(todo, workers=workers, fresh=fresh, quiet=quiet, as_json=as_json)


@app.command()
def new(kind: Annotated[str, typer.Argument(help="stxm")]) -> None:
    """Print a commented recipe."""
    from phaseloom.workflow.recipe import example, to_toml

    if kind != "stxm":
        raise typer.BadParameter(f"{kind!r} is not one of: stxm", param_hint="KIND")
    _out.print(to_toml(example()), end="", markup=False, highlight=False, soft_wrap=True)


@app.command()
def demo(
    kind: Annotated[str, typer.Argument(help="stxm")] = "stxm",
    out: OutFolder = Path("phaseloom-demo"),
    size: Annotated[int, typer.Option(help="pixels along a side", min=96, max=2048)] = 256,
    workers: Workers = None,
    device: Device = "auto",
    seed: Seed = 0,
    fresh: Fresh = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """The whole thing on simulated data with known truth; prints how well it did."""
    from phaseloom.workflow.console import show_scores
    from phaseloom.workflow.demo import demo_stxm

    if kind != "stxm":
        raise typer.BadParameter(f"{kind!r} is not one of: stxm", param_hint="KIND")
    _use_threads(workers)
    with _bars(quiet) as progress:
        outcome, scores = demo_stxm(
            out, size=size, seed=seed, device=device, fresh=fresh, progress=progress
        )
    if as_json:
        _print_json({**outcome.summary(), "scores": scores})
    elif not quiet:
        show_scores(scores, _out)
        _closing(outcome)


def main() -> None:
    """Entry point: errors of the input become one line and exit status 1."""
    warnings.showwarning = _show_warning
    try:
        app(standalone_mode=False)
    except InputError as error:
        _err.print(f"[bold red]error[/] {_escaped(str(error))}", soft_wrap=True)
        sys.exit(1)
    except (KeyboardInterrupt, typer.Abort):
        _err.print("interrupted: what is finished is kept; run the same again to continue")
        sys.exit(130)
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except _UsageError as error:
        error.show()
        sys.exit(2)


def _run(recipe: Any, *, workers: int | None, fresh: bool, quiet: bool, as_json: bool) -> None:
    from phaseloom.workflow.console import show_summary
    from phaseloom.workflow.run import run_stxm

    _use_threads(workers)
    with _bars(quiet) as progress:
        outcome = run_stxm(recipe, fresh=fresh, progress=progress)
    if as_json:
        _print_json(outcome.summary())
    elif not quiet:
        show_summary(outcome.summary(), _out)
        _closing(outcome)


def _closing(outcome: Outcome) -> None:
    if outcome.reused:
        _out.print(f"kept from an earlier run: {len(outcome.reused)} stages (--fresh: none)")
    _out.print(f"report: {outcome.folder / 'report.html'}", soft_wrap=True)


@contextmanager
def _bars(quiet: bool) -> Iterator[Progress]:
    from phaseloom.compute.progress import Bars, Silent

    if quiet:
        yield Silent()
        return
    with Bars(_err).shown() as bars:
        yield bars


def _use_threads(workers: int | None) -> None:
    if workers is None:
        return
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(workers)
    threadpool_limits(workers)


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


def _number_or_word(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _print_json(facts: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(facts, indent=2, ensure_ascii=False) + "\n")


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, InputWarning):
        _err.print(f"[yellow]warning[/] {_escaped(str(message))}", soft_wrap=True)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
