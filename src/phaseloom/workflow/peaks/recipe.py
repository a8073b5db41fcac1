"""What to do with a scan of diffraction patterns."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from phaseloom.workflow.recipe import InputFile, Part, Recipe


def _pair(text: Any) -> Any:
    """Two numbers from "a,b" or "a×b", as a command line or a recipe has them."""
    if isinstance(text, str) and text != "auto":
        parts = re.split(r"\s*[,x×]\s*", text.strip())
        try:
            numbers = tuple(float(p) for p in parts)
        except ValueError:
            numbers = ()
        if len(numbers) != 2:
            raise ValueError(f"{text!r} is not of the form ROWS,COLUMNS")
        return tuple(int(n) if n.is_integer() else n for n in numbers)
    return tuple(text) if isinstance(text, list) else text


Positive = Annotated[int, Field(ge=1)]


class Scan(Part):
    """The scan, and what its file does not say or says wrongly."""

    file: InputFile = Field(description="the scan: .blo .mib .tvips .dm4 .hspy .zspy .emd .h5 …")
    detector: str | None = Field(None, description="which data set of the file (else the first)")
    partial: bool = Field(False, description="use a truncated file as far as it goes")
    scan_shape: Annotated[tuple[Positive, Positive] | None, BeforeValidator(_pair)] = Field(
        None, description='rows and columns of the scan: "rows,columns"'
    )
    pixel_size: float | None = Field(None, description="Å⁻¹ per detector pixel (k = 1/d)", gt=0)
    calibration: InputFile | None = Field(
        None, description="file of phaseloom calibrate: pixel size and ellipticity"
    )
    step: float | None = Field(None, description="nm between scan positions", gt=0)
    voltage: float | None = Field(None, description="kV", gt=0)
    precession: float | None = Field(None, description="precession angle in degrees", ge=0)
    scan_rotation: float | None = Field(
        None, description="from scan to diffraction pattern, in degrees"
    )

    @model_validator(mode="after")
    def _one_pixel_size(self) -> Self:
        if self.pixel_size is not None and self.calibration is not None:
            raise ValueError("pixel size and calibration file are both given: leave one out")
        return self


class Correction(Part):
    """From raw to corrected counts: (raw − dark) · gain, where a pixel is usable."""

    dark: InputFile | None = Field(None, description="image without beam, or several: their mean")
    gain: InputFile | None = Field(None, description="image that multiplies")
    mask: InputFile | None = Field(None, description="image: not zero where a pixel is usable")
    saturation: float | None = Field(
        None, description="raw value from which a pixel is saturated (the file's by default)", gt=0
    )
    hot: bool = Field(True, description="find dead and hot pixels")
    beam_stop: bool = Field(False, description="find the shadow of a beam stop")
    scan_mean: bool = Field(False, description="mean over 3×3 scan positions first")


class Centring(Part):
    """Where the direct beam is."""

    centre: Annotated[Literal["auto"] | tuple[float, float], BeforeValidator(_pair)] = Field(
        "auto", description='direct beam in the mean pattern: "auto" or "row,column" in px'
    )
    descan: Literal["plane", "each", "none"] = Field(
        "plane",
        description='the beam moves over the scan like a plane, in "each" pattern as found, or not',
    )


class Search(Part):
    """Which maxima are spots, and of which shape."""

    threshold: Literal["counts", "prominence"] = Field(
        "counts", description='stands out of counting noise, or by "prominence" as published'
    )
    false_alarms: float = Field(
        0.01, description="expected false spots per pattern (threshold = counts)", gt=0
    )
    shape: Literal["auto", "gaussian", "disk"] = Field("auto", description="of a spot")
    sigma: float | None = Field(
        None, description="of a Gaussian spot, px (from the data by default)", gt=0
    )
    radius: float | None = Field(
        None, description="of a disk, px (from the direct beam by default)", gt=0
    )
    max_peaks: int = Field(500, description="most spots of a pattern, the strongest", ge=1)

    @model_validator(mode="after")
    def _one_shape(self) -> Self:
        if self.sigma is not None and (self.radius is not None or self.shape == "disk"):
            raise ValueError("sigma is of a Gaussian spot: leave it out for disks")
        if self.radius is not None and self.shape == "gaussian":
            raise ValueError("radius is of a disk: leave it out for Gaussian spots")
        return self


class Selection(Part):
    """Which of the spots found are kept."""

    k_min: float | None = Field(
        None, description="least distance from the direct beam, Å⁻¹ (px without a pixel size)", ge=0
    )
    k_max: float | None = Field(None, description="largest distance", gt=0)
    intensity_min: float | None = Field(None, description="least intensity, counts", ge=0)
    prominence_min: float | None = Field(
        None, description="least prominence, counts per pixel", ge=0
    )
    significance_min: float | None = Field(
        None, description="least intensity in units of its standard error", ge=0
    )

    @model_validator(mode="after")
    def _something_left(self) -> Self:
        if self.k_max is not None and self.k_max <= (self.k_min or 0.0):
            raise ValueError(f"no spot lies between k_min {self.k_min} and k_max {self.k_max}")
        return self


class ScanRecipe(Recipe):
    """How the patterns of a scan are registered."""

    scan: Scan
    correction: Correction = Field(default_factory=Correction)
    centring: Centring = Field(default_factory=Centring)
    peaks: Search = Field(default_factory=Search)
    filter: Selection = Field(default_factory=Selection)


class PeaksRecipe(ScanRecipe):
    """Every spot of every diffraction pattern of a scan."""

    method: Literal["peaks"] = Field("peaks", description="")
    out: Path = Field(Path("phaseloom-peaks"), description="folder of the results")


def example() -> PeaksRecipe:
    """The recipe that ``phaseloom new peaks`` prints."""
    return PeaksRecipe(out=Path("results"), scan=Scan(file=Path("scan.blo")))
