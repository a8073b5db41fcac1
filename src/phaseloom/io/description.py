"""Description of a measurement for ``phaseloom info``: kind, shape, axes, ranges, energies."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

_LOOKED_THROUGH = 64 * 2**20
_N_PATTERNS = 16


def describe(measurement: xr.Dataset) -> dict[str, Any]:
    """Kind, shape, axes with units, detectors and energies of a measurement, JSON-able.

    Parameters
    ----------
    measurement
        From :func:`phaseloom.read`.

    Returns
    -------
    dict
        ``kind``, ``format``, ``title``, ``quantities`` (name → dims, shape, dtype, range and,
        where there are any, how many numbers are ``missing``; of a large lazy scan these are
        found in a few patterns spread over it, and ``sampled`` is True),
        ``axes`` (name → n, first, last, step or None when not uniform, units), ``energies`` in
        eV, and the measurement's other attributes.
    """
    axes = {str(name): _axis(measurement[name]) for name in measurement.dims if name in measurement}
    facts: dict[str, Any] = {
        "kind": measurement.attrs.get("kind"),
        "format": measurement.attrs.get("format"),
        "source": measurement.attrs.get("source"),
        "title": measurement.attrs.get("title"),
        "quantities": {str(n): _quantity(v) for n, v in measurement.data_vars.items()},
        "axes": axes,
    }
    if "energy" in measurement:
        facts["energies"] = np.atleast_1d(measurement["energy"].to_numpy()).tolist()
    for name, value in measurement.attrs.items():
        plain = value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value
        facts.setdefault(str(name), plain)
    return facts


def _axis(axis: xr.DataArray) -> dict[str, Any]:
    values = axis.to_numpy()
    if values.dtype.kind not in "fiu":
        return {"n": values.size, "labels": [str(v) for v in values]}
    steps = np.diff(values)
    uniform = steps.size > 0 and bool(np.ptp(steps) <= 1e-3 * np.abs(steps).max())
    return {
        "n": values.size,
        "first": float(values[0]),
        "last": float(values[-1]),
        "step": float(steps.mean()) if uniform else None,
        "units": axis.attrs.get("units", ""),
    }


def _quantity(variable: xr.DataArray) -> dict[str, Any]:
    values, sampled = _values(variable)
    facts: dict[str, Any] = {
        "dims": [str(d) for d in variable.dims],
        "shape": list(variable.shape),
        "dtype": str(variable.dtype),
        "units": variable.attrs.get("units", ""),
    }
    if sampled:
        facts["sampled"] = True
    if values.dtype.kind == "f":
        missing = ~np.isfinite(values)
        if np.any(missing):
            facts["missing"] = int(np.count_nonzero(missing))
            values = values[~missing]
    if values.dtype.kind in "fiub" and values.size:
        facts |= {"min": float(values.min()), "max": float(values.max())}
    return facts


def _values(variable: xr.DataArray) -> tuple[np.ndarray, bool]:
    """The numbers, or those of a few patterns of a scan too large to look through."""
    if variable.chunks is None or variable.ndim < 3 or variable.nbytes <= _LOOKED_THROUGH:
        return variable.to_numpy(), False
    import dask

    positions = np.unique(
        np.linspace(0, np.prod(variable.shape[:-2], dtype=int) - 1, _N_PATTERNS).astype(int)
    )
    places = np.stack(np.unravel_index(positions, variable.shape[:-2]), axis=1)
    patterns = dask.compute(*(variable.data[tuple(place)] for place in places.tolist()))
    return np.stack(patterns), True
