"""What neighbours add to a pixel's own solutions, on small maps of known make."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phaseloom.crystals import gold, lithium_iron_phosphate
from phaseloom.errors import InputError
from phaseloom.maps.misorientation import multiply
from phaseloom.orientation.certainty.beliefs import propagate
from phaseloom.orientation.certainty.context import settled, with_context
from phaseloom.orientation.refinement.solutions import FACTS, Solutions
from phaseloom.simulate.grains import random_quaternions

SYMMETRIES = [gold().laue_rotations, lithium_iron_phosphate().laue_rotations]


def near(rotation, degrees, rng):
    """Orientations scattered about one, whichever symmetrical copy and sign."""
    shape = rotation.shape[:-1]
    turn = np.concatenate(
        [np.ones((*shape, 1)), np.radians(degrees) / 2 * rng.standard_normal((*shape, 3))], axis=-1
    )
    moved = multiply(turn / np.linalg.norm(turn, axis=-1, keepdims=True), rotation)
    return moved * rng.choice([-1.0, 1.0], (*shape, 1))


def two_grains(shape, n, rng, *, spread=0.3):
    """Left and right half: each pixel's first solution is its grain's, the others are random."""
    grain = np.repeat([np.arange(shape[1]) * 2 // shape[1]], shape[0], axis=0)
    rotation = random_quaternions(grain.size * n, rng).reshape(*shape, n, 4)
    of = random_quaternions(2, rng)
    rotation[:, :, 0] = near(of[grain], spread, rng)
    return grain, of, rotation, np.zeros((*shape, n), dtype=int)


def test_open_pixels_follow_their_grain() -> None:
    rng = np.random.default_rng(1)
    grain, _, rotation, crystal = two_grains((12, 16), 3, rng)
    likelihood = np.where(np.arange(3) == 0, 5.0, 0.0) + np.zeros((12, 16, 1))
    # A third of the pixels cannot tell, each between its grain's and an orientation of its own.
    open_ = rng.random(grain.shape) < 0.33
    likelihood[open_] = [2.9, 3.0, 0.0]
    seen = with_context(rotation, crystal, likelihood, SYMMETRIES)
    assert (seen.chosen == 0).all()
    assert seen.probability[open_, 0].min() > 0.95
    # Pairs of open pixels do not count for certain.
    truth = np.mean(np.concatenate([np.diff(grain, axis=a).ravel() == 0 for a in (0, 1)]))
    assert seen.agreement == pytest.approx(truth, abs=0.03)


def test_a_grain_whose_pixels_cannot_decide_stays_open() -> None:
    rng = np.random.default_rng(2)
    grain, _, rotation, crystal = two_grains((12, 16), 3, rng)
    rotation[:, :, 1] = near(random_quaternions(2, rng)[grain], 0.3, rng)
    likelihood = np.tile([0.0, 0.0, -9.0], (12, 16, 1))
    likelihood[..., :2] += 0.05 * rng.standard_normal((12, 16, 2))
    # The likeliest first, as they are found.
    order = np.argsort(-likelihood, axis=-1)
    likelihood = np.take_along_axis(likelihood, order, axis=-1)
    rotation = np.take_along_axis(rotation, order[..., None], axis=2)
    seen = with_context(rotation, crystal, likelihood, SYMMETRIES)
    assert np.all(np.abs(seen.probability[..., :2] - 0.5) < 0.2)
    # Nothing decides: every pixel keeps its own choice, and each half is a patch of its own.
    assert (seen.chosen == 0).all()
    assert [np.unique(seen.joint.group[grain == g]).size for g in (0, 1)] == [1, 1]
    assert len(seen.joint.share) == 2
    assert all(share == pytest.approx([0.5, 0.5], abs=0.05) for share in seen.joint.share)
    # A few pixels that can tell are heard by all, though not for as many as they are.
    first = order.argmin(axis=-1)[..., None]
    np.put_along_axis(likelihood[5:7, 2:5], first[5:7, 2:5], 6.0, axis=-1)
    weighed = with_context(rotation, crystal, likelihood, SYMMETRIES)
    assert (weighed.chosen == first[..., 0])[grain == 0].all()
    told = np.take_along_axis(weighed.probability, first, axis=-1)[..., 0]
    assert 0.5 < np.median(told[grain == 0]) < 0.99
    np.testing.assert_allclose(
        weighed.probability[grain == 1], seen.probability[grain == 1], atol=0.05
    )


def test_evidence_of_a_grain_is_not_summed() -> None:
    rng = np.random.default_rng(3)
    _, _, rotation, crystal = two_grains((20, 20), 2, rng)
    rotation[...] = near(random_quaternions(2, rng), 0.2, rng=rng)[None, None]
    likelihood = np.tile([0.1, 0.0], (20, 20, 1))
    seen = with_context(rotation, crystal, likelihood, SYMMETRIES)
    # Their sum would be 40: what all of them say is what one of them says.
    odds = np.log(seen.probability[..., 0] / seen.probability[..., 1])
    np.testing.assert_allclose(odds, 0.1, atol=0.01)
    # As independent as their scatter says: it is twice their mean.
    independent = np.zeros_like(likelihood)
    independent[..., 0] = 0.3 + np.sqrt(0.6) * rng.standard_normal((20, 20))
    heard = with_context(rotation, crystal, independent, SYMMETRIES)
    assert heard.probability[..., 0].min() > 0.5
    assert np.median(heard.probability[..., 0]) > 0.6


def test_pixels_amid_strangers() -> None:
    rng = np.random.default_rng(4)
    _, of, rotation, crystal = two_grains((12, 16), 3, rng)
    likelihood = np.tile([8.0, 0.0, 0.0], (12, 16, 1))
    # It knows its grain's, but decides for its own: a grain of one pixel.
    rotation[4, 4] = random_quaternions(3, rng)
    rotation[4, 4, 1] = of[0]
    # The list lacks the grain's: nobody knows.
    rotation[8, 4] = random_quaternions(3, rng)
    # A grain of two by two.
    rotation[3:5, 11:13, 0] = near(np.broadcast_to(random_quaternions(1, rng), (2, 2, 4)), 0.3, rng)
    seen = with_context(rotation, crystal, likelihood, SYMMETRIES)
    assert (seen.chosen == 0).all()
    assert 0.8 < seen.probability[4, 4, 0] < 0.99
    assert 0.2 < seen.probability[8, 4].sum() < 0.8
    assert seen.probability[3:5, 11:13, 0].min() > 0.95
    alone = np.zeros((12, 16), dtype=bool)
    alone[[4, 8], [4, 4]] = True
    assert seen.probability[~alone, 0].min() > 0.95


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_without_grains_nothing_changes(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    rotation = random_quaternions(100 * n, rng).reshape(10, 10, n, 4)
    crystal = rng.integers(0, 2, (10, 10, n))
    likelihood = 3.0 * rng.standard_normal((10, 10, n))
    seen = with_context(rotation, crystal, likelihood, SYMMETRIES)
    alone = np.exp(likelihood) / np.exp(likelihood).sum(axis=-1, keepdims=True)
    assert seen.agreement < 0.1
    different = np.abs(seen.probability - alone).max(axis=-1)
    assert np.median(different) < 0.02
    assert (different > 0.05).sum() <= 3


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_symmetry_order_and_turns_of_the_map_do_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    _, _, rotation, crystal = two_grains((5, 6), 3, rng)
    likelihood = 2.0 * rng.standard_normal((5, 6, 3))
    seen = with_context(rotation, crystal, likelihood, SYMMETRIES)
    turns = np.asarray(SYMMETRIES[0])
    copies = random_copies(rotation, turns, rng)
    same = with_context(copies, crystal, likelihood + 7.0, SYMMETRIES)
    np.testing.assert_allclose(same.probability, seen.probability, atol=1e-4)
    order = rng.permutation(3)
    shuffled = with_context(
        rotation[:, :, order], crystal[..., order], likelihood[..., order], SYMMETRIES
    )
    np.testing.assert_allclose(shuffled.probability, seen.probability[..., order], atol=5e-3)
    flipped = with_context(
        *(np.swapaxes(a, 0, 1) for a in (rotation, crystal, likelihood)), SYMMETRIES
    )
    np.testing.assert_allclose(flipped.probability, np.swapaxes(seen.probability, 0, 1), atol=0.02)


def random_copies(rotation, turns, rng):
    from phaseloom.maps.misorientation import as_quaternions

    chosen = as_quaternions(turns)[rng.integers(0, len(turns), rotation.shape[:-1])]
    return multiply(chosen, rotation)


def test_beliefs_approach_those_of_all_combinations() -> None:
    """On 2×3 pixels all combinations can be counted."""
    rng = np.random.default_rng(5)
    rows, columns, n = 2, 3, 2
    edges = [((0, x), (1, x), 3) for x in range(3)]
    edges += [((y, x), (y, x + 1), 2) for y in range(2) for x in range(2)]
    partner = np.full((rows, columns, 4, n), 0, dtype=np.int32)
    for own, neighbour, side in edges:
        partner[own][side] = partner[neighbour][side - 2] = 1 << np.arange(n)
    states = list(product(range(n), repeat=6))
    closer = 0
    for coupling in (0.0, 0.3, 1.0, 3.0):
        for _ in range(10):
            alone = rng.dirichlet(np.ones(n), (rows, columns))
            exact = np.zeros((rows, columns, n))
            for state in states:
                x = np.reshape(state, (rows, columns))
                agree = sum(x[a] == x[b] for a, b, _ in edges)
                weight = np.take_along_axis(alone, x[..., None], -1).prod()
                weight *= np.exp(coupling * agree)
                np.put_along_axis(
                    exact, x[..., None], np.take_along_axis(exact, x[..., None], -1) + weight, -1
                )
            exact /= exact.sum(axis=-1, keepdims=True)
            prior = np.zeros((rows, columns, n + 1), dtype=np.float32)
            prior[..., :n] = alone
            message = np.ones((rows, columns, 4, n + 1), dtype=np.float32)
            belief = propagate(prior, partner, coupling, 200, 1e-5, message)[..., :n]
            # Near to the exact ones, more careful where in doubt, never for the other side.
            assert np.abs(belief - exact).max() < (1e-5 if coupling == 0 else 0.25)
            sure = np.abs(exact[..., 0] - 0.5) > 0.1
            assert ((belief > 0.5) == (exact > 0.5))[sure].all()
            closer += np.abs(belief - exact).mean() <= np.abs(alone - exact).mean() + 1e-6
    assert closer >= 38


def test_pixels_without_solutions_are_passed_over() -> None:
    rng = np.random.default_rng(6)
    _, _, rotation, crystal = two_grains((6, 8), 2, rng)
    likelihood = np.tile([4.0, 0.0], (6, 8, 1))
    crystal[2:4, 2:4] = -1
    rotation[2:4, 2:4] = np.nan
    likelihood[2:4, 2:4] = np.nan
    crystal[0, 0, 1], rotation[0, 0, 1], likelihood[0, 0, 1] = -1, np.nan, np.nan
    seen = with_context(rotation, crystal, likelihood, SYMMETRIES)
    assert np.isnan(seen.probability[2:4, 2:4]).all()
    assert (seen.chosen[2:4, 2:4] == -1).all()
    assert np.isnan(seen.probability[0, 0, 1])
    assert np.nanmin(seen.probability[..., 0]) > 0.95


def test_the_chain_gets_its_order() -> None:
    rng = np.random.default_rng(7)
    _, _, rotation, crystal = two_grains((6, 8), 3, rng)
    probability = np.tile([0.95, 0.05, 0.0], (6, 8, 1))
    probability[2, 2] = [0.45, 0.55, 0.0]
    nothing = np.zeros(48)
    # No crystal, most likely: stays what it was.
    nothing[9] = 0.9
    probability = probability.reshape(48, 3) * (1 - nothing)[:, None]
    crystals = SimpleNamespace(crystals=(gold(),))
    solutions = Solutions(
        rotation.reshape(48, 3, 4), crystal.reshape(48, 3), np.ones((48, 3, len(FACTS)))
    )
    # The list of one may lack its orientation, say its peaks; its neighbours know it.
    lacking = np.zeros(48)
    lacking[20] = 0.3
    new, still, order, joint = settled(
        solutions, probability, nothing, crystals, (6, 8), lacking, np.zeros(48)
    )
    assert (joint.group == -1).all()
    assert new[20, 0] > 0.95
    assert (order[:, 0] == 0).all()
    assert new[2 * 8 + 2, 0] > 0.95
    np.testing.assert_array_equal(still, nothing)
    np.testing.assert_array_equal(new[9], probability[9])
    assert (new.sum(axis=1) + still <= 1 + 1e-6).all()


def test_faults_are_named() -> None:
    rng = np.random.default_rng(8)
    _, _, rotation, crystal = two_grains((4, 4), 2, rng)
    likelihood = np.zeros((4, 4, 2))
    with pytest.raises(InputError, match="not of one map"):
        with_context(rotation, crystal, likelihood[:3], SYMMETRIES)
    with pytest.raises(InputError, match="no symmetry"):
        with_context(rotation, crystal + 2, likelihood, SYMMETRIES)
    with pytest.raises(InputError, match="not finite"):
        with_context(rotation, crystal, likelihood + np.nan, SYMMETRIES)
    with pytest.raises(InputError, match="tolerance"):
        with_context(rotation, crystal, likelihood, SYMMETRIES, tolerance=0.0)
