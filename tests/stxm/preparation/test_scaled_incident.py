"""I0 measured apart from the stack: scaled by what is recorded, or by the field, or refused."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr

from phaseloom.errors import InputError, InputWarning
from phaseloom.simulate import measure, nvpf_references, particle, sparse_energies
from phaseloom.stxm import map_phases
from phaseloom.stxm.preparation.incident import check_empty, check_is_intensity, recorded_factors
from phaseloom.stxm.preparation.preparation import mean_spectrum, prepare

LABELS = [str(r.name) for r in nvpf_references()]


def simulated(margin: int = 12, **options: float) -> tuple[xr.Dataset, xr.Dataset]:
    sample = particle(LABELS, (0.2,) * 5, shape=(56, 60), margin=margin, n_grains=10, seed=1)
    settings = {"counts": 20000.0, "blur": 0.5, "seed": 2} | options
    return measure(sample, nvpf_references(), sparse_energies(), **settings)


def spectrum(truth: xr.Dataset, factor: float = 1.0, **attrs: object) -> xr.Dataset:
    return xr.Dataset(
        {"intensity": ("energy", factor * truth["i0"].to_numpy())},
        coords={"energy": truth["energy"].to_numpy()},
        attrs={"source": "i0.csv", **attrs},
    )


def test_dwell_and_rate_and_ring_current_are_used() -> None:
    stack, truth = simulated()
    n = stack.sizes["energy"]
    stack = stack.assign(
        dwell=("energy", np.full(n, 0.004)), ring_current=("energy", np.linspace(200, 190, n))
    )
    other = spectrum(truth, 2.5).assign(dwell=("energy", np.full(n, 0.01)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = prepare(stack, i0=other, align=False)
        np.testing.assert_allclose(made["i0"], truth["i0"])
        assert made.attrs["dwell_factor"] == pytest.approx(0.4)
        made = prepare(stack, i0=spectrum(truth, 250.0, rate=1), align=False)
        np.testing.assert_allclose(made["i0"], truth["i0"])
        current = spectrum(truth, 2.0).assign(
            dwell=("energy", np.full(n, 0.004)), ring_current=("energy", np.full(n, 400.0))
        )
        made = prepare(stack, i0=current, align=False)
    np.testing.assert_allclose(made["i0"], truth["i0"] * np.linspace(200, 190, n) / 200)


def test_readings_of_the_ring_that_are_none_are_not_used() -> None:
    stack, truth = simulated()
    n = stack.sizes["energy"]
    broken = stack.assign(ring_current=("energy", np.zeros(n)))
    other = spectrum(truth).assign(ring_current=("energy", np.full(n, 400.0)))
    assert (recorded_factors(other, broken).ring == 1).all()


@pytest.mark.parametrize("factor", [1000.0, 4.3, 0.01])
def test_an_unknown_dwell_is_found_in_the_empty_area_and_said(factor: float) -> None:
    stack, truth = simulated()
    with pytest.warns(InputWarning, match=r"I0 of i0.csv is .* times the brightest part"):
        made = prepare(stack, i0=spectrum(truth, factor), align=False)
    np.testing.assert_allclose(made["i0"], truth["i0"], rtol=0.005)


def test_an_i0_of_the_same_dwell_is_taken_as_it_is() -> None:
    stack, truth = simulated()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = prepare(stack, i0=spectrum(truth), align=False)
    np.testing.assert_allclose(made["i0"], truth["i0"])


def test_what_cannot_be_an_intensity_is_refused() -> None:
    stack, truth = simulated()
    made = prepare(stack, i0=truth["i0"], align=False)
    density = mean_spectrum(made)["absorption"].to_numpy()[0] + 0.05
    for values, fault in (
        (density, "are no counts, and do not follow the beam"),
        (1000 * density, "rises by a factor .* where the sample absorbs"),
        (20000 * np.exp(-density), "falls by a factor .* where the sample absorbs"),
        (truth["i0"].to_numpy() - 25000, "above zero everywhere"),
    ):
        with pytest.raises(InputError, match=rf"^i0.csv: .*{fault}"):
            prepare(stack, i0=spectrum(truth).assign(intensity=("energy", values)), align=False)


def test_an_i0_with_a_dip_of_the_beamline_is_none_of_that() -> None:
    energy = np.linspace(500, 560, 40)
    beam = 1e4 * (1 - 0.5 * np.exp(-(((energy - 532) / 4) ** 2)))
    absorption = np.interp(energy, sparse_energies(), np.linspace(0, 1, sparse_energies().size))
    check_is_intensity(beam, 0.5 * beam, absorption, "i0.csv")


def test_a_field_without_empty_area_is_not_taken_for_one() -> None:
    stack, truth = simulated(margin=12)
    inside = np.argwhere(truth["thickness"].to_numpy() > 0.3)
    (y0, x0), (y1, x1) = inside.min(axis=0) + 9, inside.max(axis=0) - 8
    crop = stack[{"y": slice(y0, y1), "x": slice(x0, x1)}]
    assert (truth["thickness"].to_numpy()[y0:y1, x0:x1] > 0.2).mean() > 0.95
    with pytest.raises(InputError, match=r"the field has no empty area: .*--i0 FILE"):
        map_phases(crop, nvpf_references(), resolve="likelihood", align=False)
    given = spectrum(truth)
    made = map_phases(crop, nvpf_references(), i0=given, resolve="likelihood", align=False)
    phase = made["stxm/stack/phase"].to_numpy()
    true = truth["phase"].to_numpy()[y0:y1, x0:x1]
    counted = (phase >= 0) & (true >= 0)
    assert (phase == true)[counted].mean() > 0.8


def test_numbers_that_get_brighter_at_the_edge_are_no_counts() -> None:
    references = [r.interp(energy=sparse_energies()).to_numpy() for r in nvpf_references()]
    with pytest.raises(InputError, match="brighter at the absorption edge"):
        check_empty(np.exp(references[0]), -0.3 * references[1], references)
    check_empty(np.full(references[0].size, 1e4), references[1], references)


def test_optical_densities_times_a_thousand_are_refused_or_divided() -> None:
    stack, truth = simulated()
    density = -np.log(np.maximum(stack["counts"], 1) / truth["i0"])
    whole = (1000 * density).round().astype(int)
    as_counts = stack.assign(counts=stack["counts"].copy(data=whole.to_numpy()))
    with pytest.raises(InputError, match=r"are negative.* --quantity optical_density"):
        prepare(as_counts, align=False)
    renamed = as_counts.rename(counts="optical_density")
    with pytest.warns(InputWarning, match="taken as stored × 1000"):
        made = prepare(renamed, align=False, baseline=False)
    np.testing.assert_allclose(made["optical_density"], density, atol=1e-3)
