"""The compiled pass equals the plain one, and its steps theirs."""

import math

import numpy as np
import pytest
import reference

from phaseloom.diffraction.detector.correction import Correction, corrected
from phaseloom.diffraction.spots import loading, selection
from phaseloom.diffraction.spots.finder import Finder, find_peaks
from phaseloom.diffraction.spots.joint_fit import (
    AMPLITUDE,
    AMPLITUDE_ERROR,
    BACKGROUND,
    COLUMNS,
    SCORE,
    WRONG,
    X,
    Y,
)
from phaseloom.diffraction.spots.shape import SpotShape

DISK = SpotShape(kind="disk", radius=6.0, edge=1.0)


def crowded(shape, size, *, seed=0, background=2.0, spots=25, rings=False):
    """Counts of many spots at random places, some on the edge, some on each other."""
    rng = np.random.default_rng(seed)
    height, width = size
    y, x = np.mgrid[:height, :width]
    slope = np.exp(-np.hypot(y - height / 2, x - width / 2) / (0.2 * height))
    places = rng.uniform(0, 1, (spots, 2)) * [height - 1, width - 1]
    places[0] = height / 2 + 0.3, width / 2 - 0.4
    heights = np.exp(rng.normal(np.log(30), 1, spots))
    heights[0] = 300
    mean = background * (0.3 + 2 * slope)
    if rings:
        r = np.hypot(y - places[0, 0], x - places[0, 1])
        mean += background * sum(3 * np.exp(-0.5 * ((r - k) / 3) ** 2) for k in (24, 45))
    for (v, u), height_ in zip(places, heights, strict=True):
        mean += height_ * shape.profile(np.hypot(y - v, x - u))
    return rng.poisson(mean).astype(np.float32)


CASES = {
    "sigma 1": (SpotShape(sigma=1.0), (128, 128), {}),
    "sigma 2.4, masked": (SpotShape(sigma=2.4), (200, 136), {"masked": 0.01}),
    "sigma 2.4, NaN and saturated": (SpotShape(sigma=2.4), (130, 150), {"nan": 0.005, "full": 200}),
    "sigma 2.4, beam stop, dark, gain": (SpotShape(sigma=2.4), (136, 200), {"images": True}),
    "dark, NaN and saturated": (
        SpotShape(sigma=2.4),
        (130, 150),
        {"images": True, "nan": 0.005, "full": 100, "masked": 0.005},
    ),
    "sigma 5": (SpotShape(sigma=5.0), (203, 138), {"full": 200}),
    # with seed 0 one step is 0.05 of a variance, on which it depends whether another one follows
    "disk": (DISK, (200, 136), {"seed": 1}),
    "haloes": (SpotShape(sigma=2.0), (128, 136), {"rings": True, "background": 30.0}),
    "haloes, masked": (
        SpotShape(sigma=2.4),
        (150, 130),
        {"rings": True, "masked": 0.01, "background": 30.0},
    ),
    "few counts": (SpotShape(sigma=2.4), (128, 128), {"background": 0.05}),
    "gain 3, floor 2": (SpotShape(sigma=2.4), (128, 128), {"gain": 3.0, "floor": 2.0}),
}


