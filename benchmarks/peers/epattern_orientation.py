"""ePattern's matching of spots with simulated ones: geometric, or by its trained encoder.

The patterns it compares with are its own (Bloch waves of abTEM, thickness of the patterns, other
numbers as in its README), at all zone axes, tilted as it tilts (about x, then y). It has no search
in the plane: every angle is one more orientation, made here by turning the spots, which is what its
third tilt does. Modes: ``encoder`` with the weights that come with it, ``geometric`` (its
"baseline"); all of their numbers are its defaults, which its README states again. ``weak``: the
latter, with simulated spots kept that are thirty times weaker than in its README, as weak as those
that are found.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pandas as pd
from ase import Atoms
from epattern import create_encoder, run_matching
from epattern.logics.data_io import save_simulation_to_h5
from epattern.logics.simulation_parallel import _compute_one_angle
from epattern.utils.abtem_patch import apply_abtem_patch
from orientation_common import STEP, VOLTAGE, Matched, Peaks, Structure, main

MODES: dict[str, dict[str, Any]] = {
    "encoder": {"method": "encoder"},
    "geometric": {"method": "baseline", "sigma_px": 3.0},
    "weak": {"method": "baseline", "sigma_px": 3.0, "intensity_threshold": 0.05},
}
DETECTOR = 512
SCALE = 244 / 1.5  # px per Å⁻¹ on its detector
SIMULATION = {
    "energy": VOLTAGE * 1e3, "g_max": 1.5, "sg_max": 0.1, "thickness": 120.0,
    "center": DETECTOR / 2, "scale": SCALE, "detector_size": DETECTOR, "intensity_threshold": 1.5,
}  # fmt: skip
TURNS = np.arange(0, 360, STEP)
QUERY = "spots.h5"
BRIGHTEST = 255.0
"""Grey value of the direct beam and of the strongest spot beside it."""


def directions(corners: np.ndarray) -> np.ndarray:
    """Unit vectors some ``STEP`` apart in a triangle of directions, and their opposites."""
    a, b, c = corners / np.linalg.norm(corners, axis=1, keepdims=True)
    side = max(np.degrees(np.arccos(np.clip([a @ b, b @ c, c @ a], -1, 1))))
    n = int(np.ceil(side / STEP))
    grid = [(i / n, j / n) for i in range(n + 1) for j in range(n + 1 - i)]
    inside = np.array([(1 - u - v) * a + u * b + v * c for u, v in grid])
    inside /= np.linalg.norm(inside, axis=1, keepdims=True)
    return np.vstack([inside, -inside])


class Zones(NamedTuple):
    """What it simulates of one crystal: spots at every zone axis, and the tilts (n, 2) to there."""

    spots: list[pd.DataFrame]
    tilts: np.ndarray


def simulated(structure: Structure, threshold: float) -> Zones:
    """All zone axes, each at one angle in the plane; ``threshold``: grey value of the faintest."""
    simulation = {**SIMULATION, "intensity_threshold": threshold}
    a, b, c, *angles = structure.cell
    atoms = Atoms(structure.elements, scaled_positions=structure.positions, pbc=True,
                  cell=[a, b, c, *angles])  # fmt: skip
    zones = directions(np.array(structure.zone_axes, dtype=float) @ atoms.cell[:])
    tables, tilts = [], []
    for u, v, w in zones:
        tilt_x = np.degrees(np.arctan2(v, w))
        tilt_y = -np.degrees(np.arctan2(u, np.hypot(v, w)))
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            spots = _compute_one_angle(
                (tilt_x, tilt_y, 0.0), atoms, global_idx=0, total_angles=len(zones), **simulation
            )
        tables.append(pd.DataFrame(spots))
        tilts.append((tilt_x, tilt_y))
    return Zones(tables, np.array(tilts))


def write_database(zones: Zones, path: Path) -> np.ndarray:
    """Its database of all orientations; rotations (n, 3, 3), sample to crystal."""
    tables, rotations = [], []
    for number, (table, (tilt_x, tilt_y)) in enumerate(zip(*zones, strict=True)):
        centred = table[["x", "y"]].to_numpy() - DETECTOR / 2
        copies = pd.concat([table] * len(TURNS), ignore_index=True)
        # Both keys are exact in 32 bits, which tilts are not.
        copies["tilt_x"], copies["tilt_z"] = float(number), np.repeat(TURNS, len(table))
        turned = [centred @ about("z", angle)[:2, :2].T for angle in TURNS]
        copies[["x", "y"]] = np.concatenate(turned) + DETECTOR / 2
        tables.append(copies)
        tilt = about("y", tilt_y) @ about("x", tilt_x)
        rotations += [about("z", angle) @ tilt for angle in TURNS]
    params = {key: value for key, value in SIMULATION.items() if key != "center"}
    with contextlib.redirect_stdout(io.StringIO()):
        save_simulation_to_h5(
            pd.concat(tables, ignore_index=True), str(path), params, DETECTOR, DETECTOR / 2
        )
    return np.array(rotations).transpose(0, 2, 1)


def about(axis: str, angle: float) -> np.ndarray:
    """Matrix of a rotation by so many degrees."""
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = cosine
    matrix[i, j], matrix[j, i] = -sine, sine
    return matrix


def build(
    _peaks: Peaks, structures: Sequence[Structure], settings: dict[str, Any], _threads: int
) -> tuple[Any, int]:
    threshold = settings.get("intensity_threshold", SIMULATION["intensity_threshold"])
    made = {structure.name: tuple(simulated(structure, threshold)) for structure in structures}
    return made, sum(len(tilts) for _, tilts in made.values())


def write_spots(peaks: Peaks, path: Path) -> None:
    """The peaks as its detection stores them: places in px from the direct beam, grey values."""
    with h5py.File(path, "w") as file:
        for i in range(len(peaks)):
            here = peaks.pattern(i)
            ky, kx, intensity = peaks.ky[here], peaks.kx[here], peaks.intensity[here]
            direct = np.hypot(ky, kx) < 1e-9
            strongest = intensity[~direct].max() if (~direct).any() else 1.0
            spots = np.zeros((len(ky), 14), dtype=np.float32)
            spots[:, 10], spots[:, 11] = SCALE * kx, SCALE * ky
            spots[:, 12] = np.where(direct, BRIGHTEST, BRIGHTEST * intensity / strongest)
            group = file.create_group(f"images/{i}_0")
            group.attrs["X_scan"], group.attrs["Y_scan"] = i, 0
            group.create_dataset("spots", data=spots)


def prepare(made: Any, peaks: Peaks, settings: dict[str, Any], _threads: int) -> Any:
    folder = tempfile.TemporaryDirectory()
    paths = [Path(folder.name) / f"{name}.h5" for name in made]
    rotations = [
        write_database(Zones(*of), path) for of, path in zip(made.values(), paths, strict=True)
    ]
    write_spots(peaks, Path(folder.name) / QUERY)
    matching = {key: value for key, value in settings.items() if key != "intensity_threshold"}
    model = create_encoder(use_default_weights=True) if settings["method"] == "encoder" else None

    def matched() -> Matched:
        query = Path(folder.name) / QUERY
        with contextlib.redirect_stdout(io.StringIO()):
            found = run_matching(query, paths, model=model, **matching)
        phase = found["pred_material_idx"].to_numpy()
        number = found["pred_orientation_idx"].to_numpy()
        rotation = np.array([rotations[p][i] for p, i in zip(phase, number, strict=True)])
        score = found["score_top1"].to_numpy()
        return Matched(rotation, score, phase, found["confidence"].to_numpy())

    return matched


if __name__ == "__main__":
    patched, message = apply_abtem_patch()
    if patched and not message.startswith("Already"):
        os.execv(sys.executable, [sys.executable, *sys.argv])  # as it asks for
    main(build, prepare, MODES, f"ePattern {version('epattern')}")
