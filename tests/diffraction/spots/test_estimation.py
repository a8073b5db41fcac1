"""What the finder must know comes out of a sample: spots, noise, background, false alarms."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from phaseloom.diffraction.detector.correction import Correction
from phaseloom.diffraction.spots.estimation import make_finder
from phaseloom.diffraction.spots.finder import find_peaks
from phaseloom.diffraction.spots.noise_level import background_level, estimate_noise, pixel_noise
from phaseloom.diffraction.spots.shape import SpotShape
from phaseloom.diffraction.spots.size import estimate_shape
from phaseloom.errors import InputError, InputWarning
from phaseloom.simulate.patterns import add_radial, add_spots

SIZE = (192, 192)


def sample(
    *,
    n=10,
    sigma=2.4,
    radius=0.0,
    spots=8,
    counts=(200.0, 4000.0),
    background=0.5,
    halo=0.0,
    beam_counts=5e3,
    beam_sigma=None,
    seed=0,
):
    """Poisson patterns of randomly placed spots, and the direct beams' positions."""
    rng = np.random.default_rng(seed)
    beam = np.array([(s - 1) / 2 for s in SIZE]) + 0.5 * rng.standard_normal((n, 2))
    expected = np.full((n, *SIZE), background, np.float32)
    profile = halo * np.exp(-np.arange(1200) / 4 / 25.0)
    add_radial(expected, beam, np.tile(profile, (n, 1)))
    offset = np.arange(n + 1) * spots
    place = rng.uniform(8, SIZE[0] - 9, (2, n * spots))
    strength = np.exp(rng.uniform(*np.log(counts), n * spots))
    add_spots(expected, offset, place[0], place[1], strength, sigma, radius)
    strength = np.full(n, float(beam_counts))
    centre = beam.T.copy()
    add_spots(
        expected, np.arange(n + 1), centre[0], centre[1], strength, beam_sigma or sigma, radius
    )
    return rng.poisson(expected).astype(np.float32), beam


@pytest.mark.parametrize("sigma", [1.0, 2.4, 6.0])
@pytest.mark.parametrize(
    ("background", "counts", "tolerance"), [(0.05, (60, 250), 0.1), (3.0, (500, 2e4), 0.03)]
)
def test_sigma_of_gaussian_spots(sigma, background, counts, tolerance):
    patterns, beam = sample(sigma=sigma, background=background, counts=counts, seed=2)
    shape = estimate_shape(patterns, beam, beam_radius=1.18 * sigma)
    assert shape.kind == "gaussian"
    assert shape.sigma == pytest.approx(sigma, rel=tolerance)


@pytest.mark.parametrize(("radius", "edge"), [(3.0, 0.6), (8.0, 1.0), (16.0, 1.5)])
@pytest.mark.parametrize(("background", "counts"), [(0.05, (300, 1500)), (3.0, (2e3, 5e4))])
def test_radius_of_disks(radius, edge, background, counts):
    patterns, beam = sample(
        sigma=edge, radius=radius, spots=4, background=background, counts=counts, seed=3
    )
    shape = estimate_shape(patterns, beam, beam_radius=radius)
    assert shape.kind == "disk"
    assert shape.radius == pytest.approx(radius, rel=0.04)
    assert shape.edge == pytest.approx(edge, rel=0.35)


@pytest.mark.parametrize("seed", range(6))
def test_gaussians_are_not_called_disks(seed):
    rng = np.random.default_rng(seed)
    sigma, dose = rng.uniform(1.5, 5), 10 ** rng.uniform(-1.3, 2)
    low = 60 + 300 * dose
    patterns, beam = sample(
        sigma=sigma, background=dose, counts=(low, 20 * low), n=6, seed=100 + seed
    )
    assert estimate_shape(patterns, beam, beam_radius=1.18 * sigma).kind == "gaussian"


