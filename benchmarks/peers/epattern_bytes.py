"""Bytes of ePattern's file of spots: all patterns, at the call in its README.

    python epattern_bytes.py patterns.npy out.npz --threads 2 --mode readme

The output holds ``bytes`` of the file and the number of its ``spots`` and ``patterns``.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path

import numpy as np
from common import command_line
from epattern.logics.data_io import save_peaks_to_h5
from epattern_common import detected, grey
from epattern_settings import README

MOST = 50

if __name__ == "__main__":
    given = command_line("patterns", {"readme": {}}).parse_args()
    images = grey(np.load(given.patterns))
    peaks, transforms, settings = detected(images, {**README, "max_items": MOST}, given.threads)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spots.h5"
        with contextlib.redirect_stdout(io.StringIO()):
            save_peaks_to_h5(peaks, str(path), settings, transforms)
        size = path.stat().st_size
    np.savez(given.out, bytes=size, spots=len(peaks), patterns=len(images))
