"""Few patterns and their weights in place of a whole scan: non-negative matrix factorisation.

- the chain: :func:`cluster`, from a scan or its peaks to components, labels and overlaps
- its steps: :func:`prepare`, :func:`factorise`, :func:`choose_rank`
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from phaseloom.lazy import lazy_names

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

__getattr__ = lazy_names(__name__, _HOMES)
