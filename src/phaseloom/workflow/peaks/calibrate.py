"""Calibration of pixel size and ellipticity on a known crystal: ``phaseloom calibrate``."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phaseloom.diffraction.calibration.calibration import (
    Calibration,
    measured_rings,
    read_calibration,
)
from phaseloom.diffraction.calibration.spot_radii import rough_pixel_sizes
from phaseloom.errors import InputError, fault_of
from phaseloom.io.scan_turning import Turn, shape_in_file, turn_matrix, turn_of
from phaseloom.workflow.folder import check_folder_of
from phaseloom.workflow.peaks.recipe import CalibrationRequest, is_registered
from phaseloom.workflow.peaks.reconstruct import read_peaks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from phaseloom.crystals import Crystal
    from phaseloom.diffraction.peaks.table import Peaks
    from phaseloom.orientation.calibration.calibrating import Calibrated
    from phaseloom.orientation.calibration.spots import CalibrationSpots

_K_MAX = 2.5
"""Å⁻¹; rings beyond are too weak and too close to calibrate with."""

_EXPLAINED = 0.2
"""Part of the patterns that the crystal must explain."""

_NOT_BEAM = 3.0
"""px from the direct beam from which spots are the crystal's."""


class Measured(NamedTuple):
    """A calibration of the patterns as they were measured, and what is told of it.

    Parameters
    ----------
    calibration
        For patterns turned as they were measured.
    of
        "rings" or "spots".
    figure
        Of them.
    """

    calibration: Calibration
    of: str
    figure: Figure


