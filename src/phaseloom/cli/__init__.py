"""Command line: ``phaseloom --help``.

Every command turns its arguments into a recipe or a call of one function; nothing is imported
before it is needed. Exit status: 0 done, 1 the input is at fault (also a number out of bounds),
2 wrong usage (an unknown flag, a text for a number), 130 interrupted (run again to continue).

- ``commands``: commands with flags of their own: info, export, run, new, demo
- ``built``: commands whose flags come from the options of a recipe
- ``flags``: flags and recipe data from the options of a recipe
- ``options``: arguments and flags that commands share
- ``runs``: one run, or several one after the other, and the answer
- ``running``: consoles, progress, log, answers as text or JSON
- ``reference``: the page of all options in the documentation
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.markup import escape

from phaseloom.cli import commands
from phaseloom.cli.built import LazyCommand
from phaseloom.cli.running import ERR, OUT, fault_of, show_error
from phaseloom.compute.interrupts import repeated_interrupts
from phaseloom.errors import InputError, InputWarning
from phaseloom.methods import METHODS

app = typer.Typer(
    help="Which phase and which orientation is each pixel, and how sure are we?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
_INTERRUPTED = 130

# click's exception in older typer, typer's own copy of it in newer.
_UsageError: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")

_RECIPE_COMMANDS = {name: method.about for name, method in METHODS.items()} | {
    "spectra": "Mean optical density, and its spread, of particles or of a region: a file for -r.",
    "reconstruct": "Clean patterns from registered peaks, for other programs.",
    "calibrate": "Pixel size and ellipticity from the rings or spots of a known crystal.",
}
"""Commands whose flags come from the options of a recipe, and their help."""


def _version(requested: bool) -> None:
    if requested:
        from phaseloom import __version__

        OUT.print(f"phaseloom {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool,
        typer.Option("--version", help="print the version", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Options of the program itself."""


def _stub() -> None:
    """Placeholder of a command until its parameters are needed."""


app.command()(commands.info)
for _name, _help in _RECIPE_COMMANDS.items():
    app.command(_name, cls=LazyCommand, help=_help)(_stub)
app.command()(commands.export)
app.command()(commands.run)
app.command()(commands.new)
app.command()(commands.demo)


def main() -> None:
    """Entry point: errors of the input become one line and exit status 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A console without µ shows an escape instead of failing.
            stream.reconfigure(errors="backslashreplace")
    with warnings.catch_warnings():
        warnings.simplefilter("always", InputWarning)
        warnings.showwarning = _warning_shower()
        try:
            with repeated_interrupts():
                status = app(standalone_mode=False)
        except BrokenPipeError:
            # The reader of the output has closed the pipe.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            status = 1
        except (InputError, MemoryError, OSError) as error:
            status = _fault(fault_of(error))
        except UnicodeEncodeError as error:
            status = _fault(
                f"a name holds {error.object[error.start]!a}, not UTF-8 text; rename it"
            )
        except (KeyboardInterrupt, typer.Abort):
            status = _INTERRUPTED
        except _UsageError as error:
            # Newer typer checks choices with pydantic, which prefixes the kind of error.
            error.message = error.message.replace("Value error, ", "")
            error.show()
            status = 2
    # Newer typer turns Ctrl-C into this status itself.
    if status == _INTERRUPTED:
        ERR.print("interrupted: what is finished is kept; run the same again to continue")
    sys.exit(status or 0)


def _fault(sentence: str) -> int:
    show_error(sentence)
    return 1


def _warning_shower() -> Callable[..., None]:
    shown: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        text = str(message)
        if issubclass(category, InputWarning) and text not in shown:
            shown.add(text)
            ERR.print(f"[yellow]warning[/] {escape(text)}", soft_wrap=True, highlight=False)

    return show
