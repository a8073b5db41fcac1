"""Consoles, progress, log and threads of a command; its answer as text or JSON."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from phaseloom.errors import InputError

if TYPE_CHECKING:
    from phaseloom.compute.execution import Execution
    from phaseloom.compute.progress import Progress
    from phaseloom.workflow.outcome import Outcome

OUT = Console()
ERR = Console(stderr=True)


def answer(
    command: str, facts: dict[str, Any], arguments: dict[str, Any], show: Callable[[], object]
) -> None:
    """Print a command's answer: as JSON with the keys that all commands have, or as text.

    Parameters
    ----------
    command
        Its name, the first key.
    facts
        JSON-able.
    arguments
        With ``as_json`` and ``quiet``.
    show
        Prints the text.
    """
    if arguments["as_json"]:
        print_json({"command": command, "files": [], "notes": []} | facts)
    elif not arguments["quiet"]:
        show()


def closing(outcome: Outcome) -> None:
    """Print the number of stages kept from an earlier run, and the path of the report."""
    if outcome.reused:
        number = len(outcome.reused)
        stages = "1 stage" if number == 1 else f"{number} stages"
        say(f"kept from an earlier run: {stages} (--fresh computes them again)")
    say(f"report: {outcome.folder / 'report.html'}")


def say(text: str) -> None:
    """Print a sentence without markup or wrapping."""
    OUT.print(text, soft_wrap=True, markup=False, highlight=False)


def fault_of(error: InputError | MemoryError | OSError) -> str:
    """The fault of an error as a sentence."""
    if isinstance(error, MemoryError):
        return f"not enough memory ({error})"
    if isinstance(error, OSError):
        place = "" if error.filename is None else f"{error.filename}: "
        return f"{place}{error.strerror or error}"
    return str(error)


def show_error(sentence: str) -> None:
    """Print the sentence of an error."""
    ERR.print(f"[bold red]error[/] {escape(sentence)}", soft_wrap=True, highlight=False)


@contextmanager
def running(arguments: dict[str, Any]) -> Iterator[Execution]:
    """The execution that a command's arguments describe; progress is shown while inside."""
    from phaseloom.compute.execution import Execution

    workers = arguments.get("workers")
    with (
        _threads(workers),
        bars(arguments.get("quiet", False)) as progress,
        # Inside the bars, so that lines of the log are printed above them.
        _log_on_console(arguments.get("verbose", False)),
    ):
        yield Execution(
            workers=workers,
            scheduler=arguments.get("scheduler"),
            device=arguments.get("device") or "auto",
            progress=progress,
            fresh=arguments.get("fresh", False),
        )


@contextmanager
def bars(quiet: bool) -> Iterator[Progress]:
    """Bars on a terminal, a line now and then elsewhere."""
    from phaseloom.compute.progress import SILENT, Bars, Lines

    if quiet:
        yield SILENT
    elif not ERR.is_terminal:
        yield Lines(ERR)
    else:
        with Bars(ERR).shown() as shown:
            yield shown


@contextmanager
def _log_on_console(verbose: bool) -> Iterator[None]:
    """Print the entries of the log file on the console with ``--verbose``."""
    if not verbose:
        yield
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    # Warnings are on the console already.
    handler.addFilter(lambda record: record.levelno == logging.INFO)
    logger = logging.getLogger("phaseloom")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@contextmanager
def _threads(workers: int | None) -> Iterator[None]:
    """Set the number of threads of Fourier transforms; other steps gain nothing from several."""
    from scipy import fft

    with fft.set_workers(workers or os.cpu_count() or 1):
        yield


def print_json(facts: dict[str, Any]) -> None:
    """Print facts as JSON."""
    sys.stdout.write(json.dumps(_finite(facts), indent=2, ensure_ascii=False) + "\n")


def _finite(fact: Any) -> Any:
    """Replace numbers that are not finite, which JSON lacks, by null."""
    if isinstance(fact, dict):
        return {key: _finite(value) for key, value in fact.items()}
    if isinstance(fact, list):
        return [_finite(value) for value in fact]
    return None if isinstance(fact, float) and not math.isfinite(fact) else fact
