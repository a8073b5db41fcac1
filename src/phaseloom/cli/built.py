"""Commands whose flags come from the options of a recipe, made on first use.

``phaseloom --help`` needs only their names and first lines; the models of the options are imported
when one of the commands is called or completed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup

from phaseloom.cli import options
from phaseloom.errors import InputError
from phaseloom.methods import METHODS

_RUN_FLAGS = {
    "out": (options.Out, None),
    "overwrite": (options.Overwrite, False),
    "fresh": (options.Fresh, False),
    "workers": (options.Workers, None),
    "scheduler": (options.Scheduler, None),
    "device": (options.Device, None),
    "seed": (options.Seed, None),
    "quiet": (options.Quiet, False),
    "verbose": (options.Verbose, False),
    "as_json": (options.AsJson, False),
}
_ANSWER_FLAGS = ("quiet", "as_json")
"""Flags of commands that write one file."""


def takes_run_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Decorate a command: the run flags in place of its ``**arguments``."""
    own_parameters = inspect.signature(command, eval_str=True).parameters.values()
    parameters = [
        parameter for parameter in own_parameters if parameter.kind is not parameter.VAR_KEYWORD
    ]
    return _with_signature(command, [*parameters, *(_parameter(name) for name in _RUN_FLAGS)])


class LazyCommand(TyperCommand):
    """A command whose parameters are made when they are first needed."""

    @property
    def params(self) -> Any:
        """Parameters of the command."""
        return self._built.params

    @params.setter
    def params(self, _: Any) -> None:
        """The stub has none."""

    @property
    def callback(self) -> Any:
        """Function of the command."""
        return self._built.callback

    @callback.setter
    def callback(self, _: Any) -> None:
        """The stub does nothing."""

    @cached_property
    def _built(self) -> Any:
        import typer

        app = typer.Typer(add_completion=False)
        app.command(self.name, help=self.help)(function_of(str(self.name)))
        command = typer.main.get_command(app)
        return command.commands[str(self.name)] if isinstance(command, TyperGroup) else command


def function_of(command: str) -> Callable[..., None]:
    """The function behind a command, with the signature that makes its flags."""
    if command in METHODS:
        return _run_function(command)
    from phaseloom.workflow.peaks.recipe import CalibrationRequest, ReconstructionRequest
    from phaseloom.workflow.stxm.recipe import SpectrumRequest

    requests = {
        "spectra": (SpectrumRequest, _spectra),
        "reconstruct": (ReconstructionRequest, _reconstruct),
        "calibrate": (CalibrationRequest, _calibrate),
    }
    return _request_function(command, *requests[command])


def _run_function(method: str) -> Callable[..., None]:
    """A command that runs a method on one input or several."""
    from phaseloom.cli.flags import parameters, recipe_data, spelled_at
    from phaseloom.options import validated
    from phaseloom.workflow.recipe import recipe_class

    model = recipe_class(method)
    run_parameters = [_parameter(name) for name in _RUN_FLAGS if _applies(name, model)]

    def command(**arguments: Any) -> None:
        from phaseloom.cli.runs import run_and_answer

        files = arguments.get("file") or [None]
        overrides = {n: arguments[n] for n in ("device", "seed") if arguments.get(n) is not None}
        recipes = []
        for file in files:
            data = (
                recipe_data(model, arguments | ({} if file is None else {"file": file})) | overrides
            )
            recipe = validated(model, data, named=lambda place: spelled_at(model, place))
            recipes.append(recipe.model_copy(update={"out": arguments["out"]}))
        run_and_answer(method, with_folders(recipes, arguments["out"]), arguments)

    return _with_signature(command, parameters(model, run_parameters, several=method != "stxm"))


def with_folders(recipes: list[Any], out: Path | None) -> list[Any]:
    """Set the folders of a command's recipes: ``--out``, or one below it for each of several."""
    if len(recipes) == 1 or out is None:
        return recipes
    return [
        recipe
        if isinstance(recipe, InputError)
        else recipe.model_copy(update={"out": out / f"{recipe.input_name}-{recipe.method}"})
        for recipe in recipes
    ]


def _request_function(
    name: str, model: Any, write: Callable[[Any, dict[str, Any]], tuple[dict[str, Any], str]]
) -> Callable[..., None]:
    """A command that writes one file; ``write`` does so, and returns facts and a sentence."""
    from phaseloom.cli.flags import parameters, recipe_data, spelled_at
    from phaseloom.cli.running import answer, say
    from phaseloom.options import validated
    from phaseloom.workflow.outcome import collected_warnings

    def command(**arguments: Any) -> None:
        data = recipe_data(model, arguments)
        request = validated(model, data, named=lambda place: spelled_at(model, place))
        with collected_warnings() as notes:
            facts, text = write(request, arguments)
        written = [facts[name] for name in ("file", "figure") if name in facts]
        files_and_notes = {"files": written, "notes": notes}
        answer(name, facts | files_and_notes, arguments, lambda: say(text))

    return _with_signature(command, parameters(model, [_parameter(name) for name in _ANSWER_FLAGS]))


def _spectra(request: Any, arguments: dict[str, Any]) -> tuple[dict[str, Any], str]:
    from phaseloom.cli.running import running
    from phaseloom.workflow.stxm.references import write_spectrum

    with running(arguments) as execution:
        facts = write_spectrum(request, progress=execution.progress)
    return facts, (
        f"{facts['label']}: mean of {facts['pixels']} pixels at {facts['energies']} energies "
        f"→ {facts['file']}"
    )


def _reconstruct(request: Any, arguments: dict[str, Any]) -> tuple[dict[str, Any], str]:
    from phaseloom.cli.running import running
    from phaseloom.workflow.peaks.reconstruct import write_reconstruction

    with running(arguments) as execution:
        facts = write_reconstruction(request, progress=execution.progress)
    rows, columns = facts["pattern_shape"]
    return facts, (
        f"{facts['patterns']} patterns of {rows}×{columns} px, {facts['pixel_size']:.5g} "
        f"{facts['units']} per px, {facts['scaling']} → {facts['file']}"
    )


def _calibrate(request: Any, _: dict[str, Any]) -> tuple[dict[str, Any], str]:
    from phaseloom.workflow.peaks.calibrate import write_calibration

    facts = write_calibration(request)
    return facts, (
        f"{facts['pixel_size']:.6g} ± {facts['pixel_size_error']:.1g} Å⁻¹ per px, "
        f"ellipticity {facts['ellipticity']:.4f}; {facts['number']} {facts['of']}, residual "
        f"{facts['residual']:.2f} px → {facts['file']}"
    )


def _applies(name: str, model: Any) -> bool:
    """Whether a run flag applies to recipes of a class."""
    if name == "device":
        return "device" in model.model_fields
    return name != "scheduler" or bool(model.uses_scheduler)


def _parameter(name: str) -> inspect.Parameter:
    annotation, default = _RUN_FLAGS[name]
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def _with_signature(
    command: Callable[..., None], parameters: list[inspect.Parameter]
) -> Callable[..., None]:
    """Set the signature of a function, which typer reads."""
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command
