"""HyperSpy and pyxem signals in and out; neither is needed to import this."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from phaseloom.errors import InputError
from phaseloom.io.fingerprint import array_fingerprint
from phaseloom.io.scan_axes import DIMS, axes_of
from phaseloom.io.scan_making import make_scan
from phaseloom.io.tags import number_at, scaled

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
    """Microscope settings in HyperSpy's metadata tree, in our units.

    Parameters
    ----------
    metadata
        Nested dictionaries.
    pyxem
        Written by pyxem, which keeps the camera length in cm and the exposure of the
        diffraction detector in ms, where HyperSpy has mm and s.
    """
    instrument = metadata.get("Acquisition_instrument")
    tree = instrument if isinstance(instrument, Mapping) else {}
    exposure = number_at(tree, "TEM", "Detector", "Camera", "exposure")
    if exposure is None:
        milliseconds = number_at(tree, "TEM", "Detector", "Diffraction", "exposure_time")
        exposure = scaled(milliseconds, 1e-3)
    if exposure is None:
        exposure = number_at(tree, "dwell_time")
    rotation = number_at(tree, "TEM", "rotation")
    if rotation is None:
        rotation = number_at(tree, "TEM", "scan_rotation")
    return {
        "voltage": number_at(tree, "TEM", "beam_energy"),
        "precession_angle": scaled(number_at(tree, "TEM", "rocking_angle"), _DEGREES_PER_MRAD),
        "camera_length": scaled(number_at(tree, "TEM", "camera_length"), 10.0 if pyxem else 1.0),
        "convergence_angle": number_at(tree, "TEM", "convergence_angle"),
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
        unit = coordinate.attrs.get("units", "px")
        step = (values[-1] - values[0]) / (values.size - 1) if values.size > 1 else 1.0
        axes.append(
            {
                "name": name,
                "size": values.size,
                "scale": float(step),
                "offset": float(values[0]),
                "units": {"Å⁻¹": "$A^{-1}$"}.get(unit, unit),
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
