"""Dynamical patterns of LiFePO4 in random orientations, with their truth, by abTEM.

abTEM is no dependency; it gets an environment of its own, into which phaseloom goes too
(see ``abtem_check.py``):

    abtem-env/bin/python benchmarks/dynamical.py FOLDER [--patterns 200] [--multislice 60] [--check]

Writes to FOLDER, a file per set: ``ky kx intensity`` flat (Å⁻¹, in the frame of docs/frames.md;
part of the incident beam), ``offset`` (patterns + 1,), ``rotation`` (patterns, 4), ``thickness``
(patterns,) in Å, ``voltage`` in kV, ``precession_angle`` in degrees. A file that is there is kept.

- ``dynamical_lfp_bloch``, ``dynamical_lfp_thick``: Bloch waves, 300–400 Å and 800–1000 Å.
- ``dynamical_lfp``: multislice, 300–400 Å, 10 s of one core each.
- ``dynamical_lfp_precession``: Bloch waves, 300–600 Å, 0.7° precession (32 directions).

Positions bear 0.2 px of noise (1.5 Å⁻¹ at 122 px); spots under a thousandth of what is diffracted,
those within 0.03 Å⁻¹ of a stronger one, and the direct beam are left out.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from pathlib import Path

import abtem
import ase
import numpy as np
from abtem.bloch import BlochWaves, StructureFactor
from abtem.bloch.dynamical import StructureFactorArray
from abtem.parametrizations import LobatoParametrization
from numpy.typing import NDArray

from phaseloom.crystals import Crystal, kinematic_spots, lithium_iron_phosphate
from phaseloom.crystals.kinematic import rotation_matrices
from phaseloom.simulate.grains import random_quaternions

VOLTAGE = 200.0  # kV
K_MAX = 1.5  # Å⁻¹
PIXEL_SIZE = 1.5 / 122.0
POSITION_ERROR = 0.2  # px
DETECTION_LIMIT = 1e-3  # of the diffracted sum
SEPARATION = 0.03  # Å⁻¹
SAMPLING, SLICE = 0.15, 2.0  # Å
WINDOW = 50.0  # Å
SPREADING = 0.01  # rad: most electrons are scattered by less
AZIMUTHS = 32

Table = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def slab(crystal: Crystal, rotation: NDArray[np.float64], size: NDArray[np.float64]) -> ase.Atoms:
    """A box cut from the turned crystal, v_crystal = R v_sample; abTEM's axes are the sample's."""
    turn = rotation_matrices(rotation)[0]
    corners = np.array(np.meshgrid(*([0.0, s] for s in size))).reshape(3, -1).T
    cells = corners @ turn.T @ np.linalg.inv(crystal.lattice)
    low, high = np.floor(cells.min(0)).astype(int) - 1, np.ceil(cells.max(0)).astype(int) + 1
    axes = [np.arange(a, b) for a, b in zip(low, high, strict=True)]
    cell = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    places = ((cell + crystal.positions) @ crystal.lattice @ turn).reshape(-1, 3)
    elements = np.tile(np.array(crystal.elements), len(cell))
    inside = np.all((places >= 0) & (places < size), axis=1)
    return ase.Atoms(list(elements[inside]), positions=places[inside], cell=size, pbc=True)


def blurred(crystal: Crystal) -> dict[str, float]:
    """Displacements (Å) per element, less what abTEM's sampling blurs by itself.

    It draws atoms by linear interpolation, factors sinc²(kx d) sinc²(ky d), and divides by
    sin(kd) / kd: to second order in k, exp(−2π² k² U) with U = (1/6 − 1/12π²) d².
    """
    own = (1 / 6 - 1 / (12 * np.pi**2)) * SAMPLING**2
    square = dict(zip(crystal.elements, crystal.displacements, strict=True))
    return {element: float(np.sqrt(u - own)) for element, u in square.items()}


def exit_waves(
    crystal: Crystal, rotation: NDArray[np.float64], thicknesses: Sequence[float]
) -> tuple[NDArray[np.complex64], float]:
    """Waves (thickness, x, y) behind so much of the crystal (Å, ascending), and the box's width.

    The box does not repeat as the crystal does: what its seam scatters stays out of the window.
    """
    width = WINDOW + 2 * rim(thicknesses[-1])
    atoms = slab(crystal, rotation, np.array([width, width, thicknesses[-1]]))
    potential = abtem.Potential(
        atoms,
        sampling=SAMPLING,
        slice_thickness=SLICE,
        parametrization=LobatoParametrization(sigmas=blurred(crystal)),
        exit_planes=tuple(round(thickness / SLICE) - 1 for thickness in thicknesses),
    )
    wave = abtem.PlaneWave(energy=VOLTAGE * 1e3).multislice(potential)
    array = np.asarray(wave.compute(scheduler="synchronous").array)
    return array.reshape(len(thicknesses), *array.shape[-2:]), width


def rim(thickness: float) -> float:
    """Å at every side of the box that its seam may scatter into."""
    return 2.0 + SPREADING * thickness


def seen(
    array: NDArray[np.complex64],
    width: float,
    ky: NDArray[np.float64],
    kx: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Intensities of an exit wave at places in Å⁻¹, through a Hann window."""
    place = np.arange(array.shape[0]) * width / array.shape[0]
    edge = 0.5 * (width - WINDOW)
    window = np.sin(np.pi * np.clip((place - edge) / WINDOW, 0.0, 1.0)) ** 2
    window /= window.sum()
    along_x, along_y = (window * np.exp(-2j * np.pi * k[:, None] * place) for k in (kx, ky))
    intensity: NDArray[np.float64] = np.abs(np.einsum("gi,gi->g", along_x @ array, along_y)) ** 2
    return intensity


