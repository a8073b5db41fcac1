"""Interrupts that are not lost: Ctrl-C is raised again until it is noticed."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread


@contextmanager
def repeated_interrupts() -> Iterator[None]:
    """Raise Ctrl-C again every second until it leaves the block.

    Python drops a KeyboardInterrupt raised inside a callback of the garbage collector, and the run
    would go on. The message about a dropped one is not printed, as it is raised again.
    """
    if not hasattr(signal, "setitimer") or current_thread() is not main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 1.0)
        raise KeyboardInterrupt

    default_hook = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            default_hook(unraisable)

    handlers = {s: signal.signal(s, interrupt) for s in (signal.SIGINT, signal.SIGALRM)}
    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = default_hook
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, handler in handlers.items():
            signal.signal(number, handler)
