from __future__ import annotations

import numpy as np
import pytest

from phaseloom.diffraction.detector.correction import (
    Correction,
    corrected,
    make_correction,
    scan_mean,
)
from phaseloom.diffraction.detector.outlying import find_beam_stop, outlying_pixels
from phaseloom.errors import InputError, InputWarning

SHAPE = (96, 128)
ROW, COLUMN = np.indices(SHAPE)
MIDDLE = (47.3, 62.6)


def spot(row, column, sigma, height):
    return height * np.exp(-((ROW - row) ** 2 + (COLUMN - column) ** 2) / (2 * sigma**2))


def background(level, width=30.0):
    return level * np.exp(-np.hypot(ROW - MIDDLE[0], COLUMN - MIDDLE[1]) / width)


def zone_axis(sigma, height, spacing=9.3, envelope=25.0):
    """A pattern of many spots on a square lattice, the beam brightest."""
    total = np.zeros(SHAPE)
    for i in range(-9, 10):
        for j in range(-9, 10):
            away = np.array([0.96 * i + 0.27 * j, -0.27 * i + 0.96 * j]) * spacing
            factor = np.exp(-(away @ away) / (2 * envelope**2))
            total += spot(MIDDLE[0] + away[0], MIDDLE[1] + away[1], sigma, height * factor)
    return total


BAD = [(10, 20), (60, 100), (80, 5), (30, 90), (0, 7), (95, 64)]


class TestCorrected:
    def test_is_raw_less_dark_times_gain_with_nan_where_unusable(self):
        rng = np.random.default_rng(0)
        raw = rng.integers(0, 60000, (3, 5, 7)).astype(np.uint16)
        dark, gain = rng.random((5, 7), "f4") * 9, rng.random((5, 7), "f4") + 0.5
        mask = rng.random((5, 7)) > 0.2
        out = corrected(raw, Correction(mask, dark, gain, 50000))
        assert out.dtype == np.float32
        for n, i, j in np.ndindex(raw.shape):
            if mask[i, j] and raw[n, i, j] < 50000:
                expected = (np.float32(raw[n, i, j]) - dark[i, j]) * gain[i, j]
                assert out[n, i, j] == pytest.approx(expected, rel=1e-6)
            else:
                assert np.isnan(out[n, i, j])

    @pytest.mark.parametrize("dtype", [">u2", "<u2", ">i4", "<f4", ">f8", "u1"])
    def test_does_not_depend_on_how_numbers_are_stored(self, dtype):
        raw = np.arange(120).reshape(2, 6, 10)
        plain = Correction(np.ones((6, 10), bool))
        np.testing.assert_array_equal(corrected(raw.astype(dtype), plain), raw.astype("f4"))

    def test_negative_values_stay_and_what_is_not_finite_goes(self):
        raw = np.array([[[-3.0, np.nan, np.inf, -np.inf]]])
        out = corrected(raw, Correction(np.ones((1, 4), bool)))
        assert out[0, 0, 0] == -3 and np.isnan(out[0, 0, 1:]).all()


class TestMakeCorrection:
    raw = np.random.default_rng(1).poisson(5, (8, *SHAPE)).astype(np.uint16)

    def test_knows_what_is_given(self):
        gain = np.ones(SHAPE)
        gain[3, 4], gain[5, 6], gain[7, 8] = 0, np.nan, -1
        dark = np.zeros(SHAPE)
        dark[9, 9] = np.nan
        mask = np.ones(SHAPE, bool)
        mask[1, 1] = False
        found = make_correction(self.raw, dark=dark, gain=gain, mask=mask, saturation=4000)
        unusable = [tuple(p) for p in np.argwhere(~found.mask)]
        assert unusable == [(1, 1), (3, 4), (5, 6), (7, 8), (9, 9)]
        assert found.saturation == 4000

    @pytest.mark.parametrize("name", ["dark", "gain", "mask"])
    def test_refuses_images_of_another_shape(self, name):
        with pytest.raises(InputError, match=r"\(128, 96\).*\(96, 128\)"):
            make_correction(self.raw, **{name: np.ones(SHAPE).T})

    def test_refuses_what_leaves_nothing(self):
        with pytest.raises(InputError, match="no usable pixel"):
            make_correction(self.raw, mask=np.zeros(SHAPE))
        with pytest.raises(InputError, match="no usable pixel"):
            make_correction(self.raw, gain=-np.ones(SHAPE))
        with pytest.raises(InputError, match="positive"):
            make_correction(self.raw, saturation=0)
        with pytest.raises(InputError, match="series"):
            make_correction(self.raw[0])

    def test_empty_and_saturated_frames_pass(self):
        assert make_correction(np.zeros((4, *SHAPE), "u2")).mask.all()
        full = make_correction(np.full((4, *SHAPE), 65535, "u2"), saturation=65535)
        assert np.isnan(corrected(self.raw + np.uint16(65530), full)[self.raw == 5]).all()

    def test_the_makers_mark_of_an_unusable_pixel_is_understood(self):
        raw = self.raw.astype(np.uint32)
        raw[:, 40:44] = 2**32 - 1
        found = make_correction(raw)
        assert np.isnan(corrected(raw, found)[:, 40:44]).all()
        assert np.isfinite(corrected(raw, found)[:, 50:]).all()

    def test_many_bad_pixels_are_told(self):
        raw = self.raw.copy() + np.uint16(100)
        raw[:, 2::5, 2::5] = 0
        with pytest.warns(InputWarning, match=r"4\.\d%"):
            found = make_correction(raw)
        assert (~found.mask[2::5, 2::5]).all() and found.mask.mean() > 0.95

    def test_beam_stop_only_when_asked(self):
        clean = background(200.0) + 5
        clean[40:55, :70] = 0.5
        raw = np.random.default_rng(2).poisson(clean, (8, *SHAPE)).astype("u2")
        assert make_correction(raw, hot=False).mask.all()
        assert not make_correction(raw, beam_stop=True).mask[47, 10:66].any()


