"""Peak tables as plain arrays."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from orientation_cases import K_MAX, Case

from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.orientation.matching.patterns import direct_beam_radius, patterns_of


def test_the_direct_beam_and_what_is_too_far_are_left_out(lfp_case: Case) -> None:
    peaks, patterns = lfp_case.peaks, lfp_case.patterns
    assert lfp_case.k_min == pytest.approx(3 * 2.4 * peaks.pixel_size)
    radius = np.hypot(patterns.ky, patterns.kx)
    assert lfp_case.k_min < radius.min() and radius.max() < K_MAX
    assert len(patterns) == 48
    k = np.hypot(peaks.data["ky"], peaks.data["kx"]).to_numpy()
    for p in (0, 20, 47):
        own = slice(peaks.offset[p], peaks.offset[p + 1])
        mine = slice(patterns.offset[p], patterns.offset[p + 1])
        inside = (k[own] > lfp_case.k_min) & (k[own] < K_MAX)
        np.testing.assert_array_equal(
            patterns.intensity[mine], peaks.data["intensity"].to_numpy()[own][inside]
        )


def test_parts_and_choices_hold_the_same_peaks(lfp_case: Case) -> None:
    whole = lfp_case.patterns
    part, chosen = whole.part(10, 14), whole.take(np.array([13, 10]))
    for at, p, some in ((3, 13, part), (0, 13, chosen), (0, 10, part), (1, 10, chosen)):
        for column in ("ky", "kx", "intensity", "place", "loose"):
            np.testing.assert_array_equal(
                getattr(some, column)[some.offset[at] : some.offset[at + 1]],
                getattr(whole, column)[whole.offset[p] : whole.offset[p + 1]],
            )
        assert some.limit[at] == whole.limit[p]
    assert len(part) == 4 and len(chosen) == 2
    assert len(whole.part(5, 5)) == 0


def table(intensity: list[float], error: list[float] | None, counts: list[int]) -> Peaks:
    n = len(intensity)
    angle = np.linspace(0, 2, n)
    columns = {"ky": np.cos(angle), "kx": np.sin(angle), "intensity": np.array(intensity)}
    if error is not None:
        columns["intensity_error"] = np.array(error)
    data = xr.Dataset(
        {name: ("peak", v.astype(np.float32), {"units": "Å⁻¹"}) for name, v in columns.items()}
        | {"offset": ("edge", np.concatenate([[0], np.cumsum(counts)]))}
        | {c: (("y", "x"), np.full((1, len(counts)), 64.0)) for c in ("centre_y", "centre_x")},
        attrs={"pixel_size": 0.02, "detector_shape": [128, 128], "distortion": [1.0, 0, 0, 1.0]},
    )
    return Peaks(data)


def test_limits_of_detection_come_from_errors_or_the_weakest_peak() -> None:
    with_errors = patterns_of(table([50, 90, 400], [8, 9, 20], [3]), k_min=0.1, k_max=1.5)
    assert with_errors.limit == pytest.approx([40.0])
    np.testing.assert_allclose(with_errors.loose[1], 0.01)
    without = patterns_of(table([50, 90, 400, 7], None, [3, 0, 1]), k_min=0.1, k_max=1.5)
    np.testing.assert_allclose(without.limit, [50.0, 1.0, 7.0])
    # No intensity is known better than to 2 %.
    np.testing.assert_allclose(without.loose, 0.02**2)
    assert without.place.max() == 0


def test_nonsense_intensities_are_no_peaks() -> None:
    patterns = patterns_of(table([50, np.nan, -4, 0, 30], None, [5]), k_min=0.1, k_max=1.5)
    np.testing.assert_array_equal(patterns.intensity, [50, 30])
    empty = patterns_of(table([], None, [0, 0]), k_min=0.1, k_max=1.5)
    assert len(empty) == 2 and empty.ky.size == 0


def test_the_direct_beam_of_a_table_without_spot_size(lfp_case: Case) -> None:
    data = lfp_case.table.copy()
    del data.attrs["spot_sigma"]
    assert direct_beam_radius(Peaks(data)) == pytest.approx(6 * lfp_case.peaks.pixel_size)
    data.attrs["spot_radius"] = 5.0
    assert direct_beam_radius(Peaks(data)) == pytest.approx(15 * lfp_case.peaks.pixel_size)
