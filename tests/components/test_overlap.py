"""Labels, partners, overlaps and the network of boundaries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from phaseloom.components.overlap import (
    THRESHOLDS,
    boundary_network,
    label_and_partner,
    overlap_evolution,
)
from phaseloom.errors import InputError

Array = NDArray[np.float64]


def one(*weights: float) -> Array:
    """Maps of a single position, beside an empty one of weight 0."""
    return np.stack([np.array(weights), np.zeros(len(weights))], axis=1)[:, None, :]


@pytest.mark.parametrize(
    ("weights", "background", "label", "partner"),
    [
        ((1.0, 0.5, 0.2), -1, 0, -1),
        ((1.0, 0.75, 0.2), -1, 0, 1),
        ((0.3, 0.8, 1.0), -1, 2, 1),
        # background first
        ((1.0, 0.64, 0.6), 0, 0, -1),
        ((1.0, 0.66, 0.1), 0, 1, -1),
        ((1.0, 0.66, 0.6), 0, 1, 2),
        # background second hides the third, as published
        ((1.0, 0.9, 0.8), 1, 0, -1),
        ((1.0, 0.8, 0.9), 2, 0, -1),
        # background third
        ((1.0, 0.9, 0.5), 2, 0, 1),
        ((0.0, 0.0, 0.0), 0, -1, -1),
        ((0.0, 0.0, 1.0), 2, 2, -1),
    ],
)
def test_the_published_rule(
    weights: tuple[float, ...], background: int, label: int, partner: int
) -> None:
    labels, partners = label_and_partner(one(*weights), background)
    assert (labels[0, 0], partners[0, 0]) == (label, partner)
    assert (labels[0, 1], partners[0, 1]) == (-1, -1)


def test_weights_are_scaled_from_the_least_of_all() -> None:
    weight = np.array([[[1.0, 0.2]], [[0.76, 0.2]]])
    assert label_and_partner(weight).partner[0, 0] == -1  # 0.56 / 0.8
    assert label_and_partner(weight - 0.2 + 0.1).partner[0, 0] == -1
    assert label_and_partner(weight, overlap_ratio=0.7).partner[0, 0] == 1


@given(
    hnp.arrays(np.float64, (4, 3, 5), elements=st.floats(0, 100, width=32)),
    st.integers(-1, 3),
    st.floats(0.1, 1.0),
    st.floats(0.1, 1.0),
)
def test_the_rule_position_by_position(
    weight: Array, background: int, background_ratio: float, overlap_ratio: float
) -> None:
    labels, partners = label_and_partner(
        weight, background, background_ratio=background_ratio, overlap_ratio=overlap_ratio
    )
    scaled = weight - weight.min()
    for y, x in np.ndindex(3, 5):
        w = scaled[:, y, x]
        first, second, third = np.argsort(-w, kind="stable")[:3]
        expected = first, -1
        if not weight[:, y, x].any():
            expected = -1, -1
        elif w[first] > 0:
            if first == background and w[second] / w[first] >= background_ratio:
                close = w[second] > 0 and w[third] / w[second] >= overlap_ratio
                expected = second, third if close else -1
            elif background not in (first, second) and w[second] / w[first] >= overlap_ratio:
                expected = first, second
        assert (labels[y, x], partners[y, x]) == expected


@given(hnp.arrays(np.float64, (3, 4, 4), elements=st.floats(0, 1)), st.integers(-1, 2))
def test_stricter_overlaps_lie_within_laxer_ones(weight: Array, background: int) -> None:
    evolution = overlap_evolution(weight, background)
    assert evolution.shape == (len(THRESHOLDS), 4, 4)
    assert not (evolution[1:] & ~evolution[:-1]).any()
    partner = label_and_partner(weight, background, overlap_ratio=THRESHOLDS[2]).partner
    np.testing.assert_array_equal(evolution[2], partner >= 0)


def test_near_the_threshold_nothing_is_said_where_the_ratio_is_not_known() -> None:
    weight = np.ones((2, 1, 5))
    weight[1] = [0.95, 0.8, 0.7, 0.4, 0.8]
    error = np.array([[0.12, 0.12, 0.12, 0.12, 0.09]])
    # Ratios are of weights less the least of all.
    weight = np.concatenate([weight, np.zeros((1, 1, 5))])
    evolution = overlap_evolution(weight, error=error)
    np.testing.assert_array_equal(evolution[0], [[-1, -1, -1, 0, 1]])
    np.testing.assert_array_equal(evolution[4], [[-1, -1, 0, 0, 0]])
    labels, partners = label_and_partner(weight, error=error)
    np.testing.assert_array_equal(labels, [[0, 0, 0, 0, 0]])
    np.testing.assert_array_equal(partners, [[-1, -1, -1, -1, 1]])
    np.testing.assert_array_equal(
        label_and_partner(weight, error=error * np.nan).partner, label_and_partner(weight).partner
    )


def test_one_component_is_everywhere_without_partner() -> None:
    labels, partners = label_and_partner(np.ones((1, 2, 3)))
    assert (labels == 0).all() and (partners == -1).all()


def test_a_network_of_two_boundaries() -> None:
    # 0 and 1 part at a vertical line that both sides share; 2 is background in the last rows.
    weight = np.zeros((3, 8, 10))
    weight[0, :6, :5] = 1.0
    weight[1, :6, 5:] = 1.0
    weight[1, :6, 4] = 0.8
    weight[0, :6, 5] = 0.9
    weight[2, 6:] = 1.0
    labels, partners = label_and_partner(weight, 2)
    network = boundary_network(weight, labels, partners, background=2)
    assert len(network) == 1
    row = network.iloc[0]
    assert (row["first"], row["second"], row["overlap"], row["edges"]) == (0, 1, 12, 6)
    assert row["ratio"] == pytest.approx(0.85)
    assert row["length"] == pytest.approx(6, rel=0.15)
    assert row["width"] == pytest.approx(12 / row["length"])
    with_background = boundary_network(weight, labels, partners)
    assert with_background[["first", "second"]].to_numpy().tolist() == [[0, 1], [0, 2], [1, 2]]
    assert with_background["edges"].tolist() == [6, 5, 5]


def test_crystals_that_overlap_without_touching() -> None:
    weight = np.zeros((2, 3, 3))
    weight[0] = 1.0
    weight[1, 1, 1] = 0.9
    network = boundary_network(weight, *label_and_partner(weight))
    assert network[["overlap", "edges", "length"]].to_numpy().tolist() == [[1, 0, 0]]
    assert np.isnan(network["width"]).all()
    assert network["ratio"].tolist() == pytest.approx([0.9])


def test_nothing_touches_nothing() -> None:
    weight = np.ones((1, 3, 3))
    network = boundary_network(weight, *label_and_partner(weight))
    assert network.empty
    assert list(network) == ["first", "second", "overlap", "edges", "length", "width", "ratio"]


# Bad input


def thirds(n: int = 12) -> Array:
    """Three grains side by side."""
    weight = np.zeros((3, n, n))
    for grain in range(3):
        weight[grain, :, grain * n // 3 : (grain + 1) * n // 3] = 1.0
    return weight


def test_what_cannot_be_is_told() -> None:
    weight = thirds()
    with pytest.raises(InputError, match="no maps"):
        label_and_partner(weight[0])
    with pytest.raises(InputError, match="negative or not finite"):
        label_and_partner(weight - 1)
    with pytest.raises(InputError, match="negative or not finite"):
        label_and_partner(weight * np.nan)
    with pytest.raises(InputError, match="no component 3"):
        label_and_partner(weight, 3)
    with pytest.raises(InputError, match="ratio of weights of 75"):
        label_and_partner(weight, overlap_ratio=75)
    with pytest.raises(InputError, match="ratio of weights of 0"):
        overlap_evolution(weight, background_ratio=0.0)
    with pytest.raises(InputError, match="not of one map"):
        boundary_network(weight, np.zeros((2, 2)), np.zeros((2, 2)))
