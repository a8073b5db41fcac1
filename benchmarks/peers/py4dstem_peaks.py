"""py4DSTEM's Bragg disk detection: correlation with a template, maxima, sub-pixel refinement.

Modes: ``poly`` and ``multicorr`` (its two sub-pixel methods) as called, which is one core, and
``poly2``, ``multicorr2``: the same call in one process per thread, which a user must arrange.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import py4DSTEM
from common import Processes, main
from py4DSTEM.braggvectors import Probe
from py4DSTEM.braggvectors.diskdetection import find_Bragg_disks

COMMON = {
    "template_sigma": 2.4,  # the template: a Gaussian spot of this width
    "moat": 0.0,  # a Gaussian this many times wider is subtracted from it; 0: flat
    "root": False,  # square root of the counts first (its filter_function)
    "corrPower": 1.0,
    "sigma_cc": 0.0,
    "minAbsoluteIntensity": 0.0,
    "minPeakSpacing": 4,
    "edgeBoundary": 2,
    "maxNumPeaks": 300,
}
DEFAULTS = {
    "poly": {**COMMON, "subpixel": "poly"},
    "poly2": {**COMMON, "subpixel": "poly"},
    "multicorr": {**COMMON, "subpixel": "multicorr", "upsample_factor": 16},
    "multicorr2": {**COMMON, "subpixel": "multicorr", "upsample_factor": 16},
}
OWN = ("template_sigma", "moat", "root", "processes")


def prepare(patterns: np.ndarray, settings: dict[str, Any], threads: int) -> Any:
    rows, columns = patterns.shape[1:]
    y, x = np.mgrid[:rows, :columns]
    centre = rows // 2, columns // 2
    squared = (y - centre[0]) ** 2 + (x - centre[1]) ** 2
    probe = Probe(np.exp(-squared / (2 * settings["template_sigma"] ** 2)))
    if settings["moat"]:
        kernel = Probe.get_probe_kernel_edge_gaussian(
            probe.probe, sigma=settings["moat"], origin=centre
        )
    else:
        kernel = Probe.get_probe_kernel_flat(probe.probe, origin=centre)
    options = {key: value for key, value in settings.items() if key not in OWN}
    root = np.sqrt if settings["root"] else None

    def detect(some: np.ndarray) -> list[np.ndarray]:
        found = find_Bragg_disks(some, kernel, filter_function=root, **options)
        return [np.stack([f.data[c] for c in ("qx", "qy", "intensity")], axis=1) for f in found]

    if settings.get("processes"):
        return Processes(detect, patterns, threads)
    return lambda: detect(patterns)


for mode in ("poly2", "multicorr2"):
    DEFAULTS[mode]["processes"] = True

if __name__ == "__main__":
    main(prepare, DEFAULTS, f"py4DSTEM {py4DSTEM.__version__}")
