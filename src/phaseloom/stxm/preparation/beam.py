"""The incident intensity of one stack: from its field, its file, or measured apart from it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.errors import InputError, InputWarning
from phaseloom.stxm.preparation import absorption
from phaseloom.stxm.preparation.flat_field import Flats, denoise, flatten
from phaseloom.stxm.preparation.incident import (
    check_is_intensity,
    field_factor,
    recorded_factors,
    say_scaling,
)
from phaseloom.stxm.preparation.left_out import Region
from phaseloom.stxm.preparation.unusable import leave_out_unusable

Incident = Literal["auto"] | Region | xr.DataArray | xr.Dataset
"""I0: from the file or the field; a region; a spectrum (energy,) in the stack's counts; flats
(y, x) or (energy, y, x); or what :func:`phaseloom.io.incident.read_incident` returns."""

FROM_FIELD = "empty area of the field"
"""``attrs["i0_kind"]`` of a stack whose I0 was found, not given."""

Numbers = NDArray[np.float64]

_FEWEST = 16
"""Pixels that a mean over an empty area needs."""
_COUNTED = 20.0
"""Flats of a lower mean are no counts."""


@dataclass(frozen=True)
class Flattened:
    """What dividing by the flat field left behind.

    Attributes
    ----------
    level
        Mean of the flat (energy,), at the stack's dwell and ring current where known.
    beam
        Its shape (y, x): mean 1.
    counted
        Mean counts of the flat, as its noise has them; infinite where it holds none.
    spectrum
        Whether the flats say how the beam changes with energy; a single one does not.
    remarks
        What was scaled.
    known
        Whether the level is that of the stack.
    """

    level: Numbers
    beam: NDArray[np.float32]
    counted: float
    spectrum: bool
    remarks: dict[str, float | str]
    known: bool


@dataclass(frozen=True)
class Beam:
    """I0 (energy,) in counts, the pixels (y, x) it comes from, and what was done to get it."""

    intensity: Numbers
    area: NDArray[np.bool_] | None = None
    remarks: dict[str, float | str] = field(default_factory=dict)


def divide_by_flats(
    values: NDArray[np.float32], measurement: xr.Dataset, i0: Incident, dark: float
) -> Flattened | None:
    """Divide counts (energy, y, x) by the flat field where there is one, in place.

    None where I0 has no shape.

    Raises
    ------
    InputError
        See :func:`phaseloom.stxm.preparation.flat_field.flatten`.
    """
    incident = _flats_of(i0, measurement)
    if incident is None:
        return None
    flats = Flats.of(incident)
    unusable = leave_out_unusable(flats.images, incident["intensity"].dtype)
    if unusable.total:
        warnings.warn(
            f"{_source(incident)}: unusable readings of the flat field are left out: "
            f"{unusable.sentence(len(flats.images))}",
            InputWarning,
            stacklevel=3,
        )
    flats.images[...] -= np.float32(dark)
    scaled = recorded_factors(incident, measurement)
    raw = float(np.nanmean(flats.images, dtype=np.float64))
    flats.images[...] *= scaled.factor.astype(np.float32)[:, None, None]
    # a flat divided by its own mean, or per second, says nothing of its noise
    counted = raw * denoise(flats) if raw >= _COUNTED and not incident.attrs.get("rate") else np.inf
    times = _seconds(measurement)
    with _about(incident):
        level, beam = flatten(values, measurement["energy"].to_numpy().astype(float), flats, times)
    remarks = {"i0_kind": f"{len(flats.images)} flats, per pixel", **scaled.remarks}
    return Flattened(
        level * scaled.ring, beam, counted, flats.energies.size > 1, remarks, scaled.known
    )


def incident_of(
    stack: xr.DataArray,
    measurement: xr.Dataset,
    i0: Incident,
    *,
    dark: float,
    flattened: Flattened | None,
    saturated: NDArray[np.float32] | None,
) -> Beam:
    """I0 (energy,) of a stack of counts, aligned, without its dark level.

    Parameters
    ----------
    stack
        (energy, y, x).
    measurement
        As read, with the fields ``i0``, ``dwell``, ``ring_current`` it may have.
    i0
        As asked for.
    dark
        Dark level, still in an I0 measured apart.
    flattened
        From :func:`divide_by_flats`.
    saturated
        (y, x) of the stack, part of the frames in which a pixel is saturated.

    Raises
    ------
    InputError
        There is no empty area, it is saturated, or what was given is no I0.
    """
    values = stack.to_numpy()
    if flattened is not None:
        return _of_flats(values, flattened, _source(i0), saturated)
    if isinstance(i0, xr.Dataset):
        return _of_spectrum(stack, measurement, i0, dark, saturated)
    if isinstance(i0, xr.DataArray):
        intensity = absorption.incident_from_spectrum(i0, stack["energy"])
        return Beam(_above_dark(intensity, dark), remarks={"i0_kind": "spectrum"})
    if isinstance(i0, tuple):
        area = _region_mask(stack, measurement, i0)
        return Beam(_mean(values, area, stack, saturated), area, {"i0_kind": "region of the field"})
    if "i0" in measurement:
        recorded = measurement["i0"].to_numpy().astype(np.float64)
        absorption.check_incident(recorded)
        return Beam(_above_dark(recorded, dark), remarks={"i0_kind": "recorded in the file"})
    area = absorption.empty_area(values, saturated)
    return Beam(_mean(values, area, stack, saturated), area, {"i0_kind": FROM_FIELD})


def _of_flats(
    values: NDArray[np.float32],
    flattened: Flattened,
    source: str,
    saturated: NDArray[np.float32] | None,
) -> Beam:
    """I0 under flats: their mean, or for a single one and an unknown dwell the empty area's."""
    remarks = dict(flattened.remarks)
    found = _empty(values, saturated)
    if flattened.spectrum:
        factor = 1.0
        if not flattened.known:
            factor, _ = field_factor(
                flattened.level, None if found is None else found[0], _brightest(values)
            )
            say_scaling(factor, remarks, source)
            remarks["field_factor"] = factor
        return Beam(flattened.level * factor, None, remarks)
    if found is not None:
        remarks["i0_kind"] = "one flat for the beam's shape, the empty area for its level"
        return Beam(found[0], found[1], remarks)
    warnings.warn(
        f"{source} is a flat at one energy and the field has no empty area: I0 is taken as the "
        "same at all energies; give --i0 flats at several energies",
        InputWarning,
        stacklevel=4,
    )
    return Beam(flattened.level, None, remarks)