def multislice(crystal: Crystal, rotation: NDArray[np.float64], thickness: float) -> Table:
    """Spots of the exit wave of a plane wave."""
    (array,), width = exit_waves(crystal, rotation, [thickness])
    # Far more candidates than are seen: those a crystal of 20 Å would show at all.
    near = kinematic_spots(
        crystal, rotation, voltage=VOLTAGE, thickness=20.0, k_max=K_MAX, minimum=1e-4
    )
    return near.ky, near.kx, seen(array, width, near.ky, near.kx)


def structure_factor(crystal: Crystal) -> StructureFactorArray:
    """abTEM's, as far as differences of reflections reach."""
    atoms = ase.Atoms(
        crystal.elements, scaled_positions=crystal.positions, cell=crystal.lattice, pbc=True
    )
    square = dict(zip(crystal.elements, crystal.displacements, strict=True))
    sigma = {element: float(np.sqrt(u)) for element, u in square.items()}
    return StructureFactor(
        atoms, g_max=3.4, parametrization="lobato", thermal_sigma=sigma, cutoff="hard",
        centering="P",
    ).build(lazy=False)  # fmt: skip


def bloch_waves(
    factor: StructureFactorArray, rotation: NDArray[np.float64], thickness: float, angle: float
) -> Table:
    """Spots by Bloch waves, the mean over a cone of beams brought back to one pattern.

    A beam tilted by δ is the crystal turned by −δ: only the intensities are taken from there.
    """
    turn = rotation_matrices(rotation)[0]
    tilt = np.radians(angle)
    sums: dict[tuple[int, ...], float] = {}
    azimuths = 2 * np.pi * np.arange(AZIMUTHS if angle else 1) / AZIMUTHS
    for azimuth in azimuths:
        half = np.sin(tilt / 2)
        cone = [np.cos(tilt / 2), half * np.cos(azimuth), half * np.sin(azimuth), 0.0]
        waves = BlochWaves(
            factor, energy=VOLTAGE * 1e3, sg_max=0.1, g_max=1.7, centering="P",
            orientation_matrix=(turn @ rotation_matrices(cone)[0]).T,
        )  # fmt: skip
        patterns = waves.calculate_diffraction_patterns(thickness, lazy=False)
        for hkl, part in zip(waves.hkl, np.asarray(patterns.array), strict=True):
            key = tuple(int(i) for i in hkl)
            sums[key] = sums.get(key, 0.0) + float(part) / len(azimuths)
    vectors = np.array(list(sums)) @ factor.cell.reciprocal() @ turn
    k = np.linalg.norm(vectors, axis=1)
    seen = (k > 0) & (k <= K_MAX)
    return vectors[seen, 1], vectors[seen, 0], np.array(list(sums.values()))[seen]


def separate(spots: Table) -> Table:
    """Those that no stronger one is close to, strongest first."""
    ky, kx, intensity = (column[np.argsort(-spots[2])] for column in spots)
    apart = np.hypot(ky[:, None] - ky, kx[:, None] - kx)
    kept = np.ones(ky.size, dtype=bool)
    for i in range(1, ky.size):
        kept[i] = not (kept[:i] & (apart[i, :i] < SEPARATION)).any()
    return ky[kept], kx[kept], intensity[kept]


