from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage

from phaseloom.errors import InputError, InputWarning
from phaseloom.simulate import measure, nvpf_references, particle, sparse_energies
from phaseloom.stxm.preparation import absorption, readings

Stack = tuple[NDArray[np.float32], xr.Dataset]


@pytest.fixture(scope="module")
def measured_stack() -> Stack:
    references = nvpf_references()
    sample = particle([str(r.name) for r in references], [1] * 5, shape=(96, 80), n_grains=20)
    stack, truth = measure(sample, references, sparse_energies())
    return stack["counts"].to_numpy().astype(np.float32), truth


@given(arrays(np.float32, st.tuples(st.integers(1, 7), st.integers(1, 7)),
              elements=st.floats(-100, 100, width=32)))  # fmt: skip
def test_median_equals_scipy(frame: NDArray[np.float32]) -> None:
    expected = ndimage.median_filter(frame, 3, mode="nearest")
    np.testing.assert_array_equal(readings.median_3x3(frame), expected)


def test_despike_finds_spikes_and_leaves_the_rest(measured_stack: Stack) -> None:
    clean = measured_stack[0].copy()
    spiked = clean.copy()
    rng = np.random.default_rng(0)
    where = rng.random(clean.shape) < 5e-4
    spiked[where] += 6000
    replaced = readings.despike(spiked)
    assert replaced == pytest.approx(where.sum(), abs=0.05 * where.sum() + 5)
    np.testing.assert_allclose(spiked[where], clean[where], rtol=0.25)
    assert np.mean(spiked[~where] != clean[~where]) < 1e-5


def test_thin_structure_of_the_sample_is_no_spike(measured_stack: Stack) -> None:
    """A wall one pixel wide and single grains stand out at every energy; a spike at one."""
    clean = measured_stack[0][:, 20:60, 20:60].copy()
    clean[:, 10, 5:30] *= 0.5
    clean[:, 25:35:3, 10] *= 0.6
    kept = clean.copy()
    readings.despike(kept)
    changed = kept != clean
    assert changed[:, 10, 5:30].sum() == changed[:, 25:35:3, 10].sum() == 0
    clean[7, 20, 20] *= 8
    spiked = clean.copy()
    assert readings.despike(spiked) >= 1
    assert spiked[7, 20, 20] < clean[7, 20, 20] / 4


def test_empty_area_holds_no_particle_and_gives_the_incident_counts(measured_stack: Stack) -> None:
    counts, truth = measured_stack
    area = absorption.empty_area(counts)
    assert not np.any(area & (truth["phase"].to_numpy() >= 0))
    assert area.mean() > 0.2
    intensity = absorption.incident_intensity(counts, area)
    np.testing.assert_allclose(intensity, truth["i0"], rtol=2e-3)


def test_optical_density_is_minus_log_and_nan_where_nothing_was_counted() -> None:
    counts = np.array([[[100.0, 10.0], [0.0, -3.0]]], dtype=np.float32)
    absorption.to_optical_density(counts, np.array([100.0]))
    np.testing.assert_allclose(counts[0, 0], [0.0, np.log(10)], rtol=1e-6)
    assert np.isnan(counts[0, 1]).all()


def test_particle_mask_excludes_and_counts_thin_and_saturated(measured_stack: Stack) -> None:
    counts, truth = measured_stack[0].copy(), measured_stack[1]
    counts[:, 40:44, 38:42] *= 0.02
    intensity = truth["i0"].to_numpy()
    absorption.to_optical_density(counts, intensity)
    reason = absorption.particle_mask(counts, *absorption.relative_thickness(counts, intensity))
    assert (reason[40:44, 38:42] == absorption.SATURATED).all()
    elsewhere = np.ones(counts.shape[1:], dtype=bool)
    elsewhere[40:44, 38:42] = False
    thick_enough = elsewhere & (truth["thickness"].to_numpy() > 0.2)
    assert (reason == absorption.PARTICLE)[thick_enough].all()
    assert truth["thickness"].to_numpy()[reason == absorption.PARTICLE].min() > 0.02


def test_saturated_by_stray_light_floor_is_not_a_thin_pixel() -> None:
    density = np.full((6, 8, 8), 0.0, dtype=np.float32)
    density[2:, 2:6, 2:6] = 1.0
    density[2:, 2:6, 2] = np.nan
    reason = absorption.particle_mask(
        density, *absorption.relative_thickness(density, np.full(6, 1e4))
    )
    assert (reason[2:6, 3:6] == absorption.PARTICLE).all()
    assert (reason[2:6, 2] == absorption.INVALID).all() or (
        reason[2:6, 2] == absorption.SATURATED
    ).all()


def test_a_field_without_edges_has_an_empty_mask() -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(1000, (8, 32, 32)).astype(np.float32)
    absorption.to_optical_density(counts, np.full(8, 1000.0))
    with pytest.raises(InputError, match=r"mask is empty|flat"):
        absorption.particle_mask(
            counts, *absorption.relative_thickness(counts, np.full(8, 1000.0)), thin=1e3
        )