def _of_spectrum(
    stack: xr.DataArray,
    measurement: xr.Dataset,
    incident: xr.Dataset,
    dark: float,
    saturated: NDArray[np.float32] | None,
) -> Beam:
    """I0 from a spectrum read from a file: scaled, and refused where it cannot be one."""
    values = stack.to_numpy()
    source = _source(incident)
    scaled = recorded_factors(incident, measurement)
    found = _empty(values, saturated)
    empty = None if found is None else found[0]
    with _about(incident):
        raw = incident["intensity"].assign_attrs(source=source)
        check_is_intensity(raw.to_numpy().astype(float), None, None, source)
        as_read = absorption.incident_from_spectrum(raw, stack["energy"])
        check_is_intensity(as_read, empty, absorption.absorbing_spectrum(values), source)
    # a rate holds no dark level that anyone could know
    above = raw - dark if dark and not incident.attrs.get("rate") else raw
    if dark and float(above.min()) <= 0:
        _above_dark(as_read, dark)
    intensity = absorption.incident_from_spectrum(above * scaled.factor, stack["energy"])
    intensity = intensity * scaled.ring
    remarks: dict[str, float | str] = {"i0_kind": "spectrum", **scaled.remarks}
    if "channel" in incident.attrs:
        remarks["i0_channel"] = str(incident.attrs["channel"])
    if not scaled.known:
        factor, _ = field_factor(intensity, empty, _brightest(values))
        say_scaling(factor, remarks, source)
        remarks["field_factor"] = factor
        intensity = intensity * factor
    return Beam(intensity, None, remarks)


def _empty(
    values: NDArray[np.float32], saturated: NDArray[np.float32] | None
) -> tuple[Numbers, NDArray[np.bool_]] | None:
    """Mean counts and pixels of what looks empty in the field; None where nothing does."""
    try:
        area = absorption.empty_area(values, saturated)
        return absorption.incident_intensity(values, area), area
    except InputError:
        return None


def _brightest(values: NDArray[np.float32]) -> Numbers:
    return np.array([float(np.nanquantile(frame, 0.98)) for frame in values])


