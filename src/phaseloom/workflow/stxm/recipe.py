"""Recipe of ``phaseloom stxm``: phase maps of stacks of X-ray images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from phaseloom.options import Options, option
from phaseloom.stxm.options import BoundaryTest, PhaseMapping, Preparation
from phaseloom.workflow.recipe import InputFile, Recipe

_NAME = r"^([^./\\_]|_[^_/\\])[^/\\]*$"
"""Names of stacks become names of groups and files."""


class StackFile(Options):
    """A stack of X-ray images, and how its file is read."""

    renamed: ClassVar[dict[str, str]] = {"region": "entry"}

    file: InputFile = option(
        description="the stack: NXstxm, SDF .hdr, aXis2000, .txrm, TIFF …",
        form="STACK",
        argument=True,
    )
    i0: str = option(
        "auto",
        "incident intensity: from the empty area, a file, or a region in pixels as read",
        form="auto|FILE|y0:y1,x0:x1",
    )
    quantity: Literal["counts", "transmission", "optical_density"] | None = option(
        None, "what the numbers are, where the file does not say"
    )
    detector: str | None = option(
        None, "detector channel (the first by default)", form="NAME", expert=True
    )
    entry: int | None = option(
        None, "spatial region of the file, from 1", form="N", expert=True, ge=1
    )
    partial: bool = option(False, "use an aborted scan as far as it goes", expert=True)

    def moved(self, move: Callable[[Path], Path]) -> Self:
        """Copy with every path in it moved: I0 may be one, too."""
        i0 = self.i0 if self.i0 == "auto" or ":" in self.i0 else move(Path(self.i0)).as_posix()
        return self.model_copy(update={"file": move(self.file), "i0": i0})


class Stack(StackFile):
    """One stack of X-ray images."""

    name: str = option("", "its name in the results (the file's stem by default)", pattern=_NAME)
    state_of_charge: float | None = option(
        None, "state of charge, in any unit", form="NAME=NUMBER", each=True
    )

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        if isinstance(data, dict) and not data.get("name"):
            file = data.get("file")
            if isinstance(file, (str, Path)):
                return {**data, "name": Path(file).stem}
        return data


class Reference(Options):
    """A reference spectrum, several in one file, or a stack of one material."""

    file: InputFile = option(
        description="spectra (.csv .xas .xdi two-column text), or a dense stack"
    )
    label: str | None = option(None, "name of the phase (from the file by default)")


class StxmRecipe(Recipe):
    """Phase maps from stacks of X-ray images and reference spectra."""

    uses_scheduler = False

    method: Literal["stxm"] = option("stxm")
    device: Literal["auto", "cpu", "cuda"] = option("auto", "where torch computes")
    preparation: Preparation = Field(default_factory=Preparation)
    mapping: PhaseMapping = Field(default_factory=PhaseMapping)
    boundaries: BoundaryTest = Field(default_factory=BoundaryTest)
    values: dict[str, float] = option(
        {}, "number of each phase, such as its sodium content", form="LABEL=NUMBER", flag="value"
    )
    stack: tuple[Stack, ...] = option(
        description="a stack, or several that share a latent space",
        form="[NAME=]STACK",
        argument=True,
        key="name",
        min_length=1,
    )
    reference: tuple[Reference, ...] = option(
        description="reference spectra, or a dense stack of one phase",
        form="[LABEL=]FILE",
        short="r",
        key="label",
        min_length=1,
    )

    @property
    def input_name(self) -> str:
        """The name of the first stack: a series keeps its folder when a stack is added."""
        return self.stack[0].name

    @property
    def inputs(self) -> dict[str, Path]:
        """The files of the stacks, by their names in the results."""
        return {stack.name: stack.file for stack in self.stack}

    @model_validator(mode="after")
    def _distinct(self) -> StxmRecipe:
        names = [s.name for s in self.stack]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"two stacks are called {twice[0]!r}: give them names")
        return self


class SpectrumRequest(Options):
    """A reference spectrum from a stack: ``phaseloom spectra``."""

    stack: StackFile
    region: str | None = option(None, "in pixels as read; else the particles", form="y0:y1,x0:x1")
    label: str | None = option(
        None, "name of the phase (that of the stack by default)", form="NAME"
    )
    value: float | None = option(None, "its number: the sodium content, say", form="NUMBER")
    out: Path | None = option(None, "the file to write (LABEL.csv by default)", form="FILE.csv")
    preparation: Preparation = Field(default_factory=Preparation)


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


RECIPE = StxmRecipe
