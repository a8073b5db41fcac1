"""Options of registration: detector correction, centring, spot search, selection of peaks."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, model_validator

from phaseloom.options import Options, option


def pair(value: Any) -> Any:
    """Two numbers from "a,b" or "a×b", as a command line or a recipe has them.

    Parameters
    ----------
    value
        Text of that form; "auto" stays as it is, lists and arrays become tuples.

    Raises
    ------
    ValueError
        The text has another form.
    """
    if value is None or (isinstance(value, str) and value == "auto"):
        return value
    parts: Any = re.split(r"\s*[,x×]\s*", value.strip()) if isinstance(value, str) else value
    try:
        numbers = tuple(float(part) for part in parts)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != 2:
        raise ValueError(f"{value!r} is not of the form ROWS,COLUMNS")
    return tuple(int(number) if number.is_integer() else number for number in numbers)


class DetectorCorrection(Options):
    """From raw to corrected counts: (raw − dark) · gain, where a pixel is usable."""

    saturation: float | None = option(
        None,
        "raw value from which a pixel is saturated (the file's by default)",
        unit="counts",
        expert=True,
        gt=0,
    )
    hot: bool = option(True, "find dead and hot pixels", expert=True)
    beam_stop: bool = option(False, "find the shadow of a beam stop", expert=True)
    scan_mean: bool = option(False, "mean over 3×3 scan positions first")
    average_neighbours: int = option(
        0,
        "for few electrons: add the patterns of the same grain up to so many scan positions away, "
        "never those across a boundary",
        form="RADIUS",
        ge=0,
        le=5,
    )

    @model_validator(mode="after")
    def _one_average(self) -> Self:
        if self.scan_mean and self.average_neighbours:
            raise ValueError(
                "scan_mean averages across boundaries and average_neighbours does not: "
                "leave one out"
            )
        return self


class Centring(Options):
    """Where the direct beam is."""

    centre: Annotated[Literal["auto"] | tuple[float, float], BeforeValidator(pair)] = option(
        "auto",
        'direct beam in the mean pattern: row and column in px, or "auto" to find it',
        form="auto|ROW,COLUMN",
    )
    descan: Literal["plane", "each", "none"] = option(
        "plane",
        'the beam moves over the scan like a "plane", is where it was found in "each" pattern, '
        'or does not move ("none")',
        expert=True,
    )


class SpotSearch(Options):
    """Which maxima are spots, and of which shape."""

    threshold: Literal["counts", "prominence"] = option(
        "counts",
        'spots stand out of the noise of the "counts", or by their "prominence" as published '
        "(Folastre et al., Sci. Rep. 2024)",
        expert=True,
    )
    false_alarms: float = option(
        0.01, "expected false spots per pattern (for the threshold of counts)", gt=0
    )
    shape: Literal["auto", "gaussian", "disk"] = option("auto", "shape of a spot")
    sigma: float | None = option(
        None, "sigma of a Gaussian spot (from the data by default)", unit="px", gt=0
    )
    radius: float | None = option(
        None, "radius of a disk (from the direct beam by default)", unit="px", gt=0
    )
    max_peaks: int = option(500, "most spots of a pattern, the strongest", expert=True, ge=1)

    @model_validator(mode="after")
    def _one_shape(self) -> Self:
        if self.sigma is not None and (self.radius is not None or self.shape == "disk"):
            raise ValueError("sigma is of a Gaussian spot: leave it out for disks")
        if self.radius is not None and self.shape == "gaussian":
            raise ValueError("radius is of a disk: leave it out for Gaussian spots")
        return self


class PeakSelection(Options):
    """Which of the spots found are kept."""

    k_min: float | None = option(
        None, "least distance from the direct beam (px without a pixel size)", unit="Å⁻¹", ge=0
    )
    k_max: float | None = option(
        None, "largest distance from the direct beam (px without a pixel size)", unit="Å⁻¹", gt=0
    )
    intensity_min: float | None = option(None, "least intensity", unit="counts", expert=True, ge=0)
    prominence_min: float | None = option(
        None, "least prominence", unit="counts per px", expert=True, ge=0
    )
    significance_min: float | None = option(
        None, "least intensity in units of its standard error", expert=True, ge=0
    )

    @model_validator(mode="after")
    def _something_left(self) -> Self:
        if self.k_max is not None and self.k_max <= (self.k_min or 0.0):
            raise ValueError(f"no spot lies between k_min {self.k_min} and k_max {self.k_max}")
        return self
