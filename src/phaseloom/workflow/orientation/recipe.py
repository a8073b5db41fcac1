"""What to do with a scan of diffraction patterns whose crystals are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from phaseloom.workflow.peaks.recipe import Scan, ScanRecipe
from phaseloom.workflow.recipe import InputFile, Part


class CrystalFile(Part):
    """A phase that the sample may hold."""

    file: InputFile = Field(description="its structure: a CIF file with symmetry and atoms")
    name: str | None = Field(
        None, description="its name in maps (the file's stem by default)", min_length=1
    )

    @property
    def label(self) -> str:
        """What maps call the phase."""
        return self.name or self.file.stem


class Matching(Part):
    """How orientations are searched."""

    zone_step: float = Field(2.0, description="between zone axes, in degrees", ge=0.5, le=10)
    in_plane_step: float = Field(2.0, description="about the beam, in degrees", ge=0.5, le=10)
    k_max: float | None = Field(
        None, description="largest 1/d that counts, Å⁻¹ (where the peaks end by default)", gt=0
    )
    thickness: float | None = Field(
        None, description="of the crystals in Å (fitted by default)", gt=0
    )
    solutions: int = Field(5, description="distinct solutions kept per pixel", ge=1, le=20)
    overlaps: bool = Field(False, description="look for a second crystal under the first")
    context: bool = Field(
        False, description="neighbours decide between solutions of an ambiguous pixel"
    )


class OrientationRecipe(ScanRecipe):
    """Phase and orientation of every pixel of a scan of diffraction patterns.

    ``scan.file`` may be a folder of registered peaks: then nothing is said of how to register.
    """

    method: Literal["index"] = Field("index", description="")
    out: Path = Field(Path("phaseloom-index"), description="folder of the results")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where patterns are matched")
    export: tuple[Literal["ang", "ctf", "h5"], ...] = Field(
        (), description='files for other programs: "ang", "ctf", "h5"'
    )
    matching: Matching = Field(default_factory=Matching)
    crystal: tuple[CrystalFile, ...] = Field(min_length=1)

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


def example() -> OrientationRecipe:
    """The recipe that ``phaseloom new index`` prints."""
    return OrientationRecipe(
        out=Path("results"),
        scan=Scan(file=Path("scan.blo")),
        crystal=(
            CrystalFile(file=Path("LiFePO4.cif")),
            CrystalFile(file=Path("FePO4.cif")),
        ),
    )
