"""Options of the steps, each stated once: recipe, command line, documentation, keywords.

A step states its options beside itself, as a frozen model::

    class SpotSearch(Options):
        '''Which maxima are spots, and of which shape.'''

        false_alarms: float = option(0.01, "expected false spots per pattern", gt=0)

A recipe is made of such models, the flags of a command and the tables of the documentation are
made from the recipe, and the chain takes the model:
:func:`phaseloom.compute.keywords.takes_options` gives it the options as keywords, with their bounds
checked. Nothing heavy is imported here: ``--help`` reads all of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from phaseloom.errors import InputError

M = TypeVar("M", bound=BaseModel)


class Options(BaseModel):
    """The options of one step. The first line of a step's docstring heads its documentation."""

    renamed: ClassVar[dict[str, str]] = {}
    """What options of earlier versions are called now."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Shown:
    """How an option is shown beside its type, default, bounds and description.

    Parameters
    ----------
    unit
        Of the number: ``Å⁻¹``, ``px``.
    form
        Of a text: ``auto|ROW,COLUMN``.
    flag
        On the command line, without the leading dashes, where it is not the option's own name.
    short
        A second flag of one letter, without the dash.
    expert
        Few users need it: in ``--help`` it comes after the others.
    argument
        On the command line it stands without a flag: what the command works on.
    key
        Of tables of a recipe that are given one by one as ``NAME=FILE``: the field for the name.
    each
        In such a table: given as ``NAME=VALUE`` for one of them; else one value is for all.
    """

    unit: str = ""
    form: str = ""
    flag: str = ""
    short: str = ""
    expert: bool = False
    argument: bool = False
    key: str = ""
    each: bool = False


def option(
    default: Any = ...,
    description: str = "",
    *,
    unit: str = "",
    form: str = "",
    flag: str = "",
    short: str = "",
    expert: bool = False,
    argument: bool = False,
    key: str = "",
    each: bool = False,
    **bounds: Any,
) -> Any:
    """State an option: a field of an :class:`Options` model.

    Parameters
    ----------
    default
        Left out: the option must be given.
    description
        What it is, in a few words that begin with a small letter.
    unit, form, flag, short, expert, argument, key, each
        See :class:`Shown`.
    **bounds
        ``gt``, ``ge``, ``lt``, ``le``, ``min_length``, ``pattern`` as of pydantic's ``Field``.
    """
    shown = Shown(unit, form, flag, short, expert, argument, key, each)
    if isinstance(default, (dict, list)) or (isinstance(default, type) and default is not ...):
        bounds["default_factory"] = default if isinstance(default, type) else type(default)
        default = PydanticUndefined
    field: FieldInfo = Field(default, description=description, **bounds)
    field.metadata.append(shown)
    return field


def shown(field: FieldInfo) -> Shown:
    """How an option is shown; the defaults of :class:`Shown` where nothing is stated."""
    return next((each for each in field.metadata if isinstance(each, Shown)), Shown())


def validated(
    model: type[M],
    data: dict[str, Any],
    *,
    source: Path | None = None,
    named: Callable[[str], str] = str,
) -> M:
    """The model of some data; what is wrong becomes one clear sentence.

    Parameters
    ----------
    model
        What the data have to be.
    data
        By name.
    source
        The file they come from.
    named
        What the user calls the option at a place such as ``mapping.margin``.

    Raises
    ------
    InputError
        A value is missing, wrong or unknown.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise InputError(_sentence(model, error, named), None, source=source) from error


def _sentence(model: type[BaseModel], error: ValidationError, named: Callable[[str], str]) -> str:
    """The first thing that pydantic finds wrong, in words; choices of one value together."""
    faults = error.errors()
    first = faults[0]
    place = named(_place(first["loc"]))
    wrong = first["input"]
    match first["type"]:
        case "missing":
            return f"{place} is missing"
        case "extra_forbidden":
            now = _renamed(model, first["loc"])
            return f"{place} is not a key of the recipe{now and f': it is called {now} now'}"
        case "string_pattern_mismatch":
            return f"{place} cannot be {wrong!r}: use letters, digits, - and _"
        case "tuple_type" if not isinstance(wrong, dict):
            return f"{place} must be a list or one or more tables [[{place}]], not {wrong!r}"
        case "string_too_short":
            return f"{place} must not be empty"
        case "too_short" | "tuple_type":
            return f"{place} must be one or more tables [[{place}]]"
        case "model_type" | "dict_type":
            return f"{place} must be a table"
        case "value_error":
            # Of one option, or of several: then the sentence names them itself.
            of_one = not isinstance(wrong, (dict, BaseModel))
            return f"{place}: {first['ctx']['error']}" if of_one else str(first["ctx"]["error"])
    wanted = dict.fromkeys(_lower(f["msg"]) for f in faults if named(_place(f["loc"])) == place)
    return f"{place} must be {' or '.join(wanted)}, not {wrong!r}"


def _renamed(model: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """What an option at a place is called now, if it was renamed."""
    *tables, last = [part for part in location if isinstance(part, str)]
    for name in tables:
        field = model.model_fields.get(name)
        kinds = () if field is None else (field.annotation, *get_args(field.annotation))
        model = next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), model)
    renamed: dict[str, str] = getattr(model, "renamed", {})
    return renamed.get(str(last), "")


def _lower(message: str) -> str:
    """What pydantic wants, to follow "must be"."""
    if "path" in message:
        return "a path"
    if "tuple" in message.lower():
        return "a list with something in it" if "at least" in message else "a list"
    wanted = re.sub(r", (unable|got) .*", "", message.removeprefix("Input should be "))
    return wanted.replace("valid integer", "whole number").replace("valid ", "")


def _place(location: tuple[int | str, ...]) -> str:
    """Where in the recipe: "stack 2.file", "mapping.margin"; names of choices left out."""
    names: list[str] = []
    for part in location:
        if isinstance(part, int):
            names[-1] = f"{names[-1]} {part + 1}"
        elif not part.endswith(("float", "-int", "bool", "]")):
            names.append(part)
    return ".".join(names)
