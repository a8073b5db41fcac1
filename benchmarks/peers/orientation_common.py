"""What the runners of orientation matching share: the command line, inputs, timing, outputs.

    python NAME_orientation.py peaks.npz out.npz --crystals a.cif [b.cif] --threads 2
        [--mode MODE] [--first N] [--shape ROWS COLUMNS]

``peaks.npz`` holds ``offset`` (pattern + 1) and, flat, ``ky`` (down), ``kx`` (right) in Å⁻¹ from
the direct beam, and ``intensity``; beside every CIF file lies NAME.json with the same structure,
all atoms listed (``cell``, ``numbers``, ``positions``, ``displacements`` U in Å², ``zone_axes``:
corners of the fundamental zone). The output holds ``rotation`` (pattern, 4; NaN where none),
``phase``, ``score``, ``reliability`` (NaN where the program has none), ``seconds`` (one per run,
matching only, after a run to warm up), ``library_seconds``, and ``about`` (JSON).

``rotation`` is the unit quaternion (a, b, c, d) that takes the sample's frame (x right, y down, z
along the beam) to the crystal's (e1 ∥ a, e3 ∥ c*). numpy and the standard library only.
"""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from common import command_line, peak_mb, runs

VOLTAGE = 200.0  # kV
K_MAX = 1.5  # Å⁻¹
STEP = 2.0  # degrees, between zone axes and in the plane
BEAM = 0.05  # Å⁻¹: a peak so near the middle is the direct beam

SWAPPED = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
"""From the sample to a frame with x down, y right and z against the beam."""


@dataclass(frozen=True)
class Peaks:
    """Spots of the patterns, flat."""

    offset: np.ndarray
    ky: np.ndarray
    kx: np.ndarray
    intensity: np.ndarray
    shape: tuple[int, int]  # of the scan

    def __len__(self) -> int:
        return len(self.offset) - 1

    def pattern(self, i: int) -> slice:
        """Rows of one pattern."""
        return slice(int(self.offset[i]), int(self.offset[i + 1]))


class Matched(NamedTuple):
    """What a program found, one row per pattern."""

    rotation: np.ndarray  # (n, 4), or (n, 3, 3) sample to crystal
    score: np.ndarray
    phase: np.ndarray | None = None
    reliability: np.ndarray | None = None


@dataclass
class Structure:
    """A crystal as the benchmark wrote it."""

    cif: Path
    name: str
    cell: list[float]
    numbers: list[int]
    elements: list[str]
    positions: list[list[float]]
    displacements: list[float]
    zone_axes: list[list[float]]
    root_mean_square: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        """Root mean square displacement of every element, in Å."""
        pairs = zip(self.elements, self.displacements, strict=True)
        self.root_mean_square = {element: float(np.sqrt(u)) for element, u in pairs}


Build = Callable[[Peaks, Sequence[Structure], dict[str, Any], int], Any]
Prepare = Callable[[Any, Peaks, dict[str, Any], int], Callable[[], Matched]]


def read_structure(cif: str) -> Structure:
    """The structure in the JSON file beside a CIF file."""
    path = Path(cif)
    return Structure(cif=path, **json.loads(path.with_suffix(".json").read_text(encoding="utf-8")))


def read_peaks(path: str, first: int | None, shape: Sequence[int] | None) -> Peaks:
    """The peaks file, or its first patterns."""
    with np.load(path) as file:
        offset = file["offset"][: None if first is None else first + 1]
        rows = slice(int(offset[-1]))
        columns = {name: file[name][rows].astype(float) for name in ("ky", "kx", "intensity")}
    n = len(offset) - 1
    centre(offset, columns)
    grid = (int(shape[0]), int(shape[1])) if shape else (1, n)
    return Peaks(offset=offset, shape=grid, **columns)


