"""The likelihood against a slow fit of every pixel, and against simulated truth."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.integrate import dblquad
from scipy.interpolate import CubicSpline
from scipy.optimize import lsq_linear, nnls

from phaseloom.errors import InputError
from phaseloom.simulate import measure, nvpf_references, particle, sparse_energies
from phaseloom.stxm.assignment.likelihood import likelihood

ENERGIES = sparse_energies()


def sampled_references(energies: NDArray[np.float64] = ENERGIES) -> xr.DataArray:
    spectra = nvpf_references()
    return xr.DataArray(
        np.stack([CubicSpline(r["energy"], r)(energies) for r in spectra]),
        dims=("reference", "energy"),
        coords={"energy": energies, "reference": [str(r.name) for r in spectra]},
    )


def simulated(*, size: int = 128, seed: int = 1, **conditions: float) -> tuple[xr.DataArray, ...]:
    """Optical density (energy, y, x), i0 in counts, truth."""
    sample = particle(
        [str(r.name) for r in nvpf_references()],
        [1] * 5,
        shape=(size, size),
        n_grains=size // 4,
        seed=seed,
    )
    stack, truth = measure(sample, nvpf_references(), ENERGIES, seed=seed, **conditions)
    density = -np.log(np.maximum(stack["counts"], 0.5) / truth["i0"])
    return density, truth["i0"], truth


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Expected calibration error: |confidence − accuracy| over 15 bins, weighted by pixels."""
    bins = np.minimum((confidence * 15).astype(int), 14)
    gap = np.bincount(bins, confidence, 15) - np.bincount(bins, right, 15)
    return float(np.abs(gap).sum() / confidence.size)


def slow_chi2(density: NDArray, weight: NDArray, spectra: list[NDArray]) -> float:
    """χ² of a bounded weighted least-squares fit, offset free."""
    root = np.sqrt(weight)
    columns = np.column_stack([*spectra, np.ones(density.size)])
    lowest = [0.0] * len(spectra) + [-np.inf]
    fit = lsq_linear(columns * root[:, None], density * root, (lowest, np.inf), tol=1e-14)
    return float(2 * fit.cost)


@given(seed=st.integers(0, 10_000), counts=st.sampled_from([300.0, 3000.0, 1e5]))
@settings(max_examples=8, deadline=None)
def test_fits_equal_a_slow_bounded_fit_of_every_pixel(seed, counts):
    rng = np.random.default_rng(seed)
    references = sampled_references()
    shares = rng.uniform(-0.2, 1.0, (5, 3, 2)).clip(0)  # thin, mixed and empty pixels
    clean = np.tensordot(references.to_numpy(), shares, (0, 0)) + rng.normal(0, 0.2, (3, 2))
    density = clean + rng.normal(0, 1, clean.shape) * np.exp(clean / 2) / np.sqrt(counts)
    i0 = counts * rng.uniform(0.8, 1.2, ENERGIES.size)
    found = likelihood(stack_of(density), references, i0=i0)
    for y, x in np.ndindex(3, 2):
        d = density[:, y, x]
        w = i0 * np.exp(-d)
        one = [slow_chi2(d, w, [r]) for r in references.to_numpy()]
        two = [slow_chi2(d, w, [p, q]) for p, q in combinations(references.to_numpy(), 2)]
        reduced = min(one + two) / (ENERGIES.size - 3)
        assert found["chi2"][y, x] == pytest.approx(reduced, rel=1e-4)


def stack_of(density: NDArray) -> xr.DataArray:
    return xr.DataArray(density, dims=("energy", "y", "x"), coords={"energy": ENERGIES})


