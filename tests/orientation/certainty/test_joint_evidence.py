"""What the patterns of a grain say together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phaseloom.orientation.certainty.joint_evidence import joint_evidence


def one_grain(difference):
    """Pixels in which two orientations are open, or a third: partners, and their probabilities."""
    shape = difference.shape
    logs = np.stack([difference, np.zeros(shape), np.full(shape, -12.0)], axis=-1)
    alone = np.exp(logs - logs.max(axis=-1, keepdims=True))
    alone /= alone.sum(axis=-1, keepdims=True)
    partner = np.zeros((*shape, 4, 3), dtype=np.int32)
    for k in (0, 1):
        partner[:, :-1, 2, k] = partner[:, 1:, 0, k] = 1 << k
        partner[:-1, :, 3, k] = partner[1:, :, 1, k] = 1 << k
    return alone, partner


def first_share(joint, patch: int = 0) -> float:
    """Share of the solution that is the first of the list."""
    is_first = joint.alternative[joint.group == patch][:, 0]
    assert np.ptp(is_first) == 0
    return float(joint.share[patch][is_first[0]])


@settings(max_examples=25, deadline=None)
@given(st.floats(-1.4, 1.4), st.integers(2, 20), st.integers(2, 20))
def test_equal_patterns_say_what_one_says(difference: float, rows: int, columns: int) -> None:
    joint = joint_evidence(*one_grain(np.full((rows, columns), difference)))
    assert (joint.group == 0).all()
    assert first_share(joint) == pytest.approx(1 / (1 + np.exp(-difference)), abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.6))
def test_scatter_without_a_mean_decides_nothing(seed: int, scatter: float) -> None:
    rng = np.random.default_rng(seed)
    difference = scatter * rng.standard_normal((12, 12))
    difference -= difference.mean()
    joint = joint_evidence(*one_grain(difference))
    assert first_share(joint) == pytest.approx(0.5, abs=0.06)


def test_patterns_that_can_tell_speak_for_the_others_and_strays_do_not() -> None:
    rng = np.random.default_rng(1)
    difference = 0.02 * rng.standard_normal((9, 9))
    stray = difference.copy()
    stray[4, 4] = 3.5
    assert first_share(joint_evidence(*one_grain(stray))) < 0.65
    difference[::2, ::2] = 3.5
    told = first_share(joint_evidence(*one_grain(difference)))
    assert told > 0.95
    # No more than one of them says: all may err alike.
    assert told < 0.99
    # Those who contradict each other cancel.
    difference[::2, ::4] = -3.5
    assert 0.1 < first_share(joint_evidence(*one_grain(difference))) < 0.9


def test_sure_pixels_at_the_edge_are_heard() -> None:
    difference = np.zeros((6, 8))
    difference[:, :2] = 9.0
    joint = joint_evidence(*one_grain(difference))
    assert (joint.group[:, :2] == -1).all()
    assert (joint.group[:, 2:] == 0).all()
    assert first_share(joint) > 0.9


def test_grains_with_a_pattern_in_common_are_two_patches() -> None:
    """Left two orientations are open, right two others, between them all four."""
    alone = np.zeros((5, 9, 4))
    alone[:, :4, :2] = alone[:, 5:, 2:] = 0.5
    alone[:, 4] = 0.25
    partner = np.zeros((5, 9, 4, 4), dtype=np.int32)
    for k in range(4):
        partner[:, :-1, 2, k] = partner[:, 1:, 0, k] = 1 << k
        partner[:-1, :, 3, k] = partner[1:, :, 1, k] = 1 << k
    joint = joint_evidence(alone, partner)
    assert joint.group[0, 0] != joint.group[0, -1]
    for patch, those in ((joint.group[0, 0], np.s_[:, :4]), (joint.group[0, -1], np.s_[:, 5:])):
        assert (joint.group[those] == patch).all()
        assert joint.share[patch] == pytest.approx([0.5, 0.5])


def test_a_pair_of_pixels_is_no_grain() -> None:
    joint = joint_evidence(*one_grain(np.zeros((1, 2))))
    assert (joint.group == -1).all()
    assert joint.share == []
