"""pyxem's two usual ways: local maxima or difference of Gaussians, then centre of mass."""

from __future__ import annotations

from typing import Any

import hyperspy.api as hs
import numpy as np
import pyxem
from common import Processes, main
from scipy.ndimage import gaussian_filter

hs.preferences.General.show_progressbar = False

COMMON = {
    "smooth": 1.5,  # Gaussian before everything, px
    "root": False,  # square root of the counts first
    "background": 8.0,  # a Gaussian of this width subtracted before everything, px; 0: none
    "square_size": 8,
    "processes": False,
}
DEFAULTS = {
    "local_max": {**COMMON, "find": {"method": "local_max", "min_distance": 3}},
    "dog": {
        **COMMON,
        "smooth": 0.0,
        "background": 0.0,
        "find": {
            "method": "difference_of_gaussian",
            "min_sigma": 1.5,
            "max_sigma": 4.0,
            "sigma_ratio": 1.6,
            "threshold": 0.01,
            "overlap": 0.5,
        },
    },
}


def _band(frame: np.ndarray, narrow: float, wide: float, root: bool) -> np.ndarray:
    frame = frame.astype(np.float32)
    frame = np.sqrt(frame) if root else frame
    out = gaussian_filter(frame, narrow) if narrow else frame
    return np.maximum(out - gaussian_filter(frame, wide), 0) if wide else out


def detect(patterns: np.ndarray, settings: dict[str, Any], workers: int) -> list[np.ndarray]:
    signal = pyxem.signals.Diffraction2D(patterns)
    signal = signal.map(  # also to floats: the centre of mass fails on integers
        _band,
        narrow=settings["smooth"],
        wide=settings["background"],
        root=settings["root"],
        inplace=False,
        num_workers=workers,
    )
    found = signal.get_diffraction_vectors(
        center=(0, 0), calibration=(1, 1), num_workers=workers, **settings["find"]
    )
    try:
        refined = found.subpixel_refine(
            signal, "center-of-mass", square_size=settings["square_size"], num_workers=workers
        )
    except IndexError:  # it fails where every pattern has one peak: too high a threshold
        refined = found
    return [np.reshape(r, (-1, 3)) for r in refined.data.ravel()]


def prepare(patterns: np.ndarray, settings: dict[str, Any], threads: int) -> Any:
    if settings["processes"]:
        return Processes(lambda some: detect(some, settings, 1), patterns, threads)
    return lambda: detect(patterns, settings, threads)


if __name__ == "__main__":
    main(prepare, DEFAULTS, f"pyxem {pyxem.__version__}")
