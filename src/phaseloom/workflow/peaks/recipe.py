"""Recipe of ``phaseloom peaks``, the part of recipes that all scans share, smaller requests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from phaseloom.diffraction.options import (
    Centring,
    DetectorCorrection,
    PeakSelection,
    SpotSearch,
    pair,
)
from phaseloom.options import Options, option
from phaseloom.workflow.recipe import InputFile, Recipe

_STORES = (".zarr", ".zspy")
"""Folders of these names are files of patterns."""

Positive = Annotated[int, Field(ge=1)]


def _number(value: Any) -> Any:
    """A number from its text, as a command line has it."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


class Scan(Options):
    """The scan, and what its file does not say or says wrongly."""

    file: InputFile = option(
        description="a file of patterns: .blo .mib .tvips .dm4 .hspy .zspy .emd .h5 …, for index "
        "and cluster also a folder of phaseloom peaks",
        form="SCAN",
        argument=True,
    )
    pixel_size: float | None = option(
        None, "of a detector pixel in the pattern (k = 1/d, no 2π)", unit="Å⁻¹", gt=0
    )
    calibration: InputFile | None = option(
        None, "pixel size and ellipticity, from phaseloom calibrate", form="FILE.toml"
    )
    step: float | None = option(None, "between scan positions", unit="nm", gt=0)
    voltage: float | None = option(None, "acceleration voltage", unit="kV", gt=0)
    precession: float | None = option(None, "precession angle", unit="degrees", ge=0)
    scan_shape: Annotated[tuple[Positive, Positive] | None, BeforeValidator(pair)] = option(
        None, "rows and columns of the scan, where the file has only a series", form="ROWS,COLUMNS"
    )
    scan_rotation: float | None = option(
        None,
        "taken out of all vectors: the detector's image is rotated so far counter-clockwise "
        "against the scan",
        unit="degrees",
    )
    flip: Literal["none", "rows", "columns"] = option(
        "none", "reverse the rows or columns of the detector's image, before anything else"
    )
    rotate: Annotated[Literal[0, 90, 180, 270], BeforeValidator(_number)] = option(
        0, "degrees counter-clockwise of the detector's image, after --flip", form="0|90|180|270"
    )
    detector: str | None = option(
        None, "data set of the file (the first by default)", form="NAME", expert=True
    )
    partial: bool = option(False, "use a truncated file as far as it goes", expert=True)

    @model_validator(mode="after")
    def _one_pixel_size(self) -> Self:
        if self.pixel_size is not None and self.calibration is not None:
            raise ValueError("pixel size and calibration file are both given: leave one out")
        return self


class Correction(DetectorCorrection):
    """From raw to corrected counts: (raw − dark) · gain, where a pixel is usable."""

    dark: InputFile | None = option(
        None, "image without beam, or several: their mean", form="FILE", expert=True
    )
    gain: InputFile | None = option(None, "image that multiplies", form="FILE", expert=True)
    mask: InputFile | None = option(
        None, "image: not zero where a pixel is usable", form="FILE", expert=True
    )


class ScanRecipe(Recipe):
    """How the patterns of a scan are registered."""

    scan: Scan
    correction: Correction = Field(default_factory=Correction)
    centring: Centring = Field(default_factory=Centring)
    peaks: SpotSearch = Field(default_factory=SpotSearch)
    filter: PeakSelection = Field(default_factory=PeakSelection)

    @property
    def input_name(self) -> str:
        """The name of the scan's file, without extension."""
        return self.scan.file.resolve().stem

    @property
    def inputs(self) -> dict[str, Path]:
        """The scan's file, or the folder of peaks."""
        return {"scan": self.scan.file}

    @property
    def folder(self) -> Path:
        """The folder of the results: ``out``, the folder of peaks, or one in the scan's name."""
        if self.out is None and self.method != "peaks" and is_registered(self.scan.file):
            return self.scan.file
        return super().folder

    @property
    def beside(self) -> bool:
        """Whether the results join the peaks of the folder that is the input."""
        file = self.scan.file
        return is_registered(file) and self.folder.resolve() == file.resolve()


class PeaksRecipe(ScanRecipe):
    """Every spot of every diffraction pattern of a scan."""

    method: Literal["peaks"] = option("peaks")


class ReconstructionRequest(Options):
    """Clean patterns from registered peaks: ``phaseloom reconstruct``."""

    folder: InputFile = option(
        description="folder that phaseloom peaks wrote", form="DIR", argument=True
    )
    to: Literal["blo", "hspy", "zspy", "tif"] = option(
        description="format: 8 bits (blo), float32 (hspy, zspy), 16 bits (tif)"
    )
    out: Path | None = option(
        None, "the file to write (clean.FORMAT in the folder by default)", form="FILE"
    )
    size: int | None = option(None, "along a side (as on the detector by default)", unit="px", ge=2)
    k_max: float | None = option(
        None, "half the width of the new patterns (as on the detector by default)", unit="Å⁻¹"
    )
    sigma: float | None = option(None, "draw Gaussians of this width (1.5 by default)", unit="px")
    radius: float | None = option(None, "draw disks of this radius instead", unit="px")
    intensity: Literal["auto", "integrated", "root"] = option(
        "auto",
        "of the spots: counts, or their square root (auto: where whole numbers of the "
        "counts would lose a spot)",
    )


class CalibrationRequest(Options):
    """A calibration from the patterns of a known crystal: ``phaseloom calibrate``."""

    pattern: InputFile = option(
        description="patterns of a known crystal, or a folder that phaseloom peaks wrote",
        form="PATTERN",
        argument=True,
    )
    crystal: str = option(
        description="the crystal in the patterns", flag="phase", short="p", form="FILE.cif|Au"
    )
    pixel_size: float | None = option(
        None, "about how large a pixel is; else from the file, or searched for", unit="Å⁻¹"
    )
    voltage: float | None = option(
        None, "of the beam, where a folder of peaks does not say it", unit="kV", gt=0
    )
    out: Path = option(
        Path("calibration.toml"), "the file to write; a figure (.png) beside it", form="FILE.toml"
    )
    seed: int = option(0, "which patterns of a folder of peaks are asked", expert=True)
    detector: str | None = option(None, "data set of the file", form="NAME", expert=True)


def is_registered(file: Path) -> bool:
    """Whether a recipe's scan is a folder of peaks."""
    from phaseloom.io.readers.image_files import images_in

    return file.is_dir() and file.suffix.lower() not in _STORES and not images_in(file)


def example() -> PeaksRecipe:
    """The recipe that ``phaseloom new peaks`` prints."""
    return PeaksRecipe(out=Path("results"), scan=Scan(file=Path("scan.blo")))


RECIPE = PeaksRecipe
