"""Recipe of ``phaseloom stxm``: phase maps of stacks of X-ray images."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from phaseloom.io.image_sets import name_of, said
from phaseloom.options import Options, option
from phaseloom.stxm.options import BoundaryTest, EdgeWindows, PhaseMapping, Preparation
from phaseloom.workflow.recipe import InputFile, Recipe
from phaseloom.workflow.stxm.image_sets import joined_images, spread

_NAME = r"^([^./\\_]|_[^_/\\])[^/\\]*$"
"""Names of stacks become names of groups and files."""


_Images = Annotated[tuple[InputFile, ...], Field(min_length=1)]


class StackFile(Options):
    """A stack of X-ray images, and how its file is read."""

    renamed: ClassVar[dict[str, str]] = {"region": "entry"}

    file: InputFile | _Images = option(
        description="the stack: NXstxm, SDF .hdr, aXis2000, .txrm, TIFF …; or its images, one per "
        "energy: a folder, a pattern, a list",
        form="STACK",
        argument=True,
    )
    i0: str = option(
        "auto",
        "incident intensity: from the empty area; a spectrum, a stack, an image or a folder of "
        "flats; or a region in pixels as read",
        form="auto|FILE|y0:y1,x0:x1",
    )
    i0_channel: str | None = option(
        None,
        "column or detector channel of the I0 file, where it has several",
        form="NAME",
        expert=True,
    )
    mask: str | None = option(
        None,
        "what of the field may be mapped: an image that is not zero there (.npy .tif .png), or a "
        "region in pixels as read",
        form="FILE|y0:y1,x0:x1",
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

    @property
    def called(self) -> str:
        """What messages call the stack: its path as given, or the first of its files."""
        return said(self.file)

    def moved(self, move: Callable[[Path], Path]) -> Self:
        """Copy with every path in it moved: I0 and the mask may be some, too."""

        def moved(text: str | None) -> str | None:
            if text is None or text == "auto" or re.fullmatch(r"[\d:,\s]+", text):
                return text
            return move(Path(text)).as_posix()

        file = tuple(map(move, self.file)) if isinstance(self.file, tuple) else move(self.file)
        return self.model_copy(
            update={"file": file, "i0": moved(self.i0), "mask": moved(self.mask)}
        )


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
                return {**data, "name": name_of(Path(file))}
            if isinstance(file, (list, tuple)) and all(isinstance(f, (str, Path)) for f in file):
                return {**data, "name": name_of([Path(each) for each in file]) if file else "none"}
        return data

    @classmethod
    def joined(cls, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What a command line gives as stacks: single images are one, a folder of stacks several.

        Parameters
        ----------
        entries
            ``file`` of each, and ``name`` where one is given.

        Raises
        ------
        InputError
            One name is given to several stacks.
        """
        return joined_images([each for entry in entries for each in spread(entry)])


class Reference(Options):
    """A reference spectrum, several in one file, or a stack of one material."""

    file: InputFile = option(
        description="spectra (tables of text, .xas .xdi, Athena), or a dense stack"
    )
    label: str | None = option(None, "name of the phase (from the file by default)")


class StxmRecipe(Recipe):
    """Phase maps from stacks of X-ray images and reference spectra."""

    uses_scheduler = False

    method: Literal["stxm"] = option("stxm")
    device: Literal["auto", "cpu", "cuda"] = option("auto", "where torch computes")
    preparation: Preparation = Field(default_factory=Preparation)
    mapping: PhaseMapping = Field(default_factory=PhaseMapping)
    edge: EdgeWindows = Field(default_factory=EdgeWindows)
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
    def inputs(self) -> dict[str, Path | tuple[Path, ...]]:
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
