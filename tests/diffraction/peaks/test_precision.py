from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from phaseloom.compute.checkpoints import Checkpoints
from phaseloom.diffraction.peaks.precision import encoding, rounded
from phaseloom.diffraction.peaks.table import Peaks


def _size(folder):
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


@pytest.fixture
def data(make_peaks):
    """About 50 spots per pattern, with the maps that registration leaves."""
    peaks = make_peaks((64, 64), 50, seed=0, detector=(512, 512))
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:64, :64]
    maps = {
        "centre_y": 255.3 + 0.031 * y - 0.012 * x,
        "centre_x": 257.8 + 0.011 * y + 0.022 * x,
        "bright_field": rng.poisson(1e5, (64, 64)),
        "spot_sum": np.add.reduceat(peaks.data["intensity"].to_numpy(), peaks.offset[:-1]).reshape(
            64, 64
        ),
        "spot_count": peaks.count,
        "noise": rng.normal(3, 0.2, (64, 64)),
        "prominence": rng.normal(12, 0.8, (64, 64)),
    }
    return peaks.data.assign({n: (("y", "x"), v.astype(np.float32)) for n, v in maps.items()})


def test_a_thousand_times_smaller_than_the_patterns(data, tmp_path):
    rounded(data).to_zarr(tmp_path / "store", zarr_format=3, consolidated=False)
    columns = [n for n, v in data.items() if v.dims == ("peak",)]
    of_columns = sum(_size(tmp_path / "store" / n) for n in columns)
    assert of_columns / data.sizes["peak"] <= 10
    assert 512 * 512 * 2 * 64 * 64 / _size(tmp_path / "store") >= 1000
    with xr.open_zarr(tmp_path / "store", consolidated=False) as back:
        xr.testing.assert_identical(back.load(), rounded(data))


def test_rounding_is_less_than_a_tenth_of_the_standard_error(data):
    new = rounded(data)
    for name in ("ky", "kx", "intensity"):
        off = np.abs(new[name].astype(float) - data[name].astype(float))
        assert (off <= 0.1 * data[f"{name}_error"] * (1 + 1e-6)).all()
        assert float(off.max()) > 0
    pixel = data.attrs["pixel_size"]
    assert np.abs(new["ky"] - data["ky"]).max() <= pixel / 128
    for name in ("ky_error", "intensity_error", "peak_prominence", "background"):
        np.testing.assert_allclose(new[name], data[name], rtol=1 / 16)
    for name in ("centre_y", "centre_x"):
        np.testing.assert_allclose(new[name], data[name], atol=1 / 2048, rtol=0)
    np.testing.assert_allclose(new["bright_field"], data["bright_field"], rtol=1 / 4096)
    np.testing.assert_array_equal(new["spot_count"], data["spot_count"])
    np.testing.assert_array_equal(new["offset"], data["offset"])
    assert {n: v.dtype for n, v in new.items()} == {n: v.dtype for n, v in data.items()}
    assert new["ky"].attrs == data["ky"].attrs
    assert new.attrs == data.attrs


def test_rounding_has_no_bias(data):
    new = rounded(data)
    for name in ("ky", "kx", "intensity"):
        pull = ((new[name] - data[name]) / data[f"{name}_error"]).to_numpy().astype(float)
        assert abs(pull.mean()) < 5 * pull.std() / np.sqrt(pull.size)


def test_rounding_twice_is_rounding_once(data):
    once = rounded(data)
    xr.testing.assert_identical(rounded(once), once)


def test_what_has_no_error_or_no_value_stays(make_table):
    columns = {
        "ky": [0.123456, np.nan, 0.2],
        "intensity": [1234.567, 5, 0],
        "intensity_error": [np.nan, 1, 0],
        "ky_error": [np.nan, np.nan, 0],
    }
    old = make_table(columns, [3], (1, 1)).data
    old["centre_y"][:] = np.nan
    new = rounded(old)
    np.testing.assert_array_equal(new["ky"][:2], old["ky"][:2])
    np.testing.assert_allclose(new["ky"][2], 0.2, atol=0.0123 / 4096)
    np.testing.assert_array_equal(new["intensity"], old["intensity"])
    assert np.isnan(new["centre_y"]).all()


@pytest.mark.parametrize("units", ["px", "Å⁻¹"])
def test_empty_and_uncalibrated_tables(make_table, tmp_path, units):
    empty = make_table({}, [0, 0], (1, 2), units=units)
    rounded(empty.data).to_zarr(tmp_path / "store", zarr_format=3, consolidated=False)
    with xr.open_zarr(tmp_path / "store", consolidated=False) as back:
        assert len(Peaks(back.load())) == 0


def test_a_stage_keeps_the_encoding(data, tmp_path):
    kept = Checkpoints(tmp_path / "results.zarr")
    first = kept.stage("peaks", "register", "key", lambda: rounded(data), first=True)
    peak = data.sizes["peak"]
    columns = [n for n, v in data.items() if v.dims == ("peak",)]
    size = sum(_size(tmp_path / "results.zarr" / "peaks" / n) for n in columns)
    assert size / peak <= 10
    again = Checkpoints(tmp_path / "results.zarr")

    def never():
        raise AssertionError

    xr.testing.assert_identical(again.stage("peaks", "register", "key", never, first=True), first)


def test_encoding_names_every_variable(data, tmp_path):
    how = encoding(data)
    assert set(how) == set(data.data_vars)
    assert how["ky"]["chunks"] == (min(2**20, data.sizes["peak"]),)
    data.to_zarr(tmp_path / "store", zarr_format=3, consolidated=False, encoding=how)
