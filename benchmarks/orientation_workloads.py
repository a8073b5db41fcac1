"""What orientation matching is compared on: crystals as files, and registered peaks with the truth.

Every program reads the structure that the patterns were simulated with, and the same peaks: found
by phaseloom's registration with its defaults in patterns that it simulated, or those of
``independent_truth.py``, of which phaseloom has made nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import gemmi
import numpy as np
from numpy.typing import NDArray

from independent_spots import FOLDER
from independent_truth import truth
from phaseloom.crystals import Crystal, read_crystal
from phaseloom.diffraction.registration import register
from phaseloom.simulate import Beam, Camera, grain_map, random_orientations, simulate_scan
from phaseloom.simulate.workload import MIDDLE_DOSE

if TYPE_CHECKING:
    import xarray as xr


class Specimen(NamedTuple):
    """Dose of a crystal's patterns, and the corners of its fundamental zone."""

    dose: float
    zone_axes: tuple[tuple[int, int, int], ...]


CRYSTALS = {
    "au": Specimen(MIDDLE_DOSE["au"], ((0, 0, 1), (0, 1, 1), (1, 1, 1))),
    "lfp": Specimen(MIDDLE_DOSE["lfp"], ((0, 0, 1), (1, 0, 0), (0, 1, 0))),
    "fp": Specimen(MIDDLE_DOSE["lfp"], ((0, 0, 1), (1, 0, 0), (0, 1, 0))),
}
"""Files of ``crystals``."""

K_MAX = 1.5
"""Å⁻¹: what lies further out is left to no program."""

COLUMNS = (
    "ky", "kx", "intensity", "ky_error", "kx_error", "intensity_error", "background",
    "peak_prominence",
)  # fmt: skip

KEPT = ("rotation", "phase", "shape", "pixel_size", "spot_sigma")
"""Of a :class:`Workload`, in its file beside the peaks."""

MAP = (24, 24)
GRAINS = 14


@dataclass(frozen=True)
class Workload:
    """Peaks of patterns with the truth."""

    peaks: dict[str, NDArray[Any]]  # offset and COLUMNS
    rotation: NDArray[np.float64]  # (n, 4), sample to crystal
    phase: NDArray[np.int64]
    crystals: tuple[Crystal, ...]
    shape: tuple[int, int]
    pixel_size: float  # Å⁻¹
    spot_sigma: float  # px

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
    camera = Camera(jitter=0.5)
    crystals = read_crystals(kinds)
    if grains:
        sample = grain_map(MAP, [1.0], n_grains=GRAINS, seed=seed)
        peaks, rotation = _registered(sample, crystals[0], CRYSTALS[kinds[0]].dose, camera, seed)
        phase = np.zeros(len(rotation), int)
        return Workload(
            peaks, rotation, phase, crystals, MAP, camera.pixel_size, camera.sigma
        )  # fmt: skip
    parts = [
        _registered(
            random_orientations((1, len(numbers)), seed=seed + 7 * i), crystal, CRYSTALS[kind].dose,
            camera, seed + 7 * i,
        )
        for i, (kind, crystal, numbers) in enumerate(
            zip(kinds, crystals, np.array_split(np.arange(n), len(kinds)), strict=True)
        )
    ]  # fmt: skip
    phase = np.repeat(np.arange(len(kinds)), [len(rotation) for _, rotation in parts])
    order = np.random.default_rng(seed).permutation(n) if len(kinds) > 1 else np.arange(n)
    peaks = joined([part for part, _ in parts], order)
    rotation = np.concatenate([rotation for _, rotation in parts])[order]
    return Workload(
        peaks, rotation, phase[order], crystals, (1, n), camera.pixel_size, camera.sigma
    )


