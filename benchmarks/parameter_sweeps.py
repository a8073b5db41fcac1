"""How much a map depends on its user: every parameter of three spot finders halved and doubled.

python benchmarks/parameter_sweeps.py [--side 6] [--only NAME ...] [--folder F] [--dry]

One parameter at a time is changed from where the program has it, and the map made anew: spots,
rebuilt images, matching as in materials.py; of phaseloom also the whole chain from its peaks.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comparison import K_MAX, K_MIN, SEED, Scan
from material_scans import MATERIALS, PRECESSION, material_scan
from materials import CONTRAST, FINDERS, Finder, kept, peer_spots, rebuilt, settings_of
from orientation_scoring import RIGHT, misorientation
from peers.epattern_settings import README
from phaseloom.diffraction.peaks.rendering import render
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.diffraction.registration import register
from phaseloom.orientation import index
from phaseloom.orientation.matching.images import match_images
from phaseloom.orientation.refinement.solutions import ranked
from results import machine, publish

GRAINS = 6
ON = ("nvpf 1 %", "perovskite", "layered oxide")
SIMULATOR = "independent"

OWN_SWEEP: dict[str, tuple[Any, ...]] = {
    "false_alarms": (0.001, 0.005, 0.02, 0.1),
    "sigma": (1.2, 4.8),
    "max_peaks": (250, 1000),
    "threshold": ("prominence",),
    "descan": ("each",),
}
"""phaseloom's: .01, 2.4 px as found from the data, 500, "counts", "plane"."""

FACTORS = {
    "epattern": (
        "prominence_min", "noise_factor", "background_percentile", "min_distance", "threshold",
        "max_items",
    ),
    "py4dstem": (
        "minAbsoluteIntensity", "moat", "template_sigma", "minPeakSpacing", "maxNumPeaks",
    ),
}  # fmt: skip
"""Halved and doubled."""

WHOLE = ("min_distance", "max_items", "minPeakSpacing", "maxNumPeaks")
BASES = {"epattern": README, "py4dstem": {"minPeakSpacing": 4, "maxNumPeaks": 300}}
MORE: dict[str, list[dict[str, Any]]] = {
    "epattern": [
        {"noise_reduction_methods": [{"name": "Gaussian", "params": {"sigma": sigma}}]}
        for sigma in (0.5, 2.0)
    ],
    "py4dstem": [{"sigma_cc": 1.0}, {"sigma_cc": 2.0}, {"root": False}],
}

LABELS = {"noise_reduction_methods": "blur"}

Answer = tuple[NDArray[np.float64], NDArray[np.int64]]  # rotation (n, 4) and phase


@dataclass(frozen=True)
class Sweep:
    """Answers of one program, the first with its parameters as they are."""

    name: str
    changed: list[str]  # the parameter, of every answer after the first
    answers: list[Answer]


