"""Patterns from which a background was subtracted."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from phaseloom import InputWarning
from phaseloom.diffraction import register
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
    counts = np.rint(patterns(background, gain, spots=10) - gain * background).astype(np.int16)
    number, _ = found(counts)
    assert 10.5 < number < 11.5


def test_the_background_that_explains_the_noise() -> None:
    background, gain = KINDS["bright"]
    values = (patterns(background, gain) - background).astype(np.float32)
    assert has_negative(values)
    result = subtracted_background(values, np.full((36, 2), 64.0), SHAPE, guard=8.0)
    assert result is not None
    assert result.background is not None
    # up to the counts per electron, which bright noise does not tell well
    ratio = (result.background / background)[(RADIUS > 12) & (RADIUS < 60)]
    assert ratio.std() / ratio.mean() < 0.1


def test_noise_of_counts_and_of_a_camera_stay_as_they_are() -> None:
    background, _ = KINDS["bright"]
    counts = patterns(background, 1).astype(np.float32)
    assert not has_negative(counts)
    noise = np.random.default_rng(1).normal(0, 3, counts.shape)
    camera = (patterns(0.2 + 5 * np.exp(-RADIUS / 15), 1) + noise).astype(np.float32)
    assert has_negative(camera)
    assert subtracted_background(camera, np.full((36, 2), 64.0), SHAPE, guard=8.0) is None


def test_hollows_about_spots_are_told(cases: Path) -> None:
    with np.load(cases / "diffraction" / "signed_counts" / "sub200_int16.npz") as stored:
        counts = stored["arr_0"]
    with pytest.warns(InputWarning, match="noise is not that of counts") as issued:
        register(counts)
    texts = [str(warning.message) for warning in issued if "subtracted" in str(warning.message)]
    assert len(texts) == 1
    assert "many more false spots than stated" in texts[0]
