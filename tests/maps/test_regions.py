"""Particles and what they hold, on maps drawn by hand and by chance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from phaseloom.errors import InputError
from phaseloom.maps.regions import label_particles, particle_table


def test_particles_are_numbered_by_size_and_small_ones_dropped():
    mask = np.zeros((10, 12), dtype=bool)
    mask[1:3, 1:3] = True
    mask[5:9, 5:9] = True
    mask[9, 9] = True  # touches the second by a corner
    mask[0, 11] = True
    found = label_particles(mask, minimum_pixels=2)
    assert found.dtype == np.int32
    assert found[6, 6] == found[9, 9] == 0
    assert found[1, 1] == 1
    assert found[0, 11] == found[4, 4] == -1


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)))
@settings(max_examples=50, deadline=None)
def test_numbers_cover_the_mask_without_gaps(mask):
    found = label_particles(mask)
    np.testing.assert_array_equal(found >= 0, mask)
    sizes = np.bincount(found[mask]) if mask.any() else np.array([])
    assert (sizes > 0).all()
    assert (np.diff(sizes) <= 0).all()


def test_the_table_states_what_was_drawn():
    phase = np.full((8, 10), -1)
    phase[1:5, 1:5] = 0
    phase[1:5, 3:5] = 1
    phase[6, 7:9] = (1, -2)
    value = np.where(phase == 0, 3.0, 1.0)
    value[6, 8] = np.nan
    posterior = np.stack([phase == 0, phase == 1]) * 0.8 + 0.1
    table = particle_table(
        label_particles(phase != -1),
        phase,
        names=["full", "empty"],
        y=np.arange(8) * 0.5,
        x=np.arange(10) * 0.25 + 1,
        pixel_area=0.125,
        value=value,
        posterior=posterior,
    )
    assert list(table.index) == [0, 1]
    first, second = table.loc[0], table.loc[1]
    assert (first["pixels"], first["area"]) == (16, 2.0)
    assert (first["y"], first["x"]) == (1.25, 1.625)
    assert first["equivalent_diameter"] == pytest.approx(2 * np.sqrt(2 / np.pi))
    assert (first["fraction full"], first["fraction empty"]) == (0.5, 0.5)
    assert first["posterior full"] == pytest.approx(0.5)
    assert (first["value_mean"], first["value_sd"]) == (2.0, 1.0)
    assert first["boundary_fraction"] == pytest.approx(4 / 24)
    assert second["fraction unknown"] == 0.5
    assert (second["value_mean"], second["value_sd"]) == (1.0, 0.0)
    assert np.isnan(second["boundary_fraction"])


@given(
    hnp.arrays(
        np.int8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=10), elements=st.integers(-2, 2)
    )
)
@settings(max_examples=50, deadline=None)
def test_fractions_and_areas_add_up(phase):
    particle = label_particles(phase != -1)
    table = particle_table(
        particle,
        phase,
        names=["a", "b", "c"],
        y=np.arange(phase.shape[0]),
        x=np.arange(phase.shape[1]),
        pixel_area=2.0,
    )
    assert table["pixels"].sum() == (phase != -1).sum()
    shares = table.filter(like="fraction ").sum(axis=1)
    np.testing.assert_allclose(shares, 1.0)
    for number, row in table.iterrows():
        inside = particle == number
        assert row["y"] == pytest.approx(np.nonzero(inside)[0].mean())
        assert row["fraction b"] == pytest.approx((phase[inside] == 1).mean())


def test_bad_maps_get_one_clear_sentence():
    with pytest.raises(InputError, match="dimensions"):
        label_particles(np.ones(4, dtype=bool))
    square = np.zeros((2, 2), dtype=int)
    with pytest.raises(InputError, match="not of one map"):
        particle_table(square, square, names=["a"], y=[0], x=[0, 1], pixel_area=1.0)
    with pytest.raises(InputError, match="phase 1 has no name"):
        particle_table(square, square + 1, names=["a"], y=[0, 1], x=[0, 1], pixel_area=1.0)