def matched(scan: Scan, images: NDArray[Any]) -> Answer:
    """The best solution of rebuilt images."""
    beam = tuple(n // 2 for n in images.shape[1:])
    starts = match_images(
        images, beam, scan.library, pixel_size=scan.pixel_size, k_min=K_MIN,
        spot_sigma=scan.sigma, exponent=CONTRAST,
    )  # fmt: skip
    found = ranked(starts)
    return found.rotation[:, 0], found.crystal[:, 0].astype(int)


def own_sweeps(scan: Scan) -> list[Sweep]:
    """phaseloom's, its peaks rebuilt and its whole chain."""
    settings = [{name: value} for name, values in OWN_SWEEP.items() for value in values]
    images, chains = [], []
    for setting in [{}, *settings]:
        peaks = Peaks(register(scan.data, workers=1, **setting))
        peaks = peaks if peaks.units == "Å⁻¹" else peaks.calibrated(scan.pixel_size)
        drawn = render(peaks, sigma=scan.sigma).block(slice(0, len(scan)))
        images.append(matched(scan, drawn))
        found = index(
            peaks, scan.crystals, voltage=200.0, precession_angle=PRECESSION, k_max=K_MAX,
            workers=1,
        )  # fmt: skip
        rotation = found["rotation"].to_numpy().reshape(-1, 4).astype(np.float64)
        chains.append((rotation, found["phase"].to_numpy().ravel().astype(int)))
    names = [next(iter(setting)) for setting in settings]
    return [
        Sweep("phaseloom, peaks refined", names, chains),
        Sweep("phaseloom, rebuilt", names, images),
    ]


def peer_sweep(scan: Scan, finder: Finder, base: dict[str, Any]) -> Sweep:
    """Another program's spots, rebuilt."""
    full = {**BASES[finder.runner], **base}
    changes = [
        {name: round(factor * full[name]) if name in WHOLE else factor * full[name]}
        for name in FACTORS[finder.runner]
        for factor in (0.5, 2.0)
    ]
    changes += MORE[finder.runner]
    tables = peer_spots(finder, scan, [full, *({**full, **change} for change in changes)])
    answers = [matched(scan, rebuilt(scan, table)) for table in tables]
    name = finder.name.replace("ePattern's README", "ePattern, README")
    return Sweep(name, [next(iter(change)) for change in changes], answers)


def apart(scan: Scan, one: Answer, other: Answer) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where the phases differ, and where phases or orientations do (by more than 3°)."""
    phase = one[1] != other[1]
    angle = np.zeros(len(phase))
    for number, crystal in enumerate(scan.crystals):
        here = ~phase & (one[1] == number)
        angle[here] = misorientation(one[0][here], other[0][here], crystal.laue_rotations)
    return phase, phase | (angle > RIGHT)


def row(scan: Scan, sweep: Sweep) -> str:
    """One line of the table."""
    truth = scan.rotation, scan.phase
    wrong = [apart(scan, truth, answer)[1].mean() for answer in sweep.answers]
    base, *others = sweep.answers
    changes = [apart(scan, base, other) for other in others]
    phase, both = (np.array([change[i] for change in changes]) for i in (0, 1))
    shares: dict[str, list[float]] = {}
    for name, share in zip(sweep.changed, both.mean(axis=1), strict=True):
        shares.setdefault(LABELS.get(name, name), []).append(100 * float(share))
    means = sorted(((np.mean(s), name) for name, s in shares.items()), reverse=True)
    each = ", ".join(f"{name} {mean:.0f}" for mean, name in means)
    right = [100 * (1 - share) for share in wrong]
    return (
        f"| {scan.name} | {sweep.name} | {len(others)} | {right[0]:.1f} | {min(right):.1f}–"
        f"{max(right):.1f} | {100 * phase.mean():.1f} | {100 * both.mean():.1f} | "
        f"{100 * phase.any(axis=0).mean():.1f} | {100 * both.any(axis=0).mean():.1f} | "
        f"{each} |"
    )


def rows(key: str, side: int, folder: Path) -> list[str]:
    """All programs on one scan."""
    scan = material_scan(key, SIMULATOR, side, SEED, folder, grains=GRAINS)
    start = folder / f"sweep_{key}_{side}"
    lines = [row(scan, s) for s in kept(start.with_suffix(".own"), lambda: own_sweeps(scan))]
    for finder in FINDERS:
        if finder.mode == "defaults":
            continue
        settings = settings_of(finder, key, folder)
        path = start.with_suffix(f".{finder.runner}")
        sweep = kept(path, lambda f=finder, s=settings: peer_sweep(scan, f, s))
        lines.append(row(scan, sweep))
        sys.stderr.write("\n".join(lines) + "\n")
    return lines


def section(lines: list[str], side: int) -> str:
    """Text and table for RESULTS.md."""
    head = (
        "scan", "program", "settings", "right (%)", "lowest–highest (%)", "phase changed, mean (%)",
        "phase or orientation, mean (%)", "phase changed in any (%)",
        "phase or orientation in any (%)", "by parameter, mean (%)",
    )  # fmt: skip
    return "\n".join(
        [
            "### How much the map depends on its user",
            "",
            f"{machine()}. {side} × {side} patterns of {GRAINS} grains per scan, made as above. "
            "One parameter of spot finding after the other is halved and doubled, the map is made "
            "anew and compared with the one before: share of the patterns whose phase, or phase "
            f"or orientation (by more than {RIGHT:.0f}°), is another; the mean over all settings, "
            "and the share that changes in any of them. Right: phase and orientation agree with "
            "the truth, at the program's own settings, and the range over all. phaseloom: "
            "false_alarms 0.001 to 0.1 (0.01), sigma 1.2 and 4.8 px (from the data), max_peaks, "
            'threshold "prominence" ("counts"), descan "each" ("plane"). ePattern: from the call '
            "in its README, prominence_min, noise_factor, background_percentile, min_distance "
            "(its window), threshold, max_items, sigma of its blur. py4DSTEM: from settings tuned "
            "on LiFePO₄, minAbsoluteIntensity, moat, template_sigma, minPeakSpacing, maxNumPeaks, "
            "sigma_cc (0, 1, 2 px), root of the counts or not. Rebuilt images are matched as "
            "above, the same for all.",
            "",
            "| " + " | ".join(head) + " |",
            "|" + "---|" * len(head),
            *lines,
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=6, help="scan positions along y and x")
    parser.add_argument("--only", nargs="+", choices=[*MATERIALS], default=ON)
    parser.add_argument("--folder", type=Path, help="keep rows here between runs")
    parser.add_argument("--dry", action="store_true", help="print the table, write nothing")
    given = parser.parse_args()
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for key in given.only:
            lines += rows(key, given.side, folder)
    publish("parameter sweeps", section(lines, given.side), dry=given.dry)


if __name__ == "__main__":
    main()
