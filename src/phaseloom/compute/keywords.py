"""Options of the steps, and of the execution, as keyword arguments of a chain."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from phaseloom.compute.execution import Execution, ExecutionOptions
from phaseloom.errors import InputError
from phaseloom.options import shown, validated

R = TypeVar("R")

_EXECUTION = "execution"


def takes_options(**models: type[BaseModel]) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Decorate a chain so that it takes the options of its steps, and its execution, as keywords.

    The chain takes each model under its name, and ``execution``
    (:class:`phaseloom.compute.execution.Execution`) where it has such a parameter. Callers give
    the model, or single options as keywords, which are validated and put in the model; the
    signature that ``help`` and editors show has them all.

    Parameters
    ----------
    **models
        Models by the name of the parameter that takes them. No two may have an option in common.

    Raises
    ------
    InputError
        When the chain is called: an option is wrong, or given twice.
    """

    def decorate(chain: Callable[..., R]) -> Callable[..., R]:
        signature = inspect.signature(chain)
        all_models = dict(models)
        if _EXECUTION in signature.parameters:
            all_models[_EXECUTION] = ExecutionOptions
        parameter_of = {
            option: parameter
            for parameter, model in all_models.items()
            for option in model.model_fields
        }
        number = sum(len(model.model_fields) for model in all_models.values())
        if len(parameter_of) < number or parameter_of.keys() & signature.parameters.keys():
            raise TypeError(f"two options of {chain.__name__} have one name")

        @wraps(chain)
        def wrapper(*args: Any, **keywords: Any) -> R:
            options_of: dict[str, dict[str, Any]] = {}
            for option in [name for name in keywords if name in parameter_of]:
                value = _python_number(keywords.pop(option))
                options_of.setdefault(parameter_of[option], {})[option] = value
            for parameter, model in all_models.items():
                options = options_of.get(parameter, {})
                given = keywords.get(parameter)
                if given is not None and options:
                    raise InputError(f"{next(iter(options))} and {parameter} are both given")
                keywords[parameter] = _model_or_execution(
                    parameter, model, options if given is None else given
                )
            return chain(*args, **keywords)

        options = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, annotation=field.annotation,
                default=inspect.Parameter.empty if field.is_required() else field.get_default(
                    call_default_factory=True),
            )
            for model in all_models.values()
            for name, field in model.model_fields.items()
        ]  # fmt: skip
        own = [
            p.replace(default=None, annotation=f"{p.annotation} | None")
            if name in all_models
            else p
            for name, p in signature.parameters.items()
        ]
        positional = [p for p in own if p.kind is not inspect.Parameter.KEYWORD_ONLY]
        keyword_only = [p for p in own if p.kind is inspect.Parameter.KEYWORD_ONLY]
        plain = [p for p in keyword_only if p.name not in all_models]
        of_models = [p for p in keyword_only if p.name in all_models]
        wrapper.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[*positional, *plain, *options, *of_models]
        )
        wrapper.__doc__ = _with_option_entries(chain.__doc__ or "", all_models)
        return wrapper

    return decorate


def _python_number(value: Any) -> Any:
    """Convert a number of numpy's to Python's, which pydantic knows."""
    return value.item() if type(value).__module__ == "numpy" and value.ndim == 0 else value


def _model_or_execution(name: str, model: type[BaseModel], given: Any) -> Any:
    """Validate what a caller gave for a parameter: an instance, or a dict of options."""
    expected: type = Execution if name == _EXECUTION else model
    if isinstance(given, expected):
        return given
    if not isinstance(given, dict):
        raise InputError(
            f"{name} must be {expected.__name__} or a dict of its options, not {given!r}"
        )
    options = validated(model, given)
    return Execution.of(options) if isinstance(options, ExecutionOptions) else options


_PLACEHOLDER = re.compile(r"^(?P<indent> *)\*\*options\n(?:(?P=indent) +.*\n)*", re.MULTILINE)


def _with_option_entries(text: str, models: dict[str, type[BaseModel]]) -> str:
    """Replace the entry ``**options`` of a docstring by an entry per option."""
    placeholder = _PLACEHOLDER.search(text)
    if placeholder is None:
        return text
    indent = placeholder["indent"]
    lines = []
    for model in models.values():
        for name, field in model.model_fields.items():
            unit = shown(field).unit
            description = (field.description or "") + (f", {unit}" if unit else "")
            sentence = f"{description[:1].upper()}{description[1:]}."
            if not field.is_required() and _default(field) is not None:
                sentence += f" Default {_default(field)!r}."
            lines += [f"{indent}{name}", f"{indent}    {sentence}"]
    return text[: placeholder.start()] + "\n".join(lines) + "\n" + text[placeholder.end() :]


def _default(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True)
