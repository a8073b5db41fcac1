"""How much a map depends on its user: parameters of three spot finders and of matching changed.

python benchmarks/parameter_sweeps.py [--side 6] [--only NAME ...] [--folder F] [--dry]

One parameter at a time is changed from where the program has it, and the map made anew: spots,
rebuilt images, matching as in materials.py; of phaseloom also the whole chain from its peaks. Of
the matching of images the contrast and the mask about the direct beam are changed besides, of
phaseloom's the extent, the steps and the number of solutions.
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

CHAIN_SWEEP: dict[str, tuple[Any, ...]] = {
    "k_max": (1.2,),
    "zone_step": (1.5, 3.0),
    "in_plane_step": (1.0, 4.0),
    "solutions": (3, 10),
}
"""Of phaseloom's ``index``: 1.5 Å⁻¹ here, 2°, 2°, 5."""

IMAGE_SWEEP = {"exponent": (0.25, 0.5), "k_min": (0.1, 0.2)}
"""Of matching images: :data:`CONTRAST`, :data:`K_MIN`."""

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

LABELS = {"noise_reduction_methods": "blur", "exponent": "contrast"}

Answer = tuple[NDArray[np.float64], NDArray[np.int64]]  # rotation (n, 4) and phase


@dataclass(frozen=True)
class Sweep:
    """Answers of one program, the first with its parameters as they are."""

    name: str
    changed: list[str]  # the parameter, of every answer after the first
    answers: list[Answer]


def matched(scan: Scan, images: NDArray[Any], **changed: float) -> Answer:
    """The best solution of rebuilt images."""
    beam = tuple(n // 2 for n in images.shape[1:])
    settings = {"k_min": K_MIN, "exponent": CONTRAST, **changed}
    starts = match_images(
        images, beam, scan.library, pixel_size=scan.pixel_size, spot_sigma=scan.sigma, **settings
    )
    found = ranked(starts)
    return found.rotation[:, 0], found.crystal[:, 0].astype(int)


def one_by_one(sweep: dict[str, tuple[Any, ...]]) -> list[dict[str, Any]]:
    """One parameter changed at a time."""
    return [{name: value} for name, values in sweep.items() for value in values]


def rematched(scan: Scan, images: NDArray[Any]) -> tuple[list[str], list[Answer]]:
    """What changed and what came out where the matching of images is changed."""
    changes = one_by_one(IMAGE_SWEEP)
    return [next(iter(c)) for c in changes], [matched(scan, images, **c) for c in changes]


def own_sweeps(scan: Scan) -> list[Sweep]:
    """phaseloom's, its peaks rebuilt and its whole chain."""
    tables, images, chains = [], [], []
    for setting in [{}, *one_by_one(OWN_SWEEP)]:
        peaks = Peaks(register(scan.data, workers=1, **setting))
        tables.append(peaks if peaks.units == "Å⁻¹" else peaks.calibrated(scan.pixel_size))
        images.append(render(tables[-1], sigma=scan.sigma).block(slice(0, len(scan))))
        chains.append(indexed(scan, tables[-1]))
    names = [next(iter(setting)) for setting in one_by_one(OWN_SWEEP)]
    chains += [indexed(scan, tables[0], **setting) for setting in one_by_one(CHAIN_SWEEP)]
    further = [next(iter(setting)) for setting in one_by_one(CHAIN_SWEEP)]
    others, answers = rematched(scan, images[0])
    return [
        Sweep("phaseloom, peaks refined", [*names, *further], chains),
        Sweep(
            "phaseloom, rebuilt",
            [*names, *others],
            [*(matched(scan, one) for one in images), *answers],
        ),
    ]


def indexed(scan: Scan, peaks: Peaks, **changed: Any) -> Answer:
    """The map of phaseloom's whole chain; nothing (−1, NaN) where it indexes nothing."""
    options = {"k_max": K_MAX, **changed}
    found = index(
        peaks, scan.crystals, voltage=200.0, precession_angle=PRECESSION, workers=1, **options
    )
    rotation = found["rotation"].to_numpy().reshape(-1, 4).astype(np.float64)
    return rotation, found["phase"].to_numpy().ravel().astype(int)


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
    images = [rebuilt(scan, table) for table in tables]
    others, answers = rematched(scan, images[0])
    name = finder.name.replace("ePattern's README", "ePattern, README")
    return Sweep(
        name,
        [*(next(iter(change)) for change in changes), *others],
        [*(matched(scan, one) for one in images), *answers],
    )


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
    lost = max(np.mean(answer[1] < 0) for answer in sweep.answers)
    return (
        f"| {scan.name} | {sweep.name} | {len(others)} | {right[0]:.1f} | {min(right):.1f}–"
        f"{max(right):.1f} | {100 * phase.mean():.1f} | {100 * both.mean():.1f} | "
        f"{100 * phase.any(axis=0).mean():.1f} | {100 * both.any(axis=0).mean():.1f} | "
        f"{100 * lost:.1f} | {each} |"
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
        "phase or orientation in any (%)", "not indexed, at most (%)", "by parameter, mean (%)",
    )  # fmt: skip
    return "\n".join(
        [
            "### How much the map depends on its user",
            "",
            f"{machine()}. {side} × {side} patterns of {GRAINS} grains per scan, made as above. "
            "One parameter after the other is changed, of spot finding halved and doubled, the map "
            "is made anew and compared with the one before: share of the patterns whose phase, or "
            f"phase or orientation (by more than {RIGHT:.0f}°), is another; the mean over all "
            "settings, and the share that changes in any of them. Where nothing is indexed any "
            "more, that is a change, too: the largest share in any setting. Right: phase and "
            "orientation agree with the truth, at the program's own settings, and the range over "
            "all. phaseloom: false_alarms 0.001 to 0.1 (0.01), sigma 1.2 and 4.8 px (from the "
            "data), max_peaks, "
            'threshold "prominence" ("counts"), descan "each" ("plane"). ePattern: from the call '
            "in its README, prominence_min, noise_factor, background_percentile, min_distance "
            "(its window), threshold, max_items, sigma of its blur. py4DSTEM: from settings tuned "
            "on LiFePO₄, minAbsoluteIntensity, moat, template_sigma, minPeakSpacing, maxNumPeaks, "
            "sigma_cc (0, 1, 2 px), root of the counts or not. Rebuilt images are matched as "
            f"above, the same for all, with another contrast (0.25 and 0.5, {CONTRAST}) and mask "
            f"(0.1 and 0.2 Å⁻¹, {K_MIN}) besides; of phaseloom's own matching k_max (1.2 Å⁻¹, "
            f"{K_MAX}), zone_step (1.5 and 3°, 2°), in_plane_step (1 and 4°, 2°) and solutions (3 "
            "and 10, 5).",
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
