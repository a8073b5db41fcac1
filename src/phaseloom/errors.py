"""What phaseloom says when the input is at fault.

The command line turns an :class:`InputError` into one line and exit status 1;
an :class:`InputWarning` is shown on the console and listed in the report.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike


class InputError(ValueError):
    """The input cannot be used: which file, what is wrong, what to do.

    Parameters
    ----------
    fault
        What is wrong, in the words of the user's field.
    remedy
        What the user can do about it.
    source
        File (or name of the in-memory object) at fault, when there is one.
    """

    def __init__(
        self, fault: str, remedy: str | None = None, *, source: str | PathLike[str] | None = None
    ) -> None:
        self.fault = fault
        self.remedy = remedy
        self.source = None if source is None else str(source)
        text = fault if self.source is None else f"{self.source}: {fault}"
        super().__init__(text if remedy is None else f"{text}; {remedy}")


@contextmanager
def fault_of(source: str | PathLike[str] | None, what: str = "") -> Iterator[None]:
    """Let an error of the input that names no file name this one.

    Parameters
    ----------
    source
        The file that is worked on while inside, where there is one.
    what
        The part of it, for the sentence.
    """
    try:
        yield
    except InputError as error:
        if error.source is not None:
            raise
        fault = f"{what}: {error.fault}" if what else error.fault
        raise InputError(fault, error.remedy, source=source) from error


class InputWarning(UserWarning):
    """Something in the input was worked around; the user has to know."""
