"""Preparation of one stack: dark level, spikes, drift, I0, optical density, mask."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from phaseloom.compute.keywords import takes_options
from phaseloom.compute.progress import Progress, shown_progress
from phaseloom.errors import InputError, InputWarning
from phaseloom.stxm.options import Preparation
from phaseloom.stxm.preparation import absorption, readings
from phaseloom.stxm.preparation.alignment import align as align_frames
from phaseloom.stxm.preparation.alignment import estimate_drift
from phaseloom.stxm.preparation.beam import (
    Flattened,
    Incident,
    divide_by_flats,
    incident_of,
    offset,
    within,
)
from phaseloom.stxm.preparation.left_out import Region, field_mask
from phaseloom.stxm.preparation.opening import QUANTITIES, open_stack
from phaseloom.stxm.preparation.row_shift import put_rows_back, row_displacement

NARROWEST = 12
"""Pixels a field needs each way for its drift to be found."""


@takes_options(preparation=Preparation)
def prepare(
    measurement: xr.Dataset,
    *,
    i0: Incident = "auto",
    mask: ArrayLike | Region | None = None,
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
        empty area of the field; or a region; or a spectrum (energy,), in the stack's own counts;
        or a flat field (y, x) or (energy, y, x), by which each image is divided; or what
        :func:`phaseloom.io.incident.read_incident` read, which is scaled by dwell and ring
        current where they are recorded, else to the empty area. A spectrum, a flat and what the
        file carries are taken as read by the same detector: the dark level is in them too.
    mask
        Pixels of the field that may be mapped: an image (y, x), not zero there, or a region.
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
        when I0 comes from the field; ``beam`` (y, x), the part of I0 that lights a pixel, less
        what the flat's own noise costs, when it comes from a flat field; ``shift_y``, ``shift_x``
        (energy) in px. attrs count what was done. The optical density is NaN where a reading is
        missing or unusable; a pixel needs half of its readings to be mapped.

    Raises
    ------
    InputError
        Not a stack, frames without readings, no I0, an empty mask.

    Warns
    -----
    InputWarning
        What was asked for cannot be done with a stack that holds no counts; the area of I0 does
        not look empty; readings are unusable; the field is too narrow to find its drift.
    """
    name = name or str(measurement.attrs.get("source", "stack"))
    progress = shown_progress(progress)
    attributes: dict[str, float | int | str] = {"source": name, "spikes": 0}
    shifts, flattened = None, None
    with _about(name):
        opened = open_stack(measurement, leave_out=preparation.leave_out, name=name)
        measurement, stack, quantity = opened.measurement, opened.stack, opened.quantity
        allowed = None if mask is None else field_mask(mask, stack.shape[1:])
        values = stack.to_numpy()
        if preparation.align:
            attributes["row_displacement"] = _straighten(values)
        if quantity == "counts":
            readings.subtract_dark(values, preparation.dark)
            # first the flat: a camera's own pattern stands out as spikes do, and is in the flat too
            flattened = divide_by_flats(values, measurement, i0, preparation.dark)
            if preparation.despike:
                attributes["spikes"] = readings.despike(values, progress=progress)
        if preparation.align and _wide_enough(stack):
            with opened.unusable.saturated_shown(values):
                shifts = estimate_drift(stack, progress=progress)
            stack = align_frames(stack, shifts, in_place=True, progress=progress)
            values = stack.to_numpy()
        field = tuple(
            slice(
                offset(measurement[a], stack[a]), offset(measurement[a], stack[a]) + stack.sizes[a]
            )
            for a in ("y", "x")
        )

        incident, beam, opaque = None, None, None
        if quantity == "counts":
            saturated = opened.unusable.saturated
            incident = incident_of(
                stack,
                measurement,
                i0,
                dark=preparation.dark,
                flattened=flattened,
                saturated=None if saturated is None else saturated[field],
            )
            opaque = absorption.to_optical_density(values, incident.intensity, progress=progress)
            beam = None if flattened is None else _lit(values, flattened, field, incident.intensity)
        else:
            _warn_of_unused(quantity, i0, preparation.dark)
        if quantity == "transmission":
            opaque = absorption.to_optical_density(values, np.ones(len(values)), progress=progress)
        thickness, noise = absorption.relative_thickness(
            values, None if incident is None else incident.intensity, beam
        )
        reason = absorption.particle_mask(
            values,
            thickness,
            noise,
            thin=preparation.thin,
            thick=preparation.thick,
            opaque=np.zeros(thickness.shape, dtype=np.int32) if opaque is None else opaque,
            allowed=None if allowed is None else allowed[field],
        )
        particle = reason == absorption.PARTICLE
        mean = _mean_spectrum(values, particle)
        if incident is not None and incident.area is not None:
            absorption.warn_if_not_empty(incident.intensity, mean, name)
        before = (
            absorption.pre_edge(mean) if preparation.baseline else np.zeros(len(values), dtype=bool)
        )
        subtracted = absorption.subtract_baseline(values, before)

    missing = _missing(values, particle)
    attributes.update(
        pre_edge_energies=int(before.sum()),
        thin_pixels=int(np.count_nonzero(reason == absorption.THIN)),
        saturated_pixels=int(np.count_nonzero(reason == absorption.SATURATED)),
        invalid_pixels=int(np.count_nonzero(reason == absorption.INVALID)),
        left_out_pixels=int(np.count_nonzero(reason == absorption.LEFT_OUT)),
        particle_pixels=int(np.count_nonzero(particle)),
        readings_missing=missing,
        images_left_out=opened.dropped,
        unusable=opened.unusable.sentence(len(values) + opened.dropped),
        pixel_area=_pixel_area(stack),
        row_offset=field[0].start,
        column_offset=field[1].start,
        length_unit=str(stack["x"].attrs.get("units", "px")),
        quantity=quantity,
        **({} if incident is None else incident.remarks),
    )
    result = xr.Dataset(
        {
            "optical_density": (("energy", "y", "x"), values, {"units": "1"}),
            "mask": (("y", "x"), particle),
            "mask_reason": (("y", "x"), reason, _reasons()),
            "thickness": (("y", "x"), thickness.astype(np.float32), {"units": "1"}),
            "baseline": (("y", "x"), subtracted, {"units": "1"}),
            "i0": (
                "energy",
                np.full(len(values), np.nan) if incident is None else incident.intensity,
                {"units": "counts"},
            ),
        },
        coords={axis: stack[axis] for axis in ("energy", "y", "x")},
        attrs=attributes,
    )
    if incident is not None and incident.area is not None:
        result["i0_area"] = (("y", "x"), incident.area)
    if beam is not None:
        result["beam"] = (("y", "x"), beam, {"units": "1"})
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
        chosen = within(rows, region[0])[:, None] & within(columns, region[1])[None, :]
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
            "absorption": (("spectrum", "energy"), np.nanmean(spectra, axis=1)[None]),
            "spread": (("spectrum", "energy"), np.nanstd(spectra, axis=1)[None]),
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
    dimmed = counted_baseline(prepared)[mask]
    result = np.empty((density.shape[0], dimmed.size), dtype=np.float32)
    for e, frame in enumerate(density):
        np.exp(frame[mask] + dimmed, out=result[e])
    counts = incident_counts(prepared)
    if counts is not None:
        result /= counts.astype(np.float32)[:, None]
    return result