def test_pre_edge_is_found_where_there_is_one() -> None:
    energy = sparse_energies()
    spectrum = nvpf_references()[0].interp(energy=energy).to_numpy()
    assert energy[absorption.pre_edge(spectrum)].tolist() == [507.0, 511.0]
    assert not absorption.pre_edge(spectrum[::-1].copy()).any()


def test_baseline_is_the_mean_before_the_edge() -> None:
    density = np.arange(2 * 3 * 4, dtype=np.float32).reshape(4, 2, 3)
    before = np.array([True, True, False, False])
    original = density.copy()
    baseline = absorption.subtract_baseline(density, before)
    np.testing.assert_allclose(baseline, original[:2].mean(axis=0))
    np.testing.assert_allclose(density, original - baseline)


def test_zero_incident_intensity_is_refused() -> None:
    with pytest.raises(InputError, match="zero or missing at 1 of 3"):
        absorption.check_incident(np.array([1.0, 0.0, 2.0]))


def test_an_incident_spectrum_must_cover_the_stack() -> None:
    spectrum = xr.DataArray([1.0, 2.0], dims="energy", coords={"energy": [500.0, 510.0]})
    with pytest.raises(InputError, match="covers 500–510 eV but the stack needs 501–520"):
        absorption.incident_from_spectrum(spectrum, xr.DataArray([501.0, 520.0], dims="energy"))
    found = absorption.incident_from_spectrum(spectrum, xr.DataArray([502.0, 505.0], dims="energy"))
    np.testing.assert_allclose(found, [1.2, 1.5])


def test_empty_frames_are_named() -> None:
    counts = np.ones((3, 4, 4), dtype=np.float32)
    counts[0, 0, 0] = 2
    counts[2] = np.nan
    with pytest.raises(InputError, match=r"2 of 3 frames are empty or constant \(510 eV, 520 eV\)"):
        readings.check_frames(counts, np.array([500.0, 510.0, 520.0]), "a.hdf5")


def test_the_advice_for_frames_without_readings_helps() -> None:
    counts = np.random.default_rng(0).random((4, 4, 4)).astype(np.float32)
    energy = np.array([500.0, 510.0, 520.0, 530.0])
    readings.check_frames(counts, energy, "a.hdf5")
    for value, advice in ((0.0, "--partial"), (np.nan, "--partial"), (7.0, "leave those energies")):
        counts[3] = value
        with pytest.raises(InputError, match=r"1 of 4 frames .*\(530 eV\); ") as caught:
            readings.check_frames(counts, energy, "a.hdf5")
        assert advice in str(caught.value.remedy)
        assert ("--partial" in str(caught.value.remedy)) == (advice == "--partial")


def test_the_mask_without_counts_is_that_with_them(measured_stack: Stack) -> None:
    counts, truth = measured_stack[0].copy(), measured_stack[1]
    intensity = truth["i0"].to_numpy()
    absorption.to_optical_density(counts, intensity)
    known = (
        absorption.particle_mask(counts, *absorption.relative_thickness(counts, intensity))
        == absorption.PARTICLE
    )
    found = (
        absorption.particle_mask(counts, *absorption.relative_thickness(counts, None))
        == absorption.PARTICLE
    )
    assert np.mean(known != found) < 0.01
    assert found[truth["thickness"].to_numpy() > 0.2].all()
    assert truth["thickness"].to_numpy()[found].min() > 0.02


def test_an_area_with_some_particle_in_it_is_noticed_and_an_empty_one_is_not() -> None:
    references = nvpf_references()
    names = [str(r.name) for r in references]
    warned = 0
    for seed in range(6):
        sample = particle(names, [1] * 5, shape=(48, 48), margin=6, n_grains=10, seed=seed)
        stack, truth = measure(sample, references, sparse_energies(), seed=seed)
        density = -np.log(stack["counts"].to_numpy() / truth["i0"].to_numpy()[:, None, None])
        inside = density[:, truth["thickness"].to_numpy() > 0.3].mean(axis=1)
        absorption.warn_if_not_empty(truth["i0"].to_numpy(), inside, "a.hdf5")
        dipped = truth["i0"].to_numpy() * np.exp(-0.25 * inside)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            absorption.warn_if_not_empty(dipped, 0.75 * inside, "a.hdf5")
        warned += len(caught)
    assert warned >= 5


def test_an_i0_taken_from_the_particle_is_noticed(measured_stack: Stack) -> None:
    counts, truth = measured_stack
    phase = truth["phase"].to_numpy()
    density = -np.log(counts / truth["i0"].to_numpy()[:, None, None])
    inside = density[:, phase >= 0].mean(axis=1)
    with pytest.warns(InputWarning, match="may not be empty"):
        absorption.warn_if_not_empty(np.exp(-0.5 * inside), inside, "a.hdf5")
    absorption.warn_if_not_empty(truth["i0"].to_numpy(), inside, "a.hdf5")
