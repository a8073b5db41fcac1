"""Spots of known place and counts: found, as precise as counting allows, and no others."""

import math

import numpy as np
import pytest

from phaseloom.diffraction.detector.correction import Correction
from phaseloom.diffraction.spots.finder import Finder, Found, find_peaks
from phaseloom.diffraction.spots.shape import SpotShape
from phaseloom.errors import InputError
from phaseloom.simulate import benchmark_patterns

SPOT = SpotShape(sigma=2.4)


def usable(size):
    return Correction(np.ones(size, bool))


def expected_counts(shape, size, places, counts, background):
    """Mean pattern: spots of these integrated counts on a flat background."""
    y, x = np.arange(size[0]), np.arange(size[1])
    mean = np.full(size, float(background))
    for (v, u), total in zip(places, np.broadcast_to(counts, len(places)), strict=True):
        mean += total / shape.volume * shape.profile(np.hypot(y[:, None] - v, x - u))
    return mean


def found_in(patterns, shape=SPOT, *, beam=None, background=1.0, correction=None, **options):
    size = patterns.shape[1:]
    beam = beam if beam is not None else ((size[0] - 1) / 2, (size[1] - 1) / 2)
    return find_peaks(
        patterns,
        Finder(shape=shape, background=background, **options),
        correction or usable(size),
        np.broadcast_to(beam, (len(patterns), 2)),
    )


def of_pattern(found: Found, i: int) -> dict[str, np.ndarray]:
    edges = np.concatenate([[0], np.cumsum(np.maximum(found.number, 0))])
    return {name: values[edges[i] : edges[i + 1]] for name, values in found.columns.items()}


def matched(found, i, places, within):
    """For every place the nearest peak of pattern i (−1: none within), and its distance."""
    peaks = of_pattern(found, i)
    if not peaks["row"].size:
        return np.full(len(places), -1), np.full(len(places), np.inf)
    distance = np.hypot(
        peaks["row"] - np.asarray(places)[:, :1], peaks["column"] - np.asarray(places)[:, 1:]
    )
    nearest = distance.argmin(axis=1)
    return np.where(distance.min(axis=1) <= within, nearest, -1), distance.min(axis=1)


def bound(shape, counts, background):
    """Cramér–Rao bound of (intensity, row, column) of one spot, the background known."""
    axis = np.arange(-math.ceil(3 * shape.half), math.ceil(3 * shape.half) + 1)

    def mean(total, v, u):
        return total / shape.volume * shape.profile(np.hypot(axis[:, None] - v, axis - u))

    v, u, h = 0.2, 0.3, 1e-4
    slopes = np.stack(
        [
            mean(1.0, v, u),
            (mean(counts, v + h, u) - mean(counts, v - h, u)) / (2 * h),
            (mean(counts, v, u + h) - mean(counts, v, u - h)) / (2 * h),
        ]
    ).reshape(3, -1)
    information = (slopes / (mean(counts, v, u) + background).ravel()) @ slopes.T
    return np.sqrt(np.diag(np.linalg.inv(information)))


def lattice(rng, size, apart):
    """Places apart from each other and from the edge, anywhere between pixels."""
    along = [np.arange(0.5 * apart, s - 0.5 * apart + 1e-9, apart) for s in size]
    places = np.stack(np.meshgrid(*along, indexing="ij"), axis=-1).reshape(-1, 2)
    return places + rng.uniform(-0.5, 0.5, places.shape)


def measured_spots(shape, counts, background, *, apart, patterns, size=(216, 216)):
    """Errors and pulls of (intensity, row, column) of isolated spots, and how many were found."""
    rng = np.random.default_rng(0)
    errors, pulls, peaks, spots = [], [], 0, 0
    for _ in range(patterns):
        places = lattice(rng, size, apart)
        seen = rng.poisson(expected_counts(shape, size, places, counts, background))
        found = found_in(seen[None].astype(np.uint16), shape, background=background)
        nearest, _ = matched(found, 0, places, shape.filter_sigma)
        peak = {name: values[nearest[nearest >= 0]] for name, values in found.columns.items()}
        places = places[nearest >= 0]
        error = np.stack(
            [peak["intensity"] - counts, peak["row"] - places[:, 0], peak["column"] - places[:, 1]]
        )
        errors.append(error)
        given = [peak[f"{name}_error"] for name in ("intensity", "row", "column")]
        pulls.append(error / np.stack(given))
        peaks, spots = peaks + found.number[0], spots + len(nearest)
    return np.concatenate(errors, axis=1), np.concatenate(pulls, axis=1), peaks, spots


