"""The published registration does what it says, flaws and all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter, grey_dilation, grey_erosion, label, maximum_filter

from phaseloom.diffraction.detector.correction import Correction
from phaseloom.diffraction.spots import prominence
from phaseloom.diffraction.spots.finder import Finder, find_peaks
from phaseloom.diffraction.spots.published import find_prominent
from phaseloom.diffraction.spots.shape import SpotShape
from phaseloom.errors import InputError

SIZE = (128, 160)
MIDDLE = (63.5, 79.5)
PLACES = [(63.2, 80.1), (30.4, 40.2), (95.7, 120.3), (40.0, 130.5), (100.2, 30.9)]
COUNTS = [2e4, 8e3, 1.2e4, 4e4, 6e3]


def usable(size=SIZE):
    return Correction(np.ones(size, bool))


def mean_pattern(places=PLACES, counts=COUNTS, size=SIZE, background=3.0):
    y, x = np.mgrid[: size[0], : size[1]]
    spot = SpotShape(sigma=2.4)
    mean = background * (0.3 + 2 * np.exp(-np.hypot(y - MIDDLE[0], x - MIDDLE[1]) / 40))
    for (v, u), total in zip(places, counts, strict=True):
        mean += total / spot.volume * spot.profile(np.hypot(y - v, x - u))
    return mean


def patterns(n=4, **options):
    return np.random.default_rng(0).poisson(mean_pattern(**options), (n, *SIZE)).astype(np.uint16)


def found_in(seen, correction=None, beam=MIDDLE, **options):
    beams = np.broadcast_to(beam, (len(seen), 2))
    return find_prominent(seen, correction or usable(seen.shape[1:]), beams, **options)


def opened(image, mask, curvature):
    height, width = image.shape
    n = max(height, width)
    out = np.empty(image.shape, np.float32)
    prominence.paraboloid_background(
        image, mask, curvature, np.empty(2 * n, np.float32), np.empty(n, np.int64),
        np.empty(n + 1), out,
    )  # fmt: skip
    return out


@pytest.mark.parametrize("curvature", [0.003, 0.05, 2.0])
@pytest.mark.parametrize("masked", [0.0, 0.3])
def test_background_is_the_opening_with_a_paraboloid(curvature, masked):
    rng = np.random.default_rng(0)
    image = rng.poisson(20 * gaussian_filter(rng.uniform(0, 2, (24, 30)), 2)).astype(np.float32)
    mask = rng.uniform(size=image.shape) >= masked
    y, x = np.mgrid[-29:30, -29:30]
    ball = -curvature * (y**2 + x**2).astype(float)
    full = np.where(mask, image, np.inf)
    eroded = grey_erosion(full, structure=ball, mode="constant", cval=np.inf)
    expected = grey_dilation(eroded, structure=ball, mode="constant", cval=-np.inf)
    got = opened(image, mask, curvature)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    assert (got <= image + 1e-4)[mask].all()


def test_paraboloid_without_curvature_is_the_lowest_pixel():
    image = np.random.default_rng(0).uniform(1, 2, (24, 30)).astype(np.float32)
    mask = image > image.min()
    np.testing.assert_array_equal(opened(image, mask, 0.0), image[mask].min())


def test_background_is_close_to_a_rolling_ball():
    """A ball is steeper than its paraboloid; on what is smooth they agree."""
    from skimage.restoration import rolling_ball

    smooth = mean_pattern().astype(np.float32)
    scale = smooth.max() / 255
    ball = scale * rolling_ball(smooth / scale, radius=16)
    got = opened(smooth, np.ones(SIZE, bool), 0.5 * scale / 16)
    truth = mean_pattern(places=[], counts=[])
    assert np.abs(got - truth).mean() < 0.5
    assert np.abs(got - ball).mean() < 0.5


def exact_maxima(image):
    """Place and prominence of every local maximum, by flooding for each of them anew."""
    rank = np.empty(image.size, int)
    rank[np.argsort(-image.ravel(), kind="stable")] = np.arange(image.size)
    rank = rank.reshape(image.shape)
    tops = -rank == maximum_filter(-rank, 3, mode="nearest")
    levels = np.sort(image.ravel())[::-1]
    found = {}
    for y, x in np.argwhere(tops):
        low, high = rank[y, x], image.size - 1
        if low == 0:
            found[y, x] = float(image[y, x] - image.min())
            continue
        while low < high:
            middle = (low + high) // 2
            islands, _ = label(rank <= middle, np.ones((3, 3)))
            mine = rank[islands == islands[y, x]] if rank[y, x] <= middle else rank[y, x]
            low, high = (low, middle) if mine.min() < rank[y, x] else (middle + 1, high)
        found[y, x] = float(image[y, x] - levels[low])
    return found


def flooded(image, least=0.0):
    flat = np.empty(image.size, np.int64), np.empty(image.size, np.int64), np.empty(image.size)
    places, heights = prominence.prominent_maxima(image, least, *flat)
    return {divmod(int(p), image.shape[1]): h for p, h in zip(places, heights, strict=True)}


def expected_maxima(image, least=0.0):
    height, width = image.shape
    return {
        (y, x): p
        for (y, x), p in exact_maxima(image).items()
        if p > least and 0 < y < height - 1 and 0 < x < width - 1
    }


@settings(max_examples=40)
@given(arrays(np.float32, (7, 9), elements=st.integers(0, 5).map(float)))
def test_prominence_with_plateaus(image):
    assert flooded(image) == expected_maxima(image)


@pytest.mark.parametrize("least", [0.0, 0.3, 1.0])
def test_prominence_of_a_rugged_image(least):
    image = gaussian_filter(np.random.default_rng(0).normal(0, 5, (30, 26)), 1.2)
    image = image.astype(np.float32)
    got, expected = flooded(image, least), expected_maxima(image, least)
    assert len(got) > 2
    assert got == pytest.approx(expected)


def test_known_spots_on_a_sloping_background():
    found = found_in(patterns())
    assert (found.number == len(PLACES)).all()
    order = np.lexsort((found.columns["column"], np.repeat(np.arange(4), found.number)))
    row, column = (found.columns[c][order].reshape(4, -1) for c in ("row", "column"))
    places = np.array(sorted(PLACES, key=lambda p: p[1]))
    assert np.hypot(row - places[:, 0], column - places[:, 1]).max() < 0.25
    spot = SpotShape(sigma=2.4)
    y, x = np.mgrid[-4:5, -4:5]
    share = spot.profile(np.hypot(y, x))[np.hypot(y, x) <= 3].mean() / spot.volume
    counts = np.array(COUNTS)[np.argsort([p[1] for p in PLACES])]
    mean = found.columns["intensity"][order].reshape(4, -1).mean(axis=0)
    np.testing.assert_allclose(mean, share * counts, rtol=0.08)
    assert (found.columns["prominence"] > found.maps["prominence"].min()).all()
    assert found.columns["prominence"].max() < found.columns["intensity"].max()
    assert (found.columns["background"] < 15).all()


def test_direct_beam_is_the_nearest_not_the_brightest():
    found = found_in(patterns())
    assert np.abs(found.maps["beam_row"] - 63.2).max() < 0.1
    assert np.abs(found.maps["beam_column"] - 80.1).max() < 0.1
    elsewhere = found_in(patterns(), beam=(41.0, 128.0))
    assert np.abs(elsewhere.maps["beam_column"] - 130.5).max() < 0.1
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    inside = np.hypot(y - MIDDLE[0], x - MIDDLE[1]) <= 10
    np.testing.assert_allclose(
        found.maps["bright_field"], patterns()[:, inside].sum(axis=1), rtol=1e-6
    )


def test_adaptive_prominence():
    seen = patterns()
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    outside = np.hypot(y - 63.5, x - 79.5) > 64
    noise = seen[:, outside].std(axis=1)
    of_grey = 3 / 255 * seen.max(axis=(1, 2))
    found = found_in(seen)
    np.testing.assert_allclose(found.maps["noise"], noise, rtol=1e-5)
    np.testing.assert_allclose(found.maps["prominence"], np.maximum(of_grey, noise), rtol=1e-5)
    low, high = found_in(seen, minimum=0.1), found_in(seen, minimum=200.0)
    np.testing.assert_allclose(low.maps["prominence"], noise, rtol=1e-5)
    assert (high.maps["prominence"] == 200).all()
    assert (high.number == 2).all()


def test_saturating_brightness_of_the_beam_hides_spots():
    """The known flaw: the threshold is a part of the brightest pixel."""
    faint = [5e3, 400, 400, 400, 400]
    bright = [2e6, 400, 400, 400, 400]
    assert (found_in(patterns(counts=faint)).number == 5).all()
    assert (found_in(patterns(counts=bright, n=2)).number == 1).all()


def test_neighbours_pull():
    """The known flaw of centres of mass; the fit of all spots has it not."""
    places, counts = [*PLACES, (30.4, 50.2)], [*COUNTS, 8e3]
    seen = patterns(places=places, counts=counts)
    found = found_in(seen)
    fitted = find_peaks(
        seen, Finder(shape=SpotShape(sigma=2.4)), usable(), np.broadcast_to(MIDDLE, (4, 2))
    )

    def apart(columns):
        near = np.hypot(columns["row"] - 30.4, columns["column"] - 45.2) < 7
        return np.ptp(columns["column"][near])

    assert apart(found.columns) < 10.3 - 0.3
    assert apart(fitted.columns) == pytest.approx(10, abs=0.3)


def test_unusable_pixels_make_no_peaks():
    seen = patterns().astype(np.float32)
    mask = np.ones(SIZE, bool)
    mask[:60, 76:84] = False
    seen[:, 110:112] = np.nan
    seen[:, 20, 20] = 6e4
    correction = Correction(mask, saturation=5e4)
    found = found_in(np.where(mask, seen, 0), correction)
    assert (found.number == len(PLACES)).all()
    assert all(np.isfinite(found.columns[c]).all() for c in ("row", "intensity", "background"))


def test_no_counts_and_no_pixels():
    seen = patterns().astype(np.float32)
    seen[1], seen[2] = 0, np.nan
    found = found_in(seen)
    assert found.number.tolist() == [5, 0, -1, 5]
    assert np.isnan(found.maps["beam_row"][1:3]).all()
    assert np.isnan(found.maps["prominence"][2])
    assert found.columns["row"].size == 10


def test_at_most_so_many_and_none_on_the_edge():
    noise = np.random.default_rng(0).poisson(3.0, (3, *SIZE))
    found = found_in(noise, minimum=0.01)
    assert (found.number <= 150).all()
    some = found_in(patterns(), max_peaks=2)
    assert (some.number == 2).all()
    best = found_in(patterns())
    assert some.columns["prominence"].min() == pytest.approx(
        np.sort(best.columns["prominence"])[-8]
    )
    edge = found_in(patterns(places=[*PLACES, (0.0, 30.0)], counts=[*COUNTS, 1e4]))
    assert (edge.number == len(PLACES)).all()


def test_table_is_that_of_the_finder():
    found = found_in(patterns())
    other = find_peaks(
        patterns(), Finder(shape=SpotShape(sigma=2.4)), usable(), np.broadcast_to(MIDDLE, (4, 2))
    )
    assert list(found.columns) == list(other.columns)
    assert list(found.maps) == list(other.maps)
    for name in ("row_error", "column_error", "intensity_error", "score"):
        assert np.isnan(found.columns[name]).all()
    assert np.isnan(found.maps["beam_error"]).all()


@pytest.mark.parametrize("dtype", ["uint8", ">i4", "float64"])
def test_types_and_order_make_no_difference(dtype):
    seen = np.minimum(patterns(counts=[1e3, 2e3, 3e3, 2e3, 1e3]), 255)
    expected, found = found_in(seen), found_in(seen[::-1].astype(dtype))
    assert found.number.tolist() == expected.number[::-1].tolist()
    last = found.columns["row"][: found.number[0]]
    np.testing.assert_array_equal(last, expected.columns["row"][-found.number[0] :])


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"beam": np.zeros((3, 2))}, "belong together"),
        ({"minimum": 0.0}, "least prominence"),
        ({"size": (20, 64)}, "too small"),
    ],
)
def test_input_that_cannot_be(change, match):
    size = change.pop("size", SIZE)
    beam = change.pop("beam", np.zeros((1, 2)))
    with pytest.raises(InputError, match=match):
        find_prominent(np.zeros((1, *size)), usable(size), beam, **change)
