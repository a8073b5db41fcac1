from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import ndimage

from phaseloom.crystals import gold, lithium_iron_phosphate
from phaseloom.diffraction import Peaks, register
from phaseloom.diffraction.beam.centre_of_mass import centre_of_mass
from phaseloom.diffraction.beam.centring import Beam, beam_of_sample, beam_plane
from phaseloom.diffraction.beam.friedel import symmetry
from phaseloom.diffraction.beam.radial import has_stop, radial_centre
from phaseloom.errors import InputError, InputWarning
from phaseloom.simulate import Camera, random_orientations, simulate_scan

SCAN = (40, 50)
SIZE = (128, 144)
FIFTY = 50 / (2 * np.pi * 1.8**2)
"""Height of a beam of fifty counts."""


def add_spots(image, places, heights, sigma=None, radius=None):
    row, column = np.indices(image.shape)
    if radius is None:
        along = [
            np.exp(-((np.arange(n)[:, None] - np.array(places)[:, i]) ** 2) / (2 * sigma**2))
            for i, n in enumerate(image.shape)
        ]
        image += (along[0] * np.array(heights)) @ along[1].T
        return
    for place, height in zip(places, heights, strict=True):
        away = np.hypot(row - place[0], column - place[1])
        if not (-radius < place[0] < image.shape[0] + radius):
            continue
        image += height / (1 + np.exp(np.clip((away - radius) / 0.5, -50, 50)))


def positions(n=64):
    side = int(np.sqrt(n))
    y = ((np.arange(side) + 0.5) * SCAN[0] / side).astype(int)
    x = ((np.arange(side) + 0.5) * SCAN[1] / side).astype(int)
    return np.stack(np.meshgrid(y, x, indexing="ij"), -1).reshape(-1, 2)


def simulate(
    *,
    descan=((0.3, -0.2), (0.15, 0.35)),
    beam=300.0,
    reflections=200.0,
    brighter=0.0,
    background=1.0,
    sigma=1.8,
    radius=None,
    one_grain=False,
    absent=0.0,
    symmetric=False,
    seed=0,
):
    """Patterns at 64 scan positions, and the true beam position of each.

    Heights are peak counts. ``brighter``: share of patterns with a reflection three times as
    bright as the beam.
    """
    rng = np.random.default_rng(seed)
    places = positions()
    truth = (
        np.array([58.3, 66.8]) + places @ np.array(descan) - np.array(SCAN) @ np.array(descan) / 2
    )
    row, column = np.indices(SIZE)
    patterns = np.empty((len(places), *SIZE), dtype=np.float32)
    grain = None
    for i, centre in enumerate(truth):
        if grain is None or not one_grain:
            turn = rng.uniform(0, np.pi)
            spacing = rng.uniform(12, 19, 2) if radius is None else rng.uniform(26, 32, 2)
            a = spacing[0] * np.array([np.cos(turn), np.sin(turn)])
            b = spacing[1] * np.array([-np.sin(turn + 0.2), np.cos(turn + 0.2)])
            hk = np.array([(h, k) for h in range(-7, 8) for k in range(-7, 8) if (h, k) != (0, 0)])
            vectors = hk @ np.stack([a, b])
            strength = rng.lognormal(0, 0.8, len(hk))
            if symmetric:
                strength = np.sqrt(strength * strength[::-1])
            strength *= reflections * np.exp(-np.hypot(*vectors.T) / 25)
            grain = vectors, strength
        vectors, strength = grain[0], grain[1].copy()
        if rng.random() < brighter:
            strength[np.argsort(np.hypot(*vectors.T))[rng.integers(4)]] = 3 * beam
        away = np.hypot(row - centre[0], column - centre[1])
        image = background * (0.2 + np.exp(-away / 25))
        height = 0.0 if rng.random() < absent else beam
        add_spots(image, [centre, *(centre + vectors)], [height, *strength], sigma, radius)
        patterns[i] = rng.poisson(image)
    return patterns, places, truth