def test_spots_count_and_not_the_larger_beam():
    patterns, beam = sample(sigma=1.7, beam_sigma=4.0, beam_counts=2e5, halo=20.0, seed=4)
    assert estimate_shape(patterns, beam, beam_radius=4.7).sigma == pytest.approx(1.7, rel=0.03)


def test_beam_alone_decides_where_nothing_is_diffracted():
    patterns, beam = sample(sigma=3.0, spots=0, background=0.1)
    assert estimate_shape(patterns, beam, beam_radius=3.5).sigma == pytest.approx(3.0, rel=0.03)


def test_nothing_to_see_is_told():
    patterns, beam = sample(spots=0, beam_counts=0)
    with pytest.warns(InputWarning, match="how large spots are"):
        assert estimate_shape(patterns, beam).sigma == 2.0
    with pytest.warns(InputWarning, match="how large spots are"):
        assert estimate_shape(np.zeros((3, 64, 64)), np.full((3, 2), 31.5)).sigma == 2.0


def test_hot_pixels_missing_pixels_and_a_clipped_beam():
    patterns, beam = sample(sigma=2.0, background=1.0, counts=(300, 3000), beam_counts=3e4, seed=5)
    rng = np.random.default_rng(0)
    hot = rng.integers(0, SIZE[0], (2, 30))
    patterns[:, hot[0], hot[1]] = 150.0
    patterns[:, :, 60:64] = np.nan
    patterns = np.minimum(patterns, 250.0)
    shape = estimate_shape(patterns, beam, beam_radius=3.0)
    assert shape.kind == "gaussian"
    assert shape.sigma == pytest.approx(2.0, rel=0.03)


@pytest.mark.parametrize("background", [0.05, 0.3, 3.0, 100.0])
def test_electrons_counted_have_a_gain_of_one(background):
    patterns, beam = sample(background=background, n=16, halo=10 * background, seed=6)
    gain, floor = estimate_noise(patterns, beam, SpotShape(sigma=2.4), guard=10)
    assert gain == pytest.approx(1.0, abs=0.03)
    assert floor == pytest.approx(0.0, abs=0.03 * background)
    assert pixel_noise(patterns)[0] == pytest.approx(1.0, abs=0.1)


def test_gain_and_read_noise_of_a_camera():
    patterns, beam = sample(background=1.0, halo=30.0, n=16, seed=7)
    noise = np.random.default_rng(1).standard_normal(patterns.shape)
    gain, floor = estimate_noise(50 * patterns + 100 * noise, beam, SpotShape(sigma=2.4), guard=10)
    assert gain == pytest.approx(50, rel=0.05)
    assert floor == pytest.approx(1e4, rel=0.1)


@pytest.mark.parametrize("spread", [0.6, 1.0])
def test_shared_noise_counts_as_it_does_for_a_spot(spread):
    sigma = 2.4
    patterns, beam = sample(background=3.0, spots=0, beam_counts=0, n=16, seed=8)
    blurred = ndimage.gaussian_filter(patterns, (0, spread, spread))
    gain, _ = estimate_noise(blurred, beam, SpotShape(sigma=sigma))
    # Power of the blurred noise in the band of the spot: ∫ T² S² / ∫ T².
    assert gain == pytest.approx(sigma**2 / (sigma**2 + spread**2), rel=0.08)
    assert pixel_noise(blurred)[0] < 0.1


def test_unresolved_spots_are_not_noise():
    patterns, beam = sample(spots=150, counts=(3, 30), background=0.3, n=16, seed=9)
    gain, floor = estimate_noise(patterns, beam, SpotShape(sigma=2.4), guard=10)
    assert gain * 0.5 + floor == pytest.approx(0.5, rel=0.1)


def test_constant_patterns_have_a_usable_noise():
    beam = np.full((4, 2), 31.5)
    for patterns in (
        np.zeros((4, 64, 64)),
        np.full((4, 64, 64), 7.0),
        np.full((4, 64, 64), np.nan),
    ):
        assert estimate_noise(patterns, beam, SpotShape()) == (1.0, 0.0)


