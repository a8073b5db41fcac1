"""First bytes of files, by which a format is recognised."""

from __future__ import annotations

from pathlib import Path


def first_bytes(path: Path, n: int) -> bytes:
    """The first `n` bytes of a file: fewer if it is shorter, none if it cannot be opened."""
    try:
        with path.open("rb") as file:
            return file.read(n)
    except OSError:
        return b""
