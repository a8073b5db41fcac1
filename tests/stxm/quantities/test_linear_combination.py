"""Linear combinations of references: weights and errors against known mixtures."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from phaseloom.simulate import measure, nvpf_references, particle, sparse_energies
from phaseloom.stxm import map_phases
from phaseloom.stxm.quantities.linear_combination import combine, particle_combinations

Array = NDArray[np.float64]

ENERGY = sparse_energies()
CHOSEN = [nvpf_references()[p] for p in (0, 2, 4)]


def normalised(spectra: Array) -> Array:
    before, after = ENERGY <= 513, ENERGY >= 534
    level = spectra - spectra[..., before].mean(axis=-1, keepdims=True)
    return np.asarray(level / level[..., after].mean(axis=-1, keepdims=True))


REFERENCES = normalised(np.stack([CubicSpline(r["energy"], r)(ENERGY) for r in CHOSEN]))


@pytest.mark.parametrize("sum_to_one", [True, False])
@pytest.mark.parametrize("counts", [1000, 10_000])
def test_errors_are_those_of_the_scatter(counts: float, sum_to_one: bool) -> None:
    rng = np.random.default_rng(5)
    right = np.array([0.5, 0.3, 0.2])
    clean = 0.6 * right @ REFERENCES
    sigma = np.exp(clean / 2) / np.sqrt(counts) / 0.6
    pulls = []
    for _ in range(400):
        spectrum = right @ REFERENCES + sigma * rng.standard_normal(ENERGY.size)
        found = combine(spectrum, np.diag(sigma**2), REFERENCES, sum_to_one=sum_to_one)
        assert found is not None
        pulls.append((found.weight - right) / found.error)
        if sum_to_one:
            assert found.weight.sum() == pytest.approx(1.0, abs=1e-9)
    spread = np.sqrt(np.mean(np.square(pulls), axis=0))
    assert (spread > 0.8).all()
    assert (spread < 1.2).all()


def test_a_clean_mixture_is_found_exactly_and_nothing_is_negative() -> None:
    for right in ([0.5, 0.3, 0.2], [1.0, 0.0, 0.0], [0.0, 0.4, 0.6]):
        found = combine(right @ REFERENCES, 1e-6 * np.eye(24), REFERENCES, sum_to_one=True)
        assert found is not None
        np.testing.assert_allclose(found.weight, right, atol=1e-6)
        assert found.r_factor < 1e-12
    outside = np.array([1.2, -0.2, 0.0]) @ REFERENCES
    found = combine(outside, 1e-6 * np.eye(24), REFERENCES, sum_to_one=False)
    assert found is not None
    assert (found.weight >= 0).all()
    assert found.chi2 > 5


def test_references_that_are_combinations_of_each_other_get_errors_that_say_so() -> None:
    three = np.vstack(
        [REFERENCES[:2], 0.5 * (REFERENCES[0] + REFERENCES[1]) + 1e-4 * REFERENCES[2]]
    )
    found = combine(three[2], 1e-4 * np.eye(24), three, sum_to_one=True)
    assert found is not None
    assert (found.error > 10).all()


def test_too_few_readings_give_nothing() -> None:
    spectrum = np.full(24, np.nan)
    spectrum[:2] = 1.0
    assert combine(spectrum, np.eye(24), REFERENCES, sum_to_one=True) is None


def test_particles_of_a_map_have_the_shares_that_they_hold() -> None:
    labels = [str(r.name) for r in CHOSEN]
    sample = particle(labels, (1, 1, 1), shape=(64, 64), margin=6, n_grains=12, seed=3)
    stack, truth = measure(sample, CHOSEN, ENERGY, counts=5000, blur=0.3, seed=3)
    maps = map_phases(stack, CHOSEN, align=False, resolve="likelihood")["stxm/stack"].to_dataset()
    fits = particle_combinations(maps)
    thickness = truth["abundance"].to_numpy() * truth["thickness"].to_numpy()
    inside = maps["particle"].to_numpy() == 0
    jump = maps["reference_spectrum"].sel(energy=slice(534, None)).mean("energy") - maps[
        "reference_spectrum"
    ].sel(energy=slice(None, 513)).mean("energy")
    amount = np.nansum(thickness[:, inside], axis=1) * jump.to_numpy()
    weight = fits["weight"].sel(particle=0).to_numpy()
    np.testing.assert_allclose(weight[0], amount / amount.sum(), atol=0.03)
    np.testing.assert_allclose(weight[1].sum(), 1.0, atol=0.02)
    assert int(fits["pixels"][0]) == int(inside.sum())
    # Readings that are missing here and there leave the fit as it is.
    gone = np.random.default_rng(1).random(maps["optical_density"].shape) < 0.03
    holed = maps.assign(optical_density=maps["optical_density"].where(~gone))
    again = particle_combinations(holed)["weight"].sel(particle=0).to_numpy()
    np.testing.assert_allclose(again, weight, atol=0.02)
    # Without an edge there is nothing to normalise to.
    none = particle_combinations(maps.assign_attrs(edge_undetermined="no energy"))
    assert isinstance(none, xr.Dataset)
    assert bool(none["weight"].isnull().all())
