"""Scale, distortion and centre from the spots of the crystals: right, and with right errors?

    python benchmarks/scale.py [SET ...] [--scans 4] [--first 0] [--patterns 150] [--shares]

Sets are those of ``independent_truth.py``, and ``own/CRYSTAL[+CRYSTAL]`` (``lfp``, ``fp``, ``au``)
for patterns of phaseloom's own simulator. Every scan gets a pixel size stated up to 10 % too small
or too large, an ellipse of up to 1 % (ratio of its axes) along any direction, and a direct beam
that is up to 0.6 px beside where it is said to be. A pull is (found − true) / stated error; rms of
the pulls are 1 where errors are right. ``--shares``: shares of patterns right with what was found,
and with the exact calibration. ``--write``: the table into RESULTS.md.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from certainty_scoring import score
from independent_truth import VOLTAGE, Truth, truth
from phaseloom.crystals import Crystal, gold, iron_phosphate, lithium_iron_phosphate, named_crystal
from phaseloom.diffraction.calibration.geometry import stretch
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.orientation import index
from phaseloom.orientation.calibration.calibrating import Instrument, calibrate_scan
from phaseloom.orientation.options import Matching
from phaseloom.simulate import Beam, Camera, random_orientations, simulate_peaks
from results import machine, publish

Floats = NDArray[np.float64]

SETS = (
    "lfp", "li2mno3", "quartz", "ti", "au", "mix/olivines", "mix/layered", "near/1",
    "own/lfp", "own/au", "own/lfp+fp",
)  # fmt: skip
LARGEST = 0.10, 0.005, 0.6
"""ln scale; half the ln ratio of the axes; px of the direct beam."""
NAMES = "scale", "ellipse a", "ellipse b", "centre y", "centre x"
_OWN = {"lfp": lithium_iron_phosphate, "fp": iron_phosphate, "au": gold}


class Scan(NamedTuple):
    """Patterns as they would be were all known exactly, and their crystals."""

    peaks: Peaks
    crystals: list[Crystal]
    truth: Truth | None


class Outcome(NamedTuple):
    """Of one scan: what was true, found and stated of :data:`NAMES` (centres in Å⁻¹)."""

    name: str
    true: Floats
    found: Floats
    error: Floats
    right: tuple[float, float]


def scan(name: str, patterns: int, seed: int) -> Scan:
    """A scan by the name of its set."""
    if not name.startswith("own/"):
        made = truth(name, n=patterns, seed=seed)
        return Scan(made.peaks, [named_crystal(path) for path in made.offered], made)
    crystals = [_OWN[word]() for word in name[4:].split("+")]
    sample = random_orientations((1, patterns), seed=seed)
    sample["phase"] = sample["phase"] * 0 + np.arange(patterns) % len(crystals)
    camera = Camera(shape=(256, 256), pixel_size=0.013, jitter=0.15)
    table = simulate_peaks(sample, crystals, camera=camera, beam=Beam(dose=1e5), seed=seed)
    return Scan(Peaks(table), crystals, None)


def distorted(peaks: Peaks, true: Floats) -> Peaks:
    """The peaks as a file has them that knows nothing of what is true: k → D⁻¹ k / scale + c."""
    data = peaks.data.copy()
    matrix = np.linalg.inv(np.exp(true[0]) * stretch(true[1], true[2]))
    vectors = matrix @ np.stack([peaks.data[n].to_numpy().astype(float) for n in ("ky", "kx")])
    for name, values, move in zip(("ky", "kx"), vectors, true[3:], strict=True):
        data[name] = ("peak", (values + move).astype(np.float32), peaks.data[name].attrs)
        error = f"{name}_error"
        data[error] = (peaks.data[error] / np.exp(true[0])).astype(np.float32)
        data[error].attrs |= peaks.data[error].attrs
    data.attrs["pixel_size"] = peaks.pixel_size / float(np.exp(true[0]))
    return Peaks(data)


def measured(name: str, patterns: int, seed: int, *, shares: bool) -> Outcome:
    """Calibrate one scan."""
    made = scan(name, patterns, seed)
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    size, turn = rng.uniform(0, LARGEST[1]), rng.uniform(0, 2 * np.pi)
    ln_scale = rng.uniform(-1, 1) * LARGEST[0]
    shift = rng.uniform(0, LARGEST[2]) * made.peaks.pixel_size / np.exp(ln_scale)
    way = rng.uniform(0, 2 * np.pi)
    true = np.array([
        ln_scale, size * np.cos(turn), size * np.sin(turn), shift * np.cos(way), shift * np.sin(way)
    ])  # fmt: skip
    peaks = distorted(made.peaks, true)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = calibrate_scan(peaks, Instrument(made.crystals, VOLTAGE, 0.0), Matching(), seed=0)
        right = np.nan, np.nan
        if shares and made.truth is not None:
            right = (_right(peaks, made, scale="auto"), _right(made.peaks, made, scale=1))
    correction, spread = found.correction, found.rivals.spread
    error = correction.error.copy()
    error[0] = np.hypot(error[0], spread)
    return Outcome(name, true, correction.parameters, error, right)


def _right(peaks: Peaks, made: Scan, *, scale: str | float) -> float:
    maps = index(peaks, made.crystals, voltage=VOLTAGE, scale=scale, workers=1)
    assert made.truth is not None
    return float(score(maps, made.truth)["right"])


def table(outcomes: list[Outcome]) -> str:
    """Sets with rms pulls and errors, and all of them together."""
    lines = [
        "| scans | number | scale within 0.1 % | scale off, median (%) | ratio off, median (%) "
        "| rms pull: scale | ellipse | centre | right with it (%) | with the exact one (%) |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in [*dict.fromkeys(o.name for o in outcomes), "all"]:
        some = [o for o in outcomes if name in (o.name, "all")]
        true, found, error = (
            np.array([getattr(o, part) for o in some]) for part in ("true", "found", "error")
        )
        pull = (found - true) / error
        rms = [np.sqrt(np.nanmean(np.square(pull[:, i]))) for i in (slice(0, 1), slice(1, 3),
                                                                    slice(3, 5))]  # fmt: skip
        off = np.abs(found - true)
        within = f"{(off[:, 0] < 1e-3).sum()} of {len(some)}"
        right = np.array([o.right for o in some if np.isfinite(o.right).all()]).reshape(-1, 2)
        shares = " | ".join(f"{100 * r:.1f}" for r in right.mean(axis=0)) if len(right) else "– | –"
        lines.append(
            f"| {name} | {len(some)} | {within} | {100 * np.median(off[:, 0]):.4f} | "
            f"{200 * np.median(np.hypot(off[:, 1], off[:, 2])):.4f} | "
            + " | ".join(f"{r:.2f}" for r in rms)
            + f" | {shares} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print every scan, then the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", default=SETS)
    parser.add_argument("--scans", type=int, default=4)
    parser.add_argument("--first", type=int, default=0, help="number of the first scan of a set")
    parser.add_argument("--patterns", type=int, default=150)
    parser.add_argument("--shares", action="store_true")
    parser.add_argument("--write", action="store_true", help="into RESULTS.md")
    parser.add_argument("--keep", type=Path, help="file of all outcomes (.npz)")
    arguments = parser.parse_args()
    outcomes = []
    for seed in range(arguments.first, arguments.first + arguments.scans):
        for name in arguments.sets:
            began = time.process_time()
            o = measured(name, arguments.patterns, seed, shares=arguments.shares)
            outcomes.append(o)
            pulls = " ".join(f"{p:6.2f}" for p in (o.found - o.true) / o.error)
            sys.stderr.write(
                f"{name:14} {seed} scale {100 * o.true[0]:7.3f} → {100 * o.found[0]:7.3f} "
                f"± {100 * o.error[0]:.4f} %; pulls {pulls}; "
                f"{time.process_time() - began:.0f} s\n"
            )
            if arguments.keep:
                parts = {part: [getattr(x, part) for x in outcomes] for part in Outcome._fields}
                np.savez(arguments.keep, **parts)
    note = (
        f"{machine()}. Scans of {arguments.patterns} patterns; pixel size stated up to 10 % off, "
        "ellipses up to 1 %, direct beams up to 0.6 px off."
    )
    publish("scale", f"## Scale from the spots\n\n{note}\n\n{table(outcomes)}",
            dry=not arguments.write)  # fmt: skip


if __name__ == "__main__":
    main()