def rms(beam, places, truth):
    return float(np.sqrt(((np.stack(beam.at(*places.T), 1) - truth) ** 2).mean()))


class TestBeamOfSample:
    @pytest.mark.parametrize("seed", range(2))
    def test_descan_is_followed(self, seed):
        patterns, places, truth = simulate(seed=seed)
        beam = beam_of_sample(patterns, places)
        assert not beam.hidden
        assert rms(beam, places, truth) < 0.1
        np.testing.assert_allclose(beam.slopes, ((0.3, -0.2), (0.15, 0.35)), atol=0.008)
        assert beam.radius == pytest.approx(1.8 * 1.1774, rel=0.1)
        assert beam.scatter < 0.3

    @pytest.mark.parametrize(
        ("seeds", "scene"),
        [
            (3, {"brighter": 0.8}),
            (3, {"one_grain": True, "reflections": 450, "symmetric": True}),
            (2, {"beam": FIFTY, "reflections": 0.5 * FIFTY, "background": 0.02}),
            (2, {"absent": 0.12}),
        ],
        ids=["a brighter spot", "a reflection always brighter", "fifty counts", "a tenth absent"],
    )
    def test_the_beam_is_found_among_the_spots(self, seeds, scene):
        for seed in range(seeds):
            patterns, places, truth = simulate(**scene, seed=seed)
            assert rms(beam_of_sample(patterns, places), places, truth) < 0.1

    @pytest.mark.parametrize("seed", range(1))
    def test_discs(self, seed):
        patterns, places, truth = simulate(radius=8.0, beam=60, reflections=40, seed=seed)
        beam = beam_of_sample(patterns, places)
        assert rms(beam, places, truth) < 0.1
        assert beam.radius == pytest.approx(8, abs=0.5)

    @pytest.mark.parametrize("seed", range(2))
    @pytest.mark.parametrize("one_grain", [False, True])
    def test_hidden_beam_from_symmetry(self, seed, one_grain):
        patterns, places, truth = simulate(
            descan=((0.05, -0.02), (0.03, 0.06)),
            one_grain=one_grain,
            symmetric=one_grain,
            seed=seed,
        )
        row, column = np.indices(SIZE)
        stop = (np.hypot(row - 58, column - 66) < 9) | ((np.abs(row - 58) < 5) & (column < 66))
        patterns[:, stop] = np.nan
        beam = beam_of_sample(patterns, places)
        assert beam.hidden and np.isnan(beam.radius)
        assert rms(beam, places, truth) < 0.5

    def test_one_lopsided_crystal_behind_a_beam_stop_is_never_silently_wrong(self):
        row, column = np.indices(SIZE)
        stop = (np.hypot(row - 58, column - 66) < 9) | ((np.abs(row - 58) < 5) & (column < 66))
        for seed in range(4):
            patterns, places, truth = simulate(
                descan=((0.05, -0.02), (0.03, 0.06)), one_grain=True, seed=seed
            )
            patterns[:, stop] = np.nan
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always", InputWarning)
                beam = beam_of_sample(patterns, places, hidden=True)
            assert told or rms(beam, places, truth) < 0.5

    def test_one_lopsided_crystal_with_a_dim_beam_is_never_silently_wrong(self):
        for seed in range(3):
            patterns, places, truth = simulate(one_grain=True, reflections=450, seed=seed)
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always", InputWarning)
                beam = beam_of_sample(patterns, places)
            assert told or rms(beam, places, truth) < 0.1

    def test_nan_pixels_and_bad_regions_are_no_beams(self):
        patterns, places, truth = simulate(seed=1)
        patterns[:, 20:22] = np.nan
        patterns[:, :, 100] = np.nan
        mask = np.ones(SIZE, bool)
        mask[90:92, 30:32] = False
        patterns[:, 90:92, 30:32] = 1e5
        assert rms(beam_of_sample(patterns, places, mask=mask), places, truth) < 0.1

    def test_one_pattern_and_one_line(self):
        patterns, places, truth = simulate(seed=2, descan=((0, 0), (0.3, 0.1)))
        single = beam_of_sample(patterns[:1], places[:1])
        assert rms(single, places[:1], truth[:1]) < 0.15
        line = places[:, 0] == places[0, 0]
        assert rms(beam_of_sample(patterns[line], places[line]), places[line], truth[line]) < 0.2

    def test_scan_of_vacuum(self):
        patterns, places, truth = simulate(reflections=0.0, background=0.0, seed=3)
        assert rms(beam_of_sample(patterns, places), places, truth) < 0.1

    def test_scale_does_not_matter(self):
        patterns, places, truth = simulate(seed=0)
        assert rms(beam_of_sample(patterns * 1e-4, places), places, truth) < 0.1
        assert rms(beam_of_sample(patterns * 1e4, places), places, truth) < 0.1

    def test_larger_detector(self):
        patterns, places, truth = simulate(seed=5)
        large = np.random.default_rng(0).poisson(
            np.repeat(np.repeat(patterns[::4], 3, axis=1), 3, axis=2)
        )
        beam = beam_of_sample(large, places[::4])
        assert rms(beam, places[::4], truth[::4] * 3 + 1) < 0.35

    def test_patterns_without_a_common_spot_are_told(self):
        rng = np.random.default_rng(0)
        patterns = np.zeros((36, *SIZE), np.float32)
        for pattern in patterns:
            add_spots(pattern, rng.uniform(10, 118, (4, 2)), [100] * 4, 1.5)
        places = positions(36)
        with (
            pytest.warns(InputWarning, match="nearly as symmetric"),
            pytest.warns(InputWarning, match="direct beam shows in only"),
        ):
            beam_of_sample(rng.poisson(patterns), places)

    def test_bad_input_is_refused(self):
        with pytest.raises(InputError, match="empty"):
            beam_of_sample(np.zeros((4, 32, 32)), np.zeros((4, 2)))
        with pytest.raises(InputError, match="empty"):
            beam_of_sample(np.full((4, 32, 32), np.nan), np.zeros((4, 2)))
        with pytest.raises(InputError, match="do not belong together"):
            beam_of_sample(np.ones((4, 32, 32)), np.zeros((3, 2)))
        with pytest.raises(InputError, match="mask"):
            beam_of_sample(np.ones((4, 32, 32)), np.zeros((4, 2)), mask=np.ones((31, 32)))


