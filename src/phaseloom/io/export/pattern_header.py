"""Header of a file of patterns: shapes, calibration and centre, the same for every format."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Blocks: TypeAlias = Iterable[tuple[slice, NDArray[Any]]]
"""Scan positions counted in reading order, and the patterns (n, ky, kx) at them."""


@dataclass(frozen=True)
class PatternHeader:
    """What a file says of its patterns; see :func:`phaseloom.io.export.patterns.write_patterns`."""

    scan_shape: tuple[int, int]
    pattern_shape: tuple[int, int]
    dtype: np.dtype[Any]
    pixel_size: float
    units: str
    centre: tuple[float, float]
    step: tuple[float, float]
    step_units: str
    voltage: float | None
    title: str
    scaling: str = ""

    @property
    def positions(self) -> int:
        """Number of patterns."""
        return self.scan_shape[0] * self.scan_shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes of all patterns."""
        return self.positions * int(np.prod(self.pattern_shape)) * self.dtype.itemsize
