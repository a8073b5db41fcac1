"""Orientation matching: phaseloom and its peers on the same peaks, in one run; fills in RESULTS.md.

python benchmarks/orientation.py [--patterns 64] [--rounds 1] [--threads 2] [--only NAME ...]
    [--workloads NAME ...] [--accuracy] [--dry]

Every program runs in a process and an environment of its own (benchmarks/environments.py), on the
same file of peaks and the same crystals; the rounds go through all programs in turn, so that what
else the machine does meets all of them alike. Libraries are built in the first round, and taken
from a file afterwards where building takes long. With ``--accuracy`` every program runs once and
nothing is timed, which fills a section of its own.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from orientation_scoring import CLOSE, RIGHT, calibration_errors, score
from orientation_workloads import GRAINS, K_MAX, MAP, Workload, cached, write_crystals
from programs import command_line, run_script
from results import machine, publish

SEED = 2
CROWDED = 30
"""Spots from which a pattern tells phases apart that differ by a few percent."""


@dataclass(frozen=True)
class Setting:
    """A workload: crystals, and where its patterns are from, see :func:`cached`."""

    kinds: tuple[str, ...]
    source: str = "random"


SETTINGS = {
    "au": Setting(("au",)),
    "au, independent": Setting(("au",), "independent"),
    "lfp": Setting(("lfp",)),
    "lfp, independent": Setting(("lfp",), "independent"),
    "au + lfp": Setting(("au", "lfp")),
    "lfp + fp": Setting(("lfp", "fp")),
    "lfp + fp, independent": Setting(("lfp", "fp"), "independent"),
    "au map": Setting(("au",), "grains"),
}


@dataclass(frozen=True)
class Program:
    """One row of the table, in every workload of these crystals."""

    name: str
    runner: str
    mode: str
    on: tuple[str, ...]  # workloads, with the independent ones of the same crystals
    certainty: str  # what it says of how sure it is
    first: dict[str, int] = field(default_factory=dict)  # on so many patterns: what takes long
    library: str = "2°"  # of those that are kept: programs of one runner share them by this name
    once: bool = False  # one cold run is all there is time for


SINGLE, MIXED, GRAINY = ("au", "lfp"), ("au + lfp", "lfp + fp"), ("au map",)
FEW = {"au": 32, "lfp": 32, "au + lfp": 32, "lfp + fp": 32}
FEWER = {"au": 8, "lfp": 8}
SCORE, GAP = "–", "gap to the next"
SEVERAL = "matching2"
"""Mode of py4DSTEM that is another one with several threads only."""

PROGRAMS = (
    Program(
        "phaseloom, defaults", "phaseloom", "defaults", (*SINGLE, *MIXED, *GRAINY), "probability"
    ),
    Program("phaseloom, matching only", "phaseloom", "matching", SINGLE, SCORE),
    Program("phaseloom, spatial context", "phaseloom", "context", GRAINY, "probability"),
    Program("py4DSTEM, its defaults", "py4dstem", "matching", SINGLE, SCORE, {"lfp": 24}),
    Program(
        "py4DSTEM, one process per core", "py4dstem", SEVERAL, SINGLE, SCORE, {"lfp": 32}
    ),
    Program("pyxem, as in its tutorial", "pyxem", "tutorial", (*SINGLE, *MIXED), SCORE, FEW),
    Program("pyxem, tuned", "pyxem", "matching", (*SINGLE, *MIXED), SCORE, FEW),
    Program("pyxem, tuned, with the polar transform", "pyxem", "polar", SINGLE, SCORE, FEWER),
    Program(
        "quantem, its defaults", "quantem", "defaults", SINGLE, GAP, {"lfp": 64}, library="own"
    ),
    Program("quantem, matching only", "quantem", "matching", SINGLE, GAP),
    Program(
        "quantem, matching and refinement", "quantem", "refined", (*SINGLE, *MIXED, *GRAINY), GAP,
        {"lfp + fp": 64},
    ),
    Program("ePattern, its encoder", "epattern", "encoder", ("au",), GAP, once=True),
    Program("ePattern, geometric", "epattern", "geometric", ("au",), GAP, {"au": 8}, once=True),
    Program(
        "ePattern, geometric, weak spots kept", "epattern", "weak", ("au",), GAP, {"au": 8},
        library="weak", once=True,
    ),
    Program("quantem, and its phase map", "quantem", "phases", MIXED, GAP, {"lfp + fp": 64}),
    Program("quantem, and neighbour rescue", "quantem", "rescued", GRAINY, GAP),
    Program("quantem, 3 matches and rescue", "quantem", "rescued3", GRAINY, GAP),
)  # fmt: skip
REFERENCE = "phaseloom, defaults"
KEPT = ("quantem", "epattern")  # whose libraries take minutes


def crystals_of(workload: str) -> str:
    """The workload of the same crystals that is not independent."""
    return workload.partition(", ")[0]


def run_program(
    program: Program,
    peaks: Path,
    crystals: list[Path],
    case: Workload,
    name: str,
    threads: int,
    *,
    once: bool = False,
) -> dict[str, Any]:
    """Run a ``RUNNER_orientation.py`` in its environment; the arrays it wrote."""
    more: list[object] = ["--crystals", *crystals]
    first = program.first.get(crystals_of(name))
    if case.shape[0] > 1:
        more += ["--shape", *case.shape]
    elif first is not None and first < len(case):
        more += ["--first", first]
    if program.runner in KEPT:
        kinds = "_".join(path.stem for path in crystals)
        file = f"{program.runner}_{program.library}_{kinds}.library"
        more += ["--library", peaks.with_name(file)]
    if (once or program.once) and program.runner != "phaseloom":
        more += ["--once"]
    return run_script(program.runner, "orientation", peaks, program.mode, *more, threads=threads)


def measure(
    name: str,
    programs: list[Program],
    n: int,
    rounds: int,
    threads: int,
    folder: Path,
    *,
    timed: bool = True,
) -> tuple[list[str], dict[str, str]]:
    """Rows of the table for one workload, and the programs' versions."""
    setting = SETTINGS[name]
    case, peaks = cached(folder, setting.kinds, n, SEED, setting.source)
    crystals = write_crystals(setting.kinds, folder)
    programs = [p for p in programs if crystals_of(name) in p.on]
    runs: dict[str, list[dict[str, Any]]] = {p.name: [] for p in programs}
    for turn in range(rounds):
        for p in programs:
            out = run_program(p, peaks, crystals, case, name, threads, once=not timed)
            runs[p.name].append(out)
            sys.stderr.write(f"{name} {turn} {p.name}: {out['seconds']} s\n")
    seconds = {
        p.name: np.median([s for out in runs[p.name] for s in out["seconds"]])
        / len(runs[p.name][0]["rotation"])
        for p in programs
    }
    rows, versions = [], {}
    for p in programs:
        about = [json.loads(str(out["about"])) for out in runs[p.name]]
        versions[p.runner] = about[0]["version"]
        library = np.median([float(out["library_seconds"]) for out in runs[p.name]])
        ratio = f"{seconds[p.name] / seconds[REFERENCE]:.2g}" if REFERENCE in seconds else "–"
        speed = f" {library:.1f} | {1e3 * seconds[p.name]:.3g} | {ratio} |" if timed else ""
        memory = f" {max(a['peak_mb'] for a in about):.0f} |" if timed else ""
        figures = f"{columns_of(case, runs[p.name][-1])} | {p.certainty}"
        rows.append(f"| {name} | {p.name} | {about[0]['zones']} |{speed} {figures} |{memory}")
    return rows, versions


