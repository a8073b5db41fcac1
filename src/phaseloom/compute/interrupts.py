"""Ctrl-C that is heard."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread


@contextmanager
def insisting_interrupts() -> Iterator[None]:
    """Raise Ctrl-C again every second until it is heard.

    Python drops a KeyboardInterrupt that happens to be raised inside a callback of the garbage
    collector: the run would go on as if nobody had asked. What it would print of the dropped one
    is not shown, as it comes again.
    """
    if not hasattr(signal, "setitimer") or current_thread() is not main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 1.0)
        raise KeyboardInterrupt

    report = sys.unraisablehook

    def unless_interrupt(dropped: sys.UnraisableHookArgs) -> None:
        if not issubclass(dropped.exc_type, KeyboardInterrupt):
            report(dropped)

    before = {s: signal.signal(s, interrupt) for s in (signal.SIGINT, signal.SIGALRM)}
    sys.unraisablehook = unless_interrupt
    try:
        yield
    finally:
        sys.unraisablehook = report
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, handler in before.items():
            signal.signal(number, handler)
