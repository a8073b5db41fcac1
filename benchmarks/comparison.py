"""The published comparison on scans of known truth: how patterns are prepared, and what it brings.

python benchmarks/comparison.py [--side 16] [--dry]

F. Folastre et al., Sci. Rep. 14 (2024), s41598-024-63060-5, matched raw, averaged,
background-subtracted and reconstructed patterns of a measured scan, of which nobody knows the
truth. Here the scan is simulated. All images are matched with the same library, the same masks,
the same spot size and the same contrast; the peaks of the same scan are matched by phaseloom.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from comparison_figure import draw
from comparison_outcome import Outcome
from orientation_scoring import RIGHT, auc, misorientation
from phaseloom.crystals import Crystal, iron_phosphate, lithium_iron_phosphate
from phaseloom.diffraction.detector.correction import scan_mean
from phaseloom.diffraction.peaks.rendering import render
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.diffraction.registration import register
from phaseloom.diffraction.spots.prominence import paraboloid_background
from phaseloom.orientation import index, make_library, match
from phaseloom.orientation.certainty.reliability import correlation_reliability
from phaseloom.orientation.matching.images import match_images
from phaseloom.orientation.matching.library import Library
from phaseloom.orientation.matching.patterns import patterns_of
from phaseloom.orientation.refinement.solutions import ranked
from phaseloom.simulate import Beam, Camera, grain_map, simulate_scan
from phaseloom.simulate.workload import MIDDLE_DOSE
from results import machine, publish

if TYPE_CHECKING:
    import xarray as xr

SEED, OTHER_SEED = 2, 11
GRAINS = 14
K_MIN, K_MAX = 0.15, 1.5
"""Å⁻¹. No reflection of the two crystals is closer to the direct beam than 0.19."""

FEWEST_WRONG = 5
"""Fewer wrong answers say nothing of a ranking."""

CONTRASTS = (1.0, 0.7, 0.5, 0.35, 0.25)
IMAGE = Path(__file__).parent.parent / "docs" / "images" / "image_matching.png"


@dataclass(frozen=True)
class Case:
    """A simulated scan."""

    name: str
    precession_angle: float
    descan: tuple[tuple[float, float], tuple[float, float]]
    dose: float = 1.0


CASES = (
    Case("precession 1°, descan", 1.0, ((4.0, 1.0), (-1.0, 4.0))),
    Case("precession 1°, descan, dose 1/32", 1.0, ((4.0, 1.0), (-1.0, 4.0)), dose=1 / 32),
    Case("no precession, no descan", 0.0, ((0.0, 0.0), (0.0, 0.0))),
)


class Scan:
    """One scan with its truth, peaks and library.

    Parameters
    ----------
    name
        Of its rows in the table.
    data
        The scan, as a reader returns it.
    sample
        The truth: grains, phases (numbers of ``crystals``) and orientations.
    crystals, camera, precession_angle
        What it was simulated with.
    timed
        Everything that is timed is done once before, for what compiles.
    """

    def __init__(
        self, name: str, data: xr.Dataset, sample: xr.Dataset, crystals: list[Crystal],
        camera: Camera, precession_angle: float, *, timed: bool = True,
    ) -> None:  # fmt: skip
        self.name, self.data, self.crystals = name, data, crystals
        self.precession_angle = precession_angle
        self.timed = timed
        self.sigma = camera.sigma
        self.pixel_size = camera.pixel_size
        self.middle = camera.middle
        self.raw = self.data["counts"].to_numpy()
        grain = sample["grain"].to_numpy()
        self.inside = (maximum_filter(grain, 3) == minimum_filter(grain, 3)).ravel()
        self.phase = sample["phase"].to_numpy().ravel().astype(int)
        self.rotation = sample["rotation"].to_numpy().reshape(-1, 4)
        self.peaks, self.register_seconds = self.measured(
            lambda: Peaks(register(self.data, workers=1))
        )
        centre = [self.peaks.data[c].to_numpy().ravel() for c in ("centre_y", "centre_x")]
        self.centres = np.stack(centre, axis=1).astype(np.float64)
        self.library = make_library(
            self.crystals,
            voltage=200.0,
            precession_angle=precession_angle,
            k_max=K_MAX,
        )

    def __len__(self) -> int:
        return len(self.phase)

    def measured(self, work: Callable[[], Any]) -> tuple[Any, float]:
        """What it gives and takes, see :func:`cpu_seconds`."""
        if self.timed:
            work()
        return cpu_seconds(work)

    @property
    def images(self) -> NDArray[Any]:
        """All patterns in one row."""
        return self.raw.reshape(-1, *self.raw.shape[2:])


def simulated(case: Case, side: int, seed: int) -> Scan:
    """The scan of a case, half LiFePO4, half FePO4."""
    crystals = [lithium_iron_phosphate(), iron_phosphate()]
    sample = grain_map((side, side), [0.5, 0.5], n_grains=GRAINS, seed=seed)
    camera = Camera(descan=case.descan, jitter=0.3)
    beam = Beam(
        dose=case.dose * MIDDLE_DOSE["lfp"], precession_angle=case.precession_angle,
        intensity_spread=0.3,
    )  # fmt: skip
    data, _ = simulate_scan(sample, crystals, beam=beam, camera=camera, seed=seed)
    return Scan(case.name, data, sample, crystals, camera, case.precession_angle)


def cpu_seconds(work: Callable[[], Any]) -> tuple[Any, float]:
    """What it gives, and the CPU seconds it takes: on a busy machine more telling than a clock."""
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def without_background(images: NDArray[Any]) -> NDArray[np.float32]:
    """The published background (sliding paraboloid, a tenth of the width) subtracted."""
    values = images.astype(np.float32)
    side = 2 * max(values.shape[1:]) + 2
    line, place, border = np.empty(side, np.float32), np.empty(side, np.int64), np.empty(side + 1)
    usable = np.ones(values.shape[1:], dtype=bool)
    ground = np.empty(values.shape[1:], dtype=np.float32)
    for image in values:
        curvature = 0.5 * (float(image.max()) / 255.0) / (0.1 * values.shape[2])
        paraboloid_background(image, usable, curvature, line, place, border, ground)
        np.maximum(image - ground, 0, out=image)
    return values


def judged(scan: Scan, name: str, rotation: Any, phase: Any, **given: Any) -> Outcome:
    """An outcome, compared with the truth."""
    angle = np.full(len(scan), np.inf)
    for number, crystal in enumerate(scan.crystals):
        here = scan.phase == number
        angle[here] = misorientation(rotation[here], scan.rotation[here], crystal.laue_rotations)
    return Outcome(name, angle=angle, phase_right=np.asarray(phase) == scan.phase, **given)


def image_outcome(
    scan: Scan, name: str, prepare: Callable[[], Any], beam: Any, contrast: float
) -> Outcome:
    """Images, prepared in some way, matched as ASTAR does."""
    images, preparing = cpu_seconds(prepare)
    starts, matching = cpu_seconds(
        lambda: match_images(
            images, beam, scan.library, pixel_size=scan.pixel_size, k_min=K_MIN,
            spot_sigma=scan.sigma, exponent=contrast,
        )
    )  # fmt: skip
    found = ranked(starts)
    said = correlation_reliability(found, scan.library)
    return judged(
        scan, name, found.rotation[:, 0], found.crystal[:, 0],
        quality=found.fact("correlation")[:, 0],
        orientation_reliability=said.orientation_reliability,
        phase_reliability=said.phase_reliability,
        size=2.0 * images[0].size,  # 16 bits
        seconds=(preparing + matching) / len(scan),
    )  # fmt: skip


def plain_outcome(scan: Scan) -> Outcome:
    """The published formula as it stands, on raw patterns."""
    raw = scan.images
    return image_outcome(scan, "raw, contrast 1", lambda: raw, scan.centres, 1.0)


def image_outcomes(scan: Scan, contrast: float) -> list[Outcome]:
    """All ways of preparing images."""
    raw, centres = scan.images, scan.centres
    beam = tuple(n // 2 for n in raw.shape[1:])

    def averaged() -> NDArray[np.float32]:
        return scan_mean(scan.raw, above=False, below=False).reshape(raw.shape)

    def rebuilt() -> NDArray[np.float32]:
        return render(scan.peaks, sigma=scan.sigma).block(slice(0, len(scan)))

    rebuilding = image_outcome(scan, "registered, rebuilt", rebuilt, beam, contrast)
    return [
        image_outcome(scan, "raw, one centre", lambda: raw, scan.middle, contrast),
        image_outcome(scan, "raw", lambda: raw, centres, contrast),
        image_outcome(scan, "3 × 3 mean", averaged, centres, contrast),
        image_outcome(
            scan, "background off", lambda: without_background(raw), centres, contrast
        ),
        replace(rebuilding, seconds=rebuilding.seconds + scan.register_seconds / len(scan)),
    ]  # fmt: skip


def peak_outcomes(scan: Scan) -> list[Outcome]:
    """phaseloom's matching alone, and the whole of it."""
    peaks = scan.peaks if scan.peaks.units == "Å⁻¹" else scan.peaks.calibrated(scan.pixel_size)
    library: Library = scan.library
    patterns = patterns_of(peaks, k_min=K_MIN, k_max=K_MAX)
    starts, matching = scan.measured(lambda: match(patterns, library))
    best = ranked(starts)
    said = correlation_reliability(best, library)
    size = stored_bytes(peaks) / len(scan)
    before = scan.register_seconds / len(scan)
    options = {
        "voltage": 200.0, "precession_angle": scan.precession_angle, "k_max": K_MAX,
        "workers": 1,
    }  # fmt: skip
    whole, indexing = scan.measured(lambda: index(peaks, scan.crystals, **options))
    flat = {
        name: whole[name].to_numpy().ravel().astype(np.float64)
        for name in (
            "correlation", "orientation_reliability", "phase_reliability", "probability", "phase"
        )
    }  # fmt: skip
    phase = flat.pop("phase").astype(int)
    return [
        judged(
            scan, "peaks, matching", best.rotation[:, 0], best.crystal[:, 0],
            quality=best.fact("correlation")[:, 0],
            orientation_reliability=said.orientation_reliability,
            phase_reliability=said.phase_reliability,
            size=size, seconds=before + matching / len(scan),
        ),
        judged(
            scan, "peaks, refined", whole["rotation"].to_numpy().reshape(-1, 4), phase,
            quality=flat.pop("correlation"), size=size, seconds=before + indexing / len(scan),
            **flat,
        ),
    ]  # fmt: skip


