"""A reference file from a dense stack: ``phaseloom spectra``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import phaseloom
from phaseloom.compute.progress import Progress
from phaseloom.io.export.spectra import write_spectra
from phaseloom.stxm.preparation import mean_spectrum, prepare
from phaseloom.workflow.run import incident
from phaseloom.workflow.run import region as region_of


def reference_from_stack(
    stack: Path,
    target: Path,
    *,
    region: str | None = None,
    label: str | None = None,
    value: float | None = None,
    i0: str = "auto",
    align: bool = True,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the mean optical density of a stack's particles, or of a region, as a reference.

    Parameters
    ----------
    stack
        File of the stack.
    target
        The ``.csv`` to write: energy, mean and spread over the pixels.
    region
        ``y0:y1,x0:x1`` in pixels of the stack as read; the particle mask by default.
    label, value
        Name and number of the phase.

    Returns
    -------
    dict
        ``file``, ``label``, ``pixels``, ``energies``.
    """
    measurement = phaseloom.read(stack)
    name = label or stack.stem
    prepared = prepare(
        measurement, i0=incident(i0), align=align, name=str(stack), progress=progress
    )
    spectra = mean_spectrum(prepared, None if region is None else region_of(region), label=name)
    if value is not None:
        spectra = spectra.assign_coords(value=("spectrum", [value]))
    write_spectra(target, spectra)
    return {
        "file": str(target),
        "label": name,
        "pixels": int(spectra["pixels"][0]),
        "energies": spectra.sizes["energy"],
    }
