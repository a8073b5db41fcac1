"""Which of two grains is the stronger in a pattern that they share."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from phaseloom.orientation.certainty.shared_patterns import stronger


def joined(shape, n):
    """Solutions of equal numbers are one orientation."""
    partner = np.zeros((*shape, 4, n), dtype=np.int32)
    for k in range(n):
        partner[:, :-1, 2, k] = partner[:, 1:, 0, k] = 1 << k
        partner[:-1, :, 3, k] = partner[1:, :, 1, k] = 1 << k
    return partner


def two_grains():
    """Grain 0 left of column 3, grain 1 right; column 3 is of both, mostly of grain 0."""
    alone = np.zeros((4, 7, 2))
    explained = np.full((4, 7, 2), 0.1)
    alone[:, :3, 0] = alone[:, 4:, 1] = 1.0 - 1e-9
    alone[:, :3, 1] = alone[:, 4:, 0] = 1e-9
    explained[:, :3, 0] = explained[:, 4:, 1] = 0.99
    # By the number of peaks the weaker one is the likelier.
    alone[:, 3] = [1e-12, 1.0 - 1e-12]
    explained[:, 3] = [0.6, 0.4]
    return alone, explained


def test_the_intensity_tells_which_of_two_is_the_stronger() -> None:
    alone, explained = two_grains()
    seen = stronger(alone, explained, joined((4, 7), 2))
    assert (seen[:, 3, 0] > 0.99).all()
    np.testing.assert_allclose(seen[:, :3, 0], 1.0, atol=1e-6)
    np.testing.assert_allclose(seen[:, 4:, 1], 1.0, atol=1e-6)
    explained[:, 3] = [0.501, 0.499]
    assert (stronger(alone, explained, joined((4, 7), 2))[:, 3, 0] < 0.6).all()


def test_what_no_neighbour_has_is_left_as_it_is() -> None:
    alone, explained = two_grains()
    partner = np.zeros((4, 7, 4, 2), dtype=np.int32)
    np.testing.assert_array_equal(stronger(alone, explained, partner), alone)


def test_half_turns_are_left_to_the_likelihood() -> None:
    alone = np.tile([0.8, 0.2], (4, 7, 1))
    explained = np.tile([0.985, 0.995], (4, 7, 1))
    np.testing.assert_allclose(stronger(alone, explained, joined((4, 7), 2)), alone)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_probability_is_shared_and_not_made(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    alone = rng.dirichlet(np.full(n, 0.2), (5, 6))
    alone[rng.random((5, 6)) < 0.2, -1] = 0.0
    explained = np.where(rng.random((5, 6, n)) < 0.1, np.nan, rng.random((5, 6, n)))
    partner = rng.integers(0, 1 << n, (5, 6, 4, n)).astype(np.int32)
    seen = stronger(alone, explained, partner)
    np.testing.assert_allclose(seen.sum(axis=-1), alone.sum(axis=-1), atol=1e-9)
    assert (seen >= 0).all()
    assert (seen[alone == 0] == 0).all()
