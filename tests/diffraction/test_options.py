"""The options of registration: their bounds, and how pairs are read."""

from __future__ import annotations

import numpy as np
import pytest

from phaseloom.diffraction.options import (
    Centring,
    DetectorCorrection,
    PeakSelection,
    SpotSearch,
    pair,
)
from phaseloom.errors import InputError
from phaseloom.options import shown, validated

COMMON = "scan_mean average_neighbours centre false_alarms shape sigma radius k_min k_max"


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("3,4.5", (3, 4.5)),
        (" 12 × 7", (12, 7)),
        ("12x7", (12, 7)),
        ([1, 2], (1, 2)),
        (np.array([1.5, 2]), (1.5, 2.0)),
        ((1, 2), (1, 2)),
        ("auto", "auto"),
        (None, None),
    ],
)
def test_pairs_are_read_as_they_are_written(given, read):
    assert pair(given) == read


@pytest.mark.parametrize("given", ["3", "a,b", "1,2,3", "3;4"])
def test_what_is_no_pair_is_told(given):
    with pytest.raises(InputError, match="is not of the form ROWS,COLUMNS"):
        validated(Centring, {"centre": given})


def test_few_options_are_common():
    models = (DetectorCorrection, Centring, SpotSearch, PeakSelection)
    fields = {name: field for model in models for name, field in model.model_fields.items()}
    assert [name for name, field in fields.items() if not shown(field).expert] == COMMON.split()
    assert all(field.description[0].islower() for field in fields.values())


@pytest.mark.parametrize(
    ("model", "given", "fault"),
    [
        (DetectorCorrection, {"saturation": 0}, "saturation must be greater than 0"),
        (DetectorCorrection, {"average_neighbours": 6}, "less than or equal to 5"),
        (DetectorCorrection, {"average_neighbours": 2, "scan_mean": True}, "leave one out"),
        (SpotSearch, {"sigma": 2, "radius": 3}, "sigma is of a Gaussian spot"),
        (SpotSearch, {"sigma": 2, "shape": "disk"}, "sigma is of a Gaussian spot"),
        (SpotSearch, {"radius": 3, "shape": "gaussian"}, "radius is of a disk"),
        (PeakSelection, {"k_min": 1, "k_max": 1}, "no spot lies between k_min 1.0 and k_max 1.0"),
        (PeakSelection, {"k_max": np.inf}, "k_max must be a finite number"),
    ],
)
def test_what_cannot_be_is_told(model, given, fault):
    with pytest.raises(InputError, match=fault):
        validated(model, given)
