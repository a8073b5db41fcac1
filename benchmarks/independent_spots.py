"""Spot patterns made without phaseloom's crystals: gemmi's structures and scattering factors.

Structure, symmetry and the electron scattering factors of the International Tables (vol. C,
table 4.3.2.2) are gemmi's; the geometry is written here anew, in the frame of docs/frames.md:
sample x right, y down, z along the beam; v_crystal = R v_sample; crystal axes e1 ∥ a, e3 ∥ c*.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import gemmi
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

FOLDER = Path(__file__).parent / "crystals"
AZIMUTHS = 48  # directions of a precessing beam

Floats = NDArray[np.float64]


def wave_number(voltage: float) -> float:
    """1/λ in Å⁻¹ of electrons of ``voltage`` kV: (pc)² = T² + 2 T mc², hc = 12398.42 eV Å."""
    energy, rest = 1e3 * voltage, 510998.95
    return float(np.sqrt(energy * (energy + 2 * rest)) / 12398.419843)


@dataclass(frozen=True, eq=False)
class Source:
    """What a crystal scatters: reflections with |g| ≤ ``k_max``, and its symmetry.

    ``g`` (n, 3) in Å⁻¹ on crystal axes, ``hkl`` (n, 3), ``strength`` (n,) |F|² of electrons in Å²,
    ``turns`` (m, 3, 3) the proper rotations of the Laue class, Cartesian, the identity among them.
    """

    path: Path
    g: Floats
    hkl: NDArray[np.int64]
    strength: Floats
    turns: Floats


def source(path: Path, k_max: float) -> Source:
    """All reflections of a CIF file up to ``k_max`` that are not extinct."""
    structure = gemmi.read_small_structure(str(path))
    orth = np.array(structure.cell.orth.mat.tolist())
    frac = np.array(structure.cell.frac.mat.tolist())  # rows a*, b*, c*
    most = np.floor(k_max * np.linalg.norm(orth, axis=0)).astype(int)
    axes = [np.arange(-n, n + 1) for n in most]
    hkl = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    g = hkl @ frac
    length = np.linalg.norm(g, axis=1)
    inside = (length > 1e-9) & (length <= k_max)
    hkl, g = hkl[inside], g[inside]
    strength = np.abs(structure_factors(structure, hkl)) ** 2
    seen = strength > 1e-6 * strength.max()
    turns = np.unique([_proper(op) for op in structure.spacegroup.operations().sym_ops], axis=0)
    return Source(path, g[seen], hkl[seen], strength[seen], orth @ turns @ frac)


def _proper(operation: gemmi.Op) -> Floats:
    turn = np.array(operation.rot, dtype=np.float64) / gemmi.Op.DEN
    return turn * np.sign(np.linalg.det(turn))


def structure_factors(
    structure: gemmi.SmallStructure, hkl: NDArray[np.int64]
) -> NDArray[np.complex128]:
    """F of electrons in Å, Σ o f(s²) exp(−8π²U s²) exp(2πi h·x), s = |g| / 2."""
    square = (np.linalg.norm(hkl @ np.array(structure.cell.frac.mat.tolist()), axis=1) / 2) ** 2
    factors: dict[str, Floats] = {}
    total = np.zeros(len(hkl), dtype=np.complex128)
    for site in structure.get_all_unit_cell_sites():
        name = site.element.name
        if name not in factors:
            a, b = (np.array(c) for c in (site.element.c4322.a, site.element.c4322.b))
            factors[name] = (a * np.exp(-b * square[:, None])).sum(axis=1)
        blur = np.exp(-8 * np.pi**2 * site.u_iso * square)
        phase = hkl @ np.array(site.fract.tolist())
        total += site.occ * factors[name] * blur * np.exp(2j * np.pi * phase)
    return total


class Spots(NamedTuple):
    """Spots of one pattern: (n,) each."""

    ky: Floats
    kx: Floats
    strength: Floats  # |F|²
    profile: Floats  # part of it that the rel-rod leaves


def spots(
    crystal: Source,
    rotation: Floats,
    *,
    sigma: float,
    shape: str = "gaussian",
    voltage: float = 200.0,
    precession_angle: float = 0.0,
) -> Spots:
    """Reflections near the Ewald sphere, for a quaternion (4,), sample to crystal.

    The excitation error is exact: |k + g + s z| = |k|. A precessing beam (half angle in degrees)
    is brought back, so that spots keep their places.

    Parameters
    ----------
    crystal, rotation
        What scatters, and how it is turned.
    sigma
        Å⁻¹: the rel-rod is exp(−(s/σ)²); "sinc2" is sin²(πs/w)/(πs/w)² and "lorentz"
        1/(1 + (s/w)²), with w such that all have the same half width.
    shape
        "gaussian", "sinc2" or "lorentz".
    voltage
        kV.
    precession_angle
        Degrees.
    """
    turn = Rotation.from_quat(rotation, scalar_first=True).as_matrix()
    g = crystal.g @ turn  # Rᵀ g
    k = wave_number(voltage)
    tilt = np.radians(precession_angle)
    close = np.abs(g[:, 2] + (g[:, :2] ** 2).sum(axis=1) / (2 * k)) < (
        30 * sigma + np.linalg.norm(g[:, :2], axis=1) * np.sin(tilt)
    )
    g = g[close]
    azimuth = 2 * np.pi * np.arange(AZIMUTHS if tilt else 1) / AZIMUTHS
    beam = k * np.sin(tilt) * np.stack([np.cos(azimuth), np.sin(azimuth)], axis=1)
    along = k * np.cos(tilt)
    across = ((g[:, None, :2] + beam) ** 2).sum(axis=-1)
    s = np.sqrt(k**2 - across) - along - g[:, 2:]
    profile = _PROFILES[shape](s / (sigma * np.sqrt(np.log(2.0)))).mean(axis=1)
    return Spots(g[:, 1], g[:, 0], crystal.strength[close], profile)


# Of the excitation error in units of the half width at half maximum.
_PROFILES = {
    "gaussian": lambda x: np.exp(-np.log(2.0) * x**2),
    "sinc2": lambda x: np.sinc(0.442946 * x) ** 2,
    "lorentz": lambda x: 1.0 / (1.0 + x**2),
}
