"""Background, labels, partners, overlaps and the network of boundaries."""

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
    find_background,
    label_and_partner,
    overlap_evolution,
    spot_shares,
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


# Background


def spotty(seed: int, size: int = 48, spots: int = 25) -> Array:
    """A pattern of Bragg spots in random places."""
    rng = np.random.default_rng(seed)
    at = rng.uniform(4, size - 5, (spots, 2))
    row, column = np.indices((size, size))
    distance = (row - at[:, :1, None]) ** 2 + (column - at[:, 1:, None]) ** 2
    return np.asarray((rng.uniform(5, 30, spots)[:, None, None] * np.exp(-distance / 2.5)).sum(0))


def diffuse(size: int = 48, ring: float = 0.0) -> Array:
    """What an amorphous support scatters, about the middle."""
    row, column = np.indices((size, size)) - (size - 1) / 2
    radius = np.hypot(row, column)
    return np.asarray(10 * np.exp(-radius / 8) + ring * np.exp(-(((radius - 14) / 2) ** 2)) + 0.5)


def thirds(n: int = 12) -> Array:
    """Three grains side by side."""
    weight = np.zeros((3, n, n))
    for grain in range(3):
        weight[grain, :, grain * n // 3 : (grain + 1) * n // 3] = 1.0
    return weight


def test_spots_are_what_is_not_round() -> None:
    patterns = np.stack([spotty(0), diffuse(), diffuse(ring=5.0), 0.5 * spotty(0) + diffuse()])
    shares = spot_shares(patterns)
    assert shares[0] > 0.8
    assert np.abs(shares[1:3]).max() < 0.05
    assert 0.1 < shares[3] < 0.6


@pytest.mark.parametrize("ring", [0.0, 5.0])
@pytest.mark.parametrize("counts", [0.05, 1.0, 100.0])
def test_the_empty_part_of_a_scan_is_background(ring: float, counts: float) -> None:
    # Patterns as noisy as means over 50 positions.
    rng = np.random.default_rng(1)
    patterns = np.stack([spotty(0) + diffuse(), diffuse(ring=ring), spotty(1) + diffuse()])
    patterns = rng.poisson(counts * 50 * patterns) / 50
    assert find_background(thirds(), patterns) == 1
    patterns[:, 20:28, 20:28] = np.nan
    assert find_background(thirds(), patterns) == 1


def test_a_support_under_all_grains_is_background() -> None:
    weight = np.concatenate([thirds(), np.full((1, 12, 12), 0.9)])
    patterns = np.stack([spotty(0), spotty(1), spotty(2), diffuse()])
    assert find_background(weight, patterns) == 3
    # Also where the factors left some of the spots of all with it.
    patterns[3] += 0.6 * patterns[:3].mean(axis=0)
    assert spot_shares(patterns)[3] > 0.1
    assert find_background(weight, patterns) == 3


@pytest.mark.parametrize("support", [0.0, 0.5])
def test_grains_are_no_background_however_large(support: float) -> None:
    weight = np.zeros((3, 20, 20))
    weight[0] = 1.0
    weight[1, :3, :3] = weight[2, 15:, 15:] = 1.0
    patterns = np.stack([spotty(seed) + support * diffuse() for seed in range(3)])
    assert find_background(weight, patterns) == -1  # the matrix under two precipitates
    weight[0] -= weight[1] + weight[2]
    assert find_background(weight, patterns) == -1


def test_a_scan_without_crystals_has_no_background_among_its_components() -> None:
    patterns = np.stack([diffuse(), diffuse(ring=5.0), diffuse(ring=1.0)])
    assert find_background(thirds(), patterns) == -1
    assert find_background(np.ones((1, 4, 4)), spotty(0)[None]) == -1


@pytest.mark.parametrize("empty", [0.0, 0.3])
def test_background_among_the_factors_of_a_simulated_scan(empty: float) -> None:
    from sklearn.decomposition import NMF

    from phaseloom.crystals import gold
    from phaseloom.simulate import Beam, Camera, grain_map, simulate_scan

    sample = grain_map((16, 16), (1.0,), n_grains=6, spread=0.1, overlap_width=1.0, empty=empty)
    camera = Camera(shape=(48, 48), pixel_size=1.5 / 22, sigma=1.0, background=0.3,
                    background_width=8.0)  # fmt: skip
    scan, _ = simulate_scan(
        sample, [gold()], beam=Beam(dose=1e4, precession_angle=0.8), camera=camera
    )
    n_crystals = 6 - round(6 * empty)
    k = n_crystals + (empty > 0)
    counts = scan["counts"].to_numpy().astype(np.float64)
    row, column = np.indices((48, 48)) - 23.5
    used = np.hypot(row, column) > 4
    # The square root makes the errors of all counts alike.
    model = NMF(k, init="nndsvda", max_iter=400, random_state=0)
    weight = model.fit_transform(np.sqrt(counts[:, :, used]).reshape(256, -1))
    scale = np.percentile(weight, 99, axis=0)
    pattern = np.full((k, 48, 48), np.nan)
    pattern[:, used] = (model.components_ * scale[:, None]) ** 2
    maps = (weight / scale).T.reshape(k, 16, 16)
    background = find_background(maps, pattern)
    if not empty:
        assert background == -1
        return
    assert background >= 0
    truly_empty = sample["phase"].to_numpy() < 0
    labels = label_and_partner(maps, background).label
    assert ((labels == background) == truly_empty).mean() > 0.9


# Bad input


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
    with pytest.raises(InputError, match="do not belong"):
        find_background(weight, diffuse()[None])
    with pytest.raises(InputError, match="not of one map"):
        boundary_network(weight, np.zeros((2, 2)), np.zeros((2, 2)))
