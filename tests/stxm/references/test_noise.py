"""The noise of a stack is found whatever its references are."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from phaseloom.simulate import measure, nvpf_references, particle, sparse_energies
from phaseloom.stxm.preparation.preparation import incident_counts, prepare
from phaseloom.stxm.references.noise import noise_scale

REFERENCES = nvpf_references()
LABELS = [str(r.name) for r in REFERENCES]


def prepared(gain: float = 1.0, **options: float) -> xr.Dataset:
    sample = particle(LABELS, (0.2,) * 5, shape=(64, 64), margin=8, n_grains=12, seed=1)
    settings = {"counts": 3000.0, "seed": 1} | options
    stack, _ = measure(sample, REFERENCES, sparse_energies(), **settings)
    stack["counts"] = stack["counts"] * gain
    return prepare(stack, align=settings.get("drift", 0) > 0)


def scale(data: xr.Dataset, **changed: object) -> float:
    return noise_scale(
        data["optical_density"],
        changed.get("n_phases", 5),
        mask=data["mask"].to_numpy(),
        baseline=data["baseline"].to_numpy(),
        i0=changed.get("i0", incident_counts(data)),
    )


@pytest.mark.parametrize("counts", [300.0, 3000.0, 30_000.0])
def test_counts_have_the_noise_of_counting(counts: float) -> None:
    assert scale(prepared(counts=counts)) == pytest.approx(1.0, abs=0.1)


@pytest.mark.filterwarnings("ignore:.*no structure to align")
def test_a_gain_is_found_and_resampled_frames_scatter_less() -> None:
    assert scale(prepared(gain=5.0)) == pytest.approx(5.0, rel=0.1)
    assert 0.6 < scale(prepared(drift=0.7)) < 0.95


def test_without_counts_it_is_that_of_one_count_in_the_empty_beam() -> None:
    data = prepared()
    level = float(np.mean(data["i0"].to_numpy()))
    assert 1 / scale(data, i0=None) == pytest.approx(level, rel=0.15)


def test_where_nothing_says_it_is_nan() -> None:
    data = prepared()
    assert np.isnan(scale(data, n_phases=22))
    small = data.copy()
    small["mask"] = data["mask"] & (np.arange(data.sizes["y"])[:, None] < 0)
    assert np.isnan(scale(small))