def rms(values):
    return np.sqrt((values**2).mean(axis=-1))


@pytest.mark.parametrize("counts", [100.0, 1e3, 1e4])
@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.4, 4.0, 6.0])
def test_isolated_spots_are_as_precise_as_counting_allows(sigma, counts):
    shape, background = SpotShape(sigma=sigma), 0.1
    apart = max(20, 12 * sigma)
    patterns = {1.0: 4, 1.5: 4, 2.4: 8, 4.0: 20, 6.0: 36}[sigma]
    error, pull, peaks, spots = measured_spots(
        shape, counts, background, apart=apart, patterns=patterns
    )
    assert spots >= 320
    assert error.shape[1] == spots, "every spot is found"
    assert peaks <= spots + max(1, 0.01 * spots), "and nothing else"
    assert (rms(error) < 1.15 * bound(shape, counts, background)).all()
    np.testing.assert_array_less(rms(pull), 1.15)
    np.testing.assert_array_less(0.85, rms(pull))
    # biased by less than a third of the error
    np.testing.assert_array_less(abs(pull.mean(axis=1)), 0.3)


@pytest.mark.parametrize("background", [0.05, 0.3, 2.0, 30.0, 1000.0])
def test_false_alarms_are_as_stated(background):
    rng = np.random.default_rng(0)
    noise = rng.poisson(background, (150, 128, 128)).astype(np.uint16)
    found = found_in(noise, background=background, false_alarms=1.0)
    assert 0.5 < found.number.mean() < 2


def blends(share, n=40):
    """Of pairs 2.2 σ apart (no second maximum), one of them fainter: peaks, and errors of both."""
    rng = np.random.default_rng(0)
    size, bright = (96, 96), 3e3
    number, errors = [], []
    for _ in range(n):
        angle = rng.uniform(0, 2 * np.pi)
        first = np.array([30.0, 60.0]) + rng.uniform(-0.5, 0.5, 2)
        second = first + 2.2 * 2.4 * np.array([np.sin(angle), np.cos(angle)])
        mean = expected_counts(SPOT, size, [first, second], [bright, share * bright], 1.0)
        found = found_in(rng.poisson(mean)[None].astype(np.uint16))
        number.append(found.number[0])
        errors.append(matched(found, 0, [first, second], 1.0)[1])
    return np.array(number), np.array(errors)


@pytest.mark.parametrize("share", [0.3, 0.1])
def test_hidden_spot_in_the_flank_of_a_brighter_one(share):
    _, errors = blends(share)
    assert (errors < 1.2).all(axis=1).sum() >= 38


def test_blends_are_taken_for_two_spots():
    number, errors = blends(0.3)
    assert (number == 2).sum() >= 36
    assert np.median(errors) < 0.2


@pytest.mark.parametrize(
    ("kind", "recall", "precision"), [("au", 0.995, 0.995), ("lfp", 0.94, 0.995)]
)
def test_visible_spots_of_crystals_are_found_and_nothing_else(kind, recall, precision):
    scan, truth = benchmark_patterns(kind, 48, seed=3)
    patterns = scan["counts"].to_numpy().reshape(-1, *scan["counts"].shape[2:])
    beam = np.stack([truth["centre_y"].to_numpy().ravel(), truth["centre_x"].to_numpy().ravel()], 1)
    found = find_peaks(
        patterns, Finder(shape=SPOT, background=0.5), usable(patterns.shape[1:]), beam
    )
    offset = truth["offset"].to_numpy()
    hit = visible = right = 0
    for i in range(len(patterns)):
        rows = slice(offset[i], offset[i + 1])
        places = np.stack([truth["row"].to_numpy()[rows], truth["column"].to_numpy()[rows]], 1)
        seen = truth["visible"].to_numpy()[rows]
        nearest, _ = matched(found, i, places[seen], 2.5)
        hit, visible = hit + np.unique(nearest[nearest >= 0]).size, visible + seen.sum()
        peaks = of_pattern(found, i)
        distance = np.hypot(
            peaks["row"][:, None] - places[:, 0], peaks["column"][:, None] - places[:, 1]
        )
        right += (distance.min(axis=1) <= 2.5).sum()
    assert hit / visible >= recall
    assert right / found.number.sum() >= precision
    beam_error = np.hypot(
        found.maps["beam_row"] - beam[:, 0], found.maps["beam_column"] - beam[:, 1]
    )
    assert np.nanmax(beam_error) < 0.1


