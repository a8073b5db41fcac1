"""Reading the scan of a recipe, with calibration and detector images."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning
from phaseloom.workflow.peaks.recipe import Correction, Scan

if TYPE_CHECKING:
    import xarray as xr

    from phaseloom.diffraction.calibration.calibration import Calibration

Image = NDArray[Any]


def scan_of(entry: Scan) -> tuple[xr.Dataset, Calibration | None]:
    """Read a scan, completed by the values of a recipe, and its calibration file.

    Raises
    ------
    InputError
        A file cannot be read, holds something else, or does not fit the others.
    """
    from phaseloom.io.scans import calibrated, oriented, read_scan, with_scan_shape

    scan = read_scan(entry.file, detector=entry.detector, partial=entry.partial)
    if entry.scan_shape is not None:
        scan = with_scan_shape(scan, entry.scan_shape)
    calibration = None
    if entry.calibration is not None:
        from phaseloom.workflow.peaks.calibrate import calibration_for

        calibration = calibration_for(
            entry.calibration, _detector_shape(scan), (entry.flip, entry.rotate)
        )
    scan = calibrated(
        scan,
        pixel_size=entry.pixel_size if calibration is None else calibration.pixel_size,
        step=entry.step,
        voltage=entry.voltage,
        precession=entry.precession,
        scan_rotation=entry.scan_rotation,
    )
    return oriented(scan, flip=entry.flip, rotate=entry.rotate), calibration


def warn_of_pixels(file: Path, units: str, shown: str) -> None:
    """Warn where the pixel size is not known, so that results are in px."""
    if units == "px":
        warnings.warn(
            f"{file}: the pixel size is not known, so {shown} are in px; "
            "--pixel-size or --calibration gives it",
            InputWarning,
            stacklevel=3,
        )


def detector_images(entry: Correction, scan: xr.Dataset) -> dict[str, Image | None]:
    """Read the images ``dark``, ``gain`` (float32), ``mask`` (bool) of a recipe; None: not given.

    They are in the orientation of the file, and turned as its patterns are.

    Raises
    ------
    InputError
        A file cannot be read, or its image has another shape than the patterns.
    """
    from phaseloom.io.scan_turning import shape_in_file, turn_of, turned

    turn = turn_of(scan.attrs)
    shape = shape_in_file(_detector_shape(scan), turn)
    images = {
        name: None if file is None else turned(_mean_image(file, shape), turn)
        for name, file in (("dark", entry.dark), ("gain", entry.gain), ("mask", entry.mask))
    }
    mask = images["mask"]
    if mask is not None:
        images["mask"] = mask != 0
    return images


def _mean_image(file: Path, shape: tuple[int, int]) -> Image:
    from phaseloom.io.scans import read_scan

    patterns = read_scan(file)["counts"].data
    if patterns.shape[2:] != shape:
        raise InputError(
            f"is an image of {_px(patterns.shape[2:])}, the patterns have {_px(shape)}",
            "give one of the same camera and binning",
            source=file,
        )
    mean = patterns.mean(axis=(0, 1)).compute(scheduler="synchronous")
    return np.asarray(mean, dtype=np.float32)


def _detector_shape(scan: xr.Dataset) -> tuple[int, int]:
    return int(scan.sizes["ky"]), int(scan.sizes["kx"])


def _px(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) + " px"
