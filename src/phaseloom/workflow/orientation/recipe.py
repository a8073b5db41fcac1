"""Recipe of ``phaseloom index``: phase and orientation maps of a scan with known crystals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from phaseloom.options import Options, option
from phaseloom.orientation.options import Matching
from phaseloom.workflow.peaks.recipe import Scan, ScanRecipe
from phaseloom.workflow.recipe import InputFile


class CrystalFile(Options):
    """A phase that the sample may hold."""

    file: InputFile = option(
        description="its structure: a CIF file with symmetry and atoms, or the name of a built-in "
        "crystal (Au)"
    )
    name: str | None = option(None, "its name in maps (the file's stem by default)", min_length=1)

    @property
    def label(self) -> str:
        """Name of the phase in maps."""
        return self.name or self.file.stem

    def moved(self, move: Callable[[Path], Path]) -> Self:
        """Copy with its path moved; the name of a built-in crystal stays as it is."""
        from phaseloom.crystals import builtin_names

        file = move(self.file)
        if str(self.file) in builtin_names() and not file.exists():
            return self
        return self.model_copy(update={"file": file})


def crystals_option(description: str, **bounds: Any) -> tuple[CrystalFile, ...]:
    """The crystals of a recipe, given as ``-p [NAME=]FILE.cif``."""
    given: tuple[CrystalFile, ...] = option(
        ... if bounds else (),
        description,
        form="[NAME=]FILE.cif|Au",
        flag="phase",
        short="p",
        key="name",
        **bounds,
    )
    return given


class OrientationRecipe(ScanRecipe):
    """Phase and orientation of every pixel of a scan of diffraction patterns.

    ``scan.file`` may be a folder of registered peaks: then nothing is said of how to register.
    """

    method: Literal["index"] = option("index")
    device: Literal["auto", "cpu", "cuda"] = option("auto", "where patterns are matched")
    export: tuple[Literal["ang", "ctf", "h5"], ...] = option(
        (), "files for other programs that are written, too", flag="to"
    )
    matching: Matching = Field(default_factory=Matching)
    crystal: tuple[CrystalFile, ...] = crystals_option(
        "crystals that the sample may hold", min_length=1
    )

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        distinct(self.crystal)
        return self


def distinct(crystals: Sequence[CrystalFile]) -> None:
    """Raise ValueError when two crystals have one name."""
    names = [entry.label for entry in crystals]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two crystals are called {twice[0]!r}: give them names (NAME=FILE.cif)")


def example_crystals() -> tuple[CrystalFile, ...]:
    """The crystals of example recipes."""
    return CrystalFile(file=Path("LiFePO4.cif")), CrystalFile(file=Path("FePO4.cif"))


def example() -> OrientationRecipe:
    """The recipe that ``phaseloom new index`` prints."""
    return OrientationRecipe(
        out=Path("results"), scan=Scan(file=Path("scan.blo")), crystal=example_crystals()
    )


RECIPE = OrientationRecipe
