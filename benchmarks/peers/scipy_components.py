"""The reference anybody writes: a hundred iterations of HALS from random factors, in numpy.

Cichocki and Phan, IEICE Trans. Fundam. E92-A (2009) 708, eq. 28–29.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from components_common import Factors, main

MODES: dict[str, dict[str, Any]] = {"hals": {"iterations": 100}}


def improve(factor: np.ndarray, product: np.ndarray, gram: np.ndarray) -> None:
    """One round through the columns of a factor."""
    for j in range(factor.shape[1]):
        step = (product[:, j] - factor @ gram[:, j]) / max(gram[j, j], 1e-12)
        factor[:, j] = np.maximum(factor[:, j] + step, 0.0)


def prepare(scan: np.ndarray, k: int, settings: dict[str, Any], _threads: int) -> Any:
    matrix = scan.reshape(scan.shape[0] * scan.shape[1], -1)

    def factorise() -> Factors:
        rng = np.random.default_rng(0)
        scale = np.sqrt(matrix.mean() / k)
        weight = (scale * rng.random((matrix.shape[0], k))).astype(np.float32)
        pattern = (scale * rng.random((matrix.shape[1], k))).astype(np.float32)
        for _ in range(settings["iterations"]):
            improve(weight, matrix @ pattern, pattern.T @ pattern)
            improve(pattern, matrix.T @ weight, weight.T @ weight)
        return weight, pattern.T

    return factorise


if __name__ == "__main__":
    main(prepare, MODES, f"numpy {np.__version__}")
