"""Second crystals: both are found, weighed and believed in where there are two, else none."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from orientation_cases import Case, simulated

from phaseloom.crystals import lithium_iron_phosphate
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.orientation.matching.matching import match
from phaseloom.orientation.matching.patterns import Patterns
from phaseloom.orientation.refinement.overlaps import second_crystals
from phaseloom.orientation.refinement.solutions import Solutions
from phaseloom.orientation.refinement.solving import solve
from phaseloom.simulate import Beam, Camera, random_orientations, simulate_peaks

SHAPE = (4, 8)


class Pairs(NamedTuple):
    """Patterns of two crystals each, half of them with the second."""

    case: Case
    second: np.ndarray
    weight: np.ndarray
    found: Solutions
    overlap: dict[str, np.ndarray]


def sought(case: Case) -> tuple[Solutions, dict[str, np.ndarray]]:
    patterns, library = case.patterns, case.library
    found = solve(patterns, match(patterns, library), library, case.physics, solutions=6)
    second = second_crystals(patterns, found, library, case.physics)
    return second.solutions, {name: v for name, (_, v) in second.variables().items()}


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    """The first half of the patterns are pairs of LiFePO4, the others single crystals."""
    first, second = (random_orientations(SHAPE, seed=seed) for seed in (5, 6))
    weight = np.random.default_rng(5).uniform(0.3, 0.5, SHAPE)
    weight[SHAPE[0] // 2 :] = 0.0
    sample = first.assign(rotation_2=second["rotation"], overlap=(("y", "x"), weight))
    crystal = lithium_iron_phosphate()
    case = simulated(crystal, (1, 1), dose=3e5, seed=5)
    case.table = simulate_peaks(
        sample, [crystal], beam=Beam(dose=3e5, intensity_spread=0.3), camera=Camera(jitter=0.3),
        seed=5,
    )  # fmt: skip
    case.truth = first["rotation"].to_numpy().reshape(-1, 4)
    found, overlap = sought(case)
    return Pairs(case, second["rotation"].to_numpy().reshape(-1, 4), weight.ravel(), found, overlap)


def right(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """Both crystals within 3°: in the order of the truth, and turned round."""
    case, other = pairs.case, Case(**{**vars_of(pairs.case), "truth": pairs.second})
    one, two = pairs.found.rotation[:, 0], pairs.overlap["overlap_rotation"]
    straight = (case.errors(one) < 3.0) & (other.errors(two) < 3.0)
    return straight, (case.errors(two) < 3.0) & (other.errors(one) < 3.0)


def vars_of(case: Case) -> dict:
    return {name: getattr(case, name) for name in ("crystal", "truth", "table", "library")}


def test_both_crystals_are_found(pairs: Pairs) -> None:
    two = pairs.weight > 0
    straight, crossed = right(pairs)
    assert (straight | crossed)[two].mean() >= 0.9
    assert (pairs.overlap["overlap_crystal"][two & (straight | crossed)] == 0).all()


def test_weights_are_those_of_the_second(pairs: Pairs) -> None:
    straight, _ = right(pairs)
    weight = pairs.overlap["overlap_weight"]
    assert np.abs(weight - pairs.weight)[straight].max() < 0.2
    assert np.median(np.abs(weight - pairs.weight)[straight]) < 0.06


def test_the_stronger_crystal_comes_first(pairs: Pairs) -> None:
    straight, crossed = right(pairs)
    assert not crossed[pairs.weight > 0.0][pairs.weight[pairs.weight > 0.0] < 0.42].any()
    stronger = pairs.overlap["overlap_stronger"]
    assert ((stronger >= 0) & (stronger <= 1)).all()
    turned = pairs.overlap["overlap_turned"]
    assert (straight | crossed)[turned].all()
    # What has changed places is described anew, as it lies in the pattern.
    facts = pairs.found.fact("matched")[turned, 0]
    assert (facts >= 3).all()


def test_probability_tells_pairs_from_single_crystals(pairs: Pairs) -> None:
    two = pairs.weight > 0
    straight, crossed = right(pairs)
    probability = pairs.overlap["overlap_probability"]
    assert ((probability >= 0) & (probability <= 1 + 1e-9)).all()
    of_single, _, of_second, of_both = probability.T
    np.testing.assert_array_less(of_both, of_second + 1e-9)
    assert of_both[two].sum() == pytest.approx((straight | crossed).sum(), abs=2.0)
    assert of_both[~two].sum() < 0.5
    assert of_single[~two].min() > 0.5


def test_patterns_that_leave_nothing_are_not_asked(pairs: Pairs) -> None:
    left = np.diff(pairs.case.patterns.offset) - pairs.found.fact("matched")[:, 0]
    few = left < 3
    assert few.any()
    assert (pairs.overlap["overlap_crystal"][few] == -1).all()
    assert np.isnan(pairs.overlap["overlap_rotation"][few]).all()
    assert (pairs.overlap["overlap_weight"][few] == 0).all()
    assert (pairs.overlap["overlap_probability"][few] == [1, 0, 0, 0]).all()


def test_without_first_crystal_there_is_no_second(pairs: Pairs) -> None:
    patterns: Patterns = pairs.case.patterns.part(0, 3)
    second = second_crystals(patterns, Solutions.none(3, 2), pairs.case.library, pairs.case.physics)
    assert (second.crystal == -1).all()
    assert second.crystal.dtype == np.int16


def test_peaks_of_neither_crystal_make_no_second(pairs: Pairs) -> None:
    """Ten peaks anywhere beside a single crystal's are no crystal."""
    single = pairs.case.table.isel(y=slice(2, 4))
    offset = single["offset"].to_numpy()[16:]
    table = single.isel(peak=slice(offset[0], offset[-1])).drop_vars("offset")
    rng = np.random.default_rng(1)
    n, extra = 16, 10
    rows = np.concatenate([np.arange(offset[-1] - offset[0]), rng.integers(0, 40, n * extra)])
    owner = np.concatenate(
        [np.repeat(np.arange(n), np.diff(offset)), np.repeat(np.arange(n), extra)]
    )
    table = table.isel(peak=rows)
    for name in ("ky", "kx"):
        table[name][-n * extra :] = rng.uniform(-1.0, 1.0, n * extra)
    table["intensity"][-n * extra :] = 1000.0
    table = table.isel(peak=np.argsort(owner, kind="stable"))
    table["offset"] = ("edge", np.concatenate([[0], np.cumsum(np.bincount(owner))]))
    case = Case(**{**vars_of(pairs.case), "table": table})
    assert Peaks(table).count.size == n
    _, overlap = sought(case)
    assert (overlap["overlap_crystal"] == -1).all()
