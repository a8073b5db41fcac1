"""torchnmf: multiplicative updates in torch, for the Frobenius norm and for its default, KL."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from components_common import Factors, main
from torchnmf.nmf import NMF

MODES: dict[str, dict[str, Any]] = {"frobenius": {"beta": 2.0}, "kl": {"beta": 1.0}}


def prepare(scan: np.ndarray, k: int, settings: dict[str, Any], threads: int) -> Any:
    torch.set_num_threads(threads)
    matrix = torch.from_numpy(scan.reshape(scan.shape[0] * scan.shape[1], -1))

    def factorise() -> Factors:
        torch.manual_seed(0)
        model = NMF(matrix.shape, rank=k)
        model.fit(matrix, **settings)
        return model.H.detach().numpy(), model.W.detach().numpy().T

    return factorise


if __name__ == "__main__":
    main(prepare, MODES, f"torchnmf {version('torchnmf')}")
