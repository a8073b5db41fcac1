"""HyperSpy and pyxem signals in and out; neither is needed to import this."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from phaseloom.errors import InputError
from phaseloom.io.fingerprint import array_fingerprint
from phaseloom.io.scan_axes import DIMS, axes_of
from phaseloom.io.scans import make_scan

if TYPE_CHECKING:
    import xarray as xr

_DEGREES_PER_MRAD = 180 / np.pi * 1e-3


def from_signal(signal: Any, name: str) -> xr.Dataset:
    """A scan from a signal in memory; its array is not copied, a dask array stays lazy."""
    manager = signal.axes_manager
    described = [
        {
            "name": axis.name,
            "units": axis.units,
            "scale": getattr(axis, "scale", 1.0),
            "offset": getattr(axis, "offset", 0.0),
            "navigate": navigate,
            "index": axis.index_in_array,
        }
        for navigate, axes in (
            (True, manager.navigation_axes),
            (False, manager.signal_axes),
        )
        for axis in axes
    ]
    described.sort(key=lambda axis: axis["index"])
    metadata = signal.metadata
    metadata = metadata.as_dictionary() if hasattr(metadata, "as_dictionary") else {}
    general = metadata.get("General", {})
    title = str(general.get("title", ""))
    return make_scan(
        signal.data,
        axes_of(described),
        format_name="HyperSpy",
        source=str(general.get("original_filename") or title or name),
        fingerprint=array_fingerprint(signal.data),
        title=title or name,
        facts=facts_of(metadata, pyxem=type(signal).__module__.startswith("pyxem")),
    )


def facts_of(metadata: Mapping[str, Any], *, pyxem: bool) -> dict[str, float | None]:
    """What HyperSpy's metadata tree says of the microscope, in our units.

    Parameters
    ----------
    metadata
        Nested dictionaries.
    pyxem
        Written by pyxem, which keeps the camera length in cm and the exposure of the
        diffraction detector in ms, where HyperSpy has mm and s.
    """
    tem = "Acquisition_instrument.TEM."
    voltage = _at(metadata, tem + "beam_energy")
    rocking = _at(metadata, tem + "rocking_angle")
    length = _at(metadata, tem + "camera_length")
    exposure = _at(metadata, tem + "Detector.Camera.exposure")
    if exposure is None:
        exposure = _at(metadata, tem + "Detector.Diffraction.exposure_time")
        exposure = None if exposure is None else exposure * 1e-3
    if exposure is None:
        exposure = _at(metadata, "Acquisition_instrument.dwell_time")
    rotation = _at(metadata, tem + "rotation")
    if rotation is None:
        rotation = _at(metadata, tem + "scan_rotation")
    return {
        "voltage": voltage,
        "precession_angle": None if rocking is None else rocking * _DEGREES_PER_MRAD,
        "camera_length": None if length is None else length * (10.0 if pyxem else 1.0),
        "convergence_angle": _at(metadata, tem + "convergence_angle"),
        "exposure": exposure,
        "scan_rotation": rotation,
    }


def to_signal(scan: xr.Dataset) -> Any:
    """See :func:`phaseloom.io.scans.to_hyperspy`."""
    try:
        import hyperspy.api as hs
    except ImportError as missing:
        raise InputError(
            "HyperSpy is not installed",
            "install it with `pip install hyperspy pyxem`",
        ) from missing
    try:
        import pyxem
    except ImportError:
        pyxem = None
    axes = []
    for name in DIMS:
        coordinate = scan[name]
        values = coordinate.to_numpy()
        known = coordinate.attrs.get("units", "px")
        step = (values[-1] - values[0]) / (values.size - 1) if values.size > 1 else 1.0
        axes.append(
            {
                "name": name,
                "size": values.size,
                "scale": float(step),
                "offset": float(values[0]),
                "units": {"Å⁻¹": "$A^{-1}$"}.get(known, known),
                "navigate": name in DIMS[:2],
            }
        )
    attrs = scan.attrs
    tem = {
        "beam_energy": attrs.get("voltage"),
        "camera_length": attrs["camera_length"] / (10 if pyxem else 1)
        if "camera_length" in attrs
        else None,
        "convergence_angle": attrs.get("convergence_angle"),
        "rotation": attrs.get("scan_rotation"),
        "rocking_angle": attrs["precession_angle"] / _DEGREES_PER_MRAD
        if "precession_angle" in attrs
        else None,
        "Detector": {"Camera": {"exposure": attrs["exposure"]}} if "exposure" in attrs else None,
    }
    signal = hs.signals.Signal2D(
        scan["counts"].data,
        axes=axes,
        metadata={
            "General": {"title": attrs.get("title", "")},
            "Acquisition_instrument": {"TEM": {k: v for k, v in tem.items() if v is not None}},
        },
    ).as_lazy()
    if pyxem:  # it makes this kind of signal known to HyperSpy
        signal.set_signal_type("electron_diffraction")
    return signal


def _at(tree: Mapping[str, Any], path: str) -> float | None:
    """The number at a dotted path, or None."""
    node: Any = tree
    for part in path.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return None
        node = node[part]
    try:
        return float(node)
    except (TypeError, ValueError):
        return None
