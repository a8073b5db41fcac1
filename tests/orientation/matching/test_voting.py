"""Template matching, compiled and batched, against one plain numpy reference; and against truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orientation_cases import Case
from orientation_reference import match_reference, votes_reference

from phaseloom.crystals import gold, lithium_iron_phosphate
from phaseloom.maps.misorientation import misorientation_angles
from phaseloom.orientation.matching import batched
from phaseloom.orientation.matching.library import make_library
from phaseloom.orientation.matching.matching import match
from phaseloom.orientation.matching.patterns import Patterns
from phaseloom.orientation.matching.starts import Starts
from phaseloom.orientation.matching.voting import TOLERANCE, vote


def both(patterns: Patterns, library, **options) -> dict[str, Starts]:
    return {
        "compiled": match(patterns, library, **options),
        "batched": batched.match(patterns, library, device="cpu", **options),
    }


def spots(seed: int, n: int, bins: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    radius = np.sort(rng.uniform(0.1, 0.6, n))
    angle, weight = rng.uniform(0, bins, n), rng.uniform(0, 1, n)
    return tuple(column.astype(np.float32) for column in (radius, angle, weight))


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), bins=st.sampled_from([90, 180, 360]), n=st.integers(1, 40))
def test_every_pair_of_about_equal_radius_votes(seed: int, bins: int, n: int) -> None:
    peaks, template = spots(seed, n, bins), spots(seed + 1, 25, bins)
    votes = np.zeros((2, bins + 1), dtype=np.float32)
    vote(*peaks, *template, np.float32(TOLERANCE), votes)
    expected = votes_reference(peaks, template, bins)
    np.testing.assert_allclose(votes[:, :-1], expected, atol=2e-5)


@pytest.mark.parametrize("name", ["gold_case", "lfp_case"])
def test_both_ways_find_what_the_reference_finds(name: str, request: pytest.FixtureRequest) -> None:
    case: Case = request.getfixturevalue(name)
    few = case.patterns.take(np.array([0, 5, 11]))
    for found in both(few, case.library).values():
        for p in range(len(few)):
            own = slice(few.offset[p], few.offset[p + 1])
            rotation, correlation = match_reference(
                few.ky[own], few.kx[own], few.intensity[own], case.library, 16
            )
            n = len(correlation)
            assert np.isnan(found.correlation[p, 0, n:]).all()
            np.testing.assert_allclose(found.correlation[p, 0, :n], correlation, atol=2e-5)
            # Solutions of equal correlation may change places.
            table = misorientation_angles(
                rotation[:, None], found.rotation[p, 0, :n], case.crystal.laue_rotations
            )
            assert table.min(axis=1).max() < 1e-3


def test_the_batched_way_equals_the_compiled_one_on_all_patterns_of_two_crystals(
    gold_case: Case, lfp_case: Case
) -> None:
    library = make_library([gold(), lithium_iron_phosphate()], voltage=200.0)
    for case in (gold_case, lfp_case):
        found = both(case.patterns, library, starts=6)
        one, other = found.values()
        np.testing.assert_allclose(one.correlation, other.correlation, atol=2e-6)
        for c in range(2):
            angle = misorientation_angles(
                one.rotation[:, c, 0], other.rotation[:, c, 0],
                library.crystals[c].laue_rotations,
            )  # fmt: skip
            tied = np.isclose(one.correlation[:, c, 0], one.correlation[:, c, 1], atol=2e-6)
            assert np.nanmax(angle[~tied]) < 1e-3


def test_batches_do_not_matter(lfp_case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    some = lfp_case.patterns.part(0, 12)
    whole = batched.match(some, lfp_case.library, device="cpu")
    monkeypatch.setattr(batched, "_MEMORY", 2**21)
    parts = batched.match(some, lfp_case.library, device="cpu")
    np.testing.assert_allclose(parts.correlation, whole.correlation, atol=2e-6)


def test_the_truth_is_among_the_first_starts(gold_case: Case, lfp_case: Case) -> None:
    for case, share in ((gold_case, 0.8), (lfp_case, 0.97)):
        errors = np.nanmin(case.errors(case.starts.rotation[:, 0]), axis=1)
        assert (errors < 3.0).mean() >= share
    assert np.nanmax(lfp_case.starts.correlation) <= 1.0


def test_correlations_fall_and_solutions_are_distinct(lfp_case: Case) -> None:
    starts = lfp_case.starts
    assert (np.diff(starts.correlation[:, 0], axis=1)[np.isfinite(starts.correlation[:, 0, 1:])]
            <= 0).all()  # fmt: skip
    np.testing.assert_allclose(np.nansum(starts.rotation[:, 0, 0] ** 2, axis=-1), 1.0)
    angle = misorientation_angles(
        starts.rotation[:, 0, 0], starts.rotation[:, 0, 1], lfp_case.crystal.laue_rotations
    )
    assert np.nanmin(angle) > 1.0


@pytest.mark.parametrize("way", ["compiled", "batched"])
def test_patterns_without_peaks_and_with_very_many(way: str, gold_case: Case) -> None:
    rng = np.random.default_rng(0)
    n = 400
    ky, kx = rng.uniform(-1, 1, (2, n))
    zero = np.zeros(n)
    patterns = Patterns(
        np.array([0, 0, n, n]), ky, kx, rng.uniform(1, 100, n), zero, zero, np.ones(3)
    )
    found = both(patterns, gold_case.library)[way]
    assert np.isnan(found.correlation[[0, 2]]).all()
    assert np.isnan(found.rotation[[0, 2]]).all()
    assert found.correlation[1, 0, 0] > 0
    other = both(patterns, gold_case.library)["compiled"]
    np.testing.assert_allclose(found.correlation, other.correlation, atol=2e-6)


def test_a_gpu_that_is_not_there_is_said(gold_case: Case) -> None:
    import torch

    from phaseloom.errors import InputError

    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(InputError, match="no CUDA device"):
        match(gold_case.patterns, gold_case.library, device="cuda")
    assert match(gold_case.patterns.part(0, 2), gold_case.library, device="auto").rotation.size