def stored_bytes(peaks: Peaks) -> int:
    """Of the peak table as a file, compressed as zarr does."""
    from phaseloom.compute.checkpoints import Checkpoints

    with tempfile.TemporaryDirectory() as folder:
        Checkpoints(Path(folder)).stage("peaks", "register", "x", lambda: peaks.data, first=True)
        return sum(f.stat().st_size for f in Path(folder).rglob("*") if f.is_file())


def best_contrast(scan: Scan) -> tuple[float, str]:
    """The contrast that serves *raw* patterns of a scan best; and all that were tried."""
    shares = {}
    for contrast in CONTRASTS:
        found = image_outcome(scan, "raw", lambda: scan.images, scan.centres, contrast)
        shares[contrast] = 100 * float(found.right.mean())
    text = ", ".join(f"{c:g}: {share:.0f} %" for c, share in shares.items())
    return max(shares, key=lambda c: shares[c]), text


def row(scan: Scan, o: Outcome, *, seconds: bool = True) -> str:
    """One line of the table, with the time that it took or without."""
    middle = np.nanmedian(o.quality)
    high = o.quality >= middle

    def spread(values: NDArray[np.float64], digits: int) -> str:
        low, mid, top = np.nanpercentile(values, [25, 50, 75])
        return f"{mid:.{digits}f} ({low:.{digits}f}–{top:.{digits}f})"

    few = (~o.right).sum() < FEWEST_WRONG

    def ranks(score: NDArray[np.float64] | None) -> str:
        return "–" if few or score is None else _number(auc(score, o.right))

    return (
        f"| {scan.name} | {o.name} | {spread(o.quality, 2)} | "
        f"{spread(o.orientation_reliability, 0)} | "
        f"{spread(o.phase_reliability, 0)} | {100 * (o.angle <= RIGHT).mean():.1f} | "
        f"{np.median(o.angle):.2f} | {100 * (~o.phase_right).mean():.1f} | "
        f"{100 * o.right.mean():.1f} | {100 * o.right[scan.inside].mean():.1f} | "
        f"{100 * (~o.right[high]).mean():.1f} | {ranks(o.quality)} / "
        f"{ranks(o.orientation_reliability)} / {ranks(o.probability)} | {o.size / 1000:.1f} |"
        + (f" {_number(o.seconds, 3)} |" if seconds else "")
    )


