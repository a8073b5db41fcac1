"""Grains whose orientation varies within: how many are found, and what is said; fills RESULTS.md.

python benchmarks/component_spread.py [--seeds 1] [--dry]

Nine grains whose orientation varies from position to position at random, or steadily over the
grain (bent), with a standard deviation of 0.2° to 2° about each of three axes.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from components_scoring import f1, labels_right, true_overlaps
from components_workload import APART, DETECTOR, FEWEST, SIDE, shares_of
from orientation_scoring import HALF_TURN, misorientation, product
from phaseloom.components import cluster
from phaseloom.crystals import Crystal, gold, lithium_iron_phosphate
from phaseloom.simulate import Beam, Camera, grain_map, simulate_scan
from results import machine, publish

if TYPE_CHECKING:
    import xarray as xr

Kind = Literal["random", "bent"]

GRAINS = 9
SPREADS = (0.2, 0.5, 1.0, 1.5, 2.0)
DOSE = 1e4
CRYSTALS = {"LiFePO₄": lithium_iron_phosphate, "gold": gold}


def simulated(
    kind: Kind, spread: float, crystal: Crystal, seed: int
) -> tuple[xr.Dataset, NDArray[np.float64]]:
    """A scan, and the true shares (positions, grains)."""
    sample = _sample(kind, spread, crystal, seed)
    camera = Camera(
        shape=(DETECTOR, DETECTOR), pixel_size=1.5 / (0.47 * DETECTOR), sigma=1.3, background=0.2,
        background_width=15.0,
    )  # fmt: skip
    beam = Beam(dose=DOSE, precession_angle=0.8)
    scan, _ = simulate_scan(sample, [crystal], beam=beam, camera=camera, seed=seed)
    return scan, shares_of(sample, GRAINS)


def _sample(kind: Kind, spread: float, crystal: Crystal, seed: int) -> xr.Dataset:
    for attempt in range(2000):
        options: dict[str, Any] = {
            "n_grains": GRAINS, "overlap_width": 2.0, "seed": 1000 * seed + attempt,
        }  # fmt: skip
        sample = grain_map((SIDE, SIDE), (1.0,), spread=0.0, **options)
        label = sample["grain"].to_numpy().ravel()
        large = np.bincount(label, minlength=GRAINS).min() >= FEWEST
        if large and _apart(sample, label, crystal) >= APART:
            if kind == "random":
                return grain_map((SIDE, SIDE), (1.0,), spread=spread, **options)
            return _bent(sample, spread, np.random.default_rng(seed + 77))
    raise SystemExit(f"no map of {GRAINS} grains of {FEWEST} positions or more")


def _bent(sample: xr.Dataset, spread: float, rng: np.random.Generator) -> xr.Dataset:
    """Every grain turned about each axis in proportion to the place along some direction."""
    y, x = np.indices((SIDE, SIDE))
    first = sample["grain"].to_numpy()
    turn = np.empty((GRAINS, SIDE, SIDE, 3))
    for grain in range(GRAINS):
        for axis in range(3):
            along = np.tensordot(rng.standard_normal(2), np.stack([y, x]), 1)
            inside = along[first == grain]
            turn[grain, ..., axis] = np.radians(spread) * (along - inside.mean()) / inside.std()
    bent = sample.copy()
    for suffix in ("", "_2"):
        grain = sample[f"grain{suffix}"].to_numpy()
        vector = np.take_along_axis(turn, grain[None, ..., None], axis=0)[0]
        angle = np.linalg.norm(vector, axis=-1, keepdims=True)
        quaternion = np.concatenate(
            [np.cos(angle / 2), vector / 2 * np.sinc(angle / (2 * np.pi))], axis=-1
        )
        turned = product(quaternion, sample[f"rotation{suffix}"].to_numpy())
        bent[f"rotation{suffix}"] = (("y", "x", "quaternion"), turned)
    return bent


def _apart(sample: xr.Dataset, label: NDArray[Any], crystal: Crystal) -> float:
    """Smallest angle between two grains' orientations, in degrees."""
    rotation = sample["rotation"].to_numpy().reshape(-1, 4)
    one = rotation[[int(np.flatnonzero(label == g)[0]) for g in range(GRAINS)]]
    a, b = np.triu_indices(GRAINS, 1)
    laue = crystal.laue_rotations
    turned = product(one[a], HALF_TURN)
    return float(min(misorientation(x, one[b], laue).min() for x in (one[a], turned)))


def scored(scan: xr.Dataset, shares: NDArray[np.float64]) -> dict[str, Any]:
    """Cluster one scan with the defaults, and compare with the truth."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = cluster(scan)
    label = found["label"].to_numpy().ravel()
    label = np.where(label == found.attrs["background"], -1, label)
    true = shares.argmax(axis=1)
    overlap = found["overlap"].isel(threshold=0).to_numpy().ravel()
    known = overlap >= 0
    return {
        "found": int(found.attrs["grains"]),
        "ari": float(adjusted_rand_score(true, label)),
        "right": labels_right(label, true),
        "overlap_f1": f1(overlap[known] > 0, true_overlaps(shares)[known]),
        "unknown": float(np.mean(~known)),
        "steadily": int((found["shared_variation"] >= found.attrs["shared_variation_limit"]).sum()),
        "singly": int((found["variation"] >= found.attrs["variation_limit"]).sum()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1, help="scans of each kind")
    parser.add_argument("--dry", action="store_true", help="print the table, write nothing")
    given = parser.parse_args()
    rows = []
    kinds: tuple[Kind, Kind] = ("random", "bent")
    for kind in kinds:
        for name, crystal in CRYSTALS.items():
            for spread in SPREADS:
                some = [
                    scored(*simulated(kind, spread, crystal(), seed)) for seed in range(given.seeds)
                ]
                sys.stderr.write(f"{kind} {name} {spread}: {json.dumps(some)}\n")
                mean = {key: float(np.mean([one[key] for one in some])) for key in some[0]}
                number = ", ".join(str(one["found"]) for one in some)
                rows.append(
                    f"| {kind} | {name} | {spread:g} | {number} | {mean['ari']:.2f} | "
                    f"{100 * mean['right']:.0f} | {mean['overlap_f1']:.2f} | "
                    f"{100 * mean['unknown']:.0f} | {mean['steadily']:g} | {mean['singly']:g} |"
                )
    text = "\n".join(
        [
            "## Grains whose orientation varies",
            "",
            f"{machine()}. Simulated scans of {SIDE} × {SIDE} positions, {DETECTOR}² px and "
            f"{DOSE:g} electrons per pattern, {GRAINS} grains, {given.seeds} of each kind; "
            "orientations vary about each of three axes by this standard deviation, from position "
            "to position at random or steadily over every grain (bent). `cluster` with its "
            "defaults: grains found, agreement of labels and grains (adjusted Rand index), "
            "positions labelled right, F1 of overlaps where they are called, positions where they "
            "are not; components of which it is said that they change steadily, or vary.",
            "",
            "| orientations | crystal | spread (°) | found | ARI | right (%) | overlap F1 "
            "| not called (%) | said: steadily | said: vary |",
            "|" + "---|" * 10,
            *rows,
        ]
    )
    publish("grains of varying orientation", text, dry=given.dry)


if __name__ == "__main__":
    main()
