"""Which patterns a crystal explains, from how rare and how close their fits are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phaseloom.orientation.certainty.explanation import explanation


def fits_of(right: int, wrong: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rarity and quality of right fits, then of wrong ones."""
    rng = np.random.default_rng(seed)
    rarity = np.concatenate([np.exp(-rng.gamma(20.0, 0.5, right)), rng.random(wrong)])
    return rarity, np.concatenate([rng.uniform(0.9, 1.0, right), rng.uniform(0.0, 1.0, wrong)])


@settings(max_examples=25, deadline=None)
@given(right=st.integers(30, 300), wrong=st.integers(30, 300), seed=st.integers(0, 9))
def test_what_is_explained_is_told_from_chance(right: int, wrong: int, seed: int) -> None:
    rarity, quality = fits_of(right, wrong, seed)
    found = explanation(rarity, quality)
    assert (found.nothing[:right] < 0.5).mean() > 0.9
    assert (found.nothing[right:] < 0.5).mean() <= 0.1
    assert found.share == pytest.approx(right / (right + wrong), abs=0.12)


def test_with_a_wrong_crystal_nothing_is_explained() -> None:
    rng = np.random.default_rng(1)
    found = explanation(rng.random(400), rng.random(400))
    assert (found.nothing < 0.5).mean() < 0.02


def test_rare_fits_of_a_similar_crystal_are_not_close() -> None:
    """Better than chance, but peaks are not where they should be."""
    rarity, quality = fits_of(100, 0)
    rng = np.random.default_rng(2)
    rarity = np.concatenate([rarity, np.exp(-rng.uniform(2.0, 6.0, 100))])
    found = explanation(rarity, np.concatenate([quality, rng.uniform(0.1, 0.4, 100)]))
    assert (found.nothing[:100] < 0.1).mean() > 0.95
    assert (found.nothing[100:] > 0.5).all()


def test_fits_beside_another_grain_stay() -> None:
    """Explained in part: as close as others nearly, and less rare."""
    rarity, quality = fits_of(100, 0)
    rng = np.random.default_rng(3)
    rarity = np.concatenate([rarity, np.exp(-rng.uniform(3.5, 9.0, 30))])
    found = explanation(rarity, np.concatenate([quality, rng.uniform(0.6, 0.8, 30)]))
    assert (found.nothing < 0.5).mean() > 0.95


def test_patterns_that_are_not_asked_are_not_explained() -> None:
    rarity, quality = fits_of(50, 0)
    rarity[:5] = quality[:5] = np.nan
    found = explanation(rarity, quality)
    assert (found.nothing[:5] == 1.0).all()
    assert (found.nothing[5:] < 0.5).all()
    none = explanation(np.full(3, np.nan), np.full(3, np.nan))
    assert none.share == 0.0
    assert (none.nothing == 1.0).all()