def counted_baseline(prepared: xr.Dataset) -> NDArray[np.float32]:
    """What dims the beam at a pixel (y, x) besides its optical density, as optical density.

    The baseline taken off, and the unevenness of the beam: i0·exp(−optical density − this) are
    the counts of a pixel.
    """
    baseline: NDArray[np.float32] = prepared["baseline"].to_numpy()
    if "beam" not in prepared:
        return baseline
    return np.asarray(baseline - np.log(prepared["beam"].to_numpy()), dtype=np.float32)


@contextmanager
def _about(name: str) -> Iterator[None]:
    """Let errors and warnings that name no file say which stack they are about."""
    caught: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", InputWarning)
            yield
    except InputError as error:
        if error.source not in (None, *QUANTITIES):
            raise
        raise InputError(error.fault, error.remedy, source=name) from error
    finally:
        for warning in caught:
            text = str(warning.message)
            if issubclass(warning.category, InputWarning) and not text.startswith(name):
                text = f"{name}: {text}"
            warnings.warn(text, warning.category, stacklevel=5)


def _straighten(values: NDArray[np.float32]) -> float:
    """Put rows back that a scan to and fro displaced, in place; by how many pixels."""
    displacement = row_displacement(values)
    if displacement:
        put_rows_back(values, displacement)
        warnings.warn(
            f"every other row is displaced by {displacement:+.1f} px, as by a scan in both "
            "directions: put back; with --no-align they stay as they are",
            InputWarning,
            stacklevel=3,
        )
    return displacement