def detected(spots: Table, rng: np.random.Generator) -> NDArray[np.float64]:
    """(3, n): what an experiment would list of them."""
    ky, kx, intensity = separate(spots)
    kept = intensity >= DETECTION_LIMIT * intensity.sum()
    noise = POSITION_ERROR * PIXEL_SIZE * rng.standard_normal((2, int(kept.sum())))
    return np.stack([ky[kept] + noise[0], kx[kept] + noise[1], intensity[kept]])


def write(
    path: Path,
    crystal: Crystal,
    n: int,
    bounds: tuple[float, float],
    angle: float | None,
    seed: int,
) -> None:
    """One set, by multislice where ``angle`` is None; every 20 patterns what is done is written."""
    factor = structure_factor(crystal)
    tables: list[NDArray[np.float64]] = []
    rotations, depths = np.empty((n, 4)), np.empty(n)
    for i in range(n):
        rng = np.random.default_rng([seed, i])
        rotations[i] = random_quaternions(1, rng)[0]
        depths[i] = SLICE * np.round(rng.uniform(*bounds) / SLICE)
        if angle is None:
            spots = multislice(crystal, rotations[i], depths[i])
        else:
            spots = bloch_waves(factor, rotations[i], depths[i], angle)
        tables.append(detected(spots, rng))
        if i % 20 == 19 or i == n - 1:
            ky, kx, intensity = np.concatenate(tables, axis=1)
            offset = np.concatenate([[0], np.cumsum([t.shape[1] for t in tables])])
            np.savez(
                path, ky=ky, kx=kx, intensity=intensity, offset=offset,
                rotation=rotations[: i + 1], thickness=depths[: i + 1],
                voltage=VOLTAGE, precession_angle=angle or 0.0,
            )  # fmt: skip
            print(f"{path.name}: {i + 1} of {n}, {offset[-1] / (i + 1):.0f} spots each", flush=True)


def check(crystal: Crystal, n: int) -> None:
    """Thin slabs against kinematic spots, thick ones by both programs."""
    factor = structure_factor(crystal)
    names = "thickness Å", "spots", "multislice : Bloch", "Bloch : kinematic", "sum", "I ratio"
    print("correlations of √I; ratio of the sums, multislice / Bloch\n" + " | ".join(names))
    rng = np.random.default_rng(5)
    for rotation in random_quaternions(n, rng):
        for thickness in (20.0, 350.0, 900.0):
            ky, kx, slices = multislice(crystal, rotation, thickness)
            waves = bloch_waves(factor, rotation, thickness, 0.0)
            ours = kinematic_spots(
                crystal, rotation, voltage=VOLTAGE, thickness=thickness, profile="slab",
                minimum=1e-9,
            )  # fmt: skip
            place = np.stack([ky, kx], axis=1)
            columns = [slices]
            for y, x, intensity in (waves, (ours.ky, ours.kx, ours.intensity)):
                apart = np.hypot(place[:, :1] - y, place[:, 1:] - x)
                same = apart.argmin(axis=1)
                columns.append(np.where(apart.min(axis=1) < 1e-6, intensity[same], 0.0))
            both = np.minimum(columns[0], columns[1]) > 1e-3 * columns[1].sum()
            a, b, c = (np.sqrt(column[both]) for column in columns)
            print(
                f"{thickness:5.0f} | {both.sum():3d} | {np.corrcoef(a, b)[0, 1]:.4f} | "
                f"{np.corrcoef(b, c)[0, 1]:.4f} | {columns[1].sum():.3f} | "
                f"{(a**2).sum() / (b**2).sum():.3f}",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--patterns", type=int, default=200, help="of each set by Bloch waves")
    parser.add_argument("--multislice", type=int, default=60, help="patterns by multislice")
    parser.add_argument("--check", action="store_true", help="print comparisons, write nothing")
    wanted = parser.parse_args()
    warnings.simplefilter("ignore")
    abtem.config.set({"local_diagnostics.progress_bar": False, "diagnostics.progress_bar": False})
    olivine = lithium_iron_phosphate()
    if wanted.check:
        check(olivine, 4)
    else:
        wanted.folder.mkdir(parents=True, exist_ok=True)
        for seed, (name, n, bounds, angle) in enumerate(
            (
                ("dynamical_lfp_bloch", wanted.patterns, (300.0, 400.0), 0.0),
                ("dynamical_lfp_thick", wanted.patterns, (800.0, 1000.0), 0.0),
                ("dynamical_lfp", wanted.multislice, (300.0, 400.0), None),
                ("dynamical_lfp_precession", wanted.patterns, (300.0, 600.0), 0.7),
            )
        ):
            target = wanted.folder / f"{name}.npz"
            if not target.exists():
                write(target, olivine, n, bounds, angle, seed)
