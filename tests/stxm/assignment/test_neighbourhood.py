"""The Potts field: noise goes, thin layers stay."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.simulate import particle
from phaseloom.stxm.assignment.neighbourhood import smooth


def believed(label: NDArray[np.intp], confidence: float, n: int = 3) -> xr.DataArray:
    """Posterior with the same confidence in every pixel's label."""
    values = np.full((n, *label.shape), (1 - confidence) / (n - 1))
    np.put_along_axis(values, label[None], confidence, axis=0)
    return xr.DataArray(values, dims=("reference", "y", "x"))


def two_best_slowly(posterior: NDArray, inside: NDArray, strength: float, sweeps: int) -> NDArray:
    """The same field, pixel by pixel."""
    field = np.where(inside, posterior, 0.0)
    evidence = np.log(np.maximum(field, 1e-12))
    rows, columns = inside.shape
    for _ in range(sweeps):
        for corner_y, corner_x in ((0, 0), (0, 1), (1, 0), (1, 1)):
            for y in range(corner_y, rows, 2):
                for x in range(corner_x, columns, 2):
                    if not inside[y, x]:
                        continue
                    near = [
                        field[:, y + dy, x + dx]
                        for dy in (-1, 0, 1)
                        for dx in (-1, 0, 1)
                        if (dy or dx) and 0 <= y + dy < rows and 0 <= x + dx < columns
                    ]
                    support = np.sort(near, axis=0)[-2:].sum(axis=0)
                    new = np.exp(evidence[:, y, x] + strength * support)
                    field[:, y, x] = new / new.sum()
    return np.where(inside, field, np.nan)


@given(
    seed=st.integers(0, 1000),
    shape=st.tuples(st.integers(2, 7), st.integers(2, 7)),
    strength=st.floats(0.1, 3),
)
@settings(max_examples=15, deadline=None)
def test_equals_the_field_written_pixel_by_pixel(seed, shape, strength):
    rng = np.random.default_rng(seed)
    posterior = rng.dirichlet(np.ones(4), shape).transpose(2, 0, 1)
    inside = rng.random(shape) < 0.8
    found = smooth(
        xr.DataArray(posterior, dims=("reference", "y", "x")),
        inside,
        strength=strength,
        iterations=1,
    )
    slow = two_best_slowly(posterior, inside, strength, 1)
    np.testing.assert_allclose(found["posterior"], slow, atol=1e-5)


@given(seed=st.integers(0, 1000), strength=st.floats(0, 5))
@settings(max_examples=15, deadline=None)
def test_is_a_probability_and_no_strength_changes_nothing(seed, strength):
    rng = np.random.default_rng(seed)
    posterior = xr.DataArray(
        rng.dirichlet(np.ones(3), (8, 9)).transpose(2, 0, 1), dims=("reference", "y", "x")
    )
    found = smooth(posterior, strength=strength)
    np.testing.assert_allclose(found["posterior"].sum("reference"), 1.0, atol=1e-5)
    assert found["phase"].dtype == np.int8
    same = smooth(posterior, strength=0.0)
    np.testing.assert_allclose(same["posterior"], posterior, atol=1e-6)


@pytest.mark.parametrize("direction", ["flat", "steep", "diagonal", "curved"])
def test_a_line_one_pixel_wide_survives(direction):
    label = np.zeros((31, 31), dtype=np.intp)
    label[:, 16:] = 1
    along = np.arange(31)
    line = {
        "flat": (np.full(31, 15), along),
        "steep": (along, np.full(31, 15)),
        "diagonal": (along, along),
        "curved": (np.round(10 + along**2 / 60).astype(int), along),
    }[direction]
    label[line] = 2
    found = smooth(believed(label, 0.95))
    np.testing.assert_array_equal(found["phase"], label)


def test_isolated_errors_vanish_and_clear_pixels_stay():
    rng = np.random.default_rng(0)
    label = np.zeros((64, 64), dtype=np.intp)
    label[:, 32:] = 1
    wrong = np.zeros(label.shape, dtype=bool)
    wrong[4::8, 4::8] = True
    noisy = np.where(wrong, (label + rng.integers(1, 3, label.shape)) % 3, label)
    np.testing.assert_array_equal(smooth(believed(noisy, 0.8))["phase"], label)
    np.testing.assert_array_equal(smooth(believed(noisy, 0.9999))["phase"], noisy)


def test_recovers_simulated_grains_from_weak_evidence():
    sample = particle(["a", "b", "c"], [1, 1, 1], shape=(128, 128), n_grains=30, seed=2)
    truth = sample["label"].to_numpy().astype(np.intp)
    inside = truth >= 0
    rng = np.random.default_rng(2)
    signal = np.stack([truth == p for p in range(3)]) + rng.normal(0, 0.7, (3, *truth.shape))
    weight = np.exp(signal / 0.7**2)
    posterior = xr.DataArray(weight / weight.sum(axis=0), dims=("reference", "y", "x"))
    found = smooth(posterior, inside)
    before = (posterior.argmax("reference").to_numpy() == truth)[inside].mean()
    after = (found["phase"].to_numpy() == truth)[inside].mean()
    assert before < 0.8
    assert after > 0.97
    confidence = found["posterior"].max("reference").to_numpy()[inside].mean()
    assert confidence == pytest.approx(after, abs=0.03)


def test_outside_and_missing_pixels_say_nothing():
    posterior = believed(np.zeros((5, 5), dtype=np.intp), 0.6)
    posterior[:, 2, 2] = np.nan
    mask = np.ones((5, 5), dtype=bool)
    mask[0] = False
    found = smooth(posterior, mask)
    assert (found["phase"][0] == -1).all()
    assert found["phase"][2, 2] == -1
    assert found["posterior"][:, 2, 2].isnull().all()
    assert int(found["posterior"].isnull().sum()) == 3 * 6


def test_bad_options_get_one_clear_sentence():
    posterior = believed(np.zeros((4, 4), dtype=np.intp), 0.6)
    with pytest.raises(InputError, match="strength"):
        smooth(posterior, strength=-1.0)
    with pytest.raises(InputError, match="mask has shape"):
        smooth(posterior, np.ones((2, 2), dtype=bool))
