"""What to do with stacks of X-ray images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from phaseloom.workflow.recipe import InputFile, Part, Recipe

_NAME = r"^([^./\\_]|_[^_/\\])[^/\\]*$"
"""Names of stacks become names of groups and files."""


class Stack(Part):
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

    def moved(self, move: Callable[[Path], Path]) -> Self:
        """The same with every path in it moved: I0 may be one, too."""
        i0 = self.i0 if self.i0 == "auto" or ":" in self.i0 else move(Path(self.i0)).as_posix()
        return super().moved(move).model_copy(update={"i0": i0})


class Reference(Part):
    """A reference spectrum, several in one file, or a stack of one material."""

    file: InputFile = Field(
        description="spectra (.csv .xas .xdi two-column text), or a dense stack"
    )
    label: str | None = Field(None, description="name of the phase (from the file by default)")


class Preparation(Part):
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


class Mapping(Part):
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


class StxmRecipe(Recipe):
    """Phase maps from stacks of X-ray images and reference spectra."""

    method: Literal["stxm"] = Field("stxm", description="")
    out: Path = Field(Path("phaseloom-stxm"), description="folder of the results")
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
