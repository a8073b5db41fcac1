"""Grains and their boundaries on maps of known make."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phaseloom.crystals import gold, lithium_iron_phosphate
from phaseloom.errors import InputError
from phaseloom.maps.boundaries import contact_lengths, interface_lengths
from phaseloom.maps.grain_boundaries import (
    TWIN_TOLERANCE,
    boundary_segments,
    boundary_table,
    twin_deviation,
)
from phaseloom.maps.grains import (
    find_grains,
    grain_orientations,
    grain_table,
    kernel_average_misorientation,
)
from phaseloom.maps.misorientation import as_quaternions, misorientation_angles, multiply

SYMMETRIES = [gold().laue_rotations, lithium_iron_phosphate().laue_rotations]


def turn(axis, degrees):
    axis = np.asarray(axis, dtype=float)
    half = np.radians(np.asarray(degrees, dtype=float))[..., None] / 2
    return np.concatenate([np.cos(half), np.sin(half) * axis / np.linalg.norm(axis)], axis=-1)


def random_copies(rotation, phase, seed=0):
    """The same map, every pixel by another of its symmetrical copies."""
    rng = np.random.default_rng(seed)
    copies = rotation.copy()
    for number, symmetry in enumerate(SYMMETRIES):
        operations = as_quaternions(symmetry)
        of = phase == number
        chosen = operations[rng.integers(len(operations), size=of.sum())]
        copies[of] = multiply(chosen, rotation[of]) * rng.choice([-1, 1], (of.sum(), 1))
    return copies


@pytest.fixture
def two_phases():
    """An L of gold (grain 0), a twin of it, an olivine grain; one pixel unindexed."""
    label = np.array(
        [
            [0, 0, 1, 1, 2],
            [0, 0, 1, 1, 2],
            [0, 0, 0, 0, 2],
            [0, 0, 0, -1, 2],
        ]
    )
    phase = np.array([0, 0, 1, -1])[label]
    base = turn([1, 2, 3], 40.0)
    rotations = np.stack([base, multiply(turn([1, -1, 1], 60.0), base), turn([0, 1, 0], 10.0)])
    rotation = np.where((label >= 0)[..., None], rotations[label], np.nan)
    return label, phase, random_copies(rotation, phase), rotations


def test_grains_are_found_whatever_copy_a_pixel_holds(two_phases):
    label, phase, rotation, _ = two_phases
    grain = find_grains(phase, rotation, SYMMETRIES)
    # By size: 11, 4 and 4 pixels; of equal ones the first in reading order.
    np.testing.assert_array_equal(grain, label)
    assert grain.dtype == np.int32


@given(st.integers(0, 1000), st.floats(1.0, 20.0))
@settings(max_examples=20, deadline=None)
def test_grains_are_what_a_walk_over_neighbours_finds(seed, threshold):
    rng = np.random.default_rng(seed)
    phase = rng.integers(-1, 2, (6, 7))
    rotation = turn([1, 0.5, 0.2], rng.choice([0.0, 4.0, 8.0, 30.0], (6, 7)))
    grain = find_grains(phase, rotation, SYMMETRIES, threshold=threshold)
    seen = np.full(phase.shape, -1)
    for start in np.argwhere(phase >= 0):
        if seen[tuple(start)] >= 0:
            continue
        todo, number = [tuple(start)], seen.max() + 1
        while todo:
            y, x = todo.pop()
            seen[y, x] = number
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if not (0 <= v < 6 and 0 <= u < 7) or seen[v, u] >= 0 or phase[v, u] != phase[y, x]:
                    continue
                if misorientation_angles(
                    rotation[y, x], rotation[v, u], SYMMETRIES[phase[y, x]]
                ) <= threshold:  # fmt: skip
                    todo.append((v, u))
    assert ((grain >= 0) == (phase >= 0)).all()
    # The same parts of the map: numbers go one to one.
    pairs = np.unique(np.stack([grain.ravel(), seen.ravel()]), axis=1)
    assert pairs.shape[1] == grain.max() + 2 - (phase >= 0).all()
    sizes = np.bincount(grain[grain >= 0])
    assert (np.diff(sizes) <= 0).all()


def test_a_bent_grain_is_one_and_its_spread_is_known():
    phase = np.zeros((1, 11), dtype=int)
    rotation = turn([0, 0, 1], 2.0 * np.arange(11))[None]
    grain = find_grains(phase, rotation, SYMMETRIES)
    assert (grain == 0).all()
    found = grain_orientations(grain, phase, random_copies(rotation, phase), SYMMETRIES)
    assert misorientation_angles(
        found.mean[0], turn([0, 0, 1], 10.0), SYMMETRIES[0]
    ) == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(found.deviation[0], np.abs(2.0 * np.arange(11) - 10), atol=1e-5)
    table = grain_table(grain, phase, found, y=[0.0], x=np.arange(11.0), pixel_area=1.0)
    assert table["spread"][0] == pytest.approx(np.abs(2.0 * np.arange(11) - 10).mean(), abs=1e-5)
    assert len(np.unique(find_grains(phase, rotation, SYMMETRIES, threshold=1.9))) == 11


def test_the_mean_of_noisy_copies_is_the_orientation():
    rng = np.random.default_rng(0)
    phase = np.ones((40, 40), dtype=int)
    truth = turn([3, 1, 2], 77.0)
    noise = turn([1, 0, 0], rng.normal(scale=1.0, size=(40, 40)))
    rotation = random_copies(multiply(noise, truth), phase)
    grain = find_grains(phase, rotation, SYMMETRIES, threshold=10.0)
    found = grain_orientations(grain, phase, rotation, SYMMETRIES)
    assert misorientation_angles(found.mean[0], truth, SYMMETRIES[1]) < 0.1
    assert found.deviation.mean() == pytest.approx(np.sqrt(2 / np.pi), rel=0.05)


def test_the_table_of_grains(two_phases):
    _, phase, rotation, rotations = two_phases
    grain = find_grains(phase, rotation, SYMMETRIES)
    orientations = grain_orientations(grain, phase, rotation, SYMMETRIES)
    y, x = 10.0 + 2.0 * np.arange(4), 3.0 * np.arange(5)
    table = grain_table(grain, phase, orientations, y=y, x=x, pixel_area=6.0, minimum_pixels=5)
    assert table["phase"].tolist() == [0, 0, 1]
    assert table["pixels"].tolist() == [11, 4, 4]
    assert table["area"].tolist() == [66, 24, 24]
    assert table["equivalent_diameter"][1] == pytest.approx(2 * np.sqrt(24 / np.pi))
    assert table.loc[1, ["y", "x"]].tolist() == [11.0, 7.5]
    box = ["row_start", "row_stop", "column_start", "column_stop"]
    assert table[box].to_numpy().tolist() == [[0, 4, 0, 4], [0, 2, 2, 4], [0, 4, 4, 5]]
    assert table["edge"].all()
    assert table["small"].tolist() == [False, True, True]
    for number, row in enumerate(table[[f"rotation_{c}" for c in "abcd"]].to_numpy()):
        symmetry = SYMMETRIES[table["phase"][number]]
        assert misorientation_angles(row, rotations[number], symmetry) == pytest.approx(0, abs=1e-5)


def test_a_grain_within_the_map_does_not_touch_its_edge():
    phase = np.zeros((5, 5), dtype=int)
    rotation = np.tile(turn([1, 0, 0], 0.0), (5, 5, 1))
    rotation[2, 2] = turn([1, 0, 0], 20.0)
    grain = find_grains(phase, rotation, SYMMETRIES)
    found = grain_orientations(grain, phase, rotation, SYMMETRIES)
    table = grain_table(grain, phase, found, y=np.arange(5), x=np.arange(5), pixel_area=1.0)
    assert table["edge"].tolist() == [True, False]


def test_kernel_average_misorientation():
    phase = np.array([[0, 0, 0, 0, -1, 0]])
    rotation = turn([0, 0, 1], np.array([0.0, 1.0, 3.0, 13.0, 0.0, 0.0]))[None]
    found = kernel_average_misorientation(phase, random_copies(rotation, phase), SYMMETRIES)
    np.testing.assert_allclose(found[0], [1.0, 1.5, 2.0, np.nan, np.nan, np.nan], atol=1e-5)


def test_segments_say_where_and_what(two_phases):
    label, phase, rotation, _ = two_phases
    y, x = 2.0 * np.arange(4), 3.0 * np.arange(5)
    found = boundary_segments(label, phase, rotation, SYMMETRIES, y=y, x=x)
    twins = found[found["twin"]]
    assert sorted(zip(twins["y"], twins["x"], twins["along_x"], strict=True)) == [
        (0.0, 4.5, False), (2.0, 4.5, False), (3.0, 6.0, True), (3.0, 9.0, True),
    ]  # fmt: skip
    np.testing.assert_allclose(twins["angle"], 60, atol=1e-6)
    np.testing.assert_allclose(twins[["axis_1", "axis_2", "axis_3"]], 3**-0.5, atol=1e-6)
    np.testing.assert_allclose(twins["twin_deviation"], 0, atol=1e-5)
    assert (twins["first"] == 0).all()
    assert (twins["second"] == 1).all()
    others = found[~found["twin"]]
    assert set(zip(others["first_phase"], others["second_phase"], strict=True)) == {(0, 1)}
    assert others["twin_deviation"].isna().all()
    # Two with the twin, one with the L; none with the unindexed pixel.
    assert len(others) == 3


def test_the_table_of_boundaries(two_phases):
    label, phase, rotation, _ = two_phases
    axes = {"y": np.arange(4), "x": np.arange(5)}
    segments = boundary_segments(label, phase, rotation, SYMMETRIES, **axes)
    orientations = grain_orientations(label, phase, rotation, SYMMETRIES)
    table = boundary_table(label, segments, orientations, SYMMETRIES, pixel_size=2.0)
    assert table[["first", "second"]].to_numpy().tolist() == [[0, 1], [0, 2], [1, 2]]
    assert table["segments"].tolist() == [4, 1, 2]
    assert table["twin"].tolist() == [True, False, False]
    assert table["angle"][0] == pytest.approx(60, abs=1e-5)
    assert table["mean_angle"][0] == pytest.approx(60, abs=1e-5)
    lengths = contact_lengths(label, pixel_size=2.0)
    np.testing.assert_allclose(table["length"], lengths["length"])


def test_lengths_of_many_labels_are_those_of_phases():
    label = np.random.default_rng(0).integers(-2, 4, (20, 30))
    table = contact_lengths(label, pixel_size=(1.0, 2.0))
    matrix = interface_lengths(label, names=list("abcd"), pixel_size=(1.0, 2.0)).to_numpy()
    for row in table.itertuples():
        assert row.first < row.second
        assert matrix[row.first, row.second] == pytest.approx(row.length)
    assert table["length"].sum() == pytest.approx(matrix.sum() / 2)


def test_a_map_of_one_grain_has_no_boundaries():
    phase = np.zeros((3, 4), dtype=int)
    rotation = np.tile([1.0, 0, 0, 0], (3, 4, 1))
    grain = find_grains(phase, rotation, SYMMETRIES)
    axes = {"y": np.arange(3), "x": np.arange(4)}
    segments = boundary_segments(grain, phase, rotation, SYMMETRIES, **axes)
    orientations = grain_orientations(grain, phase, rotation, SYMMETRIES)
    assert len(segments) == 0
    assert len(boundary_table(grain, segments, orientations, SYMMETRIES, pixel_size=1.0)) == 0


def test_a_map_without_indexed_pixels_has_no_grains():
    phase = np.full((3, 4), -1)
    rotation = np.full((3, 4, 4), np.nan)
    grain = find_grains(phase, rotation, SYMMETRIES)
    assert (grain == -1).all()
    found = grain_orientations(grain, phase, rotation, SYMMETRIES)
    assert found.mean.shape == (0, 4)
    assert np.isnan(kernel_average_misorientation(phase, rotation, SYMMETRIES)).all()
    table = grain_table(grain, phase, found, y=np.arange(3), x=np.arange(4), pixel_area=1.0)
    assert len(table) == 0


@given(st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_the_deviation_from_a_twin_is_the_rotation_added_to_it(seed):
    rng = np.random.default_rng(seed)
    operations = as_quaternions(SYMMETRIES[0])
    base = turn(rng.normal(size=3), rng.uniform(0, 180))
    axis = np.array([1, 1, 1]) * rng.choice([-1, 1], 3)
    added = rng.uniform(0, 8)
    twin = multiply(turn(axis, 60.0), base)
    off = multiply(turn(rng.normal(size=3), added), twin)
    off = multiply(operations[rng.integers(24)], off)
    found = twin_deviation(base, off, SYMMETRIES[0])
    assert found == pytest.approx(added, abs=1e-6)
    assert pytest.approx(8.66, abs=0.001) == TWIN_TOLERANCE


def test_maps_that_do_not_fit_are_refused(two_phases):
    label, phase, rotation, _ = two_phases
    with pytest.raises(InputError, match="one map"):
        find_grains(phase, rotation[:2], SYMMETRIES)
    with pytest.raises(InputError, match="no symmetry"):
        find_grains(phase, rotation, SYMMETRIES[:1])
    with pytest.raises(InputError, match="no rotation"):
        find_grains(np.zeros_like(phase), rotation, SYMMETRIES)
    with pytest.raises(InputError, match="one map"):
        boundary_segments(label, phase, rotation, SYMMETRIES, y=[0], x=[0])
    orientations = grain_orientations(label, phase, rotation, SYMMETRIES)
    with pytest.raises(InputError, match="one map"):
        grain_table(label, phase, orientations, y=[0], x=[0], pixel_area=1.0)