def test_posterior_equals_the_evidence_integrated_numerically():
    references = sampled_references()[1:3]
    r = references.to_numpy()
    rng = np.random.default_rng(3)
    i0 = np.full(ENERGIES.size, 300.0)
    density = 0.6 * (0.7 * r[0] + 0.3 * r[1]) + rng.normal(0, 0.05, ENERGIES.size)
    weight = i0 * np.exp(-density)

    def centred(a):
        return a - (weight * a).sum() / weight.sum()

    d, p, q = centred(density), centred(r[0]), centred(r[1])
    found = likelihood(stack_of(density[:, None, None]), references, i0=i0, mixed=0.5)
    temper = max(1.0, float(found["chi2"][0, 0]))
    lowest = float(found["chi2"][0, 0]) * (ENERGIES.size - 3)

    def density_of(a, b):
        chi2 = (weight * (d - a * p - b * q) ** 2).sum()
        return np.exp(-(chi2 - lowest) / 2 / temper)

    t = np.linspace(0, 2, 4001)
    one = [np.trapezoid([density_of(a, 0) for a in t], t), 0.0]
    one[1] = np.trapezoid([density_of(0, b) for b in t], t)
    # Uniform in v = a − b over [−t, t]: density 1/(2t); da db = dt dv / 2.
    above = dblquad(
        lambda v, t: density_of((t + v) / 2, (t - v) / 2) / (2 * t), 0.3, 1.0, 0, lambda t: t,
        epsabs=1e-7,
    )[0]  # fmt: skip
    below = dblquad(
        lambda v, t: density_of((t + v) / 2, (t - v) / 2) / (2 * t), 0.3, 1.0, lambda t: -t, 0,
        epsabs=1e-7,
    )[0]  # fmt: skip
    first = 0.25 * one[0] + 0.5 * above
    second = 0.25 * one[1] + 0.5 * below
    assert found["posterior"][0, 0, 0] == pytest.approx(first / (first + second), abs=0.01)


@pytest.mark.parametrize("counts", [1000.0, 3000.0, 10_000.0])
def test_beats_pearson_and_is_calibrated_on_simulated_truth(counts):
    density, i0, truth = simulated(size=192, counts=counts)
    inside = truth["phase"].to_numpy() >= 0
    mixed = truth["mixed"].to_numpy()[inside]
    right = truth["phase"].to_numpy()[inside]
    references = sampled_references()
    found = likelihood(density, references, i0=i0, mask=inside)

    def unit(a):
        a = a - a.mean(axis=0)
        return a / np.linalg.norm(a, axis=0)

    rho = unit(references.to_numpy().T).T @ unit(density.to_numpy()[:, inside])
    pearson = rho.argmax(axis=0) == right
    posterior = found["posterior"].to_numpy()[:, inside]
    ours = posterior.argmax(axis=0) == right
    confidence = posterior.max(axis=0).astype(float)
    assert ours.mean() > pearson.mean()
    assert ours[mixed].mean() > pearson[mixed].mean() + 0.015
    assert calibration_error(confidence, ours) < 0.03
    assert calibration_error(confidence[mixed], ours[mixed]) < 0.1

    share = found["abundance"].to_numpy()[:, inside]
    np.testing.assert_allclose(share.sum(axis=0), 1.0, atol=1e-5)
    true_share = truth["abundance"].to_numpy()[:, inside]
    some = np.flatnonzero(mixed)[::4]
    columns = np.vstack([references, np.ones(ENERGIES.size), -np.ones(ENERGIES.size)]).T
    five = np.stack([nnls(columns, d)[0][:5] for d in density.to_numpy()[:, inside].T[some]], 1)
    five /= five.sum(axis=0)

    def error(a):
        return float(np.sqrt(((a - true_share[:, some]) ** 2).mean()))

    assert error(share[:, some]) < error(five) - 0.02


def test_misfit_widens_the_posterior():
    density, i0, truth = simulated(counts=10_000.0, energy_shift=0.15, stray_light=0.08)
    inside = truth["phase"].to_numpy() >= 0
    found = likelihood(density, sampled_references(), i0=i0, mask=inside)
    assert float(found["chi2"].median()) > 1.5
    posterior = found["posterior"].to_numpy()[:, inside]
    right = posterior.argmax(axis=0) == truth["phase"].to_numpy()[inside]
    assert calibration_error(posterior.max(axis=0).astype(float), right) < 0.06


