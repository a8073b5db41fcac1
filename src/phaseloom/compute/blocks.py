"""Large stacks in parts, so that what is worked out on the way stays small."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

PIXELS = 16384
"""Pixels of one block; keeps a block of 120 energies in float64 below 16 MB."""


def slabs(inside: NDArray[np.bool_], *, pixels: int = PIXELS) -> Iterator[tuple[slice, slice]]:
    """Rows of a mask (y, x) in groups of about so many pixels, groups without any left out.

    Yields
    ------
    rows : slice
        Rows of the picture.
    chosen : slice
        Where the true pixels of these rows stand among all true pixels in reading order.
    """
    step = max(1, pixels // inside.shape[1])
    edges = [*range(0, inside.shape[0], step), inside.shape[0]]
    first = 0
    for top, bottom in pairwise(edges):
        last = first + int(np.count_nonzero(inside[top:bottom]))
        if last > first:
            yield slice(top, bottom), slice(first, last)
        first = last
