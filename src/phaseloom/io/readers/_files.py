"""First bytes of a file, and damage reported as InputError."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from phaseloom.errors import InputError

FAULTS = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    RuntimeError,
    MemoryError,
    struct.error,
)
"""What parsers raise on bytes that make no sense, as found by flipping them."""


def first_bytes(path: Path, n: int) -> bytes:
    """The first `n` bytes of a file: fewer if it is shorter, none if it cannot be opened."""
    try:
        with path.open("rb") as file:
            return file.read(n)
    except OSError:
        return b""


@contextmanager
def damage_named(
    path: Path,
    what: str,
    remedy: str,
    *,
    faults: tuple[type[Exception], ...] = FAULTS,
) -> Iterator[None]:
    """What goes wrong inside is an :class:`InputError` that names the file.

    Parameters
    ----------
    path
        The file.
    what
        Its kind, in messages.
    remedy
        What to do about damage.
    faults
        The exceptions that mean damage.
    """
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError("no such file", "check the path", source=path) from None
    except faults as fault:
        raise InputError(
            f"is a damaged or truncated {what} ({fault})", remedy, source=path
        ) from fault