def test_unknown_scale_of_i0_is_found_from_the_residuals():
    density, i0, truth = simulated(counts=2000.0)
    inside = truth["phase"].to_numpy() >= 0
    references = sampled_references()
    counted = likelihood(density, references, i0=i0, mask=inside)
    scaled = likelihood(density, references, i0=i0 / 50, mask=inside, noise="residuals")
    assert scaled.attrs["noise_scale"] == pytest.approx(1 / 50, rel=0.1)
    assert float(scaled["chi2"].median()) == pytest.approx(1.0, abs=0.02)
    apart = np.abs(scaled["posterior"] - counted["posterior"]).to_numpy()[:, inside]
    assert np.quantile(apart, 0.99) < 0.05


def test_baseline_and_variance_say_the_same_as_counts():
    density, i0, _ = simulated(size=48)
    references = sampled_references()
    expected = likelihood(density, references, i0=i0)
    baseline = density.mean("energy")
    for again in (
        likelihood(density - baseline, references, i0=i0, baseline=baseline),
        likelihood(density, references, variance=np.exp(density) / i0),
    ):
        xr.testing.assert_allclose(again, expected)


def test_pure_thick_pixels_are_certain_and_dask_agrees():
    pytest.importorskip("dask")
    references = sampled_references()
    density = xr.DataArray(
        references.to_numpy().T[:, :, None] + 0.1,
        dims=("energy", "y", "x"),
        coords={"energy": ENERGIES},
    )
    found = likelihood(density, references, i0=np.full(ENERGIES.size, 1e6))
    np.testing.assert_allclose(found["posterior"][:, :, 0], np.eye(5), atol=1e-3)
    np.testing.assert_allclose(found["abundance"][:, :, 0], np.eye(5), atol=0.02)
    assert list(found["reference"].values) == [r.name for r in nvpf_references()]
    chunked = likelihood(density.chunk({"y": 2}), references, i0=np.full(ENERGIES.size, 1e6))
    xr.testing.assert_allclose(chunked, found)


def test_missing_readings_are_left_out_and_hopeless_pixels_are_nan():
    density, i0, _ = simulated(size=32)
    references = sampled_references()
    holes = density.copy()
    holes[5, 16, 16] = np.inf
    holes[3:, 2, 2] = np.nan
    found = likelihood(holes, references, i0=i0)
    kept = np.delete(np.arange(ENERGIES.size), 5)
    without = likelihood(density[kept], references[:, kept], i0=i0[kept])
    np.testing.assert_allclose(
        found["posterior"][:, 16, 16], without["posterior"][:, 16, 16], rtol=1e-4, atol=1e-6
    )
    assert found["posterior"][:, 2, 2].isnull().all()
    assert np.isnan(found["chi2"][2, 2])
    assert int(found["chi2"].isnull().sum()) == 1


def test_one_phase_and_blocks_without_sample():
    density, i0, _ = simulated(size=32)
    mask = np.zeros((32, 32), dtype=bool)
    mask[20, 20] = True
    found = likelihood(density, sampled_references()[:1], i0=i0, mask=mask)
    assert found["posterior"][0, 20, 20] == 1.0
    assert found["abundance"][0, 20, 20] == 1.0
    assert int(found["posterior"].notnull().sum()) == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"i0": None}, "noise is unknown"),
        ({"i0": np.zeros(24)}, "not positive"),
        ({"i0": np.ones(3)}, "one value per energy"),
        ({"mask": np.zeros((16, 16), dtype=bool)}, "mask is empty"),
        ({"mask": np.ones((3, 3), dtype=bool)}, "mask has shape"),
        ({"mixed": 1.0}, "mixed pixels"),
        ({"noise": "none"}, "unknown"),
        ({"baseline": np.zeros(3)}, "baseline has shape"),
    ],
)
def test_bad_options_get_one_clear_sentence(change, says):
    density, i0, _ = simulated(size=16)
    options = {"i0": i0, **change}
    with pytest.raises(InputError, match=says):
        likelihood(density, sampled_references(), **options)


