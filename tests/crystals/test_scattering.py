"""Form and structure factors against abTEM 1.0.11 (its own Lobato tables), no displacements.

``benchmarks/abtem_check.py`` makes the numbers anew.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phaseloom.crystals import (
    Crystal,
    gold,
    kinematic_spots,
    lithium_iron_phosphate,
    powder_rings,
    reflections,
    wavelength,
)
from phaseloom.crystals.scattering import form_factor, relativistic_mass, structure_factors
from phaseloom.errors import InputError
from phaseloom.simulate.grains import random_quaternions


def still(crystal: Crystal) -> Crystal:
    return replace(crystal, displacements=np.zeros_like(crystal.displacements))


def test_wavelength_and_mass_are_those_of_the_textbook() -> None:
    # Williams & Carter, Transmission Electron Microscopy, table 1.2 (pm, m/m0).
    for voltage, picometres, mass in ((100, 3.70, 1.196), (200, 2.51, 1.391), (300, 1.97, 1.587)):
        assert wavelength(voltage) * 100 == pytest.approx(picometres, abs=0.005)
        assert relativistic_mass(voltage) == pytest.approx(mass, abs=0.001)
    with pytest.raises(InputError, match="kV"):
        wavelength(0)


@pytest.mark.parametrize(
    ("element", "factors"),
    [
        ("Au", (10.575800, 6.040211, 3.065495)),
        ("Ag", (8.671000, 4.533235, 2.172238)),
        ("Fe", (7.163506, 2.947263, 1.389432)),
        ("P", (5.567500, 2.168351, 0.797618)),
        ("O", (2.029092, 1.231758, 0.542695)),
        ("Li", (3.286000, 0.526408, 0.188277)),
    ],
)
def test_form_factors_are_those_of_abtem(element: str, factors: tuple[float, ...]) -> None:
    np.testing.assert_allclose(form_factor(element, [0.0, 0.5, 1.0]), factors, rtol=2e-5)


@pytest.mark.parametrize(
    ("crystal", "expected"),
    [
        (
            gold(),
            {
                (1, 1, 1): 0.3983541,
                (2, 0, 0): 0.3612392,
                (2, 2, 0): 0.2690449,
                (3, 1, 1): 0.2285626,
                (4, 0, 0): 0.1849505,
            },
        ),
        (
            lithium_iron_phosphate(),
            {
                (2, 0, 0): 0.01610404,
                (1, 0, 1): 0.04639207,
                (0, 1, 1): 0.02803087,
                (2, 1, 0): 0.04644639,
                (1, 1, 1): 0.03479066,
                (0, 2, 0): 0.09604912,
                (3, 1, 1): 0.07015797,
                (1, 2, 1): 0.04918741,
                (4, 0, 0): 0.00990036,
                (2, 3, 1): 0.02772783,
            },
        ),
    ],
)
def test_structure_factors_over_the_volume_are_those_of_abtem(
    crystal: Crystal, expected: dict[tuple[int, int, int], float]
) -> None:
    ours = np.abs(structure_factors(still(crystal), list(expected))) / crystal.volume
    np.testing.assert_allclose(ours, list(expected.values()), rtol=3e-5)


def test_absent_reflections_are_absent() -> None:
    au = {tuple(map(int, h)) for h in reflections(gold(), 1.2).hkl}
    assert (1, 1, 1) in au
    assert all(len({i % 2 for i in h}) == 1 for h in au)
    # Pnma: 0kl k + l even, hk0 h even, h00, 0k0, 00l even.
    lfp = {tuple(map(int, h)) for h in reflections(lithium_iron_phosphate(), 0.8).hkl}
    assert {(1, 0, 1), (2, 1, 0), (0, 1, 1), (0, 2, 0)} <= lfp
    assert all((k + ell) % 2 == 0 for h, k, ell in lfp if h == 0)
    assert all(h % 2 == 0 for h, _, ell in lfp if ell == 0)


def test_reflections_are_all_there_up_to_k_max_and_none_beyond() -> None:
    found = reflections(lithium_iron_phosphate(), 0.6)
    assert np.all(np.diff(found.k) >= 0)
    assert found.k[-1] <= 0.6
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), found.k)
    # d² of an orthorhombic cell.
    h, k, ell = found.hkl.T
    expected = np.sqrt((h / 10.332) ** 2 + (k / 6.010) ** 2 + (ell / 4.692) ** 2)
    np.testing.assert_allclose(found.k, expected)


@settings(max_examples=20)
@given(st.tuples(*[st.integers(-8, 8)] * 3))
def test_friedel_pairs_are_equally_strong(hkl: tuple[int, int, int]) -> None:
    crystal = lithium_iron_phosphate()
    plus, minus = structure_factors(crystal, [hkl, tuple(-i for i in hkl)])
    np.testing.assert_allclose(plus, np.conj(minus), atol=1e-9)


def test_displacements_damp_as_debye_and_waller_say() -> None:
    crystal = gold()
    k = np.sqrt(3) / 4.0786
    ratio = structure_factors(crystal, (1, 1, 1)) / structure_factors(still(crystal), (1, 1, 1))
    assert abs(ratio) == pytest.approx(np.exp(-0.62 * k**2 / 4), rel=1e-6)


def test_rings_of_gold() -> None:
    rings = powder_rings(gold(), 1.0)
    np.testing.assert_allclose(rings.k * 4.0786, np.sqrt([3, 4, 8, 11, 12, 16]), rtol=1e-9)
    assert rings.multiplicity.tolist() == [8, 6, 12, 24, 8, 6]
    assert rings.hkl.tolist() == [[1, 1, 1], [2, 0, 0], [2, 2, 0], [3, 1, 1], [2, 2, 2], [4, 0, 0]]
    assert rings.intensity.max() == 1


def test_a_powder_is_many_crystals_in_all_orientations() -> None:
    crystal, k_max = gold(), 1.0
    rings = powder_rings(crystal, k_max)
    turns = random_quaternions(6000, np.random.default_rng(1))
    spots = kinematic_spots(crystal, turns, voltage=200, thickness=20, k_max=k_max, minimum=1e-6)
    k = np.linalg.norm(spots.hkl @ crystal.reciprocal, axis=1)
    ring = np.argmin(np.abs(k[:, None] - rings.k), axis=1)
    summed = np.bincount(ring, spots.intensity)
    np.testing.assert_allclose(summed / summed.max(), rings.intensity, rtol=0.06)


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(InputError, match="k_max"):
        reflections(gold(), -1)
    with pytest.raises(InputError, match="form factor"):
        form_factor("Xx", 0.5)
    assert powder_rings(gold(), 0.1).k.size == 0
