"""Flags of a command, made from the options of a recipe.

Every field of a recipe, and of the tables in it, is a flag of its own name, or of that in its
:class:`phaseloom.options.Shown`. Expert options come last, in a panel of their own.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from phaseloom.errors import InputError
from phaseloom.io.image_sets import name_of
from phaseloom.options import Shown, shown

COMMON = "Options"
EXPERT = "Expert options"

_RUN_FIELDS = ("method", "out", "seed", "device")
"""Fields of a recipe whose flags all commands share (:mod:`phaseloom.cli.options`)."""


@dataclass(frozen=True)
class Flag:
    """An option on the command line.

    Parameters
    ----------
    path
        Place of its value in the recipe.
    field
        The option.
    entries
        Of a list of tables: the model of one of them.
    """

    path: tuple[str, ...]
    field: FieldInfo
    entries: type[BaseModel] | None = None

    @property
    def shown(self) -> Shown:
        """Its presentation on the command line."""
        return shown(self.field)

    @property
    def name(self) -> str:
        """Name of the flag without dashes, as an identifier."""
        return (self.shown.flag or self.path[-1]).replace("-", "_")

    @property
    def spelled(self) -> str:
        """The flag as the user writes it, with dashes."""
        dashes = "-" if len(self.name) == 1 else "--"
        return f"{dashes}{self.name.replace('_', '-')}"


def flags_of(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[Flag]:
    """Yield all flags of a recipe or of one of its tables; a method's own come first."""
    own = model.__annotations__
    fields = sorted(model.model_fields.items(), key=lambda item: item[0] not in own)
    for name, field in fields:
        field_path = (*path, name)
        if not path and "method" in model.model_fields and name in _RUN_FIELDS:
            continue
        table = _table_model(field.annotation)
        entries = _entry_model(field.annotation)
        if table is not None:
            yield from flags_of(table, field_path)
            continue
        yield Flag(field_path, field, entries)
        if entries is not None and shown(field).argument:
            # Flags that are given once for all of the command's inputs.
            of_each_input = {"file", shown(field).key}
            flags = flags_of(entries, field_path)
            yield from (flag for flag in flags if flag.path[-1] not in of_each_input)


def parameters(
    model: type[BaseModel], run_parameters: Sequence[inspect.Parameter], *, several: bool = False
) -> list[inspect.Parameter]:
    """Parameters of a command: its arguments, its flags, its expert flags.

    Parameters
    ----------
    model
        The recipe.
    run_parameters
        Parameters that all commands share: before the expert flags.
    several
        Whether the command takes several files one after the other.
    """
    flags = list(flags_of(model))
    names = [flag.name for flag in flags]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise TypeError(f"two options of {model.__name__} are --{twice[0]}")
    rank = {flag.name: (not flag.shown.argument, flag.shown.expert) for flag in flags}
    rank |= {parameter.name: (True, False) for parameter in run_parameters}
    unsorted = [*(_parameter(flag, several=several) for flag in flags), *run_parameters]
    required = inspect.Parameter.empty
    return sorted(unsorted, key=lambda p: (p.default is not required, *rank[p.name]))


def recipe_data(model: type[BaseModel], arguments: dict[str, Any]) -> dict[str, Any]:
    """Arrange the values of a command's parameters as the data of a recipe.

    Parameters
    ----------
    model
        The recipe.
    arguments
        Values by name of the parameter.
    """
    data: dict[str, Any] = {}
    nested: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for flag in flags_of(model):
        value = arguments[flag.name]
        parent = flag.path[:-1]
        if flag.entries is not None:
            texts = value or []
            entries = [parsed_entry(text, flag.shown.key) for text in texts]
            joined = getattr(flag.entries, "joined", None)
            nested[flag.path] = entries if joined is None else joined(entries)
            _put(data, flag.path, nested[flag.path])
        elif parent in nested:
            _put_each(nested[parent], flag, value)
        elif get_origin(flag.field.annotation) is dict:
            _put(data, flag.path, _numbers(value, flag))
        elif value is not None:
            _put(data, flag.path, _plain(value))
    return data


def spelled_at(model: type[BaseModel], place: str) -> str:
    """Flag of the option at a place of the recipe, such as ``matching.k_max``."""
    names = tuple(part.split(" ")[0] for part in place.split("."))
    for flag in flags_of(model):
        inside = flag.entries is not None and names[:-1] == flag.path
        if (names == flag.path or inside) and not flag.shown.argument:
            return flag.spelled
    return place


