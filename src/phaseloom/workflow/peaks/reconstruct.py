"""Clean patterns from registered peaks: ``phaseloom reconstruct``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from phaseloom.compute.progress import SILENT, Progress
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.errors import InputError


def read_peaks(folder: Path) -> Peaks:
    """The peak table that ``phaseloom peaks`` left in a folder.

    Raises
    ------
    InputError
        There is none.
    """
    import xarray as xr

    store = folder / "results.zarr"
    if not (store / "peaks" / "zarr.json").is_file():
        fault = "no such folder" if not folder.exists() else "holds no registered peaks"
        raise InputError(fault, "phaseloom peaks SCAN --out DIR makes some", source=folder)
    with xr.open_zarr(store, group="peaks", consolidated=False) as kept:
        # Written last: before, arrays may stand there that are still empty.
        if "finished_register" not in kept.attrs:
            raise InputError(
                "its registration was not finished", "run phaseloom peaks again", source=folder
            )
        return Peaks(kept.load())


def write_reconstruction(
    folder: Path,
    target: Path,
    *,
    size: int | None = None,
    k_max: float | None = None,
    sigma: float | None = None,
    radius: float | None = None,
    intensity: Literal["integrated", "root"] = "integrated",
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Draw the registered peaks of a folder as patterns, and write them.

    Parameters
    ----------
    folder
        As :func:`phaseloom.workflow.peaks.run.run_peaks` leaves it.
    target
        ``.blo`` (8 bits), ``.hspy``, ``.zspy`` (float32), ``.tif`` (16 bits).
    size, k_max, sigma, radius, intensity
        ``shape`` and the others of :func:`phaseloom.diffraction.peaks.rendering.render`.
    progress
        Counts blocks of patterns.

    Returns
    -------
    dict
        ``file``, ``patterns``, ``pattern_shape``, ``pixel_size``, ``units``, ``bytes``.

    Raises
    ------
    InputError
        The folder holds no peaks, the extension is unknown, or a size cannot be.
    """
    from phaseloom.diffraction.peaks.rendering import render
    from phaseloom.io.export.patterns import write_patterns

    peaks = read_peaks(folder)
    dtype = {".blo": np.uint8, ".tif": np.uint16, ".tiff": np.uint16}.get(
        target.suffix.lower(), np.float32
    )
    drawn = render(
        peaks, shape=size, k_max=k_max, sigma=sigma, radius=radius, intensity=intensity, dtype=dtype
    )
    data = peaks.data
    step = [_step(data[a].to_numpy()) for a in ("y", "x")]
    write_patterns(
        target,
        progress.track(drawn, "drawing patterns"),
        scan_shape=drawn.scan_shape,
        pattern_shape=drawn.shape,
        pixel_size=drawn.pixel_size,
        units=drawn.units,
        centre=drawn.centre,
        step=(step[0] or step[1] or 1.0, step[1] or step[0] or 1.0),
        step_units=str(data["x"].attrs.get("units", "px")),
        voltage=data.attrs.get("voltage"),
        title=str(data.attrs.get("title", "")),
    )
    files = [target] if target.is_file() else [f for f in target.rglob("*") if f.is_file()]
    return {
        "file": str(target),
        "patterns": drawn.scan_shape[0] * drawn.scan_shape[1],
        "pattern_shape": list(drawn.shape),
        "pixel_size": drawn.pixel_size,
        "units": drawn.units,
        "bytes": sum(f.stat().st_size for f in files),
    }


def _step(axis: np.ndarray) -> float | None:
    return float(axis[1] - axis[0]) if axis.size > 1 else None