def _number(value: float, digits: int = 2) -> str:
    return f"{value:.{digits}f}" if np.isfinite(value) else "–"


def section(lines: list[str], counts: list[str], contrast: float, tried: str, n: int) -> str:
    """Text and table for RESULTS.md."""
    return "\n".join(
        [
            "## Images or peaks",
            "",
            f"{machine()}. Scans of {n} patterns of {GRAINS} grains, half LiFePO₄, half FePO₄ "
            "(cells that differ by 5 % along a), 256² px, 200 kV, kinematic intensities of a 120 Å "
            "wedge varied by 0.3 (log-normal), Poisson noise, background; "
            + "; ".join(counts)
            + ". Images are matched as ASTAR does "
            "(`phaseloom.orientation.matching.images`), with the same library (2°), mask "
            f"({K_MIN} to {K_MAX} Å⁻¹), spot size and contrast for all. The contrast, a power of "
            f"the counts and of the template's intensities, is {contrast:g}, the best for *raw* "
            f"patterns of another scan ({tried} right); “contrast 1” is the published formula "
            "as it stands. “Raw, one centre” has the direct beam in the middle "
            "of the scan for all patterns; all others have it where registration found it. Medians "
            "(quartiles). Right: within 3° and of the right phase; inside grains: all nine "
            "neighbours are of one grain; AUC: chance that a right "
            f"answer scores above a wrong one, where there are {FEWEST_WRONG} wrong ones. Q and "
            "reliability of peaks are sums over spots, not over pixels: compare them with "
            "themselves. 16 bits per pixel; the peak table as "
            "it is stored. CPU seconds of one thread with all preparation, registration among it, "
            "without the library; registration and refinement look at a sample first, once per "
            "scan, which is in their seconds.",
            "",
            *head(),
            *lines,
        ]
    )


