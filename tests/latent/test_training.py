"""The network on Gaussian clusters along a curve, as spectra of phases lie."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from phaseloom.errors import InputError
from phaseloom.latent.training import Model, fit

NOISE = 0.15


def clusters(n: int = 1500, *, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    rng = np.random.default_rng(seed)
    energy = np.linspace(0, 1, 16)
    truth = rng.integers(0, 4, n)
    peak = 0.35 + 0.08 * truth
    spectra = np.exp(-(((energy - peak[:, None]) / 0.1) ** 2)) * 2
    return (spectra + rng.normal(0, NOISE, spectra.shape)).astype(np.float32), truth


@pytest.fixture(scope="module")
def trained() -> Model:
    spectra, truth = clusters()
    return fit(
        spectra,
        np.where(np.arange(len(truth)) % 3 == 0, truth, -1),
        n_components=4,
        latent_dims=2,
        device="cpu",
    )


def test_components_are_the_seeded_phases_on_points_never_seen(trained: Model) -> None:
    spectra, truth = clusters(seed=7)
    probability = trained.component_probability(spectra)
    np.testing.assert_allclose(probability.sum(axis=1), 1.0, rtol=1e-5)
    assert (probability.argmax(axis=1) == truth).mean() > 0.95
    assert trained.restarts == 0


def test_the_loss_falls(trained: Model) -> None:
    loss = trained.history["loss"]
    assert loss[-20:].mean() < loss[:20].mean()


def test_noise_carried_through_the_encoder_is_the_scatter_it_makes(trained: Model) -> None:
    spectra, truth = clusters(seed=3)
    clean = np.stack([spectra[truth == k].mean(axis=0) for k in range(4)])
    copies = np.repeat(clean, 400, axis=0)
    noisy = copies + np.random.default_rng(5).normal(0, 0.05, copies.shape)
    scatter = trained.embed(noisy)[0] - trained.embed(copies)[0]
    seen = np.einsum("kni,knj->kij", *[scatter.reshape(4, 400, 2)] * 2) / 400
    said = trained.propagate(clean, np.full(16, 0.05**2))
    for a, b in zip(seen, said, strict=True):
        np.testing.assert_allclose(a, b, atol=0.25 * np.trace(b))


def test_same_seed_same_model(trained: Model) -> None:
    spectra, truth = clusters()
    labels = np.where(np.arange(len(truth)) % 3 == 0, truth, -1)
    again = fit(spectra, labels, n_components=4, latent_dims=2, device="cpu")
    np.testing.assert_array_equal(again.embed(spectra)[0], trained.embed(spectra)[0])
    np.testing.assert_array_equal(again.components[0], trained.components[0])


def test_a_component_without_seeds_is_refused_by_name() -> None:
    spectra, truth = clusters(400)
    labels = np.where(truth == 2, -1, truth)
    with pytest.raises(InputError, match=r"'Na2\.0' has 0 confident points"):
        fit(spectra, labels, n_components=4, names=["Na3.0", "Na2.4", "Na2.0", "Na1.0"])


def test_the_latent_space_is_no_larger_than_the_spectra() -> None:
    spectra, truth = clusters(400)
    four = spectra[:, 4:12:2] - spectra[:, 4:12:2].mean(axis=1, keepdims=True)
    with pytest.raises(InputError, match=r"4 dimensions .* 4 energies; choose --latent-dims 3"):
        fit(four, truth, n_components=4, latent_dims=4)
    model = fit(four, truth, n_components=4, latent_dims=3, device="cpu")
    assert (model.component_probability(four).argmax(axis=1) == truth).mean() > 0.8


def test_a_component_that_dies_every_time_stops_the_run() -> None:
    rng = np.random.default_rng(0)
    spectra = rng.normal(0, 1, (600, 8)).astype(np.float32)  # one cluster, labelled as three
    with pytest.raises(InputError, match="ended empty after 1 restarts"):
        fit(spectra, rng.integers(0, 3, 600), n_components=3, restarts=1, device="cpu")
