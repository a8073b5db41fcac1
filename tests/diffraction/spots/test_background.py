"""Compiled background equals its plain reference, and is the truth between and under spots."""

import numpy as np
import pytest
import reference

from phaseloom.diffraction.detector.correction import Correction
from phaseloom.diffraction.spots import background
from phaseloom.diffraction.spots.finder import Finder, _middles, _taps, find_peaks
from phaseloom.diffraction.spots.shape import SpotShape

ONE, NOTHING = np.float32(1), np.float32(0)


def cells_of_counts(shape=(20, 26), seed=0):
    """Sums of cells with spots in them, and their usable pixels."""
    rng = np.random.default_rng(seed)
    distance = reference.distances(shape, 41.0, 50.0, 4)
    mean = 0.3 + 20 * np.exp(-reference.rings(distance) / 4)
    mean[rng.uniform(size=shape) < 0.05] += 30
    weight = np.where(rng.uniform(size=shape) < 0.1, rng.integers(0, 17, shape), 16)
    return rng.poisson(mean * weight).astype(np.float32), weight.astype(np.float32), distance


def scratch(shape, taps):
    r = taps.size - 1
    size = (shape[0] + 2 * r) * (shape[1] + r) + 2 * r + 64
    return (*(np.zeros(size, np.float32) for _ in range(5)), np.zeros(shape, np.float32))


def middles(shape, taps):
    return tuple(_middles(taps, n) for n in shape)


