"""Sets of peak tables with known orientations, by name: what orientation mapping is scored on.

    python benchmarks/orientation_truths.py [NAME ...]     prints what the sets are like

Doses, spots and jitter are those of ``phaseloom.simulate.benchmark_patterns``. Tables come straight
from :func:`phaseloom.simulate.simulate_peaks` or, with ``images``, from scans that are registered.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from phaseloom.crystals import Crystal, gold, iron_phosphate, lithium_iron_phosphate
from phaseloom.diffraction.peaks.table import COLUMNS, Peaks, join
from phaseloom.diffraction.registration import register
from phaseloom.simulate import (
    Beam,
    Camera,
    grain_map,
    random_orientations,
    simulate_peaks,
    simulate_scan,
)
from phaseloom.simulate.workload import MIDDLE_DOSE

MAP = (48, 48)
LEAST_GRAIN = 20  # positions
WEIGHTS = (0.3, 0.5)  # of the second crystal of a pair
DOSES = {"Au": MIDDLE_DOSE["au"], "LiFePO4": MIDDLE_DOSE["lfp"], "FePO4": MIDDLE_DOSE["lfp"]}
CAMERA = Camera(jitter=0.5)
DYNAMICAL = {
    "dynamical lfp": "dynamical_lfp",
    "dynamical lfp bloch": "dynamical_lfp_bloch",
    "dynamical lfp thick": "dynamical_lfp_thick",
    "dynamical lfp precession": "dynamical_lfp_precession",
}
"""Sets that ``dynamical.py`` writes, one file each."""


@dataclass(frozen=True)
class TruthSet:
    """Peaks, and what is true of every position of the scan.

    ``sample`` has on (y, x): ``phase``, ``rotation`` (sample to crystal), ``grain``; what lies
    beside it, ``phase_2`` and ``rotation_2``, with its part ``overlap`` (0: alone).
    """

    peaks: Peaks
    sample: xr.Dataset
    crystals: tuple[Crystal, ...]
    voltage: float = 200.0
    precession_angle: float = 0.0


class _Part(NamedTuple):
    """Positions measured with one dose."""

    sample: xr.Dataset
    dose: float


def truth_set(
    name: str, *, n: int = 1024, images: bool = False, folder: Path | None = None, seed: int = 0
) -> TruthSet:
    """A set by its name.

    Parameters
    ----------
    name
        "au", "lfp": random orientations. "lfp/fp", "au+lfp mix": half of the positions each (the
        mix with each crystal's own dose). "pairs au", "pairs lfp": two random orientations, the
        second with 0.3 to 0.5 of the diffracted counts. "au grains", "lfp/fp grains": 14 grains
        of at least 20 positions on 48×48, spread by 0.5°, both crystals within a position of
        boundaries. "dynamical lfp", and with "bloch", "thick" or "precession" behind it:
        from what ``dynamical.py`` wrote.
    n
        Positions of random sets, a multiple of 32.
    images
        Register simulated scans instead (as many patterns of 256² in memory).
    folder
        Of the dynamical sets.
    seed
        Same seed, same set.
    """
    if name in DYNAMICAL:
        if folder is None:
            raise ValueError(f"{name!r} needs the folder that dynamical.py has written")
        return _dynamical(folder / f"{DYNAMICAL[name]}.npz", seed)
    crystals, parts = _SETS[name](n, seed)
    tables = [_table(part, crystals, images, seed + i) for i, part in enumerate(parts)]
    sample = xr.concat([part.sample for part in parts], "y")
    peaks = join(tables) if len(tables) > 1 else Peaks(tables[0])
    return TruthSet(peaks, sample, crystals)


def _table(part: _Part, crystals: tuple[Crystal, ...], images: bool, seed: int) -> xr.Dataset:
    beam = Beam(dose=part.dose, intensity_spread=0.3)
    if images:
        scan, _ = simulate_scan(part.sample, crystals, beam=beam, camera=CAMERA, seed=seed)
        return register(scan)
    return simulate_peaks(part.sample, crystals, beam=beam, camera=CAMERA, seed=seed)


def _alone(n: int, seed: int, crystals: tuple[Crystal, ...]) -> list[_Part]:
    """Random orientations of random crystals (all of the same dose)."""
    sample = random_orientations((n // 32, 32), seed=seed)
    rng = np.random.default_rng([seed, 9])
    phase = rng.permutation(np.arange(n // 32 * 32) % len(crystals)).reshape(-1, 32)
    sample["phase"] = (("y", "x"), phase.astype(np.int8))
    return [_Part(sample, DOSES[crystals[0].name])]


def _mixed(n: int, seed: int, crystals: tuple[Crystal, ...]) -> list[_Part]:
    """The crystals one below the other, each with its own dose."""
    share = n // len(crystals)
    parts = []
    for number, crystal in enumerate(crystals):
        sample = random_orientations((share // 32, 32), seed=seed + number)
        filled = xr.full_like(sample["phase"], number)
        parts.append(_Part(sample.assign(phase=filled, phase_2=filled), DOSES[crystal.name]))
    return parts


def _pairs(n: int, seed: int, crystals: tuple[Crystal, ...]) -> list[_Part]:
    shape = (n // 32, 32)
    first, second = (random_orientations(shape, seed=s) for s in (seed, seed + 1_000_003))
    weight = np.random.default_rng([seed, 8]).uniform(*WEIGHTS, shape)
    sample = first.assign(
        rotation_2=second["rotation"], overlap=(("y", "x"), weight), grain_2=second["grain"] + n
    )
    return [_Part(sample, DOSES[crystals[0].name])]


def _grains(_: int, seed: int, crystals: tuple[Crystal, ...]) -> list[_Part]:
    """The first map from this seed on whose grains are all large enough."""
    for number in range(seed, seed + 1000):
        sample = grain_map(MAP, [1.0] * len(crystals), n_grains=14, overlap_width=1.0, seed=number)
        if np.bincount(sample["grain"].to_numpy().ravel(), minlength=14).min() >= LEAST_GRAIN:
            return [_Part(sample, DOSES[crystals[0].name])]
    raise RuntimeError("no map with large grains was found")


def _set(
    make: Callable[[int, int, tuple[Crystal, ...]], list[_Part]], *crystals: Callable[[], Crystal]
) -> Callable[[int, int], tuple[tuple[Crystal, ...], list[_Part]]]:
    def parts(n: int, seed: int) -> tuple[tuple[Crystal, ...], list[_Part]]:
        made = tuple(crystal() for crystal in crystals)
        return made, make(n, seed, made)

    return parts


_SETS = {
    "au": _set(_alone, gold),
    "lfp": _set(_alone, lithium_iron_phosphate),
    "lfp/fp": _set(_alone, lithium_iron_phosphate, iron_phosphate),
    "au+lfp mix": _set(_mixed, gold, lithium_iron_phosphate),
    "pairs au": _set(_pairs, gold),
    "pairs lfp": _set(_pairs, lithium_iron_phosphate),
    "au grains": _set(_grains, gold),
    "lfp/fp grains": _set(_grains, lithium_iron_phosphate, iron_phosphate),
}
NAMES = (*_SETS, *DYNAMICAL)


def _dynamical(path: Path, seed: int) -> TruthSet:
    """A file of ``dynamical.py`` with direct beams, in counts of the middle dose."""
    with np.load(path) as file:
        data: dict[str, Any] = dict(file)
    number = np.diff(data["offset"])
    n = number.size
    position = np.concatenate([np.arange(n), np.repeat(np.arange(n), number)])
    columns = [np.concatenate([np.zeros(n), data[c]]) for c in ("ky", "kx")]
    diffracted = np.bincount(position[n:], data["intensity"], n)
    share = np.concatenate([0.3 / 0.5 * diffracted, data["intensity"]]) / diffracted[position]
    counts = np.random.default_rng(seed).poisson(0.5 * DOSES["LiFePO4"] * share) + 1.0
    order = np.lexsort((columns[0], position))
    error = np.full(position.size, 0.2 * CAMERA.pixel_size)
    values = (
        *columns,
        counts,
        error,
        error,
        np.sqrt(counts),
        counts / 36,
        np.zeros(n + number.sum()),
    )
    middle = np.full((1, n), CAMERA.middle[0], dtype=np.float32)
    table = xr.Dataset(
        {c: ("peak", v[order].astype(np.float32)) for c, v in zip(COLUMNS, values, strict=True)}
        | {c: (("y", "x"), middle, {"units": "px"}) for c in ("centre_y", "centre_x")}
        | {"offset": ("edge", data["offset"] + np.arange(n + 1))},
        coords={
            "y": ("y", [0.0], {"units": "px"}),
            "x": ("x", np.arange(n) * 1.0, {"units": "px"}),
        },
        attrs={
            "pixel_size": CAMERA.pixel_size,
            "pixel_size_units": "Å⁻¹",
            "distortion": [1.0, 0.0, 0.0, 1.0],
            "detector_shape": list(CAMERA.shape),
        },
    )
    for name in ("ky", "kx", "ky_error", "kx_error"):
        table[name].attrs["units"] = "Å⁻¹"
    sample = random_orientations((1, n)).assign(
        rotation=(("y", "x", "quaternion"), data["rotation"][None]),
        thickness=(("y", "x"), data["thickness"][None]),
    )
    return TruthSet(
        Peaks(table), sample, (lithium_iron_phosphate(),), float(data["voltage"]),
        float(data["precession_angle"]),
    )  # fmt: skip


if __name__ == "__main__":
    for wanted in sys.argv[1:] or _SETS:
        made = truth_set(wanted)
        count = made.peaks.count
        print(
            f"{wanted}: {count.size} patterns, {count.mean():.1f} peaks each "
            f"({np.percentile(count, 5):.0f} to {np.percentile(count, 95):.0f}), "
            f"{np.mean(made.sample['overlap'] > 0):.0%} overlaps"
        )
