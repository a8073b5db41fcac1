"""Few patterns and their weights in place of a whole scan: non-negative matrix factorisation.

- the chain: :func:`cluster`, from a scan or its peaks to components, labels and overlaps
- its steps: :func:`prepare`, :func:`factorise`, :func:`choose_rank`
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phaseloom.components.choice.rank import choose_rank
    from phaseloom.components.clustering import cluster
    from phaseloom.components.factors.factorisation import Factors, factorise
    from phaseloom.components.patterns.matrix import Prepared, matrix_of
    from phaseloom.components.patterns.preparation import prepare

__all__ = ["Factors", "Prepared", "choose_rank", "cluster", "factorise", "matrix_of", "prepare"]

_HOMES = {
    "Factors": "factors.factorisation",
    "Prepared": "patterns.matrix",
    "choose_rank": "choice.rank",
    "cluster": "clustering",
    "factorise": "factors.factorisation",
    "matrix_of": "patterns.matrix",
    "prepare": "patterns.preparation",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"phaseloom.components.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'phaseloom.components' has no attribute {name!r}")
