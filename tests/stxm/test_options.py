"""What map_phases is asked for: refused at once when it means nothing; as few as four energies."""

from __future__ import annotations

import pytest
import xarray as xr

from phaseloom.errors import InputError, InputWarning
from phaseloom.simulate import measure, nvpf_references, particle, sparse_energies
from phaseloom.stxm import map_phases

REFERENCES = nvpf_references()
LABELS = [str(r.name) for r in REFERENCES]


class Untouched(dict[str, xr.Dataset]):
    """Stacks that nobody may read."""

    def __getitem__(self, name: str) -> xr.Dataset:
        raise AssertionError(f"{name} was read")


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"resolve": "bogus"}, "resolve must be 'gmvae', 'likelihood' or 'pearson', not 'bogus'"),
        ({"covariance": "bogus"}, "covariance must be 'noise' or 'pooled', not 'bogus'"),
        ({"margin": -1.0}, "margin must be 'noise' or greater than or equal to 0, not -1.0"),
        ({"margin": float("nan")}, "margin must be 'noise' or a finite number, not nan"),
        ({"margin": "nois"}, "margin must be 'noise' or a number, not 'nois'"),
        ({"shift": "outo"}, "shift must be 'auto' or a number, not 'outo'"),
        ({"shift": float("inf")}, "shift must be 'auto' or a finite number, not inf"),
        ({"smooth": -0.1}, "smooth must be greater than or equal to 0, not -0.1"),
        ({"latent_dims": 1}, "latent_dims must be greater than or equal to 2, not 1"),
        ({"thick": 0.0}, "thick must be greater than 0, not 0.0"),
        ({"i0": {"b": "auto"}}, "no I0 is given for a; give one for every stack"),
    ],
)
def test_an_option_without_meaning_is_refused_before_anything_is_read(
    options: dict[str, object], fault: str
) -> None:
    with pytest.raises(InputError) as caught:
        map_phases(Untouched(a=xr.Dataset(), b=xr.Dataset()), REFERENCES, **options)
    assert str(caught.value).startswith(fault)


@pytest.mark.parametrize("resolve", ["pearson", "likelihood", "gmvae"])
def test_four_energies_are_enough(resolve: str) -> None:
    stack, truth = four_energies()
    with pytest.warns(InputWarning, match="cannot be fitted on 4 energies"):
        tree = map_phases(stack, REFERENCES[::2], align=False, resolve=resolve)
    result = tree["stxm/stack"].to_dataset()
    right = truth["phase"].to_numpy()
    inside = result["mask"].to_numpy() & (right >= 0) & ~truth["mixed"].to_numpy()
    assert (result["phase"].to_numpy() == right)[inside].mean() > 0.9
    if resolve == "gmvae":
        assert result.sizes["latent"] == 3


def test_three_energies_are_refused_in_one_sentence() -> None:
    stack, _ = four_energies()
    with pytest.raises(InputError, match=r"has 3 different energies; .* at 4 or more"):
        map_phases(stack.isel(energy=slice(0, 3)), REFERENCES[::2], resolve="pearson")


def test_more_latent_dimensions_than_the_energies_give_are_refused() -> None:
    stack, _ = four_energies()
    with (
        pytest.warns(InputWarning, match="cannot be fitted"),
        pytest.raises(InputError, match="--latent-dims 3 or less"),
    ):
        map_phases(stack, REFERENCES[::2], align=False, latent_dims=4)


def four_energies() -> tuple[xr.Dataset, xr.Dataset]:
    sample = particle(LABELS[::2], (1, 1, 1), shape=(56, 56), margin=6, n_grains=8, seed=3)
    energies = sparse_energies()[[4, 7, 9, 10]]
    return measure(sample, REFERENCES[::2], energies, counts=2e4, blur=0.5, seed=3)
