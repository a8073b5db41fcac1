"""How many components: counted on scans that have a known number."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from component_cases import Case, case, cosines, grains, spots
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter

from phaseloom.components.choice.rank import (
    REDUNDANCY,
    STABILITY,
    Rank,
    Step,
    _choice,
    averaged,
    choose_rank,
    merging_sweep,
    thinned,
)
from phaseloom.components.factors.compression import Compressed, compress
from phaseloom.components.factors.least_squares import fit, weights_of
from phaseloom.errors import InputError

SHAPE = (18, 20)
OPTIONS: dict[str, Any] = {"components_max": 8, "seeds": 3, "device": "cpu"}


def compressed(true: Case, **options: Any) -> Compressed:
    return compress(true.prepared, **{"dimensions": 28, "held_out": 45, "device": "cpu", **options})


@cache
def of(k: int, counts: float = 1000.0, seed: int = 0) -> tuple[Case, Compressed, Rank]:
    true = case(k, shape=SHAPE, counts=counts, seed=seed)
    few = compressed(true)
    return true, few, choose_rank(few, SHAPE, **OPTIONS)


def bent(k: int, seed: int, shape: tuple[int, int] = (24, 24)) -> Case:
    """Grains, one of 16 positions, in which spots grow and others fade across the scan."""
    rng = np.random.default_rng(seed)
    label = grains(shape, k - 1, blur=0.0, seed=seed).argmax(axis=1).reshape(shape)
    label[2:6, 2:6] = k - 1
    weight = gaussian_filter(np.eye(k)[label], (0.6, 0.6, 0)).reshape(-1, k)
    one, other = (0.95 * spots(k, 16, rng) + 0.05 / 256 for _ in range(2))
    y, x = np.indices(shape)
    share = 0.5 + 0.2 * np.sin(y / 8 + x / 11).ravel()[:, None]
    expected = 1000.0 * ((weight * share) @ one + (weight * (1 - share)) @ other)
    return Case(rng.poisson(expected).reshape(*shape, 16, 16), weight, 500.0 * (one + other))


# The number.


@pytest.mark.parametrize(("k", "counts", "seed"), [(2, 300, 1), (3, 3000, 0), (5, 300, 2)])
def test_grains_are_counted(k: int, counts: float, seed: int) -> None:
    true, few, rank = of(k, counts, seed)
    assert rank.k == k
    assert rank.patterns.shape == (k, 256)
    assert cosines(rank.patterns * few.scales.columns, true.pattern).min() > 0.95


@pytest.mark.parametrize(("k", "seed"), [(4, 0), (5, 1)])
def test_a_small_grain_counts_and_a_bent_one_counts_once(k: int, seed: int) -> None:
    true = bent(k, seed)
    rank = choose_rank(compressed(true), (24, 24), **OPTIONS)
    assert rank.k == k
    assert cosines(rank.patterns, true.pattern / np.sqrt(true.matrix.mean(axis=0)))[-1] > 0.8


@pytest.mark.parametrize("counts", [100.0, 1000.0, 1e5])
def test_a_single_grain_is_one_component(counts: float) -> None:
    true, few, rank = of(1, counts)
    assert rank.k == 1 and rank.patterns.shape == (1, 256)
    assert rank.redundancy[0] == 0.0 and rank.redundancy[1:].min() > REDUNDANCY
    assert rank.reason.startswith("k = 1: all patterns are one component; with 2 ")
    assert cosines(rank.patterns * few.scales.columns, true.pattern).min() > 0.95


def test_one_may_be_all_that_is_tried() -> None:
    _, few, _ = of(3, 3000)
    rank = choose_rank(few, SHAPE, components_max=2, seeds=2, device="cpu")
    np.testing.assert_array_equal(rank.ks, [1, 2])


def varying(k: int, spread: float, shape: tuple[int, int] = (24, 24), seed: int = 0) -> Case:
    """Grains of sharp boundaries whose spots vary in brightness from position to position."""
    rng = np.random.default_rng(seed)
    weight = grains(shape, k, blur=0.6, seed=seed)
    expected = np.zeros((len(weight), 256))
    pattern = np.zeros((k, 256))
    for grain in range(k):
        # Eight spots, each as bright as a random turn of the grain makes it, on the same average.
        single = np.stack([spots(1, 16, rng, n=1)[0] for _ in range(8)])
        bright = np.exp(spread * rng.standard_normal((len(weight), 8)) - spread**2 / 2)
        expected += weight[:, grain, None] * (bright @ single) / 8
        pattern[grain] = single.mean(axis=0)
    expected = 2000.0 * (0.95 * expected + 0.05 / 256)
    counts = rng.poisson(expected).reshape(*shape, 16, 16)
    return Case(counts, weight, 2000.0 * (0.95 * pattern + 0.05 / 256))


@pytest.mark.parametrize("spread", [0.5, 1.0])
def test_grains_whose_spots_vary_from_position_to_position_are_counted(spread: float) -> None:
    true = varying(5, spread)
    rank = choose_rank(compressed(true), (24, 24), **OPTIONS)
    assert rank.k == 5
    assert rank.stability[4] > STABILITY


def test_as_many_as_were_tried_may_be_too_few() -> None:
    _, few, _ = of(5, 300, 2)
    rank = choose_rank(few, SHAPE, components_max=4, seeds=2, device="cpu")
    assert rank.k == 4
    assert rank.reason.endswith(
        "it is the largest that was tried: there may be more (--components-max)"
    )


def test_the_reason_says_what_is_wrong_with_one_more() -> None:
    _, _, rank = of(3, 3000)
    at = dict(zip(rank.ks.tolist(), rank.redundancy, strict=True))
    assert rank.reason == (
        f"k = 3 is the largest number of components of which no two are alike (largest cosine "
        f"{at[3]:.2f}, limit 0.25) and all are found in both halves of the scan (least cosine "
        f"{rank.stability[2]:.2f}, limit 0.5); with 4 two are alike ({at[4]:.2f})"
    )


def test_the_same_again() -> None:
    _, few, first = of(3, 3000)
    again = choose_rank(few, SHAPE, **OPTIONS)
    np.testing.assert_array_equal(again.patterns, first.patterns)
    np.testing.assert_array_equal(again.held_out, first.held_out)
    assert again.reason == first.reason


# What it rests on.


def test_numbers_are_tried_in_turn_and_described() -> None:
    _, few, rank = of(5, 300, 2)
    np.testing.assert_array_equal(rank.ks, np.arange(1, 9))
    for name in ("loss", "held_out", "held_out_error", "gain", "stability", "redundancy", "found"):
        assert getattr(rank, name).shape == rank.ks.shape
    for shares in (rank.stability, rank.redundancy, rank.found, rank.held_out, rank.loss):
        assert np.all((shares >= 0) & (shares <= 1))
    assert np.isnan(rank.gain[0]) and np.isfinite(rank.gain[1:]).all()
    # Held-out patterns are described better up to the number there are.
    assert np.all(rank.gain[1:5] > 1) and np.all(rank.gain[5:] < 1)
    assert np.argmin(rank.loss[:5]) == 4
    square = weights_of(few, rank.patterns, device="cpu")[1]
    assert rank.loss[4] == pytest.approx(np.sqrt(square / few.total))


def steps(few: Compressed, most: int = 5, least: int = 2) -> list[Step]:
    how: dict[str, Any] = {"start": "pure", "seeds": 3, "seed": 0, "device": "cpu"}
    return list(merging_sweep(few, SHAPE, most, least, **how))


def test_redundancy_is_the_cosine_of_the_images_of_two_components() -> None:
    _, few, _ = of(3, 3000)
    for step in steps(few):
        k = step.patterns.shape[0]
        maps = step.weights.T.reshape(k, *SHAPE).astype(float)
        smooth = uniform_filter(maps, (1, 3, 3), mode="nearest").reshape(k, -1)
        images = [np.outer(w, h).ravel() for w, h in zip(smooth, step.patterns, strict=True)]
        unit = [image / np.linalg.norm(image) for image in images]
        largest = max(unit[i] @ unit[j] for i in range(k) for j in range(i))
        assert step.redundancy == pytest.approx(largest, rel=1e-4)


def test_numbers_go_down_to_one() -> None:
    _, few, _ = of(3, 3000)
    found = steps(few, 3, 1)
    assert [len(step.patterns) for step in found] == [3, 2, 1]
    assert found[-1].redundancy == 0.0


def test_patterns_know_nothing_of_what_is_held_out() -> None:
    _, few, rank = of(3, 3000)
    rng = np.random.default_rng(0)
    scores = few.scores.copy()
    scores[few.held_out] = 100 * rng.random((few.held_out.size, scores.shape[1]))
    rows = (few.held_out_rows * rng.uniform(0.5, 1.5, few.held_out_rows.shape)).astype(np.float32)
    other = replace(few, scores=scores, held_out_rows=rows)
    for one, two in zip(steps(few), steps(other), strict=True):
        np.testing.assert_array_equal(one.patterns, two.patterns)
    again = choose_rank(other, SHAPE, **{**OPTIONS, "components_max": 3})
    assert not np.allclose(again.held_out, rank.held_out[:3])


def test_the_held_out_error_is_that_of_pixels_not_fitted() -> None:
    # With the true patterns only counting is left; weights come from the other pixels.
    true, few, rank = of(3, 3000)
    scaled = few.held_out_rows.astype(float)
    expected = (true.weight @ true.pattern)[few.held_out] / few.scales.rows[few.held_out, None]
    noise = np.linalg.norm(scaled - expected / few.scales.columns) / np.linalg.norm(scaled)
    assert rank.held_out[2] == pytest.approx(noise, rel=0.1)
    assert np.all(rank.held_out_error > 0) and np.all(rank.held_out_error < 0.2 * rank.held_out)


def test_positions_are_averaged_with_their_neighbours_but_not_with_those_apart() -> None:
    _, few, _ = of(3, 3000)
    smooth = averaged(few, SHAPE)
    inside = np.ones(len(few.scores), bool)
    inside[few.held_out] = False
    maps, there = few.scores.reshape(*SHAPE, -1), inside.reshape(SHAPE)
    for y, x in ((0, 0), (7, 3), np.argwhere(~there)[4], (17, 19)):
        near = np.s_[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        expected = maps[near][there[near]].mean(axis=0)
        found = smooth.scores.reshape(*SHAPE, -1)[y, x]
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(maps).max())


def test_stability_is_the_cosine_between_both_halves() -> None:
    _, few, rank = of(3, 3000)
    black = (np.indices(SHAPE).sum(axis=0) % 2 == 0).ravel()
    taken = np.ones(len(few.scores), bool)
    taken[few.held_out] = False
    place = np.stack(np.indices(SHAPE), axis=-1).reshape(-1, 2)
    sides = []
    for half in (black, ~black):
        near = np.abs(place[:, None] - place[None]).max(axis=2) <= 1
        share = near & half & taken
        mean = share @ few.scores / np.maximum(share.sum(axis=1), 1)[:, None]
        side = replace(few, scores=mean.astype(np.float32))
        sides.append(fit(side, rank.patterns[None], max_iterations=20, device="cpu").patterns[0])
    cosine = np.einsum("ij,ij->i", *sides)
    assert rank.stability[2] == pytest.approx(cosine.min(), rel=1e-3)
    assert rank.stability[2] > 0.99


# The rule.

Sweep = list[tuple[float, float, float]]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(-4, 8)), min_size=1,
                max_size=19))  # fmt: skip
def test_the_largest_number_that_passes_is_chosen(sweep: Sweep) -> None:
    ks = np.arange(1, 1 + len(sweep))
    redundancy, stability, gain = np.array(sweep).T
    gain[0] = np.nan
    k, reason = _choice(ks, redundancy, stability, gain)
    passing = [
        int(n)
        for i, (n, s, g) in enumerate(zip(ks, stability, gain, strict=True))
        if max(redundancy[: i + 1]) <= REDUNDANCY and s >= STABILITY and not g < -1
    ]
    assert k == (max(passing) if passing else 1)
    assert reason.startswith(f"k = {k}")
    assert ("there may be more" in reason) == (k == ks[-1])


@pytest.mark.parametrize(
    ("after", "message"),
    [
        ((0.6, 0.9, 1.0), "with 3 two are alike (0.60)"),
        ((0.1, 0.3, 1.0), "with 3 one is not found in both halves (0.30)"),
        ((0.1, 0.9, -2.0), "with 3 held-out patterns are described worse"),
    ],
)
def test_why_not_one_more(after: tuple[float, ...], message: str) -> None:
    values: NDArray[np.float64] = np.array([(0.1, 1.0, np.nan), after])
    k, reason = _choice(np.array([2, 3]), *values.T)
    assert k == 2 and reason.endswith(message)


# What leaves no choice.


@pytest.mark.parametrize(("shape", "components_max"), [((2, 2), 20), ((3, 5), 20), ((12, 12), 1)])
def test_scans_that_leave_no_choice_are_told(shape: tuple[int, int], components_max: int) -> None:
    few = compressed(case(2, shape=shape))
    with pytest.raises(
        InputError, match=rf"{shape[0] * shape[1]} positions and at most {components_max}"
    ):
        choose_rank(few, shape, components_max=components_max, device="cpu")


@pytest.mark.filterwarnings("error")
def test_empty_patterns_held_out_tell_nothing() -> None:
    _, few, _ = of(3, 3000)
    empty = replace(few, held_out_rows=np.zeros_like(few.held_out_rows))
    rank = choose_rank(empty, SHAPE, components_max=4, seeds=2, device="cpu")
    assert np.isnan(rank.held_out).all() and rank.k == 3


def test_one_row() -> None:
    true = case(3, shape=(1, 90), blur=0.5)
    rank = choose_rank(
        compressed(true, held_out=20), (1, 90), components_max=6, seeds=2, device="cpu"
    )
    assert rank.k == 3


def test_no_more_than_there_are_dimensions() -> None:
    true = case(2, shape=(4, 5), side=8)
    rank = choose_rank(
        compressed(true, dimensions=4), (4, 5), components_max=20, seeds=1, device="cpu"
    )
    assert rank.ks[-1] == 4


def test_a_large_scan_is_thinned_and_its_grains_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every second position of each axis stays, with its share of what is left out."""
    monkeypatch.setattr("phaseloom.components.choice.rank._MOST", 100)
    _, few, _ = of(4)
    some, shape = thinned(few, SHAPE)
    assert shape == (9, 10)
    np.testing.assert_array_equal(some.scores[shape[1] + 2], few.scores[2 * SHAPE[1] + 4])
    assert some.left_out == pytest.approx(few.left_out / 4, rel=1e-3)
    assert choose_rank(few, SHAPE, **OPTIONS).k == 4
