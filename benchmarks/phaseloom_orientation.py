"""phaseloom's orientation mapping for the benchmark, with the files of peers/orientation_common.py.

    python phaseloom_orientation.py peaks.npz out.npz --crystals a.cif [b.cif] --threads 2
        [--mode MODE] [--first N] [--shape ROWS COLUMNS]

Modes: ``defaults`` and ``context`` are the whole chain, refinement and probabilities included;
``matching`` is the comparison with templates alone. ``index`` makes its library itself: what it
takes for one pattern counts as the library's, and what all patterns take beyond that as matching.
The chain's output has ``probability`` besides.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr

import phaseloom
from peers.common import peak_mb, runs
from phaseloom.crystals import Crystal, read_crystal
from phaseloom.diffraction.peaks.table import COLUMNS, Peaks
from phaseloom.orientation import index, make_library, match
from phaseloom.orientation.matching.patterns import direct_beam_radius, patterns_of

SIDE = 256

COMMON = {"voltage": 200.0, "k_max": 1.5, "zone_step": 2.0, "in_plane_step": 2.0}

MODES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "matching": {},
    "context": {"context": True},
}


def peaks_of(path: str, first: int | None, shape: tuple[int, int] | None) -> Peaks:
    """The peaks file as a table of a scan of this shape, a line by default."""
    with np.load(path) as file:
        offset = file["offset"][: None if first is None else first + 1]
        columns = {name: file[name][: offset[-1]].astype(np.float32) for name in COLUMNS}
        pixel_size, spot_sigma = float(file["pixel_size"]), float(file["spot_sigma"])
    rows, width = shape or (1, len(offset) - 1)
    units = {name: "Å⁻¹" for name in COLUMNS if name.startswith("k")}
    middle = np.full((rows, width), SIDE / 2, dtype=np.float32)
    data = xr.Dataset(
        {
            name: ("peak", values, {"units": units.get(name, "counts")})
            for name, values in columns.items()
        }
        | {name: (("y", "x"), middle, {"units": "px"}) for name in ("centre_y", "centre_x")}
        | {"offset": ("edge", offset.astype(np.int64))},
        coords={
            "y": ("y", np.arange(rows, dtype=float), {"units": "px"}),
            "x": ("x", np.arange(width, dtype=float), {"units": "px"}),
        },
        attrs={
            "pixel_size": pixel_size,
            "pixel_size_units": "Å⁻¹",
            "distortion": [1.0, 0.0, 0.0, 1.0],
            "detector_shape": [SIDE, SIDE],
            "spot_sigma": spot_sigma,
        },
    )
    return Peaks(data)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("peaks")
    parser.add_argument("out")
    parser.add_argument("--crystals", nargs="+", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--mode", choices=sorted(MODES), default="defaults")
    parser.add_argument("--first", type=int, help="only so many patterns")
    parser.add_argument("--shape", type=int, nargs=2, help="rows and columns of the scan")
    given = parser.parse_args()
    peaks = peaks_of(given.peaks, given.first, given.shape)
    crystals = [read_crystal(path) for path in given.crystals]
    measure = matched if given.mode == "matching" else indexed
    arrays, zones = measure(peaks, crystals, given.threads, MODES[given.mode])
    about = {
        "version": f"phaseloom {phaseloom.__version__}",
        "mode": given.mode,
        "threads": given.threads,
        "peak_mb": peak_mb(),
        "zones": zones,
    }
    np.savez(given.out, about=np.array(json.dumps(about)), **arrays)


def indexed(
    peaks: Peaks, crystals: list[Crystal], threads: int, mode: dict[str, Any]
) -> tuple[dict[str, Any], int]:
    """The whole chain."""
    options = {**COMMON, "workers": threads, **mode}
    _, one = runs(lambda: index(peaks[0, 0], crystals, **options), False)
    found, every = runs(lambda: index(peaks, crystals, **options), False)
    library = float(np.median(one))
    flat = {
        name: found[name].to_numpy().ravel() for name in ("phase", "correlation", "probability")
    }
    return {
        "rotation": found["rotation"].to_numpy().reshape(-1, 4),
        "phase": flat["phase"],
        "score": flat["correlation"],
        "reliability": flat["probability"],
        "probability": flat["probability"],
        "seconds": np.array(every) - library,
        "library_seconds": library,
    }, found.attrs["zones"]


def matched(
    peaks: Peaks, crystals: list[Crystal], threads: int, _mode: dict[str, Any]
) -> tuple[dict[str, Any], int]:
    """Templates alone, as the other programs' matching: the best of the better crystal."""
    library, building = runs(lambda: make_library(crystals, **COMMON), False)
    radius = direct_beam_radius(peaks)
    patterns = patterns_of(peaks, k_min=radius, k_max=COMMON["k_max"])
    edges = np.unique(np.linspace(0, len(patterns), 8 * threads + 1).astype(int))
    parts = [patterns.part(*ends) for ends in pairwise(edges)]
    with ThreadPoolExecutor(threads) as pool:
        found, seconds = runs(lambda: list(pool.map(lambda p: match(p, library), parts)), False)
    rotation = np.concatenate([one.rotation[:, :, 0] for one in found])
    correlation = np.concatenate([one.correlation[:, :, 0] for one in found])
    phase = np.nan_to_num(correlation, nan=-1.0).argmax(axis=1)
    n = np.arange(len(phase))
    return {
        "rotation": rotation[n, phase],
        "phase": phase,
        "score": correlation[n, phase],
        "reliability": np.full(len(n), np.nan),
        "seconds": np.array(seconds),
        "library_seconds": float(np.median(building)),
    }, library.n_zones


if __name__ == "__main__":
    main()