def test_background_between_the_spots():
    patterns, _ = sample(background=2.0, spots=12, counts=(1e3, 1e4))
    assert background_level(patterns) == pytest.approx(2.0, rel=0.1)
    assert background_level(np.full((2, 64, 64), np.nan)) == 0.0


@pytest.mark.parametrize(
    ("background", "change"),
    [
        (0.05, lambda p, _: p),
        (3.0, lambda p, _: p),
        (100.0, lambda p, _: p),
        (3.0, lambda p, noise: 7.3 * p + math.sqrt(20) * noise),
        (3.0, lambda p, _: np.clip(np.rint(9.1 * p), 0, 255)),
    ],
    ids=["few", "some", "many", "camera", "stretched"],
)
def test_stated_false_alarms_hold_with_what_is_estimated(background, change):
    patterns, beam = sample(background=background, spots=0, beam_counts=0, n=60, seed=10)
    noise = np.random.default_rng(2).standard_normal(patterns.shape)
    patterns = change(patterns, noise).astype(np.float32)
    finder = make_finder(patterns[:20], beam[:20], sigma=2.4, false_alarms=0.5)
    found = find_peaks(patterns, finder, Correction(np.ones(SIZE, np.bool_)), beam)
    assert 0.2 < found.number.mean() < 1.2


def test_finder_from_a_sample_finds_the_spots():
    patterns, beam = sample(n=12, counts=(300, 5000), seed=11)
    finder = make_finder(patterns, beam, beam_radius=6.0, false_alarms=0.02, max_peaks=40)
    assert finder.guard == pytest.approx(1.2 * 6.0 + 2 * finder.shape.sigma, rel=1e-3)
    assert finder.max_peaks == 40
    found = find_peaks(patterns, finder, Correction(np.ones(SIZE, np.bool_)), beam)
    assert found.number.mean() == pytest.approx(9, abs=1)
    assert replace(finder, guard=math.nan).guard_radius < finder.guard


def test_given_sizes_are_kept():
    patterns, beam = sample(sigma=1.0, radius=6.0, spots=4, counts=(1e3, 1e4))
    assert make_finder(patterns, beam, sigma=3.0).shape == SpotShape(sigma=3.0)
    shape = make_finder(patterns, beam, radius=6.5).shape
    assert (shape.kind, shape.radius) == ("disk", 6.5)
    assert shape.edge == pytest.approx(1.0, rel=0.4)
    with pytest.raises(InputError, match="leave it out for disks"):
        make_finder(patterns, beam, sigma=2.0, radius=6.0)
    with pytest.raises(InputError, match="leave it out for disks"):
        make_finder(patterns, beam, sigma=2.0, shape="disk")


def test_what_cannot_be_is_said():
    with pytest.raises(InputError, match="do not belong together"):
        estimate_shape(np.zeros((3, 32, 32)), np.zeros((2, 2)))
    with pytest.raises(InputError, match="do not belong together"):
        make_finder(np.zeros((3, 32, 32)), np.zeros((2, 2)))
    with pytest.raises(InputError, match="of kind"):
        estimate_shape(np.zeros((3, 32, 32)), np.zeros((3, 2)), kind="square")


def test_measured_silver_and_astar_patterns(measured):
    import phaseloom

    for name, low, high in (
        ("4dstem_sped_ag/SPED_Ag_labels_sum_signal.hspy", 1.2, 1.7),
        ("4dstem_formats/blo/test1.blo", 1.3, 2.0),
    ):
        counts = phaseloom.read(measured / name).counts
        patterns = counts.to_numpy().reshape(-1, *counts.shape[2:]).astype(np.float32)
        beam = np.tile([(s - 1) / 2 for s in patterns.shape[1:]], (len(patterns), 1))
        shape = estimate_shape(patterns, beam, beam_radius=3.0)
        assert shape.kind == "gaussian"
        assert low < shape.sigma < high
