"""Clustering that is killed or interrupted, and goes on."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stopped_runs import assert_same, start, stopped

Call = Callable[..., Any]
Patterns = Any

DRIVER = """
import sys, time
sys.path[:0] = [{here!r}, {view!r}]
import component_stand_in as stand_in
import conftest
import phaseloom.view.figures as figures
import phaseloom.workflow.components.run as components
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
stand_in.row = slow("cluster", stand_in.row)
peaks._register = lambda scan, recipe, images, calibration, execution: conftest.brightest(
    scan, conftest.registering(recipe), execution
)
components._cluster = stand_in.by_hand
from phaseloom.cli import main
main()
"""


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
    here = Path(__file__).parents[1]
    driver = DRIVER.format(here=str(here), view=str(here.parent / "view"), log=str(log))
    todo = arguments(out)
    registered = stopped(driver, todo, out / "unfinished" / "peaks-register", how)
    begun = len(log.read_text().splitlines())
    clustered = stopped(driver, todo, out / "unfinished" / "components-cluster", how)
    second = log.read_text().splitlines()[begun:]
    assert {int(line.split()[1]) for line in second if line.startswith("register")} == (
        set(range(5)) - registered
    )
    begun += len(second)
    again = start(driver, todo)
    said, _ = again.communicate(timeout=60)
    assert again.returncode == 0
    assert "kept from an earlier run: 3 stages" in said
    assert "time for components" not in said, "nobody knows how long it took"
    third = log.read_text().splitlines()[begun:]
    assert third == [f"cluster {y}" for y in sorted(set(range(5)) - clustered)]
    assert not (out / "unfinished").exists()
    assert_same(tmp_path / "whole", out)