@pytest.mark.parametrize("name", CASES)
def test_whole_pass_equals_the_plain_one(name):
    shape, size, options = CASES[name]
    background = options.get("background", 2.0)
    pattern = crowded(
        shape,
        size,
        seed=options.get("seed", 0),
        background=background,
        rings=options.get("rings", False),
    )
    rng = np.random.default_rng(1)
    mask = rng.uniform(size=size) >= options.get("masked", 0)
    pattern[rng.uniform(size=size) < options.get("nan", 0)] = np.nan
    dark = gain = None
    if options.get("images"):
        mask[: size[0] // 2 - 8, 90:110] = False
        dark = rng.uniform(0, 0.2, size).astype(np.float32)
        gain = rng.uniform(0.9, 1.1, size).astype(np.float32)
    correction = Correction(mask, dark, gain, options.get("full", np.inf))
    finder = Finder(
        shape=shape,
        background=background,
        gain=options.get("gain", 1),
        floor=options.get("floor", 0),
    )
    beam = (size[0] / 2, size[1] / 2)

    found = find_peaks(pattern[None], finder, correction, [beam])
    spots, brightest = reference.register(pattern, finder, correction, beam)

    assert found.number == len(spots) > 12
    column = found.columns
    table = shape.kind == "disk"
    near = {"rtol": 2e-2 if table else 1e-3, "atol": 1e-3}
    for name_, plain in {
        "intensity": [s.amplitude for s in spots],
        "intensity_error": [s.errors[0] for s in spots],
        "row_error": [s.errors[1] for s in spots],
        "column_error": [s.errors[2] for s in spots],
        "score": [s.score for s in spots],
        "background": [s.background for s in spots],
        "prominence": [s.prominence for s in spots],
    }.items():
        np.testing.assert_allclose(column[name_], plain, err_msg=name_, **near)
    # a disk's profile is tabulated
    near = 0.03 if table else 0.01
    np.testing.assert_allclose(column["row"], [s.y for s in spots], rtol=0, atol=near)
    np.testing.assert_allclose(column["column"], [s.x for s in spots], rtol=0, atol=near)
    assert found.maps["beam_row"][0] == pytest.approx(brightest.y, abs=1e-3)
    assert found.maps["beam_column"][0] == pytest.approx(brightest.x, abs=1e-3)
    assert found.maps["beam_error"][0] == pytest.approx(max(brightest.errors[1:]), rel=1e-2)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_loaded_pattern_is_the_corrected_one(dtype):
    rng = np.random.default_rng(0)
    height, width, stride, base = 21, 34, 48, 100
    raw = rng.poisson(50, (height, width)).astype(dtype)
    if dtype is np.float32:
        raw[3, 4], raw[7, 7], raw[9, 9] = np.nan, np.inf, -np.inf
    mask = rng.uniform(size=raw.shape) > 0.1
    dark, gain = rng.uniform(0.5, 2, (2, height, width)).astype(np.float32)
    masked = np.flatnonzero(~mask)
    masked = base + masked // width * stride + masked % width
    image = np.full(base + height * stride, -7, np.float32)
    bad = np.zeros(height * width * 2, np.int64)

    n = loading.load(raw, dark, gain, np.float32(65), True, masked, image, base, stride, bad)

    expected = corrected(raw[None], Correction(mask, dark, gain, 65))[0]
    rows = image[base:].reshape(height, stride)
    np.testing.assert_allclose(rows[:, :width], np.nan_to_num(expected), rtol=1e-6)
    assert (rows[:, width:] == -7).all()
    unusable = {(y, x) for y, x in np.argwhere(np.isnan(expected))}
    y, x = np.divmod(bad[:n] - base, stride)
    assert set(zip(y, x, strict=True)) == unusable
    assert set(bad[: masked.size]) == set(masked)
    assert len(unusable) == n, "none twice"

    raw[12:16, 20:28] = 100
    raw[13:15, 22:25] = 10
    n = loading.load(raw, dark, gain, np.float32(65), True, masked, image, base, stride, bad)
    frame = (height, width, stride, base)
    loading.fill(raw, dark, gain, np.float32(65), image, frame, bad, masked.size, n)
    seen = reference.filled_in(raw, Correction(mask, dark, gain, 65))
    assert (seen[mask & (raw >= 65) & np.isfinite(raw)] > 0).any()
    np.testing.assert_allclose(rows[:, :width], seen, rtol=1e-6)


def test_sum_within_a_circle_and_spread_outside_the_inscribed_one():
    from phaseloom.diffraction.spots.finder import _outside

    rng = np.random.default_rng(0)
    height, width = 40, 56
    image = rng.normal(5, 2, (height, width)).astype(np.float32)
    frame = (height, width, width, 0)
    y, x = np.mgrid[:height, :width]
    inside = np.hypot(y - 3.2, x - 50.7) <= 9
    assert loading.sum_within(image.ravel(), frame, 3.2, 50.7, 9.0) == pytest.approx(
        image[inside].sum(), rel=1e-5
    )
    bad = np.array([0, 5 * width + 3, 20 * width + 28, 7], np.int64)
    image.ravel()[bad] = 0, 0, 0, 50  # the last is saturated: much, but not nothing
    outside = np.hypot(y - (height - 1) / 2, x - (width - 1) / 2) > height / 2
    outside.ravel()[bad[:3]] = False
    spread = loading.spread_outside(image.ravel(), frame, _outside(height, width), bad, 4)
    assert spread == pytest.approx(image[outside].std(), rel=1e-3)


def random_spots(rng, n=40):
    spots = np.zeros((n, COLUMNS))
    spots[:, [Y, X]] = rng.uniform(0, 40, (n, 2))
    spots[:, AMPLITUDE] = np.exp(rng.normal(0, 1, n))
    spots[:, SCORE] = rng.uniform(3, 12, n)
    spots[:, BACKGROUND] = 10 ** rng.uniform(-2, 2, n)
    spots[:, AMPLITUDE_ERROR] = spots[:, AMPLITUDE] * rng.choice(
        [0.1, 0.4, 0.6], n, p=[0.6, 0.3, 0.1]
    )
    spots[:, WRONG] = spots[:, AMPLITUDE] * rng.choice([0, 0.05, 0.2], n)
    return spots


def plain(spots):
    return [
        reference.Spot(
            s[Y],
            s[X],
            s[AMPLITUDE],
            errors=(s[AMPLITUDE_ERROR], math.nan, math.nan),
            score=s[SCORE],
            wrong=s[WRONG],
            background=s[BACKGROUND],
        )
        for s in spots
    ]


THRESHOLDS = (np.linspace(8, 5, 65), -3.0, 8.0)


@pytest.mark.parametrize("seed", range(5))
def test_kept_spots(seed):
    spots = random_spots(np.random.default_rng(seed))
    beam, guard, apart = (20.0, 20.0), 7.0, 2.4

    def least(background):
        return np.interp((math.log10(background) + 3) * 8, np.arange(65), THRESHOLDS[0])

    expected, direct = reference.keep(plain(spots), least, beam, guard, apart)
    kept, brightest = selection.select_spots(
        spots, len(spots), (1.0, 0.0), THRESHOLDS, (*beam, guard), apart
    )
    got = spots[:kept]
    assert [(s.y, s.x) for s in expected] == [(s[Y], s[X]) for s in got]
    if direct is None:
        assert brightest == -1
    else:
        assert (got[brightest, Y], got[brightest, X]) == (direct.y, direct.x)


def kept_of(*rows):
    """Which of these spots (row, amplitude, error, wrong) are kept, all else being well."""
    spots = np.zeros((len(rows), COLUMNS))
    spots[:, [Y, AMPLITUDE, AMPLITUDE_ERROR, WRONG]] = rows
    spots[:, SCORE], spots[:, BACKGROUND], spots[:, X] = 20, 1, 10
    kept, _ = selection.select_spots(
        spots, len(spots), (1.0, 0.0), THRESHOLDS, (-50.0, -50.0, 5.0), 2.0
    )
    return spots[:kept, Y].tolist()


def test_a_spot_within_two_of_its_errors_is_none():
    assert kept_of((10, 30, 14.9, 0), (40, 30, 15.1, 0)) == [10]


def test_beside_a_spot_is_no_other_that_its_template_may_have_left():
    bright = (30, 100, 1, 5)
    # less than three times what is wrong, within five sigma
    assert kept_of(bright, (39.9, 14.9, 1, 0)) == [30]
    assert kept_of(bright, (39.9, 15.1, 1, 0)) == [30, 39.9]
    assert kept_of(bright, (40.1, 14.9, 1, 0)) == [30, 40.1]
    assert kept_of((30, 100, 1, 0), (39.9, 14.9, 1, 0)) == [30, 39.9]
    # of the fainter one it does not matter what is wrong, and one that is dropped drops none
    assert kept_of(bright, (39.9, 15.1, 1, 50)) == [30, 39.9]
    assert kept_of((30, 100, 60, 50), (39.9, 15.1, 1, 0)) == [39.9]


@pytest.mark.parametrize("seed", range(3))
def test_new_candidates_beside_a_spot(seed):
    rng = np.random.default_rng(seed)
    spots = random_spots(rng, 12)
    found = np.zeros((50, 3))
    found[:40] = rng.uniform(0, 40, (40, 3))
    expected = reference.only_strongest(found[:40], plain(spots), 7.0)
    n = selection.only_strongest(found, 40, spots, len(spots), 7.0)
    assert 10 < len(expected) < 38
    np.testing.assert_array_equal(found[:n], expected)


def test_of_what_a_blend_leaves_on_either_side_the_stronger_is_looked_at():
    spots = np.zeros((1, COLUMNS))
    spots[0, [Y, X]] = 20, 20
    found = np.array([[14.0, 20, 3], [26, 20, 5], [20, 29, 1]])
    assert selection.only_strongest(found, 3, spots, 1, 7.0) == 2
    np.testing.assert_array_equal(found[:2], [[26, 20, 5], [20, 29, 1]])


@pytest.mark.parametrize("shape", [SpotShape(sigma=2.4), DISK], ids=["gaussian", "disk"])
def test_prominences(shape):
    from phaseloom.diffraction.spots.joint_fit import PROMINENCE

    spots = random_spots(np.random.default_rng(0))
    table, per_square = shape.table()
    window = (shape.half, 1, shape.filter_sigma, table, np.float32(per_square))
    selection.prominences(spots, len(spots), window)
    listed = plain(spots)
    expected = [reference.prominence(s, listed, shape) for s in listed]
    np.testing.assert_allclose(spots[:, PROMINENCE], expected, atol=1e-2 if table.size else 1e-9)


def test_the_weakest_go_first_and_rows_are_in_order():
    spots = random_spots(np.random.default_rng(0))
    all_of_them = spots.copy()
    assert selection.weakest_of(spots, 40, 50) == 40
    assert selection.weakest_of(spots, 40, 15) == 15
    strongest = np.sort(np.argsort(-all_of_them[:, AMPLITUDE])[:15])
    np.testing.assert_array_equal(spots[:15], all_of_them[strongest])
    selection.sort_by_row(spots, 15)
    chosen = all_of_them[strongest]
    np.testing.assert_array_equal(spots[:15], chosen[np.argsort(chosen[:, Y])])


def test_least_score_is_interpolated_over_the_logarithm_of_the_background():
    def least(background, gain=1.0, floor=0.0):
        return selection.least_score(background, (gain, floor), THRESHOLDS)

    for background, place in [(1e-9, 0), (1e-3, 0), (1.0, 24), (10**0.06, 24.48), (1e9, 63.999)]:
        expected = np.interp(place, np.arange(65), THRESHOLDS[0])
        assert least(background) == pytest.approx(expected)
    # with a gain g, background counts mean background / g electrons
    assert least(5.0, 5.0) == least(1.0)
    # read-out noise without counts is Gaussian; with them as skewed as Poisson counts are
    assert least(0.0, 1.0, 9.0) == pytest.approx(THRESHOLDS[0][-1], abs=0.01)
    assert least(2.0, 1.0, 3.0) == pytest.approx(least(5.0**3 / 4))
