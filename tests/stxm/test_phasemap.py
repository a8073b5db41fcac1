"""The chain on simulated stacks: phases against the truth, and what it keeps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from phaseloom.compute.checkpoints import Checkpoints
from phaseloom.compute.execution import Execution
from phaseloom.errors import InputError, InputWarning
from phaseloom.simulate import measure, nvpf_references, particle, sparse_energies
from phaseloom.stxm import map_phases

REFERENCES = nvpf_references()
LABELS = [str(r.name) for r in REFERENCES]


def simulated(seed: int = 1, **options: float) -> tuple[xr.Dataset, xr.Dataset]:
    sample = particle(LABELS, (0.2,) * 5, shape=(56, 56), margin=6, n_grains=10, seed=seed)
    settings = {"counts": 8000.0, "blur": 0.5, "seed": seed} | options
    return measure(sample, REFERENCES, sparse_energies(), **settings)


def accuracy(result: xr.Dataset, truth: xr.Dataset, name: str = "phase") -> float:
    right = truth["phase"].to_numpy()
    inside = result["mask"].to_numpy() & (right >= 0) & ~truth["mixed"].to_numpy()
    return float((result[name].to_numpy() == right)[inside].mean())


@pytest.mark.parametrize("resolve", ["pearson", "likelihood"])
def test_phases_are_the_true_ones(resolve: str) -> None:
    stack, truth = simulated()
    result = map_phases(stack, REFERENCES, align=False, resolve=resolve)["stxm/stack"].to_dataset()
    assert accuracy(result, truth) > 0.95
    inside = result["mask"].to_numpy()
    true = np.nan_to_num(truth["abundance"].to_numpy())
    error = (result["abundance"].to_numpy() - true)[:, inside & (truth["phase"].to_numpy() >= 0)]
    assert np.sqrt(np.mean(error**2)) < 0.15


def test_an_energy_shift_is_found_and_its_removal_gives_the_map_back() -> None:
    stack, truth = simulated(energy_shift=0.3)
    fitted = map_phases(stack, REFERENCES, align=False, resolve="pearson")["stxm/stack"]
    with pytest.raises(InputError, match=r"at the shift given, \+0.000 eV \(the fit finds \+0.30"):
        map_phases(stack, REFERENCES, align=False, resolve="pearson", shift=0.0)
    with pytest.warns(InputWarning, match="the map was forced"):
        left_in = map_phases(
            stack, REFERENCES, align=False, resolve="pearson", shift=0.0, force=True
        )["stxm/stack"]
    assert fitted.attrs["energy_shift"] == pytest.approx(0.3, abs=0.02)
    assert fitted.attrs["energy_shift_applied"] == 1
    assert left_in.attrs["energy_shift_applied"] == 0
    assert left_in.attrs["energy_shift_fitted"] == pytest.approx(0.3, abs=0.02)
    gain = accuracy(fitted.to_dataset(), truth) - accuracy(left_in.to_dataset(), truth)
    assert gain > 0.1


def test_several_stacks_have_a_shift_of_their_own_each() -> None:
    first, truth = simulated(1, energy_shift=0.15)
    second, other = simulated(2, energy_shift=-0.1)
    tree = map_phases({"one": first, "two": second}, REFERENCES, align=False, resolve="likelihood")
    assert tree["stxm/one"].attrs["energy_shift"] == pytest.approx(0.15, abs=0.02)
    assert tree["stxm/two"].attrs["energy_shift"] == pytest.approx(-0.1, abs=0.02)
    assert accuracy(tree["stxm/one"].to_dataset(), truth) > 0.95
    assert accuracy(tree["stxm/two"].to_dataset(), other) > 0.95
    assert set(tree["references"].children) == set(LABELS)


def test_ambiguous_pixels_are_those_within_the_margin() -> None:
    stack, _ = simulated()
    result = map_phases(stack, REFERENCES, align=False, resolve="pearson", margin=0.01)
    data = result["stxm/stack"].to_dataset()
    best = np.sort(data["correlation"].to_numpy(), axis=0)
    inside = data["mask"].to_numpy()
    close = (best[-1] - best[-2])[inside] <= 0.01
    np.testing.assert_array_equal(data["ambiguous"].to_numpy()[inside], close)
    np.testing.assert_array_equal(data["phase"], data["phase_pearson"])


def test_values_are_the_assigned_phases_and_their_mean() -> None:
    stack, _ = simulated()
    plain = [REFERENCES[0], *(r.drop_attrs() for r in REFERENCES[1:])]
    data = map_phases(stack, REFERENCES, align=False, resolve="likelihood")["stxm/stack"]
    known = data["phase"].to_numpy() >= 0
    values = data["phase_value"].to_numpy()
    np.testing.assert_allclose(
        data["value"].to_numpy()[known], values[data["phase"].to_numpy()[known]], rtol=1e-6
    )
    mean = np.tensordot(values, data["abundance"].to_numpy(), axes=1)
    np.testing.assert_allclose(data["value_mean"].to_numpy()[known], mean[known], rtol=1e-4)
    partly = map_phases(stack, plain, align=False, resolve="pearson")["stxm/stack"]
    unknown = known & (partly["phase"].to_numpy() != 0)
    assert np.isnan(partly["value"].to_numpy()[unknown]).all(), "no number is made up"


def test_the_same_seed_gives_the_same_trees_and_kept_stages_too(tmp_path: Path) -> None:
    stack, _ = simulated()
    trees = [
        map_phases(stack, REFERENCES, align=False, resolve="likelihood",
                   execution=Execution(checkpoints=Checkpoints(tmp_path / "r.zarr")))
        for _ in range(2)
    ]  # fmt: skip
    trees.append(map_phases(stack, REFERENCES, align=False, resolve="likelihood"))
    for other in trees[1:]:
        xr.testing.assert_equal(trees[0], other)
    assert trees[1]["stxm/stack"].attrs == trees[2]["stxm/stack"].attrs


@pytest.mark.parametrize("reopened", [False, True])
def test_candidates_are_picked_by_their_names(tmp_path: Path, reopened: bool) -> None:
    stack, _ = simulated()
    store = tmp_path / "r.zarr"
    tree = map_phases(stack, REFERENCES, align=False, resolve="likelihood",
                      execution=Execution(checkpoints=Checkpoints(store)))  # fmt: skip
    if reopened:
        tree = xr.open_datatree(store, engine="zarr").load()
    data = tree["stxm/stack"].to_dataset()
    name = LABELS[1]
    assert data["abundance"].sel(reference=name).dims == ("y", "x")
    np.testing.assert_array_equal(data["posterior"].sel(reference=name), data["posterior"][1])
    np.testing.assert_array_equal(
        data["reference_spectrum"].sel(reference=name), data["reference_spectrum"][1]
    )
    assert data["phase_value"].sel(reference=name) == REFERENCES[1].attrs["value"]
    coordinates = {"energy", "y", "x", "reference", "phase_value", "boundary_class"}
    assert set(data.coords) == coordinates
    assert data["phase"].dims == ("y", "x")


def test_stacks_are_read_one_at_a_time_and_refused_before_work_is_done() -> None:
    stack, _ = simulated()
    asked: list[str] = []

    class Files(dict[str, xr.Dataset]):
        def __getitem__(self, name: str) -> xr.Dataset:
            asked.append(name)
            return super().__getitem__(name)

    short = stack.isel(energy=slice(1, None))
    with pytest.raises(InputError, match=r"energies of b .* are not those of a"):
        map_phases(Files(a=stack, b=short, c=stack), REFERENCES, align=False, resolve="pearson")
    assert asked == ["a", "b"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "__a", "a\\b"])
def test_names_that_lead_out_of_the_results_are_refused(tmp_path: Path, name: str) -> None:
    stack, _ = simulated()
    (tmp_path / "mine").mkdir()
    keep = Checkpoints(tmp_path / "mine" / "r.zarr")
    with pytest.raises(InputError, match="cannot be called"):
        map_phases({name: stack}, REFERENCES, execution=Execution(checkpoints=keep))
    if "/" not in name:
        renamed = [REFERENCES[0].rename(name), *REFERENCES[1:]]
        with pytest.raises(InputError, match="cannot be called"):
            map_phases(stack, renamed, execution=Execution(checkpoints=keep))
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]
    assert not list((tmp_path / "mine").iterdir())


def test_no_stack_is_said() -> None:
    with pytest.raises(InputError, match="no stack"):
        map_phases({}, REFERENCES)
