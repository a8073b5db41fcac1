"""Components indexed as if they were the patterns of a scan, and painted where they are."""

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
    beam where the axes have their zero; so their places are as sure as many patterns together make
    them.

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
        found = _indexed(
            peaks, crystals, voltage=voltage, precession_angle=precession_angle, seed=seed,
            device=device,
        )  # fmt: skip
    return painted(data, found, numbers), _sample(data, found, peaks, crystals, numbers)


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
        # That the direct beam is not seen, and the like, is so by preparation.
        warnings.simplefilter("ignore", InputWarning)
        found = register(
            scan, mask=used, hot=False, centre=(float(row), float(column)), descan="none",
            distortion=np.reshape(distortion, (2, 2)), seed=seed, workers=1,
        )  # fmt: skip
    return Peaks(found)


def painted(data: xr.Dataset, found: xr.Dataset, numbers: NDArray[np.intp]) -> xr.Dataset:
    """Solutions of components on the positions of their labels.

    Parameters
    ----------
    data
        Group ``/components``.
    found
        Orientations of some components, (y, x) = (component, 1).
    numbers
        Which components these are.
    """
    row = np.full(int(data.sizes["component"]) + 1, -1, dtype=np.intp)
    row[numbers] = np.arange(numbers.size)
    # The last entry is that of no component: label −1.
    of = row[data["label"].to_numpy()]
    maps = {str(name): _on_map(values, of) for name, values in found.data_vars.items()}
    maps |= _second(data, found, of, row[data["partner"].to_numpy()])
    phase = maps["phase"].to_numpy()
    ambiguous = maps["ambiguous"].to_numpy()
    shares = {"indexed_share": float((phase >= 0).mean()), "ambiguous_share": ambiguous.mean()}
    return xr.Dataset(
        maps,
        coords={**{axis: data[axis] for axis in _MAPS}, "phase_name": found["phase_name"]},
        attrs=found.attrs
        | {name: float(share) for name, share in shares.items()}
        | {"of_components": int(numbers.size)},
    )


def _crystalline(data: xr.Dataset) -> NDArray[np.intp]:
    """Components that may be crystals: with a pattern, and not background."""
    there = np.nansum(data["pattern"].to_numpy(), axis=(1, 2)) > 0
    background = int(data.attrs["background"])
    if background >= 0:
        there[background] = False
    return np.flatnonzero(there)


def _indexed(peaks: Peaks, crystals: Sequence[Crystal], **how: Any) -> xr.Dataset:
    from phaseloom.orientation import index

    return index(peaks, list(crystals), workers=1, **how)


def _on_map(values: xr.DataArray, of: NDArray[np.intp]) -> xr.Variable:
    """A variable of components (…, y, x, …) at positions (y, x) of these; missing where −1."""
    flat = values.isel(x=0).transpose("y", ...)
    missing = {"f": np.nan, "b": False}.get(flat.dtype.kind, -1)
    there = (of >= 0).reshape(*of.shape, *(1,) * (flat.ndim - 1))
    image = np.where(there, flat.to_numpy()[of], np.array(missing, dtype=flat.dtype))
    return xr.Variable((*_MAPS, *flat.dims[1:]), image, values.attrs).transpose(*values.dims)


def _second(
    data: xr.Dataset, found: xr.Dataset, first: NDArray[np.intp], other: NDArray[np.intp]
) -> dict[str, xr.Variable]:
    """The second crystal at overlaps: the partner's solution, and its part of the intensity."""
    phase = found["phase"].to_numpy()[:, 0]
    indexed = (first >= 0) & (phase[first] >= 0)
    other = np.where(indexed & (other >= 0) & (phase[other] >= 0), other, -1)
    counts = np.nansum(data["pattern"].to_numpy().astype(np.float64), axis=(1, 2))
    light = counts[:, None, None] * data["weight"].to_numpy()
    label, partner = (data[name].to_numpy().astype(np.intp) for name in ("label", "partner"))
    one, two = (
        np.take_along_axis(light, np.maximum(numbers, 0)[None], axis=0)[0]
        for numbers in (label, partner)
    )
    part = np.divide(two, one + two, out=np.zeros_like(one), where=other >= 0)
    sure = _on_map(found["probability"], other).to_numpy()
    return {
        "overlap_phase": _on_map(found["phase"], other),
        "overlap_rotation": _on_map(found["rotation"], other),
        "overlap_weight": xr.Variable(_MAPS, np.where(indexed, part, np.nan).astype(np.float32)),
        "overlap_probability": xr.Variable(
            _MAPS, np.where(indexed, np.nan_to_num(sure), np.nan).astype(np.float32)
        ),
    }


def _sample(
    data: xr.Dataset,
    found: xr.Dataset,
    peaks: Peaks,
    crystals: Sequence[Crystal],
    numbers: NDArray[np.intp],
) -> xr.Dataset:
    if not (found["phase"] >= 0).any():
        return xr.Dataset()
    sample = check_patterns(found, peaks, crystals)
    weight = data["weight"].to_numpy()
    component = numbers[sample["y"].to_numpy()]
    brightest = weight.reshape(len(weight), -1)[component].argmax(axis=1)
    y, x = np.unravel_index(brightest, weight.shape[1:])
    return sample.assign(
        y=("sample", y.astype(np.int64)),
        x=("sample", x.astype(np.int64)),
        component=("sample", component.astype(np.int16)),
    )
