"""Shared fixtures: the measured data, which stay outside the repository."""

from __future__ import annotations

import os
from pathlib import Path

# One thread per test process: several processes whose pools share two cores crawl.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Processes that compile the same functions at once spoil numba's cache for each other, and a
# spoilt one ends in a segmentation fault: each process of a parallel run has its own.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault(
        "NUMBA_CACHE_DIR",
        str(Path(__file__).parents[1] / ".numba_cache" / os.environ["PYTEST_XDIST_WORKER"]),
    )

import numpy as np
import pytest
import xarray as xr
from hypothesis import settings

# The first example pays for imports and compilation: time says nothing of the code.
# The same examples in every run; `pytest --hypothesis-profile explore` draws others.
settings.register_profile("phaseloom", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile("phaseloom")


@pytest.fixture(scope="session")
def measured() -> Path:
    """Folder of measured data; without it the test is skipped, loudly.

    ``PHASELOOM_DATA`` names it; otherwise ``shared/data`` beside the repository is looked for.
    """
    named = os.environ.get("PHASELOOM_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not (folder / "README.md").is_file():
        pytest.skip(f"MEASURED DATA ABSENT: {folder} not found; set PHASELOOM_DATA to test on it")
    return folder


@pytest.fixture(scope="session")
def cases() -> Path:
    """Folder of small inputs that used to go wrong; without it the test is skipped, loudly.

    ``PHASELOOM_CASES`` names it; otherwise ``shared/cases`` beside the repository is looked for.
    """
    named = os.environ.get("PHASELOOM_CASES")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "cases"
    if not (folder / "README.md").is_file():
        pytest.skip(f"CASES ABSENT: {folder} not found; set PHASELOOM_CASES to test on them")
    return folder


@pytest.fixture
def orientation_map() -> xr.Dataset:
    """An orientation result of two phases in the shape of an F, with two solutions per pixel.

    Unindexed pixels all around; in one pixel context chose the second solution, and in one row
    there is only one.
    """
    from phaseloom.crystals import gold, lithium_iron_phosphate, to_json

    phase = np.full((6, 8), -1, dtype=np.int16)
    for part, label in (
        (np.s_[0, 0:4], 0), (np.s_[0:5, 0], 0), (np.s_[2, 0:3], 0), (np.s_[1:4, 5:7], 1),
    ):  # fmt: skip
        phase[part] = label
    indexed = phase >= 0
    rng = np.random.default_rng(0)
    rotation = rng.normal(size=(2, *phase.shape, 4))
    rotation /= np.linalg.norm(rotation, axis=-1, keepdims=True)
    rotation[:, ~indexed] = np.nan
    best = np.sort(rng.uniform(0.1, 1, size=(2, *phase.shape)).astype(np.float32), axis=0)[::-1]
    best[:, ~indexed] = np.nan
    solution_phase = np.stack([phase, np.where(indexed, 1 - phase, -1)]).astype(np.int16)
    rotation[1, 2], best[1, 2], solution_phase[1, 2] = np.nan, np.nan, -1
    chosen = rotation[0].copy()
    phase, chosen[0, 1] = phase.copy(), rotation[1, 0, 1]
    phase[0, 1] = solution_phase[1, 0, 1]
    maps = ("y", "x")
    share = np.where(indexed, best[0], np.nan).astype(np.float32)
    layers = ("solution", *maps)
    return xr.Dataset(
        {
            "phase": (maps, phase),
            "rotation": ((*maps, "quaternion"), chosen),
            "correlation": (maps, share),
            "orientation_reliability": (maps, 100 * share),
            "phase_reliability": (maps, 50 * share),
            "probability": (maps, share**2),
            "phase_probability": (maps, share),
            "matched": (maps, np.where(indexed, 30, 0).astype(np.int16)),
            "ambiguous": (maps, indexed & (phase == 1)),
            "solution_phase": (layers, solution_phase),
            "solution_rotation": ((*layers, "quaternion"), rotation),
            "solution_correlation": (layers, best),
            "solution_probability": (layers, best**2),
        },
        coords={
            "y": ("y", 10.0 + 2.5 * np.arange(6), {"units": "nm"}),
            "x": ("x", 4.0 + 2.0 * np.arange(8), {"units": "nm"}),
            "phase_name": ("crystal", ["LiFePO4", "Au"]),
        },
        attrs={"crystals": to_json([lithium_iron_phosphate(), gold()]), "voltage": 200.0},
    )
