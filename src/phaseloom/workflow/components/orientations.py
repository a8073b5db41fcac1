"""Orientation map of components: their patterns are indexed, and mapped by their labels."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.errors import InputError, InputWarning, fault_of
from phaseloom.workflow.orientation.sample import check_patterns

if TYPE_CHECKING:
    from phaseloom.crystals import Crystal

_MAPS = ("y", "x")


def component_orientations(
    data: xr.Dataset,
    crystals: Sequence[Crystal],
    *,
    voltage: float,
    precession_angle: float = 0.0,
    distortion: Sequence[float] = (1.0, 0.0, 0.0, 1.0),
    seed: int = 0,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    source: Path | None = None,
) -> tuple[xr.Dataset, xr.Dataset]:
    """Phase and orientation of every position, from the component that it belongs to.

    The spots of the components' patterns are registered like those of any scan, with the direct
    beam at the zero of the axes. Their positions have the precision of many patterns together.

    Parameters
    ----------
    data
        Group ``/components``, ``ky`` and ``kx`` in Å⁻¹.
    crystals
        The phases.
    voltage, precession_angle
        Of the beam, kV and degrees.
    distortion
        2×2, by rows: from px of the patterns to corrected px.
    seed, device
        As for :func:`phaseloom.orientation.index`.
    source
        Named in errors.

    Returns
    -------
    orientation : xarray.Dataset
        Group ``/orientation`` as :func:`phaseloom.orientation.index` makes it: the solutions of
        the component of each position's label; −1 or NaN where that is background or none. At
        overlaps ``overlap_phase``, ``overlap_rotation``, ``overlap_weight`` (part of the
        diffracted intensity) and ``overlap_probability`` are those of the partner. Attribute
        ``of_components``: how many were indexed.
    sample : xarray.Dataset
        Group ``/orientation/sample``: peaks and simulated spots of some components, each with
        the scan position at which it is strongest; empty when nothing is indexed.

    Raises
    ------
    InputError
        No component has three spots, or there is none but background.
    """
    numbers = _crystalline(data)
    if not numbers.size:
        raise InputError(
            "there is no component but background", "look at --background and -k", source=source
        )
    with fault_of(source, "components"):
        peaks = component_peaks(data.isel(component=numbers), distortion=distortion, seed=seed)
        solutions = _indexed(
            peaks, crystals, voltage=voltage, precession_angle=precession_angle, seed=seed,
            device=device,
        )  # fmt: skip
    return orientation_map(data, solutions, numbers), _sample(
        data, solutions, peaks, crystals, numbers
    )


def component_peaks(
    data: xr.Dataset, *, distortion: Sequence[float] = (1.0, 0.0, 0.0, 1.0), seed: int = 0
) -> Peaks:
    """Spots of the components' patterns, as those of a scan of one column.

    Parameters
    ----------
    data
        ``pattern`` (component, ky, kx), NaN where a pixel is not used.
    distortion, seed
        As for :func:`component_orientations`.
    """
    from phaseloom.diffraction.registration import register

    pattern = data["pattern"].transpose("component", "ky", "kx")
    values = pattern.to_numpy().astype(np.float32)
    used = np.isfinite(values).all(axis=0)
    axes = {axis: data[axis].to_numpy().astype(np.float64) for axis in ("ky", "kx")}
    units = {"units": str(data["ky"].attrs.get("units", "px"))}
    scan = xr.Dataset(
        {"counts": (("y", "x", "ky", "kx"), np.where(used, values, 0)[:, None])},
        coords={
            "y": np.arange(len(values), dtype=np.float64),
            "x": [0.0],
            **{axis: (axis, places, units) for axis, places in axes.items()},
        },
        attrs={"kind": "scan", "input_fingerprint": "components"},
    )
    row, column = (-axis[0] / (axis[1] - axis[0]) for axis in axes.values())
    with warnings.catch_warnings():
        # Warnings such as that of a direct beam that is not seen: preparation removes it.
        warnings.simplefilter("ignore", InputWarning)
        registered = register(
            scan, mask=used, hot=False, centre=(float(row), float(column)), descan="none",
            distortion=np.reshape(distortion, (2, 2)), seed=seed, workers=1,
        )  # fmt: skip
    return Peaks(registered)


def orientation_map(
    data: xr.Dataset, solutions: xr.Dataset, numbers: NDArray[np.intp]
) -> xr.Dataset:
    """Map the solutions of components to the positions of their labels.

    Parameters
    ----------
    data
        Group ``/components``.
    solutions
        Orientations of some components, (y, x) = (component, 1).
    numbers
        Of these components.
    """
    row_of = np.full(int(data.sizes["component"]) + 1, -1, dtype=np.intp)
    row_of[numbers] = np.arange(numbers.size)
    # The last entry is that of no component: label −1.
    rows = row_of[data["label"].to_numpy()]
    maps = {str(name): _on_map(values, rows) for name, values in solutions.data_vars.items()}
    maps |= _overlap_maps(data, solutions, rows, row_of[data["partner"].to_numpy()])
    phase = maps["phase"].to_numpy()
    ambiguous = maps["ambiguous"].to_numpy()
    shares = {"indexed_share": float((phase >= 0).mean()), "ambiguous_share": ambiguous.mean()}
    return xr.Dataset(
        maps,
        coords={**{axis: data[axis] for axis in _MAPS}, "phase_name": solutions["phase_name"]},
        attrs=solutions.attrs
        | {name: float(share) for name, share in shares.items()}
        | {"of_components": int(numbers.size)},
    )


def _crystalline(data: xr.Dataset) -> NDArray[np.intp]:
    """Components that may be crystals: neither empty nor background."""
    crystalline = np.nansum(data["pattern"].to_numpy(), axis=(1, 2)) > 0
    background = int(data.attrs["background"])
    if background >= 0:
        crystalline[background] = False
    return np.flatnonzero(crystalline)


def _indexed(peaks: Peaks, crystals: Sequence[Crystal], **options: Any) -> xr.Dataset:
    from phaseloom.orientation import index

    return index(peaks, list(crystals), workers=1, **options)


def _on_map(values: xr.DataArray, rows: NDArray[np.intp]) -> xr.Variable:
    """Map a variable of components to positions (y, x), by rows of components; −1: missing."""
    flat = values.isel(x=0).transpose("y", ...)
    missing = {"f": np.nan, "b": False}.get(flat.dtype.kind, -1)
    present = (rows >= 0).reshape(*rows.shape, *(1,) * (flat.ndim - 1))
    image = np.where(present, flat.to_numpy()[rows], np.array(missing, dtype=flat.dtype))
    return xr.Variable((*_MAPS, *flat.dims[1:]), image, values.attrs).transpose(*values.dims)


def _overlap_maps(
    data: xr.Dataset, solutions: xr.Dataset, rows: NDArray[np.intp], partner_rows: NDArray[np.intp]
) -> dict[str, xr.Variable]:
    """Maps of the second crystal at overlaps: the partner's solution, its share of intensity."""
    phase = solutions["phase"].to_numpy()[:, 0]
    indexed = (rows >= 0) & (phase[rows] >= 0)
    partner_rows = np.where(
        indexed & (partner_rows >= 0) & (phase[partner_rows] >= 0), partner_rows, -1
    )
    counts = np.nansum(data["pattern"].to_numpy().astype(np.float64), axis=(1, 2))
    intensity = counts[:, None, None] * data["weight"].to_numpy()
    label, partner = (data[name].to_numpy().astype(np.intp) for name in ("label", "partner"))
    one, two = (
        np.take_along_axis(intensity, np.maximum(numbers, 0)[None], axis=0)[0]
        for numbers in (label, partner)
    )
    share = np.divide(two, one + two, out=np.zeros_like(one), where=partner_rows >= 0)
    probability = _on_map(solutions["probability"], partner_rows).to_numpy()
    return {
        "overlap_phase": _on_map(solutions["phase"], partner_rows),
        "overlap_rotation": _on_map(solutions["rotation"], partner_rows),
        "overlap_weight": xr.Variable(_MAPS, np.where(indexed, share, np.nan).astype(np.float32)),
        "overlap_probability": xr.Variable(
            _MAPS, np.where(indexed, np.nan_to_num(probability), np.nan).astype(np.float32)
        ),
    }


def _sample(
    data: xr.Dataset,
    solutions: xr.Dataset,
    peaks: Peaks,
    crystals: Sequence[Crystal],
    numbers: NDArray[np.intp],
) -> xr.Dataset:
    if not (solutions["phase"] >= 0).any():
        return xr.Dataset()
    sample = check_patterns(solutions, peaks, crystals)
    weight = data["weight"].to_numpy()
    component = numbers[sample["y"].to_numpy()]
    brightest = weight.reshape(len(weight), -1)[component].argmax(axis=1)
    y, x = np.unravel_index(brightest, weight.shape[1:])
    return sample.assign(
        y=("sample", y.astype(np.int64)),
        x=("sample", x.astype(np.int64)),
        component=("sample", component.astype(np.int16)),
    )
