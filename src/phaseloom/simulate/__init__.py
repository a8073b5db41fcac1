"""Measurements with known truth: spectra, particles, stacks, whole beamtimes."""

from __future__ import annotations

from phaseloom.simulate.beamtime import Beamtime, write_beamtime
from phaseloom.simulate.particles import particle
from phaseloom.simulate.spectra import dense_energies, nvpf_references, sparse_energies
from phaseloom.simulate.stacks import measure

__all__ = [
    "Beamtime",
    "dense_energies",
    "measure",
    "nvpf_references",
    "particle",
    "sparse_energies",
    "write_beamtime",
]
