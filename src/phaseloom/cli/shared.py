"""What the commands share: the two consoles, progress, threads, answers as JSON."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from phaseloom.compute.progress import Progress
    from phaseloom.workflow.outcome import Outcome
    from phaseloom.workflow.recipe import Recipe

OUT = Console()
ERR = Console(stderr=True)


def run_and_tell(
    recipe: Recipe,
    *,
    workers: int | None,
    scheduler: str | None = None,
    fresh: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Do what a recipe says, and print the answer."""
    from phaseloom.workflow.console import show_summary
    from phaseloom.workflow.run import run_recipe

    with threads(workers), bars(quiet) as progress:
        outcome = run_recipe(
            recipe, fresh=fresh, workers=workers, scheduler=scheduler, progress=progress
        )
    if as_json:
        print_json(outcome.summary())
    elif not quiet:
        show_summary(outcome.summary(), OUT)
        closing(outcome)


def closing(outcome: Outcome) -> None:
    """Say what was kept from an earlier run, and where the report lies."""
    if outcome.reused:
        say(f"kept from an earlier run: {len(outcome.reused)} stages (--fresh computes them again)")
    say(f"report: {outcome.folder / 'report.html'}")


def say(text: str) -> None:
    """Print a sentence as it is."""
    OUT.print(text, soft_wrap=True, markup=False, highlight=False)


@contextmanager
def bars(quiet: bool) -> Iterator[Progress]:
    """Bars on the console, where there is one to draw them on."""
    from phaseloom.compute.progress import SILENT, Bars

    if quiet or not ERR.is_terminal:
        yield SILENT
        return
    with Bars(ERR).shown() as shown:
        yield shown


@contextmanager
def threads(workers: int | None) -> Iterator[None]:
    """Let Fourier transforms use that many threads; all else gains nothing from more than one."""
    from scipy import fft

    with fft.set_workers(workers or os.cpu_count() or 1):
        yield


def named(text: str, key: str) -> dict[str, Any]:
    """``KEY=FILE`` or ``FILE``; a file whose own name holds "=" is taken as it is."""
    name, equals, file = text.partition("=")
    if not equals or Path(text).exists():
        return {"file": text}
    return {key: name, "file": file}


def print_json(facts: dict[str, Any]) -> None:
    """Print facts for a program."""
    sys.stdout.write(json.dumps(_finite(facts), indent=2, ensure_ascii=False) + "\n")


def _finite(fact: Any) -> Any:
    """JSON has no word for what is not a number: null."""
    if isinstance(fact, dict):
        return {key: _finite(value) for key, value in fact.items()}
    if isinstance(fact, list):
        return [_finite(value) for value in fact]
    return None if isinstance(fact, float) and not math.isfinite(fact) else fact


_REGISTERING = {
    "scan": (
        "detector", "partial", "scan_shape", "pixel_size", "calibration", "step", "voltage",
        "precession", "scan_rotation",
    ),
    "correction": ("dark", "gain", "mask", "saturation", "hot", "beam_stop", "scan_mean"),
    "centring": ("centre", "descan"),
    "peaks": ("threshold", "false_alarms", "shape", "sigma", "radius", "max_peaks"),
}  # fmt: skip


def registering(file: Path, arguments: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Sections of a recipe that say which scan it is and how it is registered.

    Parameters
    ----------
    file
        The scan.
    arguments
        All of a command, by name; not every command takes every one.
    """
    sections: dict[str, dict[str, Any]] = {
        section: {name: arguments[name] for name in names if name in arguments}
        for section, names in _REGISTERING.items()
    }
    return sections | {"scan": {"file": file} | sections["scan"]}
