"""Thresholds: levels of a Gaussian field, and scores that are skewed at few counts."""

import numpy as np
import pytest

from phaseloom.diffraction.spots.false_alarms import (
    LOWEST,
    PER_DECADE,
    gaussian_level,
    least_scores,
)
from phaseloom.diffraction.spots.shape import SpotShape
from phaseloom.errors import InputError


@pytest.mark.parametrize("sigma", [1.0, 1.2, 2.4, 6.0])
def test_level_of_a_gaussian_template(sigma):
    """Its second spectral moment is 1/(2 σ²), however coarse the pixels."""
    u = gaussian_level(SpotShape(sigma=sigma).template(), 1e5, 0.1)
    rate = 1e5 / (2 * sigma**2) / (2 * np.pi) ** 1.5 * u * np.exp(-(u**2) / 2)
    assert rate == pytest.approx(0.1, rel=0.03)


def test_scores_are_those_of_a_gaussian_at_many_counts_and_larger_at_few():
    template = SpotShape(sigma=2.4).template()
    scores = least_scores(template, 5.0)
    assert scores[-1] == pytest.approx(5, abs=0.01)
    assert (np.diff(scores) < 0).all()


@pytest.mark.parametrize("background", [0.01, 0.1, 1.0])
def test_scores_have_the_tail_probability_of_their_level(background):
    rng = np.random.default_rng(0)
    template = SpotShape(sigma=1.2).template()
    level = 3.0
    scores = least_scores(template, level)
    least = scores[round((np.log10(background) - LOWEST) * PER_DECADE)]
    counts = rng.poisson(background, (100_000, template.size)).astype(np.float32)
    sums = (counts - background) @ template.ravel().astype(np.float32)
    score = sums / np.sqrt(background * (template**2).sum())
    assert (score > least).mean() == pytest.approx(1.35e-3, rel=0.3)


@pytest.mark.parametrize("rate", [0.0, -1.0, 1e4])
def test_rates_that_cannot_be(rate):
    with pytest.raises(InputError, match="cannot be"):
        gaussian_level(SpotShape().template(), 1e4, rate)
