"""Patterns of few electrons with and without averaging of neighbours, on independent truth.

python benchmarks/low_dose.py [CRYSTAL ...] [--doses 200,500,1000,2000,5000] [--radii 0,2]

The map of ``independent_samples.py`` (large grains that overlap by a position, small grains,
lamellae of two positions, 0.2° to 0.5° of spread), spots of ``independent_spots.py`` (other
structure factors, Gaussian rel-rods, log-normal 0.3 of its own for every grain), drawn on a
background of rings. Half of the electrons are in the direct beam, 0.15 in the spots.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from certainty_scoring import misorientation
from independent_samples import KINDS, Sample, sample
from independent_spots import Source, source, spots
from phaseloom.crystals import named_crystal
from phaseloom.diffraction import Peaks, register
from phaseloom.errors import InputWarning
from phaseloom.io import as_scan, calibrated
from phaseloom.orientation import index

Floats = NDArray[np.float64]

CRYSTALS = Path(__file__).with_name("crystals")
SIDE = 128  # px
K_MAX = 1.2  # Å⁻¹
PIXEL_SIZE = K_MAX / (SIDE / 2 - 3)
CENTRE = (SIDE - 1) / 2
SIGMA = 1.5  # px
RELROD = 0.8 / 120  # Å⁻¹
SHARES = {"direct": 0.5, "spots": 0.15, "background": 0.35}
FADES = 25.0  # px over which the background falls to 1 / e
STRONG = 0.01  # of the electrons in the spots: counts for the recall
NEAR = 2.0  # px
RIGHT = 3.0  # degrees


class Truth(NamedTuple):
    """Sample, expected share of a pattern's electrons (n, ky, kx), spots of each position."""

    sample: Sample
    crystal: Source
    expected: NDArray[np.float32]
    spots: list[tuple[Floats, Floats]]


def truth(name: str, seed: int = 1) -> Truth:
    rng = np.random.default_rng(seed)
    crystal = source(CRYSTALS / f"{name}.cif", K_MAX)
    made = sample("map", 0, 1, rng)
    grains = [
        replace(
            crystal, strength=crystal.strength * np.exp(0.3 * rng.standard_normal(len(crystal.g)))
        )
        for _ in range(made.grain.max() + 1)
    ]
    axis = np.arange(SIDE)
    falling = np.exp(-np.hypot(axis[:, None] - CENTRE, axis - CENTRE) / FADES)
    common = SHARES["background"] * falling / falling.sum()
    common += SHARES["direct"] * np.outer(_profile(CENTRE), _profile(CENTRE))
    expected = np.empty((made.grain.size, SIDE, SIDE), np.float32)
    drawn = []
    for i, grain in enumerate(made.grain):
        place, part = [], []
        for rotation, share, of in (
            (made.rotation[i], 1 - made.share[i], grains[grain]),
            (made.second_rotation[i], made.share[i], crystal),
        ):
            found = spots(of, rotation, sigma=RELROD)
            strength = found.strength * found.profile
            seen = strength > 1e-4 * strength.max()
            place.append(np.stack([found.ky, found.kx], axis=1)[seen] / PIXEL_SIZE + CENTRE)
            part.append(share * strength[seen] / strength[seen].sum())
        places, parts = np.concatenate(place), np.concatenate(part)
        rows, columns = (np.stack([_profile(p) for p in line]) for line in places.T)
        expected[i] = common + SHARES["spots"] * np.einsum("k,ky,kx->yx", parts, rows, columns)
        drawn.append((places[parts > 0], parts[parts > 0]))
    return Truth(made, crystal, expected, drawn)


def _profile(middle: float) -> Floats:
    line: Floats = np.exp(-((np.arange(SIDE) - middle) ** 2) / (2 * SIGMA**2))
    return line / (np.sqrt(2 * np.pi) * SIGMA)


def measure(name: str, made: Truth, dose: int, radius: int) -> None:
    """Register and index one scan, and print a line for every kind of position."""
    size = made.sample.grain.size
    counts = np.random.default_rng(dose).poisson(dose * made.expected).astype(np.uint16)
    scan = calibrated(
        as_scan(counts.reshape(*made.sample.shape, SIDE, SIDE)), pixel_size=PIXEL_SIZE
    )
    data = register(scan, average_neighbours=radius)
    peaks = Peaks(data)
    found = np.stack(peaks.on_detector(), axis=1)
    hits, strong, false = (np.zeros(size) for _ in range(3))
    for i, (place, part) in enumerate(made.spots):
        own = found[peaks.offset[i] : peaks.offset[i + 1]]
        places = np.concatenate([place, [[CENTRE, CENTRE]]])
        apart = np.hypot(*(own[:, None] - places).transpose(2, 0, 1))
        wanted = np.append(part > STRONG, False)
        strong[i], hits[i] = wanted.sum(), (apart[:, wanted] < NEAR).any(axis=0).sum()
        false[i] = (apart.min(axis=1, initial=np.inf) > 1.5 * NEAR).sum()
    maps = index(peaks, [named_crystal(str(made.crystal.path))], voltage=200.0)
    turns, probability = (maps[n].to_numpy() for n in ("rotation", "probability"))
    right, second = (
        misorientation(turns.reshape(-1, 4), true, made.crystal.turns) < RIGHT
        for true in (made.sample.rotation, made.sample.second_rotation)
    )
    second &= made.sample.share > 0
    number = data["averaged"].to_numpy().ravel() if radius else np.ones(size)
    for kind, code in KINDS.items():
        of = made.sample.kind == code
        sure = of & (probability.ravel() > 0.95)
        print(
            f"{name}, {dose} electrons, radius {radius}, {kind}: "
            f"{np.median(number[of]):.0f} averaged, "
            f"recall {hits[of].sum() / strong[of].sum():.2f}, false {false[of].mean():.3f}, "
            f"right {right[of].mean():.3f}, sure {sure.sum() / of.sum():.2f}, of these right "
            f"{_share(right[sure]):.3f}, or the second {_share((right | second)[sure]):.3f}",
            flush=True,
        )


def _share(values: NDArray[np.bool_]) -> float:
    return float(values.mean()) if values.size else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("crystals", nargs="*", default=["lfp", "ti"])
    parser.add_argument("--doses", default="200,500,1000,2000,5000")
    parser.add_argument("--radii", default="0,2")
    asked = parser.parse_args()
    warnings.simplefilter("ignore", InputWarning)
    for name in asked.crystals:
        made = truth(name)
        for dose in asked.doses.split(","):
            for radius in asked.radii.split(","):
                measure(name, made, int(dose), int(radius))


if __name__ == "__main__":
    main()
