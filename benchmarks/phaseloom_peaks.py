"""phaseloom's peak finder for the benchmarks, and through the interface of peers/common.py."""

from __future__ import annotations

from functools import partial
from math import isqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import phaseloom
from peers.common import main
from phaseloom.compute.blocks import row_blocks, run_blocks
from phaseloom.compute.execution import Execution
from phaseloom.diffraction import Peaks
from phaseloom.diffraction.options import Centring, DetectorCorrection, SpotSearch
from phaseloom.diffraction.registration import peaks_of_block, register
from phaseloom.diffraction.survey import survey_sample
from phaseloom.io.scans import as_scan

if TYPE_CHECKING:
    import xarray as xr

DEFAULTS: dict[str, dict[str, Any]] = {"defaults": {}, "chain": {"chain": True}}

COLUMNS = ("row", "column", "intensity", "row_error", "column_error", "intensity_error")


def scan_of(patterns: NDArray[Any]) -> xr.Dataset:
    """Patterns (n, ky, kx) as a scan: a square one if n is a square number, else a line."""
    side = isqrt(len(patterns))
    shape = (side, side) if side**2 == len(patterns) else (1, len(patterns))
    return as_scan(patterns.reshape(*shape, *patterns.shape[1:]))


def registered(scan: xr.Dataset, threads: int = 2, **options: Any) -> dict[str, NDArray[Any]]:
    """Spots of a scan in px, with defaults but for the options given.

    Returns ``offset`` (n + 1) and, flat, ``COLUMNS``: positions in px on the detector, integrated
    counts, and their standard errors.
    """
    peaks = Peaks(register(scan, workers=threads, **options))
    row, column = peaks.on_detector()
    names = ("intensity", "ky_error", "kx_error", "intensity_error")
    values = [peaks.data[name].to_numpy().astype(float) for name in names]
    table = dict(zip(COLUMNS, (row, column, values[0], *values[1:]), strict=True))
    return {"offset": peaks.offset, **table}


def phaseloom_peaks(
    patterns: NDArray[Any], threads: int = 2, **options: Any
) -> dict[str, NDArray[Any]]:
    """Spots of patterns (n, ky, kx), as :func:`registered` gives them."""
    return registered(scan_of(patterns), threads, **options)


def prepare(patterns: NDArray[Any], settings: dict[str, Any], threads: int) -> Any:
    """All of the chain, or the registration alone with what the sample told, as peers have it."""
    scan = scan_of(patterns)

    def chain() -> list[NDArray[Any]]:
        found = registered(scan, threads)
        table = np.stack([found[c] for c in ("row", "column", "intensity")], axis=1)
        return np.split(table, found["offset"][1:-1])

    if settings.get("chain"):
        return chain
    correction, beam, finder = survey_sample(
        scan,
        {"dark": None, "gain": None, "mask": None},
        correction=DetectorCorrection(),
        centring=Centring(),
        search=SpotSearch(),
        seed=0,
    )
    work = partial(
        peaks_of_block,
        finder=finder,
        correction=correction,
        beam=beam,
        mean=False,
        prominent=False,
    )
    blocks = row_blocks(scan, bytes=16 * 2**20)

    def detect() -> list[NDArray[Any]]:
        parts = dict(run_blocks(work, blocks, Execution(workers=threads)))
        tables = []
        for block in blocks:
            part = parts[block.index]
            table = np.stack([part[c].to_numpy() for c in ("row", "column", "intensity")], axis=1)
            tables += np.split(table, np.cumsum(part["number"].to_numpy())[:-1])
        return tables

    return detect


if __name__ == "__main__":
    main(prepare, DEFAULTS, f"phaseloom {phaseloom.__version__}")
