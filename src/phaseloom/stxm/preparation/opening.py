"""The numbers of a stack as they come: which quantity, which of them are readings."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning
from phaseloom.stxm.preparation import readings
from phaseloom.stxm.preparation.left_out import without_energies
from phaseloom.stxm.preparation.unusable import (
    MOST_NEGATIVE,
    Unusable,
    leave_out_unusable,
    negative_part,
    unusable_frames,
)
from phaseloom.stxm.references.references import FEWEST_ENERGIES, TOO_FEW_ENERGIES

QUANTITIES = ("counts", "transmission", "optical_density")

_FEWEST_COUNTS = 20.0
"""A stack without a brighter reading holds no counts."""
_DENSEST = 20.0
"""No beam shows through e⁻²⁰."""


@dataclass(frozen=True)
class Opened:
    """A stack ready for its preparation.

    Attributes
    ----------
    measurement
        Without the energies left out.
    stack
        (energy, y, x) float32 copy of its numbers, NaN where a reading is unusable.
    quantity
        What the numbers are.
    unusable
        What was made missing.
    dropped
        Images left out because they hold no reading.
    """

    measurement: xr.Dataset
    stack: xr.DataArray
    quantity: str
    unusable: Unusable
    dropped: int


def open_stack(measurement: xr.Dataset, *, leave_out: str = "", name: str = "stack") -> Opened:
    """Take the numbers out of a measurement, without those that are no readings.

    Parameters
    ----------
    measurement
        From :func:`phaseloom.read`.
    leave_out
        Energies to leave out, see
        :func:`phaseloom.stxm.preparation.left_out.energies_left_out`.
    name
        How messages call the stack.

    Raises
    ------
    InputError
        Not a stack, too few energies, frames without readings, numbers that are not what they are
        said to be.

    Warns
    -----
    InputWarning
        What is unusable, with numbers; optical densities stored times a power of ten.
    """
    kind = measurement.attrs.get("kind", "stack")
    if kind not in ("stack", "image"):
        raise InputError(f"is of kind {kind!r}, not a stack of images", "give a stack")
    quantity = next((q for q in QUANTITIES if q in measurement), None)
    if quantity is None:
        raise InputError("holds no counts, transmission or optical density", "give a stack")
    measurement = without_energies(measurement, leave_out)
    stack = measurement[quantity].transpose("energy", "y", "x")
    _check_sizes(stack)
    dtype = stack.dtype
    stack = stack.astype(np.float32, copy=True)
    values = stack.to_numpy()
    never_read = np.array([not np.isfinite(frame).any() for frame in values])
    seen = np.logical_or.reduce([np.isfinite(frame) for frame in values])
    unusable = leave_out_unusable(values, dtype, quantity=quantity)
    lost = unusable_frames(values) & ~never_read
    if lost.any() and not lost.all():
        kept = np.flatnonzero(~lost)
        stack, measurement = stack.isel(energy=kept), measurement.isel(energy=kept)
        values = stack.to_numpy()
        if unusable.clipped is not None:
            unusable.clipped = unusable.clipped[kept]
        _check_sizes(stack)
    _say(unusable, lost, len(lost), 0 if never_read.all() else int(np.count_nonzero(~seen)))
    readings.check_frames(values, stack["energy"].to_numpy(), name)
    if quantity == "counts":
        _check_counts(values)
    elif quantity == "optical_density":
        _without_factor(values)
    return Opened(measurement, stack, quantity, unusable, int(lost.sum()))


def _check_sizes(stack: xr.DataArray) -> None:
    energies = np.unique(stack["energy"]).size
    if energies < FEWEST_ENERGIES:
        raise InputError(f"has images at {energies} energies only", TOO_FEW_ENERGIES)
    if min(stack.shape) < 3:
        raise InputError(
            f"its images have {stack.sizes['y']}×{stack.sizes['x']} pixels",
            "a map needs 3 or more each way",
        )


def _say(unusable: Unusable, lost: NDArray[np.bool_], frames: int, never: int) -> None:
    """Say what was left out; how many readings are NaN was said when the file was read."""
    kinds = {k: v for k, v in unusable.readings.items() if k != "NaN or infinite"}
    if not kinds and not never:
        return
    text = Unusable(kinds).sentence(frames)
    if never:
        text = f"no reading at any energy in {never} px" + (f"; {text}" if text else "")
    if lost.any() and not lost.all():
        text += f"; {np.count_nonzero(lost)} images hold next to nothing else and are left out"
    warnings.warn(f"unusable readings are left out: {text}", InputWarning, stacklevel=3)


def _check_counts(values: NDArray[np.float32]) -> None:
    highest = float(np.nanmax(values))
    if highest < _FEWEST_COUNTS:
        raise InputError(
            f"its numbers reach only {highest:.3g}: too few for counts",
            "if they are something else, say so with --quantity optical_density or transmission",
        )
    part = negative_part(values)
    if part > MOST_NEGATIVE:
        lowest = min(float(np.nanmin(frame)) for frame in values)
        raise InputError(
            f"{part:.0%} of its numbers are negative, down to {lowest:.3g}: these are no counts",
            "if they are optical densities, also times a power of ten, say so with --quantity "
            "optical_density",
        )


def _without_factor(values: NDArray[np.float32]) -> None:
    """Optical densities stored times a power of ten divided by it, in place."""
    highest = max(float(np.nanquantile(frame, 0.999)) for frame in values)
    if highest <= _DENSEST:
        return
    factor = 10.0 ** np.ceil(np.log10(highest / 3.0))
    values /= np.float32(factor)
    warnings.warn(
        f"optical densities up to {highest:.4g} cannot be: they are taken as stored × {factor:g}",
        InputWarning,
        stacklevel=3,
    )
