"""Components scored against known grains."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from phaseloom.simulate import grain_map
from phaseloom.workflow.components.demo import score, true_shares


@pytest.fixture
def truth() -> xr.Dataset:
    return grain_map((20, 18), (1.0,), n_grains=5, overlap_width=3.0, seed=4)


def perfect(truth: xr.Dataset, *, order: list[int]) -> xr.Dataset:
    """Components that are the grains, in another order."""
    shares = true_shares(truth)[order]
    ratio = truth["overlap"] / (1 - truth["overlap"])
    of = np.argsort(order)
    partner = np.where(ratio >= 0.75, of[truth["grain_2"].to_numpy()], -1)
    return xr.Dataset(
        {
            "weight": (("component", "y", "x"), shares),
            "label": (("y", "x"), of[truth["grain"].to_numpy()]),
            "partner": (("y", "x"), partner),
        },
        attrs={"background": -1, "grains": len(order), "overlap_ratio": 0.75},
    )


def test_shares_of_a_position_sum_to_one(truth: xr.Dataset) -> None:
    np.testing.assert_allclose(true_shares(truth).sum(axis=0), 1.0)


def test_grains_found_as_they_are_score_best_in_any_order(truth: xr.Dataset) -> None:
    scored = score(perfect(truth, order=[3, 0, 4, 1, 2]), truth)
    assert (scored["grains"], scored["true_grains"]) == (5, 5)
    for name in ("map_correlation", "worst_map_correlation", "right_labels", "overlap_f1"):
        assert scored[name] == pytest.approx(1.0)


def test_a_grain_that_is_missed_shows(truth: xr.Dataset) -> None:
    whole = perfect(truth, order=[0, 1, 2, 3, 4])
    # The fourth grain's positions go to the third's component.
    label = whole["label"].where(whole["label"] != 3, 2)
    less = whole.isel(component=[0, 1, 2, 4]).assign(label=label.where(label != 4, 3))
    scored = score(less.assign_attrs(grains=4), truth)
    assert scored["grains"] == 4
    assert scored["worst_map_correlation"] == 0.0
    alone = truth["overlap"].to_numpy() == 0
    missed = (truth["grain"].to_numpy() == 3)[alone].mean()
    assert scored["right_labels"] == pytest.approx(1 - missed)


def test_the_background_is_no_grain(truth: xr.Dataset) -> None:
    whole = perfect(truth, order=[0, 1, 2, 3, 4])
    scored = score(whole.assign_attrs(background=2, grains=4), truth)
    assert scored["worst_map_correlation"] == 0.0


def test_overlaps_missed_and_invented(truth: xr.Dataset) -> None:
    whole = perfect(truth, order=[0, 1, 2, 3, 4])
    none = score(whole.assign(partner=whole["partner"] * 0 - 1), truth)
    assert none["overlap_f1"] == none["overlap_recall"] == 0.0
    every = score(whole.assign(partner=whole["partner"] * 0), truth)
    assert every["overlap_recall"] == 1.0
    assert every["overlap_precision"] == pytest.approx(float((whole["partner"] >= 0).mean()))
