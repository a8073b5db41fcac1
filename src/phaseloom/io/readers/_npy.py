"""Headers of numpy's ``.npy``, alone or within an archive; nothing is evaluated or unpickled."""

from __future__ import annotations

import tokenize
from typing import IO, Any

import numpy as np

HEADER_FAULTS = (
    ValueError, KeyError, EOFError, SyntaxError, TypeError, OverflowError, MemoryError,
    RecursionError, tokenize.TokenError,
)  # fmt: skip
"""What numpy 2 raises on headers that make no sense, as found by flipping bytes."""


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether stored column by column, and type; the file then stands at the numbers."""
    reading = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(file)
    return reading[version[0]](file)
