"""ePattern's spot detection: maxima by prominence, centre of mass, with its defaults or README's.

Modes: ``defaults`` are those of its function, ``readme`` is the call in its README, which doubles
256² patterns first.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
from common import main
from epattern_common import grey, spots_of
from epattern_settings import README

DEFAULTS: dict[str, dict[str, Any]] = {"defaults": {}, "readme": README}
OWN = ("quantile", "root")  # of the grey values that its users make


def prepare(patterns: np.ndarray, settings: dict[str, Any], threads: int) -> Any:
    options = {key: value for key, value in settings.items() if key not in OWN}
    levels = {key: settings[key] for key in OWN if key in settings}
    images = grey(patterns, **levels)  # a file's, not timed
    return lambda: spots_of(images, options, threads)


if __name__ == "__main__":
    main(prepare, DEFAULTS, f"ePattern {version('epattern')}")
