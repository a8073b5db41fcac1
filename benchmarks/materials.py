"""The published claims again, on other materials and with spots that other programs found.

python benchmarks/materials.py [--side 8] [--only NAME ...] [--simulators NAME ...] [--folder F]
    [--kept] [--seconds] [--dry]

What comparison.py does with LiFePO4 and FePO4 (F. Folastre et al., Sci. Rep. 14 (2024),
s41598-024-63060-5) is done here with Na3V2(PO4)2F3 and cells 1 to 3 % off, a pair of perovskites,
and a layered oxide with its rock salt, on scans of two simulators (material_scans.py). Spots found
by ePattern and py4DSTEM are rebuilt and matched as images in the same way as phaseloom's. Outcomes
stay in the folder, if one is given, and are taken from there.
"""

from __future__ import annotations

import argparse
import json
import pickle
import sys
import tempfile
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comparison import (
    GRAINS,
    K_MIN,
    OTHER_SEED,
    SEED,
    Scan,
    head,
    image_outcome,
    image_outcomes,
    peak_outcomes,
    row,
)
from comparison_outcome import Outcome
from material_scans import MATERIALS, RELROD, SIMULATORS, material_scan
from materials_figure import draw
from peaks import SETTINGS, result, run_peer
from phaseloom.simulate.patterns import add_spots
from results import machine, publish

CONTRAST = 0.35
"""What serves raw patterns best in comparison.py."""

QUANTILES = (0.995, 0.9995)
TUNING_SIDE, TUNING_GRAINS = 4, 6
SKIPPED = ("raw, one centre",)
IMAGE = Path(__file__).parent.parent / "docs" / "images" / "materials.png"

Table = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


@dataclass(frozen=True)
class Finder:
    """Another program whose spots are rebuilt."""

    name: str
    runner: str
    mode: str
    tuned: str | None = None  # of peers/settings.json


FINDERS = (
    Finder("ePattern's defaults, rebuilt", "epattern", "defaults"),
    Finder("ePattern's README, rebuilt", "epattern", "readme"),
    Finder("py4DSTEM, rebuilt", "py4dstem", "poly", "py4dstem"),
)


def base_settings(finder: Finder) -> dict[str, Any]:
    """A finder's settings: py4DSTEM's are those tuned on LiFePO4."""
    if finder.tuned is None:
        return {}
    tuned = json.loads(SETTINGS.read_text(encoding="utf-8"))[finder.tuned]["lfp mid"]
    return dict(tuned)


def peer_spots(
    finder: Finder, scan: Scan, settings: list[dict[str, Any]], threads: int = 1
) -> list[Table]:
    """Offset, position and strength of the spots it finds, for every one of several settings."""
    with tempfile.TemporaryDirectory() as folder:
        out = run_peer(
            finder.runner, finder.mode, scan.images, Path(folder), settings, threads=threads,
            once=True,
        )  # fmt: skip
    return [result(out, i) for i in range(len(settings))]


