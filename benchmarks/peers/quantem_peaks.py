"""quantem's Bragg disk detection (torch): its best mode, and all its defaults."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from common import main
from quantem.core.datastructures import Dataset4dstem
from quantem.diffraction import BraggVectors

DEFAULTS = {
    "best": {
        "template_sigma": 2.4,
        "subpixel": "parabolic",
        "background_sigma": 6.0,
        "corr_power": 1.0,
        "sigma_cc": None,
        "root": False,  # square root of the counts first
        "min_abs_intensity": 0.0,
        "min_spacing": 4.0,
        "edge_boundary": 2,
        "batch_size": 16,
    },
    "defaults": {},
}
OWN = ("template_sigma", "root")


def prepare(patterns: np.ndarray, settings: dict[str, Any], threads: int) -> Any:
    torch.set_num_threads(threads)
    rows, columns = patterns.shape[1:]

    def dataset() -> Dataset4dstem:
        counts = np.sqrt(patterns, dtype=np.float32) if settings.get("root") else patterns
        return Dataset4dstem.from_array(counts[None])

    vectors = BraggVectors.from_dataset(dataset())
    if settings:
        y, x = np.mgrid[:rows, :columns]
        squared = (y - rows // 2) ** 2 + (x - columns // 2) ** 2
        probe = np.exp(-squared / (2 * settings["template_sigma"] ** 2))
        vectors.make_template_from_probe(probe, center=(rows // 2, columns // 2))
    else:
        vectors.make_template_synthetic()
    options = {key: value for key, value in settings.items() if key not in OWN}

    def detect() -> list[np.ndarray]:
        if settings.get("root"):
            vectors.dataset = dataset()
        found = vectors.detect_disks(progressbar=False, **options)
        return np.split(found.numpy(), np.cumsum(found.row_counts())[:-1])

    return detect


if __name__ == "__main__":
    main(prepare, DEFAULTS, f"quantem {version('quantem')}")
