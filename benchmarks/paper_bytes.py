"""Bytes of a scan in the published format beside the tables of spots: fills in RESULTS.md.

python benchmarks/paper_bytes.py [--patterns 256] [--dry]

F. Folastre et al., Sci. Rep. 14 (2024), s41598-024-63060-5, compare 512² patterns of 32 bits with
some 50 spots per pattern.
"""

from __future__ import annotations

import argparse
import tempfile
from math import isqrt
from pathlib import Path

import numpy as np

from comparison import stored_bytes
from material_scans import FOLDER, INTENSITY_SPREAD
from phaseloom.crystals import read_crystal
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.diffraction.registration import register
from phaseloom.simulate import Beam, Camera, random_orientations, simulate_scan
from programs import run_script
from results import publish

SIDE = 512
MOST = 50
SEED = 2
PEER = 64
"""Patterns for ePattern, which stores each in a group of its own."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patterns", type=int, default=256, help="a square number")
    parser.add_argument("--dry", action="store_true", help="print the table, write nothing")
    given = parser.parse_args()
    side = isqrt(given.patterns)
    scan, _ = simulate_scan(
        random_orientations((side, side), seed=SEED),
        [read_crystal(FOLDER / "nvpf.cif")],
        beam=Beam(dose=3e5, intensity_spread=INTENSITY_SPREAD),
        camera=Camera(shape=(SIDE, SIDE), pixel_size=1.5 / 244, sigma=4.0),
        seed=SEED,
    )
    peaks = Peaks(register(scan, workers=1, max_peaks=MOST))
    own = stored_bytes(peaks) / side**2
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "patterns.npy"
        np.save(file, scan["counts"].to_numpy().reshape(-1, SIDE, SIDE)[:PEER])
        out = run_script("epattern", "bytes", file, "readme", threads=1)
    theirs = float(out["bytes"]) / float(out["patterns"])
    raw = 4 * SIDE**2
    rows = [
        ("raw, 512² × 32 bits", None, raw),
        ("phaseloom, peak table as stored", float(peaks.count.mean()), own),
        ("ePattern, HDF5 file", float(out["spots"]) / float(out["patterns"]), theirs),
    ]
    text = "\n".join(
        [
            "### Bytes in the published format",
            "",
            f"{side**2} patterns of Na₃V₂(PO₄)₂F₃ in random orientations, 512² px, at most {MOST} "
            "spots of each kept. phaseloom's table has positions, intensities, their errors, "
            "prominence and background of every spot, and all maps of the scan; ePattern's (of "
            f"{PEER} of the patterns) fourteen columns of 32 bits, and the alignment.",
            "",
            "| | spots per pattern | bytes per pattern | of raw |",
            "|---|---|---|---|",
            *(
                f"| {name} | {'–' if spots is None else f'{spots:.0f}'} | {size:.0f} | "
                f"{'1' if size == raw else f'1/{raw / size:.0f}'} |"
                for name, spots, size in rows
            ),
        ]
    )
    publish("published format", text, dry=given.dry)


if __name__ == "__main__":
    main()
