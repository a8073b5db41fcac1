"""Clustering that is killed or interrupted, and goes on."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stopped_runs import assert_same, driver_of, stopped_twice

Call = Callable[..., Any]
Patterns = Any

BY_HAND = """
import component_stand_in as stand_in
import phaseloom.workflow.components.run as components
stand_in.row = slow("cluster", stand_in.row)
components._cluster = stand_in.by_hand
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
    said = stopped_twice(
        driver_of(log, BY_HAND), arguments(out), out, log, how, "components-cluster"
    )
    assert "time for components" not in said, "nobody knows how long it took"
    assert_same(tmp_path / "whole", out)