def rebuilt(scan: Scan, table: Table) -> NDArray[np.float32]:
    """Images of the spots, the direct beam in the middle.

    The direct beam is the strongest spot, of several the one next to the middle, as ePattern has
    it. Spots are as wide as the scan's.
    """
    offset, position, strength = table
    shape = scan.images.shape[1:]
    middle = np.array([n // 2 for n in shape], dtype=float)
    at = position.copy()
    for first, last in pairwise(offset):
        if first < last:
            here = slice(int(first), int(last))
            near = np.linalg.norm(position[here] - middle, axis=1)
            top = strength[here] >= strength[here].max()
            at[here] += middle - position[here][np.where(top, near, np.inf).argmin()]
    images = np.zeros((len(offset) - 1, *shape), dtype=np.float32)
    add_spots(
        images, offset, at[:, 0].copy(), at[:, 1].copy(), strength.astype(float), scan.sigma, 0.0
    )
    return images


def rebuilt_outcome(scan: Scan, name: str, table: Table) -> Outcome:
    """Rebuilt images matched as ASTAR does."""
    beam = tuple(n // 2 for n in scan.images.shape[1:])
    return image_outcome(scan, name, lambda: rebuilt(scan, table), beam, CONTRAST)


def best_quantile(finder: Finder, key: str, folder: Path) -> float:
    """The grey values with which most patterns of another scan come out right."""
    scan = material_scan(key, "phaseloom", TUNING_SIDE, OTHER_SEED, folder, grains=TUNING_GRAINS)
    tables = peer_spots(finder, scan, [{"quantile": q} for q in QUANTILES])
    shares = [rebuilt_outcome(scan, "", table).right.mean() for table in tables]
    return QUANTILES[int(np.argmax(shares))]


def kept(path: Path, make: Any) -> Any:
    """What ``make`` gives, from the file where it was made before."""
    if not path.exists():
        made = make()
        path.write_bytes(pickle.dumps(made))
    return pickle.loads(path.read_bytes())


def quantile_of(finder: Finder, key: str, folder: Path) -> float:
    """The same for all strains of one crystal, and kept."""
    family = "_".join(MATERIALS[key].files)
    path = folder / f"quantile_{finder.mode}_{family}.pickle"
    return float(kept(path, lambda: best_quantile(finder, key, folder)))


def settings_of(finder: Finder, key: str, folder: Path) -> dict[str, Any]:
    """A finder's settings for a material."""
    if finder.runner == "epattern":
        return {"quantile": quantile_of(finder, key, folder)}
    return base_settings(finder)


@dataclass(frozen=True)
class Measured:
    """All outcomes of one scan, and what the figure and the table need of it."""

    name: str
    spots: float
    inside: NDArray[np.bool_]
    outcomes: list[Outcome]
    rows: list[str]


def measure(key: str, simulator: str, side: int, folder: Path, seconds: bool) -> Measured:
    """All ways on one scan."""
    scan = material_scan(key, simulator, side, SEED, folder, timed=seconds)
    outcomes = [o for o in image_outcomes(scan, CONTRAST) if o.name not in SKIPPED]
    for finder in FINDERS:
        (table,) = peer_spots(finder, scan, [settings_of(finder, key, folder)])
        found = rebuilt_outcome(scan, finder.name, table)
        outcomes.append(replace(found, seconds=np.nan))  # without finding the spots
    outcomes += peak_outcomes(scan)
    rows = [row(scan, o, seconds=seconds) for o in outcomes]
    return Measured(scan.name, float(scan.peaks.count.mean()), scan.inside, outcomes, rows)


def section(measured: list[Measured], n: int, seconds: bool, greys: str) -> str:
    """Text and table for RESULTS.md."""
    spots = "; ".join(f"{m.name}: {m.spots:.0f}" for m in measured)
    return "\n".join(
        [
            "## Images or peaks, other materials",
            "",
            f"{machine()}. Made as “images or peaks”, on {n} patterns of {GRAINS} grains per scan, "
            "half of each phase, precession of 1°, descan of 4 px; spots found by phaseloom per "
            f"pattern: {spots}. “Cells 1 % apart”: the second phase has a and b shorter by 1 %, c "
            "longer by 0.5 %, and the same atoms. “phaseloom”: scans of its own simulator "
            "(kinematic, 120 Å wedge); “independent”: structure factors by gemmi with the "
            "scattering factors of the "
            f"International Tables, Gaussian rel-rods of {RELROD} Å⁻¹, geometry of its own; both "
            "with intensities varied by 0.3 (log-normal) and Poisson noise. Contrast of all images "
            f"{CONTRAST}, mask from {K_MIN} Å⁻¹. ePattern 1.2.1 at the defaults of its function "
            "and with the call in its README, on grey values of 8 bits (brightest pixels cut off, "
            f"how many as best on another scan: {greys}); py4DSTEM 0.14.18 with the settings tuned "
            "on LiFePO₄; their spots are rebuilt and matched like phaseloom's, the strongest one "
            "being the direct beam. CPU seconds of peers' spots are not counted.",
            "",
            *head(seconds=seconds),
            *(line for m in measured for line in m.rows),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=8, help="scan positions along y and x")
    parser.add_argument("--only", nargs="+", choices=[*MATERIALS], default=[*MATERIALS])
    parser.add_argument("--simulators", nargs="+", choices=SIMULATORS, default=SIMULATORS)
    parser.add_argument("--folder", type=Path, help="keep outcomes here between runs")
    parser.add_argument("--kept", action="store_true", help="measure nothing, take what is there")
    parser.add_argument("--seconds", action="store_true", help="CPU seconds as a column")
    parser.add_argument("--dry", action="store_true", help="print the table, write nothing")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        measured = []
        for key in given.only:
            for simulator in given.simulators:
                path = folder / f"{key}_{simulator}_{given.side}.pickle"
                if given.kept and not path.exists():
                    continue
                made = kept(
                    path,
                    lambda key=key, simulator=simulator: measure(
                        key, simulator, given.side, folder, given.seconds
                    ),
                )
                measured.append(made)
                sys.stderr.write("\n".join(made.rows) + "\n")
        greys = "; ".join(
            f"{finder.mode}, {MATERIALS[key].name.partition(',')[0]}: "
            f"{100 * (1 - quantile_of(finder, key, folder)):.2g} %"
            for finder in FINDERS
            if finder.runner == "epattern"
            for key in {MATERIALS[key].files: key for key in given.only}.values()
        )
    if not given.dry:
        draw([(m.name, m.outcomes, m.inside) for m in measured], IMAGE)
    publish(
        "other materials", section(measured, given.side**2, given.seconds, greys), dry=given.dry
    )


if __name__ == "__main__":
    main()