class TestBeam:
    def test_maps_hold_the_plane(self):
        beam = Beam(10.0, 20.0, ((0.5, 0.1), (-0.2, 0.3)), 2.0, False, 0.1)
        rows, columns = beam.maps((3, 4))
        assert rows.shape == columns.shape == (3, 4)
        assert rows[2, 3] == pytest.approx(10 + 1.0 - 0.6)
        assert columns[2, 3] == pytest.approx(20 + 0.2 + 0.9)
        assert [float(v) for v in beam.at(2, 3)] == [rows[2, 3], columns[2, 3]]


class TestBeamPlane:
    shape = (30, 40)

    def measured(self, *, outliers=0.0, missing=0.0, noise=0.2, seed=0):
        rng = np.random.default_rng(seed)
        y, x = np.indices(self.shape)
        rows, columns = 64 + 0.4 * y - 0.1 * x, 60 - 0.2 * y + 0.3 * x
        errors = noise * rng.uniform(0.5, 2, self.shape)
        seen_rows, seen_columns = (
            v + errors * rng.normal(size=self.shape) for v in (rows, columns)
        )
        wrong = rng.random(self.shape) < outliers
        seen_rows[wrong] += rng.uniform(-40, 40, wrong.sum())
        seen_columns[wrong] += rng.uniform(-40, 40, wrong.sum())
        gone = rng.random(self.shape) < missing
        seen_rows[gone] = seen_columns[gone] = np.nan
        return rows, columns, seen_rows, seen_columns, errors

    @pytest.mark.parametrize("outliers", [0.0, 0.3, 0.7])
    @pytest.mark.parametrize("missing", [0.0, 0.5])
    def test_plane_in_spite_of_wrong_and_missing(self, outliers, missing):
        rows, columns, *seen = self.measured(outliers=outliers, missing=missing)
        centre_y, centre_x, scatter = beam_plane(*seen, self.shape)
        assert np.abs(centre_y - rows).max() < 0.12
        assert np.abs(centre_x - columns).max() < 0.12
        assert 0.15 < scatter < 0.35

    def test_each_keeps_measured_positions_near_the_plane(self):
        rows, columns, seen_rows, seen_columns, errors = self.measured(outliers=0.2, missing=0.2)
        centre_y, _centre_x, _ = beam_plane(seen_rows, seen_columns, errors, self.shape, each=True)
        assert np.isfinite(centre_y).all()
        assert np.abs(centre_y - rows).max() < 2.5
        right = np.hypot(seen_rows - rows, seen_columns - columns) < 0.5
        np.testing.assert_array_equal(centre_y[right], seen_rows[right])
        plain = beam_plane(seen_rows, seen_columns, errors, self.shape)[0]
        missing = np.isnan(seen_rows)
        np.testing.assert_array_equal(centre_y[missing], plain[missing])

    def test_no_plane_is_told_loudly(self):
        rng = np.random.default_rng(0)
        seen = rng.uniform(0, 256, (2, *self.shape))
        with pytest.warns(InputWarning, match="look at a few patterns"):
            beam_plane(*seen, np.full(self.shape, 0.1), self.shape)
        few = np.full((2, *self.shape), np.nan)
        few[:, ::10, ::10] = 50.0
        with pytest.warns(InputWarning, match=r"1\.0%"):
            beam_plane(*few, np.full(self.shape, 0.1), self.shape)

    def test_lines_and_single_patterns(self):
        line = 60 + 0.1 * np.arange(50)
        centre_y, centre_x, _ = beam_plane(line, -line, np.full(50, 0.1), (1, 50))
        np.testing.assert_allclose(centre_y[0], line, atol=1e-6)
        np.testing.assert_allclose(centre_x[0], -line, atol=1e-6)
        assert beam_plane([3.0], [4.0], [0.1], (1, 1))[:2] == (3.0, 4.0)

    def test_nothing_measured_is_refused(self):
        with pytest.raises(InputError, match="no pattern shows"):
            beam_plane(np.full(6, np.nan), np.full(6, np.nan), np.ones(6), (2, 3))
        with pytest.raises(InputError, match="do not fit"):
            beam_plane(np.ones(5), np.ones(5), np.ones(5), (2, 3))


