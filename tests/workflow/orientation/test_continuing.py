"""Orientation maps that are killed or interrupted, and go on."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stopped_runs import assert_same, driver_of, stopped, stopped_twice
from whole_runs import opened

Call = Callable[..., Any]
Patterns = Any

TURNING = """
import phaseloom.workflow.orientation.run as orientation
conftest.turned_row = slow("index", conftest.turned_row)
orientation._index = conftest.turning
"""


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
    stopped_twice(driver_of(log, TURNING), arguments(out), out, log, how, "orientation-index")
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
    stopped(driver_of(log, TURNING), todo, out / "unfinished" / "orientation-index", signal.SIGKILL)
    ran = phaseloom(*todo[:-1])
    assert ran.status == 0, ran.err
    tree = opened(out)
    assert set(tree.children) == {"peaks", "orientation"}
    assert 'method = "peaks"' in tree["peaks"].attrs["recipe"], "also what the root had said"
    assert phaseloom("peaks", patterns.file, "--pixel-size", "0.03", "--voltage", "200",
                     "--out", out).out.count("3 stages") == 1  # fmt: skip
