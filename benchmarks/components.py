"""Factorisation: phaseloom and its peers on the same matrix, in one run; fills in RESULTS.md.

python benchmarks/components.py [table] [sweep] [memory] [scan]       (table and sweep by default)
    [--side 64] [--detector 128] [--rounds 3] [--threads 2] [--only NAME ...] [--gigabytes 30]
    [--dry]

Every program runs in a process and an environment of its own (benchmarks/environments.py); the
rounds go through all programs in turn, so that what else the machine does meets all of them alike.
``sweep`` times the choice of the number of components, ``memory`` clusters a file of 30 GB, and
``scan`` one of 165 × 95 patterns of 256².
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components_scans import memory, whole_scan
from components_scoring import map_correlations, relative_error
from components_workload import BACKGROUND, DIRECT, FLOOR, OVERLAP, Factorisation, K, cached
from programs import command_line, run_script
from results import machine, publish

SEED = 5


@dataclass(frozen=True)
class Program:
    """One row of the table."""

    name: str
    runner: str
    mode: str
    once: bool = False  # one cold run: what takes minutes


PROGRAMS = (
    Program("phaseloom, defaults", "phaseloom", "defaults"),
    Program("phaseloom, Kullback-Leibler", "phaseloom", "kl"),
    Program("phaseloom, without scaling", "phaseloom", "unscaled"),
    Program("scikit-learn `cd`, defaults", "sklearn", "cd"),
    Program("scikit-learn `cd`, tolerance 1e-7", "sklearn", "cd-fine", once=True),
    Program("scikit-learn `mu`", "sklearn", "mu"),
    Program("scikit-learn MiniBatchNMF", "sklearn", "minibatch", once=True),
    Program("HyperSpy NMF", "pyxem", "plain"),
    Program("HyperSpy NMF, Poisson noise normalised", "pyxem", "poisson"),
    Program("torchnmf, Frobenius", "torchnmf", "frobenius", once=True),
    Program("torchnmf, defaults (Kullback-Leibler)", "torchnmf", "kl", once=True),
    Program("HALS in numpy, 100 iterations", "scipy", "hals"),
)


def run_program(program: Program, scan: Path, threads: int, *more: object) -> dict[str, Any]:
    """Run a ``RUNNER_components.py`` in its environment; the arrays it wrote."""
    return run_script(program.runner, "components", scan, program.mode, *more, threads=threads)


def compared(
    case: Factorisation, scan: Path, programs: list[Program], rounds: int, threads: int
) -> tuple[list[str], list[str]]:
    """Rows of the table, and the programs' versions."""
    runs: dict[str, list[dict[str, Any]]] = {p.name: [] for p in programs}
    for turn in range(rounds):
        for p in programs:
            out = run_program(p, scan, threads, "--k", K, *(["--once"] if p.once else []))
            runs[p.name].append(out)
            sys.stderr.write(f"{turn} {p.name}: {out['seconds']} s\n")
    matrix = case.counts.reshape(len(case.weight), -1)
    rows, versions = [], {}
    for p in programs:
        about = [json.loads(str(out["about"])) for out in runs[p.name]]
        versions[p.runner] = about[0]["version"]
        seconds = np.median([s for out in runs[p.name] for s in out["seconds"]])
        found = runs[p.name][-1]
        error = relative_error(matrix, found["weight"], found["pattern"])
        matched = map_correlations(found["weight"], case.weight)
        rows.append(
            f"| {p.name} | {seconds:.1f} | {error:.4f} | {matched.mean():.2f} / "
            f"{matched.min():.2f} | {max(a['peak_mb'] for a in about):.0f} |"
        )
        sys.stderr.write(rows[-1] + "\n")
    return rows, list(versions.values())


def table(given: argparse.Namespace, folder: Path) -> str:
    case, scan = cached(folder, given.side, given.detector, SEED)
    programs = [p for p in PROGRAMS if not given.only or p.runner in given.only]
    lines, versions = compared(case, scan, programs, given.rounds, given.threads)
    n, m = len(case.weight), case.pattern.shape[1]
    floor = relative_error(case.counts.reshape(n, m), case.weight, case.pattern)
    dose = case.counts.sum() / n
    return "\n".join(
        [
            "## Components",
            "",
            f"{machine()}; {given.threads} threads; {', '.join(versions)}. {n} × {m} float32 "
            f"counts of {dose:.2g} electrons per pattern: {K} grains of LiFePO₄, each of one "
            f"orientation, both seen up to {OVERLAP:g} positions from a boundary; direct beam "
            f"({DIRECT:g} of the electrons) and diffuse background ({BACKGROUND:g}) are the same "
            f"everywhere and hold nearly all of the Frobenius norm. The true factors' relative "
            f"error is {floor:.4f} (made to be {FLOOR:g}). {given.rounds} rounds through all "
            "programs in turn, each a warm-up and three runs (one where it takes more than 20 s, "
            "without warm-up where it takes minutes); median seconds, reading not counted. The "
            "error is ‖V − WH‖ / ‖V‖ on V as given, whatever the program minimises; the maps' "
            "correlation is with the true shares, "
            "matched one to one; peak memory is the process's with its libraries.",
            "",
            "| program | s | relative error | mean / worst map correlation | peak memory (MB) |",
            "|" + "---|" * 5,
            *lines,
        ]
    )


def sweep(given: argparse.Namespace, folder: Path) -> str:
    """Seconds of the choice of k, on the matrix of the table."""
    case, scan = cached(folder, given.side, given.detector, SEED)
    program = Program("phaseloom, sweep", "phaseloom", "sweep")
    runs = [run_program(program, scan, given.threads, "--once") for _ in range(given.rounds)]
    seconds = np.median([out["seconds"] for out in runs])
    weight = runs[-1]["weight"]
    matched = map_correlations(weight, case.weight)
    return "\n".join(
        [
            "### Choosing the number of components",
            "",
            f"{machine()}; {given.threads} threads. The matrix above, {K} components: k = 2 to 20 "
            f"with five seeds in {seconds:.0f} s (median of {given.rounds} runs, first calls "
            f"included), {weight.shape[1]} components chosen; maps' correlation with the truth "
            f"{matched.mean():.2f}, worst {matched.min():.2f}.",
        ]
    )


SECTIONS = {
    "table": (table, "components"),
    "sweep": (sweep, "components sweep"),
    "memory": (memory, "components memory"),
    "scan": (whole_scan, "components scan"),
}
USUAL = ("table", "sweep")


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("sections", nargs="*", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--side", type=int, default=64, help="scan positions along y and x")
    parser.add_argument("--detector", type=int, default=128, help="pixels along ky and kx")
    parser.add_argument("--gigabytes", type=float, default=30.0, help="of the memory's scan")
    parser.add_argument("--patterns", default="registered", help="preparation, for memory and scan")
    parser.add_argument("--folder", type=Path, help="keep matrix and factors here between runs")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in given.sections or USUAL:
            function, section = SECTIONS[name]
            text = function(given, folder)
            publish(section, text, dry=given.dry)


if __name__ == "__main__":
    main()
