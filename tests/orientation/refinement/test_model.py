"""What a sample of patterns says of the sample, against what was simulated."""

from __future__ import annotations

import numpy as np
import pytest
from orientation_cases import K_MAX, Case

from phaseloom.crystals import lithium_iron_phosphate
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.orientation.matching.patterns import Patterns, direct_beam_radius, patterns_of
from phaseloom.orientation.refinement.likelihood import Physics
from phaseloom.orientation.refinement.model import estimate, first_physics
from phaseloom.simulate import Beam, Camera, random_orientations, simulate_peaks


def fitted(case: Case, beam: Beam, thickness: float | None = None) -> tuple[Physics, Peaks]:
    """Physics of 64 patterns of LiFePO4 made with such a beam."""
    table = simulate_peaks(
        random_orientations((8, 8), seed=7),
        [lithium_iron_phosphate()],
        beam=beam,
        camera=Camera(jitter=0.3),
        seed=7,
    )
    peaks = Peaks(table)
    k_min = direct_beam_radius(peaks)
    patterns = patterns_of(peaks, k_min=k_min, k_max=K_MAX)
    first = first_physics(peaks, case.library, k_min=k_min, thickness=thickness)
    return estimate(patterns, case.library, first, thickness=thickness, seed=0), peaks


@pytest.mark.parametrize(("thickness", "spread"), [(60.0, 0.3), (200.0, 0.6)])
def test_thickness_and_spread_are_recovered(
    lfp_case: Case, thickness: float, spread: float
) -> None:
    physics, peaks = fitted(lfp_case, Beam(dose=3e5, thickness=thickness, intensity_spread=spread))
    assert thickness / 1.6 < physics.thickness < 1.6 * thickness
    assert 0.6 * spread < physics.spread < 1.6 * spread
    assert 0.05 * physics.reach <= physics.position < 0.5 * peaks.pixel_size
    assert np.log(1e-3) <= physics.missing <= np.log(0.3)


def test_a_known_thickness_stays(lfp_case: Case) -> None:
    physics, _ = fitted(lfp_case, Beam(dose=3e5, intensity_spread=0.3), thickness=77.0)
    assert physics.thickness == 77.0


def test_what_the_table_says_is_taken(lfp_case: Case) -> None:
    peaks = lfp_case.peaks
    first = first_physics(peaks, lfp_case.library, k_min=0.09, thickness=None)
    half = 0.99 * 127.5 * peaks.pixel_size
    assert first.bottom == pytest.approx(-half, rel=0.02) and first.top == pytest.approx(
        -first.bottom, rel=0.02
    )
    assert first.sphere == pytest.approx(1 / 0.02508, rel=1e-3)
    assert first.reach == pytest.approx(2.5 * peaks.pixel_size)
    assert (first.k_min, first.k_max, first.sweep) == (0.09, K_MAX, 0.0)
    data = lfp_case.table.assign_attrs(beam_scatter=0.9)
    centred = first_physics(Peaks(data), lfp_case.library, k_min=0.09, thickness=None)
    assert centred.centre == pytest.approx(0.9 * peaks.pixel_size)


def test_patterns_too_poor_to_say_anything_leave_the_first_guess(lfp_case: Case) -> None:
    whole = lfp_case.patterns
    rows = (whole.offset[:-1, None] + np.arange(4)).ravel()
    poor = Patterns(4 * np.arange(49), *(column[rows] for column in whole[1:6]), whole.limit)
    first = lfp_case.physics
    assert estimate(poor, lfp_case.library, first, thickness=None, seed=0) == first


def test_patterns_of_nothing_do_not_spoil_the_rest(lfp_case: Case) -> None:
    """Half of the patterns have no orientation that explains anything."""
    whole, rng = lfp_case.patterns, np.random.default_rng(0)
    noise = 30
    columns = [
        np.concatenate([column, values])
        for column, values in zip(
            whole[1:6],
            (*rng.uniform(-0.15, 0.15, (2, 5 * noise)), *np.full((3, 5 * noise), 1e-4)),
            strict=True,
        )
    ]
    offset = np.concatenate([whole.offset, whole.offset[-1] + 5 * np.arange(1, noise + 1)])
    both = Patterns(offset, *columns, np.concatenate([whole.limit, np.full(noise, 1e-4)]))
    first = lfp_case.physics._replace(spread=0.6)
    physics = estimate(both, lfp_case.library, first, thickness=120.0, seed=0)
    assert physics.spread == pytest.approx(0.3, rel=0.5)
