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

import pytest
from hypothesis import settings

# The first example pays for imports and compilation: time says nothing of the code.
settings.register_profile("phaseloom", deadline=None)
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
