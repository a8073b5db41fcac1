"""Is what phaseloom says of its peaks true? False alarms, precision, errors, bytes, memory.

python benchmarks/peak_statistics.py [noise] [bound] [pulls] [bytes] [memory]    (all by default)

Simulated truth only, phaseloom with its defaults; fills in RESULTS.md.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from peak_scoring import match, paired
from peak_truths import MIDDLE, cramer_rao, isolated, noise, off_middle, radial
from peaks import workload
from phaseloom_peaks import phaseloom_peaks
from results import write_section

LEVELS = (0.05, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0, 1000.0)
COUNTS = (100.0, 1e3, 1e4, 1e5)
SIGMAS = (1.0, 2.4, 6.0)
BACKGROUNDS = (0.05, 1.0, 10.0)


def false_alarms(batch: int = 900, batches: int = 1, stated: float = 0.1) -> str:
    lines = [
        "| counts/px | flat: false peaks per pattern | ÷ stated | steep radial | ÷ stated |",
        "|---|---|---|---|---|",
    ]
    n = batch * batches
    for level in LEVELS:
        cells = [f"{level:g}"]
        for steep in (False, True):
            expected = radial(level, steep=steep)
            total = 0
            for seed in range(batches):
                found = phaseloom_peaks(noise(expected, batch, seed=seed), false_alarms=stated)
                total += int(off_middle(found["row"], found["column"]).sum())
            low, high = chi2.ppf(0.025, 2 * total) / 2, chi2.ppf(0.975, 2 * total + 2) / 2
            low = 0.0 if total == 0 else low
            cells += [
                f"{total / n:.4f} ({low / n:.4f}–{high / n:.4f})",
                f"{total / n / stated:.2f}",
            ]
        lines.append(f"| {' | '.join(cells)} |")
        sys.stderr.write(lines[-1] + "\n")
    return "\n".join(
        [
            "### False alarms on pure noise",
            "",
            f"Stated: {stated:g} per pattern. {n} patterns of 256² each; in brackets the 95 % "
            "interval that counting allows. Steep: half of the level flat, half exp(−r / 12 px). "
            "There are no spots in these patterns, no direct beam either; the middle "
            f"({MIDDLE:.0f} px), where that background has its summit, is left out.",
            "",
            *lines,
        ]
    )


def found_spots(
    counts: float, sigma: float, background: float, n: int, seed: int
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], float]:
    """Errors (k, 3), stated errors, bounds of the spots found; the share found."""
    made = isolated(counts, sigma, background, n=n, seed=seed)
    found = phaseloom_peaks(made.patterns)
    wrong, stated, true = [], [], []
    for i in range(n):
        rows = slice(found["offset"][i], found["offset"][i + 1])
        here = np.stack([found["row"][rows], found["column"][rows]], axis=1)
        a, b, _ = paired(here, made.position[i])
        a, b = a[b > 0], b[b > 0]
        value = np.column_stack([here[a], found["intensity"][rows][a]])
        truth = np.column_stack([made.position[i][b], np.full(len(b), counts)])
        wrong.append(value - truth)
        errors = ("row_error", "column_error", "intensity_error")
        stated.append(np.stack([found[c][rows][a] for c in errors], axis=1))
        true.append(made.position[i][b])
    bound = cramer_rao(made.position[:, 1:], counts, sigma, background)
    kept = np.concatenate(true)
    return (
        np.concatenate(wrong),
        np.concatenate(stated),
        bound.reshape(-1, 3),
        kept,
        len(kept) / bound[..., 0].size,
    )


def conditions() -> Iterator[tuple[float, float, float]]:
    for sigma in SIGMAS:
        for background in BACKGROUNDS:
            for counts in COUNTS:
                if counts / (2 * np.pi * sigma**2) < 60000:
                    yield sigma, background, counts


def bound(n: int = 128) -> str:
    lines = [
        "| σ (px) | background | " + " | ".join(f"{c:g}" for c in COUNTS) + " |",
        "|---|---|" + "---|" * len(COUNTS),
    ]
    pulls = []
    cells: dict[tuple[float, float], list[str]] = {}
    for sigma, background, counts in conditions():
        wrong, stated, least, _, share = found_spots(counts, sigma, background, n, seed=7)
        text = "–"
        if share > 0.02:
            rms = np.sqrt((wrong[:, :2] ** 2).mean())
            ratio = rms / np.sqrt((least[:, :2] ** 2).mean())
            text = f"{ratio:.2f}" if share > 0.9 else f"({ratio:.2f}, {share:.0%} found)"
        if share > 0.9:
            pulls.append((sigma, background, counts, *pull_figures(wrong / stated)))
        cells.setdefault((sigma, background), []).append(text)
        sys.stderr.write(f"{sigma} {background} {counts} {text} found {share:.2f}\n")
    lines += [f"| {s:g} | {b:g} | {' | '.join(c)} |" for (s, b), c in cells.items()]
    worst = [
        "",
        "Pulls of the same spots, (found − true) / stated error, where nine in ten are found:",
        "",
        "| σ (px) | background | counts | row: mean, sigma | column: mean, sigma "
        "| intensity: mean, sigma |",
        "|---|---|---|---|---|---|",
    ]
    for sigma, background, counts, mean, spread, _ in pulls:
        three = " | ".join(f"{m:+.2f}, {s:.2f}" for m, s in zip(mean, spread, strict=True))
        worst.append(f"| {sigma:g} | {background:g} | {counts:g} | {three} |")
    return "\n".join(
        [
            "### Position of isolated spots: rms over the Cramér–Rao bound",
            "",
            f"Columns: counts of the spot. {n * 8} Gaussian spots per cell on a flat background, "
            "85 px from a direct beam; rms per axis of all spots found, nothing clipped; bound "
            "with position and counts unknown, sigma and background known (phaseloom is told "
            "neither). In brackets: fewer than nine in ten were found, so chance chose them.",
            "",
            *lines,
            *worst,
        ]
    )


def pull_figures(pull: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Mean, standard deviation and robust standard deviation of each column."""
    pull = pull[np.isfinite(pull).all(axis=1)]
    middle = np.median(pull, axis=0)
    robust = 1.4826 * np.median(np.abs(pull - middle), axis=0)
    return pull.mean(axis=0), pull.std(axis=0), robust


