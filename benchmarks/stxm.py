"""How right, how fast and how large the STXM chain is: writes benchmarks/STXM.md.

python benchmarks/stxm.py [accuracy] [readings] [quantities] [latent] [speed] [memory]
    (all by default)

Everything runs on simulated stacks of known truth. "speed" and "memory" run each chain in a
process of its own on two threads; memory is that process's peak resident set.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections import UserDict
from pathlib import Path

import numpy as np
import xarray as xr

import phaseloom
from phaseloom.io.export.nexus import write_nxstxm
from phaseloom.simulate import measure, nvpf_references, particle, sparse_energies
from phaseloom.stxm import map_phases
from phaseloom.workflow.stxm.demo import score
from stxm_quantities import quantities

HERE = Path(__file__).parent
REFERENCES = nvpf_references()
LABELS = [str(r.name) for r in REFERENCES]
SEEDS = (1, 2, 3)

CONDITIONS: dict[str, tuple[dict[str, float], dict[str, object]]] = {
    "1000 counts": ({"counts": 1000}, {}),
    "3000 counts": ({"counts": 3000}, {}),
    "10 000 counts": ({"counts": 10000}, {}),
    "0.15 eV, fitted": ({"energy_shift": 0.15}, {}),
    "0.15 eV left in": ({"energy_shift": 0.15}, {"shift": 0.0}),
    "8 % stray light": ({"stray_light": 0.08}, {}),
    "0.7 px drift, aligned": ({"drift": 0.7}, {}),
    "0.7 px drift left in": ({"drift": 0.7}, {"align": False}),
    "all of it, corrected": (
        {"energy_shift": 0.15, "stray_light": 0.08, "drift": 0.7, "counts": 1000},
        {},
    ),
}


def simulated(size: int, seed: int, **options: float) -> tuple[xr.Dataset, xr.Dataset]:
    sample = particle(LABELS, [1] * 5, shape=(size, size), margin=24, seed=seed)
    return measure(sample, REFERENCES, sparse_energies(), seed=seed, **options)


def accuracy(size: int = 512) -> str:
    lines = [
        "| condition | GMVAE all / ambiguous / mixed | Pearson all / ambiguous / mixed "
        "| likelihood + smooth 2.5 | shift error (eV) | drift rms (px) |",
        "|---|---|---|---|---|---|",
    ]
    for label, (physics, options) in CONDITIONS.items():
        rows = []
        for seed in SEEDS:
            stack, truth = simulated(size, seed, **physics)
            found = {
                how: score(
                    map_phases(stack, REFERENCES, seed=seed, resolve=how, **options, **more)[
                        "stxm/stack"
                    ].to_dataset(),
                    truth,
                )
                for how, more in (("gmvae", {}), ("likelihood", {"smooth": 2.5}))
            }
            latent, likely = found["gmvae"], found["likelihood"]
            groups = ("all", "ambiguous", "mixed")
            rows.append(
                [latent[g] for g in groups]
                + [latent[f"pearson_{g}"] for g in groups]
                + [likely[g] for g in groups]
                + [abs(latent["energy_shift_error"]), latent.get("drift_rms", np.nan)]
            )
            sys.stderr.write(f"{label} {seed} {np.round(rows[-1], 4).tolist()}\n")
        m = np.median(rows, axis=0)
        three = [" / ".join(f"{v:.3f}" for v in m[i : i + 3]) for i in (0, 3, 6)]
        lines.append(f"| {label} | {' | '.join(three)} | {m[9]:.4f} | {m[10]:.3f} |")
    return f"### Accuracy ({size}², 24 energies, median of {len(SEEDS)} seeds)\n\n" + "\n".join(
        lines
    )


def spoiled(counts: np.ndarray, how: str, seed: int) -> np.ndarray:
    """Counts (energy, y, x) of which 3 % are no readings."""
    values = counts.astype(np.float32)
    rng = np.random.default_rng(seed)
    n, ny, nx = values.shape
    if how in ("single NaN", "all of these"):
        values[rng.random(values.shape) < (0.03 if how == "single NaN" else 0.01)] = np.nan
    if how in ("single zeros", "all of these"):
        values[rng.random(values.shape) < (0.03 if how == "single zeros" else 0.007)] = 0
    if how in ("lost lines", "all of these"):
        values[rng.random((n, ny)) < (0.03 if how == "lost lines" else 0.007)] = 0
    if how in ("a block of lines in a frame", "all of these"):
        part = 0.03 if how.startswith("a block") else 0.006
        rows = int(0.4 * ny)
        for e in rng.choice(n, max(1, round(part * n * ny / rows)), replace=False):
            start = int(rng.integers(0, ny - rows))
            values[e, start : start + rows] = rng.poisson(20, (rows, nx))
    if how == "rows to and fro, 2 px":
        values[:, 1::2] = np.roll(values[:, 1::2], 2, axis=2)
    return values


def readings(size: int = 256) -> str:
    """What unusable readings and an uneven beam cost, against the same stack without them."""
    kinds = (
        "none",
        "single NaN",
        "single zeros",
        "lost lines",
        "a block of lines in a frame",
        "all of these",
        "rows to and fro, 2 px",
        "uneven beam, flats",
    )
    found: dict[str, list[list[float]]] = {kind: [] for kind in kinds}
    for seed in SEEDS:
        stack, truth = simulated(size, seed, counts=3000, drift=0.5)
        for kind in kinds:
            i0: object = "auto"
            values = spoiled(stack["counts"].to_numpy(), kind, seed)
            if kind == "uneven beam, flats":
                values, i0 = uneven(stack, truth, seed)
            each = stack.assign(counts=(stack["counts"].dims, values, stack["counts"].attrs))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                maps = map_phases(each, REFERENCES, i0=i0, seed=seed, resolve="gmvae")[
                    "stxm/stack"
                ].to_dataset()
            scores = score(maps, truth)
            found[kind].append([covered(maps, truth), scores["all"], scores["drift_rms"]])
            sys.stderr.write(f"{kind} {seed} {np.round(found[kind][-1], 4).tolist()}\n")
    plain = np.array(found["none"])
    lines = [
        "| 3 % of the readings | particle mapped | lost against none | right phases "
        "| lost against none | drift rms (px) |",
        "|---|---|---|---|---|---|",
    ]
    for kind, rows in found.items():
        m, change = np.mean(rows, axis=0), np.mean(plain - np.array(rows), axis=0)
        lines.append(
            f"| {kind} | {m[0]:.2%} | {change[0]:+.2%} | {m[1]:.2%} | {change[1]:+.2%} "
            f"| {m[2]:.3f} |"
        )
    return (
        f"### Unusable readings ({size}², 24 energies, 3000 counts, 0.5 px drift, GMVAE, mean of "
        f"{len(SEEDS)} seeds)\n\n" + "\n".join(lines)
    )


def uneven(stack: xr.Dataset, truth: xr.Dataset, seed: int) -> tuple[np.ndarray, xr.Dataset]:
    """Counts under a beam that falls to a third, with flats at every other energy."""
    ny, nx = stack.sizes["y"], stack.sizes["x"]
    y, x = np.mgrid[:ny, :nx] / max(ny, nx)
    beam = 0.4 + np.exp(-((y - 0.4) ** 2 + (x - 0.6) ** 2) / 0.15)
    beam /= beam.mean()
    rng = np.random.default_rng(seed)
    counts = rng.binomial(stack["counts"].to_numpy(), np.minimum(1.0, beam / beam.max()))
    energy = stack["energy"].to_numpy()
    flats = np.union1d(np.arange(0, energy.size, 2), energy.size - 1)
    level = truth["i0"].to_numpy()[flats, None, None] * (beam / beam.max())
    return counts.astype(np.float32), xr.Dataset(
        {"intensity": (("flat", "y", "x"), rng.poisson(level).astype(np.float32))},
        coords={"energy": ("flat", energy[flats])},
        attrs={"source": "flats"},
    )


def covered(maps: xr.Dataset, truth: xr.Dataset) -> float:
    """Part of the true particle, within the field mapped, that is mapped."""
    residual = {
        a: float((maps[f"shift_{a}"] - truth[f"shift_{a}"]).mean()) if f"shift_{a}" in maps else 0.0
        for a in ("y", "x")
    }
    at = {}
    for a, offset in residual.items():
        true = truth[a].to_numpy()
        places = maps[a].to_numpy() + offset * (true[1] - true[0])
        at[a] = np.abs(true[None] - places[:, None]).argmin(axis=1)
    inside = truth["phase"].to_numpy()[np.ix_(at["y"], at["x"])] >= 0
    return float(maps["mask"].to_numpy()[inside].mean())


def latent(size: int = 256, seeds: int = 20) -> str:
    from sklearn.metrics import adjusted_rand_score

    stack, truth = simulated(size, 1)
    maps, failed = [], 0
    for seed in range(seeds):
        result = map_phases(stack, REFERENCES, seed=seed)["stxm/stack"].to_dataset()
        labels = result["phase"].to_numpy()
        inside = result["mask"].to_numpy()
        failed += int(len(np.unique(labels[inside & (labels >= 0)])) < 5)
        maps.append(labels[inside])
        sys.stderr.write(f"latent {seed} {score(result, truth)['all']:.4f}\n")
    agreement = [
        adjusted_rand_score(maps[i], maps[j]) for i in range(seeds) for j in range(i + 1, seeds)
    ]
    return (
        f"### Latent space ({size}², {seeds} seeds of the network)\n\n"
        f"Runs with an empty component: {failed} of {seeds}. Agreement of the labels between seeds "
        f"(adjusted Rand index): median {np.median(agreement):.4f}, lowest {np.min(agreement):.4f}."
    )


def speed() -> str:
    stack, _ = simulated(512, 1, drift=0.5, energy_shift=0.15)
    lines = ["| resolve | runs (s) | median (s) |", "|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        file = write_nxstxm(Path(folder) / "stack.hdf5", stack)
        for how in ("pearson", "likelihood", "gmvae"):
            runs = [_child(file, how)["seconds"] for _ in range(3)]
            text = ", ".join(f"{t:.1f}" for t in runs)
            lines.append(f"| {how} | {text} | {np.median(runs):.1f} |")
    return "### Speed of the chain (512² × 24, file to maps, two threads)\n\n" + "\n".join(lines)


def memory(size: int = 2048, energies: int = 120) -> str:
    sample = particle(LABELS, [1] * 5, shape=(size, size), margin=8, seed=1)
    grid = np.linspace(506, 545, energies)
    stack, _ = measure(sample, REFERENCES, grid, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        file = write_nxstxm(Path(folder) / "stack.hdf5", stack)
        del stack, sample
        found = _child(file, "gmvae")
    return (
        f"### Memory\n\n{size}² × {energies}, file to maps with everything on: "
        f"{found['peak_gib']:.2f} GiB at most, {found['seconds']:.0f} s."
    )


def _child(file: Path, how: str) -> dict[str, float]:
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, __file__, "--child", str(file), how],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    found: dict[str, float] = json.loads(done.stdout)
    sys.stderr.write(f"{how} {found}\n")
    return found


class _Files(UserDict):
    """Stacks read when asked for, as ``phaseloom stxm`` does."""

    def __getitem__(self, name: str) -> xr.Dataset:
        return phaseloom.read(self.data[name])


def _chain(file: str, how: str) -> None:
    start = time.perf_counter()
    map_phases(_Files(stack=file), REFERENCES, resolve=how)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    sys.stdout.write(json.dumps({"seconds": seconds, "peak_gib": peak}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        _chain(*sys.argv[2:4])
        sys.exit()
    sections = {
        "accuracy": accuracy,
        "readings": readings,
        "quantities": quantities,
        "latent": latent,
        "speed": speed,
        "memory": memory,
    }
    kept = HERE / "STXM.md"
    texts = dict.fromkeys(sections, "")
    if kept.exists():
        blocks = kept.read_text(encoding="utf-8").split("<!-- ")[1:]
        texts |= {b.split(" -->", 1)[0]: b.split(" -->", 1)[1].strip() for b in blocks}
    for section in sys.argv[1:] or sections:
        texts[section] = sections[section]()
        body = "\n\n".join(f"<!-- {name} -->\n{text}" for name, text in texts.items() if text)
        kept.write_text(f"# STXM benchmark\n\n{body}\n", encoding="utf-8")
    sys.stdout.write(kept.read_text(encoding="utf-8"))
