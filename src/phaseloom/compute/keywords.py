"""Options of the steps, and how a run is carried out, as keywords of a chain."""

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
    """Give a chain the options of its steps, and how it is carried out, as keywords.

    The chain takes each model under its name, and ``execution``
    (:class:`phaseloom.compute.execution.Execution`) where it has such a parameter. Whoever calls
    it may give the model, or single options as keywords, which are checked and put in the model;
    the signature that ``help`` and editors show has them all.

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
        own = inspect.signature(chain)
        taken = dict(models)
        if _EXECUTION in own.parameters:
            taken[_EXECUTION] = ExecutionOptions
        home = {name: part for part, model in taken.items() for name in model.model_fields}
        fields = sum(len(model.model_fields) for model in taken.values())
        if len(home) < fields or home.keys() & own.parameters.keys():
            raise TypeError(f"two options of {chain.__name__} have one name")

        @wraps(chain)
        def called(*args: Any, **given: Any) -> R:
            parts: dict[str, dict[str, Any]] = {}
            for name in [name for name in given if name in home]:
                parts.setdefault(home[name], {})[name] = _python(given.pop(name))
            for part, model in taken.items():
                options = parts.get(part, {})
                whole = given.get(part)
                if whole is not None and options:
                    raise InputError(f"{next(iter(options))} and {part} are both given")
                given[part] = _checked(part, model, options if whole is None else whole)
            return chain(*args, **given)

        keywords = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, annotation=field.annotation,
                default=inspect.Parameter.empty if field.is_required() else field.get_default(
                    call_default_factory=True),
            )
            for model in taken.values()
            for name, field in model.model_fields.items()
        ]  # fmt: skip
        kept = [
            p.replace(default=None, annotation=f"{p.annotation} | None") if name in taken else p
            for name, p in own.parameters.items()
        ]
        positional = [p for p in kept if p.kind is not inspect.Parameter.KEYWORD_ONLY]
        named = [p for p in kept if p.kind is inspect.Parameter.KEYWORD_ONLY]
        plain = [p for p in named if p.name not in taken]
        whole = [p for p in named if p.name in taken]
        called.__signature__ = own.replace(  # type: ignore[attr-defined]
            parameters=[*positional, *plain, *keywords, *whole]
        )
        called.__doc__ = _documented(chain.__doc__ or "", taken)
        return called

    return decorate


def _python(value: Any) -> Any:
    """A number of numpy's as Python's, which is what pydantic knows."""
    return value.item() if type(value).__module__ == "numpy" and value.ndim == 0 else value


def _checked(name: str, model: type[BaseModel], given: Any) -> Any:
    """The model, or the execution, that a caller means."""
    wanted: type = Execution if name == _EXECUTION else model
    if isinstance(given, wanted):
        return given
    if not isinstance(given, dict):
        raise InputError(
            f"{name} must be {wanted.__name__} or a dict of its options, not {given!r}"
        )
    options = validated(model, given)
    return Execution.of(options) if isinstance(options, ExecutionOptions) else options


_SLOT = re.compile(r"^(?P<indent> *)\*\*options\n(?:(?P=indent) +.*\n)*", re.MULTILINE)


def _documented(text: str, models: dict[str, type[BaseModel]]) -> str:
    """A docstring whose entry ``**options`` becomes an entry per option."""
    slot = _SLOT.search(text)
    if slot is None:
        return text
    indent = slot["indent"]
    lines = []
    for model in models.values():
        for name, field in model.model_fields.items():
            unit = shown(field).unit
            told = (field.description or "") + (f", {unit}" if unit else "")
            default = (
                ""
                if field.is_required() or _plain(field) is None
                else f" Default {_plain(field)!r}."
            )
            lines += [f"{indent}{name}", f"{indent}    {told[:1].upper()}{told[1:]}.{default}"]
    return text[: slot.start()] + "\n".join(lines) + "\n" + text[slot.end() :]


def _plain(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True)