def centre(offset: np.ndarray, columns: dict[str, np.ndarray]) -> None:
    """Put the direct beam of every pattern where it is found, as users of these programs do.

    The peaks come with one smooth course of the beam over the scan; that it jitters about it,
    phaseloom's refinement finds by itself, and the others have a step of their own for it.
    """
    for i in range(len(offset) - 1):
        rows = slice(int(offset[i]), int(offset[i + 1]))
        distance = np.hypot(columns["ky"][rows], columns["kx"][rows])
        if distance.size and distance.min() < BEAM:
            beam = rows.start + int(distance.argmin())
            for name in ("ky", "kx"):
                columns[name][rows] -= columns[name][beam]


def quaternions(matrices: np.ndarray) -> np.ndarray:
    """(n, 4) unit quaternions, scalar first and not negative, of rotation matrices (n, 3, 3)."""
    m = np.asarray(matrices, dtype=float)
    # The eigenvector of the largest eigenvalue of Bar-Itzhack's symmetric matrix.
    k = np.empty((len(m), 4, 4))
    k[:, 0, 0] = np.trace(m, axis1=1, axis2=2)
    skew = np.stack([m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1]], 1)
    k[:, 0, 1:] = k[:, 1:, 0] = skew
    k[:, 1:, 1:] = m + np.swapaxes(m, 1, 2) - k[:, :1, :1] * np.eye(3)
    known = np.isfinite(k).all(axis=(1, 2))
    q = np.full((len(m), 4), np.nan)
    q[known] = np.linalg.eigh(k[known])[1][:, :, -1]
    return np.where(q[:, :1] < 0, -q, q)


def library_of(build: Callable[[], Any], path: Path | None) -> tuple[Any, float]:
    """The library, built or loaded from where an earlier run left it; the seconds to build it."""
    if path is not None and path.exists():
        with path.open("rb") as file:
            return pickle.load(file)
    start = time.perf_counter()
    made = build()
    pair = made, time.perf_counter() - start
    if path is not None:
        with path.open("wb") as file:
            pickle.dump(pair, file, protocol=5)
    return pair


def main(build: Build, prepare: Prepare, modes: dict[str, dict[str, Any]], version: str) -> None:
    """Run a program from the command line.

    Parameters
    ----------
    build
        From peaks, structures, the mode's settings and threads, the library of simulated patterns
        and its number of zone axes.
    prepare
        From the library, peaks, the mode's settings and threads, what matches.
    modes
        Settings of every mode.
    version
        Name and version of the program.
    """
    parser = command_line("peaks", modes)
    parser.add_argument("--crystals", nargs="+", required=True)
    parser.add_argument("--first", type=int, help="only so many patterns")
    parser.add_argument("--shape", type=int, nargs=2, help="rows and columns of the scan")
    parser.add_argument("--library", type=Path, help="keep the library here, or take it from here")
    given = parser.parse_args()
    peaks = read_peaks(given.peaks, given.first, given.shape)
    structures = [read_structure(cif) for cif in given.crystals]
    (library, zones), library_seconds = library_of(
        lambda: build(peaks, structures, modes[given.mode], given.threads), given.library
    )
    match = prepare(library, peaks, modes[given.mode], given.threads)
    found, seconds = runs(match, given.once)
    rotation = np.asarray(found.rotation, dtype=float)
    n = len(peaks)
    about = {
        "version": version,
        "mode": given.mode,
        "threads": given.threads,
        "peak_mb": peak_mb(),
        "zones": zones,
    }
    np.savez(
        given.out,
        rotation=quaternions(rotation) if rotation.ndim == 3 else rotation,
        score=np.asarray(found.score, dtype=float),
        phase=np.zeros(n, dtype=int) if found.phase is None else np.asarray(found.phase, dtype=int),
        reliability=np.full(n, np.nan)
        if found.reliability is None
        else np.asarray(found.reliability, dtype=float),
        seconds=np.array(seconds),
        library_seconds=library_seconds,
        about=np.array(json.dumps(about)),
    )
