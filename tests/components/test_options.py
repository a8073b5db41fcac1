"""Options of components: bounds, and what does not go together."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from phaseloom.components import cluster, prepare
from phaseloom.components.options import Factorisation, Overlaps, PatternOptions, Preparation
from phaseloom.errors import InputError
from phaseloom.options import Options, validated


@pytest.mark.parametrize(
    ("model", "values", "message"),
    [
        (Preparation, {"size": 10}, "size must be greater than or equal to 11, not 10"),
        (Factorisation, {"k": 257}, "k must be 'auto' or less than or equal to 256, not 257"),
        (Factorisation, {"k": "many"}, "k must be 'auto' or a whole number, not 'many'"),
        (Factorisation, {"components_max": 2}, "components_max must be greater than or equal to 3"),
        (Factorisation, {"loss": "kl", "sparsity": 0.1}, "sparsity goes with least squares only"),
        (Overlaps, {"background": -1}, "background must be 'auto' or 'none' or greater than"),
        (Overlaps, {"overlap_ratio": 1.1}, "overlap_ratio must be less than or equal to 1"),
    ],
)
def test_values_out_of_bounds_are_refused(
    model: type[Options], values: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        validated(model, values)


def test_the_chain_has_every_option_as_a_keyword() -> None:
    keywords = inspect.signature(cluster).parameters
    for model in (Preparation, Factorisation, Overlaps):
        for name, field in model.model_fields.items():
            assert keywords[name].default == field.default
            assert f"\n    {name}\n" in str(cluster.__doc__)
    assert "scaling" not in inspect.signature(prepare).parameters
    assert set(PatternOptions.model_fields) <= set(inspect.signature(prepare).parameters)
