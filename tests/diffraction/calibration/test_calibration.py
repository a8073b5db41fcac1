from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tifffile

from phaseloom.diffraction.calibration.calibration import (
    Calibration,
    calibrate_rings,
    read_calibration,
)
from phaseloom.diffraction.calibration.geometry import stretch
from phaseloom.errors import InputError, InputWarning

INDEX = np.array(
    [
        (h, k, m)
        for h in range(-9, 10)
        for k in range(-9, 10)
        for m in range(-9, 10)
        if h % 2 == k % 2 == m % 2 and (h, k, m) != (0, 0, 0)
    ]
)
"""Reflections of a face-centred cubic lattice."""


def face_centred(a, limit=2.2):
    """1/d and multiplicity of the reflections of a face-centred cubic lattice."""
    square, number = np.unique((INDEX**2).sum(1), return_counts=True)
    k = np.sqrt(square) / a
    return k[k < limit], number[k < limit]


GOLD, GOLD_NUMBER = face_centred(4.0782)


def distortion_of(ratio, angle):
    """What turns rings of that axis ratio, major axis at that angle, into circles."""
    turn = np.radians(angle)
    major = np.array([np.sin(turn), np.cos(turn)])
    along = np.outer(major, major)
    return along / np.sqrt(ratio) + (np.eye(2) - along) * np.sqrt(ratio)


def ring_pattern(
    *,
    pixel_size=0.0101,
    ratio=1.0,
    angle=0.0,
    centre=(127.5, 127.5),
    peak=1000.0,
    size=(256, 256),
    k=GOLD,
    heights=None,
    width=2.0,
    beam=50.0,
    texture=0.0,
    seed=0,
):
    row, column = np.indices(size)
    offset = np.stack([row - centre[0], column - centre[1]]).reshape(2, -1)
    y, x = distortion_of(ratio, angle) @ offset
    radius, azimuth = np.hypot(y, x), np.arctan2(y, x)
    if heights is None:
        # powder intensity ∝ multiplicity × f² / circumference
        heights = GOLD_NUMBER * np.exp(-2.5 * k**2) / k
        heights = heights / heights.max()
    image = peak * (1.0 * np.exp(-radius / 25) + beam * np.exp(-(radius**2) / (2 * 5.0**2)) + 0.05)
    for i, (k_ring, height) in enumerate(zip(k, heights, strict=True)):
        ring = np.exp(-((radius - k_ring / pixel_size) ** 2) / (2 * width**2))
        image += peak * height * ring * (1 + texture * np.cos(2 * azimuth + i))
    return np.random.default_rng(seed).poisson(image).reshape(size).astype(np.float32)


