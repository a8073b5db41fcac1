from __future__ import annotations

import io
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


def test_the_last_line_is_printed_once() -> None:
    for every, lines in ((0.0, 2), (60.0, 0)):
        file = io.StringIO()
        assert list(Lines(Console(file=file), every=every).track([1, 2], "work")) == [1, 2]
        printed = file.getvalue().splitlines()
        assert len(printed) == lines
        assert all(line.startswith("work: ") for line in printed)
