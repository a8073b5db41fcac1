"""Drift correction of a stack: estimate of the drift, resampling in the common frame."""

from __future__ import annotations

import warnings
from collections.abc import Hashable
from typing import TypeVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage

from phaseloom.compute.progress import SILENT, Progress
from phaseloom.errors import InputError, InputWarning
from phaseloom.stxm.preparation.placement import Images, bin_image, without_spikes
from phaseloom.stxm.preparation.registration import common_field, interpolated, register

Stack = TypeVar("Stack", xr.Dataset, xr.DataArray)

_DIMS = ("energy", "y", "x")

_LOST = 0.3
"""A resampled reading is missing when more than this part of it comes from missing ones."""
_SMALL_GAP = 3
"""Gaps up to so many pixels across are bridged from what is round them, and compared as well."""


def estimate_drift(
    optical_density_or_counts: xr.DataArray,
    *,
    mask: xr.DataArray | NDArray[np.bool_] | None = None,
    reference: int | None = None,
    progress: Progress = SILENT,
) -> xr.Dataset:
    """Estimate the drift between the images of a stack.

    Parameters
    ----------
    optical_density_or_counts
        (energy, y, x). Named ``optical_density``, ``transmission`` or ``counts``; under another
        name whole numbers and the units ``counts`` mean counts, all else optical density. Of counts
        and transmission −ln is taken. NaN where there is no reading.
    mask
        (y, x), True where pixels of the images may be used; all by default.
    reference
        Image (index along energy) that defines the common frame; the first by default. It is
        at shift 0 exactly, so its recorded coordinates hold for the aligned stack.
    progress
        What to report to.

    Returns
    -------
    xarray.Dataset
        ``shift_y``, ``shift_x`` (energy) float64 in px: content at (y, x) of the common frame is
        at (y + shift_y, x + shift_x) in that image. ``shift_error`` (energy): standard error of
        one component in px, from the scatter between tiles of the image. ``quality`` (energy):
        correlation 0 to 1 of the image's edges with those of the other images; NaN (and so the
        error) where the image holds no structure and its shift is interpolated.
        ``attrs["binning"]``: pixels were averaged by this factor first (images of 1024² and more).

    Raises
    ------
    InputError
        Dimensions, mask or reference are wrong; no structure to go by in any two images; the
        images share no field.

    Warns
    -----
    InputWarning
        Images without structure, with their energies.

    Notes
    -----
    See :mod:`phaseloom.stxm.preparation.placement` and
    :mod:`phaseloom.stxm.preparation.registration` for the method. Error left on simulated stacks
    (512² pixels, 24 energies, walks over up to 25 px; benchmarks/alignment.py): 0.02 px rms at
    3000 counts, 0.03 at 1000, 0.06 at 300.
    """
    data = _checked(optical_density_or_counts)
    n, ny, nx = data.shape
    if reference is not None and not -n <= reference < n:
        raise InputError(f"no image {reference} in a stack of {n}", "give an index below that")
    usable = _checked_mask(mask, (ny, nx))
    binning = max(1, min(ny, nx) // 512)
    if n == 1:
        return _drift(data, np.zeros((1, 2)), np.zeros(1), np.ones(1), binning)

    images, valid = _working_images(data, usable, binning, progress)
    blank = np.ptp(images, axis=(1, 2)) == 0
    kept = np.flatnonzero(~blank)
    shift, error = np.full((n, 2), np.nan), np.full(n, np.nan)
    quality = np.full(n, np.nan)
    if kept.size >= 2:
        registered = register(
            images[kept], None if valid is None else valid[kept], progress=progress
        )
        good = registered.located
        kept = kept[good]
        shift[kept] = registered.shift[good] * binning
        error[kept] = registered.error[good] * binning
        quality[kept] = registered.correlation[good]
    if kept.size < 2:
        raise InputError(
            "no two images share any structure, so their drift cannot be found",
            "check that the images are not blank, or go on with --no-align",
            source=_name(data),
        )
    lost = np.setdiff1d(np.arange(n), kept)
    if lost.size:
        energies = ", ".join(f"{value:g}" for value in data["energy"].to_numpy()[lost])
        warnings.warn(
            f"no structure to align at {energies} eV: the shift is interpolated from the "
            "neighbouring images",
            InputWarning,
            stacklevel=2,
        )
        shift = interpolated(shift, np.isfinite(quality))
    shift -= shift[0 if reference is None else reference]
    return _drift(data, shift, error, quality, binning)


def align(
    stack: Stack,
    shifts: xr.Dataset,
    *,
    crop: bool = True,
    in_place: bool = False,
    progress: Progress = SILENT,
) -> Stack:
    """Resample every image in the common frame.

    Parameters
    ----------
    stack
        A stack, or one variable of it; all variables with dims (energy, y, x) are resampled.
    shifts
        ``shift_y``, ``shift_x`` (energy) in px, as from :func:`estimate_drift`.
    crop
        Keep only the field that all images share. Coordinates are kept with their pixels.
    in_place
        Write over the stack's own float32 arrays instead of making new ones (the stack given is
        then spent). Arrays of another type are always copied.
    progress
        What to report to.

    Returns
    -------
    Dataset or DataArray
        float32, by cubic spline, one image at a time; NaN where an image does not reach or a
        reading is missing.

    Raises
    ------
    InputError
        The shifts are not those of this stack, are not finite, or leave no common field.

    Notes
    -----
    A spline follows steps of a few pixels' width without visible ringing, but a single-pixel spike
    gets lobes of a tenth of its height: remove spikes first. Interpolation also averages:
    the noise of neighbouring pixels becomes correlated.
    """
    shift = np.column_stack([shifts["shift_y"].to_numpy(), shifts["shift_x"].to_numpy()])
    if shift.shape[0] != stack.sizes["energy"]:
        raise InputError(
            f"{shift.shape[0]} shifts for a stack of {stack.sizes['energy']} images",
            "use the shifts found on this stack",
        )
    if not np.isfinite(shift).all():
        raise InputError("shifts are not finite", "use the shifts from estimate_drift")
    field = common_field(shift, (stack.sizes["y"], stack.sizes["x"]))
    if crop and field is None:
        raise InputError(
            "the images share no field after alignment",
            "check the shifts, or leave out the images that drifted farthest",
        )
    if isinstance(stack, xr.Dataset):
        moved: dict[Hashable, xr.DataArray] = {
            name: _resampled(variable, shift, in_place, progress)
            for name, variable in stack.data_vars.items()
            if set(_DIMS) <= set(variable.dims)
        }
        result: Stack = stack.assign(moved)
    else:
        result = _resampled(stack, shift, in_place, progress)
    return result.isel(y=field[0], x=field[1]) if crop and field is not None else result


def _resampled(
    variable: xr.DataArray, shift: NDArray[np.float64], in_place: bool, progress: Progress
) -> xr.DataArray:
    data = _checked(variable)
    values = data.data
    own = in_place and isinstance(values, np.ndarray) and values.dtype == np.float32
    target = values if own else np.empty(data.shape, dtype=np.float32)
    for e in progress.track(range(data.sizes["energy"]), "Resampling"):
        image = np.asarray(data[e].to_numpy(), dtype=np.float32)
        target[e] = moved(image, shift[e])
    return data.copy(data=target)


def moved(image: Images, shift: NDArray[np.float64]) -> Images:
    """The image sampled at (y + shift_y, x + shift_x); NaN outside and where readings miss."""
    result = np.full_like(image, np.nan)
    missing = ~np.isfinite(image)
    field = common_field(shift[None], image.shape)
    if field is None or missing.all():
        return result
    if missing.any():
        image = _filled(image, missing)
    # A shift acts on each axis alone, which takes less than half the time of a spline in two
    # dimensions. Columns last: cut to the field they seldom have a power of two as their stride,
    # which the cache serves badly.
    along_x = _sampled(image, float(shift[1]), field[1], axis=1)
    result[field] = _sampled(along_x, float(shift[0]), field[0], axis=0)
    if missing.any():
        lost = ndimage.shift(missing.astype(np.float32), -shift, order=1, mode="nearest")
        result[lost > _LOST] = np.nan
    return result


def _sampled(image: Images, by: float, part: slice, *, axis: int) -> Images:
    """The image at ``part`` + ``by`` along one axis, by cubic spline mirrored at the rim."""
    whole = int(np.floor(by))
    begin, size = part.start + whole, part.stop - part.start
    t = by - whole
    if t == 0.0:
        return image.take(range(begin, begin + size), axis=axis)
    splines = ndimage.spline_filter1d(image, 3, axis=axis, output=np.float32, mode="mirror")
    # of the four splines that reach a point, up to two lie beyond the rim
    lines = np.pad(np.moveaxis(splines, axis, 0), ((2, 2), (0, 0)), mode="reflect")
    weights = (
        (1 - t) ** 3 / 6,
        2 / 3 - t**2 + t**3 / 2,
        2 / 3 - (1 - t) ** 2 + (1 - t) ** 3 / 2,
        t**3 / 6,
    )
    sampled = weights[0] * lines[begin + 1 : begin + 1 + size]
    for k in (1, 2, 3):
        sampled += weights[k] * lines[begin + 1 + k : begin + 1 + k + size]
    return np.asarray(np.moveaxis(sampled, 0, axis), dtype=np.float32)


def _filled(image: Images, missing: NDArray[np.bool_]) -> Images:
    """Missing pixels take a mean of those round them, or beyond reach the nearest one's value."""
    known = np.where(missing, np.float32(0), image)
    there = (~missing).astype(np.float32)
    smooth, weight = (ndimage.gaussian_filter(a, 0.8, mode="nearest") for a in (known, there))
    filled = np.where(missing & (weight > 0.05), smooth / np.maximum(weight, 1e-6), image)
    beyond = missing & (weight <= 0.05)
    if beyond.any():
        nearest = ndimage.distance_transform_edt(
            missing, return_distances=False, return_indices=True
        )
        filled = np.where(beyond, image[tuple(nearest)], filled)
    return np.asarray(filled, dtype=np.float32)


def _wide_gaps(missing: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Missing pixels in gaps too wide to be bridged: single pixels, columns and rows are not.

    Where they lie so dense that every third pixel around is missing, nothing is bridged.
    """
    wide = ndimage.binary_opening(missing, np.ones((_SMALL_GAP + 1, _SMALL_GAP + 1)))
    dense = ndimage.uniform_filter(missing.astype(np.float32), 9, mode="nearest") > 0.34
    return np.asarray(ndimage.binary_propagation(wide | (dense & missing), mask=missing)
                      if wide.any() or dense.any() else wide)  # fmt: skip


def _working_images(
    data: xr.DataArray, usable: NDArray[np.bool_] | None, binning: int, progress: Progress
) -> tuple[Images, NDArray[np.bool_] | None]:
    """Binned −ln images without spikes, and where they hold (None: everywhere).

    An image with nothing in it comes out flat.
    """
    is_transmission = data.name == "transmission"
    # arithmetic on counts keeps their units, so the name goes first
    is_counts = data.name not in {"optical_density", "transmission"} and (
        data.name == "counts" or data.attrs.get("units") == "counts" or data.dtype.kind in "iu"
    )
    n, ny, nx = data.shape[0], data.shape[1] // binning, data.shape[2] // binning
    images = np.zeros((n, ny, nx), dtype=np.float32)
    valid: NDArray[np.bool_] | None = None
    for e in progress.track(range(n), "Reading images"):
        image = np.asarray(data[e].to_numpy(), dtype=np.float32)
        missing = ~np.isfinite(image)
        if missing.any():
            valid = np.ones(images.shape, dtype=bool) if valid is None else valid
            # a band-passed pixel sees this far
            reach = _wide_gaps(missing)
            if reach.any():
                reach = ndimage.binary_dilation(reach, iterations=6 * binning)
            valid[e] = bin_image((~reach).astype(np.float32), binning) > 0.99
            if missing.all():
                continue
            image = _filled(image, missing)
        if is_counts or is_transmission:
            # the square root of counts has the same noise everywhere
            image = without_spikes(np.sqrt(np.maximum(image, 0.0))) ** 2
            floor = 0.5 if is_counts else 1e-3
            images[e] = -np.log(np.maximum(bin_image(image, binning), floor))
        else:
            images[e] = bin_image(without_spikes(image), binning)
    if usable is not None:
        inside = bin_image(usable.astype(np.float32), binning) > 0.99
        valid = np.broadcast_to(inside, images.shape) if valid is None else valid & inside
    return images, valid


def _checked(data: xr.DataArray) -> xr.DataArray:
    if set(data.dims) != set(_DIMS):
        raise InputError(
            f"expected the dimensions energy, y, x and got {', '.join(map(str, data.dims))}",
            "give an image stack",
            source=_name(data),
        )
    return data.transpose(*_DIMS)


def _checked_mask(
    mask: xr.DataArray | NDArray[np.bool_] | None, shape: tuple[int, int]
) -> NDArray[np.bool_] | None:
    if mask is None:
        return None
    usable = np.asarray(mask, dtype=bool)
    if usable.shape != shape:
        raise InputError(f"the mask has the shape {usable.shape}, the images {shape}")
    return usable


def _name(data: xr.DataArray) -> str | None:
    return None if data.name is None else str(data.name)


def _drift(
    data: xr.DataArray,
    shift: NDArray[np.float64],
    error: NDArray[np.float64],
    quality: NDArray[np.float64],
    binning: int,
) -> xr.Dataset:
    return xr.Dataset(
        {
            "shift_y": ("energy", shift[:, 0], {"units": "px"}),
            "shift_x": ("energy", shift[:, 1], {"units": "px"}),
            "shift_error": ("energy", error, {"units": "px"}),
            "quality": ("energy", quality, {"units": "1"}),
        },
        coords={"energy": data["energy"]},
        attrs={"binning": binning},
    )