@pytest.mark.parametrize("counts", [2e3, 5e4])
@pytest.mark.parametrize("radius", [6.0, 10.0])
def test_disks_are_placed_as_well_as_counting_allows_and_none_is_split(radius, counts):
    shape = SpotShape(kind="disk", radius=radius, edge=1.0)
    error, pull, peaks, spots = measured_spots(
        shape, counts, 0.5, apart=4 * radius + 10, patterns=8 if radius < 8 else 16
    )
    assert error.shape[1] == spots == peaks
    assert (rms(error) < 1.2 * bound(shape, counts, 0.5)).all()
    np.testing.assert_array_less(rms(pull), 1.2)


def test_spots_on_the_edge_are_fitted_to_what_is_inside():
    rng = np.random.default_rng(0)
    size = (96, 128)
    # whose middle lies in the outermost bin (2 px) is not looked for
    places = [(2.3, 40.0), (92.8, 70.0), (50.0, 2.4), (20.0, 124.9), (47.5, 63.5)]
    mean = expected_counts(SPOT, size, places, 3e3, 1.0)
    found = found_in(rng.poisson(mean, (40, *size)).astype(np.uint16))
    pulls = []
    for i in range(40):
        peaks = of_pattern(found, i)
        nearest, _ = matched(found, i, places, 1.5)
        assert (nearest >= 0).all()
        for name, truth in zip(("row", "column"), np.transpose(places), strict=True):
            pulls.append((peaks[name][nearest] - truth) / peaks[f"{name}_error"][nearest])
    assert rms(np.ravel(pulls)) < 1.3
    assert found.number.mean() < 5.2


def test_no_false_peaks_along_the_rim_of_a_beam_stop():
    rng = np.random.default_rng(0)
    size = (128, 128)
    y, x = np.mgrid[:128, :128]
    mean = 2 + 30 * np.exp(-np.hypot(y - 63.5, x - 63.5) / 25)
    mask = (np.hypot(y - 63.5, x - 63.5) > 14) & ~((abs(x - 63.5) < 4) & (y > 60))
    places = [(30.0, 30.0), (63.0, 84.0), (100.0, 69.5)]
    mean += expected_counts(SPOT, size, places, 3e3, 0.0)
    patterns = rng.poisson(np.where(mask, mean, 0), (30, *size)).astype(np.uint16)
    found = found_in(patterns, correction=Correction(mask))
    nearest = np.stack([matched(found, i, places, 1.5)[0] for i in range(30)])
    assert (nearest >= 0).all()
    assert found.number.mean() < 3.1


def saturated(n=60):
    rng = np.random.default_rng(0)
    size, place = (96, 96), (40.3, 55.6)
    mean = expected_counts(SPOT, size, [place], 2e4, 1.0)
    patterns = np.minimum(rng.poisson(mean, (n, *size)), 255).astype(np.uint16)
    assert (patterns == 255).sum(axis=(1, 2)).min() > 9
    found = found_in(patterns, correction=Correction(np.ones(size, bool), saturation=255))
    return found, place


def test_saturated_middle_of_a_spot():
    found, place = saturated()
    assert (found.number >= 1).all()
    assert found.number.mean() < 1.1
    peaks = [of_pattern(found, i) for i in range(len(found.number))]
    brightest = [p["intensity"].argmax() for p in peaks]
    for name, truth in zip(("row", "column"), place, strict=True):
        pull = [
            (p[name][k] - truth) / p[f"{name}_error"][k]
            for p, k in zip(peaks, brightest, strict=True)
        ]
        assert np.median(np.abs(pull)) < 1.0
    totals = [p["intensity"].max() for p in peaks]
    assert np.median(totals) == pytest.approx(2e4, rel=0.05)


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
@pytest.mark.parametrize("where", [np.s_[:, 40, 74], np.s_[:, 3::11, 5::13], np.s_[:, :, 80:84]])
def test_pixels_marked_with_the_largest_value_are_missing_and_not_bright(dtype, where):
    rng = np.random.default_rng(0)
    places = [(30.0, 30.0), (64.0, 64.0), (100.0, 70.0), (50.0, 100.0), (40.0, 66.0)]
    mean = expected_counts(SPOT, (128, 128), places, 1.5e3, 1.0)
    patterns = rng.poisson(mean, (4, 128, 128)).astype(dtype)
    mask = np.ones((128, 128), bool)
    mask[where[1:]] = False
    masked = found_in(patterns, correction=Correction(mask))
    most = np.iinfo(dtype).max
    patterns[where] = most
    marked = found_in(patterns, correction=Correction(np.ones_like(mask), saturation=float(most)))
    assert (masked.number == 5).all()
    assert marked.number.tolist() == masked.number.tolist()
    for name in ("row", "column"):
        np.testing.assert_allclose(marked.columns[name], masked.columns[name], atol=0.01)
    for name in ("bright_field", "noise"):
        np.testing.assert_allclose(marked.maps[name], masked.maps[name], rtol=1e-6)


