from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import phaseloom
from phaseloom.errors import InputWarning
from phaseloom.io.spectra import read_references
from phaseloom.simulate import measure, nvpf_references, particle, sparse_energies
from phaseloom.stxm import map_phases

REFERENCES = nvpf_references()
LABELS = [str(r.name) for r in REFERENCES]


def simulated(seed: int = 1, **options: float) -> tuple[xr.Dataset, xr.Dataset]:
    sample = particle(LABELS, [1] * 5, shape=(72, 64), n_grains=24, seed=seed)
    return measure(sample, REFERENCES, sparse_energies(), seed=seed, **options)


def accuracy(result: xr.DataTree, name: str, truth: xr.Dataset) -> float:
    data = result[f"stxm/{name}"]
    inside = data["mask"].to_numpy() & (truth["phase"].to_numpy() >= 0)
    return float((data["phase"].to_numpy() == truth["phase"].to_numpy())[inside].mean())


def test_stacks_recorded_at_slightly_different_energies_share_a_latent_space() -> None:
    one, truth_one = simulated(1)
    sample = particle(LABELS, [1] * 5, shape=(72, 64), n_grains=24, seed=2)
    other, truth_other = measure(sample, REFERENCES, sparse_energies() + 0.15, seed=2)
    stacks = {"one": one, "other": other}
    together = map_phases(stacks, REFERENCES, align=False)
    for name, truth in (("one", truth_one), ("other", truth_other)):
        assert accuracy(together, name, truth) > 0.93


def test_the_mean_value_follows_the_shares_of_mixed_pixels() -> None:
    stack, truth = simulated(3)
    data = map_phases(stack, REFERENCES, align=False, resolve="likelihood")["stxm/stack"]
    right = np.tensordot(data["phase_value"].to_numpy(), truth["abundance"].to_numpy(), axes=1)
    mixed = data["mask"].to_numpy() & truth["mixed"].to_numpy()
    assert np.sqrt(np.mean((data["value_mean"].to_numpy() - right)[mixed] ** 2)) < 0.2
    hard = np.sqrt(np.mean((data["value"].to_numpy() - right)[mixed] ** 2))
    assert np.sqrt(np.mean((data["value_mean"].to_numpy() - right)[mixed] ** 2)) < 0.7 * hard


def test_a_phase_without_a_number_leaves_the_others_theirs() -> None:
    stack, _ = simulated(4)
    partly = [REFERENCES[0].drop_attrs(), *REFERENCES[1:]]
    data = map_phases(stack, partly, align=False, resolve="likelihood")["stxm/stack"]
    share = data["abundance"].to_numpy()[0]
    inside = data["phase"].to_numpy() >= 0
    found = np.isfinite(data["value_mean"].to_numpy())
    assert found[inside & (share < 0.009)].all()
    assert not found[inside & (share > 0.011)].any()


def test_a_whisper_of_smoothing_changes_next_to_nothing() -> None:
    stack, _ = simulated(5, counts=1000)
    maps = [
        map_phases(stack, REFERENCES, align=False, resolve="pearson", smooth=s)["stxm/stack"]
        for s in (0.0, 1e-9)
    ]
    assert (maps[0]["phase"] == maps[1]["phase"]).all()


def test_a_missing_reference_is_noticed_and_its_pixels_become_unknown() -> None:
    stack, truth = simulated(6, counts=10_000)
    with pytest.warns(InputWarning, match="references describe the stack in part only"):
        data = map_phases(stack, REFERENCES[1:], align=False, resolve="likelihood")["stxm/stack"]
    inside = data["mask"].to_numpy()
    unknown = data["phase"].to_numpy() == -2
    pure = truth["abundance"].to_numpy().max(axis=0) > 0.99
    missing = inside & pure & (truth["phase"].to_numpy() == 0)
    assert unknown[missing].mean() > 0.3
    assert unknown[inside & pure & ~missing].mean() < 0.02


# Seven of its 123 images have lines that were recorded under another beam.
@pytest.mark.filterwarnings("ignore:.*unusable readings are left out")
def test_measured_iron_has_coherent_domains_of_both_valences(measured: Path) -> None:
    folder = measured / "stxm_fe_l23_als" / "71214078_FigS4" / "Aligned"
    stack = phaseloom.read(folder / "71214078.hdr")
    references = [
        read_references(folder / f"{name}.r", label=label)[0]
        for name, label in (("oxidized", "Fe(III)"), ("reduced", "Fe(II)"))
    ]
    incident = read_references(folder / "i0.xsp")[0]
    # I0, read before the stack, errs from frame to frame: the regions' own spectra miss 3 %.
    with pytest.warns(InputWarning, match="describe the stack in part only"):
        data = map_phases(stack, references, i0=incident)["stxm/stack"].to_dataset()
    assert data.attrs["residual"] <= 0.03
    assert abs(data.attrs["energy_shift"]) <= 0.05
    phase, inside = data["phase"].to_numpy(), data["mask"].to_numpy()
    shares = [(phase[inside] == p).mean() for p in (0, 1)]
    assert min(shares) > 0.2, "both valences are there"
    # Coherent: neighbours agree far more often than shares put at random would.
    same = [
        (a == b)[(a >= 0) & (b >= 0)].mean()
        for a, b in ((phase[1:], phase[:-1]), (phase[:, 1:], phase[:, :-1]))
    ]
    assert min(same) > 0.8 > shares[0] ** 2 + shares[1] ** 2
