"""Registrations that are killed, interrupted, and worked on by a cluster."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from stopped_runs import assert_same, driver_of, start, stopped

Call = Callable[..., Any]
Patterns = Any


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


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_run_continues_after_its_finished_blocks(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Any, how: signal.Signals
) -> None:
    assert phaseloom(*arguments(patterns, tmp_path / "whole"), "--quiet").status == 0
    out, log = tmp_path / "stopped", tmp_path / "log"
    driver, todo = driver_of(log), arguments(patterns, out)
    kept = stopped(driver, todo, out / "unfinished" / "peaks-register", how)
    begun = len(log.read_text().splitlines())
    again = start(driver, todo)
    assert again.wait(timeout=60) == 0, again.communicate()
    worked = sorted(int(line.split()[1]) for line in log.read_text().splitlines()[begun:])
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
