"""The calibration of a camera as a file: ``phaseloom calibrate`` writes it, ``peaks`` reads it."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import Field

from phaseloom.errors import InputError
from phaseloom.workflow.recipe import Part, to_toml, validated


class CalibrationFile(Part):
    """Calibration of a camera, from the patterns of a known crystal."""

    pixel_size: float = Field(description="Å⁻¹ per detector pixel (k = 1/d, no 2π)", gt=0)
    pixel_size_error: float = Field(0.0, description="its standard error", ge=0)
    distortion: tuple[float, float, float, float] = Field(
        (1.0, 0.0, 0.0, 1.0),
        description="2×2, row by row: detector px to corrected px, both from the direct beam",
    )
    detector_shape: tuple[int, int] = Field(description="rows and columns of the patterns")
    crystal: str = Field("", description="what the patterns are of")
    source: str = Field("", description="file of the patterns")


def read_calibration(path: Path) -> CalibrationFile:
    """A calibration from its file.

    Raises
    ------
    InputError
        It cannot be read, or a value is missing or wrong.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", None, source=path) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            f"is not a calibration in TOML ({error})", "phaseloom calibrate writes one", source=path
        ) from error
    found = validated(CalibrationFile, data, source=path)
    a, b, c, d = found.distortion
    if not a * d - b * c > 0:
        raise InputError("its distortion cannot be", "calibrate again", source=path)
    return found


def write_calibration_file(calibration: CalibrationFile, path: Path) -> None:
    """Write a calibration as commented TOML."""
    path.write_text(to_toml(calibration), encoding="utf-8")
