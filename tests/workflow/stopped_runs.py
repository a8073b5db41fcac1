"""Runs in a process of their own that are stopped on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import xarray as xr
from whole_runs import opened

_DRIVER = """
import sys, time
sys.path[:0] = [{here!r}, {view!r}]
import conftest
import phaseloom.view.figures as figures
import phaseloom.workflow.peaks.run as peaks
figures.write_figures = lambda *a, **k: {{}}

def slow(name, quick):
    def work(first, *rest):
        with open({log!r}, "a") as log:
            log.write(f"{{name}} {{getattr(first, 'index', first)}}\\n")
        time.sleep(0.3)
        return quick(first, *rest)
    return work

conftest.highest_pixels = slow("register", conftest.highest_pixels)
peaks._register = lambda scan, recipe, images, calibration, execution: conftest.brightest(
    scan, conftest.registering(recipe), execution
)
{more}
from phaseloom.cli import main
main()
"""


def driver_of(log: Path, more: str = "") -> str:
    """A program that takes long over every block of registering, and says so in a file.

    Parameters
    ----------
    log
        Gets a line for every block: ``register NUMBER``.
    more
        Lines that replace a further stage, with ``slow(name, function)``.
    """
    here = Path(__file__).parent
    return _DRIVER.format(here=str(here), view=str(here.parent / "view"), log=str(log), more=more)


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


def stopped_twice(
    driver: str, todo: list[str], out: Path, log: Path, how: signal.Signals, stage: str
) -> str:
    """Stop a run in registering, then in its other stage, and let it end; what it said.

    Whatever was finished when it was stopped is not done again.

    Parameters
    ----------
    driver, todo, how
        As for :func:`stopped`.
    out
        Folder of the results.
    log
        As for :func:`driver_of`.
    stage
        Group and name of the other stage, in the log under the name.
    """
    registered = stopped(driver, todo, out / "unfinished" / "peaks-register", how)
    begun = len(log.read_text().splitlines())
    done = stopped(driver, todo, out / "unfinished" / stage, how)
    second = log.read_text().splitlines()[begun:]
    assert {int(line.split()[1]) for line in second if line.startswith("register")} == (
        set(range(5)) - registered
    )
    begun += len(second)
    again = start(driver, todo)
    said, _ = again.communicate(timeout=60)
    assert again.returncode == 0, said
    assert "kept from an earlier run: 3 stages" in said
    third = log.read_text().splitlines()[begun:]
    name = stage.partition("-")[2]
    assert third == [f"{name} {y}" for y in sorted(set(range(5)) - done)]
    assert not (out / "unfinished").exists()
    return said


def assert_same(one: Path, other: Path) -> None:
    """Two folders hold the same results."""
    first, second = opened(one), opened(other)
    assert first.groups == second.groups
    for group in first.groups:
        xr.testing.assert_equal(first[group].to_dataset(False), second[group].to_dataset(False))
