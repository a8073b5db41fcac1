"""The reference anybody writes first: difference of Gaussians, local maxima, a parabola."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import scipy
from common import main
from scipy import ndimage

DEFAULTS = {"dog": {"sigma": 2.0, "background": 6.0, "threshold": 1.0, "noise": "stabilise"}}


def peaks(pattern: np.ndarray, settings: dict[str, Any]) -> np.ndarray:
    image = pattern.astype(np.float32)
    if settings["noise"] == "stabilise":  # Poisson counts to unit variance
        image = 2 * np.sqrt(image + np.float32(0.375))
    narrow, wide = (ndimage.gaussian_filter(image, settings[s]) for s in ("sigma", "background"))
    score = narrow - wide
    if settings["noise"] == "mad":
        score /= max(1.4826 * float(np.median(np.abs(score))), 1e-6)
    inner = score[1:-1, 1:-1]
    top = inner > settings["threshold"]
    for dy in (0, 1, 2):
        for dx in (0, 1, 2):
            if (dy, dx) != (1, 1):
                top &= inner >= score[dy : dy + inner.shape[0], dx : dx + inner.shape[1]]
    row, column = np.nonzero(top)
    row, column = row + 1, column + 1
    c = score[row, column]
    up, down = score[row - 1, column], score[row + 1, column]
    left, right = score[row, column - 1], score[row, column + 1]
    dy = (up - down) / (2 * (up + down - 2 * c))
    dx = (left - right) / (2 * (left + right - 2 * c))
    return np.stack([row + dy, column + dx, c], axis=1)


def prepare(patterns: np.ndarray, settings: dict[str, Any], threads: int) -> Any:
    pool = ThreadPoolExecutor(threads)
    return lambda: list(pool.map(lambda p: peaks(p, settings), patterns))


if __name__ == "__main__":
    main(prepare, DEFAULTS, f"scipy {scipy.__version__}")
