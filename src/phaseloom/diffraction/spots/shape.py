"""The template of a spot: a Gaussian, or a disk with a soft edge."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from phaseloom.errors import InputError

_ENTRIES_PER_SQUARE = 16
_HALF_WIDTH = 1.1774100225154747
"""Radius at half maximum of a Gaussian, over its sigma."""
_FILTER_OF_DISK = 0.63
"""Sigma of the Gaussian that finds a disk best, over its radius: 90 % of the matched filter."""


@dataclass(frozen=True)
class SpotShape:
    """Template of the spots, radially symmetric, 1 in its middle.

    Parameters
    ----------
    kind
        "gaussian" or "disk".
    sigma
        Of the Gaussian, in px.
    radius, edge
        Of the disk, in px: radius at half height, and standard deviation of its edge.
    """

    kind: Literal["gaussian", "disk"] = "gaussian"
    sigma: float = 2.0
    radius: float = math.nan
    edge: float = math.nan

    def __post_init__(self) -> None:
        if self.kind == "gaussian" and not 0.5 <= self.sigma <= 20:
            raise InputError(
                f"spots with a sigma of {self.sigma:g} px cannot be registered",
                "0.5 to 20 px is possible: bin the patterns, or give sigma",
            )
        if self.kind == "disk" and not (2 <= self.radius <= 60 and 0.2 <= self.edge <= self.radius):
            raise InputError(
                f"disks of radius {self.radius:g} px with an edge of {self.edge:g} px cannot be "
                "registered",
                "a radius of 2 to 60 px is possible: bin the patterns, or give radius",
            )

    @property
    def filter_sigma(self) -> float:
        """Sigma of the Gaussian filter that makes the spots stand out most, in px."""
        return self.sigma if self.kind == "gaussian" else _FILTER_OF_DISK * self.radius

    @property
    def half_maximum(self) -> float:
        """Radius at half maximum, in px."""
        return self.radius if self.kind == "disk" else _HALF_WIDTH * self.sigma

    @property
    def half(self) -> int:
        """Half size of the window a spot is fitted in, in px."""
        reach = 2.6 * self.sigma if self.kind == "gaussian" else self.radius + 2.5 * self.edge
        return max(3, math.ceil(reach))

    @property
    def bin_side(self) -> int:
        """Side of the squares of pixels that tell as much of the spots as the pixels do, nearly.

        A Gaussian keeps a sigma of at least 1.1 squares, a disk an edge of half a square.
        """
        if self.kind == "gaussian":
            return max(1, int(self.sigma / 1.1))
        return max(1, min(int(self.radius / 4), int(2 * self.edge)))

    def binned(self, side: int) -> SpotShape:
        """The same spot in units of such squares, as wide as their size makes it."""
        spread = (side**2 - 1) / 12
        if self.kind == "gaussian":
            return SpotShape(sigma=math.sqrt(self.sigma**2 + spread) / side)
        edge = math.sqrt(self.edge**2 + spread) / side
        return SpotShape("disk", radius=self.radius / side, edge=edge)

    def profile(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Height at a distance from the middle, in px."""
        if self.kind == "gaussian":
            return np.exp(-0.5 * (distance / self.sigma) ** 2)
        from scipy.special import erfc

        soft: NDArray[np.float64] = erfc((distance - self.radius) / (math.sqrt(2) * self.edge))
        return soft / float(erfc(-self.radius / (math.sqrt(2) * self.edge)))

    def template(self) -> NDArray[np.float64]:
        """The spot on a grid of whole pixels, its middle on the middle one."""
        axis = np.arange(-2 * self.half, 2 * self.half + 1)
        return self.profile(np.hypot(axis[:, None], axis))

    def table(self) -> tuple[NDArray[np.float32], float]:
        """Profile against the squared distance, and entries per px²; empty for a Gaussian."""
        if self.kind == "gaussian":
            return np.zeros(0, np.float32), 1.0
        reach = (self.radius + 4 * self.edge) ** 2
        squares = np.arange(int(reach * _ENTRIES_PER_SQUARE) + 2) / _ENTRIES_PER_SQUARE
        return self.profile(np.sqrt(squares)).astype(np.float32), float(_ENTRIES_PER_SQUARE)

    @property
    def volume(self) -> float:
        """Sum over the template: integrated counts of a spot of height 1."""
        if self.kind == "gaussian":
            return 2 * math.pi * self.sigma**2
        r = np.linspace(0, self.radius + 6 * self.edge, 4001)
        return float(np.trapezoid(2 * np.pi * r * self.profile(r), r))
