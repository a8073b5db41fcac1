"""Clustering whole files from the command line: memory on 30 GB, seconds on 15 675 patterns."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from peak_statistics import command
from phaseloom.crystals import lithium_iron_phosphate
from phaseloom.simulate import Beam, Camera, grain_map, write_scan
from results import machine

DETECTOR = 256
TILE = 48
"""Positions along each axis of the simulated scan that the large one repeats."""

SCAN = (165, 95)
GRAINS = 9


def simulated(path: Path, shape: tuple[int, int]) -> NDArray[np.uint16]:
    """Write a scan of grains with descan, 256² pixels and 1e5 electrons a pattern."""
    sample = grain_map(shape, (1.0,), n_grains=GRAINS, spread=0.2, overlap_width=2.0, seed=SCAN[0])
    camera = Camera(descan=((4.0, 1.0), (-1.0, 4.0)), jitter=0.1)
    beam = Beam(dose=1e5, precession_angle=0.8)
    write_scan(path, sample, [lithium_iron_phosphate()], beam=beam, camera=camera, seed=1)
    return np.load(path, mmap_mode="r")


def repeated(path: Path, tile: NDArray[np.uint16], side: int) -> None:
    """Write a scan of side × side positions that repeats a smaller one: real bytes throughout."""
    rows, columns, ky, kx = tile.shape
    with path.open("wb") as stream:
        header = {"descr": "<u2", "fortran_order": False, "shape": (side, side, ky, kx)}
        np.lib.format.write_array_header_1_0(stream, header)
        order = np.arange(side) % columns
        for y in range(side):
            stream.write(tile[y % rows][order].astype("<u2").tobytes())


def memory(given: argparse.Namespace, folder: Path) -> str:
    """Peak resident memory of ``phaseloom cluster`` on a large file."""
    tile = simulated(folder / "tile.npy", (TILE, TILE))
    side = int(np.sqrt(given.gigabytes * 1e9 / tile[0, 0].nbytes))
    file = folder / "scan.npy"
    repeated(file, tile, side)
    seconds, peak = _clustered(file, given)
    file.unlink()
    return (
        f"### Memory\n\n`phaseloom cluster --patterns {given.patterns}` on {side}² patterns of "
        f"{DETECTOR}² ({given.gigabytes:g} GB, a simulated scan of {TILE}² positions repeated): "
        f"{peak:.2f} GB at most, {seconds:.0f} s."
    )


def whole_scan(given: argparse.Namespace, folder: Path) -> str:
    """Seconds of ``phaseloom cluster`` from file to report."""
    scale = min(1.0, given.side / 64)  # smaller for a trial
    shape = (round(scale * SCAN[0]), round(scale * SCAN[1]))
    file = folder / "grains.npy"
    simulated(file, shape)
    seconds, peak = _clustered(file, given)
    return (
        f"### A whole scan\n\n{machine()}. `phaseloom cluster --patterns {given.patterns}` on "
        f"{shape[0]} × {shape[1]} patterns of {DETECTOR}² ({GRAINS} grains), from file to report, "
        f"choice of k included: {seconds:.0f} s, {peak:.2f} GB at most."
    )


def _clustered(file: Path, given: argparse.Namespace) -> tuple[float, float]:
    sys.stderr.write(f"clustering {file.stat().st_size / 1e9:.1f} GB\n")
    return command(file, file.with_suffix(".out"), "cluster", "--patterns", given.patterns)
