"""Simulated measurements with known truth.

X-ray stacks, from phases to files:

- ``particles``: phase and thickness of every pixel of a particle
- ``spectra``: reference spectra, energies of a beamtime
- ``stacks``: stacks with blur, stray light, drift, counting noise
- ``beamtime``: files of a charge series

4D-STEM, from grains to counts:

- ``grains``: positions, phases and orientations of grains
- ``spots``: spots of every position with their expected counts
- ``camera``: detector geometry, background, faulty pixels
- ``patterns``: expected counts of a pattern from spots and background
- ``scans``: scans with their truth, also to files
- ``peaks``: peak tables without images
- ``workload``: patterns of the benchmark of peak finders
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from phaseloom.lazy import lazy_names

if TYPE_CHECKING:
    from phaseloom.simulate.beamtime import Beamtime, write_beamtime
    from phaseloom.simulate.camera import Camera
    from phaseloom.simulate.grains import grain_map, random_orientations
    from phaseloom.simulate.particles import particle
    from phaseloom.simulate.peaks import simulate_peaks
    from phaseloom.simulate.scans import simulate_scan, write_scan
    from phaseloom.simulate.spectra import dense_energies, nvpf_references, sparse_energies
    from phaseloom.simulate.spots import Beam
    from phaseloom.simulate.stacks import measure
    from phaseloom.simulate.workload import benchmark_patterns

__all__ = [
    "Beam",
    "Beamtime",
    "Camera",
    "benchmark_patterns",
    "dense_energies",
    "grain_map",
    "measure",
    "nvpf_references",
    "particle",
    "random_orientations",
    "simulate_peaks",
    "simulate_scan",
    "sparse_energies",
    "write_beamtime",
    "write_scan",
]

_HOMES = {
    "Beam": "spots",
    "Beamtime": "beamtime",
    "Camera": "camera",
    "benchmark_patterns": "workload",
    "dense_energies": "spectra",
    "grain_map": "grains",
    "measure": "stacks",
    "nvpf_references": "spectra",
    "particle": "particles",
    "random_orientations": "grains",
    "simulate_peaks": "peaks",
    "simulate_scan": "scans",
    "sparse_energies": "spectra",
    "write_beamtime": "beamtime",
    "write_scan": "scans",
}

__getattr__ = lazy_names(__name__, _HOMES)
