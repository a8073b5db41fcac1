"""Orientation maps that are killed or interrupted, and go on."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from stopped_runs import assert_same, start, stopped

Call = Callable[..., Any]
Patterns = Any

DRIVER = """
import sys, time
sys.path.insert(0, {here!r})
import conftest
import phaseloom.view.figures as figures
import phaseloom.workflow.orientation.run as orientation
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
conftest.turned_row = slow("index", conftest.turned_row)
peaks._register = lambda scan, recipe, images, calibration, execution: conftest.brightest(
    scan, conftest.registering(recipe), execution
)
orientation._index = conftest.turning
from phaseloom.cli import main
main()
"""


def driver_of(log: Path) -> str:
    return DRIVER.format(here=str(Path(__file__).parents[1]), log=str(log))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_run_continues_in_registering_and_in_indexing(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Any, simple_index: Any,
    cifs: Path, how: signal.Signals,
) -> None:  # fmt: skip
    def arguments(out: Path) -> list[str]:
        return ["index", str(patterns.file), "-p", str(cifs / "Au.cif"), "--pixel-size", "0.03",
                "--voltage", "200", "--workers", "1", "--out", str(out)]  # fmt: skip

    assert phaseloom(*arguments(tmp_path / "whole"), "--quiet").status == 0
    out, log = tmp_path / "stopped", tmp_path / "log"
    driver = driver_of(log)
    todo = arguments(out)
    registered = stopped(driver, todo, out / "unfinished" / "peaks-register", how)
    begun = len(log.read_text().splitlines())
    indexed = stopped(driver, todo, out / "unfinished" / "orientation-index", how)
    second = log.read_text().splitlines()[begun:]
    assert {int(line.split()[1]) for line in second if line.startswith("register")} == (
        set(range(5)) - registered
    )
    begun += len(second)
    again = start(driver, todo)
    said, _ = again.communicate(timeout=60)
    assert again.returncode == 0
    assert "kept from an earlier run: 3 stages" in said
    third = log.read_text().splitlines()[begun:]
    assert third == [f"index {y}" for y in sorted(set(range(5)) - indexed)]
    assert not (out / "unfinished").exists()
    assert_same(tmp_path / "whole", out)


def test_beside_registered_peaks_a_kill_leaves_the_peaks(
    patterns: Patterns, tmp_path: Path, phaseloom: Call, simple_chain: Any, simple_index: Any,
    cifs: Path,
) -> None:  # fmt: skip
    out, log = tmp_path / "run", tmp_path / "log"
    assert phaseloom("peaks", patterns.file, "--pixel-size", "0.03", "--voltage", "200",
                     "--out", out, "--quiet").status == 0  # fmt: skip
    todo = ["index", str(out), "-p", str(cifs / "Au.cif"), "--fresh"]
    assert phaseloom(*todo, "--quiet").status == 0, "there is a map already"
    stopped(driver_of(log), todo, out / "unfinished" / "orientation-index", signal.SIGKILL)
    ran = phaseloom(*todo[:-1])
    assert ran.status == 0, ran.err
    tree = xr.open_datatree(out / "results.zarr", engine="zarr")
    assert set(tree.children) == {"peaks", "orientation"}
    assert 'method = "peaks"' in tree["peaks"].attrs["recipe"], "also what the root had said"
    assert phaseloom("peaks", patterns.file, "--pixel-size", "0.03", "--voltage", "200",
                     "--out", out).out.count("3 stages") == 1  # fmt: skip
