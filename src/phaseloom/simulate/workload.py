"""Patterns of the benchmark of peak finders."""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING, Literal

from phaseloom.crystals import gold, lithium_iron_phosphate
from phaseloom.errors import InputError
from phaseloom.simulate.camera import Camera
from phaseloom.simulate.grains import random_orientations
from phaseloom.simulate.scans import simulate_scan
from phaseloom.simulate.spots import Beam

if TYPE_CHECKING:
    import xarray as xr

MIDDLE_DOSE = {"au": 7e4, "lfp": 3e5}
"""Electrons per pattern that make the numbers of visible spots those of the comparison."""


def benchmark_patterns(
    kind: Literal["au", "lfp"], n: int = 1024, *, dose: float = 1.0, seed: int = 0
) -> tuple[xr.Dataset, xr.Dataset]:
    """Patterns with known spots: gold (few, strong, well apart) or LiFePO₄ (many, weak, crowded).

    256² pixels, 200 kV, 1.5 Å⁻¹ at 122 px, Gaussian spots of σ = 2.4 px, every position in a
    random orientation; kinematic intensities of a 120 Å wedge times a log-normal factor of 0.3;
    30 % of the dose in the direct beam, 20 % in a radial background; Poisson counts. The direct
    beam lies within a pixel of the middle of the detector, elsewhere in each pattern. At the
    middle dose there are 11 (gold) or 41 visible spots per pattern, the direct beam among them.

    Parameters
    ----------
    kind
        "au" or "lfp".
    n
        Positions: a square scan if it is a square number, else a line.
    dose
        Relative to the middle dose; 1/8 is low, 8 is high.
    seed
        Same seed, same patterns.

    Returns
    -------
    scan, truth : xarray.Dataset
        As :func:`phaseloom.simulate.simulate_scan`.
    """
    if kind not in MIDDLE_DOSE:
        raise InputError(f"there are no benchmark patterns {kind!r}", "take 'au' or 'lfp'")
    side = isqrt(n)
    shape = (side, side) if side * side == n else (1, n)
    crystal = gold() if kind == "au" else lithium_iron_phosphate()
    return simulate_scan(
        random_orientations(shape, seed=seed),
        [crystal],
        beam=Beam(dose=dose * MIDDLE_DOSE[kind], intensity_spread=0.3),
        camera=Camera(jitter=0.5),
        seed=seed,
    )
