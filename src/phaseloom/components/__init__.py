"""Few patterns and their weights in place of a whole scan: non-negative matrix factorisation.

- the chain: :func:`cluster`, from a scan or its peaks to components, labels and overlaps
- its steps: :func:`prepare`, :func:`factorise`, :func:`choose_rank`
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phaseloom.components.clustering import cluster
    from phaseloom.components.factorisation import Factors, factorise
    from phaseloom.components.matrix import Prepared, matrix_of
    from phaseloom.components.preparation import prepare
    from phaseloom.components.rank import choose_rank

__all__ = ["Factors", "Prepared", "choose_rank", "cluster", "factorise", "matrix_of", "prepare"]

_HOMES = {
    "Factors": "factorisation",
    "Prepared": "matrix",
    "choose_rank": "rank",
    "cluster": "clustering",
    "factorise": "factorisation",
    "matrix_of": "matrix",
    "prepare": "preparation",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"phaseloom.components.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'phaseloom.components' has no attribute {name!r}")
