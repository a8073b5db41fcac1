"""How well the energy shift is found: bias, scatter, honesty of the error, seconds.

python benchmarks/energy_shift.py [--seeds 5] [--size 256] [--data DIR]

True shifts are drawn from ±4.8 eV (±1 eV where a phase is missing or of another species: there
none is to be applied). The measured maps are a STXM stack of iron in DIR (see CONTRIBUTING.md):
thicknesses of Fe(II) and Fe(III) fitted to it, times the measured spectra of its regions.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import xarray as xr
from scipy import ndimage

import phaseloom
from phaseloom.errors import InputWarning
from phaseloom.io.spectra import read_references
from phaseloom.simulate import measure, nvpf_references, particle, sparse_energies
from phaseloom.stxm.preparation.preparation import prepare
from phaseloom.stxm.references.energy_shift import EnergyShift, fit_energy_shift
from phaseloom.stxm.references.references import interpolator, sample_references

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
    "one phase missing",
    "one phase missing, no shift",
    "one of another species",
    "one of another species, no shift",
    "measured maps and references",
    "measured, uneven beam that drifts",
    "measured, uneven beam, 5 % stray light",
)

NOT_MIXED = (0, 2, 4)
"""References that are no mixture of the others: without the second or fourth nothing is lost."""


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


def species(like: xr.DataArray, rng: np.random.Generator) -> xr.DataArray:
    """A phase of another element or ligand: lines that have nothing to do with the others'."""
    energy = like["energy"].to_numpy()
    spectrum = 0.3 / (1 + np.exp(-(energy - 516) / 0.5))
    for _ in range(3):
        centre, width, height = rng.uniform(515, 519), rng.uniform(0.4, 1.2), rng.uniform(0.3, 1)
        for place, part in ((centre, 1.0), (centre + 7, 0.6)):
            spectrum += height * part * width**2 / ((energy - place) ** 2 + width**2)
    return like.copy(data=spectrum * float(like.max() / spectrum.max()))


def measured_maps(data: Path) -> tuple[list[xr.DataArray], np.ndarray]:
    """Spectra of two regions of a measured stack, and the thickness (phase, y, x) of each."""
    folder = data / "stxm_fe_l23_als" / "71214078_FigS4" / "Aligned"
    references = [
        read_references(folder / f"{name}.t", label=label)[0]
        for name, label in (("oxidized", "Fe(III)"), ("reduced", "Fe(II)"))
    ]
    incident = read_references(folder / "i0.xsp")[0]
    stack = prepare(phaseloom.read(folder / "71214078.hdr"), i0=incident, align=False)
    spectra = sample_references(references, stack["energy"].to_numpy()).to_numpy()
    design = np.vstack([spectra, np.ones(spectra.shape[1])]).T
    density = np.nan_to_num(stack["optical_density"].to_numpy(), posinf=3.0)
    fitted = np.linalg.lstsq(design, density.reshape(len(density), -1), rcond=None)[0]
    thickness = np.maximum(fitted[:2].reshape(2, *density.shape[1:]), 0.0)
    return references, thickness * stack["mask"].to_numpy()


def fit_measured(condition: str, seed: int, data: Path) -> tuple[EnergyShift, float, float]:
    """A stack counted anew from measured maps and references, its axis shifted."""
    rng = np.random.default_rng(seed)
    true = float(rng.uniform(-4.8, 4.8))
    references, thickness = measured_maps(data)
    own = references[0]["energy"].to_numpy()
    energy = own[(own > 705) & (own < 725)]
    spectra = interpolator(references)(energy - true)
    expected = np.exp(-np.tensordot(spectra.T, thickness, axes=1))
    stray = 0.05 if "stray" in condition else 0.0
    expected = (1 - stray) * expected + stray
    if "uneven" in condition:
        pattern = ndimage.gaussian_filter(rng.standard_normal((2, *thickness.shape[1:])), (0, 9, 9))
        pattern /= pattern.std(axis=(1, 2), keepdims=True)
        walk = np.cumsum(rng.standard_normal((energy.size, 2)), axis=0) / np.sqrt(energy.size)
        expected = expected * (1 + 0.01 * np.tensordot(walk, pattern, axes=1))
    counts = rng.poisson(5000 * expected).astype(float)
    inside = thickness.sum(axis=0) > 0
    empty = ~ndimage.binary_dilation(inside, iterations=3)
    i0 = counts[:, empty].mean(axis=1)
    density = xr.DataArray(
        -np.log(np.maximum(counts, 0.5) / i0[:, None, None]),
        dims=("energy", "y", "x"),
        coords={"energy": energy},
    )
    start = time.perf_counter()
    fit = fit_energy_shift(density, references, mask=inside, i0=i0, seed=seed)
    return fit, true, time.perf_counter() - start


def fit_one(condition: str, seed: int, size: int) -> tuple[EnergyShift, float, float]:
    """Simulate one stack under a condition; the fit, the true shift, the seconds."""
    rng = np.random.default_rng(seed)
    unlike = "missing" in condition or "species" in condition
    widest = 0.0 if "no shift" in condition else 1.0 if unlike else 4.8
    true = float(rng.uniform(-widest, widest))
    present, known = nvpf_references(), nvpf_references()
    share = np.ones(len(present))
    options = {"counts": float(condition.partition(" ")[0])} if condition.endswith("counts") else {}
    if "stray" in condition:
        options["stray_light"] = 0.08
    if "substrate" in condition:
        options["substrate"] = 0.5
    if "drift" in condition:
        options["drift"] = 0.7
    if "one phase present" in condition:
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

    if "missing" in condition:
        known.pop(NOT_MIXED[seed % len(NOT_MIXED)])
    if "species" in condition:
        present[seed % 5] = species(present[seed % 5], rng)

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
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    asked = parser.parse_args()
    print(f"{'':38s}   bias    rms    max  error (meV)  rms pull   χ²    applied  s")
    for condition in asked.condition or CONDITIONS:
        measured = "measured" in condition
        if measured and not (asked.data / "README.md").is_file():
            print(f"{condition:36s}   measured data absent: {asked.data}")
            continue
        runs = [
            fit_measured(condition, seed, asked.data)
            if measured
            else fit_one(condition, seed, asked.size)
            for seed in range(asked.seeds)
        ]
        off = np.array([fit.shift - true for fit, true, _ in runs]) * 1e3
        error = np.array([fit.error for fit, _, _ in runs]) * 1e3
        print(
            f"{condition:38s} {off.mean():6.1f} {np.sqrt((off**2).mean()):6.1f} "
            f"{np.abs(off).max():6.1f} {np.median(error):8.1f} "
            f"{np.sqrt(((off / error) ** 2).mean()):11.2f} "
            f"{np.mean([fit.chi2 for fit, _, _ in runs]):8.2f} "
            f"{np.mean([fit.significant for fit, _, _ in runs]):6.2f} "
            f"{np.mean([seconds for _, _, seconds in runs]):6.2f}"
        )


if __name__ == "__main__":
    main()
