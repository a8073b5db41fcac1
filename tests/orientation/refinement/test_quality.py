"""How closely solutions fit, whatever errors were learnt."""

from __future__ import annotations

import numpy as np
import pytest
from orientation_cases import Case

from phaseloom.orientation.matching.matching import match
from phaseloom.orientation.matching.patterns import Patterns
from phaseloom.orientation.refinement.quality import quality
from phaseloom.orientation.refinement.solutions import Solutions
from phaseloom.orientation.refinement.solving import solve


def closeness(case: Case, patterns, physics) -> np.ndarray:
    solved = solve(patterns, match(patterns, case.library), case.library, physics, solutions=2)
    return quality(solved, patterns, physics)


def test_right_solutions_fit_closely_and_those_of_moved_peaks_do_not(lfp_case: Case) -> None:
    patterns, physics = lfp_case.patterns, lfp_case.physics
    close = closeness(lfp_case, patterns, physics)
    assert np.quantile(close, 0.05) > 0.7
    rng = np.random.default_rng(0)
    away = 0.006 * rng.normal(size=(2, patterns.ky.size))
    moved = Patterns(
        patterns.offset, patterns.ky + away[0], patterns.kx + away[1],
        patterns.intensity * np.exp(1.5 * rng.normal(size=patterns.ky.size)),
        patterns.place, patterns.loose, patterns.limit,
    )  # fmt: skip
    # Errors that were learnt of bad fits forgive them: the likelihood does, this does not.
    forgiving = physics._replace(position=0.006, spread=1.5)
    far = closeness(lfp_case, moved, forgiving)
    assert np.nanmedian(far) < 0.8 * np.median(close)


def test_without_a_solution_it_is_not_known(lfp_case: Case) -> None:
    patterns = lfp_case.patterns
    none = quality(Solutions.none(len(patterns), 2), patterns, lfp_case.physics)
    assert np.isnan(none).all()
    assert none.shape == (len(patterns),)


def test_a_pattern_without_peaks_is_not_known(lfp_case: Case) -> None:
    patterns = lfp_case.patterns
    offset = np.append(patterns.offset, patterns.offset[-1])
    empty = Patterns(offset, *patterns[1:6], np.append(patterns.limit, 1.0))
    found = Solutions.none(len(empty), 1)
    found.fact("matched")[:-1] = 10.0
    found.fact("log_likelihood")[:-1] = 0.0
    close = quality(found, empty, lfp_case.physics)
    assert np.isnan(close[-1])
    assert np.isfinite(close[:-1]).all()
    alone = quality(found.take(np.arange(1)), empty.take(np.arange(1)), lfp_case.physics)
    assert close[0] == pytest.approx(alone[0])
