"""Form factors, structure factors and thin crystals against abTEM, an independent program.

abTEM is no dependency; it gets an environment of its own, into which phaseloom goes too:

    python3 -m venv abtem-env
    abtem-env/bin/pip install abtem -e .
    abtem-env/bin/python benchmarks/abtem_check.py

Prints the largest relative difference of each comparison. The numbers typed into
``tests/crystals`` are abTEM's own of this script (version 1.0.11).
"""

from __future__ import annotations

import warnings
from dataclasses import replace

import abtem
import ase
import numpy as np
from abtem.bloch import StructureFactor
from abtem.parametrizations import LobatoParametrization

from phaseloom.crystals import Crystal, gold, kinematic_spots, lithium_iron_phosphate
from phaseloom.crystals.scattering import form_factor, structure_factors

VOLTAGE = 200.0
# Sample x, y, z along crystal axes: names of the view, order of the axes, quaternion.
VIEWS = {
    "[001]": ((0, 1, 2), (1.0, 0.0, 0.0, 0.0)),
    "[010]": ((2, 0, 1), (0.5, -0.5, -0.5, -0.5)),
}


def still(crystal: Crystal) -> Crystal:
    """The crystal with atoms at rest."""
    return replace(crystal, displacements=np.zeros_like(crystal.displacements))


def atoms_of(crystal: Crystal, order: tuple[int, ...] = (0, 1, 2)) -> ase.Atoms:
    """The cell for abTEM, its (orthogonal) axes reordered."""
    axes = list(order)
    lengths = np.array(crystal.cell[:3])[axes]
    return ase.Atoms(
        crystal.elements,
        scaled_positions=crystal.positions[:, axes],
        cell=lengths,
        pbc=True,
    )


def check_form_factors() -> None:
    """Compare f(k) of the elements in use."""
    k = np.linspace(0, 2, 41)
    theirs = LobatoParametrization()
    for element in ("Li", "O", "P", "Fe", "Ag", "Au"):
        expected = np.asarray(theirs.scattering_factor(element)(k**2))
        worst = np.abs(form_factor(element, k) / expected - 1).max()
        print(f"form factor {element:2}: differs by at most {worst:.1e}")


def check_structure_factors() -> None:
    """Compare |F| / V of the stronger reflections up to 1.2 Å⁻¹."""
    for crystal in map(still, (gold(), lithium_iron_phosphate())):
        found = StructureFactor(
            atoms_of(crystal), g_max=1.2, parametrization="lobato", cutoff="hard", centering="P"
        ).build(lazy=False)
        expected = np.abs(np.asarray(found.array))
        ours = np.abs(structure_factors(crystal, np.asarray(found.hkl))) / crystal.volume
        strong = expected > 1e-2 * expected.max()
        worst = np.abs(ours / expected - 1)[strong].max()
        print(f"structure factors {crystal.name}: differ by at most {worst:.1e}")


def check_thin_crystal() -> None:
    """Compare spots of one cell of LiFePO4 with multislice, absolutely.

    Means of g and −g: the cut through the cell at its surfaces gives the rods of neighbouring
    Laue zones tails, which add to one and take from the other at first order.
    """
    crystal = still(lithium_iron_phosphate())
    for view, (order, quaternion) in VIEWS.items():
        atoms = atoms_of(crystal, order)
        potential = abtem.Potential(
            atoms, sampling=0.04, slice_thickness=0.25, parametrization="lobato"
        )
        wave = abtem.PlaneWave(energy=VOLTAGE * 1e3).multislice(potential).compute()
        amplitude = np.fft.fft2(np.asarray(wave.array)) / np.prod(wave.array.shape)
        intensity = np.abs(amplitude) ** 2
        spots = kinematic_spots(
            crystal,
            quaternion,
            voltage=VOLTAGE,
            thickness=atoms.cell.lengths()[2],
            k_max=1.2,
            profile="slab",
        )
        first, second = spots.hkl[:, order[0]], spots.hkl[:, order[1]]
        zone = spots.hkl[:, order[2]] == 0
        h, k = first[zone], second[zone]
        expected = (intensity[h, k] + intensity[-h, -k]) / 2
        ours = spots.intensity[zone]
        for part in (0.3, 0.1):
            strong = ours > part * ours.max()
            worst = np.abs(ours / expected - 1)[strong].max()
            print(
                f"LiFePO4 {view}, one cell, {strong.sum()} spots above {part:g} of the strongest: "
                f"differ by at most {worst:.3f}, median {np.median(ours / expected):.3f}"
            )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    abtem.config.set({"local_diagnostics.progress_bar": False})
    check_form_factors()
    check_structure_factors()
    check_thin_crystal()
