"""Registrations that are killed, interrupted, and worked on by a cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

Call = Callable[..., Any]
Patterns = Any

DRIVER = """
import sys, time
sys.path.insert(0, {here!r})
import conftest
import phaseloom.view.figures as figures
import phaseloom.workflow.peaks.run as peaks
figures.write_figures = lambda *a, **k: {{}}

def slow(block):
    with open({log!r}, "a") as log:
        log.write(f"{{block.index}}\\n")
    time.sleep(0.3)
    return quick(block)

quick, conftest.highest_pixels = conftest.highest_pixels, slow
peaks._register = lambda scan, recipe, images, calibration, execution: conftest.brightest(
    scan, recipe.model_dump_json(exclude={{"out": True, "scan": {{"file"}}}}), execution
)
from phaseloom.cli import main
main()
"""


def arguments(patterns: Patterns, out: Path) -> list[str]:
    return [
        "peaks",
        str(patterns.file),
        "--pixel-size",
        "0.03",
        "--out",
        str(out),
        "--workers",
        "1",
    ]


def start(patterns: Patterns, out: Path, log: Path) -> subprocess.Popen[str]:
    """A run that takes long over every block."""
    code = DRIVER.format(here=str(Path(__file__).parents[1]), log=str(log))
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments(patterns, out)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def assert_same(one: Path, other: Path) -> None:
    first, second = (
        xr.open_datatree(f / "results.zarr", engine="zarr").load() for f in (one, other)
    )
    assert first.groups == second.groups
    for group in first.groups:
        xr.testing.assert_equal(first[group].to_dataset(False), second[group].to_dataset(False))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_run_continues_after_its_finished_blocks(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Any, how: signal.Signals
) -> None:
    assert phaseloom(*arguments(patterns, tmp_path / "whole"), "--quiet").status == 0
    out, log = tmp_path / "stopped", tmp_path / "log"
    running = start(patterns, out, log)
    parts = out / "unfinished" / "peaks-register"
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
    begun = log.read_text().split()
    again = start(patterns, out, log)
    assert again.wait(timeout=60) == 0, again.communicate()
    worked = sorted(map(int, log.read_text().split()[len(begun) :]))
    assert worked == sorted(set(range(5)) - kept)
    assert not (out / "unfinished").exists()
    assert_same(tmp_path / "whole", out)


def test_a_changed_parameter_begins_anew(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Any
) -> None:
    first = phaseloom(*arguments(patterns, tmp_path))
    assert "kept from" not in first.out
    changed = phaseloom(*arguments(patterns, tmp_path), "--false-alarms", "0.5")
    assert "kept from" not in changed.out
    assert "seconds" in xr.open_zarr(tmp_path / "results.zarr", group="peaks").attrs


def test_a_cluster_leaves_what_threads_leave(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Any
) -> None:
    from distributed import LocalCluster

    assert phaseloom(*arguments(patterns, tmp_path / "threads"), "--quiet").status == 0
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"
    ) as cluster:
        ran = phaseloom(*arguments(patterns, tmp_path / "cluster"), "--quiet",
                        "--scheduler", cluster.scheduler_address)  # fmt: skip
        assert (ran.status, ran.err) == (0, "")
    assert_same(tmp_path / "threads", tmp_path / "cluster")
