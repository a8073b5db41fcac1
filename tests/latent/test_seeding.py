from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phaseloom.latent.mixtures import learn_shares, member_posterior, mixture_paths
from phaseloom.latent.seeding import log_likelihood, register

Array = NDArray[np.float64]
NOISE = 0.12


def centred(values: Array) -> Array:
    values = values - values.mean(axis=1, keepdims=True)
    return values / values.std(axis=1, keepdims=True)


def references(shift: float = 0.0) -> Array:
    energy = np.linspace(0, 1, 20)
    peak = 0.35 + 0.07 * np.arange(4) + shift
    return np.exp(-(((energy - peak[:, None]) / 0.12) ** 2)) + 0.3 * (energy > 0.7)


def pixels(phases: list[int], shift: float, n: int = 1200) -> tuple[Array, NDArray[np.intp]]:
    rng = np.random.default_rng(0)
    truth = rng.choice(phases, n)
    clean = centred(references(shift))[truth]
    return clean + rng.normal(0, NOISE, clean.shape), truth


def accuracy(spectra: Array, truth: NDArray[np.intp], centres: Array) -> float:
    variance = np.full(spectra.shape, NOISE**2)
    return float((log_likelihood(spectra, variance, centres).argmax(axis=1) == truth).mean())


def test_clusters_keep_their_names_where_the_references_are_shifted() -> None:
    spectra, truth = pixels([0, 1, 2, 3], shift=0.03)
    expected = centred(references())
    seeds = register(spectra, np.full(spectra.shape, NOISE**2), expected)
    assert seeds.present.all()
    assert accuracy(spectra, truth, seeds.centres) > accuracy(spectra, truth, expected) + 0.02
    assert accuracy(spectra, truth, seeds.centres) > 0.97
    assert np.abs(seeds.centres - centred(references(0.03))).max() < 0.1


def test_absent_phases_are_absent() -> None:
    for phases in ([2], [0, 1], [0, 3]):
        spectra, truth = pixels(phases, shift=0.0)
        seeds = register(spectra, np.full(spectra.shape, NOISE**2), centred(references()))
        assert np.flatnonzero(seeds.present).tolist() == phases
        assert np.allclose(seeds.share[~seeds.present], 0.0)
        assert abs(seeds.share[phases[0]] - (truth == phases[0]).mean()) < 0.02


def test_shares_and_abundance_of_two_phase_pixels_are_found() -> None:
    rng = np.random.default_rng(2)
    raw = references()
    amplitude = (raw - raw.mean(axis=1, keepdims=True)).std(axis=1)
    paths = mixture_paths(centred(raw), amplitude)
    fraction = np.where(rng.random(2000) < 0.4, rng.uniform(0.1, 0.9, 2000), 1.0)
    clean = centred(fraction[:, None] * raw[0] + (1 - fraction)[:, None] * raw[3])
    spectra = clean + rng.normal(0, 0.05, clean.shape)
    squared = -2 * log_likelihood(spectra, np.full(spectra.shape, 0.05**2), paths.spectra)
    prior = learn_shares(squared, paths)
    weight = member_posterior(squared, prior)
    np.testing.assert_allclose(weight.sum(axis=1), 1.0, rtol=1e-5)
    assert abs(prior[paths.group >= 4].sum() - 0.4) < 0.05
    assert np.abs((weight @ paths.abundance)[:, 0] - fraction).mean() < 0.04
    np.testing.assert_allclose(paths.owner.sum(axis=1), 1.0)
