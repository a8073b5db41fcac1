"""scikit-learn's factorisation: its defaults, a finer tolerance, its other solvers."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import sklearn
from components_common import Factors, main
from sklearn.decomposition import NMF, MiniBatchNMF
from sklearn.exceptions import ConvergenceWarning

MODES: dict[str, dict[str, Any]] = {
    "cd": {},
    "cd-fine": {"tol": 1e-7, "max_iter": 400},
    "mu": {"solver": "mu"},
    "minibatch": {},
}


def prepare(scan: np.ndarray, k: int, settings: dict[str, Any], _threads: int) -> Any:
    matrix = scan.reshape(scan.shape[0] * scan.shape[1], -1)

    def factorise() -> Factors:
        model = NMF(k, random_state=0, **settings)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return model.fit_transform(matrix), model.components_

    return factorise


def prepare_batches(scan: np.ndarray, k: int, settings: dict[str, Any], _threads: int) -> Any:
    matrix = scan.reshape(scan.shape[0] * scan.shape[1], -1)

    def factorise() -> Factors:
        model = MiniBatchNMF(k, random_state=0, **settings)
        return model.fit_transform(matrix), model.components_

    return factorise


def chosen(scan: np.ndarray, k: int, settings: dict[str, Any], threads: int) -> Any:
    make = prepare_batches if settings is MODES["minibatch"] else prepare
    return make(scan, k, settings, threads)


if __name__ == "__main__":
    main(chosen, MODES, f"scikit-learn {sklearn.__version__}")
