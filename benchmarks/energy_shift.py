"""How well the energy shift is found: bias, scatter, honesty of the error, seconds.

python benchmarks/energy_shift.py [--seeds 5] [--size 256]
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
import xarray as xr
from scipy import ndimage

from phaseloom.errors import InputWarning
from phaseloom.simulate import measure, nvpf_references, particle, sparse_energies
from phaseloom.stxm.references.energy_shift import EnergyShift, fit_energy_shift

CONDITIONS = (
    "3000 counts",
    "1000 counts",
    "300 counts",
    "8 % stray light",
    "twice as thick, 8 % stray light",
    "substrate 0.5",
    "0.7 px drift left in",
    "I0 4 % off",
    "I0 1 % off, every frame by itself",
    "one frame's I0 30 % off",
    "one phase present",
    "two phases present",
    "two references lacking",
    "phases between the references",
    "references distorted by 3 %",
    "references with 1 % noise",
)


def between(
    first: xr.DataArray, second: xr.DataArray, window: tuple[float, float] = (513.0, 521.0)
) -> xr.DataArray:
    """A transition phase: its edge lies half-way, which is no mixture of its neighbours."""
    energy = first["energy"].to_numpy()
    edge = (energy > window[0]) & (energy < window[1])

    def centre(spectrum: xr.DataArray) -> float:
        peak = spectrum.to_numpy()[edge] - spectrum.to_numpy()[edge].min()
        return float((peak * energy[edge]).sum() / peak.sum())

    half = (centre(second) - centre(first)) / 2
    moved = [
        np.interp(energy - half, energy, first.to_numpy()),
        np.interp(energy + half, energy, second.to_numpy()),
    ]
    return first.copy(data=np.mean(moved, axis=0))


def fit_one(condition: str, seed: int, size: int) -> tuple[EnergyShift, float, float]:
    """Simulate one stack under a condition; the fit, the true shift, the seconds."""
    rng = np.random.default_rng(seed)
    true = float(rng.uniform(-0.5, 0.5))
    present, known = nvpf_references(), nvpf_references()
    share = np.ones(len(present))
    options = {"counts": float(condition.partition(" ")[0])} if condition.endswith("counts") else {}
    if "stray" in condition:
        options["stray_light"] = 0.08
    if "substrate" in condition:
        options["substrate"] = 0.5
    if "drift" in condition:
        options["drift"] = 0.7
    if "one phase" in condition:
        share = np.eye(5)[seed % 5]
    if "two phases" in condition:
        share[rng.choice(5, 3, replace=False)] = 0
    if "lacking" in condition:
        known = known[::2]
    if "between" in condition:
        present = [between(present[k], present[k + 1]) for k in range(4)]
        share = np.ones(4)
    if "distorted" in condition:
        smooth = ndimage.gaussian_filter1d(rng.standard_normal((5, known[0].size)), 10.0, axis=1)
        known = [r * (1 + 0.03 * n / n.std()) for r, n in zip(known, smooth, strict=True)]
    if "noise" in condition:
        known = [r + rng.normal(0, 0.01, r.size) for r in known]

    names = [str(r.name) for r in present]
    sample = particle(
        names, share, shape=(size, size), n_grains=max(20, size**2 // 1600), seed=seed
    )
    if "thick" in condition:
        sample["thickness"] = 2 * sample["thickness"]
    stack, truth = measure(
        sample, present, sparse_energies(), energy_shift=true, seed=seed, **options
    )
    inside = truth["phase"].to_numpy() >= 0
    empty = ~ndimage.binary_dilation(inside, iterations=12)
    counts = stack["counts"].astype(float)
    i0 = counts.to_numpy()[:, empty].mean(axis=1)
    if "4 %" in condition:
        i0 *= 1.04
    if "every frame" in condition:
        i0 *= 1 + rng.normal(0, 0.01, i0.size)
    if "one frame" in condition:
        i0[rng.integers(2, i0.size - 2)] *= 1.3
    density = -np.log(np.maximum(counts, 0.5) / xr.DataArray(i0, dims="energy"))
    mask = ndimage.binary_erosion(inside, iterations=2)

    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        fit = fit_energy_shift(density, known, mask=mask, i0=i0, seed=seed)
    return fit, true, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--condition", choices=CONDITIONS, action="append")
    asked = parser.parse_args()
    print(f"{'':36s}   bias    rms    max  error (meV)  rms pull   χ²    applied  s")
    for condition in asked.condition or CONDITIONS:
        runs = [fit_one(condition, seed, asked.size) for seed in range(asked.seeds)]
        off = np.array([fit.shift - true for fit, true, _ in runs]) * 1e3
        error = np.array([fit.error for fit, _, _ in runs]) * 1e3
        print(
            f"{condition:36s} {off.mean():6.1f} {np.sqrt((off**2).mean()):6.1f} "
            f"{np.abs(off).max():6.1f} {np.median(error):8.1f} "
            f"{np.sqrt(((off / error) ** 2).mean()):11.2f} "
            f"{np.mean([fit.chi2 for fit, _, _ in runs]):8.2f} "
            f"{np.mean([fit.significant for fit, _, _ in runs]):6.2f} "
            f"{np.mean([seconds for _, _, seconds in runs]):6.2f}"
        )


if __name__ == "__main__":
    main()
