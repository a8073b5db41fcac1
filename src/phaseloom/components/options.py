"""Options of the search for components: preparation, factorisation, overlaps."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from phaseloom.options import Options, option

Patterns = Literal["raw", "registered", "mean", "peaks"]
Scaling = Literal["poisson", "none"]
Choose = Literal["sound", "published"]
Loss = Literal["frobenius", "kl"]
Start = Literal["pure", "nndsvd", "random"]
Background = Literal["auto", "none"]


class PatternOptions(Options):
    """Which patterns are factorised, of which size, and what of them is left out."""

    patterns: Patterns | None = option(
        None,
        'what is factorised: "raw" counts (default of a scan), "registered": drawn from peaks '
        '(default of peaks), "mean" counts of 3×3 positions, "peaks": counts of pixels with peaks',
    )
    size: int = option(
        128, "pixels along the longer side of a pattern", unit="px", expert=True, ge=11, le=1024
    )
    mask_radius: float | None = option(
        None,
        "radius on the detector around the direct beam that is left out (found by default)",
        unit="px",
        ge=0,
    )


class Preparation(PatternOptions):
    """Which patterns are factorised, and how they are prepared."""

    scaling: Scaling = option(
        "poisson",
        'division by the roots of row and column means, so that counting noise weighs equally '
        'everywhere ("poisson"), or counts as they are ("none")',
        expert=True,
    )  # fmt: skip


class Factorisation(Options):
    """Number of components, and how they are fitted."""

    renamed: ClassVar[dict[str, str]] = {"k_max": "components_max"}

    k: Literal["auto"] | Annotated[int, Field(ge=1, le=256)] = option(
        "auto", 'number of components, background included; "auto" finds it', flag="k"
    )
    components_max: int = option(
        20, "largest number of components that is tried (k = auto)", ge=3, le=256
    )
    choose: Choose = option(
        "sound",
        'the number of components is chosen by redundancy, stability and held-out counts '
        '("sound"), or by the votes of Cao et al. ("published")',
        expert=True,
    )  # fmt: skip
    loss: Loss = option(
        "frobenius",
        'squared differences ("frobenius"), or Kullback-Leibler divergence ("kl")',
        expert=True,
    )
    start: Start = option(
        "pure",
        'fits begin at the purest positions ("pure"), at singular vectors ("nndsvd"), or at '
        'random ("random")',
        expert=True,
    )
    sparsity: float = option(0.0, "penalty on weights (0: none)", expert=True, ge=0)
    smoothness: float = option(0.0, "penalty on steps of the weight maps", expert=True, ge=0)
    seeds: int = option(5, "starts at each number of components", expert=True, ge=1, le=100)

    @model_validator(mode="after")
    def _penalties_need_least_squares(self) -> Self:
        # Weights of least divergence always add up to the counts: a penalty prefers none.
        for name, penalty in (("sparsity", self.sparsity), ("smoothness", self.smoothness)):
            if self.loss == "kl" and penalty:
                raise ValueError(
                    f"{name} goes with least squares only: leave out the {name}, or the loss kl"
                )
        return self


class Overlaps(Options):
    """When a position belongs to two components."""

    background: Background | Annotated[int, Field(ge=0)] = option(
        "auto", 'component that is no grain: found ("auto"), "none", or its number', expert=True
    )
    background_ratio: float = option(
        0.65,
        "weight of the second component over the background's from which a position is a grain (T)",
        expert=True,
        gt=0,
        le=1,
    )
    overlap_ratio: float = option(
        0.75,
        "weight of the second component over the first's from which a position is an overlap (s)",
        expert=True,
        gt=0,
        le=1,
    )
