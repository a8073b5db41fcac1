"""Stacks that come as transmission or optical density are mapped without made-up counts."""

from __future__ import annotations

import numpy as np
import pytest

from phaseloom.simulate import measure, nvpf_references, particle, sparse_energies
from phaseloom.stxm import map_phases

REFERENCES = nvpf_references()
LABELS = [str(r.name) for r in REFERENCES]


@pytest.mark.parametrize(
    "options",
    [{"resolve": "pearson", "margin": "noise"}, {"resolve": "likelihood"}, {"resolve": "gmvae"}],
)
def test_the_map_is_that_of_the_counts(options: dict[str, str]) -> None:
    sample = particle(LABELS, (0.2,) * 5, shape=(56, 56), margin=6, n_grains=10, seed=1)
    stack, truth = measure(sample, REFERENCES, sparse_energies(), counts=8000.0, seed=1)
    density = (-np.log(stack["counts"] / truth["i0"])).rename("optical_density")
    tree = map_phases(
        {"d": density.to_dataset().assign_attrs(kind="stack")}, REFERENCES, align=False, **options
    )
    result = tree["stxm/d"].to_dataset()
    assert result["i0"].isnull().all()
    right = truth["phase"].to_numpy()
    inside = result["mask"].to_numpy() & (right >= 0) & ~truth["mixed"].to_numpy()
    assert (result["phase"].to_numpy() == right)[inside].mean() > 0.95
    assert 1 / result.attrs["noise_scale"] == pytest.approx(8000.0, rel=0.3)
