"""What the runners of factorisation share: the command line, timing, the output file.

    python NAME_components.py scan.npy out.npz --k 8 --threads 2 [--mode MODE] [--once]

``scan.npy`` is (y, x, ky, kx) float32, not negative. The output holds ``weight`` (position, k),
``pattern`` (k, pixel), of which the product is the scan as given, ``seconds`` (one per run, after a
run to warm up; reading the file is not in them), and ``about`` (JSON: version, mode, threads, peak
memory of the process in MB). numpy and the standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from common import command_line, peak_mb, runs

Factors = tuple[np.ndarray, np.ndarray]
Prepare = Callable[[np.ndarray, int, dict[str, Any], int], Callable[[], Factors]]


def main(prepare: Prepare, modes: dict[str, dict[str, Any]], version: str) -> None:
    """Run a peer from the command line.

    Parameters
    ----------
    prepare
        From the scan, the number of components, the mode's settings and threads, what factorises;
        it is not timed.
    modes
        Settings of every mode.
    version
        Name and version of the peer.
    """
    parser = command_line("scan", modes)
    parser.add_argument("--k", type=int, default=8)
    given = parser.parse_args()
    scan = np.load(given.scan)
    (weight, pattern), seconds = runs(
        prepare(scan, given.k, modes[given.mode], given.threads), given.once
    )
    about = {
        "version": version,
        "mode": given.mode,
        "threads": given.threads,
        "peak_mb": peak_mb(),
    }
    np.savez(
        given.out,
        weight=np.asarray(weight, dtype=np.float32),
        pattern=np.asarray(pattern, dtype=np.float32),
        seconds=np.array(seconds),
        about=np.array(json.dumps(about)),
    )
