"""ePattern as its users call it, from patterns in memory in place of a folder of images.

Its detection reads grey images of 8 bits. How counts become grey is left to its users; here one
scale holds for all patterns of a scan, and the brightest pixels, those of the direct beam, are cut
off, as on a camera of 8 bits. tune_peaks.py finds which part is best cut off.
"""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
from epattern import detect_spots
from epattern.logics import spot_detection_pipeline as pipeline

GREY = 0.9995


def grey(patterns: np.ndarray, quantile: float = GREY, root: bool = False) -> np.ndarray:
    """Patterns (n, ky, kx) as its reader would give 8-bit images: whole grey values, float32.

    Parameters
    ----------
    patterns
        Counts.
    quantile
        Of all pixels; that one and all brighter ones are 255.
    root
        Take the square root of the counts first.
    """
    values = patterns.astype(np.float32)
    if root:
        values = np.sqrt(values)
    return np.rint(np.minimum(values * (255.0 / np.quantile(values, quantile)), 255.0))


def detected(
    images: np.ndarray, settings: dict[str, Any], threads: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], Any]:
    """What its detection returns for grey images (n, ky, kx): spots, transforms, settings."""
    # The two functions of its pipeline that read files.
    pipeline.get_image_paths = lambda _path: list(range(len(images)))
    pipeline.load_batch = lambda _paths, first, size: images[first : first + size]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return detect_spots("patterns", scan_cols=len(images), n_jobs=threads, **settings)


def spots_of(images: np.ndarray, settings: dict[str, Any], threads: int) -> list[np.ndarray]:
    """Spots of grey images (n, ky, kx), per pattern (spots, 3): row, column, mean grey value."""
    found, _, _ = detected(images, settings, threads)
    names = ("Y_acc_raw", "X_acc_raw", "Mean")
    table = np.array([[spot[name] for name in names] for spot in found]).reshape(-1, len(names))
    at = np.array([spot["X_scan"] for spot in found], dtype=int)
    return [table[at == i] for i in range(len(images))]