def test_usable_pixels_of_cells():
    stride, base = 40, 45
    static = np.full((6, 7), 16, np.float32)
    places = np.array([(0, 0), (1, 2), (23, 27), (9, 9), (9, 10), (25, 3), (4, 28)])
    bad = np.concatenate([[base], base + places @ [stride, 1]])
    out = np.zeros_like(static)
    background.usable_in_cells(static, 1, bad, bad.size, base, stride, 4, out)
    expected = static.copy()
    # the last two lie beyond the whole cells
    for y, x in places[:-2]:
        expected[y // 4, x // 4] -= 1
    np.testing.assert_array_equal(out, expected)


def test_rings():
    ring, beyond = np.zeros((20, 26), np.int64), np.zeros((20, 26), np.float32)
    background.rings_about(31.7, 55.2, 4, ring, beyond)
    distance = reference.distances(ring.shape, 31.7, 55.2, 4)
    np.testing.assert_array_equal(ring, reference.rings(distance))
    np.testing.assert_allclose(ring + beyond, distance, atol=1e-5)
    profile = np.random.default_rng(0).normal(size=int(distance.max()) + 2)
    between = [
        background.at_distance(profile, *cell)
        for cell in zip(ring.ravel(), beyond.ravel(), strict=True)
    ]
    np.testing.assert_allclose(between, reference.at_distance(profile, distance.ravel()), atol=1e-5)


@pytest.mark.parametrize("sigma", [1.0, 2.5, 6.0])
def test_smoothed_cells(sigma):
    sums, weight, _ = cells_of_counts()
    taps, out = _taps(sigma), np.zeros_like(sums)
    background.smooth(sums, weight, taps, middles(sums.shape, taps), scratch(sums.shape, taps), out)
    np.testing.assert_allclose(out, reference.smooth(sums, weight, taps), rtol=1e-3)


def test_first_and_better_background():
    sums, weight, distance = cells_of_counts()
    ring = reference.rings(distance)
    beyond = (distance - ring).astype(np.float32)
    taps, length = _taps(2.5), 60
    radial, cells, spare, share, crest = np.zeros((5, *sums.shape), np.float32)
    room = scratch(sums.shape, taps)
    profiles = np.zeros((4, length), np.float32)
    middle = middles(sums.shape, taps)
    background.first_background(
        sums, weight, np.float32(16), ring, beyond, 2, ONE, NOTHING, taps, profiles, middle, room,
        radial, cells, crest, False, spare,
    )  # fmt: skip
    first, ground = reference.first_background(sums, weight, 16, distance, 2, 1, 0, taps, length)
    np.testing.assert_allclose(profiles[0], first, rtol=1e-4)
    np.testing.assert_allclose(radial, reference.at_distance(first, distance), rtol=1e-4)
    np.testing.assert_allclose(cells, ground, rtol=1e-4, atol=1e-4)

    rng = np.random.default_rng(1)
    left = (sums - cells * weight - rng.poisson(3, sums.shape)).astype(np.float32)
    before = cells.copy()
    better, expected_share = reference.better_background(
        sums, left, weight, distance, 2, 1, 0, taps, profiles[0].copy(), before
    )
    background.better_background(
        sums, left, weight, ring, beyond, 2, ONE, NOTHING, taps, profiles, middle, room, radial,
        cells, crest, share, spare,
    )  # fmt: skip
    np.testing.assert_allclose(cells, better, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(spare, better - before, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(share, expected_share, rtol=1e-4)

    number, misfit = np.float32(40), np.zeros_like(sums)
    background.misfit_between(
        left, weight, share, spare, cells, crest, ONE, NOTHING, taps, middle, number, room, misfit
    )
    expected = reference.misfit_between(
        left, weight, expected_share, spare, cells, 1, 0, taps, number
    )
    np.testing.assert_allclose(misfit, expected, rtol=2e-3)


def test_background_at_a_point():
    cells = np.random.default_rng(0).normal(size=(9, 12)).astype(np.float32)
    for y, x in [(0.0, 0.0), (1.4, 40.0), (17.3, 22.8), (35.9, 47.0)]:
        expected = reference.interpolated(cells, 4, [y], [x])[0, 0]
        assert background.cells_at(cells, 4, y, x) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("apart", [20, 32])
@pytest.mark.parametrize("level", [0.05, 0.2, 5.0, 200.0])
def test_background_under_spots_is_the_truth(level, apart):
    """A lattice of spots of all heights on a background that falls off from the beam."""
    rng = np.random.default_rng(0)
    height = width = 160
    y, x = np.mgrid[:height, :width]
    truth = level * (0.3 + 2 * np.exp(-np.hypot(y - 80, x - 80) / 30))
    shape = SpotShape(sigma=2.4)
    places = [(v, u) for v in range(10, 160, apart) for u in range(10, 160, apart)]
    mean = truth.copy()
    for (v, u), tall in zip(places, np.exp(rng.normal(3, 1, len(places))), strict=True):
        mean += (tall + 10 * np.sqrt(level)) * shape.profile(np.hypot(y - v, x - u))
    patterns = rng.poisson(mean, (20, height, width)).astype(np.uint16)
    finder = Finder(shape=shape, background=level)
    usable = Correction(np.ones((height, width), bool))
    found = find_peaks(patterns, finder, usable, np.full((20, 2), 80.0))
    row, column = np.rint(found.columns["row"]), np.rint(found.columns["column"])
    ratio = found.columns["background"] / truth[row.astype(int), column.astype(int)]
    assert found.number.mean() == pytest.approx(len(places), rel=0.08)
    assert np.percentile(ratio, 10) > 0.8
    # what is left of crowded spots is no background, but cannot be told from it
    crowded = apart < 8 * 2.4 + 1 and level < 1
    assert np.median(ratio) == pytest.approx(1, abs=0.4 if crowded else 0.05)
    # an error that shifts intensities by less than their own
    shift = (ratio - 1) * truth[row.astype(int), column.astype(int)] * 4 * np.pi * 2.4**2
    assert abs(np.median(shift / found.columns["intensity_error"])) < 0.5


@pytest.mark.parametrize("shape", ["gaussian", "exponential"])
def test_no_spots_on_a_bright_background_that_falls_off(shape):
    rng = np.random.default_rng(0)
    y, x = np.indices((128, 128)) - 64.0
    away = np.hypot(y, x)
    fall = np.exp(-(away**2) / 800) if shape == "gaussian" else np.exp(-np.hypot(away, 8) / 20)
    patterns = rng.poisson(20 + 200 * fall, (40, 128, 128)).astype(np.uint16)
    finder = Finder(shape=SpotShape(sigma=1.8), background=22.0, false_alarms=0.05)
    usable = Correction(np.ones((128, 128), bool))
    found = find_peaks(patterns, finder, usable, np.full((40, 2), 64.0))
    false = np.hypot(found.columns["row"] - 64, found.columns["column"] - 64) > 12
    # two are stated; with a profile in steps there were 36 and 450
    assert false.sum() < 8
