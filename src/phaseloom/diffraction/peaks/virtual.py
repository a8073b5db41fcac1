"""Virtual images and densities from the peak table: dark field, spot count and sum, histograms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from phaseloom.diffraction.peaks.table import Peaks

    Region = xr.DataArray | ArrayLike

Weight = Literal["count", "intensity"]
_LARGEST = 2**26


def spot_sum(peaks: Peaks) -> xr.DataArray:
    """Sum of the intensities of all peaks at every scan position, (y, x), in counts.

    NaN where the pattern was not measured: its map ``spot_count`` is negative or its direct beam
    is missing.
    """
    return _map(peaks, _weights(peaks, "intensity"), "spot_sum", "counts")


def spot_count(peaks: Peaks) -> xr.DataArray:
    """Number of peaks at every scan position, (y, x); NaN where the pattern was not measured."""
    return _map(peaks, np.ones(len(peaks)), "spot_count", "1")


def virtual_dark_field(
    peaks: Peaks,
    *,
    vectors: ArrayLike | None = None,
    radius: float | None = None,
    friedel: bool = False,
    region: Region | None = None,
) -> xr.DataArray:
    """Intensity of the peaks near chosen reflections, or inside a region, per scan position.

    Parameters
    ----------
    peaks
        The peak table.
    vectors
        Reflections (n, 2) as (ky, kx), in the unit of the table.
    radius
        How far from a reflection a peak may lie, in the same unit. A peak near two of the
        reflections counts once.
    friedel
        Take the Friedel mate (−ky, −kx) of every reflection as well.
    region
        Instead of reflections: see :func:`inside`.

    Returns
    -------
    xarray.DataArray
        (y, x) in counts; 0 where nothing was found, NaN where nothing was measured.
    """
    if region is not None and vectors is None:
        chosen = inside(peaks, region)
    elif vectors is not None and radius is not None and region is None:
        chosen = near(peaks, vectors, radius, friedel=friedel)
    else:
        raise InputError(
            "a dark field is of reflections or of a region",
            "give vectors with a radius, or a region",
        )
    weights = np.where(chosen, _weights(peaks, "intensity"), 0)
    return _map(peaks, weights, "virtual_dark_field", "counts")


def near(
    peaks: Peaks, vectors: ArrayLike, radius: float, *, friedel: bool = False
) -> NDArray[np.bool_]:
    """Which peaks (peak,) lie within ``radius`` of any of the vectors (n, 2); see above."""
    places = np.atleast_2d(np.asarray(vectors, dtype=np.float64))
    if places.ndim != 2 or places.shape[1] != 2 or not np.isfinite(places).all():
        raise InputError("reflections are no vectors", "give pairs (ky, kx)")
    if not (np.isfinite(radius) and radius > 0):
        raise InputError(f"a radius of {radius} cannot be", "it must be positive")
    if friedel:
        places = np.concatenate([places, -places])
    ky, kx = _vectors(peaks)
    chosen: NDArray[np.bool_] = np.zeros(len(peaks), dtype=bool)
    for y, x in places:
        chosen |= (ky - y) ** 2 + (kx - x) ** 2 <= radius**2
    return chosen


def inside(peaks: Peaks, region: Region) -> NDArray[np.bool_]:
    """Which peaks (peak,) lie inside a region of reciprocal space.

    Parameters
    ----------
    peaks
        The peak table.
    region
        A boolean image on evenly spaced coordinates ``ky`` and ``kx`` (such as a threshold on
        :func:`density`), where a peak takes the value of the pixel it falls on; or an annulus
        ``(k_min, k_max)``, the outer radius not included; or the corners (n ≥ 3, 2) of a
        polygon as (ky, kx). In the unit of the table.

    Raises
    ------
    InputError
        It is none of these.
    """
    import xarray as xr

    ky, kx = _vectors(peaks)
    if isinstance(region, xr.DataArray):
        return _in_image(ky, kx, region)
    shape = np.asarray(region, dtype=np.float64)
    if shape.shape == (2,) and 0 <= shape[0] < shape[1]:
        k = np.hypot(ky, kx)
        annulus: NDArray[np.bool_] = (k >= shape[0]) & (k < shape[1])
        return annulus
    if shape.ndim == 2 and shape.shape[0] >= 3 and shape.shape[1] == 2 and np.isfinite(shape).all():
        return _in_polygon(ky, kx, shape)
    raise InputError(
        "the region is not understood",
        "give a boolean image (ky, kx), an annulus (k_min, k_max) or corners (n ≥ 3, 2)",
    )


def density(
    peaks: Peaks,
    *,
    bin_size: float | None = None,
    k_max: float | None = None,
    weight: Weight = "count",
) -> xr.DataArray:
    """Two-dimensional histogram of all peaks of the scan.

    Parameters
    ----------
    peaks
        The peak table.
    bin_size
        Side of a bin in the unit of the table; one detector pixel by default.
    k_max
        Leave out what lies beyond ±k_max in ky or kx; by default nothing is left out.
    weight
        "count" the peaks or sum their "intensity".

    Returns
    -------
    xarray.DataArray
        (ky, kx), an odd number of bins with zero in the middle of the central one.
    """
    import xarray as xr

    size = _bin_size(peaks, bin_size)
    ky, kx = _vectors(peaks)
    within = np.isfinite(ky) & np.isfinite(kx)
    if k_max is not None:
        within &= np.maximum(np.abs(ky), np.abs(kx)) <= k_max
    index = [np.rint(v[within] / size).astype(np.int64) for v in (ky, kx)]
    half = [int(np.abs(i).max(initial=0)) for i in index]
    shape = 2 * half[0] + 1, 2 * half[1] + 1
    if shape[0] * shape[1] > _LARGEST:
        raise InputError(f"{shape[0]}×{shape[1]} bins are too many", "take larger bins or a k_max")
    flat = (index[0] + half[0]) * shape[1] + index[1] + half[1]
    values = np.bincount(flat, _weights(peaks, weight)[within], shape[0] * shape[1])
    return xr.DataArray(
        values.reshape(shape),
        dims=("ky", "kx"),
        coords={
            axis: (axis, np.arange(-h, h + 1) * size, {"units": peaks.units})
            for axis, h in zip(("ky", "kx"), half, strict=True)
        },
        name="density",
        attrs={"units": _UNITS[weight]},
    )


def radial_density(
    peaks: Peaks, *, bin_size: float | None = None, weight: Weight = "count"
) -> xr.DataArray:
    """Histogram of all peaks over the length k of their vectors.

    Parameters
    ----------
    peaks, bin_size, weight
        See :func:`density`.

    Returns
    -------
    xarray.DataArray
        (k,) at the middles of the bins. Not divided by the area of the annuli.
    """
    import xarray as xr

    size = _bin_size(peaks, bin_size)
    k = np.hypot(*_vectors(peaks))
    within = np.isfinite(k)
    index = (k[within] / size).astype(np.int64)
    if index.max(initial=0) > _LARGEST:
        raise InputError(f"{index.max()} bins are too many", "take larger bins")
    values = np.bincount(index, _weights(peaks, weight)[within], 1)
    middles = (np.arange(values.size) + 0.5) * size
    return xr.DataArray(
        values,
        dims="k",
        coords={"k": ("k", middles, {"units": peaks.units})},
        name="radial_density",
        attrs={"units": _UNITS[weight]},
    )


_UNITS = {"count": "1", "intensity": "counts"}


def _vectors(peaks: Peaks) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    ky, kx = (peaks.data[c].to_numpy().astype(np.float64) for c in ("ky", "kx"))
    return ky, kx


def _weights(peaks: Peaks, weight: Weight) -> NDArray[np.float64]:
    if weight == "count":
        return np.ones(len(peaks))
    if weight != "intensity":
        raise InputError(f"there is no weight {weight!r}", "take count or intensity")
    return np.nan_to_num(peaks.data["intensity"].to_numpy().astype(np.float64))


def _bin_size(peaks: Peaks, bin_size: float | None) -> float:
    size = peaks.pixel_size if bin_size is None else float(bin_size)
    if not (np.isfinite(size) and size > 0):
        raise InputError(f"bins of {size} cannot be", "they must be positive")
    return size


def _map(peaks: Peaks, weights: NDArray[np.float64], name: str, units: str) -> xr.DataArray:
    """Sums of the weights of the peaks of every scan position."""
    import xarray as xr

    n = peaks.offset.size - 1
    # Of nothing numpy counts in integers.
    values = np.bincount(peaks.position, weights, n).astype(np.float64).reshape(peaks.shape)
    values[np.isnan(peaks.data["centre_y"].to_numpy())] = np.nan
    if "spot_count" in peaks.data:
        values[peaks.data["spot_count"].to_numpy() < 0] = np.nan
    coords: dict[Any, Any] = {a: peaks.data[a] for a in ("y", "x") if a in peaks.data.coords}
    return xr.DataArray(values, dims=("y", "x"), coords=coords, name=name, attrs={"units": units})


def _in_image(
    ky: NDArray[np.float64], kx: NDArray[np.float64], image: xr.DataArray
) -> NDArray[np.bool_]:
    if set(image.dims) != {"ky", "kx"} or image.dtype != bool or min(image.shape) < 2:
        raise InputError("the region is no boolean image", "give dims (ky, kx) and true or false")
    image = image.transpose("ky", "kx")
    index = []
    for axis, values in (("ky", ky), ("kx", kx)):
        at = image[axis].to_numpy().astype(np.float64)
        step = (at[-1] - at[0]) / (at.size - 1)
        if not step or not np.allclose(np.diff(at), step, rtol=1e-3, atol=0):
            raise InputError(f"the coordinate {axis} of the region is not evenly spaced")
        place = np.rint((values - at[0]) / step)
        index.append(np.where((place >= 0) & (place < at.size), place, -1).astype(np.int64))
    there: NDArray[np.bool_] = (index[0] >= 0) & (index[1] >= 0)
    there &= image.to_numpy()[index[0], index[1]]
    return there


def _in_polygon(
    ky: NDArray[np.float64], kx: NDArray[np.float64], corners: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Even-odd rule: how often a ray towards larger kx crosses the outline."""
    within = np.zeros(ky.shape, dtype=bool)
    for (y0, x0), (y1, x1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 != y1:
            across = (y0 > ky) != (y1 > ky)
            within ^= across & (kx < x0 + (ky - y0) * (x1 - x0) / (y1 - y0))
    return within
