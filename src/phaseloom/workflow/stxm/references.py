"""A reference file from a dense stack: ``phaseloom spectra``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from phaseloom.compute.progress import SILENT, Progress
from phaseloom.errors import InputError
from phaseloom.io.export.spectra import write_spectra
from phaseloom.stxm.preparation.preparation import mean_spectrum, prepare
from phaseloom.workflow.stxm.recipe import Stack
from phaseloom.workflow.stxm.run import incident, read_stack
from phaseloom.workflow.stxm.run import region as region_of


def reference_from_stack(
    stack: Stack,
    target: Path,
    *,
    region: str | None = None,
    label: str | None = None,
    value: float | None = None,
    dark: float = 0.0,
    align: bool = True,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Write the mean optical density of a stack's particles, or of a region, as a reference.

    Parameters
    ----------
    stack
        File of the stack, and how to read it.
    target
        The ``.csv`` to write: energy, mean and spread over the pixels.
    region
        ``y0:y1,x0:x1`` in pixels of the stack as read; the particle mask by default.
    label, value
        Name (that of the stack by default) and number of the phase.
    dark, align
        See :func:`phaseloom.stxm.prepare`.

    Returns
    -------
    dict
        ``file``, ``label``, ``pixels``, ``energies``.

    Raises
    ------
    InputError
        The stack, its I0 or the region are at fault; the target's folder does not exist.
    """
    if not target.parent.is_dir():
        raise InputError("its folder does not exist", "create it first", source=target)
    area = None if region is None else region_of(region)
    name = label or stack.name
    prepared = prepare(
        read_stack(stack), i0=incident(stack.i0), dark=dark, align=align, progress=progress
    )
    spectra = mean_spectrum(prepared, area, label=name)
    if value is not None:
        spectra = spectra.assign_coords(value=("spectrum", [value]))
    write_spectra(target, spectra)
    return {
        "file": str(target),
        "label": name,
        "pixels": int(spectra["pixels"][0]),
        "energies": spectra.sizes["energy"],
    }