def pulls(n: int = 512) -> str:
    lines = [
        "| workload | spots | quantity | mean | sigma | robust sigma |",
        "|---|---|---|---|---|---|",
    ]
    for kind in ("au", "lfp"):
        for dose in ("low", "mid", "high"):
            patterns, truth = workload(kind, dose, n, seed=1)
            found = phaseloom_peaks(patterns)
            position = np.stack([found["row"], found["column"]], axis=1)
            m = match(truth, found["offset"], position)
            of = np.isfinite(m.distance)
            spot = m.spot[of]
            truths = [*truth.position[spot].T, truth.counts[spot]]
            pull = np.stack(
                [
                    (found[name][of] - t) / found[f"{name}_error"][of]
                    for name, t in zip(("row", "column", "intensity"), truths, strict=True)
                ],
                axis=1,
            )
            figures = zip(*pull_figures(pull), strict=True)
            for name, f in zip(("row", "column", "intensity"), figures, strict=True):
                numbers = " | ".join(f"{v:.2f}" for v in f)
                lines.append(f"| {kind} {dose} | {of.sum()} | {name} | {numbers} |")
                sys.stderr.write(lines[-1] + "\n")
    return "\n".join(
        [
            "### Are the stated errors right? Pulls on the benchmark's scans",
            "",
            "(found − true) / stated error of all visible spots found, overlapping ones too.",
            "",
            *lines,
        ]
    )


