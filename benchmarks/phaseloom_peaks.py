"""phaseloom's peak finder for the benchmarks, and through the interface of peers/common.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import phaseloom
from peers.common import main

DEFAULTS: dict[str, dict[str, Any]] = {"defaults": {}}

COLUMNS = ("row", "column", "intensity", "row_error", "column_error", "intensity_error")


def phaseloom_peaks(patterns: NDArray[Any], threads: int = 2) -> dict[str, NDArray[Any]]:
    """Spots of patterns (n, ky, kx), with defaults only.

    Returns ``offset`` (n + 1) and, flat, ``COLUMNS``: positions in px on the detector, integrated
    counts, and their standard errors.
    """
    raise NotImplementedError("to be filled with phaseloom.diffraction's call")


def stated_false_alarms() -> float:
    """False peaks per pattern that the default threshold states for noise alone."""
    raise NotImplementedError("to be filled with the finder's default")


def prepare(patterns: NDArray[Any], _: dict[str, Any], threads: int) -> Any:
    def detect() -> list[NDArray[Any]]:
        found = phaseloom_peaks(patterns, threads)
        table = np.stack([found[c] for c in ("row", "column", "intensity")], axis=1)
        return np.split(table, found["offset"][1:-1])

    return detect


if __name__ == "__main__":
    main(prepare, DEFAULTS, f"phaseloom {phaseloom.__version__}")
