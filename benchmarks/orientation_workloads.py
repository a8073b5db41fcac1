"""What orientation matching is compared on: crystals as files, and registered peaks with the truth.

Every program reads the structure that the patterns were simulated with, and the same peaks, found
by phaseloom's registration with its defaults.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseloom.crystals import Crystal, gold, iron_phosphate, lithium_iron_phosphate
from phaseloom.diffraction.registration import register
from phaseloom.simulate import Beam, Camera, grain_map, random_orientations, simulate_scan
from phaseloom.simulate.workload import MIDDLE_DOSE

if TYPE_CHECKING:
    import xarray as xr

CRYSTALS = {
    "au": (gold, "au", ((0, 0, 1), (0, 1, 1), (1, 1, 1))),
    "lfp": (lithium_iron_phosphate, "lfp", ((0, 0, 1), (1, 0, 0), (0, 1, 0))),
    "fp": (iron_phosphate, "lfp", ((0, 0, 1), (1, 0, 0), (0, 1, 0))),
}
"""Function, dose and corners of the fundamental zone of every crystal."""

COLUMNS = (
    "ky", "kx", "intensity", "ky_error", "kx_error", "intensity_error", "background",
    "peak_prominence",
)  # fmt: skip

MAP = (24, 24)
GRAINS = 14


@dataclass(frozen=True)
class Workload:
    """Peaks of patterns with the truth."""

    peaks: dict[str, NDArray[Any]]  # offset and COLUMNS
    rotation: NDArray[np.float64]  # (n, 4), sample to crystal
    phase: NDArray[np.int64]
    crystals: tuple[Crystal, ...]
    names: tuple[str, ...]
    shape: tuple[int, int]

    def __len__(self) -> int:
        """Number of patterns."""
        return len(self.phase)


def workload(kinds: tuple[str, ...], n: int, seed: int, *, grains: bool = False) -> Workload:
    """Patterns of one crystal or, in random order, of equal shares of several.

    Parameters
    ----------
    kinds
        Keys of :data:`CRYSTALS`.
    n
        How many patterns, every one in a random orientation.
    seed
        Of orientations, noise and order.
    grains
        A map of ``GRAINS`` grains of the first crystal instead of random orientations.
    """
    crystals = tuple(CRYSTALS[kind][0]() for kind in kinds)
    if grains:
        sample = grain_map(MAP, [1.0], n_grains=GRAINS, seed=seed)
        peaks, rotation = _registered(sample, crystals[0], CRYSTALS[kinds[0]][1], seed)
        return Workload(peaks, rotation, np.zeros(len(rotation), int), crystals, kinds, MAP)
    parts = [
        _registered(
            random_orientations((1, len(numbers)), seed=seed + 7 * i), crystal, CRYSTALS[kind][1],
            seed + 7 * i,
        )
        for i, (kind, crystal, numbers) in enumerate(
            zip(kinds, crystals, np.array_split(np.arange(n), len(kinds)), strict=True)
        )
    ]  # fmt: skip
    phase = np.repeat(np.arange(len(kinds)), [len(rotation) for _, rotation in parts])
    order = np.random.default_rng(seed).permutation(n) if len(kinds) > 1 else np.arange(n)
    peaks = joined([part for part, _ in parts], order)
    rotation = np.concatenate([rotation for _, rotation in parts])[order]
    return Workload(peaks, rotation, phase[order], crystals, kinds, (1, n))


def _registered(
    sample: xr.Dataset, crystal: Crystal, dose: str, seed: int
) -> tuple[dict[str, NDArray[Any]], NDArray[np.float64]]:
    """Peaks of the patterns of ``benchmark_patterns``, here of any crystal and sample."""
    beam = Beam(dose=MIDDLE_DOSE[dose], intensity_spread=0.3)
    scan, truth = simulate_scan(sample, [crystal], beam=beam, camera=Camera(jitter=0.5), seed=seed)
    found = register(scan, seed=0)
    peaks = {name: found[name].to_numpy().astype(np.float64) for name in COLUMNS}
    return {"offset": found["offset"].to_numpy(), **peaks}, truth["rotation"].to_numpy().reshape(
        -1, 4
    )


def joined(
    parts: list[dict[str, NDArray[Any]]], order: NDArray[np.int64]
) -> dict[str, NDArray[Any]]:
    """Tables of peaks one after the other, then their patterns in another order."""
    counts = np.concatenate([np.diff(part["offset"]) for part in parts])
    begins = np.cumsum(counts) - counts
    offset = np.concatenate([[0], np.cumsum(counts[order])])
    rows = np.repeat(begins[order] - offset[:-1], counts[order]) + np.arange(offset[-1])
    columns = {name: np.concatenate([part[name] for part in parts])[rows] for name in COLUMNS}
    return {"offset": offset, **columns}


def cached(
    folder: Path, kinds: tuple[str, ...], n: int, seed: int, *, grains: bool = False
) -> tuple[Workload, Path]:
    """The same, kept in a folder; and the peaks file every program gets."""
    path = folder / f"peaks_{'_'.join(kinds)}_{'map' if grains else n}_{seed}.npz"
    if not path.exists():
        made = workload(kinds, n, seed, grains=grains)
        np.savez(path, rotation=made.rotation, phase=made.phase, shape=made.shape, **made.peaks)
    with np.load(path) as file:
        columns = dict(file)
    rotation, phase, shape = (columns.pop(name) for name in ("rotation", "phase", "shape"))
    crystals = tuple(CRYSTALS[kind][0]() for kind in kinds)
    return Workload(columns, rotation, phase, crystals, kinds, (int(shape[0]), int(shape[1]))), path


def write_crystals(kinds: tuple[str, ...], folder: Path) -> list[Path]:
    """NAME.cif and, for programs that read none, NAME.json (see peers/orientation_common.py)."""
    paths = []
    for kind in kinds:
        make, _, zone_axes = CRYSTALS[kind]
        crystal = make()
        path = folder / f"{kind}.cif"
        path.write_text(cif(crystal), encoding="utf-8")
        about = {
            "name": crystal.name,
            "cell": crystal.cell,
            "numbers": [ATOMIC_NUMBERS[element] for element in crystal.elements],
            "elements": crystal.elements,
            "positions": crystal.positions.tolist(),
            "displacements": crystal.displacements.tolist(),
            "zone_axes": zone_axes,
        }
        path.with_suffix(".json").write_text(json.dumps(about), encoding="utf-8")
        paths.append(path)
    return paths


ATOMIC_NUMBERS = {"Li": 3, "O": 8, "P": 15, "Fe": 26, "Au": 79}


def cif(crystal: Crystal) -> str:
    """A crystal of a space group in its standard setting as a CIF file."""
    from diffpy.structure.spacegroups import GetSpaceGroup

    group = GetSpaceGroup(crystal.space_group)
    operations = [(np.asarray(o.R), np.asarray(o.t)) for o in group.iter_symops()]
    names = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    lines = [f"data_{crystal.name}"]
    lines += [f"_cell_{name} {value:.6f}" for name, value in zip(names, crystal.cell, strict=True)]
    lines += [
        f"_symmetry_space_group_name_H-M '{group.pdb_name}'",
        f"_symmetry_Int_Tables_number {crystal.space_group}",
        "loop_",
        "_symmetry_equiv_pos_as_xyz",
        *(f"'{_as_xyz(turn, shift)}'" for turn, shift in operations),
        "loop_",
        *(
            f"_atom_site_{name}"
            for name in ("label", "type_symbol", "fract_x", "fract_y", "fract_z")
        ),
        "_atom_site_occupancy",
        "_atom_site_U_iso_or_equiv",
        "_atom_site_adp_type",
    ]
    seen = np.zeros((0, 3))
    for number, position in enumerate(crystal.positions):
        apart = seen - position
        if len(seen) and np.abs(apart - np.round(apart)).max(axis=1).min() < 1e-4:
            continue
        seen = np.vstack([seen, [turn @ position + shift for turn, shift in operations]])
        element = crystal.elements[number]
        place = " ".join(f"{x:.6f}" for x in position)
        lines.append(
            f"{element}{number + 1} {element} {place} {crystal.occupancies[number]:g} "
            f"{crystal.displacements[number]:.6f} Uiso"
        )
    return "\n".join(lines) + "\n"


def _as_xyz(turn: NDArray[np.float64], shift: NDArray[np.float64]) -> str:
    """An operation as in ``-x+1/2,y,z``."""
    words = []
    for row, moved in zip(np.rint(turn).astype(int), shift % 1.0, strict=True):
        signs = zip("xyz", row, strict=True)
        word = "".join(("-" if sign < 0 else "+") + axis for axis, sign in signs if sign)
        part = Fraction(float(moved)).limit_denominator(12)
        words.append(word + (f"+{part}" if part else ""))
    return ",".join(words)
