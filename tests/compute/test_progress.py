from __future__ import annotations

import io
from itertools import islice

from rich.console import Console

from phaseloom.compute.progress import Bars, Silent


def test_items_pass_unchanged() -> None:
    items = [3, 1, 2]
    assert list(Silent().track(items, "work")) == items
    with Bars(Console(file=io.StringIO())).shown() as bars:
        assert list(bars.track(items, "work")) == items
        assert list(bars.track(iter(items), "work", total=3)) == items


def test_work_may_stop_early() -> None:
    with Bars(Console(file=io.StringIO())).shown() as bars:
        assert list(islice(bars.track(range(10), "work"), 2)) == [0, 1]
