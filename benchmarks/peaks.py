"""Peaks: phaseloom and its peers on the same simulated scans, in one run; fills in RESULTS.md.

python benchmarks/peaks.py [--patterns 1024] [--rounds 3] [--threads 2] [--only NAME ...]
    [--accuracy] [--dry]

Every program runs in a process and an environment of its own (benchmarks/environments.py), on the
same file of patterns; the rounds go through all programs in turn, so that what else the machine
does meets all of them alike. With ``--accuracy`` every program runs once and nothing is timed,
which fills a section of its own. Peers use the settings in peers/settings.json, which tune_peaks.py
found on a scan of another seed; phaseloom uses its defaults.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peak_scoring import CLOSE, RADIUS, SIGMA, Truth, chance, score
from peak_truths import bound_of_visible
from programs import command_line, run_script
from results import machine, publish

HERE = Path(__file__).parent
SETTINGS = HERE / "peers" / "settings.json"
KINDS = ("au", "lfp")
DOSES = {"low": 1 / 8, "mid": 1.0, "high": 8.0}
SEED = 1


@dataclass(frozen=True)
class Program:
    """One row of the table."""

    name: str
    runner: str
    mode: str
    tuned: str | None  # key in settings.json
    first: int | None = None  # on so many patterns: it is slow


PROGRAMS = (
    Program("phaseloom, defaults", "phaseloom", "defaults", None),
    Program("phaseloom, whole chain with its look at a sample", "phaseloom", "chain", None),
    Program("py4DSTEM `poly`", "py4dstem", "poly", "py4dstem"),
    Program("py4DSTEM `poly`, one process per core", "py4dstem", "poly2", "py4dstem"),
    Program("py4DSTEM `multicorr` ×16", "py4dstem", "multicorr", "py4dstem", 48),
    Program("quantem, best mode and batch", "quantem", "best", "quantem"),
    Program("quantem, all defaults", "quantem", "defaults", None, 16),
    Program("pyxem local_max + CoM", "pyxem", "local_max", "pyxem_local_max", 128),
    Program("pyxem DoG + CoM", "pyxem", "dog", "pyxem_dog", 96),
    Program("ePattern, its defaults", "epattern", "defaults", "epattern_defaults", 24),
    Program("ePattern, its README's settings", "epattern", "readme", "epattern_readme", 24),
    Program("ePattern, best of a sweep", "epattern", "readme", "epattern_best", 24),
    Program("scipy, 25 lines", "scipy", "dog", "scipy"),
)
REFERENCE = "phaseloom, defaults"


def workload(kind: str, dose: str, n: int, seed: int) -> tuple[NDArray[np.uint16], Truth]:
    """Patterns (n, 256, 256) with their spots."""
    from phaseloom.simulate import benchmark_patterns

    scan, spots = benchmark_patterns(kind, n, dose=DOSES[dose], seed=seed)
    names = ("offset", "row", "column", "counts", "visible", "counting_error")
    columns = {name: spots[name].to_numpy() for name in names}
    position = np.stack([columns.pop("row"), columns.pop("column")], axis=1)
    patterns = scan["counts"].to_numpy()
    return patterns.reshape(n, *patterns.shape[-2:]), Truth(position=position, **columns)


def run_peer(
    runner: str,
    mode: str,
    patterns: NDArray[Any] | Path,
    folder: Path,
    settings: Any,
    *,
    threads: int = 2,
    first: int | None = None,
    once: bool = False,
) -> dict[str, Any]:
    """Run a program's ``RUNNER_peaks.py`` in its environment; the arrays it wrote."""
    file = patterns
    if not isinstance(file, Path):
        file = folder / "patterns.npy"
        np.save(file, patterns)
    more: list[object] = ["--settings", json.dumps(settings)]
    more += ["--first", first] if first else []
    more += ["--once"] if once else []
    return run_script(runner, "peaks", file, mode, *more, threads=threads)


