"""What to do with a scan whose patterns repeat: few components in place of all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from phaseloom.workflow.orientation.recipe import CrystalFile, distinct
from phaseloom.workflow.peaks.recipe import Scan, ScanRecipe
from phaseloom.workflow.recipe import Part


class Preparation(Part):
    """Which patterns are factorised, and how they are made ready."""

    patterns: Literal["raw", "registered", "mean", "peaks"] | None = Field(
        None,
        description='"raw" (default), "registered": rebuilt from peaks (default of a folder of '
        'them), "mean": of 3×3, "peaks": only their pixels',
    )
    size: int = Field(128, description="pixels along a side of a pattern", ge=11, le=1024)
    mask_radius: float | None = Field(
        None, description="of the direct beam that is left out, detector px (else found)", ge=0
    )
    scaling: Literal["poisson", "none"] = Field(
        "poisson", description="so that counting noise weighs equally everywhere, or as it is"
    )


class Factorisation(Part):
    """How many components, and how they are found."""

    k: Literal["auto"] | Annotated[int, Field(ge=1, le=256)] = Field(
        "auto", description='number of components, background included, or "auto"'
    )
    k_max: int = Field(20, description="largest number that is tried (k = auto)", ge=3, le=256)
    choose: Literal["sound", "published"] = Field(
        "sound",
        description="by redundancy, stability and held-out counts, or by the published votes",
    )
    loss: Literal["frobenius", "kl"] = Field(
        "frobenius", description="squared differences, or Kullback-Leibler's divergence"
    )
    start: Literal["pure", "nndsvd", "random"] = Field("pure", description="where fits begin")
    sparsity: float = Field(0.0, description="penalty on weights (0: none)", ge=0)
    smoothness: float = Field(0.0, description="penalty on steps of the weight maps", ge=0)
    seeds: int = Field(5, description="starts at each number of components", ge=1, le=100)


class Overlaps(Part):
    """When a position belongs to two components."""

    background: Literal["auto", "none"] | Annotated[int, Field(ge=0)] = Field(
        "auto", description='component that is no grain: found ("auto"), "none", or its number'
    )
    background_ratio: float = Field(
        0.65, description="second weight over the background's that makes a grain (T)", gt=0, le=1
    )
    overlap_ratio: float = Field(
        0.75, description="second weight over the first that makes an overlap (s)", gt=0, le=1
    )


class ComponentsRecipe(ScanRecipe):
    """Few patterns and their weight maps in place of a scan of diffraction patterns.

    ``scan.file`` may be a folder of registered peaks: then nothing is said of how to register.
    """

    method: Literal["cluster"] = Field("cluster", description="")
    out: Path = Field(Path("phaseloom-cluster"), description="folder of the results")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where torch computes")
    compare: tuple[Literal["kmeans", "mixture", "hdbscan", "gmvae"], ...] = Field(
        (), description='other methods beside it: "kmeans", "mixture", "hdbscan", "gmvae"'
    )
    preparation: Preparation = Field(default_factory=Preparation)
    factorisation: Factorisation = Field(default_factory=Factorisation)
    overlaps: Overlaps = Field(default_factory=Overlaps)
    crystal: tuple[CrystalFile, ...] = Field(
        (), description="crystals that the components are indexed with: tables [[crystal]]"
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
        out=Path("results"),
        scan=Scan(file=Path("scan.blo")),
        crystal=(CrystalFile(file=Path("LiFePO4.cif")), CrystalFile(file=Path("FePO4.cif"))),
    )