def head(*, seconds: bool = True) -> list[str]:
    """The two lines above the rows."""
    names = [
        "setting", "prepared", "Q", "orientation reliability", "phase reliability",
        f"within {RIGHT:.0f}° (%)", "median (°)", "wrong phase (%)", "right (%)",
        "right inside grains (%)", "wrong in the upper half of Q (%)",
        "AUC of Q / reliability / probability", "kB per pattern",
    ] + ["CPU s per pattern"] * seconds  # fmt: skip
    return ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=16, help="scan positions along y and x")
    parser.add_argument("--dry", action="store_true", help="print the table, write nothing")
    given = parser.parse_args()
    contrast, tried = best_contrast(simulated(CASES[0], min(given.side, 12), OTHER_SEED))
    lines, counts = [], []
    for case in CASES:
        scan = simulated(case, given.side, SEED)
        spots = float(scan.peaks.count.mean())
        counts.append(f"{case.name}: {spots:.0f} spots found per pattern")
        outcomes = [plain_outcome(scan), *image_outcomes(scan, contrast), *peak_outcomes(scan)]
        lines += [row(scan, o) for o in outcomes]
        if case is CASES[0] and not given.dry:
            draw(outcomes, scan.inside, IMAGE)
        sys.stderr.write("\n".join(lines[-len(outcomes) :]) + "\n")
    text = section(lines, counts, contrast, tried, given.side**2)
    publish("images or peaks", text, dry=given.dry)


if __name__ == "__main__":
    main()
