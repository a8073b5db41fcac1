"""Flat fields: images of the beam without a sample, at the energies of a stack.

A full-field microscope's illumination and detector differ from pixel to pixel: each image is
divided by the beam at its energy. Flats at other energies are interpolated linearly in energy,
and among those at one energy in time where times are known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.errors import InputError

Images = NDArray[np.float32]
Numbers = NDArray[np.float64]

_SAME_ENERGY = 0.05
"""Flats whose energies differ by less, in eV, are of one energy."""
_BEYOND = 1.0
"""How far, in eV, a stack may reach beyond its flats."""
_DARK = 0.01
"""Pixels where the beam has less than this part of its mean show nothing."""


@dataclass(frozen=True)
class Flats:
    """Images of the beam.

    Attributes
    ----------
    images
        (flat, y, x), NaN where there is no reading.
    energy
        (flat,) in eV; all NaN where unknown: they serve at all energies.
    time
        (flat,) in s, of any origin; None where unknown.
    """

    images: Images
    energy: Numbers
    time: Numbers | None = None

    @classmethod
    def of(cls, incident: xr.Dataset) -> Flats:
        """The flats in an incident intensity with ``intensity`` (flat, y, x)."""
        time = incident["time"].to_numpy() if "time" in incident.variables else None
        if time is not None:
            time = (
                time.astype("datetime64[ms]").astype(float) / 1e3
                if time.dtype.kind == "M"
                else time
            )
        return cls(
            incident["intensity"].transpose("flat", "y", "x").to_numpy().astype(np.float32),
            incident["energy"].to_numpy().astype(float),
            time,
        )

    @property
    def energies(self) -> Numbers:
        """Distinct energies (group,), ascending."""
        if np.isnan(self.energy).any():
            return self.energy[:1]
        order = np.sort(self.energy)
        return np.asarray(order[np.concatenate([[True], np.diff(order) > _SAME_ENERGY])])

    def at(self, energy: float, time: float | None = None) -> Images:
        """The beam (y, x) at an energy (eV) and, where known, a time."""
        weights = flat_weights(self.energy, self.time, energy, time)
        used = np.flatnonzero(weights)
        beam = np.zeros(self.images.shape[1:], dtype=np.float32)
        for flat in used:
            beam += np.float32(weights[flat]) * self.images[flat]
        return beam


def flat_weights(
    energies: Numbers, times: Numbers | None, energy: float, time: float | None
) -> Numbers:
    """Weights (flat,) that interpolate flats in energy, and within an energy in time.

    Parameters
    ----------
    energies, times
        (flat,) in eV and in s; times None where unknown.
    energy, time
        Where the beam is wanted.

    Returns
    -------
    ndarray
        They add up to 1. Flats at the energy itself serve alone; beyond the first and the last
        energy the nearest serve. Without times all flats of an energy weigh the same; before
        the first and after the last time the nearest flat serves.
    """
    if np.isnan(energies).any():
        return _in_time(times, np.arange(energies.size), time)
    below = energies[energies <= energy + _SAME_ENERGY]
    above = energies[energies >= energy - _SAME_ENERGY]
    low = float(below.max()) if below.size else float(energies.min())
    high = float(above.min()) if above.size else float(energies.max())
    if abs(low - energy) <= _SAME_ENERGY:
        high = low
    elif abs(high - energy) <= _SAME_ENERGY:
        low = high
    part = 0.0 if high - low <= _SAME_ENERGY else (energy - low) / (high - low)
    weights = np.zeros(energies.size)
    for at, share in ((low, 1.0 - part), (high, part)):
        if share <= 0:
            continue
        group = np.flatnonzero(np.abs(energies - at) <= _SAME_ENERGY)
        weights[group] += share * _in_time(None if times is None else times[group], group, time)
    return weights


def _in_time(times: Numbers | None, group: NDArray[np.intp], time: float | None) -> Numbers:
    if times is None or time is None or not np.isfinite(times).all() or not np.isfinite(time):
        return np.full(group.size, 1.0 / group.size)
    order = np.argsort(times, kind="stable")
    weights = np.zeros(group.size)
    place = float(np.interp(time, times[order], np.arange(order.size)))
    first = min(int(place), order.size - 1)
    weights[order[first]] += 1.0 - (place - first)
    if place > first:
        weights[order[first + 1]] += place - first
    return weights


def flatten(
    counts: Images, energy: Numbers, flats: Flats, time: Numbers | None = None
) -> tuple[Numbers, Images]:
    """Divide counts (energy, y, x) by the beam's shape, in place.

    What comes out are the counts under an even beam of the same mean. Pixels without a flat, or
    in its dark (below a hundredth of its mean), become NaN.

    Returns
    -------
    level : (energy,)
        Mean of the flat at each energy.
    beam : (y, x)
        The beam's shape: mean 1, NaN where there is none.

    Raises
    ------
    InputError
        The flats are of another shape, do not reach over the stack's energies, or hold nothing.
    """
    check_flats(flats, counts.shape[1:], energy)
    level = np.empty(len(counts))
    shape = np.zeros(counts.shape[1:], dtype=np.float64)
    for e, frame in enumerate(counts):
        beam = flats.at(float(energy[e]), None if time is None else float(time[e]))
        level[e] = float(np.nanmean(beam, dtype=np.float64))
        beam /= np.float32(level[e])
        with np.errstate(invalid="ignore"):
            beam[~(beam > _DARK)] = np.nan
        np.divide(frame, beam, out=frame)
        shape += beam
    return level, (shape / len(counts)).astype(np.float32)


def denoise(flats: Flats) -> float:
    """Take the counting noise out of flats that share one shape, in place.

    A beam's shape changes little from flat to flat. What the flats have in common is their mean
    and a few components (eigen-flats); the rest is noise, which would go into every image.

    Returns
    -------
    float
        By how much the variance of the noise fell: 1 where there are fewer than four flats.

    Notes
    -----
    Principal components of the flats over their levels, each reading weighted by its counting
    noise. Those are kept whose variance stands out of that of the others, which a matrix of pure
    noise has between (1 − √(n/N))² and (1 + √(n/N))² for n flats of N pixels (Marchenko and
    Pastur 1967); van Nieuwenhove et al., Opt. Express 23 (2015) 27975, use such components for
    radiographs.
    """
    n = len(flats.images)
    if n < 4:
        return 1.0
    level = np.array([float(np.nanmean(image, dtype=np.float64)) for image in flats.images])
    if not (level > 0).all():
        return 1.0
    scale = (1.0 / level).astype(np.float32)[:, None]
    weight = np.sqrt(level).astype(np.float32)[:, None]
    gram, pixels = np.zeros((n, n)), 0
    for strip in _strips(flats.images):
        whitened, _, _ = _whitened(strip, scale, weight)
        gram += whitened.astype(np.float64) @ whitened.T
        pixels += whitened.shape[1]
    if pixels < 10 * n:
        return 1.0
    variance, components = np.linalg.eigh(gram / pixels)
    noise = float(np.median(variance[1:]))
    kept = variance > 1.2 * noise * (1.0 + np.sqrt(n / pixels)) ** 2
    if np.count_nonzero(kept) > n // 2:
        return 1.0
    projection = (components[:, kept] @ components[:, kept].T).astype(np.float32)
    for strip in _strips(flats.images):
        whitened, mean, there = _whitened(strip, scale, weight)
        shape = mean + projection @ whitened / weight * np.sqrt(mean)
        strip[:, there] = shape / scale
    return n / (1.0 + float(np.count_nonzero(kept)))


def _strips(images: Images, rows: int = 64) -> Iterator[Images]:
    """Views (flat, pixel) of the images, some rows at a time."""
    for begin in range(0, images.shape[1], rows):
        yield images[:, begin : begin + rows].reshape(len(images), -1)


def _whitened(
    strip: Images, scale: Images, weight: Images
) -> tuple[Images, Images, NDArray[np.bool_]]:
    """Departures (flat, pixel) from the mean shape in units of counting noise; the shape (pixel,).

    Only of pixels that have a reading in every flat: which, (pixel,).
    """
    shape = strip * scale
    mean = shape.mean(axis=0)
    there = np.asarray(np.isfinite(mean) & (mean > _DARK))
    shape, mean = shape[:, there], mean[there]
    return (shape - mean) * weight / np.sqrt(mean), mean, there


def check_flats(flats: Flats, shape: tuple[int, ...], energy: Numbers) -> None:
    """Refuse flats of another shape, without counts, or that do not reach over the energies."""
    if flats.images.shape[1:] != shape:
        raise InputError(
            f"the flat field has {flats.images.shape[1]}×{flats.images.shape[2]} pixels and the "
            f"stack {shape[0]}×{shape[1]}",
            "give --i0 a flat taken with the same binning and the same part of the camera",
        )
    blank = [e for e, f in zip(flats.energy, flats.images, strict=True) if not np.nanmean(f) > 0]
    if blank:
        raise InputError(
            f"the flat field holds no counts at {len(blank)} of {flats.energy.size} energies "
            f"(first: {blank[0]:g} eV)",
            "give --i0 a flat with the beam on",
        )
    low, high = float(flats.energy.min()), float(flats.energy.max())
    if flats.energies.size > 1 and (energy.min() < low - _BEYOND or energy.max() > high + _BEYOND):
        raise InputError(
            f"the flat field covers {low:g}–{high:g} eV but the stack needs "
            f"{energy.min():g}–{energy.max():g} eV",
            "give --i0 flats that cover the stack, or a single one for its shape alone",
        )
