"""Calibration of pixel size and ellipticity on a known crystal: ``phaseloom calibrate``."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.diffraction.calibration.calibration import (
    Calibration,
    calibrate_rings,
    calibrate_spots,
    read_calibration,
)
from phaseloom.errors import InputError, fault_of
from phaseloom.io.scan_turning import Turn, shape_in_file, turn_matrix, turn_of
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


def calibration_for(path: Path, shape: tuple[int, int], turn: Turn = ("none", 0)) -> Calibration:
    """The calibration in a file, for patterns of that shape, turned as they are.

    Calibration files are for the detector's image as files have it.

    Parameters
    ----------
    path
        The calibration file.
    shape
        Rows and columns of the patterns, before they are turned.
    turn
        Flip and rotation of the patterns.

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
    return _turned(calibration, shape, turn_matrix(turn))


def _turned(
    calibration: Calibration, shape: tuple[int, int], matrix: NDArray[np.float64]
) -> Calibration:
    """The calibration of images turned by a matrix, of that shape before."""
    if (matrix == np.eye(2)).all():
        return calibration
    (a, b), (c, d) = (matrix @ np.array(calibration.distortion) @ matrix.T).tolist()
    middle = (np.array(shape) - 1) / 2
    centre = matrix @ (np.array(calibration.centre) - middle) + np.abs(matrix) @ middle
    error = np.abs(matrix) @ np.array(calibration.centre_error)
    direction = np.radians(calibration.angle)
    row, column = matrix @ (np.sin(direction), np.cos(direction))
    return replace(
        calibration,
        distortion=((a, b), (c, d)),
        centre=(float(centre[0]), float(centre[1])),
        centre_error=(float(error[0]), float(error[1])),
        angle=float(np.degrees(np.arctan2(row, column)) % 180),
    )


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
    turn = turn_of(peaks.data.attrs)
    calibration = _turned(calibration, peaks.detector_shape, turn_matrix(turn).T)
    return calibration, shape_in_file(peaks.detector_shape, turn)
