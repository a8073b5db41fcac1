"""What to do, as validated data: a TOML file a user can read, edit and repeat."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from phaseloom.errors import InputError

T = TypeVar("T", bound=BaseModel)

METHODS = {
    "stxm": ("stxm_recipe", "StxmRecipe"),
    "peaks": ("peaks_recipe", "PeaksRecipe"),
    "index": ("orientation_recipe", "OrientationRecipe"),
    "cluster": ("components_recipe", "ComponentsRecipe"),
}
"""What a recipe can be for, and the module and the class that say what is in it."""


def _utf8(file: Path) -> Path:
    """A path that the recipe, which is UTF-8, can hold."""
    try:
        str(file).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{str(file)!a} is a name that is not UTF-8 text: rename it") from error
    return file


InputFile = Annotated[Path, AfterValidator(_utf8)]


class Part(BaseModel):
    """A table of a recipe."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def moved(self, move: Callable[[Path], Path]) -> Self:
        """The same with every path in it moved."""
        return self.model_copy(update={name: _moved(value, move) for name, value in self})


class Recipe(Part):
    """What every recipe has."""

    method: str = Field(description="")
    out: Path = Field(description="folder of the results")
    seed: int = Field(0, description="same seed, same result", ge=0, lt=2**32)


def recipe_class(method: str) -> type[Recipe]:
    """The class of the recipes of a method."""
    module, name = METHODS[method]
    found: type[Recipe] = getattr(import_module(f"phaseloom.workflow.{module}"), name)
    return found


def example_recipe(method: str) -> Recipe:
    """The recipe that ``phaseloom new`` prints."""
    module, _ = METHODS[method]
    made: Recipe = import_module(f"phaseloom.workflow.{module}").example()
    return made


def read_recipe(path: Path) -> Recipe:
    """A recipe from a TOML file; its paths are relative to the file's folder.

    Raises
    ------
    InputError
        Not a readable TOML file, or a value is missing or wrong.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError("no such recipe", "phaseloom new prints one", source=path) from error
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", None, source=path) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            f"is not a recipe in TOML ({error})", "phaseloom new prints one", source=path
        ) from error
    method = data.get("method", "stxm")
    if not isinstance(method, str) or method not in METHODS:
        *others, last = map(repr, METHODS)
        known = f"{', '.join(others)} or {last}"
        raise InputError(f"method must be {known}, not {method!r}", source=path)
    return validated(recipe_class(method), data, source=path).moved(lambda p: path.parent / p)


def validated(model: type[T], data: dict[str, Any], *, source: Path | None = None) -> T:
    """The model of some data; what is wrong becomes one clear sentence.

    Raises
    ------
    InputError
        A value is missing, wrong or unknown.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise InputError(_sentence(error), None, source=source) from error


def _sentence(error: ValidationError) -> str:
    """The first thing that pydantic finds wrong, in words; choices of one value together."""
    faults = error.errors()
    first = faults[0]
    place = _place(first["loc"])
    wrong = first["input"]
    match first["type"]:
        case "missing":
            return f"{place} is missing"
        case "extra_forbidden":
            return f"{place} is not a key of the recipe"
        case "string_pattern_mismatch":
            return f"{place} cannot be {wrong!r}: use letters, digits, - and _"
        case "tuple_type" if not isinstance(wrong, dict):
            return f"{place} must be a list or one or more tables [[{place}]], not {wrong!r}"
        case "too_short" | "tuple_type":
            return f"{place} must be one or more tables [[{place}]]"
        case "model_type" | "dict_type":
            return f"{place} must be a table"
        case "value_error":
            return first["msg"].removeprefix("Value error, ")
    said = dict.fromkeys(_lower(f["msg"]) for f in faults if _place(f["loc"]) == place)
    return f"{place} must be {' or '.join(said)}, not {wrong!r}"


def _lower(message: str) -> str:
    """What pydantic wants, to follow "must be"."""
    if "path" in message:
        return "a path"
    wanted = re.sub(r", (unable|got) .*", "", message.removeprefix("Input should be "))
    return wanted.replace("valid integer", "whole number").replace("valid ", "")


def _place(location: tuple[int | str, ...]) -> str:
    """Where in the recipe: "stack 2.file", "mapping.margin"; names of choices left out."""
    names: list[str] = []
    for part in location:
        if isinstance(part, int):
            names[-1] = f"{names[-1]} {part + 1}"
        elif not part.endswith(("float", "-int", "]")):
            names.append(part)
    return ".".join(names)


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Write the resolved recipe, its paths relative to the folder it lies in."""
    relative = recipe.moved(lambda p: Path(os.path.relpath(p, path.parent)))
    path.write_text(to_toml(relative), encoding="utf-8")


def to_toml(recipe: BaseModel) -> str:
    """A recipe as commented TOML."""
    lines = [f"# {(type(recipe).__doc__ or '').splitlines()[0]}", ""]
    tables: list[str] = []
    for name, field in type(recipe).model_fields.items():
        value = getattr(recipe, name)
        if isinstance(value, BaseModel):
            tables += ["", f"[{name}]", *_lines(value)]
        elif isinstance(value, dict):
            tables += ["", f"[{name}]  # {field.description}"]
            tables += [f"{_toml(label)} = {_toml(number)}" for label, number in value.items()]
        elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
            for item in value:
                tables += ["", f"[[{name}]]", *_lines(item)]
        else:
            lines.append(_line(name, value, field.description))
    return "\n".join(lines + tables) + "\n"


def _lines(part: BaseModel) -> list[str]:
    return [
        _line(name, getattr(part, name), field.description)
        for name, field in type(part).model_fields.items()
    ]


def _line(name: str, value: Any, description: str | None) -> str:
    shown = f"# {name} =" if value is None else f"{name} = {_toml(value)}"
    return f"{shown:<32}  # {description}" if description else shown


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    text = value.as_posix() if isinstance(value, Path) else str(value)
    # JSON's strings are TOML's, but for one character.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _moved(value: Any, move: Callable[[Path], Path]) -> Any:
    if isinstance(value, Path):
        return move(value)
    if isinstance(value, Part):
        return value.moved(move)
    if isinstance(value, tuple):
        return tuple(_moved(item, move) for item in value)
    return value