@pytest.mark.parametrize("value", [200, 1000, 60000])
def test_a_hot_pixel_that_nobody_masked_is_told_by_its_errors(value):
    """It stands out but has not the shape: the misfit leaves its intensity insignificant."""
    seen = np.random.default_rng(0).poisson(1.0, (20, 96, 96)).astype(np.uint16)
    without = found_in(seen).number
    seen[:, 30, 61] = value
    found = found_in(seen)
    assert found.number.sum() <= without.sum()
    near = np.hypot(found.columns["row"] - 30, found.columns["column"] - 61) < 12
    assert not near.any()


def test_patterns_without_counts_have_no_peaks():
    found = found_in(np.zeros((3, 64, 64), np.uint16))
    assert (found.number == 0).all()
    assert np.isnan(found.maps["beam_row"]).all()
    assert (found.maps["bright_field"] == 0).all()


@pytest.mark.parametrize("value", [np.nan, 500.0])
def test_patterns_without_usable_pixels_are_told(value):
    rng = np.random.default_rng(0)
    mean = expected_counts(SPOT, (64, 64), [(31.5, 31.5)], 1e3, 1.0)
    patterns = rng.poisson(mean, (3, 64, 64)).astype(np.float32)
    alone = found_in(patterns[[0, 2]])
    patterns[1] = value
    found = found_in(patterns, correction=Correction(np.ones((64, 64), bool), saturation=500.0))
    assert found.number.tolist() == [alone.number[0], -1, alone.number[1]]
    assert all(np.isnan(m[1]) for m in found.maps.values())
    for name, values in alone.columns.items():
        np.testing.assert_array_equal(found.columns[name], values)


def test_missing_rows_are_as_good_as_masked_ones():
    rng = np.random.default_rng(0)
    places = [(31.5, 31.5), (12.0, 40.0), (50.2, 20.0)]
    mean = expected_counts(SPOT, (64, 64), places, 1e3, 1.0)
    patterns = rng.poisson(mean, (4, 64, 64)).astype(np.float32)
    mask = np.ones((64, 64), bool)
    mask[20:23] = False
    masked = found_in(patterns, correction=Correction(mask))
    patterns[:, 20:23] = np.nan
    missing = found_in(patterns)
    assert (masked.number == 3).all()
    assert missing.number.tolist() == masked.number.tolist()
    for name in ("row", "column"):
        np.testing.assert_allclose(missing.columns[name], masked.columns[name], atol=0.01)


def some_patterns(size=(80, 120), n=5):
    rng = np.random.default_rng(0)
    places = lattice(rng, size, 24)
    mean = expected_counts(SPOT, size, places, rng.uniform(300, 2e3, len(places)), 1.0)
    return rng.poisson(mean, (n, *size))


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float64", ">u2", ">f4", "bool"])
def test_types_make_no_difference(dtype):
    patterns = some_patterns()
    if dtype == "bool":
        patterns = np.minimum(patterns, 1)
    assert patterns.max() < 256
    expected = found_in(patterns.astype(np.uint16))
    found = found_in(patterns.astype(dtype))
    assert found.number.tolist() == expected.number.tolist()
    for name, values in expected.columns.items():
        np.testing.assert_allclose(found.columns[name], values, rtol=1e-5)


def test_views_are_read_as_they_are_seen():
    patterns = some_patterns().astype(np.uint16)
    turned = np.ascontiguousarray(patterns.transpose(0, 2, 1)).transpose(0, 2, 1)
    for name, values in found_in(patterns).columns.items():
        np.testing.assert_array_equal(found_in(turned).columns[name], values)


