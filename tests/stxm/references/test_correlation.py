from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from phaseloom.simulate import measure, nvpf_references, particle, sparse_energies
from phaseloom.stxm.references.correlation import correlate, noise_margin, pearson
from phaseloom.stxm.references.references import sample_references


def test_pearson_equals_numpy() -> None:
    rng = np.random.default_rng(0)
    spectra = rng.normal(1.0, 0.3, (9, 50)).astype(np.float32)
    references = rng.normal(1.0, 0.3, (3, 9))
    expected = np.corrcoef(np.vstack([references, spectra.T]))[:3, 3:]
    np.testing.assert_allclose(pearson(spectra, references), expected, atol=2e-6)


@given(scale=st.floats(0.01, 100), offset=st.floats(-10, 10))
def test_pearson_ignores_thickness_and_offset(scale: float, offset: float) -> None:
    references = sample_references(nvpf_references(), sparse_energies()).to_numpy()
    spectra = (scale * references.T + offset).astype(np.float32)
    found = pearson(spectra, references)
    np.testing.assert_allclose(np.diag(found), 1.0, atol=1e-3)


def test_missing_readings_are_left_out_of_spectrum_and_reference() -> None:
    rng = np.random.default_rng(1)
    spectra = rng.normal(1.0, 0.3, (12, 40)).astype(np.float32)
    spectra[rng.random(spectra.shape) < 0.2] = np.nan
    references = rng.normal(1.0, 0.3, (3, 12))
    found = pearson(spectra, references)
    for pixel, spectrum in enumerate(spectra.T):
        there = np.isfinite(spectrum)
        expected = [np.corrcoef(spectrum[there], r[there])[0, 1] for r in references]
        np.testing.assert_allclose(found[:, pixel], expected, atol=1e-5)


def test_a_constant_or_missing_spectrum_has_no_correlation() -> None:
    references = sample_references(nvpf_references(), sparse_energies()).to_numpy()
    spectra = np.ones((24, 2), dtype=np.float32)
    spectra[3, 1] = np.nan
    assert np.isnan(pearson(spectra, references)).all()


def test_noise_margin_is_the_spread_of_the_difference() -> None:
    references = sample_references(nvpf_references(), sparse_energies()).to_numpy()
    rng = np.random.default_rng(1)
    sigma = 0.03
    spectra = (0.6 * references[1][:, None] + rng.normal(0, sigma, (24, 20000))).astype(np.float32)
    correlation = pearson(spectra, references)
    difference = correlation[1] - correlation[2]
    variance = np.full_like(spectra, sigma**2)
    two = references[[1, 2]]
    margin = noise_margin(spectra, two, pearson(spectra, two), variance)
    assert np.median(margin) == pytest.approx(1.645 * difference.std(), rel=0.1)


def test_maps_of_a_simulated_particle() -> None:
    references = nvpf_references()
    sample = particle([str(r.name) for r in references], [1] * 5, shape=(96, 80), n_grains=20)
    stack, truth = measure(sample, references, sparse_energies(), counts=3000)
    density = -np.log(stack["counts"] / truth["i0"]).transpose("energy", "y", "x")
    mask = truth["phase"] >= 0
    sampled = sample_references(references, sparse_energies())
    maps = correlate(density, sampled, mask)
    inside = mask.to_numpy()
    right = maps["phase_pearson"].to_numpy() == truth["phase"].to_numpy()
    assert right[inside].mean() > 0.9
    assert (maps["phase_pearson"].to_numpy()[~inside] == -1).all()
    assert np.isnan(maps["correlation"].to_numpy()[:, ~inside]).all()
    ambiguous = inside & maps["ambiguous"].to_numpy()
    assert (~right)[ambiguous].mean() > 3 * (~right)[inside & ~ambiguous].mean()


def test_margin_zero_leaves_nothing_ambiguous_and_two_everything() -> None:
    sampled = sample_references(nvpf_references(), sparse_energies())
    density = xr.DataArray(
        np.repeat(sampled.to_numpy().T[:, :, None], 3, axis=2).astype(np.float32),
        dims=("energy", "y", "x"),
        coords={"energy": sampled["energy"], "y": np.arange(5.0), "x": np.arange(3.0)},
    )
    mask = xr.DataArray(np.ones((5, 3), dtype=bool), dims=("y", "x"))
    none = correlate(density, sampled, mask, margin=0.0)
    assert not none["ambiguous"].any()
    assert (none["phase_pearson"].to_numpy() == np.arange(5)[:, None]).all()
    assert correlate(density, sampled, mask, margin=2.0)["ambiguous"].all()
