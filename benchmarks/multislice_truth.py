"""Multislice patterns of several crystals at several thicknesses, for ``certainty.py``.

In abTEM's environment (see ``abtem_check.py``):

    abtem-env/bin/python benchmarks/multislice_truth.py FOLDER [--crystals lfp au linio2 rutile]
        [--orientations 24] [--minutes 30]

Structures are read by gemmi. Each orientation is calculated once, and its wave is taken out at 150,
400 and 800 Å. FOLDER gets a file per crystal: ``ky kx intensity`` flat (Å⁻¹, part of the incident
beam) of all places where a reflection is within reach, by pattern and then thickness, ``offset``
(orientations × thicknesses + 1,), ``thickness``, ``rotation`` (orientations, 4). Crystals take
turns; files are written after every orientation, and what is in them is kept.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import abtem
import gemmi
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from dynamical import exit_waves, seen, separate
from independent_spots import FOLDER, Source, source, spots

THICKNESSES = (150.0, 400.0, 800.0)  # Å
K_MAX = 1.5  # Å⁻¹
REACH = 0.03  # Å⁻¹: σ of the rel-rods of the places that are looked at
NEAREST = 0.06  # Å⁻¹: what is closer is the direct beam's
WEAKEST = 1e-7  # of the incident beam
SEED = 11

Floats = NDArray[np.float64]


class Cell(NamedTuple):
    """What ``dynamical.py`` asks of a crystal: rows a, b, c (Å), fractions, symbols, U (Å²)."""

    lattice: Floats
    positions: Floats
    elements: tuple[str, ...]
    displacements: Floats


def cell_of(path: Path) -> Cell:
    """All atoms of the cell, as gemmi reads and multiplies them."""
    structure = gemmi.read_small_structure(str(path))
    sites = structure.get_all_unit_cell_sites()
    return Cell(
        np.array(structure.cell.orth.mat.tolist()).T,
        np.array([site.fract.tolist() for site in sites]) % 1.0,
        tuple(site.element.name for site in sites),
        np.array([site.u_iso for site in sites]),
    )


def patterns(cell: Cell, reflections: Source, rotation: Floats) -> list[Floats]:
    """(3, spots) of every thickness: ky, kx, intensity."""
    waves, width = exit_waves(cell, rotation, THICKNESSES)
    near = spots(reflections, rotation, sigma=REACH)
    some = (near.profile > 1e-4) & (np.hypot(near.ky, near.kx) > NEAREST)
    ky, kx = near.ky[some], near.kx[some]
    tables = [np.stack(separate((ky, kx, seen(wave, width, ky, kx)))) for wave in waves]
    return [table[:, table[2] > WEAKEST] for table in tables]


def main() -> None:
    """One orientation of every crystal after the other, as long as there is time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--crystals", nargs="+", default=["lfp", "au", "linio2", "rutile"])
    parser.add_argument("--orientations", type=int, default=24)
    parser.add_argument("--minutes", type=float, default=30.0, help="none is begun after that")
    wanted = parser.parse_args()
    warnings.simplefilter("ignore")
    abtem.config.set({"local_diagnostics.progress_bar": False, "diagnostics.progress_bar": False})
    wanted.folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    of = {name: (cell_of(FOLDER / f"{name}.cif"), source(FOLDER / f"{name}.cif", K_MAX))
          for name in wanted.crystals}  # fmt: skip
    rotations = Rotation.random(wanted.orientations, rng=SEED).as_quat(scalar_first=True)
    for i, rotation in enumerate(rotations):
        for name, (cell, reflections) in of.items():
            path = wanted.folder / f"multislice_{name}.npz"
            tables = kept(path)
            if len(tables) > i * len(THICKNESSES):
                continue
            if time.perf_counter() - start > 60 * wanted.minutes:
                return
            tables += patterns(cell, reflections, rotation)
            ky, kx, intensity = np.concatenate(tables, axis=1)
            np.savez(
                path, ky=ky, kx=kx, intensity=intensity, rotation=rotations[: i + 1],
                offset=np.cumsum([0, *(table.shape[1] for table in tables)]),
                thickness=np.array(THICKNESSES),
            )  # fmt: skip
            print(f"{time.perf_counter() - start:.0f} s: {path.name}, {i + 1}", flush=True)


def kept(path: Path) -> list[Floats]:
    """Tables of a file that is there."""
    if not path.exists():
        return []
    with np.load(path) as file:
        columns = np.stack([file[c] for c in ("ky", "kx", "intensity")])
        return np.split(columns, file["offset"][1:-1], axis=1)


if __name__ == "__main__":
    main()
