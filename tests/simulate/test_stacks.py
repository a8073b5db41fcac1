"""Simulated measurements: the physics and statistics they claim."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from phaseloom.simulate import measure, nvpf_references, particle, sparse_energies

REFERENCES = nvpf_references()[:2]


def slab(shape: tuple[int, int] = (40, 40), margin: int = 8) -> xr.Dataset:
    """A rectangle of phase 0 left, phase 1 right, thickness 0.8, inside an empty field."""
    size = (shape[0] + 2 * margin, shape[1] + 2 * margin)
    label = np.full(size, -1, dtype=np.int8)
    label[margin + 10 : margin + 30, margin + 10 : margin + 20] = 0
    label[margin + 10 : margin + 30, margin + 20 : margin + 30] = 1
    return xr.Dataset(
        {"label": (("y", "x"), label), "thickness": (("y", "x"), np.where(label >= 0, 0.8, 0.0))},
        coords={
            "y": ("y", (np.arange(size[0]) - margin) * 0.02),
            "x": ("x", (np.arange(size[1]) - margin) * 0.02),
            "reference": [str(r.name) for r in REFERENCES],
        },
        attrs={"margin": margin, "pixel_size": 0.02},
    )


def density(stack: xr.Dataset, truth: xr.Dataset) -> np.ndarray:
    return -np.log(stack["counts"].to_numpy() / truth["i0"].to_numpy()[:, None, None])


def test_optical_density_is_thickness_times_reference() -> None:
    stack, truth = measure(slab(), REFERENCES, sparse_energies(), counts=5e4, blur=0.0)
    found = density(stack, truth)
    for reference, columns in zip(REFERENCES, (slice(12, 18), slice(22, 28)), strict=True):
        expected = 0.8 * reference.interp(energy=sparse_energies()).to_numpy()
        mean = found[:, 12:28, columns].mean(axis=(1, 2))
        np.testing.assert_allclose(mean, expected, atol=0.004)
    assert np.abs(found[:, :8].mean(axis=(1, 2))).max() < 0.002


def test_an_energy_axis_that_reads_high_shows_features_at_higher_energies() -> None:
    dense = np.arange(513.0, 520.0, 0.1)
    stack, truth = measure(slab(), REFERENCES, dense, counts=5e4, blur=0.0, energy_shift=0.5)
    found = density(stack, truth)[:, 12:28, 12:18].mean(axis=(1, 2))
    true = 0.8 * REFERENCES[0].interp(energy=dense - 0.5).to_numpy()
    np.testing.assert_allclose(found, true, atol=0.01)
    assert truth.attrs["energy_shift"] == 0.5


def test_counts_are_poisson_with_the_mean_asked_for() -> None:
    stack, truth = measure(slab(), REFERENCES, sparse_energies(), counts=900, incident_drift=0.0)
    empty = stack["counts"].to_numpy()[:, :8].astype(float).reshape(24, -1)
    np.testing.assert_allclose(empty.mean(axis=1), truth["i0"], rtol=0.01)
    ratio = empty.var(axis=1, ddof=1) / empty.mean(axis=1)
    assert ratio.mean() == pytest.approx(1.0, abs=0.05)


def test_drift_moves_the_content_by_the_stated_shift() -> None:
    stack, truth = measure(slab(), REFERENCES, sparse_energies(), counts=4e4, drift=1.0, seed=3)
    here = density(stack, truth)
    thick = np.clip(here - here[:, :5].mean(axis=(1, 2))[:, None, None], 0, None)
    thick[thick < 0.3 * thick.max(axis=(1, 2))[:, None, None]] = 0
    edges = thick > 0
    rows, columns = np.mgrid[:40, :40]
    centre = [(edges * axis).sum(axis=(1, 2)) / edges.sum(axis=(1, 2)) for axis in (rows, columns)]
    sharp = here[:, 12:28, 12:28].mean(axis=(1, 2)) > 0.5
    for found, name in zip(centre, ("shift_y", "shift_x"), strict=True):
        moved = (found - 19.5)[sharp]
        np.testing.assert_allclose(moved, truth[name].to_numpy()[sharp], atol=0.7)
        assert np.corrcoef(moved, truth[name].to_numpy()[sharp])[0, 1] > 0.9
    assert float(truth["shift_y"][0]) == 0.0


def test_stray_light_dark_counts_and_spikes_add_what_they_say() -> None:
    arguments = (slab(), REFERENCES, sparse_energies())
    plain, _ = measure(*arguments, counts=2e4, incident_drift=0.0)
    stray, _ = measure(*arguments, counts=2e4, incident_drift=0.0, stray_light=0.1)
    peak = int(np.argmax(REFERENCES[0].interp(energy=sparse_energies()).to_numpy()))
    inside = (peak, slice(12, 28), slice(12, 18))
    incident = 2e4 * (1 - 0.003 * (sparse_energies() - sparse_energies().mean()))[peak]
    for_plain = plain["counts"].to_numpy()[inside].mean()
    expected = incident * 0.1 + 0.9 * for_plain
    assert stray["counts"].to_numpy()[inside].mean() == pytest.approx(expected, rel=0.01)
    dark, _ = measure(*arguments, counts=2e4, incident_drift=0.0, dark=500.0)
    assert dark["counts"].to_numpy()[inside].mean() - for_plain == pytest.approx(500, abs=60)
    spiked, _ = measure(*arguments, counts=5e3, spikes=0.01)
    assert (spiked["counts"].to_numpy() > 8e3).mean() == pytest.approx(0.01, abs=0.002)


def test_binning_averages_and_keeps_the_places() -> None:
    fine, _ = measure(slab(), REFERENCES, sparse_energies(), counts=3e4, blur=0.0, seed=1)
    coarse, truth = measure(
        slab(), REFERENCES, sparse_energies(), counts=3e4, binning=4, blur=0.0, seed=2
    )
    assert coarse["counts"].shape == (24, 10, 10)
    blocks = fine["counts"].to_numpy().reshape(24, 10, 4, 10, 4).mean(axis=(2, 4))
    np.testing.assert_allclose(coarse["counts"], blocks, rtol=0.06)
    assert float(coarse["x"][0]) == pytest.approx(0.03), "the middle of four pixels"
    np.testing.assert_allclose(truth["abundance"].sum("reference").to_numpy()[4:7, 4:7], 1.0)


def test_truth_marks_what_is_mixed() -> None:
    sample = particle([str(r.name) for r in REFERENCES], (1, 1), shape=(64, 64), seed=1)
    _, truth = measure(sample, REFERENCES, sparse_energies(), blur=1.0)
    phase, mixed = truth["phase"].to_numpy(), truth["mixed"].to_numpy()
    largest = np.nan_to_num(truth["abundance"].to_numpy()).max(axis=0)
    assert (largest[mixed] < 0.9).all()
    assert (largest[(phase >= 0) & ~mixed] >= 0.9).all()
    assert mixed.any()
    assert np.isnan(truth["abundance"].to_numpy()[:, phase == -1]).all()


def test_same_seed_same_counts() -> None:
    counts = [
        measure(slab(), REFERENCES, sparse_energies(), drift=0.5, seed=s)[0]["counts"]
        for s in (1, 1, 2)
    ]
    np.testing.assert_array_equal(counts[0], counts[1])
    assert (counts[0] != counts[2]).any()
    assert counts[0].dtype == np.uint16
