"""How right the edge's quantities, the shares and their errors are: a section of STXM.md.

Edges: the definition applied to the spectrum without noise at steps of 0.001 eV is the truth. The
spectra are simulated K edges (arctangent, white line, pre-edge peak), measured Mn K edges of four
oxides (data folder, left out without it) and the simulated V L and O K edges of five phases.
Shares: whole maps of simulated particles, whose truth knows the blurred shares of every pixel.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.interpolate import Akima1DInterpolator

from phaseloom.io import read_references
from phaseloom.simulate import (
    dense_energies,
    measure,
    nvpf_references,
    particle,
    sparse_energies,
)
from phaseloom.stxm import edge_quantities, map_phases

Array = NDArray[np.float64]

PIXELS = 4000
COUNTS = (1000, 3000, 10_000)
DATA = Path(os.environ.get("PHASELOOM_DATA", Path(__file__).parents[2] / "shared" / "data"))


def quantities() -> str:
    """The section: edges, then shares."""
    return "\n\n".join(
        [
            f"### Edge and shares ({PIXELS} pixels a spectrum; 128² a map)",
            "Error: largest of the mean errors of the spectra. Scatter: median standard deviation "
            "of a pixel. Pulls: scatter over the standard error said, smallest and largest.",
            edges(),
            shares(),
        ]
    )


def edges() -> str:
    lines = [
        "| spectra | energies | counts | edge position: error (eV) | scatter (eV) | pulls "
        "| white line: pulls | jump, height, centroid: pulls | determined |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for label, steps, energy, spectra, fine in _cases():
        for counts in COUNTS:
            found = edge_quantities(_prepared(energy, spectra, counts))
            clean = edge_quantities(_prepared(energy, spectra, 0))
            (b0, b1), (a0, a1) = found.attrs["edge_before"], found.attrs["edge_after"]
            before = spectra[:, (energy >= b0) & (energy <= b1)].mean(axis=1)
            after = spectra[:, (energy >= a0) & (energy <= a1)].mean(axis=1)
            half = 0.5 * (before + after)
            grid = fine[0]
            reached = (fine[1] > half[:, None]) & (grid > b1)
            error = found["edge_position"].mean("x") - grid[reached.argmax(axis=1)]
            pulls = {
                name: ((found[name] - clean[name].isel(x=0)) / found[f"{name}_error"]).std("x")
                for name in ("edge_position", "white_line", "edge_jump", "white_line_height",
                             "centroid")
            }  # fmt: skip
            others = [pulls[n].to_numpy() for n in ("edge_jump", "white_line_height", "centroid")]
            determined = found["edge_position"].notnull().mean().item()
            lines.append(
                f"| {label} | {steps} | {counts} | {np.abs(error).max().item():.3f} "
                f"| {found['edge_position'].std('x').median().item():.3f} "
                f"| {_range(pulls['edge_position'].to_numpy())} "
                f"| {_range(pulls['white_line'].to_numpy())} | {_range(np.concatenate(others))} "
                f"| {determined:.1%} / {found['white_line'].notnull().mean().item():.0%} |"
            )
            sys.stderr.write(lines[-1] + "\n")
    return "\n".join(lines)


def shares(size: int = 128) -> str:
    lines = [
        "| phases | counts | resolve | error of a share (rms) | error over standard error (rms "
        "over rms) | pulls of shares uncertain by 0.01 or more (rms) |",
        "|---|---|---|---|---|---|",
    ]
    for chosen in ((0, 2, 4), (0, 1, 2, 3, 4)):
        references = [nvpf_references()[p] for p in chosen]
        names = [str(r.name) for r in references]
        sample = particle(names, [1] * len(names), shape=(size, size), n_grains=14, seed=2)
        for counts in COUNTS:
            stack, truth = measure(sample, references, sparse_energies(), counts=counts, seed=2)
            for how in ("likelihood", "gmvae"):
                maps = map_phases(stack, references, resolve=how, align=False)["stxm/stack"]
                inside = maps["mask"].to_numpy() & (maps["phase"].to_numpy() >= 0)
                inside &= truth["phase"].to_numpy() >= 0
                error = (maps["abundance"].to_numpy() - truth["abundance"].to_numpy())[:, inside]
                said = maps["abundance_error"].to_numpy()[:, inside]
                uncertain = said > 0.01
                pull = _rms(error[uncertain] / said[uncertain])
                lines.append(
                    f"| {len(names)} | {counts} | {how} | {_rms(error):.3f} "
                    f"| {_rms(error) / _rms(said):.2f} | {pull:.2f} |"
                )
                sys.stderr.write(lines[-1] + "\n")
    return "\n".join(lines)


def _cases() -> Iterator[tuple[str, str, Array, Array, tuple[Array, Array]]]:
    """Label, steps, energies, spectra (spectrum, energy), and both at 0.001 eV."""
    grid = np.arange(7080.0, 7200.0, 1e-3)
    for step in (0.5, 1.0, 2.0):
        energy = np.r_[7090:7110:5, 7110:7140:step, 7140:7200:5]
        yield (
            "K edge, simulated", f"{step:g} eV", energy,
            np.stack([_k_edge(energy, s) for s in (0.0, 0.7, 2.0)]),
            (grid, np.stack([_k_edge(grid, s) for s in (0.0, 0.7, 2.0)])),
        )  # fmt: skip
    folder = DATA / "xas_references" / "Mn"
    if folder.is_dir():
        grid = np.arange(6521.0, 6620.0, 1e-3)
        oxides = [_oxide(folder / f"{n}_rt_01.xdi") for n in ("MnO", "Mn3O4", "Mn2O3", "MnO2")]
        for step in (0.5, 1.0):
            energy = np.r_[6521:6533:4, 6533:6573:step, 6573:6620:5]
            yield (
                "Mn K of four oxides, measured", f"{step:g} eV", energy,
                np.stack([oxide(energy) for oxide in oxides]),
                (grid, np.stack([oxide(grid) for oxide in oxides])),
            )  # fmt: skip
    phases = [Akima1DInterpolator(r["energy"], r) for r in nvpf_references()]
    grid = np.arange(505.0, 558.0, 1e-3)
    for label, energy in (("24", sparse_energies()), ("161", dense_energies())):
        yield (
            "V L and O K, simulated", label, energy,
            np.stack([phase(energy) for phase in phases]),
            (grid, np.stack([phase(grid) for phase in phases])),
        )  # fmt: skip


def _k_edge(energy: Array, shift: float) -> Array:
    x = energy - 7120 - shift
    line = 0.4 * np.exp(-0.5 * ((x - 6.5) / 2.6) ** 2)
    peak = 0.03 * np.exp(-0.5 * ((x + 7) / 1.2) ** 2)
    return np.asarray(0.6 + np.arctan(x / 1.2) / np.pi + line + peak)


def _oxide(file: Path) -> Akima1DInterpolator:
    (spectrum,) = read_references(file)
    energy, absorption = spectrum["energy"].to_numpy(), spectrum.to_numpy()
    low = absorption[(energy > 6505) & (energy < 6530)].mean()
    high = absorption[(energy > 6600) & (energy < 6620)].mean()
    return Akima1DInterpolator(energy, 0.1 + (absorption - low) / (high - low))


def _prepared(energy: Array, spectra: Array, counts: float) -> xr.Dataset:
    """Optical density, a row of pixels per spectrum; without noise for no counts."""
    rng = np.random.default_rng(1)
    density = np.repeat(spectra[:, :, None], PIXELS if counts else 1, axis=2)
    if counts:
        density = -np.log(np.maximum(rng.poisson(counts * np.exp(-density)), 0.5) / counts)
    return xr.Dataset(
        {
            "optical_density": (("energy", "y", "x"), density.transpose(1, 0, 2)),
            "mask": (("y", "x"), np.ones(density.shape[::2], dtype=bool)),
            "baseline": (("y", "x"), np.zeros(density.shape[::2])),
            "i0": ("energy", np.full(energy.size, counts or 1e12)),
        },
        coords={"energy": energy},
        attrs={"quantity": "counts"},
    )


def _range(values: Array) -> str:
    finite = values[np.isfinite(values)]
    return f"{finite.min():.2f}–{finite.max():.2f}" if finite.size else "–"


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


if __name__ == "__main__":
    sys.stdout.write(quantities() + "\n")
