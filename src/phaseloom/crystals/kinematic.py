"""Spot patterns of single crystals in the kinematic approximation, with precession.

Frame: the sample's x is to the right and its y downwards, on the scan as on the detector, and z
completes the right-handed frame: it points into the screen, the way the beam travels, as seen by
somebody who looks along the beam. A rotation maps sample to crystal, v_crystal = R v_sample
(orix), so a reflection g of the crystal lies at (kx, ky, kz) = Rᵀ g.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseloom.crystals.scattering import (
    Reflections,
    reflections,
    relativistic_mass,
    wavelength,
)
from phaseloom.crystals.structure import Crystal
from phaseloom.errors import InputError

_AT_ONCE = 2_000_000
"""Reflections × orientations worked on together (16 MB per array)."""


class Spots(NamedTuple):
    """Spots of several patterns, flat; pattern ``i`` owns rows ``offset[i]:offset[i + 1]``."""

    offset: NDArray[np.int64]
    ky: NDArray[np.float64]
    kx: NDArray[np.float64]
    intensity: NDArray[np.float64]
    hkl: NDArray[np.int64]
    excitation_error: NDArray[np.float64]


def kinematic_spots(
    crystal: Crystal,
    rotations: ArrayLike,
    *,
    voltage: float,
    thickness: float = 200.0,
    k_max: float = 1.5,
    precession_angle: float = 0.0,
    profile: Literal["wedge", "slab"] = "wedge",
    minimum: float = 1e-4,
) -> Spots:
    """Positions and intensities of all spots, direct beam excluded.

    I = (λ γ |F| t / V)² · P(s), as a part of the incident beam; without dynamic scattering it
    may exceed 1. P is the excitation profile: sin²(πts) / (πts)² for a slab of thickness t
    (P. Hirsch et al., Electron Microscopy of Thin Crystals, 1965), 1 / (1 + (2πts)²) for a wedge
    (the slab averaged over exponentially distributed thicknesses of mean t, but for a factor 2).
    Excitation errors come from the exact sphere, s > 0 inside it. With precession the profile
    is averaged over the cone, s(φ) = s + k_⊥ sin(α) cos(φ); far outside |s| < k_⊥ sin α it
    is unchanged, far inside it tends to the Lorentz factor ∝ 1 / √((k_⊥ sin α)² − s²).

    Parameters
    ----------
    crystal
        The cell.
    rotations
        (n, 4) unit quaternions (a, b, c, d), sample to crystal as in orix
        (``Rotation.data``).
    voltage
        Acceleration voltage in kV.
    thickness
        In Å.
    k_max
        Largest 1/d in Å⁻¹.
    precession_angle
        Half-angle of the cone in degrees.
    profile
        "wedge" or "slab".
    minimum
        Spots weaker than this part of the strongest reflection at s = 0 are left out.

    Returns
    -------
    Spots
        offset (n + 1,); per spot ky, kx (Å⁻¹, down and right), intensity, hkl (spots, 3),
        excitation error (Å⁻¹, mean over the cone).
    """
    if not (np.isfinite(thickness) and thickness > 0):
        raise InputError(f"a thickness of {thickness} Å cannot be", "give the thickness in Å")
    matrices = rotation_matrices(rotations)
    lattice_points = reflections(crystal, k_max)
    radius = 1.0 / wavelength(voltage)
    reach = thickness * relativistic_mass(voltage) / (radius * crystal.volume)
    strength = (reach * np.abs(lattice_points.structure_factor)) ** 2
    average = _averaged_wedge if profile == "wedge" else _averaged_slab
    tilt = np.sin(np.radians(precession_angle))
    least = minimum * strength.max(initial=0.0)

    step = max(1, _AT_ONCE // max(1, lattice_points.k.size))
    parts = [
        _spots(
            lattice_points,
            strength,
            matrices[i : i + step],
            radius,
            thickness,
            tilt,
            average,
            least,
        )
        for i in range(0, len(matrices), step)
    ]
    counts, *columns = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Spots(np.concatenate([[0], np.cumsum(counts)]), *columns)


def rotation_matrices(rotations: ArrayLike) -> NDArray[np.float64]:
    """(n, 3, 3) matrices of unit quaternions (n, 4), v_crystal = R v_sample.

    Parameters
    ----------
    rotations
        (a, b, c, d) with the scalar first, as in orix.
    """
    quaternions = np.atleast_2d(np.asarray(rotations, dtype=np.float64))
    norm = np.linalg.norm(quaternions, axis=-1, keepdims=True)
    if quaternions.ndim != 2 or quaternions.shape[1] != 4 or not np.allclose(norm, 1.0, atol=1e-3):
        raise InputError("rotations must be unit quaternions", "give an array (n, 4), scalar first")
    a, b, c, d = (quaternions / norm).T
    matrix = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a - b * b + c * c - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a - b * b - c * c + d * d],
        ]
    )
    return np.moveaxis(matrix, -1, 0)


def excitation_errors(vectors: NDArray[np.float64], voltage: float) -> NDArray[np.float64]:
    """Distance of reciprocal lattice points from the Ewald sphere along the beam, in Å⁻¹.

    Parameters
    ----------
    vectors
        (..., 3): kx, ky, kz in the sample's frame, Å⁻¹.
    voltage
        Acceleration voltage in kV.

    Returns
    -------
    NDArray
        Positive inside the sphere, NaN beyond its reach.
    """
    radius = 1.0 / wavelength(voltage)
    return _sphere_distance(vectors[..., :2], vectors[..., 2], radius)


def _sphere_distance(
    in_plane: NDArray[np.float64], along: NDArray[np.float64], radius: float
) -> NDArray[np.float64]:
    # The beam travels along +z: the sphere's centre is at −z, its surface falls away below 0.
    square = np.sum(in_plane**2, axis=-1)
    with np.errstate(invalid="ignore"):
        sag = square / (radius + np.sqrt(radius**2 - square))
    result: NDArray[np.float64] = -sag - along
    return result


def _spots(
    lattice_points: Reflections,
    strength: NDArray[np.float64],
    matrices: NDArray[np.float64],
    radius: float,
    thickness: float,
    tilt: float,
    average: Callable[..., NDArray[np.float64]],
    least: float,
) -> tuple[NDArray[np.float64] | NDArray[np.int64], ...]:
    vectors = np.einsum("gi,nij->ngj", lattice_points.vectors, matrices)
    error = _sphere_distance(vectors[..., :2], vectors[..., 2], radius)
    sweep = np.hypot(vectors[..., 0], vectors[..., 1]) * tilt
    # 2 / (1 + (πts)²) bounds both profiles: most reflections need no average.
    nearest = np.maximum(np.abs(error) - sweep, 0.0)
    candidate = 2.0 * strength >= least * (1.0 + (np.pi * thickness * nearest) ** 2)
    pattern, g = np.nonzero(candidate)
    intensity = strength[g] * average(error[candidate], sweep[candidate], thickness)
    kept = intensity >= least
    pattern, g = pattern[kept], g[kept]
    at = vectors[pattern, g]
    counts = np.bincount(pattern, minlength=len(matrices))
    return counts, at[:, 1], at[:, 0], intensity[kept], lattice_points.hkl[g], error[pattern, g]


def _averaged_wedge(
    error: NDArray[np.float64], sweep: NDArray[np.float64], thickness: float
) -> NDArray[np.float64]:
    """Mean over φ of 1 / (1 + (u + v cos φ)²), in closed form.

    It is the real part of the mean of 1 / (1 + iu + iv cos φ) = ((1 + iu)² + v²)^(−1/2).
    """
    u, v = 2 * np.pi * thickness * error, 2 * np.pi * thickness * sweep
    # The root with a positive real part is the product of the two principal ones.
    root = np.sqrt(1 + 1j * (u + v)) * np.sqrt(1 + 1j * (u - v))
    return np.asarray((1.0 / root).real)


def _averaged_slab(
    error: NDArray[np.float64], sweep: NDArray[np.float64], thickness: float
) -> NDArray[np.float64]:
    """Mean over φ of sinc², by the midpoint rule with ten points per fringe."""
    n = 8 + int(20 * np.ceil(thickness * sweep.max(initial=0.0)))
    cosines = np.cos(np.pi * (np.arange(n) + 0.5) / n)
    total = np.zeros_like(error)
    for cosine in cosines:
        total += np.sinc(thickness * (error + sweep * cosine)) ** 2
    return total / n
