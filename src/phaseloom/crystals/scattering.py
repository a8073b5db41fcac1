"""Electron scattering: wavelength, form factors, structure factors, powder rings."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.crystals.structure import Crystal
from phaseloom.errors import InputError

_PLANCK = 6.62607015e-34
_ELECTRON_MASS = 9.1093837015e-31
_CHARGE = 1.602176634e-19
_LIGHT = 299792458.0

_ABSENT = 1e-6
"""Reflections with |F| below this part of the strongest are systematic absences."""


class Reflections(NamedTuple):
    """Reciprocal lattice points that scatter, without the origin, by growing k."""

    hkl: NDArray[np.int64]
    vectors: NDArray[np.float64]
    k: NDArray[np.float64]
    structure_factor: NDArray[np.complex128]


class Rings(NamedTuple):
    """Rings of a powder, by growing k."""

    k: NDArray[np.float64]
    intensity: NDArray[np.float64]
    hkl: NDArray[np.int64]
    multiplicity: NDArray[np.int64]


def wavelength(voltage: float) -> float:
    """Relativistic wavelength of electrons in Å.

    λ = h / √(2 m e U (1 + e U / 2 m c²)).

    Parameters
    ----------
    voltage
        Acceleration voltage in kV.
    """
    if not (np.isfinite(voltage) and voltage > 0):
        raise InputError(f"an acceleration voltage of {voltage} kV cannot be", "give it in kV")
    energy = _CHARGE * voltage * 1e3
    momentum = np.sqrt(2 * _ELECTRON_MASS * energy * (1 + energy / (2 * _rest_energy())))
    return float(_PLANCK / momentum * 1e10)


def relativistic_mass(voltage: float) -> float:
    """Mass of the electrons over their mass at rest, 1 + e U / m c² (voltage in kV)."""
    return 1.0 + _CHARGE * voltage * 1e3 / _rest_energy()


def form_factor(element: str, k: ArrayLike) -> NDArray[np.float64]:
    """Electron form factor of a neutral atom in Å (first Born approximation, mass at rest).

    f(k) = Σ aᵢ (2 + bᵢ k²) / (1 + bᵢ k²)², the parametrisation of I. Lobato and D. Van Dyck,
    Acta Cryst. A 70, 636 (2014); the numbers come with diffsims.

    Parameters
    ----------
    element
        Symbol, hydrogen to californium.
    k
        1/d in Å⁻¹.
    """
    a, b = _lobato(element)
    bk2 = b * np.asarray(k, dtype=np.float64)[..., None] ** 2
    f: NDArray[np.float64] = (a * (2.0 + bk2) / (1.0 + bk2) ** 2).sum(axis=-1)
    return f


@cache
def known_elements() -> frozenset[str]:
    """Symbols of the elements that have a form factor."""
    from diffsims.utils.lobato_scattering_params import ATOMIC_SCATTERING_PARAMS_LOBATO

    return frozenset(ATOMIC_SCATTERING_PARAMS_LOBATO)


def structure_factors(crystal: Crystal, hkl: ArrayLike) -> NDArray[np.complex128]:
    """F(hkl) in Å: Σ occupancy · f(k) · exp(−B k² / 4) · exp(2πi h·x) over the atoms of the cell.

    Parameters
    ----------
    crystal
        The cell.
    hkl
        (..., 3) indices.
    """
    hkl = np.asarray(hkl, dtype=np.float64)
    k = np.linalg.norm(hkl @ crystal.reciprocal, axis=-1)
    total = np.zeros(k.shape, dtype=np.complex128)
    elements = np.array(crystal.elements)
    for element in dict.fromkeys(crystal.elements):
        of = elements == element
        phases = np.exp(2j * np.pi * (hkl @ crystal.positions[of].T))
        # exp(−B k²/4) with B = 8π² U.
        damping = np.exp(-2.0 * np.pi**2 * k[..., None] ** 2 * crystal.displacements[of])
        weight = crystal.occupancies[of] * damping
        total += form_factor(element, k) * (weight * phases).sum(axis=-1)
    return total


def reflections(crystal: Crystal, k_max: float) -> Reflections:
    """All reciprocal lattice points up to ``k_max`` that scatter; absent ones are left out.

    Parameters
    ----------
    crystal
        The cell.
    k_max
        Largest 1/d in Å⁻¹.

    Returns
    -------
    Reflections
        hkl; vectors in Å⁻¹, Cartesian in the crystal's frame; k = 1/d; F in Å.
    """
    if not (np.isfinite(k_max) and k_max > 0):
        raise InputError(f"k_max = {k_max} Å⁻¹ cannot be", "give the largest 1/d in Å⁻¹")
    # |h| = |g · a| ≤ |g| |a|.
    most = np.floor(k_max * np.linalg.norm(crystal.lattice, axis=1) + 1e-9).astype(int)
    axes = [np.arange(-m, m + 1) for m in most]
    hkl = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    vectors = hkl @ crystal.reciprocal
    k = np.linalg.norm(vectors, axis=1)
    inside = (k <= k_max * (1 + 1e-9)) & hkl.any(axis=1)
    hkl, vectors, k = hkl[inside], vectors[inside], k[inside]
    factor = structure_factors(crystal, hkl)
    strength = np.abs(factor)
    seen = strength > _ABSENT * strength.max(initial=0.0)
    order = np.flatnonzero(seen)[np.argsort(k[seen], kind="stable")]
    return Reflections(hkl[order].astype(np.int64), vectors[order], k[order], factor[order])


def powder_rings(crystal: Crystal, k_max: float) -> Rings:
    """Rings of many crystals in all orientations.

    A reciprocal lattice point at k is near the Ewald sphere in a share of orientations that
    falls with 1/k, so a ring's counts, integrated around it, go with Σ |F|² / k over its
    members (B. K. Vainshtein, Structure Analysis by Electron Diffraction, 1964).

    Parameters
    ----------
    crystal, k_max
        As for :func:`reflections`.

    Returns
    -------
    Rings
        k in Å⁻¹; intensity integrated around the ring, strongest 1; indices of one member (the
        largest in h, then k, then l); how many reflections fall together.
    """
    points = reflections(crystal, k_max)
    if points.k.size == 0:
        return Rings(points.k, points.k, points.hkl, points.hkl[:, 0])
    begins = np.concatenate([[True], np.diff(points.k) > 1e-6 * k_max])
    ring = np.cumsum(begins) - 1
    multiplicity = np.bincount(ring)
    k = np.bincount(ring, weights=points.k) / multiplicity
    intensity = np.bincount(ring, weights=np.abs(points.structure_factor) ** 2) / k
    order = np.lexsort((*points.hkl.T[::-1], ring))
    last = np.cumsum(multiplicity) - 1
    return Rings(k, intensity / intensity.max(), points.hkl[order][last], multiplicity)


def _rest_energy() -> float:
    return _ELECTRON_MASS * _LIGHT**2


@cache
def _lobato(element: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from diffsims.utils.lobato_scattering_params import ATOMIC_SCATTERING_PARAMS_LOBATO

    if element not in known_elements():
        raise InputError(f"no form factor is known for {element!r}", "check the element symbols")
    a, b = np.array(ATOMIC_SCATTERING_PARAMS_LOBATO[element]).T
    return a, b
