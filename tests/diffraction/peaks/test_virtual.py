from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from phaseloom.diffraction.peaks.filtering import filter_peaks
from phaseloom.diffraction.peaks.virtual import (
    density,
    inside,
    near,
    radial_density,
    spot_count,
    spot_sum,
    virtual_dark_field,
)
from phaseloom.errors import InputError

K = [0.1, 0.1, -0.1, 0.3], [0.2, 0.21, -0.2, 0.0]


@pytest.fixture
def four(make_table):
    """Two peaks near (0.1, 0.2) and its mate at three positions, the last not measured."""
    columns = {"ky": K[0], "kx": K[1], "intensity": [10, 20, 40, 80]}
    peaks = make_table(columns, [1, 3, 0, 0], (2, 2))
    peaks.data["centre_y"][1, 1] = np.nan
    return peaks


def test_sums_and_counts(four):
    np.testing.assert_array_equal(spot_sum(four), [[10, 140], [0, np.nan]])
    np.testing.assert_array_equal(spot_count(four), [[1, 3], [0, np.nan]])


def test_patterns_that_were_not_measured_are_no_zeros(four):
    four.data["spot_count"] = (("y", "x"), np.array([[1, 3], [-1, -1]], np.int32))
    np.testing.assert_array_equal(spot_sum(four), [[10, 140], [np.nan, np.nan]])
    options = {"vectors": [(0.1, 0.2)], "radius": 0.02}
    dark = virtual_dark_field(four, **options)
    np.testing.assert_array_equal(dark, [[10, 20], [np.nan, np.nan]])
    left = filter_peaks(four, k_max=0.25)
    np.testing.assert_array_equal(left.data["spot_count"], [[1, 2], [-1, -1]])


def test_a_table_without_peaks_has_maps(make_table):
    none = make_table({"ky": [], "kx": [], "intensity": []}, [0, 0], (1, 2))
    none.data["centre_y"][0, 1] = np.nan
    np.testing.assert_array_equal(spot_count(none), [[0, np.nan]])


def test_sum_equals_a_loop(make_peaks):
    peaks = make_peaks((4, 5), 7, seed=2)
    intensity = peaks.data["intensity"].to_numpy()
    each = [intensity[a:b].sum() for a, b in zip(peaks.offset, peaks.offset[1:], strict=False)]
    np.testing.assert_allclose(spot_sum(peaks).to_numpy().ravel(), each, rtol=1e-6)
    np.testing.assert_array_equal(spot_count(peaks), peaks.count)


def test_dark_field_of_reflections(four):
    options = {"vectors": [(0.1, 0.2)], "radius": 0.02}
    np.testing.assert_array_equal(virtual_dark_field(four, **options), [[10, 20], [0, np.nan]])
    both = virtual_dark_field(four, **options, friedel=True)
    np.testing.assert_array_equal(both, [[10, 60], [0, np.nan]])
    twice = virtual_dark_field(four, vectors=[(0.1, 0.2), (0.1, 0.205)], radius=0.02)
    np.testing.assert_array_equal(twice, [[10, 20], [0, np.nan]])
    assert both.dims == ("y", "x")
    assert both.attrs["units"] == "counts"


def test_friedel_mates_of_mirrored_peaks_are_the_same(make_peaks, make_table):
    peaks = make_peaks((3, 3), 20, seed=4)
    columns = {c: peaks.data[c].to_numpy() for c in ("ky", "kx", "intensity")}
    mirrored = make_table(
        columns | {"ky": -columns["ky"], "kx": -columns["kx"]}, peaks.count.ravel(), (3, 3)
    )
    options = {"vectors": [(0.1, 0.05), (0.02, -0.2)], "radius": 0.1}
    for a, b, same in ((peaks, mirrored, True), (peaks, mirrored, False)):
        first = virtual_dark_field(a, **options, friedel=same)
        second = virtual_dark_field(b, **options, friedel=same)
        assert np.array_equal(first, second) == same


def test_regions(four):
    np.testing.assert_array_equal(inside(four, (0.25, 0.4)), [False, False, False, True])
    triangle = [(0.05, 0.1), (0.15, 0.1), (0.1, 0.205)]
    np.testing.assert_array_equal(inside(four, triangle), [True, False, False, False])
    field = virtual_dark_field(four, region=(0.25, 0.4))
    np.testing.assert_array_equal(field, [[0, 80], [0, np.nan]])


