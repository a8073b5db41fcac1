"""References: sampled where the stack was measured, refused when they cannot tell phases apart."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from phaseloom.errors import InputError
from phaseloom.simulate import dense_energies, nvpf_references, sparse_energies
from phaseloom.stxm.references.references import attach_values, sample_references


def spectrum(name: str, values: np.ndarray, energy: np.ndarray) -> xr.DataArray:
    return xr.DataArray(values, dims="energy", coords={"energy": energy}, name=name)


def peak(name: str, centre: float, step: float = 0.2) -> xr.DataArray:
    energy = np.arange(500.0, 540.0 + step / 2, step)
    return spectrum(name, np.exp(-(((energy - centre) / 1.5) ** 2)), energy)


def test_sampled_references_carry_names_values_and_energies() -> None:
    sampled = sample_references(nvpf_references(), sparse_energies())
    assert sampled.dims == ("reference", "energy")
    assert sampled.dtype == np.float64
    assert list(sampled["reference"].values) == [
        "Na3.0VPF", "Na2.4VPF", "Na2.0VPF", "Na1.0VPF", "Na0.8VPF",
    ]  # fmt: skip
    np.testing.assert_array_equal(sampled["phase_value"], [3.0, 2.4, 2.0, 1.0, 0.8])
    np.testing.assert_array_equal(sampled["energy"], sparse_energies())
    # The energies lie on the references' grid of 0.1 eV: exact there.
    expected = nvpf_references()[2].sel(energy=517.6, method="nearest").item()
    assert sampled.sel(energy=517.6)[2].item() == pytest.approx(expected, abs=1e-12)


@given(st.floats(-0.6, 0.6), st.sampled_from([0.1, 0.2, 0.3]))
def test_a_feature_appears_higher_in_the_stack_by_the_shift(shift: float, step: float) -> None:
    references = [peak("a", 515.0, step), peak("b", 521.0, step)]
    energy = np.linspace(505.0, 535.0, 31)
    sampled = sample_references(references, energy, shift=shift)
    expected = np.exp(-(((energy - 515.0 - shift) / 1.5) ** 2))
    np.testing.assert_allclose(sampled[0], expected, atol=3e-3)


@given(st.integers(0, 1000))
def test_noise_on_an_uneven_grid_hardly_overshoots(seed: int) -> None:
    energy = dense_energies()
    noise = np.random.default_rng(seed).normal(0.0, 1.0, energy.size)
    step = spectrum("step", (energy > energy[20]).astype(float), energy)
    fine = np.linspace(energy[0], energy[-1], 2000)
    sampled = sample_references([spectrum("noise", noise, energy), step], fine)
    assert np.abs(sampled[0]).max() < 1.2 * np.abs(noise).max()
    assert sampled[1].min() > -0.05
    assert sampled[1].max() < 1.05


def test_end_values_are_held_beyond_the_end_by_the_shift_alone() -> None:
    references = [peak("a", 515.0), peak("b", 521.0)]
    energy = np.linspace(500.0, 540.0, 81)
    sampled = sample_references(references, energy, shift=-0.6)
    assert sampled[1, -1].item() == pytest.approx(references[1].values[-1], rel=1e-9)
    with pytest.raises(
        InputError, match=r"'a' spans 500.00 to 540.00 eV but the stack 500.00 to 5"
    ):
        sample_references(references, np.append(energy, 541.0))


def test_repeated_energies_of_a_reference_are_averaged() -> None:
    one = peak("a", 515.0)
    twice = xr.concat([one - 0.1, one + 0.1], "energy").sortby("energy")
    energy = np.linspace(505.0, 535.0, 31)
    sampled = sample_references([twice.rename("a"), peak("b", 521.0)], energy)
    np.testing.assert_allclose(sampled[0], np.exp(-(((energy - 515) / 1.5) ** 2)), atol=1e-3)


ENERGY = np.linspace(510.0, 525.0, 16)
FLAT = peak("flat", 515.0) * 0 + 1.0
HOLED = peak("holed", 515.0).where(lambda r: r["energy"] != r["energy"][7])


@pytest.mark.parametrize(
    ("references", "energy", "fault"),
    [
        ([], ENERGY, "no reference spectra given"),
        ([peak("a", 515.0)], ENERGY, "1 reference spectrum given"),
        ([peak("a", 515.0), peak("a", 518.0)], ENERGY, "2 references carry the label 'a'"),
        ([peak("a", 515.0), peak("b", 518.0).rename(None)], ENERGY, "has no name"),
        ([peak("a", 515.0), FLAT.rename("flat")], ENERGY, "'flat' is constant"),
        ([peak("a", 515.0), HOLED.rename("holed")], ENERGY, "'holed' holds values that are not"),
        ([peak("a", 515.0), peak("b", 518.0)[::-1]], ENERGY, "'b' do not ascend"),
        ([peak("a", 515.0), peak("b", 518.0)[:2]], ENERGY, "'b' has 2 different energies"),
        ([peak("a", 515.0), peak("b", 518.0).expand_dims("z")], ENERGY, "has dimensions"),
        ([peak("a", 515.0), peak("b", 515.0) * 3 + 1], ENERGY, "'a' and 'b' cannot be told apart"),
        ([peak("a", 515.0), peak("b", 518.0)], [515.0], "1 different energies"),
        ([peak("a", 515.0), peak("b", 518.0)], [515.0, 516.0, 517.0], "3 different energies"),
        (
            [peak("a", 515.0), peak("b", 518.0)],
            [490.0, 516.0, 520.0, 521.0],
            "spans 500.00 to 540.00",
        ),
    ],
)
def test_unusable_references_are_refused_in_one_sentence(
    references: list[xr.DataArray], energy: np.ndarray, fault: str
) -> None:
    if len(references) == 2 and "cannot be told apart" in fault:
        references[1] = references[1].rename("b")
    with pytest.raises(InputError, match=fault) as caught:
        sample_references(references, energy)
    assert "\n" not in str(caught.value)


def test_references_alike_on_the_energies_chosen_are_refused() -> None:
    energy = np.array([516.0, 517.0, 518.0, 519.0])
    same_there = peak("b", 517.0) + 0.5 * peak("far", 530.0).values
    with pytest.raises(InputError, match="cannot be told apart"):
        sample_references([peak("a", 517.0), same_there.rename("b")], energy)


def test_values_are_attached_by_label() -> None:
    references = [peak("a", 515.0), peak("b", 518.0)]
    given_values = attach_values(references, {"b": 2})
    assert given_values[1].attrs["value"] == 2.0
    assert "value" not in references[1].attrs
    values = sample_references(given_values, ENERGY)["phase_value"]
    assert np.isnan(values[0])
    assert values[1] == 2.0
    with pytest.raises(InputError, match=r"'c', which is no reference; the references are a, b"):
        attach_values(references, {"c": 1.0})
    with pytest.raises(InputError, match="value of reference 'a' is nan"):
        attach_values(references, {"a": float("nan")})
