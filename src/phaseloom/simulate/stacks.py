"""Simulated STXM stacks of a sample: blur, stray light, drift, counting statistics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.interpolate import CubicSpline


def measure(
    sample: xr.Dataset,
    references: Sequence[xr.DataArray],
    energies: ArrayLike,
    *,
    counts: float = 3000.0,
    binning: int = 1,
    blur: float = 0.7,
    stray_light: float = 0.0,
    drift: float = 0.0,
    incident_drift: float = 0.02,
    energy_shift: float = 0.0,
    substrate: float = 0.1,
    dark: float = 0.0,
    spikes: float = 0.0,
    seed: int = 0,
) -> tuple[xr.Dataset, xr.Dataset]:
    """Simulate the stack of a sample; returns it with its truth.

    Parameters
    ----------
    sample
        From :func:`phaseloom.simulate.particle`.
    references
        Absorption spectra of the phases, in the order of the sample's labels.
    energies
        In eV, as the stack's axis reads them.
    counts
        Mean detector counts per pixel in the empty beam.
    binning
        Sample pixels per stack pixel, each way (the low-resolution dense stack).
    blur
        Standard deviation of the point-spread function in sample pixels.
    stray_light
        Part of the counts that did not pass through the sample.
    drift
        Standard deviation of the step between frames, in stack pixels (a random walk).
    incident_drift
        Standard deviation of the incident intensity's slow relative change.
    energy_shift
        How far the stack's energy axis reads too high, in eV.
    substrate
        Optical density of the membrane and carbon at 505 eV; falls with E⁻³.
    dark
        Detector counts without beam.
    spikes
        Part of the readings hit by a spurious large count.
    seed
        Same seed, same stack.

    Returns
    -------
    stack : xarray.Dataset
        ``counts`` (energy, y, x), a measurement as a reader returns it.
    truth : xarray.Dataset
        ``phase`` (y, x) of the largest share, −1 off the particle; ``abundance`` (phase, y, x)
        after blur; ``thickness``; ``mixed`` where no phase has 90 %; ``optical_density`` is not
        kept. ``shift_y``, ``shift_x`` (energy) in pixels, ``i0`` (energy).
    """
    rng = np.random.default_rng(seed)
    energy = np.asarray(energies, dtype=float)
    absorption = np.stack([CubicSpline(r["energy"], r)(energy - energy_shift) for r in references])
    label = sample["label"].to_numpy()
    thickness = sample["thickness"].to_numpy()
    shares = np.stack([(label == p) * thickness for p in range(len(references))])
    membrane = substrate * (energy / 505.0) ** -3.0

    margin = int(sample.attrs["margin"])
    position = _random_walk(rng, energy.size, drift, limit=margin / binning - 2.0)
    slow = ndimage.gaussian_filter1d(rng.standard_normal(energy.size), 3.0, mode="nearest")
    slow *= incident_drift / max(float(slow.std()), 1e-12)
    incident = counts * (1.0 - 0.003 * (energy - energy.mean())) * (1.0 + slow)

    frames = []
    for e in range(energy.size):
        transmission = np.exp(-np.tensordot(absorption[:, e], shares, axes=1) - membrane[e])
        exposed = _expose(transmission, blur, position[e] * binning, margin, binning)
        expected = (
            incident[e] * (stray_light + (1.0 - stray_light) * np.clip(exposed, 0.0, 1.0)) + dark
        )
        frame = rng.poisson(expected).astype(np.float64)
        hit = rng.random(frame.shape) < spikes
        frame[hit] += rng.uniform(2.0, 8.0, int(hit.sum())) * counts
        frames.append(np.minimum(frame, np.iinfo(np.uint16).max).astype(np.uint16))

    field = slice(margin, sample.sizes["y"] - margin), slice(margin, sample.sizes["x"] - margin)
    y = _bin(sample["y"].to_numpy()[field[0]][:, None], binning, 1)[:, 0]
    x = _bin(sample["x"].to_numpy()[field[1]][None, :], 1, binning)[0]
    space = {"y": ("y", y, {"units": "µm"}), "x": ("x", x, {"units": "µm"})}
    axis = {"energy": ("energy", energy, {"units": "eV"})}
    stack = xr.Dataset(
        {
            "counts": (("energy", "y", "x"), np.stack(frames), {"units": "counts"}),
            "dwell": ("energy", np.full(energy.size, 1e-3), {"units": "s"}),
        },
        coords={**axis, **space},
        attrs={"kind": "stack", "format": "simulated", "source": "simulated", "title": "simulated"},
    )
    truth = _truth(shares, blur, margin, binning, space, sample)
    truth = truth.assign(
        shift_y=("energy", position[:, 0], {"units": "px"}),
        shift_x=("energy", position[:, 1], {"units": "px"}),
        i0=("energy", incident * np.exp(-membrane) * (1 - stray_light) + incident * stray_light),
    ).assign_coords(axis)
    truth.attrs["energy_shift"] = energy_shift
    return stack, truth


def _expose(
    image: NDArray[np.float64],
    blur: float,
    shift: NDArray[np.float64] | None,
    margin: int,
    binning: int,
) -> NDArray[np.float64]:
    """Blur, move, cut the field out and bin one image of the sample."""
    exposed = ndimage.gaussian_filter(image, blur) if blur > 0 else image
    if shift is not None and np.any(shift):
        exposed = ndimage.shift(exposed, shift, order=3, mode="nearest")
    return _bin(exposed[margin:-margin, margin:-margin], binning, binning)


def _bin(image: NDArray[np.float64], by_y: int, by_x: int) -> NDArray[np.float64]:
    ny, nx = image.shape[0] // by_y, image.shape[1] // by_x
    trimmed = image[: ny * by_y, : nx * by_x]
    return np.asarray(trimmed.reshape(ny, by_y, nx, by_x).mean(axis=(1, 3)))


def _random_walk(
    rng: np.random.Generator, n: int, step: float, *, limit: float
) -> NDArray[np.float64]:
    """Positions (n, 2) of a walk that starts at zero and stays within the canvas."""
    walk = np.cumsum(rng.normal(0.0, step, (n, 2)), axis=0) if step > 0 else np.zeros((n, 2))
    walk -= walk[0]
    return np.clip(walk, -limit, limit)


def _truth(
    shares: NDArray[np.float64],
    blur: float,
    margin: int,
    binning: int,
    space: dict[str, tuple[str, NDArray[np.float64], dict[str, str]]],
    sample: xr.Dataset,
) -> xr.Dataset:
    thicknesses = np.stack([_expose(share, blur, None, margin, binning) for share in shares])
    thickness = thicknesses.sum(axis=0)
    inside = thickness > 0.1
    abundance = np.where(inside, thicknesses / np.maximum(thickness, 1e-6), np.nan)
    phase = np.where(inside, np.argmax(thicknesses, axis=0), -1)
    return xr.Dataset(
        {
            "phase": (("y", "x"), phase.astype(np.int8)),
            "abundance": (("reference", "y", "x"), abundance.astype(np.float32)),
            "thickness": (("y", "x"), thickness.astype(np.float32), {"units": "1"}),
            "mixed": (("y", "x"), inside & (np.where(inside, abundance, 1.0).max(axis=0) < 0.9)),
        },
        coords={"reference": sample["reference"], **space},
    )