def _put(data: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for part in path[:-1]:
        data = data.setdefault(part, {})
    data[path[-1]] = value


def _put_each(entries: list[dict[str, Any]], flag: Flag, value: Any) -> None:
    """Put one value in all entries, or each in the entry of its name."""
    name = flag.path[-1]
    if not flag.shown.each:
        for entry in entries:
            entry[name] = _plain(value)
        return
    numbers = _numbers(value, flag)
    for entry in entries:
        # Entries without a name have that of their file.
        entry_name = entry.get("name") or name_of(Path(entry["file"]))
        entry[name] = numbers.pop(entry_name, None)
    if numbers:
        raise InputError(
            f"{flag.spelled} names {', '.join(numbers)}, but there is no such {flag.path[0]}"
        )


def parsed_entry(text: str, key: str) -> dict[str, Any]:
    """Parse ``KEY=FILE`` or ``FILE``; an existing file whose name holds "=" is taken whole."""
    name, equals, file = text.partition("=")
    if not equals or Path(text).exists():
        return {"file": text}
    return {key: name, "file": file}


def _numbers(texts: list[str] | None, flag: Flag) -> dict[str, float]:
    numbers = {}
    for text in texts or []:
        label, equals, number = text.rpartition("=")
        try:
            numbers[label] = float(number)
        except ValueError:
            equals = ""
        if not equals:
            form = flag.shown.form or "LABEL=NUMBER"
            raise typer.BadParameter(f"{text!r} is not {form}", param_hint=flag.spelled)
    return numbers


def _plain(value: Any) -> Any:
    """Convert choices to their texts, several of them to distinct ones in order."""
    if isinstance(value, list):
        return tuple(dict.fromkeys(_plain(item) for item in value))
    return value.value if isinstance(value, Enum) else value


def _parameter(flag: Flag, *, several: bool) -> inspect.Parameter:
    annotation, default = _typed(flag, several=several)
    display = flag.shown
    if display.argument:
        text = flag.field.description
        metavar = display.form or None
        typer_info: Any = typer.Argument(metavar=metavar, help=text)
        default = inspect.Parameter.empty
    else:
        names = [flag.spelled]
        if annotation is bool:
            names = [f"{flag.spelled}/--no-{flag.spelled.removeprefix('--')}"]
        if display.short:
            names.insert(0, f"-{display.short}")
        typer_info = typer.Option(
            *names,
            metavar=_metavar(flag),
            help=flag.field.description,
            rich_help_panel=EXPERT if display.expert else COMMON,
            parser=_parser(flag),
        )
    return inspect.Parameter(
        flag.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[annotation, typer_info],
    )


def _typed(flag: Flag, *, several: bool) -> tuple[Any, Any]:
    """Type and default of a parameter in terms of typer."""
    field = flag.field
    required = field.is_required()
    if flag.entries is not None:
        return (list[str], inspect.Parameter.empty) if required else (list[str] | None, None)
    if flag.shown.each or get_origin(field.annotation) is dict:
        return list[str] | None, None
    default = inspect.Parameter.empty if required else field.get_default(call_default_factory=True)
    kind, optional = _without_none(field.annotation)
    if get_origin(kind) is tuple and get_origin(get_args(kind)[0]) is Literal:
        words = {str(c): c for c in get_args(get_args(kind)[0])}
        choices = Enum(flag.name, words, type=str)  # type: ignore[misc]
        return list[choices] | None, None
    if get_origin(kind) is Literal or kind in (bool, int, float, Path, str):
        if several and flag.shown.argument:
            return list[kind], inspect.Parameter.empty  # type: ignore[valid-type]
        return (kind | None if optional else kind), default
    text = default if default in (None, inspect.Parameter.empty) else str(default)
    return (str | None if optional else str), text


def _words_and_number(flag: Flag) -> tuple[list[str], type | None]:
    """Words and type of an option that is a number or a word; None: it is neither."""
    kind, _ = _without_none(flag.field.annotation)
    members = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else ()
    numbers = [
        _without_metadata(member) for member in members if _without_metadata(member) in (int, float)
    ]
    words = [w for member in members if get_origin(member) is Literal for w in get_args(member)]
    return words, numbers[0] if numbers and words else None


def _parser(flag: Flag) -> Callable[[str], Any] | None:
    """Parser of an option that is a number or a word; any other text is wrong usage."""
    words, number = _words_and_number(flag)
    if number is None:
        return None

    def parse(text: str) -> Any:
        if text in words:
            return text
        try:
            return number(text)
        except ValueError:
            choices = " or ".join(map(repr, words))
            raise typer.BadParameter(f"{text!r} is no number, nor {choices}") from None

    return parse


def _metavar(flag: Flag) -> str | None:
    """Placeholder of the value in the help."""
    words, number = _words_and_number(flag)
    if flag.shown.form or number is None:
        return flag.shown.form or flag.shown.unit or None
    return "|".join([*words, flag.shown.unit or ("N" if number is int else "NUMBER")])


def _without_metadata(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _without_none(kind: Any) -> tuple[Any, bool]:
    kind = _without_metadata(kind)
    if get_origin(kind) not in (Union, types.UnionType):
        return kind, False
    members = tuple(member for member in get_args(kind) if member is not type(None))
    optional = len(members) < len(get_args(kind))
    return (_without_metadata(members[0]) if len(members) == 1 else Union[members]), optional  # noqa: UP007


def _table_model(kind: Any) -> type[BaseModel] | None:
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _entry_model(kind: Any) -> type[BaseModel] | None:
    """Model of the tables in a list of tables."""
    if typing.get_origin(kind) is not tuple:
        return None
    return _table_model(get_args(kind)[0])
