"""I0 where it is not counted, and the dark level in it."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from phaseloom.errors import InputError, InputWarning
from phaseloom.simulate import measure, nvpf_references, particle, sparse_energies
from phaseloom.stxm.preparation.preparation import incident_counts, prepare, variance

LABELS = [str(r.name) for r in nvpf_references()]


def simulated(**options: float) -> tuple[xr.Dataset, xr.Dataset]:
    sample = particle(LABELS, (0.2,) * 5, shape=(56, 60), margin=12, n_grains=10, seed=1)
    settings = {"counts": 5000.0, "blur": 0.5, "seed": 2} | options
    return measure(sample, nvpf_references(), sparse_energies(), **settings)


@pytest.mark.parametrize("quantity", ["transmission", "optical_density"])
def test_counts_that_are_not_known_are_not_made_up(quantity: str) -> None:
    stack, truth = simulated()
    counted = prepare(stack, i0=truth["i0"], align=False, despike=False)
    ratio = stack["counts"] / truth["i0"]
    values = ratio if quantity == "transmission" else -np.log(ratio)
    made = prepare(xr.Dataset({quantity: values}, attrs={"kind": "stack"}), align=False)
    assert made["i0"].isnull().all()
    assert incident_counts(made) is None
    np.testing.assert_allclose(incident_counts(counted), truth["i0"])
    assert float((made["mask"] != counted["mask"]).mean()) < 0.01
    inside = (made["mask"] & counted["mask"]).to_numpy()
    factor = variance(made, inside) / variance(counted, inside)
    np.testing.assert_allclose(factor, truth["i0"].to_numpy()[:, None] * np.ones_like(factor[0]),
                               rtol=0.01)  # fmt: skip


def test_noise_free_optical_density_has_the_mask_of_the_particle() -> None:
    stack, truth = simulated()
    spectra = np.stack([r.interp(energy=stack["energy"]) for r in nvpf_references()])
    shares = np.nan_to_num(truth["abundance"].to_numpy()) * truth["thickness"].to_numpy()
    density = stack["counts"].copy(data=np.tensordot(spectra.T, shares, axes=1))
    made = prepare(density.rename("optical_density").to_dataset().assign_attrs(kind="stack"),
                   align=False)  # fmt: skip
    thickness = truth["thickness"].to_numpy()
    inside = made["mask"].to_numpy()
    assert inside[thickness > 0.2].all()
    assert not inside[thickness < 0.05].any()


def test_an_i0_that_cannot_be_used_is_said() -> None:
    stack, truth = simulated()
    ratio = xr.Dataset({"transmission": stack["counts"] / truth["i0"]}, attrs={"kind": "stack"})
    with pytest.warns(InputWarning, match="I0 and dark not used: the numbers are transmission"):
        prepare(ratio, i0=truth["i0"], dark=3.0, align=False)


@pytest.mark.parametrize("given", ["file", "recorded"])
def test_the_dark_level_is_taken_off_i0_too(given: str) -> None:
    stack, truth = simulated(dark=300.0)
    with_dark = truth["i0"] + 300.0
    if given == "file":
        made = prepare(stack, i0=with_dark, dark=300.0, align=False, baseline=False)
    else:
        recorded = stack.assign(i0=with_dark)
        made = prepare(recorded, dark=300.0, align=False, baseline=False)
    np.testing.assert_allclose(made["i0"], truth["i0"])
    empty = truth["thickness"].to_numpy() < 1e-3
    density = made["optical_density"].to_numpy()[:, empty].mean(axis=1)
    np.testing.assert_allclose(density, 0.0, atol=3e-3)


def test_an_i0_below_the_dark_level_is_refused() -> None:
    stack, truth = simulated(dark=300.0)
    with pytest.raises(InputError, match=r"I0 falls to .*, not above the dark level of 300"):
        prepare(stack, i0=0.01 * truth["i0"], dark=300.0, align=False)
