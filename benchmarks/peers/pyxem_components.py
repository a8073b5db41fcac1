"""HyperSpy's decomposition by NMF, plain and with its normalisation of Poisson noise."""

from __future__ import annotations

import warnings
from typing import Any

import hyperspy
import hyperspy.api as hs
import numpy as np
from components_common import Factors, main

hs.preferences.General.show_progressbar = False

MODES: dict[str, dict[str, Any]] = {
    "plain": {"normalize_poissonian_noise": False},
    "poisson": {"normalize_poissonian_noise": True},
}


def prepare(scan: np.ndarray, k: int, settings: dict[str, Any], _threads: int) -> Any:
    signal = hs.signals.Signal2D(scan)

    def factorise() -> Factors:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            signal.decomposition(
                algorithm="NMF", output_dimension=k, print_info=False, random_state=0, **settings
            )
        found = signal.learning_results
        return found.loadings, found.factors.T

    return factorise


if __name__ == "__main__":
    main(prepare, MODES, f"HyperSpy {hyperspy.__version__}")
