"""phaseloom's factorisation for the benchmark, with the files of peers/components_common.py.

    python phaseloom_components.py scan.npy out.npz --threads 2 [--k 8] [--mode MODE] [--once]

Modes: ``defaults``; ``kl``, the Kullback-Leibler divergence; ``unscaled``, without the scaling for
Poisson counts; ``sweep``, the choice of the number of components, from 2 to 20 with five seeds
(``k`` is not used, the factors are those of the chosen one).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from components_common import Factors, main

import phaseloom
from phaseloom.components import choose_rank, factorise, matrix_of
from phaseloom.components.factors.compression import compress

MODES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "kl": {"loss": "kl"},
    "unscaled": {"scaling": "none"},
    "sweep": {"components_max": 20, "seeds": 5},
}

HELD_OUT = 512
"""Positions held out."""


def prepare(scan: np.ndarray, k: int, settings: dict[str, Any], threads: int) -> Any:
    torch.set_num_threads(threads)

    def factors() -> Factors:
        found = factorise(matrix_of(scan), k, **settings)
        return found.weight, found.pattern

    def sweep() -> Factors:
        prepared = matrix_of(scan)
        compressed = compress(prepared, held_out=HELD_OUT)
        rank = choose_rank(compressed, prepared.scan_shape, **settings)
        found = factorise(prepared, rank.k, compressed=compressed, patterns=rank.patterns)
        return found.weight, found.pattern

    return sweep if settings is MODES["sweep"] else factors


if __name__ == "__main__":
    main(prepare, MODES, f"phaseloom {phaseloom.__version__}")
