"""Preparation of one stack: dark level, spikes, drift, I0, optical density, mask."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.compute.keywords import takes_options
from phaseloom.compute.progress import Progress, shown_progress
from phaseloom.errors import InputError, InputWarning
from phaseloom.stxm.options import Preparation
from phaseloom.stxm.preparation import absorption, readings
from phaseloom.stxm.preparation.alignment import align as align_frames
from phaseloom.stxm.preparation.alignment import estimate_drift
from phaseloom.stxm.references.references import FEWEST_ENERGIES, TOO_FEW_ENERGIES

Region = tuple[slice, slice]
"""Rows and columns (y, x) in pixels of the stack as read, half-open."""

_QUANTITIES = ("counts", "transmission", "optical_density")

_FEWEST_COUNTS = 20.0
"""A stack without a brighter reading holds no counts."""


@takes_options(preparation=Preparation)
def prepare(
    measurement: xr.Dataset,
    *,
    i0: Literal["auto"] | Region | xr.DataArray = "auto",
    name: str | None = None,
    preparation: Preparation,
    progress: bool | Progress = False,
) -> xr.Dataset:
    """Optical density and particle mask of a stack.

    Parameters
    ----------
    measurement
        A stack from :func:`phaseloom.read`: ``counts`` (energy, y, x), or ``transmission`` or
        ``optical_density`` when the file holds those.
    i0
        Incident intensity: "auto" takes it from the file when it carries one, else from the
        empty area of the field; or a region; or a spectrum (energy,). A spectrum, and what the
        file carries, is taken as read by the same detector: the dark level is in it too.
    name
        How messages call this stack.
    preparation
        Instead of single options: all of them.
    progress
        Where long work is reported; True shows it.
    **options
        See :class:`phaseloom.stxm.options.Preparation`.

    Returns
    -------
    xarray.Dataset
        ``optical_density`` (energy, y, x) float32; ``mask``, ``mask_reason``, ``baseline`` and
        ``thickness`` (relative; spectra divided by it are normalised), (y, x); ``i0`` (energy),
        NaN where the measurement holds no counts; ``i0_area`` (y, x)
        when I0 comes from the field; ``shift_y``, ``shift_x`` (energy) in px. attrs count what
        was done.

    Raises
    ------
    InputError
        Not a stack, frames without readings, no I0, an empty mask.

    Warns
    -----
    InputWarning
        What was asked for cannot be done with a stack that holds no counts; the area of I0 does
        not look empty.
    """
    name = name or str(measurement.attrs.get("source", "stack"))
    progress = shown_progress(progress)
    attributes: dict[str, float | int | str] = {"source": name, "spikes": 0}
    shifts = None
    with _about(name):
        stack, quantity = _stack(measurement)
        values = stack.to_numpy()
        readings.check_frames(values, stack["energy"].to_numpy(), name)
        if quantity == "counts":
            _check_counts(values)
            readings.subtract_dark(values, preparation.dark)
            if preparation.despike:
                attributes["spikes"] = readings.despike(values, progress=progress)
        if preparation.align:
            shifts = estimate_drift(stack, progress=progress)
            stack = align_frames(stack, shifts, in_place=True, progress=progress)
            values = stack.to_numpy()

        intensity, area = None, None
        if quantity == "counts":
            intensity, area = _incident(stack, measurement, i0, preparation.dark)
            absorption.to_optical_density(values, intensity, progress=progress)
        else:
            _warn_of_unused(quantity, i0, preparation.dark)
        if quantity == "transmission":
            absorption.to_optical_density(values, np.ones(len(values)), progress=progress)
        thickness, noise = absorption.relative_thickness(values, intensity)
        reason = absorption.particle_mask(
            values, thickness, noise, thin=preparation.thin, thick=preparation.thick
        )
        mask = reason == absorption.PARTICLE
        mean = _mean_spectrum(values, mask)
        if intensity is not None and area is not None:
            absorption.warn_if_not_empty(intensity, mean, name)
        before = (
            absorption.pre_edge(mean) if preparation.baseline else np.zeros(len(values), dtype=bool)
        )
        subtracted = absorption.subtract_baseline(values, before)

    attributes.update(
        pre_edge_energies=int(before.sum()),
        thin_pixels=int(np.count_nonzero(reason == absorption.THIN)),
        saturated_pixels=int(np.count_nonzero(reason == absorption.SATURATED)),
        invalid_pixels=int(np.count_nonzero(reason == absorption.INVALID)),
        particle_pixels=int(np.count_nonzero(mask)),
        pixel_area=_pixel_area(stack),
        row_offset=_offset(measurement["y"], stack["y"]),
        column_offset=_offset(measurement["x"], stack["x"]),
        length_unit=str(stack["x"].attrs.get("units", "px")),
        quantity=quantity,
    )
    result = xr.Dataset(
        {
            "optical_density": (("energy", "y", "x"), values, {"units": "1"}),
            "mask": (("y", "x"), mask),
            "mask_reason": (("y", "x"), reason, _reasons()),
            "thickness": (("y", "x"), thickness.astype(np.float32), {"units": "1"}),
            "baseline": (("y", "x"), subtracted, {"units": "1"}),
            "i0": (
                "energy",
                np.full(len(values), np.nan) if intensity is None else intensity,
                {"units": "counts"},
            ),
        },
        coords={axis: stack[axis] for axis in ("energy", "y", "x")},
        attrs=attributes,
    )
    if area is not None:
        result["i0_area"] = (("y", "x"), area)
    if shifts is not None:
        result = result.assign(
            {v: ("energy", shifts[v].to_numpy(), {"units": "px"}) for v in ("shift_y", "shift_x")}
        )
    return result


def mean_spectrum(
    prepared: xr.Dataset, region: Region | None = None, *, label: str | None = None
) -> xr.Dataset:
    """Mean optical density of the particles, or of a region, with its spread over the pixels.

    Parameters
    ----------
    prepared
        From :func:`prepare`.
    region
        Rows and columns of the stack as read; the particle mask otherwise.
    label
        Name of the spectrum.

    Returns
    -------
    xarray.Dataset
        A measurement of kind "spectra": ``absorption`` and ``spread`` (standard deviation over
        pixels) with dims (spectrum, energy), ``pixels`` (spectrum).

    Raises
    ------
    InputError
        No pixel of the region has a reading.
    """
    density = prepared["optical_density"].to_numpy()
    rows = np.arange(density.shape[1]) + prepared.attrs["row_offset"]
    columns = np.arange(density.shape[2]) + prepared.attrs["column_offset"]
    if region is None:
        chosen = prepared["mask"].to_numpy()
    else:
        chosen = _within(rows, region[0])[:, None] & _within(columns, region[1])[None, :]
        chosen &= np.isfinite(density).all(axis=0)
        pixels_of_region = (region[0].stop - region[0].start) * (region[1].stop - region[1].start)
        if 0 < np.count_nonzero(chosen) < pixels_of_region:
            warnings.warn(
                f"{prepared.attrs.get('source')}: {np.count_nonzero(chosen)} of the "
                f"{pixels_of_region} pixels of the region are in the field common to all energies "
                "and have readings; "
                "the mean is theirs",
                InputWarning,
                stacklevel=2,
            )
    if not np.any(chosen):
        raise InputError(
            "the region holds no pixel with a reading at every energy",
            f"the field common to all energies is {rows[0]}:{rows[-1] + 1},"
            f"{columns[0]}:{columns[-1] + 1}",
            source=prepared.attrs.get("source"),
        )
    spectra = density[:, chosen].astype(np.float64)
    return xr.Dataset(
        {
            "absorption": (("spectrum", "energy"), spectra.mean(axis=1)[None]),
            "spread": (("spectrum", "energy"), spectra.std(axis=1)[None]),
            "pixels": ("spectrum", [int(chosen.sum())]),
        },
        coords={
            "spectrum": [label or str(prepared.attrs.get("source", "spectrum"))],
            "energy": prepared["energy"],
        },
        attrs={"kind": "spectra", "source": prepared.attrs.get("source", "")},
    )


def incident_counts(prepared: xr.Dataset) -> NDArray[np.float64] | None:
    """I0 (energy,) in counts; None where the stack held transmission or optical density."""
    if prepared.attrs["quantity"] != "counts":
        return None
    return np.asarray(prepared["i0"].to_numpy(), dtype=np.float64)


def variance(prepared: xr.Dataset, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Counting variance of the optical density of the masked pixels, (energy, pixel): 1/counts.

    Where counts are not known, as for one count in the empty beam: right up to a factor.
    """
    density = prepared["optical_density"].to_numpy()
    baseline = prepared["baseline"].to_numpy()[mask]
    result = np.empty((density.shape[0], baseline.size), dtype=np.float32)
    for e, frame in enumerate(density):
        np.exp(frame[mask] + baseline, out=result[e])
    counts = incident_counts(prepared)
    if counts is not None:
        result /= counts.astype(np.float32)[:, None]
    return result