def _mean(
    values: NDArray[np.float32],
    area: NDArray[np.bool_],
    stack: xr.DataArray,
    saturated: NDArray[np.float32] | None,
) -> Numbers:
    """Mean counts over an area, which must have readings at every energy.

    Where readings are missing because they are too bright, the mean of the others is too low.
    """
    there = np.array([int(np.count_nonzero(np.isfinite(frame[area]))) for frame in values])
    size = int(np.count_nonzero(area))
    bright = saturated is not None and bool((saturated[area] > 0).any())
    few = there < (0.5 * size if bright else min(_FEWEST, size))
    if few.any():
        energies = ", ".join(f"{e:g}" for e in stack["energy"].to_numpy()[few][:5])
        raise InputError(
            f"I0 is zero or missing at {np.count_nonzero(few)} of {few.size} energies ({energies} "
            "eV): too few readings of its area are left, the others are saturated or none",
            "give I0 as a file (--i0 FILE) or leave those energies out (--leave-out)",
        )
    return absorption.incident_intensity(values, area)


def _flats_of(i0: Incident, measurement: xr.Dataset) -> xr.Dataset | None:
    """I0 as flats (flat, y, x), where it is images."""
    if isinstance(i0, str) and "i0" not in measurement and "reference_counts" in measurement:
        i0 = measurement["reference_counts"].assign_attrs(
            source=f"the reference frame in {measurement.attrs.get('source', 'the file')}"
        )
    if isinstance(i0, xr.Dataset):
        return i0 if "flat" in i0.dims else None
    if not isinstance(i0, xr.DataArray) or not {"y", "x"} <= set(i0.dims):
        return None
    images = i0 if "energy" in i0.dims else i0.expand_dims(energy=measurement["energy"][:1])
    images = images.transpose("energy", "y", "x")
    return xr.Dataset(
        {"intensity": (("flat", "y", "x"), images.to_numpy())},
        coords={"energy": ("flat", images["energy"].to_numpy())},
        attrs={"source": i0.attrs.get("source", "I0")},
    )


def _seconds(measurement: xr.Dataset) -> Numbers | None:
    """When each image was taken, in s, where that is known."""
    if "time" not in measurement.variables or measurement["time"].dims != ("energy",):
        return None
    time = measurement["time"].to_numpy()
    return time.astype("datetime64[ms]").astype(float) / 1e3 if time.dtype.kind == "M" else time


def _source(i0: Incident) -> str:
    return str(i0.attrs.get("source", "I0")) if isinstance(i0, xr.DataArray | xr.Dataset) else "I0"


@contextmanager
def _about(incident: xr.Dataset) -> Iterator[None]:
    """Let an error that names no file name that of I0."""
    try:
        yield
    except InputError as error:
        if error.source is not None:
            raise
        raise InputError(error.fault, error.remedy, source=incident.attrs.get("source")) from error


def _above_dark(recorded: Numbers, dark: float) -> Numbers:
    """I0 recorded apart from the stack less the dark level of its detector."""
    if np.any(recorded <= dark):
        raise InputError(
            f"I0 falls to {recorded.min():g}, not above the dark level of {dark:g}",
            "check --dark and the I0: both in counts of the stack's detector",
        )
    return recorded - dark


def _region_mask(stack: xr.DataArray, measurement: xr.Dataset, region: Region) -> NDArray[np.bool_]:
    rows, columns = (
        np.arange(stack.sizes[a]) + offset(measurement[a], stack[a]) for a in ("y", "x")
    )
    area = within(rows, region[0])[:, None] & within(columns, region[1])[None, :]
    if not np.any(area):
        raise InputError(
            f"the I0 region {region[0].start}:{region[0].stop},{region[1].start}:{region[1].stop}"
            f" lies outside the field of {measurement.sizes['y']}×{measurement.sizes['x']} pixels",
            "give rows and columns as y0:y1,x0:x1",
        )
    return area


def offset(recorded: xr.DataArray, kept: xr.DataArray) -> int:
    """How many pixels of the axis as read lie before its first one kept by the cropping."""
    return int(np.argmin(np.abs(recorded.to_numpy() - float(kept[0]))))


def within(index: NDArray[np.int_], part: slice) -> NDArray[np.bool_]:
    """Which indices lie in a half-open range."""
    return np.asarray((index >= part.start) & (index < part.stop))