def command(file: Path, out: Path, name: str = "peaks", *options: str) -> tuple[float, float]:
    """Run ``phaseloom NAME`` in a process of its own: seconds, peak resident memory in GB."""
    program = Path(sys.executable).with_name("phaseloom")
    argv = [str(program), name, str(file), "--out", str(out), "--quiet", *options]
    start = time.perf_counter()
    code = (
        "import json, resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], stdout=sys.stderr)\n"
        "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\n"
        "print(json.dumps([done.returncode, peak]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *argv], capture_output=True, text=True, check=True
    )
    failed, peak = json.loads(done.stdout)
    if failed:
        sys.stderr.write(done.stderr)
        raise SystemExit(f"phaseloom {name} failed")
    return time.perf_counter() - start, peak * 2**10 / 1e9


def stored(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


def in_out(n: int = 1024, spots: int = 50, size: int = 512) -> str:
    rng = np.random.default_rng(3)
    grid = np.arange(size)
    patterns = np.empty((n, size, size), np.uint16)
    background = radial(1.0, size)
    for i in range(n):
        position = np.vstack([[size / 2, size / 2], rng.uniform(20, size - 20, (spots, 2))])
        counts = np.append(2e4, rng.lognormal(7.0, 1.0, spots))
        rows, columns = (
            np.exp(-0.5 * ((grid - position[:, axis, None]) / 3.0) ** 2) for axis in (0, 1)
        )
        expected = (rows * (counts / (2 * np.pi * 9.0))[:, None]).T @ columns + background
        patterns[i] = rng.poisson(expected)
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder) / "scan.npy", Path(folder) / "out"
        np.save(file, patterns.reshape(32, -1, size, size))
        command(file, out)
        group = next(out.rglob("results.zarr")) / "peaks"
        kept = stored(group) - stored(group / "sample") - stored(group / "density")
        whole = stored(out)
        import zarr

        found = zarr.open_group(group, mode="r")["ky"].shape[0] / n
    into = patterns.nbytes / n
    return (
        f"### Bytes\n\n{n} patterns of {size}² 16-bit, {spots} spots and the direct beam each "
        f"({found:.1f} found): {into:.0f} bytes per pattern in, {kept / n:.0f} out (the group "
        f"`/peaks` on disk with all errors and maps), **{into * n / kept:.0f} times fewer**; the "
        f"whole results folder {whole / n:.0f} bytes per pattern."
    )


def memory(gigabytes: float = 30.0, filled: float = 1.0) -> str:
    patterns, _ = workload("lfp", "mid", 256, seed=1)
    side = int(np.sqrt(gigabytes * 1e9 / patterns[0].nbytes))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scan.npy"
        with file.open("wb") as stream:
            header = {"descr": "<u2", "fortran_order": False, "shape": (side, side, 256, 256)}
            np.lib.format.write_array_header_1_0(stream, header)
            start = stream.tell()
            stream.truncate(start + side * side * patterns[0].nbytes)
            row = np.resize(np.arange(len(patterns)), side)
            for y in np.linspace(0, side - 1, max(1, int(filled * side))).astype(int):
                stream.seek(start + int(y) * side * patterns[0].nbytes)
                stream.write(patterns[row].tobytes())
        seconds, peak = command(file, Path(folder) / "out")
    return (
        f"### Memory\n\n`phaseloom peaks` on {side}² patterns of 256² ({gigabytes:.0f} GB; one "
        f"scan row in {1 / filled:.0f} holds LiFePO₄ patterns, the others are empty frames): "
        f"{peak:.2f} GB at most, {seconds:.0f} s."
    )


SECTIONS = {
    "noise": false_alarms,
    "bound": bound,
    "pulls": pulls,
    "bytes": in_out,
    "memory": memory,
}

if __name__ == "__main__":
    for section in sys.argv[1:] or SECTIONS:
        write_section(f"peak {section}", SECTIONS[section]())