class TestRings:
    @pytest.mark.parametrize("peak", [100.0, 1e4])
    @pytest.mark.parametrize(
        ("ratio", "angle", "centre"),
        [
            (1.0, 0.0, (127.5, 127.5)),
            (1.02, 30.0, (141.3, 113.8)),
            (1.05, 120.0, (119.1, 145.6)),
            (1.05, 0.0, (108.2, 133.3)),
        ],
    )
    def test_truth_comes_back(self, peak, ratio, angle, centre):
        found = calibrate_rings(
            ring_pattern(peak=peak, ratio=ratio, angle=angle, centre=centre), GOLD
        )
        assert found.pixel_size == pytest.approx(0.0101, rel=1e-3)
        assert found.ratio == pytest.approx(ratio, abs=0.002)
        np.testing.assert_allclose(found.centre, centre, atol=0.2)
        np.testing.assert_allclose(found.distortion, distortion_of(ratio, angle), atol=0.002)
        assert np.linalg.det(found.distortion) == pytest.approx(1)
        if ratio > 1:
            assert abs((found.angle - angle + 90) % 180 - 90) < 3
        assert abs(found.pixel_size - 0.0101) < 5 * found.pixel_size_error + 2e-6
        assert found.number >= 4

    def test_any_pixel_size_without_a_guess(self):
        for pixel_size in (0.0075, 0.0135, 0.018):
            pattern = ring_pattern(pixel_size=pixel_size, ratio=1.03, angle=70, width=1.4)
            found = calibrate_rings(pattern, GOLD)
            assert found.pixel_size == pytest.approx(pixel_size, rel=1e-3)

    def test_errors_are_of_the_right_size(self):
        found = [
            calibrate_rings(ring_pattern(peak=100, ratio=1.03, angle=40, seed=s), GOLD)
            for s in range(5)
        ]
        pulls = np.array(
            [
                [
                    (f.pixel_size - 0.0101) / f.pixel_size_error,
                    (f.ratio - 1.03) / f.ratio_error,
                    (f.angle - 40) / f.angle_error,
                    (f.centre[0] - 127.5) / f.centre_error[0],
                    (f.centre[1] - 127.5) / f.centre_error[1],
                ]
                for f in found
            ]
        )
        assert 0.5 < np.sqrt((pulls**2).mean()) < 2.0

    def test_missing_extra_and_textured_rings(self):
        heights = GOLD_NUMBER * np.exp(-2.5 * GOLD**2) / GOLD
        heights = heights / heights.max()
        heights[2] = 0.0
        pattern = ring_pattern(heights=heights, texture=0.6, ratio=1.03, angle=20)
        row, column = np.indices(pattern.shape)
        other = np.hypot(row - 127.5, column - 127.5)
        pattern += np.random.default_rng(1).poisson(300 * np.exp(-((other - 57) ** 2) / 8))
        found = calibrate_rings(pattern, GOLD)
        assert found.pixel_size == pytest.approx(0.0101, rel=2e-3)
        assert found.ratio == pytest.approx(1.03, abs=0.004)

    def test_wrong_guess_is_told_and_not_followed(self):
        with pytest.warns(InputWarning, match="not the guess"):
            found = calibrate_rings(ring_pattern(), GOLD, pixel_size_guess=0.03)
        assert found.pixel_size == pytest.approx(0.0101, rel=1e-3)
        near = calibrate_rings(
            ring_pattern(), GOLD, pixel_size_guess=0.0108, centre_guess=(126, 129)
        )
        assert near.pixel_size == pytest.approx(0.0101, rel=1e-3)

    def test_two_rings_that_fit_in_two_ways_are_ambiguous(self):
        # radii in geometric progression: the sequence fits shifted by one ring
        k = 0.3 * 1.5 ** np.arange(4)
        pattern = ring_pattern(k=k[1:3], heights=[1.0, 0.8], pixel_size=0.0101)
        with pytest.warns(InputWarning, match="nearly as well"):
            calibrate_rings(pattern, k)
        found = calibrate_rings(pattern, k, pixel_size_guess=0.0101)
        assert found.pixel_size == pytest.approx(0.0101, rel=2e-3)

    def test_mask_beam_stop_and_another_shape(self):
        pattern = ring_pattern(size=(240, 300), centre=(121.0, 158.0), ratio=1.02, angle=80)
        row, column = np.indices(pattern.shape)
        stop = (np.hypot(row - 121, column - 158) < 18) | ((np.abs(row - 121) < 7) & (column > 158))
        pattern[stop] *= 0.02
        pattern[200:, :30] = 1e6
        mask = ~stop
        mask[200:, :30] = False
        found = calibrate_rings(pattern, GOLD, mask=mask)
        assert found.pixel_size == pytest.approx(0.0101, rel=1e-3)
        np.testing.assert_allclose(found.centre, (121, 158), atol=0.2)

    def test_intensities_drop_what_cannot_be_seen(self):
        k = np.sort(np.concatenate([GOLD, np.linspace(0.3, 2, 40)]))
        strong = np.isin(k, GOLD).astype(float)
        found = calibrate_rings(ring_pattern(), k, intensities=strong)
        assert found.pixel_size == pytest.approx(0.0101, rel=1e-3)

    def test_what_shows_no_rings_is_refused(self):
        rng = np.random.default_rng(0)
        with pytest.raises(InputError, match=r"ring|recognised"):
            calibrate_rings(rng.poisson(20.0, (128, 128)), GOLD)
        with pytest.raises(InputError, match="empty"):
            calibrate_rings(np.zeros((64, 64)), GOLD)
        with pytest.raises(InputError, match="one image"):
            calibrate_rings(np.zeros((4, 64, 64)), GOLD)
        with pytest.raises(InputError, match="fewer than two rings"):
            calibrate_rings(ring_pattern(), [0.42])
        with pytest.raises(InputError, match="mask"):
            calibrate_rings(ring_pattern(), GOLD, mask=np.ones((3, 3)))
        with pytest.raises(InputError, match="intensities"):
            calibrate_rings(ring_pattern(), GOLD, intensities=[1, 2])

    def test_gold_grating(self, measured):
        pattern = tifffile.imread(measured / "diffraction_single" / "au_xgrating_20cm.tif")
        found = calibrate_rings(pattern, GOLD)
        # the visible rings, measured by eye along the major and minor axis
        assert found.pixel_size == pytest.approx(0.01000, rel=2e-3)
        assert found.ratio == pytest.approx(1.036, abs=0.004)
        assert found.residual < 0.5
        assert found.number >= 5


