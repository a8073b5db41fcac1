"""The peaks of a registered scan, as figures and report read them: groups under ``/peaks``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.view.scans import ScanResult, group_of, scan_maps, subgroups

Columns = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Registered(ScanResult):
    """The peaks of a registered scan.

    Parameters
    ----------
    data
        Group ``/peaks``: columns (peak), ``offset``, maps (y, x).
    sample
        Group ``/peaks/sample``: ``pattern`` (sample, ky, kx) in counts, the indices ``y`` and
        ``x`` of its scan position; None when it is absent.
    density
        Group ``/peaks/density``: ``density`` (ky, kx), ``radial`` (k); None when it is absent.
    virtual
        Group ``/peaks/virtual``: virtual images (y, x); None when it is absent.
    """

    sample: xr.Dataset | None = None
    density: xr.Dataset | None = None
    virtual: xr.Dataset | None = None

    @property
    def units(self) -> str:
        """Unit of the vectors: "Å⁻¹" or "px"."""
        return str(self.data.attrs.get("pixel_size_units", "px"))

    @property
    def pixel_size(self) -> float:
        """Units per detector pixel."""
        return float(self.data.attrs.get("pixel_size", 1.0))

    @property
    def distortion(self) -> NDArray[np.float64]:
        """2×2 matrix from detector px to corrected px, both from the direct beam."""
        flat = self.data.attrs.get("distortion", (1.0, 0.0, 0.0, 1.0))
        return np.asarray(flat, dtype=np.float64).reshape(2, 2)

    @property
    def spot_size(self) -> float:
        """Sigma of a Gaussian spot or radius of a disk, in px; NaN when not stated."""
        disk = self.data.attrs.get("spot_shape") == "disk"
        return float(self.data.attrs.get("spot_radius" if disk else "spot_sigma", np.nan))

    @property
    def template(self) -> str:
        """The spot template in words: shape and size."""
        if self.data.attrs.get("spot_shape") == "disk":
            return f"a disk of radius {self.spot_size:.2f} px"
        return f"a Gaussian of sigma {self.spot_size:.2f} px"

    @property
    def ellipticity(self) -> float:
        """Ratio of the axes of the distortion, less one."""
        large, small = np.linalg.svd(self.distortion, compute_uv=False)
        return float(large / small - 1.0)

    @property
    def count(self) -> NDArray[np.int64]:
        """Peaks per scan position, (y, x)."""
        return np.diff(self.data["offset"].to_numpy()).reshape(self.shape).astype(np.int64)

    @property
    def unmeasured(self) -> NDArray[np.bool_]:
        """Positions whose pattern had no usable pixels, (y, x)."""
        if "spot_count" not in self.data:
            return np.zeros(self.shape, dtype=np.bool_)
        return np.asarray(self.data["spot_count"].to_numpy() < 0)

    def centre(self, y: int, x: int) -> tuple[float, float]:
        """Row and column of the direct beam at a scan position, px; NaN when not known."""
        if "centre_y" not in self.data or "centre_x" not in self.data:
            return float("nan"), float("nan")
        return float(self.data["centre_y"][y, x]), float(self.data["centre_x"][y, x])

    def spots(self, y: int, x: int) -> Columns:
        """The spots of one pattern in detector coordinates.

        Returns
        -------
        dict of str to numpy.ndarray
            ``row``, ``column`` (px), their errors ``row_error``, ``column_error``,
            ``intensity``, ``intensity_error`` (counts) and ``significance``.
        """
        offset = self.data["offset"].to_numpy()
        position = y * self.shape[1] + x
        chosen = self.data.isel(peak=slice(int(offset[position]), int(offset[position + 1])))
        vector = np.stack([_column(chosen, name) for name in ("ky", "kx")])
        error = np.stack([_column(chosen, name) for name in ("ky_error", "kx_error")])
        back = np.linalg.inv(self.distortion) / self.pixel_size
        row, column = back @ vector + np.array(self.centre(y, x))[:, None]
        row_error, column_error = np.sqrt(back**2 @ error**2)
        return {
            "row": row,
            "column": column,
            "row_error": row_error,
            "column_error": column_error,
            "intensity": _column(chosen, "intensity"),
            "intensity_error": _column(chosen, "intensity_error"),
            "significance": significance(chosen),
        }

    def position_error(self) -> NDArray[np.float64]:
        """Standard error of every peak's position per axis (rms of the two), in px."""
        squared = _column(self.data, "ky_error") ** 2 + _column(self.data, "kx_error") ** 2
        return np.asarray(np.sqrt(squared / 2)) / self.pixel_size

    def displacement(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Maps of the displacement of the direct beam from its median position, px: rows, columns.

        As measured in every pattern (``beam_y``, ``beam_x``) where the result keeps that, else
        as used (``centre_y``, ``centre_x``).
        """
        rows, columns = (self.data[name].to_numpy().astype(float) for name in self._beam)
        return rows - np.nanmedian(rows), columns - np.nanmedian(columns)

    def off_plane(self) -> NDArray[np.float64]:
        """Residual of the displacement of the direct beam, (2, y, x) in px: row, column.

        Measured minus used positions; where the measured ones are not kept, the residual of the
        used ones from a least-squares plane.
        """
        if self._beam == _MEASURED:
            return np.stack(
                [
                    self.data[measured].to_numpy().astype(float) - self.data[used].to_numpy()
                    for measured, used in zip(_MEASURED, _USED, strict=True)
                ]
            )
        return np.stack([_off_plane(values) for values in self.displacement()])

    @property
    def _beam(self) -> tuple[str, str]:
        return _MEASURED if set(_MEASURED) <= set(self.data.variables) else _USED


_USED = ("centre_y", "centre_x")
_MEASURED = ("beam_y", "beam_x")
GROUPS = ("sample", "density", "virtual")


def registered(tree: xr.DataTree) -> Registered:
    """The registered scan of a result: its group ``/peaks``; refused when that is no peak table."""
    group = group_of(
        tree,
        "peaks",
        needs=("offset",),
        absent=("the result holds no diffraction peaks", "register a scan first"),
    )
    parts = subgroups(group, GROUPS)
    data = scan_maps(group.to_dataset())
    if "virtual" in parts:
        axes = {axis: data[axis] for axis in ("y", "x")}
        parts["virtual"] = scan_maps(parts["virtual"].assign_coords(axes))
    return Registered(data, **parts)


def significance(data: xr.Dataset) -> NDArray[np.float64]:
    """Intensity of every peak over its standard error."""
    error = _column(data, "intensity_error")
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(error > 0, _column(data, "intensity") / error, np.nan))


def _column(data: xr.Dataset, name: str) -> NDArray[np.float64]:
    """A column in double precision; NaN throughout when the table lacks it."""
    if name not in data:
        return np.full(data.sizes["peak"], np.nan)
    return data[name].to_numpy().astype(np.float64)


def _off_plane(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Residual of a map (y, x) from its least-squares plane; NaN where the map is."""
    y, x = np.indices(values.shape, dtype=float)
    design = np.stack([np.ones(values.size), y.ravel(), x.ravel()], axis=1)
    usable = np.isfinite(values).ravel()
    plane, *_ = np.linalg.lstsq(design[usable], values.ravel()[usable], rcond=None)
    return np.asarray(values - (design @ plane).reshape(values.shape))
