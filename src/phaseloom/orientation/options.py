"""Options of the steps that map orientations; see :mod:`phaseloom.options`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from phaseloom.options import Options, option


class Matching(Options):
    """How orientations are searched, and what is fitted besides."""

    scale: Literal["auto"] | Annotated[float, Field(gt=0)] = option(
        "auto",
        "factor of the pixel size: 1 takes that of the file as exact; auto finds it within 12 %, "
        "with elliptic distortion and centre, from the spots of the crystals",
    )
    k_max: float | None = option(
        None,
        "largest 1/d that counts (where the peaks end by default)",
        unit="Å⁻¹",
        flag="match-k-max",
        gt=0,
    )
    thickness: float | None = option(
        None, "thickness of the crystals (fitted by default)", unit="Å", gt=0
    )
    overlaps: bool = option(False, "look for a second crystal under the first")
    context: bool = option(False, "neighbours decide between solutions of an ambiguous pixel")
    zone_step: float = option(
        2.0, "step between zone axes of the library", unit="degrees", expert=True, ge=0.5, le=10
    )
    in_plane_step: float = option(
        2.0, "step about the beam of the library", unit="degrees", expert=True, ge=0.5, le=10
    )
    solutions: int = option(
        5, "distinct solutions kept per pixel, best first", expert=True, ge=1, le=20
    )
