"""What factorisation is compared on: simulated scans whose components and shares are known.

:func:`factors` makes the matrix of the comparison with other programs, :func:`counting_scans` the
scans whose grains are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from orientation_scoring import HALF_TURN, misorientation, product
from phaseloom.crystals import lithium_iron_phosphate
from phaseloom.simulate import Beam, Camera, grain_map, simulate_scan

if TYPE_CHECKING:
    import xarray as xr

FLOOR = 0.0182
"""Relative error of the true factors: the dose is chosen for it."""

K = 8
DIRECT, BACKGROUND = 0.6, 0.2
"""Parts of the dose in direct beam and background of the comparison."""

OVERLAP = 6.0
"""Positions from a boundary up to which both grains are seen, in the comparison."""

DOSES = (1e3, 1e4, 1e5)
GRAINS = (4, 5, 6, 7, 8, 9, 10, 11, 12, 8)
"""Orientations of the ten scans at every dose."""

SIDE, DETECTOR = 40, 96
FEWEST = 25
"""Positions of the smallest grain."""

APART = 8.0
"""Degrees between two orientations of a scan at least, patterns being the same after half a turn
about the beam."""


@dataclass(frozen=True)
class Factorisation:
    """A matrix V ≈ W₀ H₀ with Poisson noise: (y, x, ky, kx) float32 counts."""

    counts: NDArray[np.float32]
    weight: NDArray[np.float64]  # (positions, K), of the dose
    pattern: NDArray[np.float64]  # (K, pixels), counts


def factors(side: int = 64, detector: int = 128, seed: int = 0) -> Factorisation:
    """The matrix of the comparison.

    Eight grains of LiFePO₄ of one orientation each (precession 0.8°); up to six positions from
    a boundary both grains are seen. The direct beam holds 0.6 of the electrons, a diffuse
    background 0.2, both the same everywhere: of ‖V‖ next to nothing is left for the spots that
    tell the components apart. The dose makes the true factors' relative error 0.0182.

    Parameters
    ----------
    side, detector
        Scan positions, and pixels, along each axis: spots and background scale with the detector.
    seed
        Same seed, same matrix.
    """
    sample = _grains(side, K, seed, overlap=OVERLAP, spread=0.0, fewest=side**2 // 28)
    weight = shares_of(sample, K)
    camera = Camera(
        shape=(detector, detector),
        pixel_size=1.5 / (0.47 * detector),
        sigma=detector / 80,
        background=BACKGROUND,
        background_width=0.23 * detector,
    )
    beam = Beam(dose=1.0, precession_angle=0.8, direct=DIRECT)
    pure = sample.assign(overlap=0.0 * sample["overlap"])
    patterns = []
    for grain in range(K):
        y, x = np.argwhere(sample["grain"].to_numpy() == grain)[0]
        one, _ = simulate_scan(
            pure.isel(y=[y], x=[x]), [lithium_iron_phosphate()], beam=beam, camera=camera,
            noise=False,
        )  # fmt: skip
        patterns.append(one["counts"].to_numpy().ravel().astype(np.float64))
    unit = np.stack(patterns)
    expected = weight @ unit
    # Poisson: the squared error is the counts, and ‖V‖² = ‖E‖² + counts.
    dose = expected.sum() * (1 / FLOOR**2 - 1) / (expected**2).sum()
    expected *= dose
    counts = np.random.default_rng(seed).poisson(expected).astype(np.float32)
    return Factorisation(counts.reshape(side, side, detector, detector), weight, dose * unit)


def cached(folder: Path, side: int, detector: int, seed: int) -> tuple[Factorisation, Path]:
    """The matrix and its file, made unless it is there."""
    scan = folder / f"components_{side}_{detector}_{seed}.npy"
    truth = scan.with_suffix(".npz")
    if not truth.is_file():
        made = factors(side, detector, seed)
        np.save(scan, made.counts)
        np.savez(truth, weight=made.weight, pattern=made.pattern)
    with np.load(truth) as file:
        return Factorisation(np.load(scan), file["weight"], file["pattern"]), scan


@dataclass(frozen=True)
class Counting:
    """A scan whose grains are to be counted."""

    number: int
    dose: float
    grains: int
    descan: bool

    def simulate(self) -> tuple[xr.Dataset, NDArray[np.float64]]:
        """The scan as read, and the true shares (positions, grains).

        LiFePO₄, mosaic spread 0.2°, grains overlap up to two positions from a boundary; a fifth
        of the dose in a diffuse background; with `descan` the direct beam wanders by 3 px over
        the scan and jitters by 0.1 px.
        """
        sample = _grains(
            SIDE, self.grains, 1000 + self.number, overlap=2.0, spread=0.2, fewest=FEWEST
        )
        shift = 3.0 if self.descan else 0.0
        camera = Camera(
            shape=(DETECTOR, DETECTOR),
            pixel_size=1.5 / (0.47 * DETECTOR),
            sigma=1.3,
            background=0.2,
            background_width=15.0,
            descan=((shift, 0.3 * shift), (-0.2 * shift, shift)),
            jitter=0.1 if self.descan else 0.0,
        )
        scan, _ = simulate_scan(
            sample,
            [lithium_iron_phosphate()],
            beam=Beam(dose=self.dose, precession_angle=0.8),
            camera=camera,
            seed=self.number,
        )
        return scan, shares_of(sample, self.grains)


def counting_scans() -> Iterator[Counting]:
    """Thirty scans of 4 to 12 orientations, ten at every dose, half of them with descan."""
    for i, dose in enumerate(DOSES):
        for j, grains in enumerate(GRAINS):
            yield Counting(10 * i + j, dose, grains, descan=bool((i + j) % 2))


def shares_of(sample: xr.Dataset, grains: int) -> NDArray[np.float64]:
    """Share of every grain in every position, (positions, grains)."""
    first, second, overlap = (sample[n].to_numpy().ravel() for n in ("grain", "grain_2", "overlap"))
    shares = np.zeros((first.size, grains))
    position = np.arange(first.size)
    shares[position, first] = 1.0 - overlap
    shares[position, second] += overlap
    return shares


def _grains(
    side: int, grains: int, seed: int, *, overlap: float, spread: float, fewest: int
) -> xr.Dataset:
    """A grain map in which no grain is tiny, and no two have one orientation."""
    for attempt in range(1000):
        sample = grain_map(
            (side, side),
            (1.0,),
            n_grains=grains,
            overlap_width=overlap,
            spread=spread,
            seed=1000 * seed + attempt,
        )
        label = sample["grain"].to_numpy().ravel()
        count = np.bincount(label, minlength=grains)
        if count.min() >= fewest and _apart(sample, label, grains) >= APART:
            return sample
    raise SystemExit(f"no map of {grains} grains of {fewest} positions or more")


def _apart(sample: xr.Dataset, label: NDArray[Any], grains: int) -> float:
    """Smallest angle between two grains' orientations, in degrees."""
    rotation = sample["rotation"].to_numpy().reshape(-1, 4)
    one = rotation[[int(np.flatnonzero(label == g)[0]) for g in range(grains)]]
    a, b = np.triu_indices(grains, 1)
    laue = lithium_iron_phosphate().laue_rotations
    turned = product(one[a], HALF_TURN)
    return float(min(misorientation(x, one[b], laue).min() for x in (one[a], turned)))
