"""The compiled likelihood against its definition, and what it must say of evidence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orientation_cases import Case, evaluated, pattern_of
from orientation_reference import likelihood_reference, predict_reference, profile_reference
from scipy.special import log_ndtr

from phaseloom.crystals import kinematic_spots
from phaseloom.orientation.refinement.excitation import excitation_of, log_below, profile


@settings(max_examples=60)
@given(error=st.floats(-0.2, 0.2), sweep=st.floats(0.0, 0.05), thickness=st.floats(20.0, 600.0))
def test_the_profile_is_the_average_over_the_cone(
    error: float, sweep: float, thickness: float
) -> None:
    value, slope = profile(error, sweep, thickness, 1.0)
    near = np.array([error - 1e-6, error, error + 1e-6])
    expected = profile_reference(near, np.full(3, sweep), thickness, n=20_000)
    # Too thin a sweep to matter is left out.
    assert value == pytest.approx(expected[1], rel=3e-3)
    step = np.log(expected[2] / expected[0]) / 2e-6
    assert slope == pytest.approx(step, abs=0.01 * 2 * np.pi * thickness)


@settings(max_examples=60)
@given(
    error=st.floats(-0.2, 0.2),
    thickness=st.floats(20.0, 200.0),
    sharpness=st.sampled_from([1.0, 3.0, 20.0, 1000.0]),
)
def test_sharper_profiles_go_from_a_wedge_to_a_gaussian(
    error: float, thickness: float, sharpness: float
) -> None:
    u = 2 * np.pi * thickness * error
    value, slope = profile(error, 0.0, thickness, sharpness)
    if sharpness == 1000.0 and abs(u) < 3.0:
        assert value == pytest.approx(np.exp(-(u**2)), rel=0.1)
    step = 1e-7
    above, below = (profile(error + d, 0.0, thickness, sharpness)[0] for d in (step, -step))
    if value > 1e-20:
        change = (np.log(above) - np.log(below)) / (2 * step)
        assert slope == pytest.approx(change, rel=1e-3, abs=1e-2)
        assert excitation_of(1.0 / value, sharpness) == pytest.approx(u * u, rel=1e-6, abs=1e-9)


@given(st.floats(-60.0, 8.0))
def test_the_tail_of_the_normal_distribution(x: float) -> None:
    assert log_below(x) == pytest.approx(float(log_ndtr(x)), abs=0.05, rel=1e-9)


@pytest.mark.parametrize("angle", [0.0, 0.8])
def test_ln_likelihood_is_as_defined(lfp_case: Case, gold_case: Case, angle: float) -> None:
    for case in (lfp_case, gold_case):
        physics = case.physics._replace(sweep=np.sin(np.radians(angle)))
        for p in range(3):
            pattern = pattern_of(case.patterns, p)
            q, shift = case.truth[p], np.array([0.002, -0.003])
            for scale in (300.0, 3000.0):
                value, _ = evaluated(q, shift, scale, pattern, case.library, physics)
                expected = likelihood_reference(q, shift, scale, pattern, case.library, physics)
                assert value == pytest.approx(expected, rel=1e-4, abs=0.02)


def test_predicted_spots_are_those_of_the_crystals_room(lfp_case: Case) -> None:
    case, q, still = lfp_case, lfp_case.truth[0], np.zeros(2)
    pattern, scale = pattern_of(case.patterns, 0), best_scale(case, 0)
    _, room = evaluated(q, still, scale, pattern, case.library, case.physics)
    found = predict_reference(q, still, scale, pattern, case.library, case.physics)
    seen = room.spots[3][room.spots[3] > pattern.limit]
    expected = found.intensity[found.intensity > pattern.limit]
    np.testing.assert_allclose(np.sort(seen), np.sort(expected), rtol=1e-3)
    strong = found.intensity > 2 * pattern.limit
    assert strong.sum() > 10
    spots = kinematic_spots(case.crystal, q, voltage=200.0, thickness=120.0, k_max=1.5)
    places = np.column_stack([spots.ky, spots.kx])
    apart = np.linalg.norm(found.place[strong][:, None] - places, axis=-1)
    assert apart.min(axis=1).max() < 1e-6
    same = spots.intensity[apart.argmin(axis=1)]
    ratio = same / found.intensity[strong]
    # Excitation errors of the kernel are the sphere's to first order.
    np.testing.assert_allclose(ratio / np.median(ratio), 1.0, atol=0.05)


def test_the_truth_is_likelier_than_its_neighbours(lfp_case: Case) -> None:
    from phaseloom.maps.misorientation import multiply

    better = 0
    for p in range(12):
        pattern = pattern_of(lfp_case.patterns, p)
        scale = best_scale(lfp_case, p)
        at_truth, _ = evaluated(
            lfp_case.truth[p], np.zeros(2), scale, pattern, lfp_case.library, lfp_case.physics
        )
        for axis in np.eye(3):
            turn = np.concatenate([[np.cos(np.radians(0.75))], np.sin(np.radians(0.75)) * axis])
            q = multiply(lfp_case.truth[p], turn)
            other, _ = evaluated(q, np.zeros(2), scale, pattern, lfp_case.library, lfp_case.physics)
            better += at_truth > other
    assert better >= 34


def best_scale(case: Case, p: int) -> float:
    pattern = pattern_of(case.patterns, p)
    spots = predict_reference(case.truth[p], np.zeros(2), 1e5, pattern, case.library, case.physics)
    paired = spots.peak >= 0
    ratio = pattern.intensity[spots.peak[paired]] / spots.intensity[paired]
    return 1e5 * float(np.exp(np.average(np.log(ratio), weights=spots.intensity[paired])))


def test_evidence_counts_the_right_way(lfp_case: Case) -> None:
    """An unexplained peak, a missing strong spot and a displaced one make an orientation worse."""
    case = lfp_case
    pattern = pattern_of(case.patterns, 2)
    scale = best_scale(case, 2)

    def value(pattern, shift=(0.0, 0.0)) -> float:
        return evaluated(
            case.truth[2], np.array(shift), scale, pattern, case.library, case.physics
        )[0]

    whole = value(pattern)
    q, still = case.truth[2], np.zeros(2)
    spots = predict_reference(q, still, scale, pattern, case.library, case.physics)
    strongest = spots.peak[np.where(spots.peak >= 0, spots.intensity, 0).argmax()]
    rest = np.arange(pattern.ky.size) != strongest
    without = pattern._replace(**{
        name: getattr(pattern, name)[rest] for name in pattern._fields if name != "limit"
    })  # fmt: skip
    # The peak's own density is gone and its absence is counted.
    assert value(without) < whole
    place = case.physics.position**2 + pattern.place[strongest]
    best = np.log(0.375 / case.physics.spread / (2 * np.pi * place))
    assert whole - value(without) < best - case.physics.missing + 1.0
    far = pattern._replace(ky=pattern.ky.copy())
    far.ky[strongest] += 0.7 * case.physics.reach
    assert value(far) < whole
    assert value(pattern, (3 * case.physics.centre, 0.0)) < whole - 4.5 + 0.5
