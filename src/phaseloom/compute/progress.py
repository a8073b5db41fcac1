"""Progress of long work: bars with rate and time left, lines, or nothing.

Chains take a :class:`Progress` and never write to the console themselves.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import AbstractContextManager, contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")

Advance = Callable[[int], None]
"""Callback that adds to the amount of work done."""

_SHORT = 2.0
"""Seconds: bars of shorter work do not stay on the console."""


class Progress(ABC):
    """Receiver of progress reports (abstract)."""

    def track(
        self,
        items: Iterable[T],
        label: str,
        *,
        total: int | None = None,
        amount: Callable[[T], int] | None = None,
    ) -> Iterator[T]:
        """Yield the items and count them under a label, each as 1 or as ``amount`` says."""
        if total is None and isinstance(items, Sized):
            total = len(items)
        with self.task(label, total) as advance:
            for item in items:
                yield item
                advance(1 if amount is None else amount(item))

    @abstractmethod
    def task(self, label: str, total: int | None) -> AbstractContextManager[Advance]:
        """Begin work under a label; yields the callback that counts it. A context manager."""


class Silent(Progress):
    """Reports nothing."""

    @contextmanager
    def task(self, label: str, total: int | None) -> Iterator[Advance]:  # noqa: ARG002
        """Work without a report."""
        yield lambda _: None


SILENT: Progress = Silent()
"""The progress that reports nothing."""


def shown_progress(progress: bool | Progress) -> Progress:
    """The receiver for a caller's ``progress``: True shows it, False shows nothing."""
    if progress is True:
        return Shown()
    return SILENT if progress is False else progress


class Shown(Progress):
    """Bars on a terminal, lines in a notebook or a file, from Python with ``progress=True``."""

    @contextmanager
    def task(self, label: str, total: int | None) -> Iterator[Advance]:
        """Work shown on the standard error stream."""
        from rich.console import Console

        console = Console(stderr=True, force_jupyter=False)
        if console.is_terminal:
            with Bars(console).shown() as bars, bars.task(label, total) as advance:
                yield advance
        else:
            with Lines(console).task(label, total) as advance:
                yield advance


class Lines(Progress):
    """Lines at intervals, where there is no terminal to draw bars on."""

    def __init__(self, console: Console, *, every: float = 15.0) -> None:
        self._console = console
        self._every = every

    @contextmanager
    def task(self, label: str, total: int | None) -> Iterator[Advance]:
        """Work with a line every ``every`` seconds, none when it takes less."""
        begun = time.monotonic()
        done = lines = 0
        ended = Event()

        def advance(amount: int) -> None:
            nonlocal done
            done += amount

        def watch() -> None:
            nonlocal lines
            while not ended.wait(self._every):
                lines += 1
                self._print(label, done, total, time.monotonic() - begun)

        # A thread of its own reports also while work compiles or does one long step.
        watching = Thread(target=watch, daemon=True)
        watching.start()
        try:
            yield advance
        finally:
            ended.set()
            watching.join()
        if lines:
            self._print(label, done, total, time.monotonic() - begun)

    def _print(self, label: str, done: int, total: int | None, seconds: float) -> None:
        rate = done / max(seconds, 1e-9)
        text = f"{label}: {done:,}" if total is None else f"{label}: {done:,} of {total:,}"
        text += f" after {seconds:.0f} s"
        if done:
            text += f", {rate:.3g}/s"
        if total is not None and 0 < done < total:
            text += f", {(total - done) / rate:.0f} s left"
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class Bars(Progress):
    """Bars on a console with rate and time left (rich)."""

    def __init__(self, console: Console) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as RichProgress

        self._bars = RichProgress(
            TextColumn("{task.description:<28}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:>9}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        )

    @contextmanager
    def task(self, label: str, total: int | None) -> Iterator[Advance]:
        """Work with a bar."""
        task = self._bars.add_task(label, total=total, rate="")
        begun = time.monotonic()

        def advance(amount: int) -> None:
            self._bars.advance(task, amount)
            speed = self._bars.tasks[self._bars.task_ids.index(task)].speed
            self._bars.update(task, rate="" if speed is None else f"{speed:.1f}/s")

        try:
            yield advance
        finally:
            if time.monotonic() - begun < _SHORT:
                self._bars.remove_task(task)
            else:
                self._bars.stop_task(task)

    @contextmanager
    def shown(self) -> Iterator[Bars]:
        """Draw the bars while inside."""
        with self._bars:
            yield self