class TestOutlyingPixels:
    @staticmethod
    def check(clean, *, n=64, hot_adds=None, dead=True, seed=0):
        """Draw counts, break pixels, and demand exactly those back."""
        patterns = np.random.default_rng(seed).poisson(clean, (n, *SHAPE)).astype(float)
        hot_places, dead_places = BAD[:3], BAD[3:] if dead else []
        for place in hot_places if hot_adds else []:
            patterns[(slice(None), *place)] += hot_adds
        for place in dead_places:
            patterns[(slice(None), *place)] = 0
        found_dead, found_hot = outlying_pixels(patterns)
        assert {tuple(p) for p in np.argwhere(found_hot)} == set(hot_places if hot_adds else [])
        assert {tuple(p) for p in np.argwhere(found_dead)} == set(dead_places)

    @pytest.mark.parametrize("level", [1.0, 20.0, 1000.0])
    def test_broken_pixels_on_flat_counts(self, level):
        self.check(np.full(SHAPE, level), hot_adds=10 * level)

    @pytest.mark.parametrize("level", [0.002, 0.05, 0.3])
    def test_nothing_on_sparse_counts(self, level):
        for seed in range(5):
            self.check(np.full(SHAPE, level), dead=False, seed=seed)

    def test_hot_pixel_on_sparse_counts(self):
        self.check(np.full(SHAPE, 0.05), hot_adds=2.0, dead=False)

    @pytest.mark.parametrize("sigma", [0.7, 1.0, 2.0, 4.0])
    @pytest.mark.parametrize("height", [3.0, 1e3, 1e6])
    def test_stationary_zone_axis_pattern_keeps_its_spots(self, sigma, height):
        self.check(zone_axis(sigma, height), dead=False)
        self.check(zone_axis(sigma, height) + background(3.0), dead=False)

    @pytest.mark.parametrize("spacing", [3.5, 5.0, 7.0])
    def test_sharp_spots_close_together(self, spacing):
        self.check(zone_axis(1.0, 1e5, spacing=spacing), dead=False)

    @pytest.mark.parametrize("place", [(47, 62), (47.5, 62.5), (47.5, 62)])
    def test_sharp_direct_beam_is_kept(self, place):
        self.check(spot(*place, 1.0, 1e5) + background(5.0), dead=False)
        self.check(spot(*place, 0.7, 1e5) + 0.05, dead=False)

    def test_reflections_that_come_and_go(self):
        rng = np.random.default_rng(3)
        patterns = rng.poisson(background(5.0) + spot(*MIDDLE, 1.0, 500.0), (64, *SHAPE)).astype(
            float
        )
        for number in range(len(patterns)):
            for place in rng.uniform(0, 90, (20, 2)):
                patterns[number] += rng.poisson(spot(*place, 1.0, 300.0))
        patterns[:, 20, 20] += 60
        patterns[:, 40, 60] = 0
        dead, hot = outlying_pixels(patterns)
        assert np.argwhere(hot).tolist() == [[20, 20]]
        assert np.argwhere(dead).tolist() == [[40, 60]]

    def test_one_cosmic_ray_is_not_a_hot_pixel(self):
        patterns = np.random.default_rng(4).poisson(2.0, (64, *SHAPE)).astype(float)
        patterns[17, 30, 30] = 1e5
        assert not outlying_pixels(patterns)[1].any()

    def test_single_pattern_with_gain(self):
        counts = np.random.default_rng(5).poisson(zone_axis(1.5, 1e4) + 500, (1, *SHAPE)) * 37.5
        counts[0, 10, 20] = 0
        counts[0, 70, 20] += 37.5 * 3000
        dead, hot = outlying_pixels(counts)
        assert np.argwhere(dead).tolist() == [[10, 20]]
        assert np.argwhere(hot).tolist() == [[70, 20]]

    def test_lines_pairs_and_gaps(self):
        patterns = np.random.default_rng(6).poisson(20.0, (32, *SHAPE)).astype(float)
        patterns[:, :, 33] = 0
        patterns[:, 10, 50:52] += 900
        patterns[:, 60:64] = 0
        patterns[:, :, 120:] = 0
        dead, hot = outlying_pixels(patterns)
        expected = np.zeros(SHAPE, bool)
        expected[:, 33] = expected[60:64] = expected[:, 120:] = True
        np.testing.assert_array_equal(dead, expected)
        assert np.argwhere(hot).tolist() == [[10, 50], [10, 51]]

    def test_nan_is_dead_and_disturbs_nothing(self):
        patterns = np.random.default_rng(7).poisson(20.0, (8, *SHAPE)).astype(float)
        patterns[:, 5:9, 5] = np.nan
        patterns[3, 50, 50] = np.nan
        dead, hot = outlying_pixels(patterns)
        assert np.argwhere(dead).tolist() == [[5, 5], [6, 5], [7, 5], [8, 5]]
        assert not hot.any()


