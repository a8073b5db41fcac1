"""The table of all stacks' spectra is what the stacks hold, block by block."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from phaseloom.errors import InputError
from phaseloom.simulate import measure, nvpf_references, particle, sparse_energies
from phaseloom.stxm import prepare
from phaseloom.stxm.assignment import pixels
from phaseloom.stxm.assignment.points import Points, blocks, centred_and_scaled
from phaseloom.stxm.preparation.preparation import variance
from phaseloom.stxm.references.references import sample_references

REFERENCES = nvpf_references()
NAMES = [str(r.name) for r in REFERENCES]


def judged(shift: float, truth: xr.Dataset, prepared: xr.Dataset) -> xr.Dataset:
    energy = prepared["energy"].to_numpy()
    return xr.Dataset(
        {
            "abundance": truth["abundance"].variable.fillna(0.2),
            "reference_spectrum": sample_references(REFERENCES, energy, shift=shift),
        },
        attrs={"energy_shift": shift, "noise_scale": 2.0},
    )


@pytest.fixture(scope="module")
def stacks() -> tuple[dict[str, xr.Dataset], dict[str, xr.Dataset]]:
    """Two stacks of one particle, the second 0.2 eV off, with little noise."""
    sample = particle(NAMES, [1] * 5, shape=(64, 48), n_grains=12, seed=2)
    prepared, found = {}, {}
    for name, shift in (("near", 0.0), ("far", 0.2)):
        stack, truth = measure(
            sample, REFERENCES, sparse_energies(), energy_shift=shift, counts=3e4, seed=2
        )
        prepared[name] = prepare(stack, align=False)
        found[name] = judged(shift, truth, prepared[name])
    return prepared, found


def test_spectra_are_the_stacks_own_and_move_to_a_common_shift(
    stacks: tuple[dict[str, xr.Dataset], dict[str, xr.Dataset]],
) -> None:
    prepared, found = stacks
    table = pixels.common_spectra(prepared, found, REFERENCES, 0.0)
    place = pixels.places(prepared)
    inside = {name: data["mask"].to_numpy() for name, data in prepared.items()}
    own = {n: d["optical_density"].to_numpy()[:, inside[n]].T for n, d in prepared.items()}
    np.testing.assert_array_equal(table[place["near"]], own["near"])
    # In the pixels that both masks hold, the two stacks are then one to within counting noise.
    both = inside["near"] & inside["far"]

    def reduced_chi2(far: np.ndarray) -> float:
        squared = (far[both[inside["far"]]] - table[place["near"]][both[inside["near"]]]) ** 2
        expected = variance(prepared["near"], both) + variance(prepared["far"], both)
        return float(np.mean(squared / expected.T))

    assert reduced_chi2(table[place["far"]]) < 1.5
    assert reduced_chi2(own["far"]) > 10


def test_variance_of_rows_is_that_of_the_stacks(
    stacks: tuple[dict[str, xr.Dataset], dict[str, xr.Dataset]],
) -> None:
    prepared, found = stacks
    table = pixels.common_spectra({"near": prepared["near"]}, found, REFERENCES, 0.0)
    of_rows = pixels.counting_variance({"near": prepared["near"]}, found, table)
    expected = 2.0 * variance(prepared["near"], prepared["near"]["mask"].to_numpy()).T
    np.testing.assert_allclose(of_rows(slice(10, 90)), expected[10:90], rtol=1e-5)
    rows = np.array([5, 3, 200])
    np.testing.assert_allclose(of_rows(rows), expected[rows], rtol=1e-5)


def test_residual_is_the_scatter_about_the_fit(
    stacks: tuple[dict[str, xr.Dataset], dict[str, xr.Dataset]],
) -> None:
    prepared, found = stacks
    exact = pixels.residual(prepared["near"], found["near"])
    noise = np.random.default_rng(0).normal(0, 0.1, prepared["near"]["optical_density"].shape)
    noisy = prepared["near"].assign(
        optical_density=prepared["near"]["optical_density"] + noise.astype(np.float32)
    )
    added = np.sqrt(pixels.residual(noisy, found["near"]) ** 2 - exact**2)
    # Mean and thickness of each spectrum are fitted.
    assert added == pytest.approx(0.1 * np.sqrt(22 / 24), rel=0.03)


def test_points_are_the_same_in_blocks_and_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    spectra = rng.normal(1.0, 0.3, (1000, 9)).astype(np.float32)
    noise = rng.uniform(0.1, 0.2, spectra.shape).astype(np.float32)
    x, scale = centred_and_scaled(spectra)
    monkeypatch.setattr("phaseloom.stxm.assignment.points.BLOCK", 300)
    points = Points.of(spectra, noise.__getitem__)
    assert [rows.stop for rows in blocks(1000)] == [300, 600, 900, 1000]
    found = [points[rows] for rows in blocks(1000)]
    np.testing.assert_allclose(np.concatenate([f[0] for f in found]), x, rtol=1e-6)
    np.testing.assert_allclose(
        np.concatenate([f[1] for f in found]), noise / scale[:, None] ** 2, rtol=1e-6
    )
    spectra[700] = 1.0
    with pytest.raises(InputError, match="1 of 1000 spectra are flat"):
        Points.of(spectra, noise.__getitem__)
