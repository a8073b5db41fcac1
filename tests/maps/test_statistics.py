"""Fractions with honest intervals, and mean spectra."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from phaseloom.errors import InputError
from phaseloom.maps.statistics import correlation_length, phase_fractions, spectra_per_phase

SHARES = np.array([0.5, 0.3, 0.2])


def grains(seed: int, size: int = 96, n: int = 120) -> NDArray[np.intp]:
    """Voronoi grains whose phases are drawn independently."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    _, nearest = cKDTree(rng.uniform(0, size, (n, 2))).query(np.column_stack([y.flat, x.flat]))
    return rng.choice(len(SHARES), n, p=SHARES)[nearest].reshape(size, size)


def test_intervals_hold_the_truth_where_pixel_counting_would_not():
    held = narrow = 0
    for seed in range(60):
        table = phase_fractions(
            grains(seed), names=list("abc"), pixel_area=1.0, resamples=300, seed=seed
        ).iloc[:3]
        held += ((table["fraction_low"] <= SHARES) & (table["fraction_high"] >= SHARES)).sum()
        apart = np.abs(table["fraction"] - SHARES)
        naive = 1.96 * np.sqrt(table["fraction"] * (1 - table["fraction"]) / 96**2)
        narrow += (apart <= naive).sum()
    assert held / 180 > 0.87
    assert narrow / 180 < 0.4


@given(
    hnp.arrays(np.int8, (6, 7), elements=st.integers(-2, 1)).filter(lambda m: (m != -1).any()),
    st.integers(1, 8),
)
@settings(max_examples=40, deadline=None)
def test_counts_are_exact_and_intervals_hold_the_estimate(phase, block):
    table = phase_fractions(phase, names=["a", "b"], pixel_area=0.5, block=block, resamples=50)
    assert list(table.index) == ["a", "b", "unknown"]
    assert table["pixels"].tolist() == [(phase == p).sum() for p in (0, 1, -2)]
    np.testing.assert_allclose(table["area"], table["pixels"] * 0.5)
    assert table["fraction"].sum() == pytest.approx(1)
    known = table.dropna()
    assert (known["fraction_low"] <= known["fraction"] + 1e-12).all()
    assert (known["fraction_high"] >= known["fraction"] - 1e-12).all()


def test_posterior_and_ambiguous_pixels_are_counted():
    phase = np.zeros((4, 8), dtype=int)
    phase[:, 4:] = 1
    phase[0, 0] = -1
    posterior = np.stack([np.where(phase == 0, 0.75, 0.25), np.where(phase == 0, 0.25, 0.75)])
    posterior[:, 3, 7] = np.nan
    table = phase_fractions(
        phase,
        names=["a", "b"],
        pixel_area=1.0,
        posterior=posterior,
        ambiguous=np.eye(4, 8, dtype=bool),
        block=2,
    )
    assert table.loc["ambiguous", "pixels"] == 3  # one of four lies outside
    assert table.loc["a", "posterior_fraction"] == pytest.approx(0.5)
    assert (
        table.loc["a", "posterior_fraction_low"] < 0.5 < table.loc["a", "posterior_fraction_high"]
    )
    assert np.isnan(table.loc["unknown", "posterior_fraction"])
    assert table.attrs == {"block": 2, "blocks": 8}
    half = phase_fractions(phase, names=["a", "b"], pixel_area=1.0, mask=phase == 1, block=2)
    assert half.loc["b", "fraction"] == 1.0


def test_the_same_seed_gives_the_same_interval():
    phase = grains(0)
    options = {"names": list("abc"), "pixel_area": 1.0, "resamples": 100}
    first, again = (phase_fractions(phase, seed=4, **options) for _ in range(2))
    other = phase_fractions(phase, seed=5, **options)
    assert first.equals(again)
    assert not first.equals(other)


def test_correlation_length_is_that_of_the_map():
    rng = np.random.default_rng(0)
    coarse = np.kron(rng.integers(0, 2, (24, 24)), np.ones((8, 8), dtype=int))
    everywhere = np.ones(coarse.shape, dtype=bool)
    # The autocorrelation of squares of edge 8 falls linearly to zero: 1/e at 8 (1 − 1/e).
    assert correlation_length(coarse, everywhere) == pytest.approx(8 * (1 - np.exp(-1)), rel=0.1)
    assert correlation_length(np.zeros((9, 9), dtype=int), everywhere[:9, :9]) == 1.0


def test_mean_spectra_equal_plain_means():
    rng = np.random.default_rng(1)
    phase = rng.integers(-2, 2, (12, 9))
    density = xr.DataArray(
        rng.normal(1, 0.3, (5, 12, 9)), dims=("energy", "y", "x"), coords={"energy": np.arange(5.0)}
    )
    density[2, 3, 4] = np.nan
    phase[3, 4] = 0
    found = spectra_per_phase(density, phase, names=["a", "b", "none"])
    for p in (0, 1):
        inside = density.to_numpy()[:, phase == p]
        np.testing.assert_allclose(found["mean"][p], np.nanmean(inside, axis=1))
        np.testing.assert_allclose(found["sd"][p], np.nanstd(inside, axis=1))
        assert found["pixels"][p] == (phase == p).sum()
    assert found["mean"][2].isnull().all()
    assert found["reference"].values.tolist() == ["a", "b", "none"]


def test_bad_input_gets_one_clear_sentence():
    phase = np.zeros((3, 3), dtype=int)
    with pytest.raises(InputError, match="no pixel to count"):
        phase_fractions(phase - 1, names=["a"], pixel_area=1.0)
    with pytest.raises(InputError, match="has no name"):
        phase_fractions(phase + 1, names=["a"], pixel_area=1.0)
    with pytest.raises(InputError, match="not of one map"):
        phase_fractions(phase, names=["a"], pixel_area=1.0, mask=np.ones((2, 2), dtype=bool))
    with pytest.raises(InputError, match="edge of 0"):
        phase_fractions(phase, names=["a"], pixel_area=1.0, block=0)
    stack = xr.DataArray(np.zeros((2, 4, 4)), dims=("energy", "y", "x"))
    with pytest.raises(InputError, match="not that of the stack"):
        spectra_per_phase(stack, phase, names=["a"])
    with pytest.raises(InputError, match="has no name"):
        spectra_per_phase(stack[:, :3, :3], phase + 1, names=["a"])
