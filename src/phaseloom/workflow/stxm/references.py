"""Reference spectrum from a dense stack: ``phaseloom spectra``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from phaseloom.compute.progress import SILENT, Progress
from phaseloom.io.export.spectra import write_spectra
from phaseloom.io.image_sets import name_of
from phaseloom.stxm.preparation.preparation import mean_spectrum, prepare
from phaseloom.workflow.folder import check_folder_of
from phaseloom.workflow.stxm.beam import incident, mask, region
from phaseloom.workflow.stxm.recipe import SpectrumRequest
from phaseloom.workflow.stxm.run import read_stack


def write_spectrum(request: SpectrumRequest, *, progress: Progress = SILENT) -> dict[str, Any]:
    """Write the mean optical density of a stack's particles, or of a region, as a reference.

    Parameters
    ----------
    request
        The stack and how it is read and prepared, region, name and number of the phase, and the
        ``.csv`` to write: energy, mean and spread over the pixels.

    Returns
    -------
    dict
        ``file``, ``label``, ``pixels``, ``energies``.

    Raises
    ------
    InputError
        The stack, its I0 or the region are at fault; the target's folder does not exist.
    """
    stack = request.stack
    name = request.label or name_of(stack.file)
    target = request.out or Path(
        f"{request.label}.csv" if request.label else f"{name_of(stack.file)}_spectrum.csv"
    )
    check_folder_of(target)
    area = None if request.region is None else region(request.region)
    prepared = prepare(
        read_stack(stack),
        i0=incident(stack.i0, stack.i0_channel),
        mask=mask(stack.mask),
        preparation=request.preparation,
        progress=progress,
    )
    spectra = mean_spectrum(prepared, area, label=name)
    if request.value is not None:
        spectra = spectra.assign_coords(value=("spectrum", [request.value]))
    write_spectra(target, spectra)
    return {
        "file": str(target),
        "label": name,
        "pixels": int(spectra["pixels"][0]),
        "energies": spectra.sizes["energy"],
    }
