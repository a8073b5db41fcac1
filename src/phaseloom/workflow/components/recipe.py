"""Recipe of ``phaseloom cluster``: components of a scan whose patterns repeat."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from phaseloom.components.options import Factorisation, Overlaps, Preparation
from phaseloom.options import option
from phaseloom.workflow.orientation.recipe import (
    CrystalFile,
    crystals_option,
    distinct,
    example_crystals,
)
from phaseloom.workflow.peaks.recipe import Scan, ScanRecipe


class ComponentsRecipe(ScanRecipe):
    """Few patterns and their weight maps in place of a scan of diffraction patterns.

    ``scan.file`` may be a folder of registered peaks: then nothing is said of how to register.
    """

    method: Literal["cluster"] = option("cluster")
    device: Literal["auto", "cpu", "cuda"] = option("auto", "where torch computes")
    compare: tuple[Literal["kmeans", "mixture", "hdbscan", "gmvae"], ...] = option(
        (), "other clusterers whose labels are compared"
    )
    preparation: Preparation = Field(default_factory=Preparation)
    factorisation: Factorisation = Field(default_factory=Factorisation)
    overlaps: Overlaps = Field(default_factory=Overlaps)
    crystal: tuple[CrystalFile, ...] = crystals_option(
        "crystals that the components are indexed with; their orientations become a map"
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        distinct(self.crystal)
        k, background = self.factorisation.k, self.overlaps.background
        if isinstance(k, int) and isinstance(background, int) and background >= k:
            raise ValueError(f"background component {background} is none of {k}: they count from 0")
        return self


def example() -> ComponentsRecipe:
    """The recipe that ``phaseloom new cluster`` prints."""
    return ComponentsRecipe(
        out=Path("results"), scan=Scan(file=Path("scan.blo")), crystal=example_crystals()
    )


RECIPE = ComponentsRecipe
