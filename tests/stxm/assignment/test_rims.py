"""Rims of an intermediate phase go, layers of it stay."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from phaseloom.simulate import measure, nvpf_references, particle, sparse_energies
from phaseloom.stxm import map_phases

REFERENCES = nvpf_references()
LABELS = [str(r.name) for r in REFERENCES]
BETWEEN = 1
COLUMN = 31


def layered(
    width: float, tilt: float, *, counts: float = 3000.0, seed: int = 0
) -> tuple[xr.Dataset, xr.Dataset]:
    """Stack and truth: Na3.0 and Na2.0 that meet, with a layer of Na2.4 of a width in px."""
    sample = particle(LABELS, (1,) * 5, shape=(64, 64), margin=8, n_grains=3, seed=seed)
    n = sample.sizes["y"]
    y, x = np.mgrid[:n, :n] - n / 2
    across = x * np.cos(tilt) + y * np.sin(tilt) + 0.25
    label = np.where(across < -width / 2, 0, np.where(across < width / 2, BETWEEN, 2))
    inside = sample["label"].to_numpy() >= 0
    sample["label"] = (("y", "x"), np.where(inside, label, -1).astype(np.int8))
    return measure(sample, REFERENCES, sparse_energies(), counts=counts, blur=0.7, seed=seed)


def mapped(stack: xr.Dataset, resolve: str = "likelihood") -> xr.Dataset:
    tree = map_phases(stack, REFERENCES, align=False, despike=False, resolve=resolve)
    return tree["stxm/stack"].to_dataset()


@pytest.mark.parametrize("tilt", [0.0, 0.3, np.pi / 4])
def test_a_boundary_of_two_phases_has_no_rim_of_a_third(tilt: float) -> None:
    stack, truth = layered(0.0, tilt, counts=10_000.0)
    data = mapped(stack)
    pearson = mapped(stack, "pearson")
    assert "rim" not in pearson, "Pearson's map is what the correlation says"
    rim = data["rim"].to_numpy()
    assert rim.sum() > 10
    assert data["transition"].to_numpy()[rim].all()
    phase, right = data["phase"].to_numpy(), truth["phase"].to_numpy()
    assert set(np.unique(phase[rim])) <= {0, 2}
    assert (phase == right)[rim].mean() > 0.9
    boundary = truth["mixed"].to_numpy() & data["mask"].to_numpy()
    assert (phase[boundary] == BETWEEN).mean() < 0.05
    posterior = data["posterior"].to_numpy()[:, rim]
    np.testing.assert_allclose(posterior.sum(axis=0), 1.0, atol=1e-5)
    assert (posterior[BETWEEN] == 0).all()


@pytest.mark.parametrize("tilt", [0.0, 0.3, np.pi / 4])
@pytest.mark.parametrize("counts", [1500.0, 10_000.0])
def test_a_layer_two_pixels_wide_stays(tilt: float, counts: float) -> None:
    stack, truth = layered(2.0, tilt, counts=counts)
    data = mapped(stack)
    layer = (truth["phase"].to_numpy() == BETWEEN) & data["mask"].to_numpy()
    assert layer.sum() > 60
    assert (data["rim"].to_numpy() & layer).sum() <= 2
    assert (data["phase"].to_numpy() == BETWEEN)[layer].mean() > 0.85


def test_a_thin_layer_that_no_mixture_explains_stays() -> None:
    """A line one pixel wide of a phase whose spectrum is none of its neighbours' mixtures."""
    stack, truth = layered(0.0, 0.0, counts=10_000.0)
    foreign = with_line(stack, truth)
    data = mapped(foreign)
    line = np.zeros(data["mask"].shape, dtype=bool)
    line[:, COLUMN] = data["mask"].to_numpy()[:, COLUMN]
    assert line.sum() > 20
    # Na1.0 and Na0.8 are hardly told apart in one pixel; neither is a mixture of the neighbours.
    assert np.isin(data["phase"].to_numpy(), (3, 4))[line].mean() > 0.9
    assert not (data["rim"].to_numpy() & line).any()


def with_line(stack: xr.Dataset, truth: xr.Dataset) -> xr.Dataset:
    """The stack with the counts of a column made anew, as of Na0.8 between the two phases."""
    absorption = np.interp(stack["energy"], REFERENCES[4]["energy"], REFERENCES[4])
    expected = truth["i0"].to_numpy() * np.exp(-absorption)
    made = np.random.default_rng(0).poisson(expected[:, None], (expected.size, stack.sizes["y"]))
    inside = truth["phase"].to_numpy()[:, COLUMN] >= 0
    changed = stack.copy(deep=True)
    column = changed["counts"].to_numpy()[:, :, COLUMN]
    column[:, inside] = made[:, inside]
    return changed