def test_polygon_is_that_of_matplotlib(make_peaks):
    from matplotlib.path import Path

    peaks = make_peaks((5, 5), 30, seed=1)
    corners = np.random.default_rng(3).uniform(-0.3, 0.3, (7, 2))
    points = np.stack([peaks.data["ky"], peaks.data["kx"]], axis=1)
    # Self-crossing outlines are where rules differ: sort the corners around their middle.
    corners = corners[np.argsort(np.arctan2(*(corners - corners.mean(0)).T))]
    np.testing.assert_array_equal(inside(peaks, corners), Path(corners).contains_points(points))


def test_the_density_itself_as_a_region(make_peaks):
    peaks = make_peaks((5, 5), 30, seed=1)
    image = density(peaks, bin_size=0.02)
    assert inside(peaks, image > 0).all()
    many = image >= image.max()
    assert inside(peaks, many).sum() == int(image.where(many, 0).sum())
    narrow = (image > 0).isel(ky=slice(5, 15)).transpose("kx", "ky")
    np.testing.assert_array_equal(
        inside(peaks, narrow),
        (np.rint(peaks.data["ky"] / 0.02) >= np.rint(narrow.ky[0] / 0.02))
        & (np.rint(peaks.data["ky"] / 0.02) <= np.rint(narrow.ky[-1] / 0.02)),
    )


@given(size=st.floats(0.002, 0.5), seed=st.integers(0, 5))
def test_densities_sum_to_the_number_of_peaks(size, seed):
    from phaseloom.diffraction.peaks.table import COLUMNS, Peaks

    rng = np.random.default_rng(seed)
    n = int(rng.integers(0, 200))
    data = xr.Dataset({c: ("peak", rng.normal(0, 0.3, n).astype(np.float32)) for c in COLUMNS})
    data["ky"].attrs["units"] = "Å⁻¹"
    data.attrs["pixel_size"] = 0.01
    peaks = Peaks(data.assign(offset=("edge", [0, n])))
    assert density(peaks, bin_size=size).sum() == n
    assert radial_density(peaks, bin_size=size).sum() == n
    total = density(peaks, bin_size=size, weight="intensity").sum()
    assert float(total) == pytest.approx(data["intensity"].sum(dtype=float).item(), abs=1e-6)


def test_density_has_its_axes(make_table):
    peaks = make_table({"ky": [0.1, 0], "kx": [-0.2, 0], "intensity": [5, 7]}, [2], (1, 1))
    found = density(peaks, bin_size=0.02, weight="intensity")
    assert found.dims == ("ky", "kx")
    assert found.shape == (11, 21)
    assert float(found.sel(ky=0.1, kx=-0.2, method="nearest")) == 5
    assert float(found.sel(ky=0, kx=0, method="nearest")) == 7
    assert found["ky"].attrs["units"] == "Å⁻¹"
    assert density(peaks, bin_size=0.02, k_max=0.15).sum() == 1
    assert float(radial_density(peaks, bin_size=0.02).sel(k=0.22, method="nearest")) == 1


def test_bad_input_is_one_sentence(four):
    image = xr.DataArray(np.ones((3, 3)), dims=("ky", "kx"))
    uneven = xr.DataArray(np.ones((3, 2), bool), {"ky": [0, 1, 3], "kx": [0, 1]}, dims=("ky", "kx"))
    for wrong in (image, uneven, (0.4, 0.2), [(0, 0), (1, 1)], np.nan):
        with pytest.raises(InputError):
            inside(four, wrong)
    with pytest.raises(InputError, match="reflections or of a region"):
        virtual_dark_field(four)
    with pytest.raises(InputError, match="with a radius"):
        virtual_dark_field(four, vectors=[(0, 0)])
    with pytest.raises(InputError, match="radius"):
        near(four, [(0, 0)], 0)
    with pytest.raises(InputError, match="pairs"):
        near(four, [(0, 0, 1)], 1)
    for size in (0, np.nan, -1):
        with pytest.raises(InputError, match="bins"):
            density(four, bin_size=size)
    with pytest.raises(InputError, match="too many"):
        density(four, bin_size=1e-6)
    with pytest.raises(InputError, match="count or intensity"):
        density(four, weight="prominence")