def test_bad_references_and_stacks_get_one_clear_sentence():
    density, i0, _ = simulated(size=16)
    references = sampled_references()
    constant, twice, hole = (references.copy() for _ in range(3))
    constant[2] = 1.0
    twice[3] = 2 * references[1] + 1
    hole[0, 0] = np.nan
    for wrong, says in (
        (constant, "reference 3 is constant"),
        (twice, "references 2 and 4 are the same"),
        (hole, "not finite"),
        (references[:, :-1], "not on the stack's energies"),
        (references.assign_coords(energy=ENERGIES + 0.1), "not on the stack's energies"),
        (references[0], "dimensions"),
    ):
        with pytest.raises(InputError, match=says):
            likelihood(density, wrong, i0=i0)
    with pytest.raises(InputError, match="3 energies"):
        likelihood(density[:3], references[:, :3], i0=i0[:3])
    with pytest.raises(InputError, match="dimensions"):
        likelihood(density[0], references, i0=i0)
    with pytest.raises(InputError, match="variance is not positive"):
        likelihood(density, references, variance=density * 0)
    with pytest.raises(InputError, match="give one of them"):
        likelihood(density, references, variance=density**2, i0=i0)
    with pytest.raises(InputError, match="variance has sizes"):
        likelihood(density, references, variance=abs(density[:, :3]) + 1)


@pytest.mark.parametrize("phases", [(0, 2, 4), (0, 1, 2, 3, 4)])
@pytest.mark.parametrize("counts", [1000.0, 3000.0, 10_000.0])
def test_abundance_errors_are_those_of_the_scatter_about_the_truth(
    phases: tuple[int, ...], counts: float
) -> None:
    rng = np.random.default_rng(4)
    references = sampled_references()[list(phases)]
    pixels = 4000
    share = np.zeros((pixels, len(phases)))
    first, second = (rng.permuted(np.tile(np.arange(len(phases)), (pixels, 1)), axis=1).T)[:2]
    part = np.where(rng.random(pixels) < 0.2, rng.random(pixels), 1.0)
    share[np.arange(pixels), first] = part
    share[np.arange(pixels), second] += 1 - part
    clean = (rng.uniform(0.5, 1.2, (pixels, 1)) * share) @ references.to_numpy()
    density = -np.log(np.maximum(rng.poisson(counts * np.exp(-clean)), 1) / counts)
    found = likelihood(
        stack_of(density.T[:, None, :]), references, i0=np.full(ENERGIES.size, counts)
    )
    error = found["abundance"].to_numpy()[:, 0].T - share
    said = found["abundance_error"].to_numpy()[:, 0].T
    assert 0.9 < np.sqrt(np.mean(error**2) / np.mean(said**2)) < 1.1
    uncertain = said > 0.01
    assert 0.8 < np.sqrt(np.mean((error / np.maximum(said, 1e-9))[uncertain] ** 2)) < 1.2


def test_the_abundance_error_of_one_reference_is_zero_and_nan_outside() -> None:
    references = sampled_references()
    density = np.tile(references.to_numpy()[0][:, None, None], (1, 1, 2))
    found = likelihood(
        stack_of(density),
        references[:1],
        i0=np.full(ENERGIES.size, 3000.0),
        mask=np.array([[True, False]]),
    )
    assert found["abundance_error"].to_numpy()[0, 0, 0] == 0.0
    assert np.isnan(found["abundance_error"].to_numpy()[0, 0, 1])
