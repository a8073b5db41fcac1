"""Recipes: validated options and inputs of a run, read from TOML and written to it."""

from __future__ import annotations

import os
import tomllib
from abc import abstractmethod
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel

from phaseloom.errors import InputError
from phaseloom.methods import METHODS
from phaseloom.options import Options, option, shown, validated

T = TypeVar("T", bound=BaseModel)


def _utf8(file: Path) -> Path:
    """Refuse a path that cannot be written to a recipe, which is UTF-8."""
    try:
        str(file).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{str(file)!a} is a name that is not UTF-8 text: rename it") from error
    return file


InputFile = Annotated[Path, AfterValidator(_utf8)]


class Recipe(Options):
    """Base of all recipes."""

    uses_scheduler: ClassVar[bool] = True
    """Whether the blocks of the input can be handed to a dask cluster."""

    method: str = option()
    out: Path | None = option(None, "folder of the results (INPUT-METHOD by default)", form="DIR")
    seed: int = option(0, "same seed, same result", form="N", ge=0, lt=2**32)

    @property
    @abstractmethod
    def input_name(self) -> str:
        """What results are named after: the name of the input, without extension."""

    @property
    @abstractmethod
    def inputs(self) -> Mapping[str, Path | tuple[Path, ...]]:
        """The measurements, by name: the files, or folders of results, that are worked on.

        A measurement may be many files: a folder, a pattern, or several paths.
        """

    @property
    def folder(self) -> Path:
        """The folder of the results: ``out``, or one in the name of the input."""
        return self.out or Path(f"{self.input_name}-{self.method}")

    @property
    def beside(self) -> bool:
        """Whether the results join those of the folder that is the input."""
        return False


def recipe_class(name: str) -> type[Recipe]:
    """Class of the recipes of a method; nothing heavy is imported."""
    recipe: type[Recipe] = import_module(f"phaseloom.workflow.{METHODS[name].room}.recipe").RECIPE
    return recipe


def example_recipe(name: str) -> Recipe:
    """The recipe that ``phaseloom new`` prints."""
    recipe: Recipe = import_module(f"phaseloom.workflow.{METHODS[name].room}.recipe").example()
    return recipe


def read_recipe(path: Path) -> Recipe:
    """Read a recipe from a TOML file; its paths are relative to the file's folder.

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
    name = data.get("method", "stxm")
    if not isinstance(name, str) or name not in METHODS:
        *others, last = map(repr, METHODS)
        raise InputError(f"method must be {', '.join(others)} or {last}, not {name!r}", source=path)
    recipe = moved(validated(recipe_class(name), data, source=path), lambda p: path.parent / p)
    return recipe if recipe.out else recipe.model_copy(update={"out": path.parent / recipe.folder})


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Write a recipe with all defaults, its paths relative to the folder of the file."""
    relative = moved(recipe, lambda p: Path(os.path.relpath(p, path.parent)))
    path.write_text(to_toml(relative), encoding="utf-8")


def moved(part: T, move: Callable[[Path], Path]) -> T:
    """Copy of a recipe, or of a table of one, with every path in it moved.

    A table whose paths are not all of type Path has a method ``moved`` of its own.
    """
    own = getattr(part, "moved", None)
    if own is not None:
        result: T = own(move)
        return result
    return part.model_copy(update={name: _moved(value, move) for name, value in part})


def _moved(value: Any, move: Callable[[Path], Path]) -> Any:
    if isinstance(value, Path):
        return move(value)
    if isinstance(value, BaseModel):
        return moved(value, move)
    if isinstance(value, tuple):
        return tuple(_moved(item, move) for item in value)
    return value


def to_toml(recipe: BaseModel) -> str:
    """A recipe as commented TOML."""
    import tomlkit

    document = tomlkit.document()
    document.add(tomlkit.comment((type(recipe).__doc__ or "").splitlines()[0]))
    document.add(tomlkit.nl())
    fields = type(recipe).model_fields
    tables = [n for n in fields if _is_table(getattr(recipe, n))]
    for name in [n for n in fields if n not in tables]:
        _add(document, name, getattr(recipe, name), _comment(fields[name]))
    for name in tables:
        value = getattr(recipe, name)
        document.add(tomlkit.nl())
        if isinstance(value, tuple):
            several = tomlkit.aot()
            for item in value:
                several.append(_table(item))
            document.add(name, several)
        elif isinstance(value, dict):
            table = tomlkit.table()
            table.comment(fields[name].description or "")
            for label, number in value.items():
                table.add(label, number)
            document.add(name, table)
        else:
            document.add(name, _table(value))
    return tomlkit.dumps(document)


def _is_table(value: Any) -> bool:
    several = isinstance(value, tuple) and bool(value) and isinstance(value[0], BaseModel)
    return several or isinstance(value, (BaseModel, dict))


def _table(part: BaseModel) -> Any:
    import tomlkit

    table = tomlkit.table()
    for name, field in type(part).model_fields.items():
        _add(table, name, getattr(part, name), _comment(field))
    return table


def _add(table: Any, name: str, value: Any, comment: str) -> None:
    """Add a line with its comment; an option without a value becomes a commented line."""
    import tomlkit

    if value is None:
        table.add(tomlkit.comment(f"{name + ' =':<30}  # {comment}".rstrip(" #")))
        return
    if isinstance(value, tuple):
        value = [each.as_posix() if isinstance(each, Path) else each for each in value]
    item = tomlkit.item(value.as_posix() if isinstance(value, Path) else value)
    if comment:
        item.comment(comment)
        item.trivia.comment_ws = " " * max(2, 34 - len(f"{name} = {item.as_string()}"))
    table.add(name, item)


def _comment(field: Any) -> str:
    unit = shown(field).unit
    return ", ".join(text for text in (field.description, unit) if text)
