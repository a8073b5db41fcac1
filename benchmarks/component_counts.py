"""How many grains has a scan? Thirty simulated scans counted by phaseloom; fills in RESULTS.md.

python benchmarks/component_counts.py [--scans 30] [--choose sound published] [--fresh] [--dry]

Every scan's result is appended to ``build/component_counts.jsonl``, so that a run that was stopped
goes on where it was; ``--fresh`` begins anew.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from components_scoring import f1, labels_right, map_correlations, true_overlaps
from components_workload import (
    DETECTOR,
    DOSES,
    FEWEST,
    GRAINS,
    SIDE,
    Counting,
    counting_scans,
)
from phaseloom.components import cluster
from results import machine, publish

KEPT = Path(__file__).parent.parent / "build" / "component_counts.jsonl"
CHOICES = ("sound", "published")


def counted(case: Counting, choose: str) -> dict[str, Any]:
    """Cluster one scan with the defaults, and compare with the truth."""
    scan, shares = case.simulate()
    start = time.perf_counter()
    found = cluster(scan, choose=choose)
    seconds = time.perf_counter() - start
    label = found["label"].to_numpy().ravel()
    # The background is no grain: what is given to it is right nowhere, there are grains all over.
    label = np.where(label == found.attrs["background"], -1, label)
    weight = found["weight"].to_numpy().reshape(found.sizes["component"], -1).T
    first = found["overlap"].isel(threshold=0).to_numpy().ravel() > 0
    return {
        "number": case.number,
        "choose": choose,
        "dose": case.dose,
        "grains": case.grains,
        "descan": case.descan,
        "found": int(found.attrs["grains"]),
        "k": int(found.attrs["k"]),
        "labels": labels_right(label, shares.argmax(axis=1)),
        "worst_map": float(map_correlations(weight, shares).min()),
        "overlap_f1": f1(first, true_overlaps(shares)),
        "seconds": seconds,
        "reason": str(found.attrs["reason"]),
    }


def results(scans: int, choices: list[str]) -> list[dict[str, Any]]:
    """What is kept, and the rest as it is made."""
    kept = []
    if KEPT.is_file():
        kept = [json.loads(line) for line in KEPT.read_text(encoding="utf-8").splitlines()]
    KEPT.parent.mkdir(exist_ok=True)
    have = {(one["number"], one["choose"]) for one in kept}
    # A few scans are spread over doses and numbers of grains.
    cases = list(counting_scans())
    cases = [cases[i] for i in np.linspace(0, len(cases) - 1, scans).round().astype(int)]
    wanted = {(case.number, choose) for case in cases for choose in choices}
    for case in cases:
        for choose in choices:
            if (case.number, choose) in have:
                continue
            one = counted(case, choose)
            with KEPT.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(one) + "\n")
            sys.stderr.write(json.dumps(one) + "\n")
            kept.append(one)
    return [one for one in kept if (one["number"], one["choose"]) in wanted]


def row(name: str, some: list[dict[str, Any]]) -> str:
    """Figures of one way of choosing on some scans, as a row of the table."""
    off = np.array([one["found"] - one["grains"] for one in some])
    overlap, labels, worst, seconds = (
        np.array([one[key] for one in some], dtype=np.float64)
        for key in ("overlap_f1", "labels", "worst_map", "seconds")
    )
    return (
        f"| {name} | {np.count_nonzero(off == 0)} of {off.size} | {np.count_nonzero(off < 0)} / "
        f"{np.count_nonzero(off > 0)} | {np.abs(off).max()} | {100 * labels.mean():.1f} | "
        f"{np.median(worst):.2f} | {np.nanmean(overlap):.2f} | {np.median(seconds):.0f} |"
    )


def section(found: list[dict[str, Any]], choices: list[str]) -> str:
    lines = []
    for choose in choices:
        mine = [one for one in found if one["choose"] == choose]
        lines.append(row(f"{choose}, all", mine))
        for dose in DOSES:
            some = [one for one in mine if one["dose"] == dose]
            lines += [row(f"{choose}, {dose:g} electrons", some)] if some else []
        for descan in (False, True):
            some = [one for one in mine if one["descan"] == descan]
            name = "with" if descan else "without"
            lines += [row(f"{choose}, {name} descan", some)] if some else []
    return "\n".join(
        [
            "## Number of grains",
            "",
            f"{machine()}. Simulated scans of {SIDE} × {SIDE} positions and {DETECTOR}² pixels, "
            f"{min(GRAINS)} to {max(GRAINS)} grains of LiFePO₄ of distinct orientations, each of "
            f"{FEWEST} positions or more, mosaic spread 0.2°, a fifth of the dose in a diffuse "
            "background; both grains are seen up to two positions from a boundary; half of the "
            "scans with 3 px of descan. `cluster` with its defaults (sound), and with the "
            "published choice of k. Found exactly, fewer / more than there are, furthest off; "
            "positions labelled right (each label standing for one grain), worst map's "
            "correlation with the truth (median over scans), F1 of overlaps (second share at "
            "least 0.75 of the first, in truth and by the weights), mean; median seconds.",
            "",
            "| choice of k | exact | fewer / more | furthest off | labels right (%) | worst map "
            "| overlap F1 | s |",
            "|" + "---|" * 8,
            *lines,
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scans", type=int, default=len(list(counting_scans())))
    parser.add_argument("--choose", nargs="+", choices=CHOICES, default=[*CHOICES])
    parser.add_argument("--fresh", action="store_true", help="forget what was counted before")
    parser.add_argument("--dry", action="store_true", help="print the table, write nothing")
    given = parser.parse_args()
    if given.fresh:
        KEPT.unlink(missing_ok=True)
    text = section(results(given.scans, given.choose), given.choose)
    publish("number of grains", text, dry=given.dry)


if __name__ == "__main__":
    main()
