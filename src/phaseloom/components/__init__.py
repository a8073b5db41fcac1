"""Components of a scan by non-negative matrix factorisation: few patterns and their weight maps.

- clustering: the chain :func:`cluster`, from a scan or its peaks to components and overlaps
- assembly: the result, group ``/components``: maps and patterns with coordinates
- statistics: tables of components and of positions
- overlap: labels, overlaps of two components, the background component, boundaries
- choice: the number of components (:func:`choose_rank`), comparison with other methods
- factors: the factorisation (:func:`factorise`)
- patterns: patterns of a scan as a matrix (:func:`prepare`)
- options: options of all steps
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
