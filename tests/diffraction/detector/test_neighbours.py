"""Patterns of one grain are told from strangers by their counts, at low doses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phaseloom.diffraction.detector.neighbours import (
    Likeness,
    added,
    alike,
    cells,
    flat_background,
)

SIDE = 60  # cells along a side


def expected(seed: int, spots: float) -> np.ndarray:
    """Shares (cells,) of a pattern's electrons: 25 spots on a flat background."""
    rng = np.random.default_rng(seed)
    share = np.full(SIDE**2, (1 - spots) / SIDE**2)
    strength = rng.uniform(0.5, 2, 25)
    share[rng.choice(SIDE**2, 25, replace=False)] += spots * strength / strength.sum()
    return share


def likeness(radius: int = 2, **noise: float) -> Likeness:
    used = np.ones((SIDE, SIDE), dtype=bool)
    return Likeness(radius, 1, used, np.full(SIDE**2, SIDE**-2.0), **noise)


def whole(counts: np.ndarray) -> tuple[slice, slice]:
    return slice(0, counts.shape[0]), slice(0, counts.shape[1])


def crossing(chosen: np.ndarray, grain: np.ndarray, how: Likeness) -> tuple[float, float]:
    """Part of the neighbours that are added, of the same grain and of others."""
    height, width = grain.shape
    y, x = np.indices(grain.shape)
    pairs: dict[bool, list[np.ndarray]] = {True: [], False: []}
    for n, (dy, dx) in enumerate(how.steps):
        there = (y + dy >= 0) & (y + dy < height) & (x + dx >= 0) & (x + dx < width)
        other = grain[(y + dy).clip(0, height - 1), (x + dx).clip(0, width - 1)]
        for same in (True, False):
            pairs[same].append(chosen[..., n][there & ((other == grain) == same)])
    return tuple(float(np.concatenate(pairs[same]).mean()) for same in (True, False))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("dose", "gain", "floor"), [(200, 1.0, 0.0), (1000, 1.0, 0.0), (1000, 4.0, 0.02)]
)
def test_grains_are_told_apart_and_lamellae_of_two_positions_stay(dose, gain, floor):
    grain = np.zeros((16, 16), dtype=int)
    grain[:, 7:9] = 1  # a lamella
    grain[9:] = 2
    rng = np.random.default_rng(0)
    share = np.stack([expected(seed, 0.3) for seed in range(3)])[grain]
    counts = gain * rng.poisson(dose * share) + rng.normal(0, np.sqrt(floor), share.shape)
    how = likeness(gain=gain, floor=floor)
    chosen = alike(counts.astype(np.float32), how, whole(counts))
    same, others = crossing(chosen, grain, how)
    assert same > 0.7
    assert others < 0.005
    lamella = np.broadcast_to((grain == 1)[..., None], chosen.shape)
    assert chosen[lamella].sum() > 0.6 * 9 * (grain == 1).sum()


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([30, 100, 300, 3000]), st.floats(0.02, 0.5))
def test_strangers_are_never_added_however_few_the_counts(seed, dose, spots):
    """Neighbours that are all strangers: at most by the chance that is stated."""
    rng = np.random.default_rng(seed)
    share = np.stack([expected(seed + k, spots) for k in range(36)]).reshape(6, 6, -1)
    counts = rng.poisson(dose * share).astype(np.float32)
    chosen = alike(counts, likeness(), whole(counts))
    assert chosen.mean() < 0.03


def test_another_dose_is_no_other_pattern():
    rng = np.random.default_rng(0)
    dose = rng.uniform(500, 2000, (8, 8, 1))
    counts = rng.poisson(dose * expected(0, 0.3)).astype(np.float32)
    how = likeness()
    chosen = alike(counts, how, whole(counts))
    assert chosen[2:-2, 2:-2].mean() > 0.7


def test_positions_at_the_edge_and_without_counts_have_no_neighbours_there():
    counts = np.random.default_rng(0).poisson(1000 * expected(0, 0.3), (5, 5, SIDE**2))
    counts[2, 2] = 0
    how = likeness()
    chosen = alike(counts.astype(np.float32), how, whole(counts))
    assert not chosen[2, 2].any()
    for n, (dy, dx) in enumerate(how.steps):
        there = np.zeros((5, 5), dtype=bool)
        there[max(0, -dy) : 5 - max(0, dy), max(0, -dx) : 5 - max(0, dx)] = True
        assert not chosen[..., n][~there].any()


def test_sums_are_those_of_the_patterns_that_were_chosen():
    rng = np.random.default_rng(0)
    patterns = rng.poisson(3, (4, 5, 6, 7)).astype(np.float32)
    patterns[..., 2, 3] = np.nan
    how = likeness(1)
    inner = slice(1, 3), slice(1, 4)
    chosen = rng.random((2, 3, 8)) < 0.5
    sums, number = added(patterns, chosen, how, inner)
    for y in range(2):
        for x in range(3):
            total = patterns[1 + y, 1 + x].copy()
            for n, (dy, dx) in enumerate(how.steps):
                if chosen[y, x, n]:
                    total += patterns[1 + y + dy, 1 + x + dx]
            np.testing.assert_array_equal(sums[y, x], total)
    np.testing.assert_array_equal(number, 1 + chosen.sum(axis=-1))
    # A pixel that one of the patterns lacks: the others in proportion.
    patterns[1, 1, 0, 0] = np.nan
    partly, _ = added(patterns, chosen, how, inner)
    others = [patterns[1 + dy, 1 + dx, 0, 0] for dy, dx in how.steps[chosen[0, 0]]]
    assert partly[0, 0, 0, 0] == pytest.approx(number[0, 0] * np.mean(others))
    assert np.isnan(partly[0, 0, 2, 3])


def test_cells_count_what_is_used():
    patterns = np.arange(2 * 7 * 9, dtype=np.float32).reshape(2, 7, 9)
    patterns[0, 0, 0] = np.nan
    used = np.ones((7, 9), dtype=bool)
    used[4, 4] = False
    counts = cells(patterns, 3, used)
    clean = np.where(used, np.nan_to_num(patterns), 0)
    right = [clean[:, y : y + 3, x : x + 3].sum((1, 2)) for y in (0, 3) for x in (0, 3, 6)]
    np.testing.assert_array_equal(counts, np.stack(right, axis=1))
    flat = flat_background(counts.mean(axis=0).astype(float), 3, used, (3.0, 4.0))
    assert flat.sum() == pytest.approx(1)