def result(out: dict[str, Any], i: int = 0) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Offset, position (n, 2) and strength that settings number ``i`` gave; finite ones only."""
    position = np.stack([out[f"{i}_row"], out[f"{i}_column"]], axis=1)
    good = np.isfinite(position).all(axis=1)
    offset = np.concatenate([[0], np.cumsum(good)])[out[f"{i}_offset"]]
    return offset, position[good], out[f"{i}_strength"][good]


def measure(
    kind: str,
    dose: str,
    programs: list[Program],
    n: int,
    rounds: int,
    threads: int,
    *,
    timed: bool = True,
) -> tuple[list[str], dict[str, str], str]:
    """Rows of the table for one workload, the programs' versions, the workload's own limits."""
    patterns, truth = workload(kind, dose, n, SEED)
    tuned = json.loads(SETTINGS.read_text(encoding="utf-8"))
    seconds: dict[str, list[float]] = {p.name: [] for p in programs}
    last: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "patterns.npy"
        np.save(file, patterns)
        for turn in range(rounds):
            for p in programs:
                settings = tuned[p.tuned][f"{kind} {dose}"] if p.tuned else {}
                out = run_peer(
                    p.runner,
                    p.mode,
                    file,
                    Path(folder),
                    settings,
                    threads=threads,
                    first=min(n, p.first) if p.first else None,
                    once=not timed,
                )
                last[p.name] = out
                seconds[p.name] += (out["0_seconds"] / (len(out["0_offset"]) - 1)).tolist()
                sys.stderr.write(f"{kind} {dose} {turn} {p.name}: {seconds[p.name]}\n")
    rate = {name: 1 / np.median(s) for name, s in seconds.items()}
    rows, versions = [], {}
    for p in programs:
        offset, position, _ = result(last[p.name])
        s = score(truth, offset, position)
        about = json.loads(str(last[p.name]["about"]))
        versions[p.runner] = about["version"]
        ratio = f"{rate[REFERENCE] / rate[p.name]:.1f}" if REFERENCE in rate else "–"
        speed = f"{rate[p.name]:.0f} | {ratio}" if timed else f"{len(offset) - 1}"
        memory = f" {about['peak_mb']:.0f} |" if timed else ""
        rows.append(
            f"| {kind} {dose} | {p.name} | {speed} | {s.recall:.3f} "
            f"| {s.precision:.3f} | {s.rms:.3f} | {s.close_recall:.2f} "
            f"| {s.false_per_pattern:.2f} |{memory}"
        )
    few = np.flatnonzero(truth.visible)[:2000]
    least = bound_of_visible(truth.counts[few], truth.counting_error[few])
    facts = f"{least:.3f} px and {chance(truth, patterns.shape[1:]):.3f} ({kind} {dose})"
    return rows, versions, facts


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--patterns", type=int, default=1024)
    parser.add_argument("--doses", nargs="+", choices=[*DOSES], default=[*DOSES])
    parser.add_argument("--accuracy", action="store_true", help="one run each, no times")
    given = parser.parse_args()
    timed = not given.accuracy
    programs = [p for p in PROGRAMS if not given.only or p.runner in given.only]
    lines, versions, limits = [], {}, []
    for kind in KINDS:
        for dose in given.doses:
            rows, used, facts = measure(
                kind, dose, programs, given.patterns, given.rounds if timed else 1,
                given.threads, timed=timed,
            )  # fmt: skip
            lines += rows
            versions |= used
            limits.append(facts)
    about = f"{machine()}; {given.threads} threads; {', '.join(versions.values())}. "
    text = section(lines, about, given.patterns, given.rounds, limits, timed=timed)
    publish("peaks" if timed else "peaks accuracy", text, dry=given.dry)


def section(
    lines: list[str], about: str, patterns: int, rounds: int, limits: list[str], *, timed: bool
) -> str:
    """Text and table for RESULTS.md, with the columns of times or without."""
    names = ["recall", "precision", "rms (px)", "recall of close pairs", "false peaks"]
    if timed:
        title = "## Peaks in 256² patterns"
        first, last = ["patterns/s", "phaseloom is faster by"], ["peak memory (MB)"]
        how = (
            f"{patterns} patterns (slow programs fewer), {rounds} rounds through all "
            "programs in turn, each a warm-up and three runs; medians. Seconds count the finding "
            "of peaks in an array in memory; peak memory is the process's with its libraries and "
            "the patterns. "
        )
    else:
        title = "### The same, accuracy alone"
        first, last = ["patterns"], []
        how = "One run of each program, not timed. "
    names = ["workload", "program", *first, *names, *last]
    return "\n".join(
        [
            title,
            "",
            f"{about}{how}"
            f"Paired within {RADIUS:.0f} px, one to one; precision counts a peak on a spot too "
            "weak to be called visible as right; rms is of the distance, nothing clipped; close "
            f"pairs are visible spots nearer than {CLOSE:.0f} σ (σ = {SIGMA} px); false peaks are "
            "per pattern. Peers' settings were tuned per workload on another seed "
            "(tune_peaks.py), phaseloom's are its defaults; of ePattern, which reads grey images "
            "of 8 bits, only how many of the brightest pixels are cut off is tuned in its first "
            "two rows, the defaults of its function and the call in its README, and noise_factor, "
            "threshold and min_distance besides in the third. Least rms that counting "
            "allows the visible spots, were each alone (Cramér–Rao), and share of peaks thrown at "
            f"random that would count as right: {'; '.join(limits)}.",
            "",
            "| " + " | ".join(names) + " |",
            "|" + "---|" * len(names),
            *lines,
        ]
    )


if __name__ == "__main__":
    main()