class TestCentreOfMass:
    def test_follows_the_spot_to_a_fraction_of_a_pixel(self):
        rng = np.random.default_rng(0)
        truth = rng.uniform(20, 44, (30, 2))
        patterns = np.zeros((30, 64, 64), np.float32)
        for pattern, place in zip(patterns, truth, strict=True):
            add_spots(pattern, [place], [100.0], 2.0)
        centre, mass = centre_of_mass(patterns, truth + rng.uniform(-3, 3, truth.shape), 16)
        assert np.abs(centre - truth).max() < 0.1
        np.testing.assert_allclose(mass, 2 * np.pi * 4 * 100, rtol=0.01)

    def test_nan_does_not_count_and_empty_windows_say_so(self):
        patterns = np.zeros((3, 32, 32), np.float32)
        add_spots(patterns[0], [(16, 16)], [100.0], 1.5)
        patterns[0, 2, 2] = np.nan
        patterns[2, 30, 30] = 1
        centre, mass = centre_of_mass(patterns, [(15, 15), (15, 15), (15, 15)], 10)
        np.testing.assert_allclose(centre[0], 16, atol=0.1)
        assert np.isnan(centre[1:]).all() and (mass[1:] == 0).all()


def test_symmetry_is_the_correlation_with_the_reflection():
    rng = np.random.default_rng(0)
    patterns = rng.normal(size=(2, 7, 9)).astype(np.float32)
    patterns[1, rng.random((7, 9)) < 0.2] = np.nan
    found = symmetry(patterns, overlap=0.2)
    for n, pattern in enumerate(patterns):
        for s in np.ndindex(13, 17):
            pairs = [
                (pattern[i, j], pattern[s[0] - i, s[1] - j])
                for i, j in np.ndindex(pattern.shape)
                if 0 <= s[0] - i < 7 and 0 <= s[1] - j < 9
            ]
            both = np.array([p for p in pairs if np.isfinite(p).all()])
            if len(both) > 0.2 * np.isfinite(pattern).sum():
                expected = np.corrcoef(both.T)[0, 1]
                assert found[(n, *s)] == pytest.approx(expected, abs=1e-3)
            else:
                assert found[(n, *s)] == 0


