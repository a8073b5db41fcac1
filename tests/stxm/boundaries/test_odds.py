"""Odds ratios and their intervals over segments."""

from __future__ import annotations

import numpy as np
import pytest

from phaseloom.stxm.boundaries.odds import compare, odds_ratio, shares


def test_the_odds_ratio_of_many_pixels_is_the_plain_one() -> None:
    # 40 % near, 10 % far: (0.4 / 0.6) / (0.1 / 0.9).
    found = odds_ratio(np.array(40_000), np.array(100_000), np.array(10_000), np.array(100_000))
    assert float(found) == pytest.approx(6.0, rel=1e-3)


def _drawn(rng: np.random.Generator, *, near: float, segments: int = 40, pixels: int = 40):
    """Pixels in segments whose own level varies, so that neighbours are correlated."""
    level = np.repeat(rng.normal(0.0, 0.6, segments), pixels)
    is_near = np.tile(np.arange(pixels) < pixels // 2, segments)
    log_odds = np.where(is_near, near, -2.0) + np.where(is_near, level, 0.0)
    chance = 1 / (1 + np.exp(-log_odds))
    return rng.random(level.size) < chance, is_near, np.repeat(np.arange(segments), pixels)


def test_the_interval_holds_the_ratio_although_neighbours_are_correlated() -> None:
    held = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        data, near, segment = _drawn(rng, near=-0.5)
        simulated = np.stack([_drawn(rng, near=-0.5)[0] for _ in range(20)])
        _, low, high = compare(data, simulated, near, segment, seed=seed).ratio
        held += low <= 1 <= high
    assert held >= 54


def test_a_larger_share_near_the_boundary_is_told() -> None:
    rng = np.random.default_rng(1)
    data, near, segment = _drawn(rng, near=1.5)
    simulated = np.stack([_drawn(rng, near=-0.5)[0] for _ in range(20)])
    odds = compare(data, simulated, near, segment, seed=0)
    ratio, low, high = odds.ratio
    assert 1 < low < ratio < high
    assert odds.observed[0] / odds.optics[0] == pytest.approx(ratio, rel=0.2)


def test_shares_are_means_and_empty_classes_are_nan() -> None:
    transition = np.array([1.0, 0.0, 1.0, 1.0])
    member = np.array([[True, True, False, False], [False, False, True, True], [False] * 4])
    share, low, high = shares(transition, member, np.array([0, 1, 0, 1]), seed=0)
    np.testing.assert_array_equal(share, [0.5, 1.0, np.nan])
    assert low[0] <= 0.5 <= high[0] and low[1] == high[1] == 1.0 and np.isnan(low[2])
