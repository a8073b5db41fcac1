"""Detector correction: dark, gain, saturation, unusable pixels."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.diffraction.detector.gaps import find_gaps
from phaseloom.diffraction.detector.outlying import find_beam_stop, outlying_pixels
from phaseloom.errors import InputError, InputWarning

# a detector that loses more than this to single bad pixels is more likely misunderstood
_MANY_BAD = 0.02


@dataclass(frozen=True, eq=False)
class Correction:
    """How raw counts become values: (raw − dark) · gain, where the pixel is usable.

    Parameters
    ----------
    mask
        (ky, kx), True where the pixel is usable.
    dark
        (ky, kx) float32, subtracted; None: nothing is.
    gain
        (ky, kx) float32, multiplies; None: one.
    saturation
        Raw value from which a pixel is saturated and therefore not usable; inf: none.
    lowest
        (ky, kx) float32, raw value under which a pixel is not usable; None: none is.
    """

    mask: NDArray[np.bool_]
    dark: NDArray[np.float32] | None = None
    gain: NDArray[np.float32] | None = None
    saturation: float = np.inf
    lowest: NDArray[np.float32] | None = None


def corrected(patterns: ArrayLike, correction: Correction) -> NDArray[np.float32]:
    """Corrected patterns.

    Parameters
    ----------
    patterns
        (n, ky, kx), raw; any integer or float type.
    correction
        See :class:`Correction`.

    Returns
    -------
    ndarray
        (n, ky, kx) float32; NaN where the pixel is masked, saturated or not finite.
    """
    raw = np.asarray(patterns)
    _fits(raw.shape[1:], correction.mask, "the mask")
    values = raw.astype(np.float32)
    if correction.dark is not None:
        values -= correction.dark
    if correction.gain is not None:
        values *= correction.gain
    values[~(correction.mask & (raw < correction.saturation) & np.isfinite(raw))] = np.nan
    if correction.lowest is not None:
        values[raw < correction.lowest] = np.nan
    return values


def with_background(
    correction: Correction, background: NDArray[np.float32], lowest: NDArray[np.float32]
) -> Correction:
    """The correction that also adds a background, and leaves out what is lower than noise goes.

    Parameters
    ----------
    correction
        As it is without.
    background, lowest
        (ky, kx), in counts as corrected without.
    """
    gain = np.float32(1) if correction.gain is None else correction.gain
    dark = np.float32(0) if correction.dark is None else correction.dark
    with np.errstate(divide="ignore", invalid="ignore"):
        lower = np.where(correction.mask, dark - background / gain, 0)
        least = np.where(correction.mask, dark + lowest / gain, -np.inf)
    return replace(
        correction,
        dark=np.asarray(lower, dtype=np.float32),
        lowest=np.asarray(least, dtype=np.float32),
    )


def make_correction(
    patterns: ArrayLike,
    *,
    dark: ArrayLike | None = None,
    gain: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    saturation: float | None = None,
    hot: bool = True,
    beam_stop: bool = False,
) -> Correction:
    """The correction of a scan from what is known of its detector and from a sample.

    Parameters
    ----------
    patterns
        (n, ky, kx), a raw sample of the scan (:func:`phaseloom.diffraction.detector.sampling`).
    dark
        (ky, kx), subtracted. Pixels that are not finite become unusable.
    gain
        (ky, kx), multiplies. Pixels that are not finite or not positive become unusable.
    mask
        (ky, kx), True where a pixel is usable.
    saturation
        Raw value from which a pixel is saturated. None: none is, except the largest value of
        unsigned types of 32 bits and more, which marks unusable pixels.
    hot
        Look for gaps between modules (:func:`~phaseloom.diffraction.detector.gaps.find_gaps`),
        dead and hot pixels (:func:`outlying_pixels`) in the sample.
    beam_stop
        Look for the shadow of a beam stop in the sample (:func:`find_beam_stop`).

    Raises
    ------
    InputError
        If the shapes differ, or no pixel is left to use.
    """
    raw = np.asarray(patterns)
    if raw.ndim != 3:
        raise InputError(
            f"patterns of shape {raw.shape} are not a series of images",
            "pass (patterns, rows, columns)",
        )
    shape = raw.shape[1:]
    usable = np.ones(shape, dtype=bool)
    if mask is not None:
        usable &= _fits(shape, np.asarray(mask, dtype=bool), "the mask")
    if dark is not None:
        dark = _fits(shape, np.asarray(dark, dtype=np.float32), "the dark image")
        usable &= np.isfinite(dark)
    if gain is not None:
        gain = _fits(shape, np.asarray(gain, dtype=np.float32), "the gain image")
        usable &= np.isfinite(gain) & (gain > 0)
    limit = np.inf if saturation is None else float(saturation)
    if saturation is None and raw.dtype.kind == "u" and raw.dtype.itemsize >= 4:
        # 2³² − 1 electrons were never counted: makers mark unusable pixels so
        limit = float(np.iinfo(raw.dtype).max)
    if not limit > 0:
        raise InputError(f"a saturation of {saturation} counts cannot be", "it must be positive")
    given = Correction(usable, dark, gain, limit)
    _some_left(usable, "the mask, dark and gain images leave no usable pixel")
    if hot or beam_stop:
        values = corrected(raw, given)
        if hot:
            gaps = find_gaps(values) & usable
            usable = usable & ~gaps
            values[:, gaps] = np.nan
            dead, bright = outlying_pixels(values)
            # what is saturated throughout the sample need not be so everywhere
            bad = (dead | bright) & usable & np.isfinite(values).any(axis=0)
            if bad.mean() > _MANY_BAD:
                warnings.warn(
                    f"{bad.mean():.1%} of the detector's pixels are dead or hot by the look of the"
                    " patterns and are left out; give a mask to decide for yourself",
                    InputWarning,
                    stacklevel=2,
                )
            usable = usable & ~bad
        if beam_stop:
            usable = usable & ~find_beam_stop(values)
        _some_left(usable, "no usable pixel is left after dead pixels and beam stop")
    return Correction(usable, dark, gain, limit)


def scan_mean(
    patterns: ArrayLike, *, above: bool = True, below: bool = True
) -> NDArray[np.float32]:
    """Mean over each pattern and its eight neighbours on the scan.

    Parameters
    ----------
    patterns
        (rows, columns, ky, kx): rows of the scan, with the row before and the row after them.
    above, below
        Whether the first and the last of the rows is such a neighbour. At the rim of the scan it
        is not, and the mean is over the patterns that are there.

    Returns
    -------
    ndarray
        (rows without the neighbours, columns, ky, kx) float32. NaN does not count; a pixel that
        is NaN in all nine is NaN.
    """
    values = np.asarray(patterns).astype(np.float32)
    if values.ndim != 4 or values.shape[0] <= above + below:
        raise InputError(
            f"a block of shape {values.shape} has no rows of its own",
            "pass (rows, columns, ky, kx) with the neighbouring rows",
        )
    present = np.isfinite(values)
    if present.all():
        # the number of neighbours is the same for every pixel of a pattern
        number = _neighbour_sum(np.ones((*values.shape[:2], 1, 1), dtype=np.float32))
    else:
        values[~present] = 0
        number = _neighbour_sum(present.astype(np.float32))
    total = _neighbour_sum(values)
    with np.errstate(invalid="ignore"):
        total /= number
    return total[int(above) : total.shape[0] - int(below)]


def _neighbour_sum(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum over 3 × 3 on the first two axes; what lies outside is zero."""
    for axis in (0, 1):
        moved = np.moveaxis(values, axis, 0)
        total = values.copy()
        along = np.moveaxis(total, axis, 0)
        along[1:] += moved[:-1]
        along[:-1] += moved[1:]
        values = total
    return values


def _fits(shape: tuple[int, ...], image: NDArray[Any], name: str) -> NDArray[Any]:
    if image.shape != tuple(shape):
        raise InputError(
            f"{name} is {image.shape}, the patterns are {tuple(shape)}",
            "give one value per detector pixel, in the orientation of the patterns",
        )
    return image


def _some_left(usable: NDArray[np.bool_], fault: str) -> None:
    if not usable.any():
        raise InputError(fault, "True (or 1) in a mask means usable")
