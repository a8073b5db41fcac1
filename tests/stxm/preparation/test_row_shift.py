"""Rows displaced by a scan to and fro."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import ndimage

from phaseloom.errors import InputWarning
from phaseloom.simulate import measure, nvpf_references, particle, sparse_energies
from phaseloom.stxm.preparation.preparation import prepare
from phaseloom.stxm.preparation.row_shift import put_rows_back, row_displacement

LABELS = [str(r.name) for r in nvpf_references()]


def simulated(seed: int = 1, **options: float) -> xr.Dataset:
    sample = particle(LABELS, (0.2,) * 5, shape=(64, 72), margin=12, n_grains=10, seed=seed)
    return measure(
        sample, nvpf_references(), sparse_energies(), **({"counts": 3000.0, "seed": 2} | options)
    )[0]


@pytest.mark.parametrize("seed", range(6))
def test_no_rows_are_moved_that_fit(seed: int) -> None:
    values = simulated(seed, drift=0.5)["counts"].to_numpy().astype(np.float32)
    assert row_displacement(values) == 0.0
    assert row_displacement(np.random.default_rng(seed).poisson(900, (9, 40, 40))) == 0.0


@pytest.mark.parametrize("by", [-5.0, -1.5, 1.0, 2.0, 3.4])
def test_displacements_are_found(by: float) -> None:
    values = simulated()["counts"].to_numpy().astype(np.float32)
    values[:, 1::2] = ndimage.shift(values[:, 1::2], (0, 0, by), order=1, mode="nearest")
    assert row_displacement(values) == pytest.approx(by, abs=0.25)


def test_rows_are_put_back() -> None:
    values = simulated()["counts"].to_numpy().astype(np.float32)
    comb = values.copy()
    comb[:, 1::2] = np.roll(comb[:, 1::2], 3, axis=2)
    put_rows_back(comb, 3.0)
    np.testing.assert_array_equal(comb[:, :, :-3], values[:, :, :-3])
    assert np.isnan(comb[:, 1::2, -3:]).all()


def test_a_comb_is_said_and_mended_and_left_without_alignment() -> None:
    stack = simulated()
    values = stack["counts"].to_numpy().copy()
    values[:, 1::2] = np.roll(values[:, 1::2], 2, axis=2)
    comb = stack.assign(counts=stack["counts"].copy(data=values))
    with pytest.warns(InputWarning, match=r"every other row is displaced by \+2.0 px"):
        made = prepare(comb)
    plain = prepare(stack)
    same = (slice(None, 55), slice(None, 60))
    assert (made["mask"].to_numpy()[same] == plain["mask"].to_numpy()[same]).mean() > 0.99
    assert "row_displacement" not in prepare(comb, align=False).attrs