@contextmanager
def _about(name: str) -> Iterator[None]:
    """Let errors and warnings that name no file say which stack they are about."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InputWarning)
        try:
            yield
        except InputError as error:
            if error.source not in (None, *_QUANTITIES):
                raise
            raise InputError(error.fault, error.remedy, source=name) from error
    for warning in caught:
        text = str(warning.message)
        if issubclass(warning.category, InputWarning) and not text.startswith(name):
            text = f"{name}: {text}"
        warnings.warn(text, warning.category, stacklevel=5)


def _stack(measurement: xr.Dataset) -> tuple[xr.DataArray, str]:
    """A float32 copy of what the measurement holds, and what that is."""
    kind = measurement.attrs.get("kind", "stack")
    if kind not in ("stack", "image"):
        raise InputError(f"is of kind {kind!r}, not a stack of images", "give a stack")
    quantity = next((q for q in _QUANTITIES if q in measurement), None)
    if quantity is None:
        raise InputError("holds no counts, transmission or optical density", "give a stack")
    stack = measurement[quantity].transpose("energy", "y", "x")
    energies = np.unique(stack["energy"]).size
    if energies < FEWEST_ENERGIES:
        raise InputError(f"has images at {energies} energies only", TOO_FEW_ENERGIES)
    if min(stack.shape) < 3:
        raise InputError(
            f"its images have {stack.sizes['y']}×{stack.sizes['x']} pixels",
            "a map needs 3 or more each way",
        )
    return stack.astype(np.float32, copy=True), quantity


def _check_counts(values: NDArray[np.float32]) -> None:
    highest = float(np.nanmax(values))
    if highest < _FEWEST_COUNTS:
        raise InputError(
            f"its numbers reach only {highest:.3g}: too few for counts",
            "if they are something else, say so with --quantity optical_density or transmission",
        )


def _incident(
    stack: xr.DataArray,
    measurement: xr.Dataset,
    i0: Literal["auto"] | Region | xr.DataArray,
    dark: float,
) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
    """I0 (energy,) without the dark level and, when it comes from the field, from which pixels."""
    if isinstance(i0, xr.DataArray):
        return _above_dark(absorption.incident_from_spectrum(i0, stack["energy"]), dark), None
    if isinstance(i0, tuple):
        area = _region_mask(stack, measurement, i0)
    elif "i0" in measurement:
        recorded = measurement["i0"].to_numpy().astype(np.float64)
        absorption.check_incident(recorded)
        return _above_dark(recorded, dark), None
    else:
        area = absorption.empty_area(stack.to_numpy())
    return absorption.incident_intensity(stack.to_numpy(), area), area


def _above_dark(recorded: NDArray[np.float64], dark: float) -> NDArray[np.float64]:
    """I0 recorded apart from the stack less the dark level of its detector."""
    if np.any(recorded <= dark):
        raise InputError(
            f"I0 falls to {recorded.min():g}, not above the dark level of {dark:g}",
            "check --dark and the I0: both in counts of the stack's detector",
        )
    return recorded - dark


def _warn_of_unused(
    quantity: str, i0: Literal["auto"] | Region | xr.DataArray, dark: float
) -> None:
    unused = [n for n, given in (("I0", not isinstance(i0, str)), ("dark", dark != 0)) if given]
    if unused:
        warnings.warn(
            f"{' and '.join(unused)} not used: the numbers are {quantity.replace('_', ' ')} "
            "already",
            InputWarning,
            stacklevel=2,
        )


def _region_mask(stack: xr.DataArray, measurement: xr.Dataset, region: Region) -> NDArray[np.bool_]:
    rows, columns = (
        np.arange(stack.sizes[a]) + _offset(measurement[a], stack[a]) for a in ("y", "x")
    )
    area = _within(rows, region[0])[:, None] & _within(columns, region[1])[None, :]
    if not np.any(area):
        raise InputError(
            f"the I0 region {region[0].start}:{region[0].stop},{region[1].start}:{region[1].stop}"
            f" lies outside the field of {measurement.sizes['y']}×{measurement.sizes['x']} pixels",
            "give rows and columns as y0:y1,x0:x1",
        )
    return area


def _offset(recorded: xr.DataArray, kept: xr.DataArray) -> int:
    """How many pixels of the axis as read lie before its first one kept by the cropping."""
    return int(np.argmin(np.abs(recorded.to_numpy() - float(kept[0]))))


def _within(index: NDArray[np.int_], part: slice) -> NDArray[np.bool_]:
    return np.asarray((index >= part.start) & (index < part.stop))


def _mean_spectrum(values: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.array([float(frame[mask].mean(dtype=np.float64)) for frame in values])


def _pixel_area(stack: xr.DataArray) -> float:
    steps = [float(np.mean(np.diff(stack[a]))) if stack.sizes[a] > 1 else 1.0 for a in ("y", "x")]
    return abs(steps[0] * steps[1])


def _reasons() -> dict[str, object]:
    return {
        "flag_values": [0, 1, 2, 3],
        "flag_meanings": "particle too_thin_or_empty saturated invalid",
    }