def columns_of(case: Workload, out: dict[str, Any]) -> str:
    """Figures of one program on one workload, as columns of the table."""
    laue = [crystal.laue_rotations for crystal in case.crystals]
    found = out["rotation"], out["phase"], out["score"], out["reliability"]
    s, right = score(case.rotation, case.phase, laue, *found)
    n = len(right)
    crowded = np.diff(case.peaks["offset"])[:n] > CROWDED  # the direct beam is one more
    same = out["phase"] == case.phase[:n]
    phases = "–"
    if len(laue) > 1:
        phases = (
            f"{s.phase:.3f} ({same[crowded].mean():.3f})" if crowded.any() else f"{s.phase:.3f}"
        )
    calibration = "–"
    if "probability" in out:
        calibration = "{:.3f} / {:.3f}".format(*calibration_errors(out["probability"], right))
    return (
        f"{n} | {s.median:.2f} ({s.median_right:.2f}) | {100 * s.close:.1f} | {100 * s.right:.1f} "
        f"| {100 * s.twins:.1f} "
        f"| {phases} | {_or_dash(s.auc_score)} | {_or_dash(s.auc_reliability)} | {calibration}"
    )


def _or_dash(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "–"


def main() -> None:
    parser = command_line(__doc__)
    parser.set_defaults(rounds=1)
    parser.add_argument("--patterns", type=int, default=64)
    parser.add_argument("--workloads", nargs="+", choices=[*SETTINGS], default=[*SETTINGS])
    parser.add_argument("--folder", type=Path, help="keep peaks and libraries here between runs")
    parser.add_argument("--accuracy", action="store_true", help="one run each, no times")
    given = parser.parse_args()
    timed = not given.accuracy
    programs = [p for p in PROGRAMS if not given.only or p.runner in given.only]
    if given.threads == 1:
        programs = [p for p in programs if p.mode != SEVERAL]
    lines, versions = [], {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in given.workloads:
            rows, used = measure(
                name, programs, given.patterns, given.rounds if timed else 1, given.threads,
                folder, timed=timed,
            )  # fmt: skip
            lines += rows
            versions |= used
    about = f"{machine()}; {given.threads} threads; {', '.join(versions.values())}. "
    text = section(lines, about, given.patterns, given.rounds, timed=timed)
    publish("orientation" if timed else "orientation accuracy", text, dry=given.dry)


def section(lines: list[str], about: str, patterns: int, rounds: int, *, timed: bool) -> str:
    """Text and table for RESULTS.md, with the columns of times or without."""
    names = [
        "patterns", "median (°)", f"within {CLOSE:.0f}° (%)", f"within {RIGHT:.0f}° (%)",
        "half a turn (%)", "phase", "AUC score", "AUC certainty", "calibration", "certainty",
    ]  # fmt: skip
    if timed:
        title = "## Orientation matching"
        first, last = ["library (s)", "ms per pattern", "times phaseloom's"], ["peak memory (MB)"]
        how = (
            f"{rounds} round{'s' * (rounds > 1)} through all programs in turn, each a warm-up and "
            "three runs (one where it takes more than 20 s; one cold run of ePattern, which reads "
            "and embeds all simulated patterns in every run); medians. Seconds of the library "
            "apart, time per pattern without it, but with what phaseloom learns from every scan, "
            "however small; peak memory is the process's with its libraries. "
        )
    else:
        title, first, last, how = "### The same, accuracy alone", [], [], "Nothing is timed. "
    names = ["workload", "program", "zones", *first, *names, *last]
    return "\n".join(
        [
            title,
            "",
            f"{about}200 kV, kinematic patterns of a 120 Å wedge at the middle dose with "
            "intensities varied by 0.3 (log-normal), registered by phaseloom; “independent”: peaks "
            "of `independent_truth.py` (Gaussian rel-rods, scattering factors and geometry of its "
            "own, stated errors of places, some false spots), which phaseloom has neither "
            f"simulated nor registered. The same peaks (to {K_MAX} Å⁻¹) and structures for all; "
            "2° between zone axes and in the plane, but for what has its own (py4DSTEM's defaults "
            "are 2°, and its tutorials' the same; pyxem's tutorial has 1°, quantem's defaults 1° "
            "and 5°). pyxem matches images, drawn from the peaks; “tuned”: the best of ten choices "
            "on other patterns. ePattern's numbers are its defaults and its README's, which are "
            "the same, but for “weak spots kept”: its simulations keep spots of 0.05 grey values "
            "in place of 1.5, of 255; it compares with its own simulations of every zone axis and, "
            "for want of a search in the plane, at every 2° in it. "
            f"{patterns} patterns in random orientations (slow programs the first of them: column "
            f"patterns); au map: {MAP[0]} × {MAP[1]} positions of {GRAINS} grains. {how}"
            "The misorientation is the smallest under the Laue class's rotations, over all "
            f"patterns (and over those within {RIGHT:.0f}°); within {CLOSE:.0f}° and {RIGHT:.0f}°: "
            "and of the right phase; half a turn: right but for 180° about the beam, which flat "
            f"patterns cannot tell; phase: share right (and of patterns with {CROWDED} spots or "
            "more); AUC: chance that a right answer (3°) is ranked above a wrong one, by "
            "correlation and by the program's own certainty: the probability of phaseloom, the "
            "difference of the best two correlations of quantem and ePattern; no other program has "
            "one. Calibration: expected error of probabilities, ten bins of equal counts / of "
            "equal width; only phaseloom has probabilities.",
            "",
            "| " + " | ".join(names) + " |",
            "|" + "---|" * len(names),
            *lines,
        ]
    )


if __name__ == "__main__":
    main()
