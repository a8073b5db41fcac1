"""Calibration of pixel size and ellipticity on a known crystal: ``phaseloom calibrate``."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phaseloom.diffraction.calibration.calibration import (
    Calibration,
    calibrate_rings,
    calibrate_spots,
    read_calibration,
)
from phaseloom.errors import InputError, fault_of
from phaseloom.workflow.folder import check_folder_of
from phaseloom.workflow.peaks.recipe import CalibrationRequest, is_registered
from phaseloom.workflow.peaks.reconstruct import read_peaks

if TYPE_CHECKING:
    from phaseloom.crystals import Crystal

_K_MAX = 2.5
"""Å⁻¹; rings beyond are too weak and too close to calibrate with."""


def write_calibration(request: CalibrationRequest) -> dict[str, Any]:
    """Calibrate on rings in the mean of a file's patterns, or on the spots of a registered scan.

    Parameters
    ----------
    request
        Patterns, crystal, and the file to write, for ``phaseloom peaks --calibration``.

    Returns
    -------
    dict
        ``file``, ``pixel_size``, ``pixel_size_error`` (Å⁻¹), ``ellipticity`` (ratio of the axes),
        ``ellipticity_error``, ``centre`` (row, column), ``residual`` (px), ``number`` (of rings
        or spots), ``crystal``.

    Raises
    ------
    InputError
        A file cannot be read, or nothing in the patterns fits the crystal.
    """
    from phaseloom.crystals import named_crystal

    target, measured = request.out, request.pattern
    check_folder_of(target)
    crystal = named_crystal(request.crystal)
    with fault_of(measured):
        if is_registered(measured):
            calibration, shape = _from_spots(measured, crystal, request.pixel_size)
        else:
            calibration, shape = _from_rings(
                measured, crystal, request.pixel_size, request.detector
            )
    calibration.to_toml(target)
    with target.open("a", encoding="utf-8") as file:
        file.write(f"detector_shape = [{shape[0]}, {shape[1]}]\n")
    return {
        "file": str(target),
        "pixel_size": calibration.pixel_size,
        "pixel_size_error": calibration.pixel_size_error,
        "ellipticity": calibration.ratio,
        "ellipticity_error": calibration.ratio_error,
        "centre": list(calibration.centre),
        "residual": calibration.residual,
        "number": calibration.number,
        "crystal": crystal.name,
    }


def calibration_for(path: Path, shape: tuple[int, int]) -> Calibration:
    """The calibration in a file, for patterns of that shape.

    Raises
    ------
    InputError
        The file is no calibration, or one for patterns of another shape (camera or binning).
    """
    calibration = read_calibration(path)
    detector_shape = tomllib.loads(path.read_text(encoding="utf-8")).get("detector_shape")
    if detector_shape is not None and tuple(detector_shape) != shape:
        raise InputError(
            f"is for patterns of {'×'.join(map(str, detector_shape))} px, "
            f"these are {shape[0]}×{shape[1]}",
            "calibrate with patterns of the same camera and binning",
            source=path,
        )
    return calibration


def _from_rings(
    file: Path, crystal: Crystal, guess: float | None, detector: str | None
) -> tuple[Calibration, tuple[int, int]]:
    from phaseloom.crystals import powder_rings
    from phaseloom.io.scans import read_scan

    scan = read_scan(file, detector=detector)
    if guess is None and scan["kx"].attrs.get("units") == "Å⁻¹" and scan.sizes["kx"] > 1:
        guess = float(scan["kx"][1] - scan["kx"][0])
    mean = scan["counts"].data.mean(axis=(0, 1), dtype=np.float64)
    pattern = np.asarray(mean.compute(scheduler="synchronous"))
    rings = powder_rings(crystal, _K_MAX)
    calibration = calibrate_rings(
        pattern, rings.k, intensities=rings.intensity, pixel_size_guess=guess
    )
    return calibration, (pattern.shape[0], pattern.shape[1])


def _from_spots(
    folder: Path, crystal: Crystal, guess: float | None
) -> tuple[Calibration, tuple[int, int]]:
    from phaseloom.crystals import powder_rings

    peaks = read_peaks(folder)
    if guess is None and peaks.units == "Å⁻¹":
        guess = peaks.pixel_size
    # Without the pixel size and ellipticity of the table: both are to be found.
    px = peaks.calibrated(1.0, units="px", distortion=np.eye(2)).data
    errors = np.hypot(px["ky_error"].to_numpy(), px["kx_error"].to_numpy()) / np.sqrt(2)
    calibration = calibrate_spots(
        px["ky"].to_numpy(),
        px["kx"].to_numpy(),
        powder_rings(crystal, _K_MAX).k,
        errors=errors,
        pixel_size_guess=guess,
    )
    return calibration, peaks.detector_shape
