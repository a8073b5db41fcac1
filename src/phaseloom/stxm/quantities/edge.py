"""Edge jump, edge position, white line and centroid of every pixel, without references.

All are measured from each pixel's own optical density before the edge, and all are weighted sums
of the readings to first order (:mod:`phaseloom.stxm.quantities.estimates`), so that their standard
errors follow from the counting variance of every reading.

- *edge jump*: mean optical density after the edge less that before it
- *edge position*: energy at which the smoothed spectrum has risen by half of the edge jump (the
  half-rise energy of full-field XANES)
- *white line*: maximum of the smoothed spectrum after that, and its height
- *centroid*: first moment of the optical density in energy, from the last energy before the edge to
  the first one after it
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from phaseloom.compute.blocks import slabs
from phaseloom.errors import InputError
from phaseloom.stxm.options import EdgeWindows
from phaseloom.stxm.preparation.preparation import counted_baseline, incident_counts
from phaseloom.stxm.quantities.estimates import (
    SIGNIFICANT,
    Curve,
    Estimate,
    Readings,
    centroid,
    crossing,
    maximum,
    weighted_sum,
)
from phaseloom.stxm.quantities.windows import Windows, find_windows

Array = NDArray[np.float64]

QUANTITIES = {
    "edge_jump": ("1", "edge jump"),
    "edge_position": ("eV", "edge position (half of the edge jump)"),
    "white_line": ("eV", "white-line energy"),
    "white_line_height": ("1", "white-line height above the pre-edge"),
    "centroid": ("eV", "centroid of the edge"),
}
"""Name, unit and long name; each has its standard error as ``NAME_error``."""

_PIXELS = 4096
"""Pixels worked on at a time: a few weights for each of their readings are held."""


def edge_quantities(
    prepared: xr.Dataset,
    *,
    windows: EdgeWindows | None = None,
    noise_scale: float | None = None,
) -> xr.Dataset:
    """Maps of edge jump, edge position, white line and centroid, each with its standard error.

    Parameters
    ----------
    prepared
        From :func:`phaseloom.stxm.prepare`; NaN readings are left out pixel by pixel.
    windows
        Which energies lie before the edge, after it, and about the white line.
    noise_scale
        Factor on the counting variance, such as ``noise_scale`` of a map. Needed where the stack
        holds no counts; 1 where it does.

    Returns
    -------
    xarray.Dataset
        float32 (y, x): ``edge_jump``, ``white_line_height`` (optical density), ``edge_position``,
        ``white_line``, ``centroid`` (eV), and the standard error of each as ``NAME_error``. NaN
        outside the mask and where the quantity is not determined: readings before or after the
        edge missing, no edge or white line of three standard errors, no crossing or maximum among
        the readings, two maxima equal within errors, missing readings where it lies. attrs:
        ``edge_before``, ``edge_after`` (first and last energy, eV), ``edge_undetermined`` (why no
        pixel has an edge; empty where there is one).

    Raises
    ------
    InputError
        The variance of the readings is not known.

    Notes
    -----
    The errors are those of counting. Smoothing, and far readings, add what they cannot follow: the
    same for all pixels of one shape of spectrum. I0 adds what all pixels share.
    """
    if np.any(np.diff(prepared["energy"]) < 0):
        prepared = prepared.sortby("energy")
    energy = prepared["energy"].to_numpy().astype(np.float64)
    mask = prepared["mask"].to_numpy()
    density = prepared["optical_density"].to_numpy()
    baseline = counted_baseline(prepared)
    incident = incident_counts(prepared)
    if incident is None and noise_scale is None:
        raise InputError("the stack holds no counts: its noise is not known", "give a noise_scale")
    intensity = (np.ones(energy.size) if incident is None else incident) / (noise_scale or 1.0)
    mean = np.array([_mean(frame[mask]) for frame in density])
    found = (
        find_windows(energy, mean, windows or EdgeWindows())
        if np.isfinite(mean).all()
        else "the particles have no reading at some energy"
    )
    names = [name for quantity in QUANTITIES for name in (quantity, f"{quantity}_error")]
    maps = {name: np.full(mask.shape, np.nan, dtype=np.float32) for name in names}
    if isinstance(found, Windows):
        curves = (
            Curve.of(energy, found.about_edge, found.edge_bandwidth),
            Curve.of(energy, found.about_line, found.line_bandwidth),
        )
        for rows, _ in slabs(mask, pixels=_PIXELS):
            inside = mask[rows]
            block = density[:, rows][:, inside].astype(np.float64)
            variance = np.exp(block + baseline[rows][inside]) / intensity[:, None]
            estimates = _of_pixels(energy, block, variance, found, curves)
            for name, (values, errors) in estimates.items():
                maps[name][rows][inside] = values
                maps[f"{name}_error"][rows][inside] = errors
    result = xr.Dataset(
        {name: (("y", "x"), values, _attributes(name)) for name, values in maps.items()},
        coords={axis: prepared[axis] for axis in ("y", "x")},
    )
    if isinstance(found, str):
        return result.assign_attrs(edge_undetermined=found)
    return result.assign_attrs(
        edge_undetermined="",
        edge_before=_ends(energy[found.before]),
        edge_after=_ends(energy[found.after]),
    )


def _of_pixels(
    energy: Array, density: Array, variance: Array, windows: Windows, curves: tuple[Curve, Curve]
) -> dict[str, Estimate]:
    """All quantities of pixels (energy, pixel)."""
    readings = Readings.of(energy, density, variance)
    before, after = (readings.mean_weight(part) for part in (windows.before, windows.after))
    jump, jump_error = weighted_sum(readings, after - before)
    line, height = maximum(readings, before, curves[1], windows)
    with np.errstate(invalid="ignore"):
        none = ~(jump > SIGNIFICANT * jump_error)
    level = np.where(none, np.nan, 0.5 * (before + after))
    return {
        "edge_jump": (jump, jump_error),
        "edge_position": crossing(readings, level, curves[0], windows),
        "white_line": line,
        "white_line_height": height,
        "centroid": centroid(readings, before, energy, windows),
    }


def _mean(values: NDArray[np.float32]) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean(dtype=np.float64)) if finite.size else float("nan")


def _attributes(name: str) -> dict[str, str]:
    unit, text = QUANTITIES[name.removesuffix("_error")]
    return {
        "units": unit,
        "long_name": f"standard error of {text}" if name.endswith("_error") else text,
    }


def _ends(energies: Array) -> list[float]:
    return [float(energies.min()), float(energies.max())]
