"""The comparison of images and peaks, on numbers made by hand."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def comparison(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import comparison

    yield comparison
    ours = [name for name in sys.modules if name.startswith("comparison")]
    for name in (*ours, "orientation_scoring", "results"):
        sys.modules.pop(name, None)


def outcome(comparison: Any, name: str, angle: np.ndarray, probability: Any = None) -> Any:
    n = angle.size
    return comparison.Outcome(
        name=name,
        quality=np.linspace(0.9, 0.5, n),
        orientation_reliability=np.linspace(0, 30, n),
        phase_reliability=np.linspace(0, 60, n),
        angle=angle,
        phase_right=np.arange(n) != 1,
        size=2000.0,
        seconds=0.1,
        probability=probability,
    )


def test_row_counts_what_is_right(comparison: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    o = outcome(comparison, "raw", np.array([0.5, 1.0, 2.0, 60.0]))
    scan = SimpleNamespace(
        name=comparison.CASES[0].name, inside=np.array([True, True, False, False])
    )
    cells = [cell.strip() for cell in comparison.row(scan, o).split("|")[1:-1]]
    assert cells[1] == "raw"
    assert cells[5:11] == ["75.0", "1.50", "25.0", "50.0", "50.0", "50.0"]
    # Of the right (Q 0.9, 0.63) and the wrong (0.77, 0.5), the right score higher in 3 of 4 pairs.
    assert cells[11] == "– / – / –"
    monkeypatch.setattr(comparison, "FEWEST_WRONG", 2)
    assert comparison.row(scan, o).split("|")[12].strip() == "0.75 / 0.25 / –"
    assert cells[12] == "2.0"


def test_published_background_follows_slopes_and_leaves_spots(comparison: Any) -> None:
    y, x = np.indices((64, 64))
    slope = 20.0 + 0.3 * y
    spot = 200.0 * np.exp(-((y - 30) ** 2 + (x - 35) ** 2) / 8.0)
    left = comparison.without_background((slope + spot)[None])[0]
    far = np.hypot(y - 30, x - 35) > 12
    assert (left >= 0).all()
    assert left[far].max() < 2.0
    assert left[30, 35] == pytest.approx(200.0, abs=5.0)


def test_figure_draws_ways_without_wrong_answers_too(comparison: Any, tmp_path: Path) -> None:
    angles = np.array([0.5, 1.0, 2.0, 60.0, 80.0] * 8)
    comparison.draw(
        [
            outcome(comparison, "raw", angles),
            outcome(comparison, "peaks, refined", angles / 100, np.linspace(1, 0, angles.size)),
        ],
        np.arange(angles.size) % 2 == 0,
        tmp_path / "figure.png",
    )
    assert (tmp_path / "figure.png").stat().st_size > 10_000