class TestCrystal:
    """Rings of a crystal with their intensities: refused where they are not its own."""

    NICKEL_OXIDE, NUMBER = face_centred(4.177)

    def rings_of(self, seed, peak, pixel_size=0.0121):
        strength = self.NUMBER * np.exp(-1.5 * self.NICKEL_OXIDE**2) / self.NICKEL_OXIDE
        pattern = ring_pattern(
            k=self.NICKEL_OXIDE, heights=strength / strength.max(), pixel_size=pixel_size,
            peak=peak, width=1.6, seed=seed,
        )  # fmt: skip
        return pattern, strength * self.NICKEL_OXIDE

    @pytest.mark.parametrize("peak", [30.0, 3000.0])
    def test_errors_of_the_pixel_size_hold_at_any_dose(self, peak):
        pulls = []
        for seed in range(5):
            size = 0.0121 * 1.02**seed
            pattern, strength = self.rings_of(seed, peak, size)
            found = calibrate_rings(
                pattern, self.NICKEL_OXIDE, intensities=strength, pixel_size_guess=0.0125
            )
            pulls.append((found.pixel_size - size) / found.pixel_size_error)
        assert np.sqrt(np.mean(np.square(pulls))) < 1.8

    @pytest.mark.parametrize("peak", [30.0, 1000.0])
    def test_another_crystal_is_refused(self, peak):
        pattern, _ = self.rings_of(1, peak)
        # body-centred: every other ring of a simple cubic lattice
        square = np.arange(2, 40, 2)
        square = square[~np.isin(square, [28])]
        k = np.sqrt(square) / 2.87
        with pytest.raises(InputError, match=r"ring"):
            calibrate_rings(
                pattern, k, intensities=np.exp(-1.5 * k**2) / k, pixel_size_guess=0.0121
            )

    def test_rings_that_lie_in_one_are_measured_as_one(self):
        k = np.array([0.391, 0.427, 0.446, 0.578, 0.678, 0.75, 0.782, 0.802, 0.812])
        strength = np.array([0.3, 0.35, 1.0, 0.15, 0.2, 0.25, 0.03, 0.25, 0.15])
        pattern = ring_pattern(
            k=k, heights=strength / k / (strength / k).max(), pixel_size=0.009, peak=2000.0, width=2
        )
        found = calibrate_rings(pattern, k, intensities=strength, pixel_size_guess=0.0091)
        assert abs(found.pixel_size - 0.009) < 3 * found.pixel_size_error
        assert found.pixel_size == pytest.approx(0.009, rel=3e-3)


class TestFile:
    CALIBRATION = Calibration(
        0.0101, 1e-5, ((1.01, 0.0), (0.0, 1 / 1.01)), (127.5, 126.0), (0.1, 0.2),
        1.02, 1e-3, 35.0, 2.0, 0.21, 7,
    )  # fmt: skip

    def test_comes_back_as_it_was(self, tmp_path):
        self.CALIBRATION.to_toml(tmp_path / "c.toml")
        assert read_calibration(tmp_path / "c.toml") == self.CALIBRATION
        odd = dataclasses.replace(self.CALIBRATION, angle_error=float("nan"), ratio_error=np.inf)
        odd.to_toml(tmp_path / "odd.toml")
        assert np.isnan(read_calibration(tmp_path / "odd.toml").angle_error)

    def test_other_files_are_refused(self, tmp_path):
        for text in ("", "pixel_size = 1", "no toml at all", "pixel_size = 'wide'"):
            (tmp_path / "bad.toml").write_text(text)
            with pytest.raises(InputError, match=r"bad\.toml.*not a calibration"):
                read_calibration(tmp_path / "bad.toml")
        with pytest.raises(InputError, match="cannot be read"):
            read_calibration(tmp_path / "absent.toml")


def test_stretch_is_symmetric_of_unit_determinant():
    for a, b in ((0.0, 0.0), (0.02, -0.01), (0.3, 0.1)):
        matrix = stretch(a, b)
        assert np.linalg.det(matrix) == pytest.approx(1)
        assert matrix[0, 1] == matrix[1, 0]
        values = np.linalg.eigvalsh(matrix)
        assert values[1] / values[0] == pytest.approx(np.exp(2 * np.hypot(a, b)))
