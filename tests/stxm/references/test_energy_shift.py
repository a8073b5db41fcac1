"""The energy shift is found, with an honest error, whatever else is wrong with the stack."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import ndimage

from phaseloom.errors import InputError, InputWarning
from phaseloom.simulate import dense_energies, measure, nvpf_references, particle, sparse_energies
from phaseloom.stxm.references.energy_shift import fit_energy_shift

TARGET = 0.02
REFERENCES = nvpf_references()


def simulate(
    shift: float,
    *,
    size: int = 64,
    share: tuple[float, ...] = (1, 1, 1, 1, 1),
    energies: np.ndarray | None = None,
    seed: int = 3,
    **options: float,
) -> tuple[xr.DataArray, np.ndarray, np.ndarray]:
    """Optical density, mask and I0 (from the empty area) of a stack with a known shift."""
    names = [str(r.name) for r in REFERENCES]
    sample = particle(names, share, shape=(size, size), n_grains=15, seed=seed)
    energies = sparse_energies() if energies is None else energies
    stack, truth = measure(sample, REFERENCES, energies, energy_shift=shift, seed=seed, **options)
    inside = truth["phase"].to_numpy() >= 0
    counts = stack["counts"].astype(float)
    empty = ~ndimage.binary_dilation(inside, iterations=6)
    i0 = counts.to_numpy()[:, empty].mean(axis=1)
    density = -np.log(np.maximum(counts, 0.5) / xr.DataArray(i0, dims="energy"))
    return density, ndimage.binary_erosion(inside, iterations=2), i0


@pytest.mark.parametrize("shift", [-0.5, -0.05, 0.3])
def test_shift_is_found_within_target_and_error(shift: float) -> None:
    density, mask, i0 = simulate(shift)
    fit = fit_energy_shift(density, REFERENCES, mask=mask, i0=i0)
    assert fit.shift == pytest.approx(shift, abs=0.005)
    assert abs(fit.shift - shift) < 4 * fit.error < TARGET
    assert fit.significant
    assert fit.chi2 < 1.5 < fit.chi2_at_zero
    assert fit.doubted == ()


@pytest.mark.parametrize(
    ("options", "stray"),
    [
        ({"stray_light": 0.08}, 0.094),
        ({"counts": 300.0}, 0.0),
        ({"substrate": 0.6}, 0.0),
        ({"drift": 0.7}, None),
        ({"share": (0, 1, 0, 0, 0)}, 0.0),
        ({"share": (0, 0, 0, 1, 1)}, 0.0),
        ({"energies": dense_energies()}, 0.0),
        ({"energies": sparse_energies()[::3]}, None),
    ],
    ids=["stray", "low counts", "substrate", "drift", "one phase", "two", "dense", "8 energies"],
)
def test_hard_conditions_stay_within_target(options: dict[str, float], stray: float | None) -> None:
    density, mask, i0 = simulate(0.148, **options)
    fit = fit_energy_shift(density, REFERENCES, mask=mask, i0=i0)
    assert fit.shift == pytest.approx(0.148, abs=TARGET)
    assert abs(fit.shift - 0.148) < 4 * fit.error
    # Drift left in mixes the spectra at every edge: the shift is right, but nothing says so.
    assert fit.significant == ("drift" not in options)
    if stray is not None:
        assert fit.stray_light == pytest.approx(stray, abs=0.02)


def test_wrong_incident_intensity_does_not_pass_for_a_shift() -> None:
    density, mask, i0 = simulate(-0.2)
    off = i0 * 1.05 * (1 + np.random.default_rng(0).normal(0, 0.005, i0.size))
    wrong = density + xr.DataArray(np.log(off / i0), dims="energy")
    fit = fit_energy_shift(wrong, REFERENCES, mask=mask, i0=off)
    assert fit.shift == pytest.approx(-0.2, abs=TARGET)
    assert abs(fit.shift + 0.2) < 3 * fit.error


def test_a_bad_frame_is_named_and_hardly_counts() -> None:
    density, mask, i0 = simulate(0.2)
    density[7] += 0.3
    fit = fit_energy_shift(density, REFERENCES, mask=mask, i0=i0)
    assert fit.shift == pytest.approx(0.2, abs=0.005)
    assert fit.doubted == (sparse_energies()[7],)


def test_phases_that_no_reference_matches_raise_the_error_not_the_bias() -> None:
    density, mask, i0 = simulate(0.2)
    rng = np.random.default_rng(1)
    smooth = ndimage.gaussian_filter1d(rng.standard_normal((5, REFERENCES[0].size)), 10.0, axis=1)
    wrong = [r * (1 + 0.03 * n / n.std()) for r, n in zip(REFERENCES, smooth, strict=True)]
    exact = fit_energy_shift(density, REFERENCES, mask=mask, i0=i0)
    fit = fit_energy_shift(density, wrong, mask=mask, i0=i0)
    assert fit.shift == pytest.approx(0.2, abs=TARGET)
    assert abs(fit.shift - 0.2) < 3 * fit.error
    assert fit.error > 2 * exact.error
    assert fit.chi2 > 2 * exact.chi2
    lacking = fit_energy_shift(density, REFERENCES[::2], mask=mask, i0=i0)
    assert lacking.shift == pytest.approx(0.2, abs=TARGET)


def test_errors_are_calibrated() -> None:
    """I0 errors of single frames dominate: what counting statistics would never show."""
    pulls = []
    rng = np.random.default_rng(5)
    for seed in range(2):
        density, mask, _ = simulate(0.1, size=32, seed=seed)
        for _ in range(4):
            noise = xr.DataArray(rng.normal(0, 0.01, density.sizes["energy"]), dims="energy")
            fit = fit_energy_shift(density + noise, REFERENCES, mask=mask)
            pulls.append((fit.shift - 0.1) / fit.error)
    assert 0.4 < np.sqrt(np.mean(np.square(pulls))) < 1.7


def test_no_shift_is_not_significant_and_scale_does_not_matter() -> None:
    density, mask, i0 = simulate(0.0)
    fit = fit_energy_shift(density, REFERENCES, mask=mask, i0=i0)
    assert abs(fit.shift) < 0.006
    assert not fit.significant
    rescaled = [r * f + 0.3 for r, f in zip(REFERENCES, (1e-3, 10.0, 1.0, 5.0, 200.0), strict=True)]
    same = fit_energy_shift(density + 0.8, rescaled, mask=mask, i0=i0)
    assert same.shift == pytest.approx(fit.shift, abs=0.002)


@pytest.mark.parametrize("shift", [-4.7, -2.2, 1.3, 4.6])
def test_a_shift_of_volts_is_found(shift: float) -> None:
    density, mask, i0 = simulate(shift)
    fit = fit_energy_shift(density, REFERENCES, mask=mask, i0=i0)
    assert fit.shift == pytest.approx(shift, abs=0.01)
    assert fit.significant
    assert fit.applied == fit.shift
    told = [p for p in fit.phases if np.isfinite(p.shift)]
    assert len(told) >= 3
    for phase in told:
        assert abs(phase.shift - shift) < 4 * phase.error + 0.002


def test_a_shift_given_is_used_and_judged() -> None:
    density, mask, i0 = simulate(0.3)
    fit = fit_energy_shift(density, REFERENCES, mask=mask, i0=i0, given=0.0)
    assert fit.applied == 0.0
    assert fit.significant, "it is reported all the same"
    assert fit.chi2_applied == fit.chi2_at_zero
    assert fit.misfit > 0.04
    best = fit_energy_shift(density, REFERENCES, mask=mask, i0=i0)
    assert best.misfit < 0.005


def test_stray_light_stays_within_what_there_can_be() -> None:
    density, mask, i0 = simulate(0.2)
    # Counts of a detector whose dark level was taken off twice: less than no stray light.
    dark = -np.log(np.maximum(np.exp(-density) - 0.05, 1e-3) / 0.95)
    fit = fit_energy_shift(dark, REFERENCES, mask=mask, i0=i0)
    assert (fit.stray_light, fit.stray_bound) == (0.0, "lower")
    assert fit.shift == pytest.approx(0.2, abs=TARGET)
    bright = -np.log((np.exp(-density) + 0.4) / 1.4)
    fit = fit_energy_shift(bright, REFERENCES, mask=mask, i0=i0)
    assert 0.0 <= fit.stray_light <= 0.2


def test_curve_has_its_minimum_at_the_shift() -> None:
    density, mask, i0 = simulate(0.3)
    fit = fit_energy_shift(density, REFERENCES, mask=mask, i0=i0, limit=0.6)
    assert fit.curve["shift"].values[0] == pytest.approx(-0.6)
    assert fit.curve.idxmin("shift").item() == pytest.approx(0.3)
    assert fit.curve.sel(shift=0.0, method="nearest").item() == fit.chi2_at_zero
    assert fit.chi2 < 1.01 * fit.curve.min().item()


def test_a_shift_beyond_the_search_is_not_applied() -> None:
    density, mask, i0 = simulate(0.5)
    fit = fit_energy_shift(density, REFERENCES, mask=mask, i0=i0, limit=0.4)
    assert not fit.significant
    assert "limit of ±0.4 eV, which is no answer" in fit.reason
    assert fit.applied == 0.0
    assert fit.misfit > 0.05


def test_noise_has_no_shift() -> None:
    rng = np.random.default_rng(0)
    noise = xr.DataArray(
        rng.normal(1.0, 0.1, (24, 64, 64)),
        dims=("energy", "y", "x"),
        coords={"energy": sparse_energies()},
    )
    fit = fit_energy_shift(noise, REFERENCES, mask=np.ones((64, 64), bool), i0=np.full(24, 3e3))
    assert not fit.significant
    assert fit.error > TARGET


def test_missing_pixels_are_left_out_and_dask_gives_the_same() -> None:
    density, mask, i0 = simulate(0.2)
    density[:, ::7, ::5] = np.nan
    fit = fit_energy_shift(density, REFERENCES, mask=mask, i0=i0)
    assert fit.shift == pytest.approx(0.2, abs=0.006)
    lazy = fit_energy_shift(density.chunk(energy=4), REFERENCES, mask=mask, i0=i0)
    assert lazy.shift == fit.shift


def test_bad_input_is_refused_in_one_sentence() -> None:
    density, mask, i0 = simulate(0.2)
    with pytest.raises(InputError, match="mask holds 0 pixels"):
        fit_energy_shift(density, REFERENCES, mask=np.zeros_like(mask), i0=i0)
    with pytest.raises(InputError, match=r"mask is \(3, 3\) pixels"):
        fit_energy_shift(density, REFERENCES, mask=np.ones((3, 3)), i0=i0)
    with pytest.raises(InputError, match="not one positive number per energy"):
        fit_energy_shift(density, REFERENCES, mask=mask, i0=i0 * 0)
    with pytest.raises(InputError, match="1 reference spectrum"):
        fit_energy_shift(density, REFERENCES[:1], mask=mask, i0=i0)
    blank = density.copy()
    blank[4] = np.nan
    with pytest.raises(InputError, match=r"no optical density at 515.60 eV; leave"):
        fit_energy_shift(blank, REFERENCES, mask=mask, i0=i0)
    with pytest.warns(InputWarning, match="cannot be fitted on 4 energies"):
        fit = fit_energy_shift(density[3:19:4], REFERENCES, mask=mask, i0=i0[3:19:4])
    assert np.isnan(fit.shift)
    assert not fit.significant
