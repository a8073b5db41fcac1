"""Patterns of components for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr


def write_component_patterns(path: Path, data: xr.Dataset) -> Path:
    """Write the patterns of components, 32-bit, with their pixel size.

    Parameters
    ----------
    path
        ``.tif`` (a page per component, NaN where a pixel is not used) or ``.hspy`` (a row of
        patterns, 0 there).
    data
        Group ``/components``.

    Returns
    -------
    pathlib.Path
        The file written.
    """
    pattern = data["pattern"].transpose("component", "ky", "kx").to_numpy().astype(np.float32)
    axes = [data[axis].to_numpy().astype(np.float64) for axis in ("ky", "kx")]
    steps = [float(axis[1] - axis[0]) for axis in axes]
    units = str(data["ky"].attrs.get("units", "px"))
    if path.suffix == ".tif":
        from phaseloom.io.export.maps import write_map_stack

        names = (f"component {number}" for number in data["component"].to_numpy())
        pages = dict(zip(names, pattern, strict=True))
        return write_map_stack(path, pages, pixel_size=(steps[0], steps[1]), units=units)
    from phaseloom.io.export.patterns import write_patterns

    return write_patterns(
        path,
        [(slice(0, len(pattern)), np.nan_to_num(pattern))],
        scan_shape=(1, len(pattern)),
        pattern_shape=(pattern.shape[1], pattern.shape[2]),
        pixel_size=steps[1],
        units=units,
        centre=(-axes[0][0] / steps[0], -axes[1][0] / steps[1]),
        voltage=data.attrs.get("voltage"),
        title="components",
    )
