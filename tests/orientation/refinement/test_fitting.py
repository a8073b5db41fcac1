"""Refinement: it reaches the greatest likelihood, which a general optimiser finds too."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orientation_cases import Case, pattern_of, prepared
from orientation_reference import likelihood_reference
from scipy.optimize import minimize

from phaseloom.crystals import kinematic_spots
from phaseloom.maps.misorientation import misorientation_angles, multiply
from phaseloom.orientation.quaternions import turned
from phaseloom.orientation.refinement.excitation import profile
from phaseloom.orientation.refinement.fitting import refine
from phaseloom.orientation.refinement.likelihood import FADING, Pattern, log_likelihood, predict

SCALE = 1e5
LIMIT = 60.0


def clean(case: Case, q: np.ndarray) -> Pattern:
    """The pattern that kinematic theory predicts, without noise."""
    spots = kinematic_spots(case.crystal, q, voltage=200.0, thickness=120.0, k_max=1.49)
    strongest = kinematic_scale(case, spots)
    counts = spots.intensity / strongest * SCALE
    radius = np.hypot(spots.ky, spots.kx)
    seen = (counts > LIMIT) & (radius > case.k_min + 0.01)
    small = np.full(seen.sum(), 0.02**2)
    return Pattern(
        spots.ky[seen], spots.kx[seen], counts[seen], np.log(counts[seen]),
        np.full(seen.sum(), 1e-6), small, LIMIT,
    )  # fmt: skip


def kinematic_scale(case: Case, spots) -> float:
    """Intensity that the strongest reflection would have at s = 0."""
    lattices = case.library.lattices
    g = np.rint(spots.hkl) @ case.crystal.reciprocal
    apart = np.linalg.norm(g[:, None] - lattices.vector, axis=-1)
    strength = lattices.strength[apart.argmin(axis=1)]
    p = [profile(s, 0.0, 120.0, 1.0)[0] for s in spots.excitation_error]
    return float(np.median(spots.intensity / strength / p))


def refined(case: Case, q: np.ndarray, pattern: Pattern):
    listed, room = prepared(pattern, q, case.library, case.physics)
    q, state = q.copy(), np.array([0.0, 0.0, np.nan])
    value, _ = refine(q, state, 12, 4, listed, pattern, case.physics, room)
    return q, state, value


def tilted(q: np.ndarray, vector: np.ndarray) -> np.ndarray:
    angle = np.linalg.norm(vector)
    return multiply(q, np.concatenate([[np.cos(angle / 2)], np.sin(angle / 2) * vector / angle]))


@pytest.mark.parametrize(("name", "p"), [("lfp_case", 0), ("lfp_case", 7), ("gold_case", 28)])
def test_scipy_finds_the_same_maximum(name: str, p: int, request: pytest.FixtureRequest) -> None:
    case: Case = request.getfixturevalue(name)
    pattern = clean(case, case.truth[p])
    assert pattern.ky.size >= 10
    start = tilted(case.truth[p], np.radians([0.6, -0.5, 0.6]))
    found, state, value = refined(case, start, pattern)

    def moved(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        q = np.empty(4)
        turned(found, *np.radians(x[:3]), q)
        return q, 0.001 * x[3:5], SCALE * np.exp(x[5])

    def cost(x: np.ndarray) -> float:
        return -likelihood_reference(*moved(x), pattern, case.library, case.physics)

    first = np.array([0.3, 0.3, -0.3, *(state[:2] / 0.001), np.log(state[2] / SCALE)])
    simplex = first + np.vstack([np.zeros(6), np.diag([0.3, 0.3, 0.3, 0.5, 0.5, 0.2])])
    options = {"initial_simplex": simplex, "xatol": 1e-4, "fatol": 1e-4, "maxfev": 1500}
    best = minimize(cost, first, method="Nelder-Mead", options=options)
    q, shift, scale = moved(best.x)
    assert misorientation_angles(found, q, np.eye(3)[None]) < 0.01
    np.testing.assert_allclose(state[:2], shift, atol=1e-4)
    assert state[2] == pytest.approx(scale, rel=0.06)
    assert value == pytest.approx(-best.fun, abs=0.5)


def test_tilted_starts_come_back_to_the_truth(lfp_case: Case) -> None:
    rng = np.random.default_rng(0)
    errors = []
    for truth in lfp_case.truth[:24]:
        pattern = clean(lfp_case, truth)
        vector = rng.normal(size=3)
        start = tilted(truth, np.radians(1.2) * vector / np.linalg.norm(vector))
        q, state, value = refined(lfp_case, start, pattern)
        errors.append(misorientation_angles(truth, q, lfp_case.crystal.laue_rotations))
        if errors[-1] < 0.05:
            # A sharp limit of detection is not the likelihood's: its best scale is a little less.
            assert state[2] == pytest.approx(SCALE, rel=0.1)
            true = truth, np.zeros(2), SCALE, pattern, lfp_case.library, lfp_case.physics
            assert value >= likelihood_reference(*true) - 0.1
    # With few spots there are other maxima: the signs of excitation errors are not seen.
    assert (np.array(errors) < 0.05).mean() >= 0.8
    assert np.median(errors) < 0.005


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), tilt=st.floats(0.0, 2.0), p=st.integers(0, 47))
def test_no_step_makes_the_likelihood_less(lfp_case: Case, seed: int, tilt: float, p: int) -> None:
    case, pattern = lfp_case, pattern_of(lfp_case.patterns, p)
    vector = np.random.default_rng(seed).normal(size=3)
    start = tilted(case.truth[p], np.radians(tilt + 1e-3) * vector / np.linalg.norm(vector))
    listed, room = prepared(pattern, start, case.library, case.physics)
    values = []
    for steps in (0, 1, 2, 5):
        q, state = start.copy(), np.array([0.0, 0.0, SCALE])
        value, _ = refine(q, state, steps, 0, listed, pattern, case.physics, room)
        floor = pattern.limit * FADING
        n, _ = predict(q, state, state[2], 0.0, listed, pattern, case.physics, floor, room)
        again = log_likelihood(n, pattern, state, case.physics, room)
        assert value == pytest.approx(again, abs=1e-6) or value == -np.inf
        assert np.linalg.norm(q) == pytest.approx(1.0)
        values.append(value)
    assert (np.diff(values) >= -1e-9).all() or values[0] == -np.inf


def test_tilts_and_turns_go_the_right_way(lfp_case: Case) -> None:
    """Turning the crystal by +z moves spots from x towards y, which is clockwise on the screen."""
    from phaseloom.crystals.kinematic import rotation_matrices

    q = np.empty(4)
    turned(lfp_case.truth[0], 0.0, 0.0, 0.01, q)
    g = lfp_case.library.lattices.vector[:5]
    before, after = (g @ rotation_matrices(r)[0] for r in (lfp_case.truth[0], q))
    np.testing.assert_allclose(after - before, np.cross([0, 0, 0.01], before), atol=3e-4)


def test_no_pair_is_no_likelihood(lfp_case: Case) -> None:
    pattern = Pattern(*(np.array([v]) for v in (1.4, 0.0, 100.0, np.log(100.0), 1e-6, 0.01)), LIMIT)
    assert refined(lfp_case, lfp_case.truth[0], pattern)[2] == -np.inf
