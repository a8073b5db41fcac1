from __future__ import annotations

import numpy as np
import pytest

from phaseloom.simulate import particle


def test_shares_of_the_phases_are_those_asked_for() -> None:
    sample = particle(["a", "b", "c"], (0.5, 0.3, 0.2), shape=(96, 96), n_grains=80, seed=3)
    label = sample["label"].to_numpy()
    inside = label >= 0
    shares = [(label[inside] == p).mean() for p in range(3)]
    np.testing.assert_allclose(shares, (0.5, 0.3, 0.2), atol=0.06)
    assert 0.2 < inside.mean() < 0.7


def test_canvas_is_larger_than_the_field_whose_first_pixel_is_the_origin() -> None:
    sample = particle(["a"], (1.0,), shape=(20, 30), margin=7, pixel_size=0.05)
    assert sample["label"].shape == (34, 44)
    assert float(sample["y"][7]) == pytest.approx(0.0)
    assert float(sample["x"][8] - sample["x"][7]) == pytest.approx(0.05)
    assert sample["x"].attrs["units"] == "µm"


def test_thickness_is_where_the_particle_is() -> None:
    sample = particle(["a", "b"], (1, 1), shape=(64, 64), seed=4)
    thickness, inside = sample["thickness"].to_numpy(), sample["label"].to_numpy() >= 0
    assert (thickness[~inside] == 0).all()
    assert thickness[inside].min() >= 0.25
    assert thickness[inside].max() <= 1.2
    middle = thickness[38:50, 38:50].mean()
    assert middle > thickness[inside].mean(), "thick in the middle"


def test_layers_between_distant_phases_are_of_the_one_between() -> None:
    """Of grains of phases 0 and 2 alone, phase 1 is found, and only where they meet."""
    sample = particle(["a", "b", "c"], (0.5, 0.0, 0.5), shape=(128, 128), n_grains=40, seed=5)
    label = sample["label"].to_numpy()
    between = label == 1
    assert 0 < between.mean() < 0.1
    near = np.zeros(label.shape, dtype=bool)
    for dy in range(-3, 4):
        for dx in range(-3, 4):
            moved = np.roll(label, (dy, dx), (0, 1))
            near |= between & (moved != 1) & (moved >= 0)
    assert near[between].all()


def test_same_seed_same_particle() -> None:
    one, same, other = (particle(["a", "b"], (1, 1), shape=(32, 32), seed=s) for s in (1, 1, 2))
    assert one.identical(same)
    assert not one.equals(other)
