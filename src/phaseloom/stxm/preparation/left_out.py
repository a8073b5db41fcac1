"""What a user leaves out of a stack: energies, and parts of the field."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from phaseloom.errors import InputError

Region = tuple[slice, slice]
"""Rows and columns (y, x) in pixels of the stack as read, half-open."""


def energies_left_out(text: str, energy: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which energies (energy,) a text such as ``707.2,710:712`` (eV) leaves out.

    A single number means the energy of the stack nearest to it, within half a step to the next
    one and no farther than 0.5 eV.

    Raises
    ------
    InputError
        The text is not of that form, or names an energy that the stack has not.
    """
    chosen = np.zeros(energy.size, dtype=bool)
    for begin, end in energy_ranges(text):
        if begin == end:
            nearest = int(np.argmin(np.abs(energy - begin)))
            apart = np.abs(energy - energy[nearest])
            step = float(apart[apart > 1e-6].min(initial=np.inf))
            if abs(energy[nearest] - begin) > min(0.5, 0.5 * step) + 1e-6:
                raise InputError(
                    f"has no image at {begin:g} eV to leave out (the nearest is at "
                    f"{energy[nearest]:g} eV)",
                    "check --leave-out",
                )
            chosen |= apart < 1e-6
        else:
            inside = (energy >= begin - 1e-6) & (energy <= end + 1e-6)
            if not inside.any():
                raise InputError(
                    f"has no image from {begin:g} to {end:g} eV to leave out", "check --leave-out"
                )
            chosen |= inside
    return chosen


def energy_ranges(text: str) -> Iterator[tuple[float, float]]:
    """Ranges (begin, end) of energies in eV from a text such as ``707.2,710:712``.

    Raises
    ------
    InputError
        A part is no number and no range, or a range ends before it begins.
    """
    for part in filter(None, (p.strip() for p in text.split(","))):
        try:
            begin, *rest = (float(number) for number in part.split(":"))
        except ValueError:
            begin, rest = np.nan, [np.nan]
        end = rest[0] if rest else begin
        if len(rest) > 1 or not (0 < begin <= end < np.inf):
            raise InputError(
                f"{part!r} is no energy and no range of energies",
                "write them in eV as in --leave-out 707.2,710:712",
            )
        yield begin, end


def without_energies(measurement: xr.Dataset, text: str) -> xr.Dataset:
    """The stack without the energies that a text such as ``707.2,710:712`` (eV) names.

    Raises
    ------
    InputError
        See :func:`energies_left_out`.
    """
    if not text.strip():
        return measurement
    out = energies_left_out(text, measurement["energy"].to_numpy())
    return measurement.isel(energy=np.flatnonzero(~out))


def field_mask(mask: ArrayLike | Region, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Pixels (y, x) of the field that may be mapped.

    Parameters
    ----------
    mask
        An image of the field, not zero where it may be mapped; or a region, which alone is.
    shape
        Of the field.

    Raises
    ------
    InputError
        The image is of another shape, the region lies outside the field, or nothing is left.
    """
    if isinstance(mask, tuple) and all(isinstance(part, slice) for part in mask):
        chosen = np.zeros(shape, dtype=bool)
        chosen[mask] = True
    else:
        image = np.squeeze(np.asarray(mask))
        if image.shape != shape:
            raise InputError(
                f"the mask has {_size(image.shape)} pixels and the field {_size(shape)}",
                "give --mask an image of the field, or a region y0:y1,x0:x1",
            )
        chosen = np.asarray(np.nan_to_num(image) != 0)
    if not chosen.any():
        raise InputError(
            f"the mask leaves nothing of the field of {_size(shape)} pixels",
            "give --mask an image that is not zero where to map, or a region y0:y1,x0:x1",
        )
    return chosen


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(str(n) for n in shape)