@pytest.mark.parametrize("shape", ["disc", "bar"])
@pytest.mark.parametrize("crystal", ["au", "lfp"])
def test_one_orientation_behind_a_beam_stop(shape, crystal):
    """Its reflections are in all patterns alike: the diffuse background tells the centre."""
    sample = random_orientations((5, 6))
    for name in ("rotation", "rotation_2"):
        sample[name].values = np.broadcast_to(sample[name].values[0, 0], sample[name].shape)
    centre = (61.3, 66.8)
    camera = Camera(
        shape=(128, 128), pixel_size=0.02, sigma=1.5, centre=centre, background_width=20
    )
    crystals = {"au": gold(), "lfp": lithium_iron_phosphate()}
    scan, truth = simulate_scan(sample, [crystals[crystal]], camera=camera, noise=False)
    y, x = np.indices((128, 128))
    stop = np.hypot(y - 62, x - 66) < 8 if shape == "disc" else (abs(y - 62) < 5) & (x > 61)
    mean = np.where(stop, 0, scan["counts"].to_numpy())
    counts = np.random.default_rng(0).poisson(mean)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", InputWarning)
        peaks = register(counts.astype(np.uint16), mask=~stop)
    found = np.hypot(peaks["centre_y"] - centre[0], peaks["centre_x"] - centre[1])
    assert peaks.attrs["beam_hidden"]
    assert float(found.max()) < (2 if told else 0.5)
    places = np.stack(Peaks(peaks).on_detector(), axis=1)
    at_edge = ndimage.distance_transform_edt(~stop)[tuple(np.rint(places).astype(int).T)] < 3
    # The first entries of the truth are the direct beam; what a spot leaves beside the stop is one.
    true = np.stack(Peaks(truth).on_detector(), axis=1)
    away = np.hypot(*(places[at_edge, None] - true).T).min(axis=0)
    assert (away > 4).sum() < 0.05 * 30


def test_centre_of_a_round_background_with_reflections_on_one_side():
    rng = np.random.default_rng(0)
    row, column = np.indices((96, 120))
    away = np.hypot(row - 43.2, column - 66.1)
    mean = 2 + 40 * np.exp(-away / 15)
    for v, u in rng.uniform(5, 90, (12, 2)):
        mean += 60 * np.exp(-((row - v) ** 2 + (column - u) ** 2) / 5)
    patterns = rng.poisson(mean, (12, 96, 120)).astype(np.float32)
    patterns[:, away < 9] = np.nan
    assert has_stop(np.isfinite(patterns[0]))
    np.testing.assert_allclose(radial_centre(patterns), (43.2, 66.1), atol=0.6)
    flat = rng.poisson(5.0, (4, 96, 120)).astype(np.float32)
    assert radial_centre(flat) is None
