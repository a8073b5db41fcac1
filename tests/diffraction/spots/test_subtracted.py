"""Patterns from which a background was subtracted."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from phaseloom import InputWarning
from phaseloom.diffraction import Peaks, register
from phaseloom.diffraction.detector.correction import Correction, corrected, with_background
from phaseloom.diffraction.spots.shape import SpotShape
from phaseloom.diffraction.spots.subtracted import has_negative, subtracted_background

Y, X = np.indices((128, 128)) - 64.0
RADIUS = np.hypot(Y, X)
KINDS = {
    "dim": (0.1 + 20 * np.exp(-RADIUS / 12), 1),
    "20 counts per electron": (0.3 + 5 * np.exp(-RADIUS / 15), 20),
    "bright": (20 + 200 * np.exp(-RADIUS / 20), 1),
}
SHAPE = SpotShape("gaussian", sigma=1.8)


def patterns(background: np.ndarray, gain: float, *, spots: int = 0, n: int = 36) -> np.ndarray:
    rng = np.random.default_rng(0)
    mean = background + 1000 * np.exp(-(RADIUS**2) / 2 / 1.8**2)
    for row, column in rng.uniform(-50, 50, (spots, 2)):
        mean = mean + 400 * np.exp(-((Y - row) ** 2 + (X - column) ** 2) / 2 / 1.8**2)
    return gain * rng.poisson(mean, (n, 128, 128))


def found(counts: np.ndarray) -> tuple[float, list[str]]:
    with warnings.catch_warnings(record=True) as issued:
        warnings.simplefilter("always", InputWarning)
        peaks = register(counts.reshape(6, 6, 128, 128), sigma=1.8)
    texts = [str(w.message) for w in issued]
    return peaks.sizes["peak"] / 36, [text for text in texts if "subtracted" in text]


@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_measured_and_one_warning_says_so(kind: str) -> None:
    background, gain = KINDS[kind]
    counts = np.rint(patterns(background, gain) - gain * background).astype(np.int16)
    number, texts = found(counts)
    assert number < 1 + 0.25  # with the direct beam
    assert len(texts) == 1
    assert "measured about the direct beam instead" in texts[0]
    assert "hollows" not in texts[0]
    counts = np.rint(patterns(background, gain, spots=10) - gain * background).astype(np.int16)
    number, _ = found(counts)
    assert 10.5 < number < 11.5


def test_the_background_that_explains_the_noise() -> None:
    background, gain = KINDS["bright"]
    values = (patterns(background, gain) - background).astype(np.float32)
    assert has_negative(values)
    result = subtracted_background(values, np.full((36, 2), 64.0), SHAPE, guard=8.0)
    assert result is not None
    ratio = (result.background / background)[(RADIUS > 12) & (RADIUS < 60)]
    assert ratio.mean() == pytest.approx(1, abs=0.2)
    assert ratio.std() / ratio.mean() < 0.1


def test_noise_of_counts_and_of_a_camera_stay_as_they_are() -> None:
    background, _ = KINDS["bright"]
    counts = patterns(background, 1).astype(np.float32)
    assert not has_negative(counts)
    noise = np.random.default_rng(1).normal(0, 3, counts.shape)
    camera = (patterns(0.2 + 5 * np.exp(-RADIUS / 15), 1) + noise).astype(np.float32)
    assert has_negative(camera)
    assert subtracted_background(camera, np.full((36, 2), 64.0), SHAPE, guard=8.0) is None


@pytest.mark.parametrize("spots", [0, 12])
@pytest.mark.parametrize("kind", ["dim", "20 counts per electron"])
def test_the_gain_is_told_by_the_skewness(kind: str, spots: int) -> None:
    background, gain = KINDS[kind]
    values = 0.37 * (patterns(background, gain, spots=spots) - gain * background)
    result = subtracted_background(
        values.astype(np.float32), np.full((36, 2), 64.0), SHAPE, guard=8.0
    )
    assert result is not None
    assert result.gain == pytest.approx(0.37 * gain, rel=0.2)


def test_hollows_that_a_blurred_copy_left_are_told() -> None:
    counts = patterns(*KINDS["dim"], spots=10)
    blurred = ndimage.gaussian_filter(counts.astype(np.float64), (0, 10, 10))
    _, texts = found((counts - blurred).astype(np.float32))
    assert len(texts) == 1
    assert "many more false spots than stated" in texts[0]


def test_neighbours_share_noise_after_smoothing() -> None:
    background, gain = KINDS["20 counts per electron"]
    values = patterns(background, gain, n=36) - gain * background
    number, _ = found(ndimage.gaussian_filter(values, (0, 0.8, 0.8)).astype(np.float32))
    # twenty times more where pixels were taken for independent
    assert number < 1.25


def test_reflections_of_the_subtracted_mean_are_hollows_and_no_measurement(cases: Path) -> None:
    with np.load(cases / "diffraction" / "signed_counts" / "sub200_int16.npz") as stored:
        counts = stored["arr_0"]
    with pytest.warns(InputWarning, match="noise is not that of counts") as issued:
        peaks = Peaks(register(counts))
    texts = [str(warning.message) for warning in issued if "subtracted" in str(warning.message)]
    assert len(texts) == 1
    # Spots have places of their own, that of a grain; noise is found where no other peak is.
    place = np.stack(peaks.on_detector(), axis=1)
    other = peaks.position[:, None] != peaks.position
    near = np.hypot(*np.moveaxis(place[:, None] - place, -1, 0)) < 2
    alone = ~(near & other).any(axis=1)
    assert alone.sum() < 0.5 * 64
    assert 4.5 < len(peaks) / 64 < 6.5
    # there were 25 to 36 false ones per pattern; a warning says that there may be some
    assert "many more false spots than stated" in texts[0]


def test_what_is_lower_than_noise_goes_does_not_count() -> None:
    detector = Correction(np.ones((3, 4), bool), gain=np.full((3, 4), 2, np.float32))
    background, lowest = (np.full((3, 4), value, np.float32) for value in (6, -10))
    raw = np.array([[[-6, -5, 0, 3]] * 3], np.int16)
    values = corrected(raw, with_background(detector, background, lowest))
    np.testing.assert_array_equal(values[0, 0], [np.nan, -4, 6, 12])