def _wide_enough(stack: xr.DataArray) -> bool:
    """Whether the field is wide enough to find drift in; said where not."""
    if min(stack.shape[1:]) >= NARROWEST:
        return True
    warnings.warn(
        f"its field of {stack.sizes['y']}×{stack.sizes['x']} pixels is too narrow to find drift "
        f"({NARROWEST} are needed each way): it is mapped as it is",
        InputWarning,
        stacklevel=3,
    )
    return False


def _lit(
    density: NDArray[np.float32],
    flattened: Flattened,
    field: tuple[slice, ...],
    intensity: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Part of I0 (y, x) that lights each pixel, less what the noise of the flat costs.

    A flat that counted F where the beam counts B adds to the variance 1/(B T) of a pixel of
    transmission T the part T B/F of it.
    """
    with np.errstate(invalid="ignore"):
        transmission = np.exp(-np.clip(_mean_frame(density), 0.0, None))
    exposure = flattened.counted / float(intensity.mean())
    return np.asarray(flattened.beam[field] / (1.0 + transmission / exposure), dtype=np.float32)


def _mean_frame(density: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean over energies (y, x) of the readings there are."""
    total = np.zeros(density.shape[1:], dtype=np.float32)
    number = np.zeros(density.shape[1:], dtype=np.int32)
    for frame in density:
        there = np.isfinite(frame)
        total[there] += frame[there]
        number += there
    return np.asarray(total / np.maximum(number, 1), dtype=np.float32)


def _missing(values: NDArray[np.float32], particle: NDArray[np.bool_]) -> float:
    """Part of the readings of the particles' pixels that is missing."""
    missing = sum(int(np.count_nonzero(np.isnan(frame[particle]))) for frame in values)
    return missing / (len(values) * int(np.count_nonzero(particle)))


def _warn_of_unused(quantity: str, i0: Incident, dark: float) -> None:
    unused = [n for n, given in (("I0", not isinstance(i0, str)), ("dark", dark != 0)) if given]
    if unused:
        warnings.warn(
            f"{' and '.join(unused)} not used: the numbers are {quantity.replace('_', ' ')} "
            "already",
            InputWarning,
            stacklevel=2,
        )


def _mean_spectrum(values: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.array([float(np.nanmean(frame[mask], dtype=np.float64)) for frame in values])


def _pixel_area(stack: xr.DataArray) -> float:
    steps = [float(np.mean(np.diff(stack[a]))) if stack.sizes[a] > 1 else 1.0 for a in ("y", "x")]
    return abs(steps[0] * steps[1])


def _reasons() -> dict[str, object]:
    return {
        "flag_values": [0, 1, 2, 3, 4],
        "flag_meanings": "particle too_thin_or_empty saturated invalid left_out",
    }
