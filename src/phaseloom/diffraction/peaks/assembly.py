"""Assembly of the peak table: from positions on the detector to calibrated vectors, and maps."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from phaseloom.diffraction.beam.centring import Beam, beam_plane
from phaseloom.diffraction.options import PeakSelection
from phaseloom.errors import InputWarning

if TYPE_CHECKING:
    import xarray as xr

    from phaseloom.diffraction.detector.correction import Correction
    from phaseloom.diffraction.peaks.table import Peaks
    from phaseloom.diffraction.spots.finder import Finder

_UNITS = {
    "intensity": "counts",
    "intensity_error": "counts",
    "peak_prominence": "counts/px",
    "background": "counts/px",
    "bright_field": "counts",
    "spot_sum": "counts",
    "noise": "counts/px",
    "prominence": "counts/px",
}

_UNKNOWN_ERROR = 0.1
"""px; within so much the published centre of mass counts as settled."""


def vectors(
    scan: xr.Dataset,
    found: dict[str, NDArray[Any]],
    beam: Beam,
    distortion: NDArray[np.float64] | None,
    descan: Literal["plane", "each", "none"],
) -> Peaks:
    """Places on the detector as vectors from the direct beam, calibrated."""
    import xarray as xr

    from phaseloom.diffraction.peaks.table import Peaks

    shape = (scan.sizes["y"], scan.sizes["x"])
    number = np.maximum(found["number"], 0)
    measured = np.isfinite(found["beam_row"])
    centre_y, centre_x = beam.maps(shape)
    scatter = math.nan
    if not beam.hidden and measured.any():
        # The published search states no errors: all its positions weigh the same.
        errors = np.where(np.isnan(found["beam_error"]), _UNKNOWN_ERROR, found["beam_error"])
        plane = beam_plane(
            found["beam_row"], found["beam_column"], errors, shape, each=descan == "each"
        )
        centre_y, centre_x, scatter = plane
        if descan == "none":
            centre_y = np.full(shape, np.nanmedian(found["beam_row"]))
            centre_x = np.full(shape, np.nanmedian(found["beam_column"]))
    elif not beam.hidden:
        warnings.warn(
            "no pattern shows the direct beam where it was expected; vectors are from its place "
            "in the sample",
            InputWarning,
            stacklevel=2,
        )
    position = np.repeat(np.arange(number.size), number)
    columns = {
        "ky": found["row"] - centre_y.ravel()[position],
        "kx": found["column"] - centre_x.ravel()[position],
        "intensity": found["intensity"],
        "ky_error": found["row_error"],
        "kx_error": found["column_error"],
        "intensity_error": found["intensity_error"],
        "peak_prominence": found["prominence_of_peak"],
        "background": found["background"],
    }
    maps = {
        "centre_y": centre_y, "centre_x": centre_x,
        "beam_y": found["beam_row"], "beam_x": found["beam_column"],
        "bright_field": found["bright_field"], "noise": found["noise"],
        "prominence": found["prominence"],
    }  # fmt: skip
    data = xr.Dataset(
        {
            name: ("peak", values.astype(np.float32), {"units": _UNITS.get(name, "px")})
            for name, values in columns.items()
        }
        | {
            name: (
                ("y", "x"),
                np.asarray(values, dtype=np.float32).reshape(shape),
                {"units": _UNITS.get(name, "px")},
            )
            for name, values in maps.items()
        }
        | {"offset": ("edge", np.concatenate([[0], np.cumsum(number)]).astype(np.int64))},
        coords={axis: scan[axis] for axis in ("y", "x")},
        attrs={
            "pixel_size": 1.0,
            "pixel_size_units": "px",
            "distortion": [1.0, 0.0, 0.0, 1.0],
            "detector_shape": [int(scan.sizes["ky"]), int(scan.sizes["kx"])],
            "beam_scatter": float(scatter),
            "beam_hidden": int(beam.hidden),
        },
    )
    peaks = Peaks(data)
    size, anisotropy, units = _pixel(scan)
    matrix = anisotropy if distortion is None else distortion @ anisotropy
    return peaks.calibrated(size, units=units, distortion=matrix)


def _pixel(scan: xr.Dataset) -> tuple[float, NDArray[np.float64], str]:
    """Pixel size, matrix that makes the pixels square, and unit."""
    units = [str(scan[axis].attrs.get("units", "px")) for axis in ("ky", "kx")]
    if "px" in units:
        return 1.0, np.eye(2), "px"
    steps = [
        float(np.ptp(scan[axis].to_numpy())) / max(1, scan.sizes[axis] - 1) for axis in ("ky", "kx")
    ]
    size = math.sqrt(steps[0] * steps[1])
    return size, np.diag(np.asarray(steps) / size), units[0]


def finished(
    peaks: Peaks,
    found: dict[str, NDArray[Any]],
    selection: PeakSelection,
    correction: Correction,
    beam: Beam,
    finder: Finder,
    threshold: str,
) -> xr.Dataset:
    """The finished table: filtered, with the maps that follow from the peaks, rounded."""
    from phaseloom.diffraction.peaks.filtering import filter_peaks
    from phaseloom.diffraction.peaks.precision import rounded
    from phaseloom.diffraction.peaks.virtual import spot_count, spot_sum

    if selection != PeakSelection():
        peaks = filter_peaks(peaks, selection=selection)
    data = peaks.data.copy()
    absent = (found["number"] < 0).reshape(peaks.shape)
    count = np.where(absent, -1, spot_count(peaks).to_numpy()).astype(np.int32)
    total = np.where(absent, np.nan, spot_sum(peaks).to_numpy()).astype(np.float32)
    data["spot_count"] = (("y", "x"), count, {"units": "1"})
    data["spot_sum"] = (("y", "x"), total, {"units": _UNITS["spot_sum"]})
    spot = finder.shape
    data.attrs["spot_shape"] = spot.kind
    if spot.kind == "gaussian":
        data.attrs["spot_sigma"] = spot.sigma
    else:
        data.attrs |= {"spot_radius": spot.radius, "spot_edge": spot.edge}
    data.attrs |= {
        "search": threshold,
        "gain": finder.gain,
        "floor": finder.floor,
        "masked_pixels": int(np.count_nonzero(~correction.mask)),
        "beam_radius": beam.radius,
    }
    if "averaged" in found:
        number = found["averaged"].reshape(peaks.shape)
        data["averaged"] = (("y", "x"), number.astype(np.int32), {"units": "1"})
        data.attrs["averaged_median"] = float(np.median(number))
    if threshold == "prominence":
        # As published: the mean over a disc.
        for name in ("intensity", "intensity_error", "spot_sum"):
            data[name].attrs["units"] = "counts/px"
    if threshold == "counts":
        level = finder.level(int(np.count_nonzero(correction.mask)))
        data.attrs |= {"threshold": level, "false_alarms": finder.false_alarms}
    return rounded(data)
