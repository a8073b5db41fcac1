"""What to do, as validated data: a TOML file a user can read, edit and repeat."""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from phaseloom.errors import InputError

T = TypeVar("T", bound=BaseModel)

_NAME = r"^([^./\\_]|_[^_/\\])[^/\\]*$"
"""Names of stacks become names of groups and files."""


def _utf8(file: Path) -> Path:
    """A path that the recipe, which is UTF-8, can hold."""
    try:
        str(file).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{str(file)!a} is a name that is not UTF-8 text: rename it") from error
    return file


InputFile = Annotated[Path, AfterValidator(_utf8)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Stack(_Part):
    """One stack of X-ray images."""

    file: InputFile = Field(description="the stack: NXstxm, SDF .hdr, aXis2000, .txrm, TIFF …")
    name: str = Field(
        "", description="its name in the results (the file's stem by default)", pattern=_NAME
    )
    i0: str = Field("auto", description='incident intensity: "auto", a file, or "y0:y1,x0:x1"')
    detector: str | None = Field(None, description="detector channel (the first by default)")
    region: int | None = Field(None, description="spatial region of the file, from 1", ge=1)
    quantity: Literal["counts", "transmission", "optical_density"] | None = Field(
        None, description="what the numbers are, where the file does not say"
    )
    partial: bool = Field(False, description="use an aborted scan as far as it goes")
    state_of_charge: float | None = Field(None, description="state of charge, in any unit")

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        if isinstance(data, dict) and not data.get("name"):
            file = data.get("file")
            if isinstance(file, (str, Path)):
                return {**data, "name": Path(file).stem}
        return data


class Reference(_Part):
    """A reference spectrum, several in one file, or a stack of one material."""

    file: InputFile = Field(
        description="spectra (.csv .xas .xdi two-column text), or a dense stack"
    )
    label: str | None = Field(None, description="name of the phase (from the file by default)")


class Preparation(_Part):
    """From counts to optical density."""

    dark: float = Field(0.0, description="detector counts without beam", ge=0)
    despike: bool = Field(True, description="replace single wild readings")
    align: bool = Field(True, description="remove drift between the energies")
    baseline: bool = Field(True, description="take the pre-edge optical density off")
    thin: float = Field(
        0.1, description="pixels below this part of the median thickness are left out", ge=0
    )
    thick: float = Field(
        3.0, description="pixels above this optical density are saturated, left out", gt=0
    )


class Mapping(_Part):
    """From optical density to phases."""

    shift: Literal["auto"] | float = Field(
        "auto", description='energy the stack reads too high, eV; "auto": fitted'
    )
    margin: Literal["noise"] | Annotated[float, Field(ge=0)] = Field(
        0.005, description='ambiguous when the two best correlations are closer; or "noise"'
    )
    resolve: Literal["gmvae", "likelihood", "pearson"] = Field(
        "gmvae", description="how ambiguous pixels get their phase"
    )
    latent_dims: int = Field(3, description="dimensions of the latent space", ge=2, le=16)
    covariance: Literal["noise", "pooled"] = Field(
        "noise", description="covariance of the Mahalanobis distance"
    )
    value_name: str = Field("value", description="what the phases' numbers are")
    smooth: float = Field(0.0, description="strength of the spatial prior (Potts); 0: none", ge=0)


class StxmRecipe(_Part):
    """Phase maps from stacks of X-ray images and reference spectra."""

    method: Literal["stxm"] = Field("stxm", description="")
    out: Path = Field(Path("phaseloom-stxm"), description="folder of the results")
    seed: int = Field(0, description="same seed, same result", ge=0, lt=2**32)
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where torch computes")
    preparation: Preparation = Field(default_factory=Preparation)
    mapping: Mapping = Field(default_factory=Mapping)
    values: dict[str, float] = Field(
        default_factory=dict, description="number of each phase, such as its sodium content"
    )
    stack: tuple[Stack, ...] = Field(min_length=1)
    reference: tuple[Reference, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> StxmRecipe:
        names = [s.name for s in self.stack]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"two stacks are called {twice[0]!r}: give them names")
        return self


def read_recipe(path: Path) -> StxmRecipe:
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
    recipe = validated(StxmRecipe, data, source=path)
    return _with_paths(recipe, lambda p: path.parent / p)


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
        elif not part.endswith(("float", "]")):
            names.append(part)
    return ".".join(names)


def write_recipe(recipe: StxmRecipe, path: Path) -> None:
    """Write the resolved recipe, its paths relative to the folder it lies in."""
    relative = _with_paths(recipe, lambda p: Path(os.path.relpath(p, path.parent)))
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
        elif isinstance(value, tuple):
            for item in value:
                tables += ["", f"[[{name}]]", *_lines(item)]
        else:
            lines.append(_line(name, value, field.description))
    return "\n".join(lines + tables) + "\n"


def example() -> StxmRecipe:
    """The recipe that ``phaseloom new stxm`` prints."""
    return StxmRecipe(
        out=Path("results"),
        stack=(Stack(file=Path("particle.hdf5"), name="particle"),),
        reference=(
            Reference(file=Path("reduced.csv"), label="reduced"),
            Reference(file=Path("oxidised.csv"), label="oxidised"),
        ),
        values={"reduced": 1.0, "oxidised": 0.0},
    )


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
    text = value.as_posix() if isinstance(value, Path) else str(value)
    # JSON's strings are TOML's, but for one character.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _with_paths(recipe: StxmRecipe, move: Any) -> StxmRecipe:
    def stack(item: Stack) -> Stack:
        i0 = item.i0 if item.i0 == "auto" or ":" in item.i0 else Path(move(item.i0)).as_posix()
        return item.model_copy(update={"file": move(item.file), "i0": i0})

    return recipe.model_copy(
        update={
            "out": move(recipe.out),
            "stack": tuple(stack(s) for s in recipe.stack),
            "reference": tuple(
                r.model_copy(update={"file": move(r.file)}) for r in recipe.reference
            ),
        }
    )
