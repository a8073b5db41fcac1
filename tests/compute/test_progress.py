from __future__ import annotations

import io
import time
from itertools import islice

from rich.console import Console

from phaseloom.compute.progress import Bars, Lines, Silent


def test_items_pass_unchanged() -> None:
    items = [3, 1, 2]
    assert list(Silent().track(items, "work")) == items
    with Bars(Console(file=io.StringIO())).shown() as bars:
        assert list(bars.track(items, "work")) == items
        assert list(bars.track(iter(items), "work", total=3)) == items


def test_work_may_stop_early() -> None:
    with Bars(Console(file=io.StringIO())).shown() as bars:
        assert list(islice(bars.track(range(10), "work"), 2)) == [0, 1]


def lines_of(items: list[float], every: float) -> list[str]:
    """What is printed while each item takes its seconds."""
    file = io.StringIO()
    tracked = Lines(Console(file=file), every=every).track(items, "work")
    for seconds in tracked:
        time.sleep(seconds)
    return file.getvalue().splitlines()


def test_where_there_is_no_terminal_long_work_says_how_far_it_is() -> None:
    assert lines_of([0.0, 0.0], every=60.0) == []
    first, *_, last = lines_of([0.0, 0.5, 0.5], every=0.1)
    assert first.startswith("work: 1 of 3 after")
    assert last.startswith("work: 3 of 3 after")
    assert "left" in first
    assert "left" not in last


def test_one_long_step_is_not_silent() -> None:
    """Compiling, say: nothing is done for a long while."""
    first, *_ = lines_of([0.5], every=0.1)
    assert first.startswith("work: 0 of 1 after")
