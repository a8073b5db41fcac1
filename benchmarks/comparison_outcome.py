"""What the comparison of images and peaks judges: the answers of one way, beside the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orientation_scoring import RIGHT


@dataclass(frozen=True)
class Outcome:
    """What one way of preparing and matching gave, per pattern."""

    name: str
    quality: NDArray[np.float64]
    orientation_reliability: NDArray[np.float64]
    phase_reliability: NDArray[np.float64]
    angle: NDArray[np.float64]  # degrees from the truth
    phase_right: NDArray[np.bool_]
    size: float  # bytes per pattern
    seconds: float  # CPU seconds per pattern, preparation and matching
    probability: NDArray[np.float64] | None = None

    @property
    def right(self) -> NDArray[np.bool_]:
        """Orientation within 3° and phase right."""
        return (self.angle <= RIGHT) & self.phase_right