def independent(kinds: tuple[str, ...], n: int, seed: int) -> Workload:
    """Patterns of ``independent_truth.py``: random orientations of one crystal, or of two.

    Parameters
    ----------
    kinds
        One or two keys of :data:`CRYSTALS`.
    n
        How many patterns.
    seed
        Of all that is random.
    """
    made = truth(kinds[0] if len(kinds) == 1 else f"foreign/{'+'.join(kinds)}", n=n, seed=seed)
    table = made.peaks.data
    peaks = {name: table[name].to_numpy().astype(np.float64) for name in COLUMNS}
    offset = table["offset"].to_numpy()
    near = np.hypot(peaks["ky"], peaks["kx"]) <= K_MAX
    peaks = {name: column[near] for name, column in peaks.items()}
    offset = np.concatenate([[0], np.cumsum(near)])[offset]
    phase = np.where(made.phase < 0, 1, 0)  # of two crystals, the other one is not offered there
    return Workload(
        {"offset": offset, **peaks}, made.rotation, phase, read_crystals(kinds), (1, n),
        float(table.attrs["pixel_size"]), float(table.attrs["spot_sigma"]),
    )  # fmt: skip


def read_crystals(kinds: tuple[str, ...]) -> tuple[Crystal, ...]:
    """The crystals by their names."""
    return tuple(read_crystal(FOLDER / f"{kind}.cif") for kind in kinds)


def _registered(
    sample: xr.Dataset, crystal: Crystal, dose: float, camera: Camera, seed: int
) -> tuple[dict[str, NDArray[Any]], NDArray[np.float64]]:
    """Peaks of the patterns of ``benchmark_patterns``, here of any crystal and sample."""
    beam = Beam(dose=dose, intensity_spread=0.3)
    scan, made = simulate_scan(sample, [crystal], beam=beam, camera=camera, seed=seed)
    found = register(scan, seed=0)
    peaks = {name: found[name].to_numpy().astype(np.float64) for name in COLUMNS}
    rotation = made["rotation"].to_numpy().reshape(-1, 4)
    return {"offset": found["offset"].to_numpy(), **peaks}, rotation


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
    folder: Path, kinds: tuple[str, ...], n: int, seed: int, source: str
) -> tuple[Workload, Path]:
    """The same, kept in a folder; and the peaks file every program gets.

    Parameters
    ----------
    folder, kinds, n, seed
        Where, and of what.
    source
        "random", "grains" (of :func:`workload`) or "independent".
    """
    path = folder / f"peaks_{'_'.join(kinds)}_{source}_{n}_{seed}.npz"
    if not path.exists():
        if source == "independent":
            made = independent(kinds, n, seed)
        else:
            made = workload(kinds, n, seed, grains=source == "grains")
        np.savez(path, **{name: getattr(made, name) for name in KEPT}, **made.peaks)
    with np.load(path) as file:
        columns = dict(file)
    rotation, phase, shape, pixel_size, spot_sigma = (columns.pop(name) for name in KEPT)
    scan = (int(shape[0]), int(shape[1]))
    case = Workload(
        columns, rotation, phase, read_crystals(kinds), scan, float(pixel_size), float(spot_sigma)
    )
    return case, path


def write_crystals(kinds: tuple[str, ...], folder: Path) -> list[Path]:
    """NAME.cif and, for programs that read none, NAME.json (see peers/orientation_common.py)."""
    paths = []
    for kind in kinds:
        path = folder / f"{kind}.cif"
        path.write_bytes((FOLDER / path.name).read_bytes())
        crystal = read_crystal(path)
        about = {
            "name": crystal.name,
            "cell": crystal.cell,
            "numbers": [gemmi.Element(element).atomic_number for element in crystal.elements],
            "elements": crystal.elements,
            "positions": crystal.positions.tolist(),
            "displacements": crystal.displacements.tolist(),
            "zone_axes": CRYSTALS[kind].zone_axes,
        }
        path.with_suffix(".json").write_text(json.dumps(about), encoding="utf-8")
        paths.append(path)
    return paths
