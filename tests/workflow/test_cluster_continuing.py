"""Clustering that is killed or interrupted, and goes on."""

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
sys.path[:0] = [{here!r}, {view!r}]
import component_stand_in as stand_in
import conftest
import phaseloom.view.figures as figures
import phaseloom.workflow.components as components
import phaseloom.workflow.peaks as peaks
figures.write_figures = lambda *a, **k: {{}}

def slow(name, quick):
    def work(first, *rest):
        with open({log!r}, "a") as log:
            log.write(f"{{name}} {{getattr(first, 'index', first)}}\\n")
        time.sleep(0.3)
        return quick(first, *rest)
    return work

conftest.highest_pixels = slow("register", conftest.highest_pixels)
stand_in.row = slow("cluster", stand_in.row)
peaks._register = lambda scan, recipe, images, calibration, **how: conftest.brightest(
    scan, conftest.registering(recipe), **how
)
components._cluster = stand_in.by_hand
from phaseloom.cli import main
main()
"""


def start(arguments: list[str], log: Path) -> subprocess.Popen[str]:
    """A run that takes long over every block."""
    here = Path(__file__).parent
    code = DRIVER.format(here=str(here), view=str(here.parent / "view"), log=str(log))
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def stopped(arguments: list[str], log: Path, parts: Path, how: signal.Signals) -> set[int]:
    """Stop a run when it has finished two parts of a stage; the parts that it left."""
    running = start(arguments, log)
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


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_run_continues_in_registering_and_in_factorising(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Any,
    simple_components: Any, how: signal.Signals,
) -> None:  # fmt: skip
    def arguments(out: Path) -> list[str]:
        return ["cluster", str(patterns.file), "--pixel-size", "0.03", "--workers", "1",
                "--patterns", "registered", "--out", str(out)]  # fmt: skip

    assert phaseloom(*arguments(tmp_path / "whole"), "--quiet").status == 0
    out, log = tmp_path / "stopped", tmp_path / "log"
    todo = arguments(out)
    registered = stopped(todo, log, out / "unfinished" / "peaks-register", how)
    begun = len(log.read_text().splitlines())
    clustered = stopped(todo, log, out / "unfinished" / "components-cluster", how)
    second = log.read_text().splitlines()[begun:]
    assert {int(line.split()[1]) for line in second if line.startswith("register")} == (
        set(range(5)) - registered
    )
    begun += len(second)
    again = start(todo, log)
    said, _ = again.communicate(timeout=60)
    assert again.returncode == 0
    assert "kept from an earlier run: 3 stages" in said
    assert "time for components" not in said, "nobody knows how long it took"
    third = log.read_text().splitlines()[begun:]
    assert third == [f"cluster {y}" for y in sorted(set(range(5)) - clustered)]
    assert not (out / "unfinished").exists()
    first, other = (
        xr.open_datatree(f / "results.zarr", engine="zarr").load()
        for f in (tmp_path / "whole", out)
    )
    assert first.groups == other.groups
    for group in first.groups:
        xr.testing.assert_equal(first[group].to_dataset(False), other[group].to_dataset(False))