def test_a_pattern_is_found_the_same_alone_in_any_order_and_again():
    patterns = some_patterns(n=7).astype(np.uint16)
    patterns[3] = 0
    together = found_in(patterns)
    again, backwards = found_in(patterns), found_in(patterns[::-1])
    for i in range(7):
        alone = found_in(patterns[i : i + 1])
        for name, values in of_pattern(together, i).items():
            for other, k in ((again, i), (backwards, 6 - i), (alone, 0)):
                np.testing.assert_array_equal(of_pattern(other, k)[name], values)
        for name, values in together.maps.items():
            np.testing.assert_array_equal(alone.maps[name][0], values[i])


def test_more_peaks_than_there_was_room_for():
    """The table grows while patterns are registered."""
    patterns = some_patterns(size=(256, 256), n=80).astype(np.uint16)
    found = found_in(patterns, max_peaks=500)
    assert found.number.sum() > 64 * 80 + 500
    for i in (0, 41, 79):
        alone = found_in(patterns[i : i + 1])
        np.testing.assert_array_equal(of_pattern(found, i)["row"], alone.columns["row"])


def test_of_too_many_the_strongest():
    patterns = some_patterns().astype(np.uint16)
    found, best = found_in(patterns), found_in(patterns, max_peaks=4)
    assert (best.number == 4).all()
    for i in range(len(patterns)):
        strongest = np.sort(of_pattern(found, i)["intensity"])[-4:]
        np.testing.assert_allclose(np.sort(of_pattern(best, i)["intensity"]), strongest)
    assert (np.diff(of_pattern(best, 0)["row"]) >= 0).all()


def test_scores_are_about_one_over_the_relative_error_of_faint_spots():
    rng = np.random.default_rng(0)
    places = lattice(rng, (200, 200), 25)
    mean = expected_counts(SPOT, (200, 200), places, 600.0, 30.0)
    found = found_in(rng.poisson(mean)[None].astype(np.uint16), background=30.0)
    peaks = found.columns
    ratio = peaks["score"] / (peaks["intensity"] / peaks["intensity_error"])
    assert 1.0 < np.median(ratio) < 1.3


def test_gain_of_the_detector():
    """Counts of 5 per electron and read-out noise: errors and false alarms as before."""
    rng = np.random.default_rng(0)
    size, gain, floor = (160, 160), 5.0, 9.0
    places = lattice(rng, size, 32)
    mean = expected_counts(SPOT, size, places, 1e3, 2.0)
    seen = gain * rng.poisson(mean, (20, *size)) + rng.normal(0, math.sqrt(floor), (20, *size))
    found = found_in(seen.astype(np.float32), gain=gain, floor=floor, background=2 * gain)
    assert found.number.mean() == pytest.approx(len(places), abs=0.2)
    pulls = []
    for i in range(20):
        nearest, _ = matched(found, i, places, 1.5)
        peaks = of_pattern(found, i)
        pulls.append((peaks["row"][nearest] - places[:, 0]) / peaks["row_error"][nearest])
    assert rms(np.ravel(pulls)) == pytest.approx(1, abs=0.15)
    assert np.median(found.columns["intensity"]) == pytest.approx(5e3, rel=0.03)


def test_negative_values_of_dark_subtracted_frames():
    rng = np.random.default_rng(0)
    seen = rng.normal(0, 3, (20, 128, 128)).astype(np.float32)
    found = found_in(seen, floor=9.0, background=0.01, false_alarms=1.0)
    assert 0.4 < found.number.mean() < 2


@pytest.mark.parametrize(
    ("shape", "beam", "size"),
    [
        ((64, 64), (1, 2), (64, 64)),
        ((1, 64, 64), (2, 2), (64, 64)),
        ((1, 64, 60), (1, 2), (64, 64)),
    ],
)
def test_shapes_that_do_not_belong_together(shape, beam, size):
    with pytest.raises(InputError, match="do not belong together"):
        find_peaks(np.zeros(shape), Finder(shape=SPOT), usable(size), np.zeros(beam))


def test_patterns_too_small_for_their_spots():
    with pytest.raises(InputError, match="too small"):
        found_in(np.zeros((1, 24, 64)), SpotShape(sigma=4.0))


@pytest.mark.parametrize("noise", [{"gain": 0.0}, {"floor": -1.0}, {"gain": math.nan}])
def test_variances_that_cannot_be(noise):
    with pytest.raises(InputError, match="cannot be"):
        Finder(shape=SPOT, **noise)


def test_no_patterns():
    found = found_in(np.zeros((0, 64, 64), np.uint16))
    assert found.number.size == 0
    assert all(values.size == 0 for values in found.columns.values())
