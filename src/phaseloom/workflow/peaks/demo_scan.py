"""Simulated scan of LiFePO₄ and FePO₄, the input file of the demonstrations."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from phaseloom.compute.progress import Progress
from phaseloom.workflow.folder import make_folder
from phaseloom.workflow.peaks.recipe import Scan

_STEP = 5.0
"""nm between scan positions."""

_DOSE = 3e5
"""Electrons per pattern."""


def demo_shape(size: int) -> tuple[int, int]:
    """Rows and columns of a scan with ``size`` rows: five columns for every six rows."""
    return size, 5 * size // 6


def write_demo_scan(
    folder: Path,
    shape: tuple[int, int],
    *,
    grain: int,
    overlap_width: float = 1.0,
    spread: float = 0.5,
    intensity_spread: float = 0.3,
    seed: int,
    progress: Progress,
) -> tuple[Scan, xr.Dataset]:
    """Simulate a scan of LiFePO₄ and FePO₄ to ``scan.npy``.

    Two phases in grains that overlap at their boundaries, orientations that spread within a
    grain, precession, a direct beam that moves over the detector, background and amorphous ring,
    hot and dead pixels, counting noise, intensities that deviate from kinematic theory.

    Parameters
    ----------
    folder
        Gets the file; made if it is not there.
    shape
        Scan positions (y, x).
    grain
        Positions of a grain, on average.
    overlap_width
        Positions on either side of a boundary that hold both grains.
    spread
        Of the orientations of a grain's positions, in degrees.
    intensity_spread
        Standard deviation of the logarithm of every intensity about theory, drawn at every
        position.
    seed
        Same seed, same file.
    progress
        Where long work is reported.

    Returns
    -------
    scan : Scan
        The file and its calibration, as in a recipe.
    truth : xarray.Dataset
        See :func:`phaseloom.simulate.write_scan`.
    """
    from phaseloom.crystals import iron_phosphate, lithium_iron_phosphate
    from phaseloom.simulate import Beam, Camera, grain_map, write_scan

    make_folder(folder)
    beam = Beam(dose=_DOSE, precession_angle=0.8, intensity_spread=intensity_spread)
    camera = Camera(
        descan=((6.0, 1.5), (-1.0, 5.0)),
        jitter=0.1,
        background=0.2,
        ring=0.05,
        gain_spread=0.01,
        hot=12,
        dead=12,
    )
    sample = grain_map(
        shape,
        (0.5, 0.5),
        n_grains=max(4, shape[0] * shape[1] // grain),
        spread=spread,
        overlap_width=overlap_width,
        step=_STEP,
        seed=seed,
    )
    file = folder / "scan.npy"
    truth = write_scan(
        file,
        sample,
        [lithium_iron_phosphate(), iron_phosphate()],
        beam=beam,
        camera=camera,
        seed=seed,
        progress=progress,
    )
    scan = Scan(
        file=file,
        pixel_size=camera.pixel_size,
        step=_STEP,
        voltage=beam.voltage,
        precession=beam.precession_angle,
    )
    return scan, truth