def write_calibration(request: CalibrationRequest) -> dict[str, Any]:
    """Calibrate on rings in the mean of a file's patterns, or on the spots of a registered scan.

    Parameters
    ----------
    request
        Patterns, crystal, and the file to write, for ``phaseloom peaks --calibration``.

    Returns
    -------
    dict
        ``file``, ``figure``, ``pixel_size``, ``pixel_size_error`` (Å⁻¹), ``ellipticity`` (ratio of
        the axes), ``ellipticity_error``, ``centre`` (row, column), ``residual`` (px, rms),
        ``number`` (of rings or spots), ``of`` (which of them), ``crystal``.

    Raises
    ------
    InputError
        A file cannot be read, or nothing in the patterns fits the crystal.
    """
    from phaseloom.crystals import named_crystal
    from phaseloom.view.style import publication

    target, file = request.out, request.pattern
    check_folder_of(target)
    crystal = named_crystal(request.crystal)
    with fault_of(file):
        if is_registered(file):
            peaks = read_peaks(file)
            result = from_spots(peaks, crystal, request)
            turn = turn_of(peaks.data.attrs)
            shape = shape_in_file(peaks.detector_shape, turn)
            matrix = turn_matrix(turn).T
            calibration = _turned(result.calibration, peaks.detector_shape, matrix)
        else:
            result, shape = _from_rings(file, crystal, request.pixel_size, request.detector)
            calibration = result.calibration
    calibration.to_toml(target)
    with target.open("a", encoding="utf-8") as text:
        text.write(f"detector_shape = [{shape[0]}, {shape[1]}]\n")
    picture = target.with_suffix(".png")
    with publication():
        result.figure.savefig(picture)
    return {
        "file": str(target),
        "figure": str(picture),
        "pixel_size": calibration.pixel_size,
        "pixel_size_error": calibration.pixel_size_error,
        "ellipticity": calibration.ratio,
        "ellipticity_error": calibration.ratio_error,
        "centre": list(calibration.centre),
        "residual": calibration.residual,
        "number": calibration.number,
        "of": result.of,
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
    middle = (np.array(shape) - 1) / 2
    centre = matrix @ (np.array(calibration.centre) - middle) + np.abs(matrix) @ middle
    error = np.abs(matrix) @ np.array(calibration.centre_error)
    direction = np.radians(calibration.angle)
    row, column = matrix @ (np.sin(direction), np.cos(direction))
    return replace(
        calibration,
        distortion=_pairs(matrix @ np.array(calibration.distortion) @ matrix.T),
        centre=(float(centre[0]), float(centre[1])),
        centre_error=(float(error[0]), float(error[1])),
        angle=float(np.degrees(np.arctan2(row, column)) % 180),
    )


def _from_rings(
    file: Path, crystal: Crystal, guess: float | None, detector: str | None
) -> tuple[Measured, tuple[int, int]]:
    """Calibrate on the rings in the mean of a file's patterns; the patterns' shape besides."""
    from phaseloom.crystals import powder_rings
    from phaseloom.io.scans import read_scan
    from phaseloom.view.peaks.calibration import rings_figure

    scan = read_scan(file, detector=detector)
    if guess is None and scan["kx"].attrs.get("units") == "Å⁻¹" and scan.sizes["kx"] > 1:
        guess = float(scan["kx"][1] - scan["kx"][0])
    mean = scan["counts"].data.mean(axis=(0, 1), dtype=np.float64)
    pattern = np.asarray(mean.compute(scheduler="synchronous"))
    rings = powder_rings(crystal, _K_MAX)
    calibration, points = measured_rings(
        pattern, rings.k, intensities=rings.intensity, pixel_size_guess=guess
    )
    strongest = np.argsort(-rings.intensity, kind="stable")
    figure = rings_figure(
        pattern, calibration.pixel_size, calibration.distortion, calibration.centre,
        rings.k[strongest], (points.k, points.residual),
        title=_title(crystal, calibration, "rings"),
    )  # fmt: skip
    return Measured(calibration, "rings", figure), (pattern.shape[0], pattern.shape[1])


def from_spots(peaks: Peaks, crystal: Crystal, request: CalibrationRequest) -> Measured:
    """Calibrate on the spots of a crystal, or of many, by indexing them.

    Parameters
    ----------
    peaks
        A registered scan.
    crystal
        Its crystal.
    request
        What is known beforehand.

    Raises
    ------
    InputError
        The voltage is not known, or the crystal does not explain the spots at any pixel size.
    """
    from phaseloom.orientation.calibration.calibrating import Instrument, calibrate_scan
    from phaseloom.orientation.calibration.spots import calibration_spots
    from phaseloom.orientation.options import Matching

    voltage = request.voltage or peaks.data.attrs.get("voltage")
    if voltage is None:
        raise InputError("does not say the voltage of the beam", "give it in kV (--voltage)")
    precession = float(peaks.data.attrs.get("precession_angle") or 0.0)
    instrument = Instrument([crystal], float(voltage), precession)
    for size in _sizes(peaks, crystal, request.pixel_size):
        calibrated = calibrate_scan(
            peaks.calibrated(size), instrument, Matching(), seed=request.seed
        )
        if not calibrated.fits or not np.isfinite(calibrated.correction.scale_error):
            continue
        spots = calibration_spots(calibrated, seed=request.seed)
        if spots.explained >= _EXPLAINED:
            return _of_spots(calibrated, spots, crystal)
    raise InputError(
        f"the spots are not those of {crystal.name}: it explains too few of the patterns at any "
        "pixel size that was tried",
        "check the crystal, or give the pixel size within 12 % (--pixel-size)",
    )


def _sizes(peaks: Peaks, crystal: Crystal, guess: float | None) -> list[float]:
    """Pixel sizes about which to search, by what is known of them."""
    from phaseloom.crystals import powder_rings

    if guess is not None:
        return [guess]
    if peaks.units == "Å⁻¹":
        return [peaks.pixel_size]
    radius = np.hypot(*(peaks.data[name].to_numpy().astype(np.float64) for name in ("ky", "kx")))
    rings = powder_rings(crystal, _K_MAX)
    return [float(size) for size in rough_pixel_sizes(radius[radius > _NOT_BEAM], rings.k)]


def _of_spots(calibrated: Calibrated, spots: CalibrationSpots, crystal: Crystal) -> Measured:
    """Calibration and figure of spots."""
    from scipy.linalg import polar

    from phaseloom.view.peaks.calibration import spots_figure

    peaks, correction = calibrated.peaks, calibrated.correction
    # Distortions in turn make a rotation besides, which rings do not show.
    distortion = polar(peaks.distortion)[1]
    values, axes = np.linalg.eigh(distortion)
    shape = np.log(values[1] / values[0]) / 2
    errors = correction.error
    middle = (np.array(peaks.detector_shape) - 1) / 2
    centre = [float(np.nanmean(peaks.data[f"centre_{a}"])) for a in "yx"]
    if not np.isfinite(centre).all():
        centre = list(middle + correction.centre / peaks.pixel_size)
    # The axis that is shrunk is the long one of the ellipse.
    angle = float(np.degrees(np.arctan2(axes[0, 0], axes[1, 0])) % 180)
    spread = float(np.hypot(errors[1], errors[2]) / np.sqrt(2))
    along = spots.place / np.linalg.norm(spots.place, axis=1, keepdims=True)
    radial = (spots.residual * along).sum(axis=1) / peaks.pixel_size
    calibration = Calibration(
        pixel_size=peaks.pixel_size,
        pixel_size_error=peaks.pixel_size * float(errors[0]),
        distortion=_pairs(distortion),
        centre=(centre[0], centre[1]),
        centre_error=(float(errors[3] / peaks.pixel_size), float(errors[4] / peaks.pixel_size)),
        ratio=float(np.exp(2 * shape)),
        ratio_error=float(2 * np.exp(2 * shape) * spread),
        angle=angle,
        angle_error=float(min(np.degrees(spread / (2 * shape)), 90.0)) if shape > 0 else 90.0,
        residual=float(np.sqrt((radial**2).mean())),
        number=radial.size,
    )
    most = spots.pattern == np.bincount(spots.pattern).argmax()
    figure = spots_figure(
        (spots.place + spots.residual)[most], spots.place[most],
        (np.linalg.norm(spots.place, axis=1), radial),
        title=_title(crystal, calibration, "spots"),
    )  # fmt: skip
    return Measured(calibration, "spots", figure)


def _pairs(matrix: NDArray[np.float64]) -> tuple[tuple[float, float], tuple[float, float]]:
    (a, b), (c, d) = matrix.tolist()
    return (a, b), (c, d)


def _title(crystal: Crystal, calibration: Calibration, of: str) -> str:
    return (
        f"{crystal.name}: {calibration.pixel_size:.6g} ± {calibration.pixel_size_error:.1g} "
        f"Å$^{{-1}}$ per px, {calibration.number} {of}, residual {calibration.residual:.2f} px"
    )
