"""Runs in a process of their own that are stopped on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import xarray as xr


def start(driver: str, arguments: list[str]) -> subprocess.Popen[str]:
    """A run of the command line, by a program that makes every block take long."""
    return subprocess.Popen(
        [sys.executable, "-c", driver, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def stopped(driver: str, arguments: list[str], parts: Path, how: signal.Signals) -> set[int]:
    """Stop a run when it has finished two parts of a stage; the parts that it left."""
    running = start(driver, arguments)
    until = time.monotonic() + 60
    while len(list(parts.glob("*.npz"))) < 2 and time.monotonic() < until:
        assert running.poll() is None, running.communicate()
        time.sleep(0.01)
    running.send_signal(how)
    _, said = running.communicate(timeout=60)
    assert running.returncode == (130 if how is signal.SIGINT else -how)
    assert "Traceback" not in said
    kept = {int(f.stem.split("-")[1]) for f in parts.glob("*.npz")}
    assert 2 <= len(kept) < 5
    return kept


def assert_same(one: Path, other: Path) -> None:
    """Two folders hold the same results."""
    first, second = (
        xr.open_datatree(f / "results.zarr", engine="zarr").load() for f in (one, other)
    )
    assert first.groups == second.groups
    for group in first.groups:
        xr.testing.assert_equal(first[group].to_dataset(False), second[group].to_dataset(False))