class TestBeamStop:
    @pytest.mark.parametrize("level", [3.0, 300.0])
    @pytest.mark.parametrize("kind", ["finger", "disc"])
    def test_shadow_is_found_whole_and_alone(self, level, kind):
        shadow = np.zeros(SHAPE, bool)
        if kind == "finger":
            shadow[42:52, :70] = True
        else:
            shadow |= np.hypot(ROW - MIDDLE[0], COLUMN - MIDDLE[1]) < 9
        clean = background(level * 20) + zone_axis(1.5, level * 10) + level / 10
        clean = np.where(shadow, clean * 0.02, clean)
        patterns = np.random.default_rng(8).poisson(clean, (16, *SHAPE))
        found = find_beam_stop(patterns)
        assert found[shadow].mean() > 0.97
        assert found[~shadow].mean() < 0.06

    def test_nothing_where_there_is_none(self):
        for clean in (background(100.0), zone_axis(1.5, 500.0) + background(20.0)):
            patterns = np.random.default_rng(9).poisson(clean, (16, *SHAPE))
            assert not find_beam_stop(patterns).any()


class TestScanMean:
    @staticmethod
    def reference(block):
        """Mean of what is there, position by position."""
        out = np.empty(block.shape, np.float32)
        for y, x in np.ndindex(block.shape[:2]):
            near = block[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].astype(float)
            near = near.reshape(-1, *block.shape[2:])
            there = np.isfinite(near)
            with np.errstate(invalid="ignore"):
                out[y, x] = np.where(there, near, 0).sum(0) / there.sum(0)
        return out

    @pytest.mark.parametrize("dtype", [">u2", "u1", "<i4", ">f4", "f8"])
    @pytest.mark.parametrize("shape", [(5, 6, 4, 3), (1, 1, 2, 2), (1, 7, 2, 3), (6, 1, 3, 2)])
    def test_is_the_plain_mean_of_neighbours(self, dtype, shape):
        block = np.random.default_rng(0).integers(0, 255, shape).astype(dtype)
        out = scan_mean(block, above=False, below=False)
        assert out.dtype == np.float32
        np.testing.assert_allclose(out, self.reference(block), rtol=1e-6)

    def test_blocks_with_halo_give_what_the_whole_gives(self):
        scan = np.random.default_rng(1).normal(size=(9, 5, 4, 4))
        whole = scan_mean(scan, above=False, below=False)
        np.testing.assert_allclose(scan_mean(scan[2:7]), whole[3:6], rtol=2e-6, atol=1e-6)
        np.testing.assert_allclose(
            scan_mean(scan[:4], above=False), whole[:3], rtol=2e-6, atol=1e-6
        )

    def test_nan_does_not_count(self):
        scan = np.random.default_rng(2).normal(size=(5, 6, 3, 3))
        scan[np.random.default_rng(3).random(scan.shape) < 0.3] = np.nan
        scan[:, :, 1, 1] = np.nan
        out = scan_mean(scan, above=False, below=False)
        np.testing.assert_allclose(out, self.reference(scan), rtol=1e-5, atol=1e-6)
        assert np.isnan(out[:, :, 1, 1]).all()

    def test_a_block_needs_rows_of_its_own(self):
        with pytest.raises(InputError, match="rows of its own"):
            scan_mean(np.zeros((2, 3, 4, 4)))
