"""The peak table: every spot of every pattern, in flat columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

COLUMNS = (
    "ky",
    "kx",
    "intensity",
    "ky_error",
    "kx_error",
    "intensity_error",
    "peak_prominence",
    "background",
)
"""Columns of the table, all float32, one row per peak."""

_ERRORS = ("ky_error", "kx_error")


@dataclass(frozen=True, repr=False)
class Peaks:
    """The spots of a scan: columns of equal length and where each pattern's rows begin.

    Rows follow the scan in reading order (x fastest); the rows of scan position ``i`` are
    ``offset[i]:offset[i + 1]``. Everything else hangs on the dataset, so the table is an xarray
    object that one can look into, and saves as it is.

    Parameters
    ----------
    data
        On dimension ``peak``: ``ky``, ``kx`` (vector from the direct beam, ellipticity taken
        out, ``units`` Å⁻¹ or px), ``intensity`` (integrated counts), their standard errors
        ``…_error``, ``peak_prominence`` (counts per pixel over the highest saddle),
        ``background`` (counts per pixel), all float32. ``offset`` (position + 1,) int64.
        Maps (y, x): ``centre_y``, ``centre_x`` (direct beam, px on the detector) and what else
        was measured per pattern. Attributes: ``pixel_size`` (Å⁻¹ per px, or 1 with
        ``pixel_size_units`` "px"), ``distortion`` (2×2 as a list of four, row by row: detector
        px to corrected px), ``detector_shape`` (rows, columns).
    """

    data: xr.Dataset

    def __len__(self) -> int:
        """Number of peaks."""
        return int(self.data.sizes["peak"])

    def __repr__(self) -> str:
        """One line: peaks, scan, pixel size."""
        facts = ", ".join(f"{name} {value}" for name, value in self._facts().items())
        return f"<Peaks: {facts}>"

    def _repr_html_(self) -> str:
        """Shown by notebooks: size of the table and of the scan, columns with their units."""
        facts = "".join(_row("th", name, value) for name, value in self._facts().items())
        columns = "".join(
            _row("td", name, self.data[name].attrs.get("units", ""), self.data[name].dtype)
            for name in self.data.data_vars
            if self.data[name].dims == ("peak",)
        )
        return (
            f"<div><strong>Peaks</strong><table>{facts}</table>"
            f"<table>{_row('th', 'column', 'unit', 'type')}{columns}</table></div>"
        )

    def _facts(self) -> dict[str, str]:
        """Size of the table, of the scan and of a pixel, as text."""
        rows, columns = self.shape
        patterns = rows * columns
        count = np.diff(self.offset)
        each = f"{count.min()} to {count.max()}, mean {count.mean():.1f}" if patterns else "none"
        units = self.data["ky"].attrs.get("units", "px")
        size = self.data.attrs.get("pixel_size", np.nan)
        return {
            "peaks": f"{len(self)}",
            "patterns": f"{patterns}",
            "scan": f"{rows} × {columns}",
            "per pattern": each,
            "pixel size": "unknown" if units == "px" else f"{size:.6g} {units} per px",
        }

    @property
    def shape(self) -> tuple[int, int]:
        """Scan positions (y, x)."""
        return int(self.data.sizes["y"]), int(self.data.sizes["x"])

    @property
    def offset(self) -> NDArray[np.int64]:
        """Where the rows of every position begin, and the end of the last."""
        offset: NDArray[np.int64] = self.data["offset"].to_numpy()
        return offset

    @property
    def position(self) -> NDArray[np.int64]:
        """Scan position of every peak, counted in reading order."""
        return np.repeat(np.arange(self.offset.size - 1), np.diff(self.offset))

    @property
    def count(self) -> NDArray[np.int64]:
        """Peaks per scan position, (y, x)."""
        return np.diff(self.offset).reshape(self.shape)

    @property
    def pixel_size(self) -> float:
        """Å⁻¹ per detector pixel; 1 when the table is in pixels."""
        return float(self.data.attrs["pixel_size"])

    @property
    def units(self) -> str:
        """Unit of the vectors: "Å⁻¹" or "px"."""
        return str(self.data["ky"].attrs["units"])

    @property
    def distortion(self) -> NDArray[np.float64]:
        """2×2 matrix from detector px to corrected px, both from the direct beam."""
        return np.asarray(self.data.attrs["distortion"], dtype=np.float64).reshape(2, 2)

    @property
    def detector_shape(self) -> tuple[int, int]:
        """Rows and columns of the patterns."""
        rows, columns = self.data.attrs["detector_shape"]
        return int(rows), int(columns)

    def __getitem__(self, key: Any) -> Peaks:
        """The peaks of some scan positions: ``peaks[y, x]`` with integers, slices or arrays.

        A chosen row or column stays as an axis of length one.
        """
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        return self.isel(y=rows, x=columns)

    def isel(self, *, y: Any = slice(None), x: Any = slice(None)) -> Peaks:
        """The peaks of some scan positions, by index, as :meth:`xarray.Dataset.isel` reads them."""
        import xarray as xr

        chosen = {
            axis: np.atleast_1d(np.arange(self.data.sizes[axis])[index])
            for axis, index in (("y", y), ("x", x))
        }
        positions = (chosen["y"][:, None] * self.shape[1] + chosen["x"]).ravel()
        counts = np.diff(self.offset)[positions]
        offset = np.concatenate([[0], np.cumsum(counts)])
        rows = np.repeat(self.offset[:-1][positions] - offset[:-1], counts) + np.arange(offset[-1])
        data = self.data.drop_vars("offset").isel({"peak": rows, **chosen})
        return Peaks(data.assign(offset=xr.Variable("edge", offset, self.data["offset"].attrs)))

    def select(self, keep: ArrayLike) -> Peaks:
        """The same scan with only the peaks where ``keep`` (peak,) is true."""
        import xarray as xr

        keep = np.asarray(keep, dtype=bool)
        offset = np.concatenate([[0], np.cumsum(keep)])[self.offset]
        data = self.data.drop_vars("offset").isel(peak=np.flatnonzero(keep))
        return Peaks(data.assign(offset=xr.Variable("edge", offset, self.data["offset"].attrs)))

    def on_detector(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rows and columns of all peaks on the detector, in px (float64)."""
        vectors = np.stack([self.data[c].to_numpy().astype(np.float64) for c in ("ky", "kx")])
        px = np.linalg.solve(self.distortion, vectors / self.pixel_size)
        position = self.position
        centre_y, centre_x = (
            self.data[c].to_numpy().ravel()[position].astype(np.float64)
            for c in ("centre_y", "centre_x")
        )
        return px[0] + centre_y, px[1] + centre_x

    def calibrated(
        self, pixel_size: float, *, units: str = "Å⁻¹", distortion: ArrayLike | None = None
    ) -> Peaks:
        """The same peaks with another pixel size and, if given, another distortion.

        Parameters
        ----------
        pixel_size
            ``units`` per detector pixel.
        units
            "Å⁻¹" or "px".
        distortion
            2×2 matrix from detector px to corrected px; the present one by default.
        """
        if not (np.isfinite(pixel_size) and pixel_size > 0):
            raise InputError(f"a pixel size of {pixel_size} cannot be", "it must be positive")
        new = self.distortion if distortion is None else np.asarray(distortion, dtype=np.float64)
        transform = pixel_size / self.pixel_size * new @ np.linalg.inv(self.distortion)
        data = self.data.copy()
        ky, kx = (self.data[c].to_numpy().astype(np.float64) for c in ("ky", "kx"))
        columns = dict(zip(("ky", "kx"), transform @ np.stack([ky, kx]), strict=True))
        if all(c in self.data for c in _ERRORS):
            errors = np.stack([self.data[c].to_numpy().astype(np.float64) for c in _ERRORS])
            columns |= dict(zip(_ERRORS, np.sqrt(transform**2 @ errors**2), strict=True))
        for name, values in columns.items():
            attrs = {**self.data[name].attrs, "units": units}
            data[name] = ("peak", values.astype(np.float32), attrs)
        data.attrs |= {
            "pixel_size": float(pixel_size),
            "pixel_size_units": units,
            "distortion": [float(v) for v in new.ravel()],
        }
        return Peaks(data)

    def to_dataframe(self) -> pd.DataFrame:
        """One row per peak with its scan position (``y``, ``x`` as indices) and all columns."""
        import pandas as pd

        y, x = np.divmod(self.position, self.shape[1])
        return pd.DataFrame({"y": y, "x": x} | {c: self.data[c].to_numpy() for c in COLUMNS})


def _row(tag: str, *cells: Any) -> str:
    """A row of an HTML table; what stands in the cells is text, not markup."""
    return "<tr>" + "".join(f"<{tag}>{escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"


def join(parts: Sequence[xr.Dataset]) -> Peaks:
    """One table of several that follow each other along the scan's rows (y).

    Parameters
    ----------
    parts
        Datasets of :class:`Peaks`, in order, of equal width and attributes.
    """
    import xarray as xr

    before = np.concatenate([[0], np.cumsum([p.sizes["peak"] for p in parts])])
    offset = np.concatenate(
        [
            [0],
            *(p["offset"].to_numpy()[1:] + b for p, b in zip(parts, before[:-1], strict=True)),
        ]
    )
    rest = [p.drop_vars("offset") for p in parts]
    columns = xr.concat([p.drop_dims(("y", "x")) for p in rest], "peak")
    maps = xr.concat([p.drop_dims("peak") for p in rest], "y")
    data = xr.merge([columns, maps], combine_attrs="override")
    return Peaks(data.assign(offset=xr.Variable("edge", offset.astype(np.int64))))
