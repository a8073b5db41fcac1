"""Reconstruction of clean patterns from registered peaks: ``phaseloom reconstruct``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from phaseloom.compute.progress import SILENT, Progress
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.errors import InputError
from phaseloom.io.scan_turning import frame_notes
from phaseloom.workflow.folder import note_files
from phaseloom.workflow.peaks.recipe import ReconstructionRequest

_DTYPES = {"blo": np.uint8, "tif": np.uint16}
"""Of formats that hold whole numbers."""


def read_peaks(folder: Path) -> Peaks:
    """Read the peak table of a folder that ``phaseloom peaks`` wrote.

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
    with xr.open_zarr(store, group="peaks", consolidated=False) as stored:
        # The mark is written last: without it, arrays may still be empty.
        if "finished_register" not in stored.attrs:
            raise InputError(
                "its registration was not finished", "run phaseloom peaks again", source=folder
            )
        return Peaks(stored.load())


def write_reconstruction(
    request: ReconstructionRequest, *, progress: Progress = SILENT
) -> dict[str, Any]:
    """Draw the registered peaks of a folder as patterns, and write them.

    Parameters
    ----------
    request
        Folder, format and file, and how spots are drawn, see
        :func:`phaseloom.diffraction.peaks.rendering.render`.
    progress
        Counts blocks of patterns.

    Returns
    -------
    dict
        ``file``, ``patterns``, ``pattern_shape``, ``pixel_size``, ``units``, ``intensity`` (as
        it was drawn), ``scaling`` (what the values are, in one line), ``bytes``.

    Raises
    ------
    InputError
        The folder holds no peaks, the extension is unknown, or a size cannot be.
    """
    from phaseloom.diffraction.peaks.rendering import render
    from phaseloom.io.export.patterns import write_patterns

    target = request.out or request.folder / f"clean.{request.to}"
    if target.suffix.lower() != f".{request.to}":
        raise InputError(
            f"is not the name of a .{request.to} file",
            f"let it end in .{request.to}",
            source=target,
        )
    peaks = read_peaks(request.folder)
    drawn = render(
        peaks,
        shape=request.size,
        k_max=request.k_max,
        sigma=request.sigma,
        radius=request.radius,
        intensity=request.intensity,
        dtype=_DTYPES.get(request.to, np.float32),
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
        title="; ".join(filter(None, (data.attrs.get("title"), *frame_notes(data.attrs)))),
        scaling=drawn.scaling,
    )
    files = [target] if target.is_file() else [f for f in target.rglob("*") if f.is_file()]
    note_files(request.folder, files)
    return {
        "file": str(target),
        "patterns": drawn.scan_shape[0] * drawn.scan_shape[1],
        "pattern_shape": list(drawn.shape),
        "pixel_size": drawn.pixel_size,
        "units": drawn.units,
        "intensity": drawn.intensity,
        "scaling": drawn.scaling,
        "bytes": sum(f.stat().st_size for f in files),
    }


def _step(axis: np.ndarray) -> float | None:
    return float(axis[1] - axis[0]) if axis.size > 1 else None
